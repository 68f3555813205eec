import Bytes
import Containers
import Frameworks
import HostSystem
import Networks
import RNNEngine
import Tensors

/// A program in any language that computes what fixtures expect: `COMMAND INPUT.npz OUTPUT.npz`.
///
/// <doc:AgainstAnything> is the protocol.
package struct ForeignProgram: Sendable {
  /// What the shell runs, with the two paths behind it.
  package let command: String
  /// How long one fixture may take.
  package let seconds: Double

  package init(_ command: String, seconds: Double = 60) {
    (self.command, self.seconds) = (command, seconds)
  }

  /// The exit status of a program that cannot express a fixture: no failure.
  package static let unsupportedStatus: Int32 = 69

  /// What came of one call.
  package enum Answer {
    case computed(StateDict)
    case unsupported(String)
  }

  /// Runs the program on a fixture's file; `use` gets what it wrote while that is still there.
  package func ask<Result>(_ state: StateDict, _ use: (Answer) throws -> Result) throws -> Result {
    let folder: ScratchFolder
    do {
      folder = try ScratchFolder()
    } catch let failure as SystemFailure {
      throw RecurrentError(
        .againstFolder, found: systemMessage(failure.code), expected: "a temporary folder")
    }
    defer { folder.remove() }
    let (input, output, log) = (
      folder.file("input.npz"), folder.file("output.npz"), folder.file("log")
    )
    try WeightFormat.named("npz").write(Self.request(state), to: input) { _ in }
    let end: ProgramRun.End
    do {
      end = try ProgramRun.run(command, [input, output], log: log, seconds: seconds)
    } catch let failure as SystemFailure {
      throw RecurrentError(
        .againstProgram, at: command, found: systemMessage(failure.code), expected: "a program")
    }
    let words = Self.lastLine(log)
    func failed(_ what: String) -> RecurrentError {
      RecurrentError(
        .againstProgram, at: command, found: what + (words.isEmpty ? "" : ": \(words)"),
        expected: "exit status 0 and the numbers in OUTPUT")
    }
    switch end {
    case .status(0): break
    case .status(Self.unsupportedStatus):
      return try use(.unsupported(words.isEmpty ? "the program says so" : words))
    // The shell says 128 + n of a program that a signal ended.
    case .status(let status) where (129..<160).contains(status):
      throw failed("ended by signal \(status - 128)")
    case .status(let status): throw failed("exit status \(status)")
    case .signal(let number): throw failed("ended by signal \(number)")
    case .timedOut: throw failed("no answer within \(significant(seconds)) s")
    }
    guard access(output, F_OK) == 0 else { throw failed("nothing written") }
    let written: StateDict
    do {
      written = try WeightFile(path: output).state
    } catch let error as RecurrentError {
      throw failed("an output that cannot be read (\(error.message))")
    }
    return try use(.computed(written))
  }

  /// What the program is given: how the network is, its weights and inputs, and the names of what is expected.
  static func request(_ state: StateDict) throws -> StateDict {
    var request = StateDict()
    for entry in state.entries {
      let name = entry.name.string
      guard name == "config" || name.hasPrefix("weights/") || name.hasPrefix("inputs/") else {
        continue
      }
      try request.append(entry.name, entry.tensor)
    }
    let wanted = try Array(
      JSON.array(Fixture(state).askedNames.map { .string($0) }).serialized().utf8)
    try request.append(
      "wanted", Tensor(dtype: .u8, shape: [wanted.count], source: MemorySource(wanted)))
    return request
  }

  /// The last line that the program printed, which mostly says what went wrong.
  private static func lastLine(_ log: String) -> String {
    guard let file = fopen(log, "r") else { return "" }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    fseek(file, max(0, ftell(file) - 4096), SEEK_SET)
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = fread(&bytes, 1, bytes.count, file)
    let lines = String(decoding: bytes[..<count], as: UTF8.self)
      .split(whereSeparator: \.isNewline)
    return lines.last { line in line.contains { !$0.isWhitespace } }.map(String.init) ?? ""
  }
}

