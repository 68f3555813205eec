import ArgumentParser
import Containers
import HostSystem
import Recurrent

/// A command-line tool: parses arguments, runs, prints, and exits with the contract's status.
public protocol Tool: ParsableCommand {
  /// The name that begins every message.
  static var toolName: String { get }
  /// What did not happen when an error stops the tool ("Nothing was written."), if that is worth saying.
  static var consequence: String? { get }
  /// Whether results and errors go to standard output as one JSON object.
  var json: Bool { get }
  /// The tools that a first word calls instead of this one.
  static var subcommands: [any Tool.Type] { get }
  /// Throws `.usage` for options that parse and contradict each other.
  func check() throws
  /// Does the work and returns the exit status; output goes to `Output`.
  mutating func perform() throws -> Int32
}

extension Tool {
  /// None.
  public static var subcommands: [any Tool.Type] { [] }
  /// Nothing to check.
  public func check() throws {}

  /// Runs the tool with the process's arguments, or those of a subcommand; never returns.
  public static func launch(_ arguments: [String]? = nil) -> Never {
    Output.openStandardStreams()
    Output.toolName = toolName
    var arguments = arguments ?? Array(CommandLine.arguments.dropFirst())
    answerIfThatIsAll(arguments)
    HDF5Library.ownsProcess = true
    WeightFormat.serveHDF5IfAsked()
    removeTemporariesOnSignals()
    var tool: Self
    if arguments.contains(where: { $0.first == "-" && Double($0) != nil }) {
      arguments = OptionTable(of: Self.self).joiningNegativeNumbers(arguments)
    }
    if OptionTable.mayBeUnclear(arguments),
      var unclear = OptionTable(of: Self.self).unclearOption(in: arguments)
    {
      unclear.advice = unclear.advice ?? "\(toolName) --help lists the options."
      report(unclear, json: arguments.contains("--json"))
      Output.leave(64)
    }
    do {
      let command = try parseAsRoot(arguments)
      guard let parsed = command as? Self else {
        // `--help` of ArgumentParser's own subcommand and the like.
        var other = command
        try other.run()
        Output.leave(0)
      }
      tool = parsed
    } catch {
      let status = exitCode(for: error).rawValue
      guard status != 0 else {
        Output.write(plainHelp(fullMessage(for: error)) + "\n")
        Output.leave(0)
      }
      var usage =
        OptionTable(of: Self.self).mistake(in: arguments)
        ?? RecurrentError(.usageArguments, found: message(for: error))
      usage.advice = usage.advice ?? "\(toolName) --help lists the options."
      report(usage, json: arguments.contains("--json"))
      Output.leave(64)
    }
    do {
      try tool.check()
      let status = try tool.perform()
      Output.leave(status)
    } catch let error as RecurrentError {
      report(error, json: tool.json)
      Output.leave(error.exitStatus)
    } catch {
      report(
        RecurrentError(.faultUnexpected, found: "\(error)", hint: "Please report this."),
        json: tool.json)
      Output.leave(70)
    }
  }

  /// Prints what the only argument asks for; parsing would make the help text three times.
  private static func answerIfThatIsAll(_ arguments: [String]) {
    let text: String
    switch arguments {
    case ["--help"], ["-h"]: text = plainHelp(helpMessage())
    case ["--generate-completion-script", "bash"]:
      text =
        BashCompletion(
          configuration.commandName ?? toolName, OptionTable(of: Self.self),
          subcommands: subcommands.map {
            ($0.configuration.commandName ?? "", OptionTable(of: $0))
          }
        ).script
    case ["--version"]: text = configuration.version
    default: return
    }
    signal(SIGPIPE, SIG_IGN)
    Output.write(text + "\n")
    Output.leave(0)
  }

  private static func report(_ error: RecurrentError, json: Bool) {
    let error = error.namingNeighbour
    if json {
      Output.write(JSON.object([.init(key: "error", value: error.json)]).serialized() + "\n")
    }
    // After this failure alone the new file is there.
    let isWritten = error.reason == .fileDirectorySync
    Output.complain(message(for: error, consequence: isWritten ? nil : consequence))
  }

