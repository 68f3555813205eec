import CommandSupport
import HostSystem
import Recurrent

/// `--batch`: many conversions, one summary, one exit status.
struct BatchRun {
  let batch: ConversionBatch
  let options: ConversionOptions
  let jobs: Int
  let planOnly: Bool
  let progress: ProgressBar

  private struct Outcome: Sendable {
    let text: String
    let json: [JSON.Member]
    let error: RecurrentError?
  }

  /// Converts everything, prints, and returns the worst status.
  func perform(json: Bool, quiet: Bool) -> Int32 {
    let meter = BatchMeter(batch.items.map(\.byteCount), progress)
    let outcomes = inParallel(batch.items.count, jobs: jobs) { index in
      defer { meter.finish(index) }
      return convert(batch.items[index]) { meter.update(index, $0) }
    }
    progress.clear()
    let errors = outcomes.compactMap(\.error)
    let status = Self.status(errors)
    if json { Output.line(report(outcomes, status).serialized(pretty: true)) }
    for outcome in outcomes {
      if let error = outcome.error {
        Output.complain(RNNConvert.message(for: error, consequence: nil))
      } else if !quiet, !json {
        Output.write(outcome.text)
      }
    }
    if !quiet, !json {
      let done = planOnly ? "planned" : "converted"
      var parts = ["\(grouped(outcomes.count - errors.count)) \(done)"]
      if !errors.isEmpty { parts.append("\(grouped(errors.count)) FAILED") }
      if !batch.ignored.isEmpty {
        parts.append("\(grouped(batch.ignored.count)) ignored (no weights)")
      }
      Output.line(counted(outcomes.count, "file") + ": " + parts.joined(separator: ", "))
    }
    return status
  }

  private func convert(
    _ item: ConversionBatch.Item,
    _ onProgress: @escaping @Sendable (ConversionProgress) -> Void
  ) -> Outcome {
    do {
      if let obstacle = item.obstacle { throw obstacle }
      var options = options
      options.progress = onProgress
      let plan = try ConversionPlan(from: item.input, to: item.output, options: options)
      if !planOnly { try batch.createDirectories(for: item) }
      let proof = planOnly ? nil : try plan.execute()
      let report = ConversionReport(
        input: item.input, output: item.output, plan: plan, proof: proof)
      return Outcome(
        text: planOnly ? report.steps : report.summary, json: report.json, error: nil)
    } catch {
      let failure =
        error as? RecurrentError
        ?? RecurrentError(.faultUnexpected, file: item.input, found: "\(error)")
      return Outcome(
        text: "",
        json: [
          .init(key: "input", value: .string(item.input)),
          .init(key: "output", value: .string(item.output)),
          .init(key: "written", value: .bool(false)), .init(key: "error", value: failure.json),
        ], error: failure)
    }
  }

  private func report(_ outcomes: [Outcome], _ status: Int32) -> JSON {
    let failed = outcomes.filter { $0.error != nil }.count
    return .object([
      .init(key: "files", value: .array(outcomes.map { .object($0.json) })),
      .init(key: "ignored", value: .strings(batch.ignored)),
      .init(key: planOnly ? "planned" : "converted", value: .number(outcomes.count - failed)),
      .init(key: "failed", value: .number(failed)),
      .init(key: "status", value: .number(Int(status))),
    ])
  }

  /// The kinds of failure, the worst first: what is wrong with us, with the machine, with the place to
  /// write to, with the inputs.
  private static let severity: [Int32] = [70, 71, 74, 73, 77, 75, 65, 69, 66, 64]

  private static func status(_ errors: [RecurrentError]) -> Int32 {
    severity.first { status in errors.contains { $0.exitStatus == status } } ?? 0
  }
}

/// Adds up how far the conversions of a batch are, by the sizes of their inputs.
private final class BatchMeter: @unchecked Sendable {
  private let sizes: [Int]
  private let bar: ProgressBar
  private let lock = Lock()
  // Guarded by the lock.
  private var shares: [Double]
  private var finished = 0

  init(_ sizes: [Int], _ bar: ProgressBar) {
    self.sizes = sizes
    self.bar = bar
    shares = sizes.map { _ in 0 }
  }

  /// Writing and comparing take about as long; finding losses is one more pass before them.
  func update(_ index: Int, _ progress: ConversionProgress) {
    let share = progress.total > 0 ? Double(progress.done) / Double(progress.total) : 1
    let before = progress.phase == .comparing ? 0.5 : 0
    if progress.phase != .rounding { set(index, before + share / 2) }
  }

  func finish(_ index: Int) {
    set(index, 1)
    lock.withLock { finished += 1 }
  }

  private func set(_ index: Int, _ share: Double) {
    let (files, done) = lock.withLock {
      shares[index] = share
      return (finished, zip(shares, sizes).reduce(0) { $0 + $1.0 * Double($1.1) })
    }
    bar.update(
      "\(files) of \(counted(sizes.count, "file"))", done: Int(done),
      total: sizes.reduce(0, +))
  }
}
