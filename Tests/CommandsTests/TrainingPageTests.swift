import Foundation
import TestSupport
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("A training shows itself on a page, and is not changed by it")
struct TrainingPageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A path for a new file, which is gone after the test.
  private func scratch(_ name: String) -> String { folder.file("\(UUID().uuidString)-\(name)") }

  static let plan = ["--hidden", "12", "--batch", "3", "--bptt", "8", "--print-every", "0"]

  private func book() throws -> String {
    let path = scratch("text.txt")
    let words = (0..<300).map { ["the", "cat", "sat", "<on>", "a", "mat"][$0 * $0 % 6] }
    try words.joined(separator: " ").write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  private func contents(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test(arguments: [
    ["--level", "char", "--layers", "2", "--dropout", "0.3"], ["--level", "word"],
  ])
  func aPageChangesNothingOfTheTraining(_ options: [String]) throws {
    let text = try book()
    let (plain, watched) = (scratch("m.h5"), scratch("m.h5"))
    let (page, log) = (scratch("t.html"), scratch("t.jsonl"))
    let plan = Self.plan + options + ["--steps", "30", "--validate-every", "10"]
    let alone = try Tools.run("rnn-train", arguments: [text, plain] + plan)
    #expect(alone.status == 0, "\(alone.errors)")
    let result = try Tools.run(
      "rnn-train",
      arguments: [text, watched] + plan
        + ["--html", page, "--log", log, "--sample-every", "7", "--checkpoint-every", "4"])
    #expect(result.status == 0, "\(result.errors)")
    for ending in ["", ".checkpoint"] {
      let bytes = FileManager.default.contents(atPath: plain + ending)
      #expect(bytes != nil && bytes == FileManager.default.contents(atPath: watched + ending))
    }
    let html = try contents(page)
    #expect(XMLParser(data: Data(html.utf8)).parse())
    let isWord = options.contains("word")
    for words in [
      "Finished after 30 steps.", "Loss", isWord ? "Perplexity" : "Bits per char", "Learning rate",
      "Gradient norm", "clipped to 5", "best validation", "after step 28, loss", "after step 30,",
    ] { #expect(html.contains(words), "\(words)") }
    #expect(html.components(separatedBy: "<blockquote>").count - 1 == 5)
    // A log drawn later gives the same page.
    let later = scratch("later.html")
    let plot = try Tools.run("rnn-train", "plot", log, later)
    #expect(plot.status == 0 && plot.output == "\(later): 30 steps, 5 samples\n")
    #expect(try contents(later) == html)
  }

  @Test func anInterruptedTrainingHasItsPageAndGoesOn() throws {
    let (text, model) = (try book(), scratch("m.h5"))
    let (page, log) = (scratch("t.html"), scratch("t.jsonl"))
    let plan = Self.plan + ["--checkpoint-every", "0", "--html", page, "--log", log]
    let stopped = try Tools.run(
      "rnn-train", arguments: [text, model, "--steps", "1000000"] + plan
    ) { process in
      while process.isRunning, (try? contents(log))?.contains("\"step\":20,") != true {
        usleep(10_000)
      }
      process.interrupt()
    }
    #expect(stopped.errors.contains("stopped at step"))
    #expect(try contents(page).contains("Stopped by a signal after"))
    let done = try #require(
      try contents(log).split(separator: "\n").last?.split(separator: ":").last?.dropLast())
    let step = try #require(Int(done))
    let rest = try Tools.run(
      "rnn-train", arguments: [text, model, "--resume", "--steps", "\(step + 5)"] + plan)
    #expect(rest.status == 0, "\(rest.errors)")
    let html = try contents(page)
    #expect(html.contains("Finished after \(grouped(step + 5)) steps."))
    // The log has what was before.
    #expect(!html.contains("are not in the log"))
    let first = scratch("first.html")
    #expect(
      try Tools.run("rnn-train", "plot", log, first).output.contains(": \(grouped(step + 5)) steps")
    )
    // Without the log the page says what it does not know.
    let alone = try Tools.run(
      "rnn-train",
      arguments: [text, model, "--resume", "--steps", "\(step + 9)", "--html", page])
    #expect(alone.status == 0, "\(alone.errors)")
    #expect(try contents(page).contains("Steps before \(grouped(step + 6)) are not in the log."))
  }

  private func grouped(_ number: Int) -> String {
    number < 1000
      ? "\(number)" : "\(number / 1000),\(String("\(1000 + number % 1000)".dropFirst()))"
  }

  @Test func aDivergedTrainingHasItsPage() throws {
    let (text, page) = (try book(), scratch("t.html"))
    let result = try Tools.run(
      "rnn-train",
      arguments: [text, scratch("m.h5"), "--html", page, "--steps", "500"] + Self.plan
        + [
          "--sample-every", "1", "--cell", "rnn_relu", "--optimizer", "sgd", "--lr", "1e5",
          "--clip-norm", "0",
        ])
    #expect(result.status == 65 && result.errors.contains("train.diverged"))
    #expect(try contents(page).contains("<p class=\"verdict bad\">Diverged after "))
  }

  @Test(arguments: [
    ("{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": }\n", "json.syntax", "line 2, column 21"),
    ("{\"step\": 1}\n", "train.log", "line 1, key \"loss\": no such key, expected a number"),
    ("{\"loss\": 1}\n", "train.log", "line 1, key \"step\""),
    (
      "{\"step\": 1, \"loss\": 2}\n\n{\"step\": 2, \"loss\": \"x\"}\n", "train.log",
      "line 3, key \"loss\""
    ),
    ("{\"step\": 1, \"loss\": 2, \"gradient_norm\": []}", "train.log", "key \"gradient_norm\""),
    ("[1]\n", "train.log", "line 1: no object"),
    ("{\"event\": 3}\n", "train.log", "line 1, key \"event\""),
    ("{\"event\": \"sample\", \"step\": 1}\n", "train.log", "line 1, key \"text\""),
    ("", "train.log", "no steps"),
    ("{\"step\": 1, \"loss\": 2\n{\"step\": 2, \"loss\": 2}\n", "json.truncated", "line 1, column"),
  ])
  func aBadLogIsNamedByItsLine(_ log: String, _ reason: String, _ place: String) throws {
    let (path, page) = (scratch("t.jsonl"), scratch("t.html"))
    try log.write(toFile: path, atomically: true, encoding: .utf8)
    let result = try Tools.run("rnn-train", "plot", path, page)
    #expect(result.status == 65, "\(result.errors)")
    #expect(result.errors.contains("error[\(reason)]: \(path)"), "\(result.errors)")
    #expect(result.errors.contains(place), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: page))
  }

  @Test func logsOfAllAgesAreDrawn() throws {
    let (path, page) = (scratch("t.jsonl"), scratch("t.html"))
    // As version 0.1.0 wrote them, with a key and an event of the future, killed at step 3, resumed from
    // the checkpoint of step 1, and still being written.
    try """
    {"event":"start","step":0}
    {"step":1,"loss":9.0,"bits_per_character":13.0,"gradient_norm":1.5,"learning_rate":0.1}
    {"event":"start","step":0}
    {"step":1,"loss":4.0,"bits_per_character":5.8,"colour":"red"}
    {"event":"sample","step":1,"text":"<i>\\u001b[31m\\nx"}
    {"event":"dance","step":1}
    {"step":2,"loss":3.0}
    {"step":3,"loss":2.5}
    {"event":"resume","step":1}
    {"step":2,"loss":"Infinity"}
    {"step":3,"lo
    """.write(toFile: path, atomically: true, encoding: .utf8)
    let result = try Tools.run("rnn-train", "plot", path, page, "--json")
    #expect(result.status == 0, "\(result.errors)")
    #expect(
      result.output
        == "{\"page\":\"\(page)\",\"steps\":2,\"samples\":1,\"ending\":null}\n")
    let html = try contents(page)
    #expect(html.contains("The log tells of 2 trainings; this is the last one."))
    #expect(html.contains("Line 11, the last one, is not complete and was left out."))
    #expect(html.contains("Step 2, still running when this was written."))
    #expect(html.contains("&lt;i&gt;\\u{1b}[31m\nx</pre>"))
    #expect(!html.contains(">Gradient norm<"))
  }

  @Test func aPageReplacesPagesOnly() throws {
    let (log, page) = (scratch("t.jsonl"), scratch("t.html"))
    try "{\"step\":1,\"loss\":1}\n".write(toFile: log, atomically: true, encoding: .utf8)
    #expect(try Tools.run("rnn-train", "plot", log, log).status == 64)
    try "my notes".write(toFile: page, atomically: true, encoding: .utf8)
    let refused = try Tools.run("rnn-train", "plot", log, page)
    #expect(refused.status == 73 && refused.errors.contains("output.exists"))
    #expect(try contents(page) == "my notes")
    let (text, model) = (try book(), scratch("m.h5"))
    for taken in [text, model, model + ".checkpoint", page] {
      let result = try Tools.run("rnn-train", arguments: [text, model, "--html", taken])
      #expect(result.status == (taken == page ? 73 : 64), "\(result.errors)")
    }
    #expect(!FileManager.default.fileExists(atPath: model))
    try FileManager.default.removeItem(atPath: page)
    for _ in 0..<2 { #expect(try Tools.run("rnn-train", "plot", log, page, "--quiet").status == 0) }
    #expect(try Tools.run("rnn-train", "plot", log + "x", page).status == 66)
    #expect(try Tools.run("rnn-train", "plot", log).status == 64)
    let help = try Tools.run("rnn-train", "plot", "--help")
    #expect(help.status == 0 && help.output.contains("rnn-train plot training.jsonl"))
  }
}
