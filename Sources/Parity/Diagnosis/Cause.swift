/// What explains the numbers of a fixture that fails.
package struct Cause: Sendable, Equatable {
  /// A code of the page "What is wrong", such as `gates-permuted`; `unknown` where nothing explains them.
  package let code: String
  /// The tensor that it is about, under its name in the fixture, if it is about one.
  package let tensor: String?
  /// What the numbers are those of, in a sentence; of `unknown`, what is known all the same.
  package let detail: String
  /// The largest deviation that is left under this cause.
  package let deviation: Double

  /// One line: `CODE: SENTENCE (deviation then X)`.
  package var summary: String {
    code == Self.unknown
      ? "\(code): \(detail)"
      : "\(code): \(detail) (deviation then \(significant(deviation)))"
  }

  /// Whether anything explains the numbers.
  package var isKnown: Bool { code != Self.unknown }

  static let unknown = "unknown"
}
