import Recurrent

extension OptionTable {
  /// An option of one value that is said twice, or whose value is empty behind its equals sign; `nil` where there is none.
  ///
  /// Parsing takes the last of several, and what follows an empty one.
  func unclearOption(in arguments: [String]) -> RecurrentError? {
    var said: [String: [String]] = [:]
    for (position, word) in arguments.prefix(while: { $0 != "--" }).enumerated() {
      guard word.hasPrefix("-"), let option = option(word), let placeholder = option.placeholder
      else { continue }
      let name = option.names[0]
      let value: String
      if let sign = word.firstIndex(of: "=") {
        value = String(word[word.index(after: sign)...])
        guard !value.isEmpty else { return missingValue(of: option, placeholder, next: nil) }
      } else {
        value = position + 1 < arguments.count ? arguments[position + 1] : ""
      }
      guard !option.isRepeating else { continue }
      said[name, default: []].append(value)
      guard let values = said[name], values.count > 1 else { continue }
      return Self.usage(
        found: "\(name) twice, as \(quotedForShell(values[0])) and \(quotedForShell(value))",
        expected: "it once")
    }
    return nil
  }

  /// Whether arguments have anything that ``unclearOption(in:)`` may find; most have not.
  static func mayBeUnclear(_ arguments: [String]) -> Bool {
    var seen: Set<Substring> = []
    return arguments.contains { word in
      word.hasPrefix("-") && (word.last == "=" || !seen.insert(word.prefix { $0 != "=" }).inserted)
    }
  }

  /// What is wrong with arguments that do not parse, the first thing first; `nil` where nothing is found.
  ///
  /// A mistyped option comes before everything else: it explains missing and superfluous files too.
  func mistake(in arguments: [String]) -> RecurrentError? {
    var names: [String] = []
    var position = 0
    var lacking: RecurrentError?
    while position < arguments.count {
      let word = arguments[position]
      position += 1
      if word == "--" {
        names += arguments[position...]
        break
      }
      guard word.first == "-", word != "-" else {
        names.append(word)
        continue
      }
      guard let option = option(word) else { return unknown(word) }
      let hasValue = word.contains("=")
      guard let placeholder = option.placeholder else {
        guard hasValue else { continue }
        return Self.usage(found: word, expected: "\(option.names[0]), which takes no value")
      }
      guard !hasValue else { continue }
      if position < arguments.count, arguments[position].first != "-" {
        position += 1
      } else if lacking == nil {
        let next = position < arguments.count ? arguments[position] : nil
        lacking = missingValue(of: option, placeholder, next: next)
        // One dash may begin a name, two begin an option.
        if let next, !next.hasPrefix("--"), self.option(next) == nil { return lacking }
      }
    }
    return lacking ?? wrongCount(names)
  }

  private static func usage(
    found: String, expected: String? = nil, hint: Advice? = nil
  ) -> RecurrentError {
    RecurrentError(.usageArguments, found: found, expected: expected, hint: hint)
  }

  private func unknown(_ word: String) -> RecurrentError {
    let name = String(word.prefix { $0 != "=" })
    let near = nearest(to: name, among: options.flatMap(\.names).filter { $0.hasPrefix("--") })
    return Self.usage(
      found: "unknown option '\(name)'", hint: near.map { "Did you mean '\($0)'?" })
  }

  private func missingValue(
    of option: Option, _ placeholder: String, next: String?
  ) -> RecurrentError {
    let name = option.names[0]
    let words: String
    if case .words(let list) = option.value {
      words = "one of " + list.joined(separator: ", ")
    } else {
      words = "\(name) \(placeholder)"
    }
    guard let next, self.option(next) == nil, next != "--" else {
      return Self.usage(found: "\(name) without a value", expected: words)
    }
    // A name may begin with a dash.
    return Self.usage(
      found: "\(name) without a value", expected: words,
      hint: "If '\(next)' is the value, write \(name)=\(quotedForShell(next)).")
  }

  private func wrongCount(_ names: [String]) -> RecurrentError? {
    let needed = positionals.filter { !$0.isOptional }
    if names.count < needed.count {
      let first = needed[names.count]
      return Self.usage(found: "no \(first.placeholder)", expected: Self.phrase(first.abstract))
    }
    guard !positionals.contains(where: \.isRepeating), names.count > positionals.count else {
      return nil
    }
    let wanted = positionals.map(\.placeholder).joined(separator: " ")
    return Self.usage(
      found: "'\(names[positionals.count])', one word too many",
      expected: wanted.isEmpty ? "options only" : "\(wanted) and options only")
  }

  /// `The text to learn.` inside another sentence.
  private static func phrase(_ sentence: String) -> String {
    var text = sentence
    if text.hasSuffix(".") { text.removeLast() }
    return text.prefix(1).lowercased() + text.dropFirst()
  }
}
