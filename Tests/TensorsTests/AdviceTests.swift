import Testing

@testable import Tensors

@Suite("Advice names parameters in the words of whoever gives it")
struct AdviceTests {
  private enum Word: String { case one = "the_one" }

  @Test func theLibrarySpeaksOfItsParameters() {
    let advice: Advice =
      "Say \(.module("a b")), \(.head("fc")), \(.word(.cell, Word.one)), \(.dtype) or \(.means(.head, Advice.Value.none))\(3)."
    #expect(
      advice.description
        == "Say `module: \"a b\"`, `head: .named(\"fc\")`, `cell: .one`, `dtype` or `head: .none`3."
    )
    let flag: Advice = "\(.means(.overwrite, .flag(true)))"
    #expect(flag.description == "`overwrite: true`")
  }

  @Test func twoWordsOfOneParameterAreBothNamed() {
    enum Reads: String { case last, theEnd = "the_end" }
    let advice: Advice = "pass \(.word(.headReads, Reads.last, or: .theEnd))"
    #expect(advice.description == "pass `headReads: .last` or `.theEnd`")
    let words = advice.words { _, value in
      if case .word(let word, _)? = value { "--reads \(word)" } else { "" }
    }
    #expect(words == "pass --reads last or the_end")
  }

  @Test func aProgramPutsInItsOwnWords() {
    let advice: Advice = "Say \(.word(.cell, Word.one)), or \(.namesFile) \("twice")"
    var seen: [String] = []
    let text = advice.words { means, value in
      seen.append(means.rawValue)
      if case .word(let word, _)? = value { return "<\(word)>" }
      return "<>"
    }
    #expect(text == "Say <the_one>, or <> twice")
    #expect(seen == ["cell", "Convention(contentsOf:)"])
  }

  @Test func sentencesAreEqualByTheirPieces() {
    #expect(Advice("Do it.") == "Do it.")
    #expect(("Do" + " it" as Advice).description == "Do it")
    #expect("\(.module("a"))" as Advice != "\(.module("b"))")
    #expect(("" as Advice).parts.isEmpty)
  }

  @Test func aPrintedErrorHasReasonFindingAndHint() {
    let error = RecurrentError(
      .init("weights.ambiguous", .mismatch), file: "a.pt", at: "here", found: "two modules",
      expected: "one", hint: "Choose one: \(.module("encoder")).")
    #expect(error.message == "a.pt: here: two modules, expected one")
    #expect(
      "\(error)"
        == "[weights.ambiguous] a.pt: here: two modules, expected one. Choose one: `module: \"encoder\"`."
    )
    let plain = RecurrentError(.init("file.missing", .missing), file: "", found: "nothing")
    #expect("\(plain)" == "[file.missing] \"\": nothing")
  }

  @Test func errorsAreEqualByReasonAndPlaceAndNotByTheirSentences() {
    let error = RecurrentError(.nameDuplicate, file: "a", at: "b", found: "c", hint: "Do.")
    #expect(error == RecurrentError(.nameDuplicate, file: "a", at: "b", found: "other words"))
    #expect(error != RecurrentError(.nameDuplicate, file: "a", at: "c", found: "c", hint: "Do."))
    #expect(error != RecurrentError(.nameDuplicate, file: "b", at: "b", found: "c", hint: "Do."))
    #expect(error != RecurrentError(.tensorSize, file: "a", at: "b", found: "c", hint: "Do."))
  }
}
