import Foundation
import Recurrent
import TestSupport
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite("A page of fixtures explains what failed and folds what passed")
struct VerifyPageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A path for a new file, which is gone after the test.
  private func scratch(_ name: String) -> String { folder.file("\(UUID().uuidString)-\(name)") }

  /// A copy of a fixture with one number of a tensor changed, or with another `config`.
  private func changed(
    _ tensor: String, _ change: (inout [Double]) -> Void = { _ in },
    config: (String) -> String = { $0 }
  ) throws -> String {
    var copy = StateDict()
    for entry in try WeightFile(path: CommandLineTests.good).state.entries {
      switch entry.name.string {
      case tensor:
        var numbers = try entry.tensor.doubles()
        change(&numbers)
        try copy.append(entry.name, NDArray(shape: entry.tensor.shape, elements: numbers).tensor)
      case "config":
        let text = config(String(decoding: try entry.tensor.bytes(), as: UTF8.self))
        try copy.append(
          entry.name,
          Tensor(dtype: .u8, shape: [text.utf8.count], bytes: Array(text.utf8)))
      default: try copy.append(entry.name, entry.tensor)
      }
    }
    let path = scratch("changed.npz")
    try WeightFormat.named("npz").write(copy, to: path, overwrite: true) { _ in }
    return path
  }

  private func page(_ paths: String...) throws -> String {
    let page = scratch("page.html")
    let result = try Tools.run("rnn-verify", arguments: paths + ["--html", page, "--json"])
    #expect(result.status <= 1, "\(result.errors)")
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(XMLParser(data: Data(html.utf8)).parse())
    return html
  }

  @Test func whatFailedIsOpenAndWhatPassedIsFolded() throws {
    let html = try page(
      CommandLineTests.good, changed("outputs/output", { $0[$0.count - 1] += 0.25 }))
    let parts = html.components(separatedBy: "<details class=\"fold\"")
    #expect(parts.count == 5)
    #expect(parts[0].contains("1 of 2 fixtures FAILED."))
    // In the list of what failed, with the tolerance and the step; the link leads to the open part.
    #expect(parts[0].contains("data-label=\"times the tolerance\"><span class=\"bad\">"))
    #expect(parts[0].contains("data-label=\"from step\">"))
    #expect(parts[0].contains("<a href=\"#fixture-1\">"))
    #expect(parts[1].hasPrefix(" open=\"open\"><summary><span class=\"verdict bad\">FAILS</span>"))
    #expect(parts[1].contains("<div id=\"fixture-1\">"))
    #expect(parts[2].hasPrefix("><summary>14 tensors within tolerance</summary>"))
    #expect(parts[2].contains("outputs/output: expected beside computed"))
    #expect(parts[2].contains("outputs/output: expected and computed</title>"))
    #expect(parts[3].hasPrefix("><summary>What the network does, as computed</summary>"))
    #expect(parts[4].hasPrefix("><summary><span class=\"verdict good\">passes</span>"))
    #expect(parts[4].contains("15 tensors; worst ") && parts[4].contains("t-SNE"))
    // No gradient differs, so there is nothing to say by gate.
    #expect(!html.contains("by layer and gate"))
  }

  @Test func aWrongGradientIsSaidByLayerAndGate() throws {
    let path = try changed("grads/rnn.weight_hh_l0", { $0[4 * 4] += 1 })
    let html = try page(path)
    #expect(html.contains("grads by layer and gate, times the tolerance"))
    let row = try #require(
      html.components(separatedBy: "<tr>").first { $0.contains("layer 0, weight_<wbr/>hh<") })
    let verdicts = row.components(separatedBy: "<span class=\"").dropFirst().map { $0.prefix(3) }
    #expect(verdicts == ["goo", "bad", "goo", "goo"])
    #expect(html.contains("layer 0, weight_hh, gate f: positive and negative"))
  }

  @Test func classesHaveTheNamesOfTheFixture() throws {
    let path = try changed(
      "", config: { #"{"class_names": ["ham", "<egg>", "jam"], "# + $0.dropFirst() })
    let html = try page(path)
    #expect(html.contains(">ham</text>") && html.contains(">&lt;egg&gt;</text>"))
    #expect(html.contains("Each has the name of the most probable class."))
    let plain = try page(CommandLineTests.good)
    #expect(plain.contains("time step 0, class ") && !plain.contains(">ham</text>"))
    let wrong = try changed("", config: { #"{"class_names": [1], "# + $0.dropFirst() })
    let result = try Tools.run("rnn-verify", wrong)
    #expect(result.status == 65 && result.errors.contains("config key \"class_names\""))
  }
}
