import ArgumentParser
import Recurrent

/// What a tool's command line is made of, as its declarations say.
struct OptionTable {
  /// What stands behind an option, or where a positional argument is expected.
  enum Value {
    /// One of these words.
    case words([String])
    /// A file, of one of these kinds where any are named.
    case file(extensions: [String])
    /// Anything.
    case text
  }

  /// A flag or an option.
  struct Option {
    /// Its names with their dashes, the long one first.
    let names: [String]
    /// What help texts call its value; `nil` for a flag.
    let placeholder: String?
    let value: Value
    /// Whether it may be said several times, each with a value.
    let isRepeating: Bool
  }

  /// An argument that is known by its position.
  struct Positional {
    let placeholder: String
    let abstract: String
    let isOptional: Bool
    let isRepeating: Bool
  }

  private(set) var options: [Option] = []
  private(set) var positionals: [Positional] = []

  /// Reads the declarations of a command.
  init(of command: (some ParsableCommand).Type) {
    let text: String
    do {
      _ = try command.parseAsRoot(["--experimental-dump-help"])
      return
    } catch {
      text = command.message(for: error)
    }
    let json = try? JSON.parse(Array(text.utf8))
    for argument in json?["command"]?["arguments"]?.arrayValue ?? [] { add(argument) }
  }

  private mutating func add(_ argument: JSON) {
    func isTrue(_ key: String) -> Bool { argument[key]?.boolValue == true }
    let placeholder = argument["valueName"]?.stringValue ?? "VALUE"
    guard argument["kind"]?.stringValue != "positional" else {
      positionals.append(
        Positional(
          placeholder: placeholder, abstract: argument["abstract"]?.stringValue ?? "",
          isOptional: isTrue("isOptional"), isRepeating: isTrue("isRepeating")))
      return
    }
    let names = (argument["names"]?.arrayValue ?? []).compactMap { name -> String? in
      let dashes = name["kind"]?.stringValue == "long" ? "--" : "-"
      return (name["name"]?.stringValue).map { dashes + $0 }
    }
    let kind = argument["completionKind"]
    let strings = { (json: JSON?) in (json?.arrayValue ?? []).compactMap(\.stringValue) }
    let value: Value =
      kind?["list"].map { .words(strings($0["values"])) }
      ?? kind?["file"].map { .file(extensions: strings($0["extensions"])) } ?? .text
    options.append(
      Option(
        names: names.sorted { $0.count > $1.count },
        placeholder: argument["kind"]?.stringValue == "option" ? placeholder : nil, value: value,
        isRepeating: isTrue("isRepeating")))
  }

  /// The option that a word such as `--lr` or `--lr=1` names.
  func option(_ word: String) -> Option? {
    let name = String(word.prefix { $0 != "=" })
    return options.first { $0.names.contains(name) }
  }

  /// Arguments in which a negative number behind an option is its value and no flag: `--lr=-1`.
  func joiningNegativeNumbers(_ arguments: [String]) -> [String] {
    var result: [String] = []
    for argument in arguments {
      if argument.first == "-", Double(argument) != nil, let last = result.last,
        !last.contains("="), option(last)?.placeholder != nil
      {
        result[result.count - 1] = "\(last)=\(argument)"
      } else {
        result.append(argument)
      }
    }
    return result
  }
}
