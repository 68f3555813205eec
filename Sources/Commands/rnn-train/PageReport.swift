import CommandSupport
import Recurrent
import Reports

/// A training as one page of HTML: its curves, and what the model wrote on the way.
enum PageReport {
  /// A curve has so many points at most: more could not be told apart.
  private static let mostPoints = 160
  /// Samples of so many steps at most.
  private static let mostSamples = 40

  static func html(_ log: TrainingLog, title: String) -> String {
    var page = Page("rnn-train: \(title)")
    let state = state(log)
    page.verdict(state.text, isGood: state.isGood)
    for remark in log.remarks { page.note(remark) }
    if log.earlierTrainings > 0 {
      page.note(
        "The log tells of \(counted(log.earlierTrainings + 1, "training")); this is the last one.")
    }
    if let first = log.steps.first, first.number > 1 {
      page.note("Steps before \(grouped(first.number)) are not in the log.")
    }
    page.table(
      "Where it stands", head: ["fact", "value"],
      rows: summary(log).map { [.text($0.name), .text($0.value)] })
    page.beginSection("Curves")
    page.figures(figures(log))
    page.endSection()
    if !log.samples.isEmpty {
      page.beginSection("What the model wrote on the way")
      let shown = log.samples.suffix(mostSamples)
      page.note(
        "Each text starts without a prompt and with the same random numbers, so what changes is"
          + " what was learned. The latest comes first.")
      if shown.count < log.samples.count {
        page.note("The last \(mostSamples) of \(log.samples.count) are shown.")
      }
      for sample in shown.reversed() {
        page.quote(sample.text, about: about(sample, log))
      }
      page.endSection()
    }
    if !log.settings.isEmpty {
      page.beginFold("Settings", more: "as options of rnn-train")
      page.table(
        "Settings", head: ["option", "value"],
        rows: log.settings.map { [.text($0.name), .text($0.value)] })
      page.endFold()
    }
    return page.html
  }

  private static func state(_ log: TrainingLog) -> (text: String, isGood: Bool) {
    let done = grouped(log.steps.last?.number ?? 0)
    let all = log.limit.map { " of \(grouped($0))" } ?? ""
    return switch log.ending {
    case "limit": ("Finished after \(done) steps.", true)
    case "patience":
      ("Stopped early after \(done)\(all) steps: validation no longer improved.", true)
    case "signal": ("Stopped by a signal after \(done)\(all) steps; --resume goes on.", true)
    case "diverged": ("Diverged after \(done)\(all) steps: the loss is no longer a number.", false)
    default: ("Step \(done)\(all), still running when this was written.", true)
    }
  }

  private static func summary(_ log: TrainingLog) -> [(name: String, value: String)] {
    var rows = log.facts
    if let last = log.steps.last {
      let recent = log.steps.suffix(100)
      let mean = recent.reduce(0) { $0 + $1.loss } / Double(recent.count)
      rows.append(
        ("training loss", "\(told(mean, log)), mean of the last \(counted(recent.count, "step"))"))
      let validated = log.steps.filter { $0.validation != nil }
      if let best = validated.min(by: { $0.validation ?? 0 < $1.validation ?? 0 }) {
        rows.append(
          (
            "best validation",
            "\(told(best.validation ?? 0, log)), after step \(grouped(best.number))"
          ))
      }
      if let rate = last.learningRate { rows.append(("learning rate", short(rate))) }
      if let time = last.seconds { rows.append(("time", "\(short((time * 10).rounded() / 10)) s")) }
    }
    return rows
  }

  /// `1.53 nats, 2.21 bits per char`, or `4.5 nats, perplexity 91.3`.
  private static func told(_ loss: Double, _ log: TrainingLog) -> String {
    func three(_ value: Double) -> String { short((value * 1000).rounded() / 1000) }
    return "\(three(loss)) nats, "
      + (log.tellsPerplexity
        ? "perplexity \(three(Double.exp(loss)))"
        : "\(three(loss / Double.log(2))) bits per \(log.level ?? "token")")
  }

  private static func about(_ sample: TrainingLog.Sample, _ log: TrainingLog) -> String {
    let step = log.steps.last { $0.number <= sample.step }
    return "after step \(grouped(sample.step))"
      + (step.map { ", loss \(told($0.loss, log))" } ?? "")
  }