extension Fixture {
  /// What a program is asked for: outputs, gradients, trained parameters and losses, as far as they are expected.
  ///
  /// Comparisons of single steps start from the reference's own states, which only this engine does.
  var askedNames: [String] {
    outputs.names.map { "outputs/\($0)" } + gradients.names.map { "grads/\($0)" }
      + (trajectory.count > 0
        ? [] : trained.names.map { "trained/\($0)" } + (losses == nil ? [] : ["losses"]))
  }

  /// What a program computed, against what is expected: every output must be there; of losses, gradients and training only what
  /// the program has is checked, because runtimes that only run networks have none.
  func judged(
    _ written: StateDict, options: VerificationOptions
  ) throws -> (checks: [Check], absent: [String], remarks: [String], causes: [Cause]) {
    let asked = askedNames
    var computed: [String: NDArray<Double>] = [:]
    var checks: [Check] = []
    for entry in written.entries {
      let name = entry.name.string
      guard !name.hasPrefix("config"), name != "wanted" else { continue }
      guard entry.tensor.dtype.isFloatingPoint else {
        checks.append(
          Check(name, problem: "type \(entry.tensor.dtype.rawValue), not a floating-point type"))
        continue
      }
      computed[name] = try NDArray(entry.tensor)
    }
    let isFree = { (name: String) in !asked.contains(name) && Self.isExpectable(name) }
    let extra = computed.keys.filter(isFree).sorted()
    for name in extra { computed[name] = nil }
    let absent = asked.filter { name in
      computed[name] == nil && (!name.hasPrefix("outputs/") || name == "outputs/loss")
    }
    .filter { name in !checks.contains { $0.tensor == name } }
    let isJudged = { (name: String) in
      !absent.contains(name) && !checks.contains { $0.tensor == name }
    }
    checks += try judged(
      self.checks(of: computed, tensors: asked.filter(isJudged), options: options), options)
    let remarks =
      extra.isEmpty ? [] : ["computed and not expected: \(extra.joined(separator: ", "))"]
    let causes =
      checks.allSatisfy(\.passes) ? [] : causes(of: checks, port: computed, options: options)
    return (checks, absent, remarks, causes)
  }

  /// Whether a fixture could expect a tensor of this name.
  private static func isExpectable(_ name: String) -> Bool {
    outputNames.contains { name == "outputs/\($0)" } || name.hasPrefix("grads/")
      || name.hasPrefix("trained/") || name == "losses"
  }
}

/// Lets a program compute what a fixture file expects; what goes wrong is part of the result.
package func parity(
  of path: String, against program: ForeignProgram, options: VerificationOptions = .init()
) -> FixtureResult {
  let start = ContinuousClock.now
  var result = asked(path, program, options)
  result.seconds = start.secondsPassed
  result.program = program.command
  return result
}

private func asked(
  _ path: String, _ program: ForeignProgram, _ options: VerificationOptions
) -> FixtureResult {
  do {
    let file = try WeightFile(path: path)
    let result = asked(file.state, path, program, options)
    for input in file.files { try input.checkUnchanged() }
    return result
  } catch let error as RecurrentError {
    return FixtureResult(
      path: path, name: nil, checks: [], remarks: [], error: error.inFile(path))
  } catch {
    let fault = RecurrentError(.faultUnexpected, file: path, found: "\(error)")
    return FixtureResult(path: path, name: nil, checks: [], remarks: [], error: fault)
  }
}

/// The same of a fixture in memory; `path` is for messages.
func asked(
  _ state: StateDict, _ path: String, _ program: ForeignProgram, _ options: VerificationOptions
) -> FixtureResult {
  var result = FixtureResult(path: path, name: nil, checks: [], remarks: [], error: nil)
  do {
    let fixture = try Fixture(state)
    // A fixture that this library cannot read is no one else's failure either.
    _ = try fixture.network()
    result.name = fixture.configuration.name
    guard !fixture.askedNames.isEmpty else {
      result.skipped = "it compares single steps, which no program is asked for"
      return result
    }
    try program.ask(state) { answer in
      switch answer {
      case .unsupported(let why): result.skipped = why
      case .computed(let written):
        (result.checks, result.absent, result.remarks, result.causes) = try fixture.judged(
          written, options: options)
      }
    }
  } catch let error as RecurrentError {
    result.error = error.inFile(path)
  } catch {
    result.error = RecurrentError(.faultUnexpected, file: path, found: "\(error)")
  }
  return result
}
