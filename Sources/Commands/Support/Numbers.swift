import Recurrent

/// The number that an option was given, in a range that its message says in words.
package struct NumberOption {
  private let flag: String
  private let text: String?
  private let reason: RecurrentError.Reason

  /// Names the option for messages; `reason` is the code of a number out of range.
  package init(_ flag: String, _ text: String?, reason: RecurrentError.Reason = .usageArguments) {
    (self.flag, self.text, self.reason) = (flag, text, reason)
  }

  /// A whole number, of at least `least`; throws `.usage`, and is `nil` where the option is absent.
  package func whole(atLeast least: Int? = nil) throws -> Int? {
    try text.map { text in
      guard let value = Int(text), value >= least ?? .min else {
        throw refusal(
          text, isNumber: Int(text) != nil,
          "a whole number" + (least.map { " of at least \($0)" } ?? ""))
      }
      return value
    }
  }

  /// A number for which `isValid` holds, which `words` say; throws `.usage`.
  package func number(_ words: String, hint: Advice? = nil, where isValid: (Double) -> Bool) throws
    -> Double?
  {
    try text.map { text in
      guard let value = Double(text), value.isFinite, isValid(value) else {
        let isTooLarge = Double(text)?.isInfinite == true
        throw refusal(
          text, isNumber: Double(text) != nil, words + (isTooLarge ? ", and finite" : ""), hint)
      }
      return value
    }
  }

  private func refusal(
    _ text: String, isNumber: Bool, _ expected: String, _ hint: Advice? = nil
  ) -> RecurrentError {
    RecurrentError(
      isNumber ? reason : .usageArguments, at: flag, found: "\"\(text)\"",
      expected: expected, hint: hint)
  }
}