  // MARK: Curves

  private static func figures(_ log: TrainingLog) -> [Figure] {
    let unit = log.level ?? "token"
    let isBinned = log.steps.count > mostPoints
    let spread =
      isBinned ? " The line is the mean of neighbouring steps, the band their range." : ""
    let nats = losses(
      log, "Loss",
      "The mean cross-entropy of each step's block, before the step, and of the"
        + " held-out text." + spread, "nats per \(unit)"
    ) { $0 }
    let scaled =
      log.tellsPerplexity
      ? losses(
        log, "Perplexity", "The same as perplexity: so many equally likely words." + spread,
        "perplexity", isLogarithmic: true
      ) { Double.exp($0) }
      : losses(
        log, "Bits per \(unit)", "The same in bits: 1 bit halves the choice." + spread,
        "bits per \(unit)"
      ) { $0 / Double.log(2) }
    var figures = [nats.wideFigure, scaled.figure]
    if let rate = curve(
      log, "Learning rate", "The rate that each step used.", \.learningRate, includesZero: true)
    {
      figures.append(rate.figure)
    }
    if var norm = curve(
      log, "Gradient norm", "The 2-norm of all gradients before clipping." + spread,
      \.gradientNorm, isLogarithmic: true)
    {
      if let text = log.settings.first(where: { $0.name == "clip-norm" })?.value,
        let clip = Double(text), clip > 0
      {
        norm.limit = ("clipped to \(short(clip))", clip)
        norm.description += " Longer gradients are scaled down to the line."
      }
      figures.append(norm.figure)
    }
    return figures
  }

  private static func losses(
    _ log: TrainingLog, _ title: String, _ description: String, _ axis: String,
    isLogarithmic: Bool = false, _ scale: (Double) -> Double
  ) -> LineChart {
    let bins = bins(log.steps.map { (Double($0.number), scale($0.loss)) })
    let validated = log.steps.compactMap { step in
      step.validation.map { (Double(step.number), scale($0)) }
    }
    var series = [LineChart.Series("training", bins.map(\.mean), at: bins.map(\.place))]
    if !validated.isEmpty {
      series.append(.init("validation", validated.map(\.1), at: validated.map(\.0)))
    }
    var chart = LineChart(
      title, description: description, axes: ("step", axis), series: series,
      isLogarithmic: isLogarithmic)
    chart.includesZero = false
    if log.steps.count > mostPoints { chart.band = bins.map { ($0.place, $0.low, $0.high) } }
    return chart
  }

  private static func curve(
    _ log: TrainingLog, _ title: String, _ description: String,
    _ path: KeyPath<TrainingLog.Step, Double?>, isLogarithmic: Bool = false,
    includesZero: Bool = false
  ) -> LineChart? {
    let points = log.steps.compactMap { step in
      step[keyPath: path].map { (Double(step.number), $0) }
    }
    guard !points.isEmpty else { return nil }
    let bins = bins(points)
    var chart = LineChart(
      title, description: description, axes: ("step", title.lowercased()),
      series: [.init(title.lowercased(), bins.map(\.mean), at: bins.map(\.place))],
      isLogarithmic: isLogarithmic)
    chart.includesZero = includesZero
    if points.count > mostPoints { chart.band = bins.map { ($0.place, $0.low, $0.high) } }
    return chart
  }

  /// Neighbouring points together, so that a curve of any length stays small.
  private static func bins(
    _ points: [(Double, Double)]
  ) -> [(place: Double, mean: Double, low: Double, high: Double)] {
    let count = min(points.count, mostPoints)
    return (0..<count).compactMap { index in
      let part = points[index * points.count / count..<(index + 1) * points.count / count]
      let values = part.map(\.1).filter(\.isFinite)
      guard let low = values.min(), let high = values.max() else { return nil }
      // The first and the last step keep their places: a curve covers all of the training.
      let place = index == 0 ? part[part.startIndex].0 : part[part.endIndex - 1].0
      return (place, values.reduce(0, +) / Double(values.count), low, high)
    }
  }
}
