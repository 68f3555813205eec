import Foundation
import Recurrent
import TestSupport
import Testing

/// What a person reads who typed something wrong.
@Suite("A wrong command line gets one message that says the way out")
struct WrongCommandLineTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// One message and at most one hint; nothing is written.
  private func refuses(
    _ tool: String, _ arguments: [String], _ message: String, hint: String? = nil,
    status: Int32 = 64, _ location: SourceLocation = #_sourceLocation
  ) throws {
    let result = try Tools.run(tool, arguments: arguments)
    let lines = result.errors.split(separator: "\n").map(String.init)
    let call = ([tool] + arguments).joined(separator: " ")
    #expect(result.status == status, "\(call)", sourceLocation: location)
    #expect(result.output.isEmpty, "\(call)", sourceLocation: location)
    #expect(
      lines.first?.contains("]: \(message)") == true, "\(call): \(result.errors)",
      sourceLocation: location)
    #expect(lines.count <= 2, "\(call): \(result.errors)", sourceLocation: location)
    if let hint {
      #expect(lines.last == "hint: \(hint)", "\(call): \(result.errors)", sourceLocation: location)
    }
  }

  static let model = ExampleTests.checkpoint

  @Test func anUnknownOptionIsSaidBeforeTheFiles() throws {
    for arguments in [["--jsn"], ["a", "--jsn"], ["--jsn", "a", "b", "c"], ["--head", "--jsn"]] {
      try refuses(
        "rnn-convert", arguments, "unknown option '--jsn'. Nothing was written.",
        hint: "Did you mean '--json'?")
    }
    try refuses(
      "rnn-inspect", ["--staats"], "unknown option '--staats'.", hint: "Did you mean '--stats'?")
    try refuses(
      "rnn-verify", ["-q"], "unknown option '-q'.", hint: "rnn-verify --help lists the options.")
    try refuses(
      "rnn-train", ["--hiden", "4"], "unknown option '--hiden'.", hint: "Did you mean '--hidden'?")
    try refuses(
      "rnn-train", ["sample", "--temprature", "1"], "unknown option '--temprature'.",
      hint: "Did you mean '--temperature'?")
  }

  @Test func anOptionIsSaidOnceAndHasAValue() throws {
    try refuses(
      "rnn-convert", ["a", "b", "--module", "x", "--module=y z"],
      "--module twice, as x and 'y z', expected it once. Nothing was written.")
    try refuses(
      "rnn-train", ["a", "b", "--lr", "1", "--lr", "-2"],
      "--lr twice, as 1 and -2, expected it once")
    try refuses(
      "rnn-train", ["sample", "m", "--seed", "1", "--seed", "1"],
      "--seed twice, as 1 and 1, expected it once")
    for tool in ["rnn-convert", "rnn-inspect", "rnn-verify"] {
      try refuses(
        tool, ["--module=", "a"], "--module without a value, expected --module NAME")
    }
    try refuses("rnn-verify", ["--rtol=", "a"], "--rtol without a value, expected --rtol X")
    let twice = try Tools.run("rnn-inspect", Self.model, "--json", "--json")
    #expect(twice.status == 0)
    // Behind two dashes are names.
    let names = try Tools.run("rnn-verify", "--", "--module=", "--module=")
    #expect(names.status == 66, "\(names.errors)")
  }

  @Test func valuesAreCheckedBeforeFiles() throws {
    let there = folder.file("there.h5")
    try Data().write(to: URL(fileURLWithPath: there))
    for tool in ["rnn-inspect", "rnn-verify"] {
      let mode = tool == "rnn-verify" ? ["--gradcheck"] : []
      for (flag, value) in [
        ("--cell", "lstn"), ("--gru-reset", "x"), ("--batch-first", "x"), ("--head-reads", "x"),
        ("--read-as", "x"), ("--from", "x"),
      ] {
        let result = try Tools.run(tool, arguments: mode + ["missing", flag, value])
        #expect(result.status == 64, "\(tool) \(flag): \(result.errors)")
      }
    }
    for words in [["--dtype", "f3"], ["--to", "x"], ["--as", "x"], ["--cell", "x"]] {
      #expect(try Tools.run("rnn-convert", arguments: ["missing", there] + words).status == 64)
    }
    for words in [
      ["--hidden", "x"], ["--lr", "fast"], ["--dropout", "0.5"], ["--epochs", "0"],
      ["--print-every", "x"],
    ] {
      let result = try Tools.run("rnn-train", arguments: ["missing", there] + words)
      #expect(result.status == 64, "\(words): \(result.errors)")
    }
    try refuses(
      "rnn-train", ["missing", folder.file("m.xyz")], "\(folder.file("m.xyz")): the extension")
  }

  @Test func aContainerThatIsOnlyReadNamesTheTargets() throws {
    let output = folder.file("out.x")
    for word in ["tensorflow", "tf"] {
      try refuses(
        "rnn-convert", [Self.model, output, "--to", word], "--to: ",
        hint:
          "TensorFlow's checkpoints (tf) are only read; its Keras loads keras, keras-weights and"
          + " keras-h5.")
      let message = try Tools.run("rnn-convert", Self.model, output, "--to", word).errors
      #expect(message.contains(" pt, npz, sharded, msgpack, onnx. Nothing"), "\(message)")
    }
    try refuses(
      "rnn-convert", [Self.model, output, "--to", "npy"],
      "--to: container npy, which is only read, expected one of keras, ",
      hint: "npy is only read; npz holds the same arrays by name.")
  }

  @Test func filesAreCounted() throws {
    try refuses("rnn-convert", [], "no file, expected one to read and one to write")
    try refuses("rnn-convert", ["a"], "one file, expected one to read and one to write")
    try refuses(
      "rnn-convert", ["a", "b", "c"], "3 files, expected one to read and one to write, or --batch")
    try refuses("rnn-inspect", [], "no FILE, expected the weight file to read")
    try refuses(
      "rnn-inspect", ["a", "b"], "'b', one word too many, expected FILE and options only")
    try refuses("rnn-verify", [], "no PATH, expected fixture files or directories")
    try refuses("rnn-verify", ["--same", "a"], "1 file, expected two weight files with --same")
    try refuses(
      "rnn-verify", ["--same", "--power", "a", "b"], "--same and --power exclude each other")
    try refuses(
      "rnn-verify", ["--power", "a", "--junit", "b.xml"],
      "--html, --junit, --github and --verbose with --power")
    try refuses(
      "rnn-verify", ["--against", "true", "--power", "a"],
      "--power and --against exclude each other")
    try refuses(
      "rnn-verify", ["--power", "a", "--shrink", "b"], "--shrink with --power")
    try refuses("rnn-verify", ["a", "--timeout", "5"], "--timeout without --against")
    try refuses(
      "rnn-verify", ["--against", "true", "a", "--timeout", "0"],
      "--timeout: \"0\", expected a number above 0")
    try refuses("rnn-verify", ["--against", " ", "a"], "--against with an empty COMMAND")
    try refuses("rnn-verify", ["--power"], "no PATH, expected fixture files or directories")
    try refuses("rnn-train", ["a.txt"], "no MODEL, expected the model file to write")
  }

  @Test func valuesThatAreMissingAreNamed() throws {
    try refuses("rnn-train", ["a", "b", "--lr"], "--lr without a value, expected --lr RATE")
    try refuses(
      "rnn-convert", ["a", "b", "--head", "--plan"], "--head without a value, expected --head NAME")
    try refuses(
      "rnn-convert", ["a", "b", "--cell", "--plan"],
      "--cell without a value, expected one of rnn_tanh, rnn_relu, lstm, gru")
    try refuses(
      "rnn-convert", ["a", "b", "--head", "-x y"], "--head without a value, expected --head NAME",
      hint: "If '-x y' is the value, write --head='-x y'.")
    try refuses(
      "rnn-convert", ["a", "b", "--plan=yes"], "--plan=yes, expected --plan, which takes no value")
  }

  @Test(arguments: [
    ("--lr", "-1", "a number of at least 0 and below 1,000,000"),
    ("--lr", "fast", "a number of at least 0 and below 1,000,000"),
    ("--dropout", "1", "a number of at least 0 and below 1"),
    ("--factor", "2", "a number from 0 to 1"),
    ("--hidden", "0", "a whole number from 1 to 65,536"),
    ("--period", "-4", "a whole number from 0 to 1,073,741,824"),
    ("--seed", "-1", "a whole number of at least 0, below 2^63"),
    ("--epochs", "-3", "a number above 0 and below 1,000,000,000"),
    ("--epochs", "0", "a number above 0 and below 1,000,000,000"),
    ("--steps", "0", "a whole number from 1 to 4,294,967,296"),
    ("--clip-norm", "-0.5", "a number of at least 0 and below 1e300"),
    ("--clip-norm", "1e400", "a number of at least 0 and below 1e300"),
    ("--checkpoint-every", "-1", "a whole number of at least 0"),
    ("--print-every", "x", "a whole number of at least 0"),
  ])
  func trainingSaysItsRanges(_ flag: String, _ value: String, _ range: String) throws {
    let text = folder.file("text.txt")
    try "so long lives this".write(toFile: text, atomically: false, encoding: .utf8)
    let model = folder.file("m.h5")
    for arguments in [[flag, value], ["\(flag)=\(value)"]] {
      try refuses(
        "rnn-train", [text, model] + arguments, "\(flag): \"\(value)\", expected \(range).")
    }
    #expect(!FileManager.default.fileExists(atPath: model))
  }

  @Test func aTrainingReplacesNoneOfItsOwnFiles() throws {
    let text = folder.file("text.txt")
    let words = "so long lives this"
    try words.write(toFile: text, atomically: false, encoding: .utf8)
    let model = folder.file("m.h5")
    for (arguments, files) in [
      (["--log", text], "--log and TEXT"), (["--log", model], "--log and MODEL"),
      (["--log", model + ".checkpoint"], "--log and --checkpoint"),
      (["--checkpoint", text, "--force"], "--checkpoint and TEXT"),
      (["--checkpoint", model], "--checkpoint and MODEL"),
      (["--html", folder.file("p"), "--log", folder.file("p")], "--html and --log"),
      (["--log", folder.file("./text.txt")], "--log and TEXT"),
    ] {
      let place = arguments.last == "--force" ? arguments[1] : arguments[arguments.count - 1]
      try refuses(
        "rnn-train", [text, model] + arguments,
        "\(place): \(files) in one file, expected a file for each.")
    }
    let other = folder.file("other.jsonl")
    try "{\"name\": 1}\n".write(toFile: other, atomically: false, encoding: .utf8)
    try refuses(
      "rnn-train", [text, model, "--batch", "1", "--steps", "1", "--log", other],
      "\(other): a file that is no log of a training, expected a new file, or a log to go on.",
      status: 73)
    #expect(try String(contentsOfFile: text, encoding: .utf8) == words)
    #expect(try String(contentsOfFile: other, encoding: .utf8) == "{\"name\": 1}\n")
    #expect(!FileManager.default.fileExists(atPath: model))
    let page = folder.file("same.html")
    try refuses(
      "rnn-verify", [CommandLineTests.good, "--html", page, "--junit", page],
      "\(page): --junit and --html in one file, expected a file for each.")
  }

  @Test func otherToolsSayTheirRanges() throws {
    try refuses(
      "rnn-verify", ["--rtol", "-1", "a"], "--rtol: \"-1\", expected a number of at least 0.")
    try refuses(
      "rnn-verify", ["--atol", "1e", "a"], "--atol: \"1e\", expected a number of at least 0.")
    try refuses(
      "rnn-verify", ["--rtol", "1e400", "a"],
      "--rtol: \"1e400\", expected a number of at least 0, and finite.")
    try refuses(
      "rnn-verify", ["--jobs", "0", "a"], "--jobs: \"0\", expected a whole number of at least 1.")
    try refuses(
      "rnn-convert", ["--batch", "a", "b", "--to", "h5", "--jobs", "-2"],
      "--jobs: \"-2\", expected a whole number of at least 1.")
    for (arguments, message) in [
      (["--top-p", "2"], "--top-p: \"2\", expected a number above 0 and at most 1."),
      (["--top-k", "0"], "--top-k: \"0\", expected a whole number of at least 1."),
      (["--temperature", "-1"], "--temperature: \"-1\", expected a number above 0."),
      (["--length", "-1"], "--length: \"-1\", expected a whole number of at least 0."),
      (["--greedy", "--top-k", "3"], "--greedy and --top-k, expected one of them."),
    ] {
      try refuses("rnn-train", ["sample", Self.model] + arguments, message)
    }
    try refuses(
      "rnn-train", ["sample", Self.model, "--temperature", "0"],
      "--temperature: \"0\", expected a number above 0.",
      hint: "--greedy takes the most likely token each time, as 0 would.")
  }

  @Test func optionsThatContradictEachOtherNameTheWayOut() throws {
    let text = folder.file("text.txt")
    try String(repeating: "so long lives this ", count: 40)
      .write(toFile: text, atomically: false, encoding: .utf8)
    let model = folder.file("m.h5")
    try refuses(
      "rnn-train", [text, model, "--dropout", "0.5"],
      "--dropout: 0.5 with one layer, expected at least 2 layers",
      hint: "Set --layers to 2 or more.")
    try refuses(
      "rnn-train", [text, model, "--patience", "2", "--validation", "0"],
      "--patience: 2 without validation, expected a part of the text to validate on",
      hint: "Set --validation above 0.")
    try refuses(
      "rnn-train", [text, model, "--batch", "4000"], "\(text): ",
      hint: "Use a longer text or a smaller --batch.", status: 65)
  }

  @Test func otherNamesOfTheSameThingAreUnderstood() throws {
    for (arguments, hint) in [
      (["out.h5", "--as", "tf"], "Did you mean tensorflow?"),
      (["out.h5", "--as", "pytorch"], "Did you mean torch?"),
      (["out.h5", "--as", "h5"], "h5 is a container: --to, or the extension, chooses it."),
      (["out.bin", "--to", "torch"], "Did you mean pt?"),
      (["out.h5", "--dtype", "float32"], "Did you mean f32?"),
      (["out.h5", "--cell", "LSTM"], "Did you mean lstm?"),
      (["out.h5", "--head-reads", "laast"], "Did you mean last?"),
      (["out.h5", "--gru-reset", "befor"], "Did you mean before?"),
      (["out.safetensor"], "Did you mean .safetensors?"),
      (["out.tflite"], "Write .keras, and convert that with TensorFlow's own converter."),
      (
        ["out.bin", "--to", "coreml"],
        "Write .pt or .keras, and convert the model with coremltools."
      ),
      (["out"], "Name the container with --to."),
    ] {
      try refuses("rnn-convert", [Self.model] + arguments, "", hint: hint)
    }
    try refuses(
      "rnn-convert", [Self.model, "out.tflite"],
      "out.tflite: the extension .tflite of a LiteRT (TensorFlow Lite) model")
    try refuses(
      "rnn-convert", [Self.model, "out.h5", "--from", "hdf5"], "\(Self.model): no HDF5 signature",
      hint: "By its content the file is pt; leave out --from.", status: 65)
    let text = folder.file("text.txt")
    try "so long".write(toFile: text, atomically: false, encoding: .utf8)
    try refuses(
      "rnn-train", [text, "m.ort"],
      "m.ort: the extension .ort of a model in ONNX Runtime's own format")
    try refuses(
      "rnn-train", [text, "m.xyz"], "m.xyz: the extension .xyz",
      hint: "MODEL's extension says how it is stored: m.xyz.h5, say.")
  }

  @Test func hintsNameFlagsThatWork() throws {
    let output = folder.file("out.h5")
    let refused = try Tools.run("rnn-convert", Self.model, output, "--strict")
    #expect(refused.status == 65)
    #expect(refused.errors.contains(": assumed nonlinearity tanh; and "), "\(refused.errors)")
    let said = "--cell rnn_tanh --head classifier --head-reads sequence"
    #expect(refused.errors.contains("\nhint: If what is assumed is so, say it: \(said); the rest"))
    let given = try Tools.run(
      "rnn-convert", arguments: [Self.model, output] + said.split(separator: " ").map(String.init))
    #expect(given.status == 0 && !given.output.contains("assumed"), "\(given.output)")
    let again = try Tools.run("rnn-convert", Self.model, output)
    #expect(again.status == 73 && again.errors.contains("\nhint: Use --force to replace it.\n"))
    let assumed = try Tools.run("rnn-convert", Self.model, output, "--force")
    #expect(assumed.output.contains("assumed nonlinearity tanh; pass --cell rnn_relu if not\n"))
    #expect(assumed.output.contains("follows rnn directly; pass --head none if not\n"))
  }

  @Test func anUnreadableFixtureIsSaidOnce() throws {
    let result = try Tools.run("rnn-verify", Self.model)
    #expect(result.status == 65 && result.output.isEmpty)
    #expect(result.errors.components(separatedBy: "config").count == 3, "\(result.errors)")
  }

  @Test func theToleranceHasOneUnit() throws {
    let passed = try Tools.run("rnn-verify", CommandLineTests.good, "--verbose")
    #expect(passed.output.contains(" times the tolerance\n") && !passed.output.contains("%"))
    let fixtures = try CommandLineTests()
    let failed = try withExtendedLifetime(fixtures) {
      try Tools.run("rnn-verify", try fixtures.spoiled())
    }
    #expect(failed.output.contains(" times the tolerance") && !failed.output.contains("%"))
  }

  @Test(arguments: ["rnn-convert", "rnn-inspect", "rnn-verify", "rnn-train"])
  func helpHasPlaceholdersAndEveryDefaultOnce(_ tool: String) throws {
    let help = try Tools.run(tool, "--help").output
    #expect(!help.contains("<") && !help.contains(">"), "\(help)")
    for line in help.split(separator: "\n") {
      #expect(line.components(separatedBy: "default").count <= 2, "\(line)")
      #expect(line.count <= 80 || !line.hasPrefix("  -"), "\(line)")
    }
    // Two words behind a long option: the placeholder is not the option's own name.
    for match in help.matches(of: /--([a-z-]+) ([A-Z-]+)\s/) {
      #expect(!match.output.2.isEmpty)
    }
    #expect(!help.contains("(default: 500) (default"))
  }

  /// The tools put flags into what the library says; no library text has one.
  @Test func theLibraryNamesNoFlag() throws {
    var flags: Set<String> = []
    for arguments in [
      ["rnn-convert"], ["rnn-inspect"], ["rnn-verify"], ["rnn-train"], ["rnn-train", "sample"],
    ] {
      let help = try Tools.run(arguments[0], arguments: Array(arguments.dropFirst()) + ["--help"])
      flags.formUnion(help.output.matches(of: /--[a-z][a-z-]*/).map { String($0.output) })
    }
    #expect(flags.contains("--head") && flags.contains("--clip-norm"))
    let sources = URL(fileURLWithPath: "\(Checkout.root)/Sources")
    let files = try #require(
      FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
    var read = 0
    for case let file as URL in files where file.pathExtension == "swift" {
      let isTool = file.pathComponents.contains {
        $0.hasPrefix("rnn-") || $0 == "CommandSupport" || $0 == "Commands"
      }
      guard !isTool else { continue }
      read += 1
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      where !line.drop(while: { $0 == " " }).hasPrefix("//") && line.contains("--")
        && line.contains("\"")
      {
        let named = line.matches(of: /--[a-z][a-z-]*/).map { String($0.output) }
        #expect(named.allSatisfy { !flags.contains($0) }, "\(file.lastPathComponent): \(line)")
      }
    }
    #expect(read > 200)
  }
}
