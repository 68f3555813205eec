import ArgumentParser
import Recurrent

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A command-line tool: parses arguments, runs, prints, and exits with the contract's status.
public protocol Tool: ParsableCommand {
  /// The name that begins every message.
  static var toolName: String { get }
  /// What did not happen when an error stops the tool ("Nothing was written."), if that is worth saying.
  static var consequence: String? { get }
  /// Whether results and errors go to standard output as one JSON object.
  var json: Bool { get }
  /// Does the work and returns the exit status; output goes to `Output`.
  mutating func perform() throws -> Int32
}

extension Tool {
  /// Runs the tool with the process's arguments; never returns.
  public static func launch() -> Never {
    removeTemporariesOnSignals()
    var tool: Self
    do {
      let command = try parseAsRoot()
      guard let parsed = command as? Self else {
        // `--help` of ArgumentParser's own subcommand and the like.
        var other = command
        try other.run()
        exit(0)
      }
      tool = parsed
    } catch {
      let status = exitCode(for: error).rawValue
      guard status != 0 else {
        Output.write(fullMessage(for: error) + "\n")
        Output.finish(tool: toolName, status: 0)
      }
      let usage = RecurrentError(
        .usage, "usage.arguments", found: message(for: error),
        hint: "\(toolName) --help lists the options.")
      report(usage, json: CommandLine.arguments.contains("--json"))
      exit(64)
    }
    do {
      let status = try tool.perform()
      Output.finish(tool: toolName, status: status)
    } catch let error as RecurrentError {
      report(error, json: tool.json)
      exit(Int32(error.kind.rawValue))
    } catch {
      report(
        RecurrentError(.fault, "fault.unexpected", found: "\(error)", hint: "Please report this."),
        json: tool.json)
      exit(70)
    }
  }

  private static func report(_ error: RecurrentError, json: Bool) {
    if json {
      Output.write(JSON.object([.init(key: "error", value: error.json)]).serialized() + "\n")
      fflush(stdout)
    }
    let end = consequence.map { " " + $0 } ?? ""
    var text = "\(toolName): error[\(error.reason)]: \(error.description)."
    if text.hasSuffix("..") { text.removeLast() }
    text += end + "\n"
    if let hint = error.hint { text += "hint: \(escapedForTerminal(hint, limit: 1000))\n" }
    fputs(text, stderr)
  }
}

extension RecurrentError {
  /// The error for `--json`.
  public var json: JSON {
    func text(_ value: String?) -> JSON { value.map { .string($0) } ?? .null }
    return .object([
      .init(key: "reason", value: .string(reason)),
      .init(key: "status", value: .number(kind.rawValue)),
      .init(key: "file", value: text(file)), .init(key: "place", value: text(place)),
      .init(key: "found", value: .string(found)), .init(key: "expected", value: text(expected)),
      .init(key: "hint", value: text(hint)),
    ])
  }
}

/// Standard output, with errors noticed: `print` to a full device would succeed in silence.
public enum Output {
  /// Writes text to standard output.
  public static func write(_ text: String) { fputs(text, stdout) }

  /// Writes a line to standard output.
  public static func line(_ text: String = "") { write(text + "\n") }

  /// Flushes and exits; a failed flush is exit status 74.
  public static func finish(tool: String, status: Int32) -> Never {
    if fflush(stdout) != 0 || ferror(stdout) != 0 {
      let code = String(cString: strerror(errno))
      fputs("\(tool): error[output.write]: standard output: \(code).\n", stderr)
      exit(Int32(RecurrentError.Kind.inputOutput.rawValue))
    }
    exit(status)
  }
}
