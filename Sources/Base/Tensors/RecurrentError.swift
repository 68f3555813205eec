/// What went wrong, where, what was found, and what was expected.
///
/// Every module of Recurrent throws this one type, so that a caller can print a useful message and a
/// command can choose its exit status without knowing which reader failed.
public struct RecurrentError: Error, Sendable, Equatable {
  /// Why something was refused: a code that stays the same from release to release, and what kind of refusal it is.
  ///
  /// The modules declare the reasons that they throw; the page <doc:ReasonCodes> lists them all.
  public struct Reason: Sendable, Hashable {
    /// The stable code, such as `zip.crc` or `h5.external-link`.
    public let code: String
    /// Who can act on it.
    public let kind: Kind

    /// What stands before the dot of the code.
    package var family: Substring { code.prefix { $0 != "." } }

    /// Names a reason; codes are `FAMILY.WORD`.
    package init(_ code: String, _ kind: Kind) {
      self.code = code
      self.kind = kind
    }
  }

  /// What kind of refusal it is, and so who can act on it.
  public enum Kind: String, Sendable, CaseIterable {
    /// An argument, option or setting that the caller chose makes no sense.
    case argument
    /// Arrays or weights that the caller handed over do not fit the network, the loss or each other.
    case array
    /// The bytes are malformed, damaged or hostile.
    case damaged
    /// What a file holds, what it says of itself and what the caller said contradict each other, or leave open what is
    /// asked for.
    case mismatch
    /// The data is right, but the target cannot express it.
    case inexpressible
    /// Numbers that must agree differ.
    case difference
    /// There is no input, or it is not a regular file.
    case missing
    /// The data is valid but uses a feature that is not supported.
    case unsupported
    /// A fault of this library; please report it.
    case fault
    /// The system refused memory or a process.
    case resources
    /// The output cannot be created.
    case output
    /// An input or output operation failed (a full disk, for example).
    case inputOutput
    /// The input changed while it was being read.
    case changed
    /// The system denied permission.
    case permission
  }

  /// Why it was refused.
  public var reason: Reason
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
    _ reason: Reason, file: String? = nil, at place: String? = nil, found: String,
    expected: String? = nil, hint: Advice? = nil
  ) {
    self.reason = reason
    self.file = file
    self.place = place
    self.found = found
    self.expected = expected
    advice = hint
  }

  /// Who can act on the error.
  public var kind: Kind { reason.kind }

  /// Whether the error is about what the data say, and not about who may read them or where they stand.
  package var isOfContent: Bool {
    switch kind {
    case .array, .damaged, .mismatch, .inexpressible, .difference, .unsupported: true
    default: false
    }
  }

  /// Whether two errors have the same reason at the same place; their sentences do not count.
  public static func == (one: RecurrentError, other: RecurrentError) -> Bool {
    one.reason == other.reason && one.file == other.file && one.place == other.place
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
    "[\(reason.code)] \(message)"
      + (hint.map { ". " + escapedForTerminal("\($0)", limit: 1000) } ?? "")
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
