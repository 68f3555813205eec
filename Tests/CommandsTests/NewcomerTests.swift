import Foundation
import Recurrent
import TestSupport
import Testing

/// What somebody meets who uses the tools for the first time.
@Suite("Names, shapes and files that a newcomer has are answered in words that help")
struct NewcomerTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private typealias Tensors = [(String, [Int])]

  /// An LSTM from 3 to 4, under a name.
  private func lstm(_ prefix: String) -> Tensors {
    [
      ("\(prefix)weight_ih_l0", [16, 3]), ("\(prefix)weight_hh_l0", [16, 4]),
      ("\(prefix)bias_ih_l0", [16]), ("\(prefix)bias_hh_l0", [16]),
    ]
  }

  private func state(
    _ tensors: Tensors, changing changed: String? = nil, at place: Int = 0
  ) throws -> StateDict {
    var state = StateDict()
    for (index, (name, shape)) in tensors.enumerated() {
      let count = shape.reduce(1, *)
      var numbers = (0..<count).map { Float(($0 * 7 + index * 3) % 11) / 8 - 0.5 }
      if name == changed { numbers[place] += 1 }
      try state.append(Name(name), NDArray(shape: shape, elements: numbers).tensor)
    }
    return state
  }

  private func write(_ name: String, _ state: StateDict) throws -> String {
    let path = folder.file(name)
    try WeightFormat.named("safetensors").write(state, to: path, overwrite: true) { _ in }
    return path
  }

  private func run(_ words: String...) throws -> Tools.Result {
    try Tools.run(words[0], arguments: Array(words.dropFirst()))
  }

  // MARK: Names

  @Test func whatIsShownCanBeGiven() throws {
    let path = try write(
      "slash.safetensors",
      state(lstm("net/rnn.") + [("net/fc.weight", [5, 4]), ("net/fc.bias", [5])]))
    let shown = try run("rnn-inspect", path)
    #expect(shown.output.contains("net/rnn -> net/fc (assumed)"), "\(shown.output)")
    for (module, head) in [("net/rnn", "net/fc"), ("net.rnn", "net.fc"), ("net/rnn", "net.fc.")] {
      let result = try run("rnn-inspect", path, "--module", module, "--head", head)
      #expect(result.output.contains("net/rnn -> net/fc (given)"), "\(result.output)")
    }
    // Where a module has the very name, another that is spelled alike is not meant.
    let both = try write(
      "both.safetensors",
      state(
        lstm("net/rnn.") + lstm("net.rnn.") + [("a/fc.weight", [5, 4]), ("a.fc.weight", [6, 4])]))
    let exact = try run("rnn-inspect", both, "--module", "net.rnn", "--head", "a.fc")
    #expect(exact.output.contains("net.rnn -> a.fc (given)"), "\(exact.output)")
    let fixture = try run(
      "rnn-inspect", CommandLineTests.good, "--module", "weights/rnn", "--head",
      "weights/classifier")
    #expect(
      fixture.output.contains("weights/rnn -> weights/classifier (given)"), "\(fixture.output)")
  }

  @Test func aFixtureSaysWhatItIsAndWhatToRun() throws {
    let line = "rnn-verify \(CommandLineTests.good) compares them"
    #expect(try run("rnn-inspect", CommandLineTests.good).output.contains(line))
    let json = try run("rnn-inspect", CommandLineTests.good, "--json").output
    #expect(
      json.contains("\"run\": \"rnn-verify \(CommandLineTests.good)\""), "\(json.prefix(300))")
    let weights = try run("rnn-inspect", ExampleTests.checkpoint, "--json").output
    #expect(weights.contains("\"fixture\": null"))
    #expect(weights.contains("\"known_by\": \"names and shapes\""))
  }

  // MARK: The same

  @Test func filesWithSeveralModulesAreComparedModuleByModule() throws {
    let both = lstm("enc.") + lstm("dec.") + [("scale", [3])]
    let one = try write("one.safetensors", state(both))
    let same = try run("rnn-verify", "--same", one, try write("two.safetensors", state(both)))
    #expect(same.status == 0 && same.output.contains("same modules ("), "\(same.output)")
    #expect(same.output.contains("288 parameters equal bit for bit"), "\(same.output)")
    for (name, place, words) in [
      ("dec.weight_hh_l0", 9, " at row 2, column 1 (gate i, unit 2): "),
      ("enc.bias_ih_l0", 5, " at element 5 (gate f, unit 1): "),
      ("scale", 1, " at element 1: "),
    ] {
      let other = try write("other.safetensors", state(both, changing: name, at: place))
      let result = try run("rnn-verify", "--same", one, other)
      #expect(result.status == 1 && result.output.contains("  \(name): 1 of "))
      #expect(result.output.contains(words), "\(result.output)")
    }
    let chosen = try write("chosen.safetensors", state(both, changing: "dec.bias_hh_l0"))
    #expect(try run("rnn-verify", "--same", one, chosen, "--module", "dec").status == 1)
    let less = try run(
      "rnn-verify", "--same", one, try write("less.safetensors", state(lstm("enc."))))
    #expect(less.status == 1 && less.output.contains("module \"dec\": lstm"), "\(less.output)")
    #expect(less.output.contains("against no such module\n"))
    #expect(less.output.contains("note: --module NAME compares one module"))
  }

  // MARK: Shapes

  @Test func aWrongShapeIsSaidOfItsTensor() throws {
    func refusal(_ changed: String, _ shape: [Int]) throws -> (Int32, String) {
      let tensors = lstm("rnn.").map { $0.0 == changed ? ($0.0, shape) : $0 }
      let path = try write("wrong.safetensors", state(tensors))
      let result = try run("rnn-verify", "--gradcheck", path)
      let inspected = try run("rnn-inspect", path)
      #expect(
        inspected.status == 0 && inspected.output.contains("cannot be used: tensor \"\(changed)\""))
      return (result.status, result.errors)
    }
    for (name, shape, expected) in [
      ("rnn.weight_ih_l0", [15, 3], "[16, 3]"), ("rnn.weight_ih_l0", [3, 16], "[16, 3]"),
      ("rnn.weight_hh_l0", [16, 5], "[16, 4]"), ("rnn.weight_hh_l0", [4, 16], "[16, 4]"),
      ("rnn.bias_hh_l0", [12], "[16]"),
    ] {
      let (status, message) = try refusal(name, shape)
      #expect(status == 65 && message.contains("error[weights.shape]"), "\(message)")
      #expect(
        message.contains("tensor \"\(name)\": shape \(shape), expected shape \(expected)"),
        "\(message)")
    }
    // So many gates has no cell of PyTorch's, and nothing is damaged.
    let (status, message) = try refusal("rnn.weight_hh_l0", [16, 8])
    #expect(status == 65 && message.contains("error[weights.unrecognized]"), "\(message)")
    #expect(message.contains("shape [16, 8]: 2 gates, expected 1, 3 or 4 gates"), "\(message)")
    #expect(
      try run("rnn-convert", folder.file("wrong.safetensors"), folder.file("w.npz")).status == 0)
  }

  @Test func whatHasNoNumbersHasNoStatistics() throws {
    var state = try state(lstm("rnn.") + [("none", [0, 3])])
    try state.append("nan", NDArray(shape: [2], elements: [Float.nan, .nan]).tensor)
    let path = try write("nan.safetensors", state)
    let text = try run("rnn-inspect", path, "--stats").output
    #expect(text.contains("min –") && text.contains("nan 2"))
    #expect(!text.contains("-inf") && !text.contains("-nan"), "\(text)")
    let json = try run("rnn-inspect", path, "--stats", "--json").output
    #expect(json.components(separatedBy: "\"mean\": null").count == 3)
    #expect(!json.contains("Infinity") && !json.contains("\"NaN\""))
  }

  @Test func unknownNamesAreSaidOnceWithTheWayOut() throws {
    let looksLikeOne = try write(
      "draft.safetensors", state([("a_W", [16, 3]), ("a_U", [16, 4]), ("a_b", [16])]))
    let text = try run("rnn-inspect", looksLikeOne).output
    #expect(text.components(separatedBy: "names file").count == 2, "\(text)")
    #expect(text.components(separatedBy: "expected the names of one of").count == 2, "\(text)")
    // A hint promises no draft where there is none.
    let nothing = try write("nothing.safetensors", state([("a", [2, 3]), ("b", [5])]))
    let plain = try run("rnn-inspect", nothing).output
    #expect(plain.contains("names file (--names FILE).") && !plain.contains("draft"), "\(plain)")
    let refused = try run("rnn-convert", nothing, folder.file("out.onnx"))
    #expect(refused.status == 65 && !refused.errors.contains("drafts"), "\(refused.errors)")
    let two = try run(
      "rnn-inspect", try write("two.safetensors", state(lstm("enc.") + lstm("dec."))))
    #expect(two.output.contains("  assumed: enc takes (T, N, features)"), "\(two.output)")
  }

  // MARK: Files

  @Test func noReportReplacesWhatIsRead() throws {
    let fixture = folder.file("fixture.npz")
    try FileManager.default.copyItem(atPath: CommandLineTests.good, toPath: fixture)
    let link = folder.file("link.html")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: fixture)
    let before = FileManager.default.contents(atPath: fixture)
    for words in [
      ["rnn-verify", fixture, "--html", link], ["rnn-verify", fixture, "--junit", link],
      ["rnn-verify", folder.path, "--junit", fixture], ["rnn-inspect", fixture, "--html", link],
      ["rnn-inspect", fixture, "--html", fixture],
    ] {
      let result = try Tools.run(words[0], arguments: Array(words.dropFirst()))
      #expect(result.status == 64 && result.output.isEmpty, "\(words): \(result.errors)")
    }
    #expect(FileManager.default.contents(atPath: fixture) == before)
  }

  @Test func aClosedOutputStopsNoPage() throws {
    let text = folder.file("text.txt")
    try String(repeating: "so long lives this ", count: 40)
      .write(toFile: text, atomically: false, encoding: .utf8)
    let (model, page) = (folder.file("m.h5"), folder.file("p.html"))
    let result = try Tools.run(
      "/bin/sh",
      arguments: [
        "-c", "exec \"$0\" \"$@\" >&-", "\(Tools.programs)/rnn-train", text, model, "--hidden", "4",
        "--batch", "2", "--bptt", "8", "--steps", "4", "--html", page, "--log", folder.file("l"),
      ])
    #expect(result.status == 74)
    #expect(
      result.errors.contains("\nrnn-train: error[output.write]: standard output: "),
      "\(result.errors)")
    #expect(try String(contentsOfFile: page, encoding: .utf8).contains("Finished after 4 steps."))
    #expect(
      try String(contentsOfFile: folder.file("l"), encoding: .utf8).contains("\"event\":\"limit\""))
    #expect(FileManager.default.fileExists(atPath: model))
  }

  @Test func aDeviceIsCalledOne() throws {
    let result = try run("rnn-inspect", "/dev/null")
    #expect(result.status == 66)
    #expect(result.errors.contains("/dev/null: a device, expected a regular file."))
  }

  // MARK: Pages

  @Test func aPageSaysHowModulesAreKnown() throws {
    let page = folder.file("page.html")
    #expect(try run("rnn-inspect", ExampleTests.checkpoint, "--html", page).status == 0)
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.contains("Modules, and how each is known"))
    #expect(html.contains("names and shapes") && html.contains("follows rnn directly"))
  }
}