  /// The line or two that standard error gets.
  public static func message(for error: RecurrentError, consequence: String?) -> String {
    Output.line(of: error, from: toolName, consequence: consequence)
  }
}

extension RecurrentError {
  /// The error for `--json`.
  package var json: JSON {
    func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    return .object([
      .init(key: "reason", value: .string(reason.code)),
      .init(key: "status", value: .number(Int(exitStatus))),
      .init(key: "file", value: text(file)), .init(key: "place", value: text(place)),
      .init(key: "found", value: .string(found)), .init(key: "expected", value: text(expected)),
      .init(key: "hint", value: text(advice?.withFlags)),
    ])
  }
}

/// Standard output and standard error, with failures noticed.
///
/// `print` to a full device succeeds in silence; here it ends the tool with exit status 74.
public enum Output {
  /// What begins every message; set once, before anything is written.
  nonisolated(unsafe) static var toolName = ""

  /// Gives closed standard streams a descriptor: otherwise the first file to be opened would become
  /// standard output, and text would land in it. Writing to a closed one stays an error.
  static func openStandardStreams() {
    for descriptor in STDIN_FILENO...STDERR_FILENO
    where fcntl(descriptor, F_GETFD) < 0 && errno == EBADF {
      // The lowest free number is this one.
      _ = open("/dev/null", descriptor == STDERR_FILENO ? O_WRONLY : O_RDONLY)
    }
  }

  /// Writes text to standard output.
  public static func write(_ text: String) { write(Array(text.utf8)) }

  /// Writes bytes to standard output, which need not be text.
  public static func write(_ bytes: [UInt8]) {
    guard send(bytes, to: STDOUT_FILENO) else {
      let error = RecurrentError(
        .outputWrite, file: "standard output", found: systemMessage())
      complain(line(of: error, consequence: nil))
      leave(error.exitStatus)
    }
  }

  /// Whether standard output is a terminal.
  public static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// Whether text on a descriptor may be coloured: on terminals, never with `NO_COLOR` (no-color.org).
  public static func usesColour(_ descriptor: Int32) -> Bool {
    func variable(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }
    return isatty(descriptor) == 1 && variable("NO_COLOR").isEmpty && variable("TERM") != "dumb"
  }

  /// Green on a standard output that takes colours.
  public static func good(_ text: String) -> String { coloured(text, 32, STDOUT_FILENO) }

  /// Red on a standard output that takes colours.
  public static func bad(_ text: String) -> String { coloured(text, 31, STDOUT_FILENO) }

  static func coloured(_ text: String, _ colour: Int, _ descriptor: Int32) -> String {
    usesColour(descriptor) ? "\u{1B}[\(colour)m\(text)\u{1B}[0m" : text
  }

  /// Whether the locale says that terminals understand UTF-8.
  public static var drawsUnicode: Bool {
    // The first of these that is set decides.
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    let locale = variable("LC_ALL") ?? variable("LC_CTYPE") ?? variable("LANG") ?? ""
    return ["utf-8", "utf8"].contains { locale.lowercased().hasSuffix($0) }
  }

  /// Writes a line to standard output.
  public static func line(_ text: String = "") { write(text + "\n") }

  /// Writes text to standard error; there is nowhere left to report a failure.
  public static func complain(_ text: String) { _ = send(Array(text.utf8), to: STDERR_FILENO) }

  /// An error as standard error gets it, with its hint.
  static func line(
    of error: RecurrentError, from tool: String = toolName, consequence: String?
  ) -> String {
    let word = coloured("error[\(error.reason.code)]", 31, STDERR_FILENO)
    var text = "\(tool): \(word): \(error.message)."
    if text.hasSuffix("..") || text.hasSuffix("?.") { text.removeLast() }
    text += (consequence.map { " " + $0 } ?? "") + "\n"
    if let hint = error.advice?.withFlags {
      text += "hint: \(escapedForTerminal(hint, limit: 1000))\n"
    }
    return text
  }

  /// Ends the process.
  public static func leave(_ status: Int32) -> Never { exit(status) }

  private static func send(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { writeFully($0, to: descriptor) == 0 }
  }
}
