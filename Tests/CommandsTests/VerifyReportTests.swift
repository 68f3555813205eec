import Foundation
import Recurrent
import TestSupport
import Testing

@Suite(
  "What rnn-verify says: few lines, all of them on demand, JUnit with times, --same in the words of --diff"
)
struct VerifyReportTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(
    _ name: String, _ state: StateDict, _ change: (String, inout Tensor?) throws -> Void
  ) throws -> String {
    var copy = StateDict()
    for entry in state.entries {
      var tensor: Tensor? = entry.tensor
      try change(entry.name.string, &tensor)
      if let tensor { try copy.append(entry.name, tensor) }
    }
    let path = folder.file(name)
    try WeightFormat.named(String(name.split(separator: ".").last ?? "npz"))
      .write(copy, to: path, overwrite: true) { _ in }
    return path
  }

  private func fixture(_ name: String, _ change: (String, inout Tensor?) throws -> Void) throws
    -> String
  {
    try write(name, WeightFile(path: CommandLineTests.good).state, change)
  }

  /// One weight changed: all outputs and gradients differ.
  private func wrong() throws -> String {
    try fixture("wrong.npz") { name, tensor in
      guard name == "weights/rnn.weight_hh_l0", let whole = tensor else { return }
      var numbers = try whole.doubles()
      numbers[0] += 0.5
      tensor = try NDArray(shape: whole.shape, elements: numbers).tensor.converted(to: whole.dtype)
        .0
    }
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func aFailureIsSaidInFiveLines() throws {
    let path = try wrong()
    let few = try Tools.run("rnn-verify", path).output.split(separator: "\n")
    // The table's row, five lines, and the verdict.
    try #require(few.count == 7, "\(few)")
    #expect(few[5].contains("more lines: --verbose"))
    let all = try Tools.run("rnn-verify", "--verbose", path).output.split(separator: "\n")
    let hidden = try #require(Int(few[5].split(separator: " ")[0]))
    let said = few.filter { $0.hasPrefix("  FAIL") }.count
    #expect(all.filter { $0.hasPrefix("  FAIL") }.count == said + hidden)
    #expect(few.contains { $0.hasPrefix("  cause: ") })
    #expect(!all.contains { $0.contains("--verbose") })
  }

  @Test func absentGradientsAreCounted() throws {
    let path = try fixture("frozen.npz") { name, tensor in
      if name.hasPrefix("grads/rnn.") { tensor = nil }
    }
    let text = try Tools.run("rnn-verify", "--verbose", path)
    #expect(text.status == 0)
    #expect(text.output.contains("tensors checked, 4 gradients absent\n"))
    #expect(text.output.contains("  absent: grads/rnn.weight_hh_l0\n"))
    #expect(text.output.contains("1 fixture passed, "))
    #expect(text.output.hasSuffix("compared, 4 gradients absent\n"))
    let object = try json(Tools.run("rnn-verify", "--json", path).output)
    let first = try #require((object["fixtures"] as? [[String: Any]])?.first)
    #expect((first["absent"] as? [String])?.count == 4)
    #expect(first["checked"] as? Int == (first["checks"] as? [Any])?.count)
    let page = folder.file("page.html")
    #expect(try Tools.run("rnn-verify", path, "--html", page).status == 0)
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.contains("4 gradients absent: grads/rnn."))
  }

  @Test func junitHasTimesAndOneFailurePerCase() throws {
    let (path, report) = (try wrong(), folder.file("report.xml"))
    let result = try Tools.run(
      "rnn-verify", path, CommandLineTests.good, ExampleTests.checkpoint, "--junit", report)
    #expect(result.status == 1)
    let xml = try String(contentsOfFile: report, encoding: .utf8)
    #expect(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\" time=\""))
    let cases = xml.components(separatedBy: "<testcase ").dropFirst()
    for text in cases {
      let time = try #require(
        text.components(separatedBy: "time=\"").last?.split(separator: "\"").first)
      #expect(try #require(Double(time)) >= 0 && time.contains("."))
    }
    #expect(xml.components(separatedBy: "<failure ").count == 2)
    #expect(
      xml.contains("differs from time step 0 on") || xml.contains("first differing time step"))
    #expect(xml.contains("more tensors differ"))
    // Well formed, and every tensor is in the text of the failure.
    let parser = XMLCheck()
    #expect(parser.accepts(Data(xml.utf8)))
    #expect(xml.components(separatedBy: "\ngrads/rnn.").count > 3)
  }

  @Test func sameSaysWhatDiffersInTheWordsOfDiff() throws {
    let model = try WeightFile(path: ExampleTests.checkpoint).state
    let place = try #require(model.entries.first { $0.name.string.hasSuffix("weight_hh_l0") })
    let columns = place.tensor.shape[1]
    let one = try write("one.npz", model) { _, _ in }
    let other = try write("other.npz", model) { name, tensor in
      guard name == place.name.string, let whole = tensor else { return }
      var numbers = try whole.doubles()
      numbers[5 * columns + 2] += 0.25
      tensor = try NDArray(shape: whole.shape, elements: numbers).tensor.converted(to: whole.dtype)
        .0
    }
    let same = try Tools.run("rnn-verify", "--same", one, other)
    let diff = try Tools.run("rnn-inspect", one, "--diff", other)
    #expect(same.status == 1 && diff.status == 1)
    let line = try #require(same.output.split(separator: "\n").first { $0.contains("differs") })
    let words = line.components(separatedBy: ": ").dropFirst().joined(separator: ": ")
    #expect(words.hasPrefix("1 of ") && words.contains(" elements differs, by 0.25 (relative"))
    #expect(words.contains("row 5, column 2"))
    #expect(diff.output.contains(words), "\(diff.output)")
    let object = try json(Tools.run("rnn-verify", "--same", "--json", one, other).output)
    let difference = try #require((object["differences"] as? [[String: Any]])?.first)
    #expect(difference["index"] as? [Int] == [5, 2] && difference["count"] as? Int == 1)
  }

  @Test func theGateOfADifferenceIsSaid() throws {
    let lstm = try WeightFile(path: CommandLineTests.good).state
    var weights = StateDict()
    for entry in lstm.entries where entry.name.string.hasPrefix("weights/") {
      try weights.append(Name(String(entry.name.string.dropFirst(8))), entry.tensor)
    }
    let shape = try #require(weights["rnn.weight_ih_l0"]?.shape)
    let row = shape[0] / 4 + 1
    let one = try write("one.safetensors", weights) { _, _ in }
    let other = try write("other.safetensors", weights) { name, tensor in
      guard name == "rnn.weight_ih_l0", let whole = tensor else { return }
      var numbers = try whole.doubles()
      numbers[row * shape[1]] -= 1
      tensor = try NDArray(shape: whole.shape, elements: numbers).tensor.converted(to: whole.dtype)
        .0
    }
    let words = "row \(row), column 0 (gate f, unit 1)"
    for arguments in [
      ["rnn-verify", "--same", one, other], ["rnn-inspect", one, "--diff", other],
    ] {
      let result = try Tools.run(arguments[0], arguments: Array(arguments.dropFirst()))
      #expect(result.status == 1 && result.output.contains(words), "\(result.output)")
    }
  }

  @Test func elementTypesDifferUnlessRounded() throws {
    let model = try WeightFile(path: ExampleTests.checkpoint).state
    let one = try write("one.npz", model) { _, _ in }
    let half = try write("half.npz", model) { _, tensor in
      tensor = try tensor?.converted(to: .f16).0
    }
    let same = try Tools.run("rnn-verify", "--same", one, half)
    #expect(same.status == 1 && same.output.contains("element type: f32 against f16\n"))
    #expect(same.output.contains("f32 | f16, ") && same.output.contains("at most by"))
    #expect(
      same.output.contains("note: rounded to f16 their parameters are equal: --rounded compares so")
    )
    let rounded = try Tools.run("rnn-verify", "--same", one, half, "--rounded")
    #expect(rounded.status == 0, "\(rounded.output)")
    #expect(rounded.output.contains("equal bit for bit after rounding to f16"))
    // One module, or one tensor, of another type is a difference too.
    for part in ["classifier.", try #require(model.names.last).string] {
      let mixed = try write("mixed-\(part).npz", model) { key, tensor in
        if key.hasPrefix(part) { tensor = try tensor?.converted(to: .f64).0 }
      }
      let result = try Tools.run("rnn-verify", "--same", one, mixed)
      #expect(result.status == 1 && result.output.contains("f32 | f64"), "\(result.output)")
    }
  }

  @Test func powerIsSaidOfEveryWeight() throws {
    let text = try Tools.run("rnn-verify", "--power", CommandLineTests.good)
    #expect(text.status == 0, "\(text.errors)")
    #expect(text.output.contains("  weights") && text.output.contains("least visible"))
    #expect(text.output.contains("  rnn.weight_hh_l0") && text.output.contains(" % at row "))
    #expect(text.output.hasSuffix("1 fixture measured\n"), "\(text.output)")
    let object = try json(
      Tools.run("rnn-verify", "--power", "--json", CommandLineTests.good).output)
    let first = try #require((object["fixtures"] as? [[String: Any]])?.first)
    let weights = try #require(first["weights"] as? [[String: Any]])
    #expect(weights.count == 6 && object["coarse_from"] as? Double == 0.01)
    for weight in weights {
      let least = try #require(weight["least_visible"] as? [String: Any])
      #expect(try #require(least["relative"] as? Double) > 0)
      #expect((least["noticed_by"] as? String)?.contains("/") == true)
    }
    let failing = try Tools.run("rnn-verify", "--power", try wrong(), CommandLineTests.good)
    #expect(failing.status == 1 && failing.output.contains("1 fixture measured, 1 FAILED"))
    let none = try Tools.run("rnn-verify", "--power", ExampleTests.checkpoint)
    #expect(none.status == 65 && none.errors.contains("fixture.config"), "\(none.errors)")
  }
}

/// Whether XML is well formed: tags close in order. (Foundation's parser is not there on every platform.)
private struct XMLCheck {
  func accepts(_ data: Data) -> Bool {
    var open: [Substring] = []
    let text = String(decoding: data, as: UTF8.self)
    for piece in text.split(separator: "<").dropFirst() {
      guard let end = piece.firstIndex(of: ">") else { return false }
      let tag = piece[..<end]
      let name = tag.prefix { $0 != " " && $0 != "/" }
      if tag.hasPrefix("?") || tag.hasSuffix("/") { continue }
      if tag.hasPrefix("/") {
        guard open.popLast() == tag.dropFirst() else { return false }
      } else {
        open.append(name)
      }
    }
    return open.isEmpty
  }
}
