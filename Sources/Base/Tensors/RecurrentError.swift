/// What went wrong, where, what was found, and what was expected.
///
/// Every module of Recurrent throws this one type, so that a caller can print a useful message and a
/// command can choose its exit status without knowing which reader failed.
public struct RecurrentError: Error, Sendable, Equatable {
  /// Who can act on the error; the raw value is the exit status of the command-line tools.
  public enum Kind: Int, Sendable {
    /// The caller asked for something that makes no sense (a bad flag or argument).
    case usage = 64
    /// The data is malformed, damaged, ambiguous or hostile, or cannot be expressed in the target.
    case malformed = 65
    /// There is no input, or it is not a regular file.
    case noInput = 66
    /// The data is valid but uses a feature that is not supported.
    case unsupported = 69
    /// A fault of this library; please report it.
    case fault = 70
    /// The system refused memory or a process.
    case resources = 71
    /// The output cannot be created.
    case cannotCreate = 73
    /// An input or output operation failed (a full disk, for example).
    case inputOutput = 74
    /// The input changed while it was being read.
    case inputChanged = 75
    /// The system denied permission.
    case permission = 77
  }

  /// Who can act on the error.
  public var kind: Kind
  /// A stable code such as `zip.crc` or `h5.external-link`.
  public var reason: String
  /// The file in question, as the user named it.
  public var file: String?
  /// The tensor, entry, key or byte offset.
  public var place: String?
  /// What was found.
  public var found: String
  /// What would have been right.
  public var expected: String?
  /// A sentence that says what to do about it, parameters apart from words.
  package var advice: Advice?
  /// One sentence that says what to do about it, in the library's words.
  public var hint: String? { advice?.description }

  /// Creates an error; `file` may be filled in later by the reader that knows the name.
  package init(
    _ kind: Kind, _ reason: String, file: String? = nil, at place: String? = nil, found: String,
    expected: String? = nil, hint: Advice? = nil
  ) {
    self.kind = kind
    self.reason = reason
    self.file = file
    self.place = place
    self.found = found
    self.expected = expected
    advice = hint
  }

  /// The same error with `file` filled in where it was unknown.
  package func inFile(_ name: String) -> RecurrentError {
    var copy = self
    if copy.file == nil { copy.file = name }
    return copy
  }

  /// The same error with the place prefixed, so that inner readers need not know where they stand.
  package func within(_ outer: String) -> RecurrentError {
    var copy = self
    copy.place = place.map { "\(outer), \($0)" } ?? outer
    return copy
  }
}

extension RecurrentError: CustomStringConvertible {
  /// `[REASON] FILE: WHERE: FOUND, expected EXPECTED. HINT`, the hint in the library's words.
  public var description: String {
    "[\(reason)] \(message)" + (hint.map { ". " + escapedForTerminal("\($0)", limit: 1000) } ?? "")
  }

  /// `FILE: WHERE: FOUND, expected EXPECTED`, with names escaped for a terminal.
  public var message: String {
    let parts = [file, place].compactMap { $0.map { $0.isEmpty ? "\"\"" : escapedForTerminal($0) } }
    let finding = escapedForTerminal(found, limit: 1000)
    let wish = expected.map { ", expected " + escapedForTerminal($0, limit: 1000) } ?? ""
    return (parts + [finding + wish]).joined(separator: ": ")
  }
}

/// Replaces control, escape and bidirectional characters by `\u{…}`, and cuts very long text.
///
/// Names come from files and files come from strangers: printed raw they could rewrite the terminal.
package func escapedForTerminal(_ text: String, limit: Int = 240) -> String {
  var result = ""
  var length = 0
  for scalar in text.unicodeScalars {
    if length >= limit { return result + "…" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse,
      .unassigned:
      result += "\\u{" + String(scalar.value, radix: 16) + "}"
    default:
      result.unicodeScalars.append(scalar)
    }
    length += 1
  }
  return result
}
