import Foundation
import Recurrent
import TestSupport
import Testing

@Suite("The tools answer as people expect: typing errors, pipes, pages, annotations")
struct CommandLineTests {
  static let good = Checkout.fixture("torch/ce-lstm.npz")
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A copy of a fixture with one expected number changed.
  func spoiled(_ name: String = "spoiled.npz") throws -> String {
    let state = try WeightFile(path: Self.good).state
    var copy = StateDict()
    for entry in state.entries {
      guard entry.name == "outputs/output" else {
        try copy.append(entry.name, entry.tensor)
        continue
      }
      var numbers = try entry.tensor.doubles()
      numbers[numbers.count - 1] += 0.25
      try copy.append(entry.name, NDArray(shape: entry.tensor.shape, elements: numbers).tensor)
    }
    let path = folder.file(name)
    try WeightFormat.named("npz").write(copy, to: path, overwrite: true) { _ in }
    return path
  }

  @Test func annotationsSayFileTensorIndexAndStep() throws {
    let path = try spoiled("a,b%.npz")
    let result = try Tools.run("rnn-verify", "--github", path)
    #expect(result.status == 1)
    let lines = result.output.split(separator: "\n").filter { $0.hasPrefix("::") }
    #expect(lines.count == 1)
    let line = String(lines.first ?? "")
    #expect(line.contains("a%2Cb%25.npz,title=rnn-verify%3A outputs/output differs::at ["))
    #expect(line.contains("first differing time step"))
    let inWorkflow = try Tools.run("rnn-verify", path, environment: ["GITHUB_ACTIONS": "true"])
    #expect(inWorkflow.output == result.output)
    let outside = try Tools.run("rnn-verify", path)
    #expect(!outside.output.contains("::error"))
    let json = try Tools.run("rnn-verify", "--json", path, environment: ["GITHUB_ACTIONS": "true"])
    #expect(!json.output.contains("::error"))
  }

  @Test func pagesAreWrittenAndReplaceNoInput() throws {
    let (page, bad) = (folder.file("page.html"), try spoiled())
    let result = try Tools.run("rnn-verify", Self.good, bad, "--html", page)
    #expect(result.status == 1)
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.contains("1 of 2 fixtures FAILED.") && html.contains("expected beside computed"))
    #expect(html.contains("<path class=\"line one wide\""), "the expected curve lies beneath")
    #expect(html.contains("Hidden states, t-SNE") && html.contains("class=\"meter over\""))
    let refused = try Tools.run("rnn-verify", bad, "--html", bad)
    #expect(refused.status == 64)
    #expect(try WeightFile(path: bad).state.count > 0)
    let network = try Tools.run(
      "rnn-inspect", Checkout.fixture("checkpoints/char-rnn.pt"), "--html", page)
    #expect(network.status == 0)
    let second = try String(contentsOfFile: page, encoding: .utf8)
    #expect(second.contains("spectral radius") && second.contains("Histogram of 2112 numbers"))
    #expect(try Tools.run("rnn-inspect", Self.good, "--html", Self.good).status == 64)
  }

  @Test(arguments: ["rnn-convert", "rnn-inspect", "rnn-verify"])
  func everyToolHasAVersionExamplesAndCompletions(_ tool: String) throws {
    let version = try Tools.run(tool, "--version")
    #expect(version.status == 0 && version.output == "0.1.0\n")
    let help = try Tools.run(tool, "--help")
    #expect(help.status == 0 && help.output.contains("Examples:\n"))
    #expect(help.output.contains("  \(tool) "))
    for shell in ["bash", "zsh", "fish"] {
      let script = try Tools.run(tool, "--generate-completion-script", shell)
      #expect(script.status == 0 && script.output.contains(tool))
    }
  }

  @Test func mistypedWordsAreAnsweredWithTheNearest() throws {
    let flag = try Tools.run("rnn-verify", "--jsn", "x")
    #expect(flag.status == 64 && flag.errors.contains("Did you mean '--json'?\n"))
    let filter = try Tools.run("rnn-verify", Checkout.fixture("torch"), "--filter", "ce-lsmt")
    #expect(filter.status == 66 && filter.errors.contains("hint: Did you mean ce-lstm?"))
    let file = try Tools.run("rnn-inspect", Checkout.fixture("torch/ce-lsmt.npz"))
    #expect(file.status == 66 && file.errors.contains("hint: Did you mean "))
    #expect(file.errors.contains("fixtures/torch/ce-lstm.npz?\n"), "\(file.errors)")
    let weights = try Tools.run("rnn-verify", ExampleTests.checkpoint)
    #expect(weights.errors.contains("hint: tools/capture/recurrent_capture.py makes fixtures"))
    for (arguments, hint) in [
      (["--as", "torhc"], "Did you mean torch?"),
      (["--to", "safetensor"], "Did you mean safetensors?"),
      (["--cell", "rnn_tahn"], "Did you mean rnn_tanh?"),
      (["--dtype", "bf61"], "Did you mean bf16?"),
      (["--module", "rn"], "Did you mean --module rnn?"),
    ] {
      let result = try Tools.run(
        "rnn-convert", ExampleTests.checkpoint, folder.file("a.h5"), arguments[0],
        arguments[1])
      #expect(result.status != 0 && result.errors.contains("hint: \(hint)"), "\(result.errors)")
    }
  }

  @Test func nothingIsColouredInAPipe() throws {
    let result = try Tools.run("rnn-verify", try spoiled())
    #expect(!result.output.contains("\u{1B}"))
    #expect(!(try Tools.run("rnn-verify", "/no/such/file").errors.contains("\u{1B}")))
  }
}
