import Containers
import Tensors
import Testing

@Suite("JSON means one thing or is refused")
struct JSONTests {
  @Test(arguments: [
    (#" {"a" : [1, -2.50e+3, true,false , null, "x"], "":{}} "# + "\n\t\r", "object"),
    (#"[]"#, "array"), (#""\u00e9\ud83d\ude00\/\b\f\n\r\t\"\\""#, "string"), ("-0", "number"),
  ])
  func acceptsEverythingTheStandardAllows(text: String, kind: String) throws {
    let value = try JSON.parse(Array(text.utf8))
    let found =
      switch value {
      case .object: "object"
      case .array: "array"
      case .string: "string"
      case .number: "number"
      default: "other"
      }
    #expect(found == kind)
    #expect(try JSON.parse(Array(value.serialized().utf8)) == value)
    #expect(try JSON.parse(Array(value.serialized(pretty: true).utf8)) == value)
  }

  @Test func keepsContent() throws {
    let value = try JSON.parse(
      Array(#"{"b":[7,-2.50e+3,1.0,9223372036854775808],"a":"\ud83d\ude00é","c":true}"#.utf8))
    #expect(value.objectValue?.map(\.key) == ["b", "a", "c"])
    #expect(value["b"]?.arrayValue?.map(\.intValue) == [7, nil, nil, nil])
    #expect(value["b"]?.arrayValue?[1] == .number("-2.50e+3"))
    #expect(value["b"]?.arrayValue?[1].doubleValue == -2500)
    #expect(value["a"]?.stringValue == "😀é")
    #expect(value["c"]?.boolValue == true)
    #expect(value["d"] == nil)
    #expect(try JSON.parse(Array("1e999".utf8)).doubleValue == nil)
    #expect(try JSON.parse(Array("-0".utf8)).intValue == nil)
  }

  @Test(arguments: [
    ("", "json.truncated", 0), ("[1,]", "json.syntax", 3), (#"{"a":1,}"#, "json.syntax", 7),
    ("01", "json.number", 1), ("-", "json.truncated", 1), ("1.", "json.truncated", 2),
    ("+1", "json.syntax", 0), (".5", "json.syntax", 0), ("1e", "json.truncated", 2),
    ("NaN", "json.syntax", 0), ("nul", "json.syntax", 0), ("1 2", "json.trailing", 2),
    ("{}\0", "json.trailing", 2), (#"{"a":1,"\u0061":2}"#, "json.duplicate", 7),
    (#""\ud800""#, "json.surrogate", 1), (#""\udc00\ud800""#, "json.surrogate", 1),
    (#""\ud800\u0041""#, "json.surrogate", 1), (#""\x""#, "json.string", 2),
    (#""\u12g4""#, "json.string", 5), ("\"a\nb\"", "json.string", 2),
    ("\"abc", "json.truncated", 4), ("\u{FEFF}{}", "json.byte-order-mark", 0),
    ("{'a':1}", "json.syntax", 1), ("{1:2}", "json.syntax", 1), ("[1 2]", "json.syntax", 3),
    ("// x\n1", "json.syntax", 0),
  ])
  func rejectsWithReasonAndOffset(text: String, reason: String, offset: Int) {
    #expect(throws: RecurrentError.self) { try JSON.parse(Array(text.utf8)) }
    do { _ = try JSON.parse(Array(text.utf8)) } catch {
      #expect((error as? RecurrentError)?.reason.code == reason)
      #expect((error as? RecurrentError)?.place == "byte \(offset)")
    }
  }

  @Test(
    arguments: [
      [0x22, 0xFF, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22],
      [0x22, 0xE2, 0x82],
      [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xE2, 0x28, 0xA1, 0x22],
      [0x22, 0xE2, 0x82, 0x22],
    ] as [[UInt8]])
  func rejectsBadUTF8(bytes: [UInt8]) {
    do {
      _ = try JSON.parse(bytes)
      Issue.record("accepted")
    } catch {
      #expect((error as? RecurrentError)?.reason.code == "json.utf8")
      #expect((error as? RecurrentError)?.place == "byte 1")
    }
  }

  @Test func depthIsLimited() throws {
    func nested(_ depth: Int) -> [UInt8] {
      Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    _ = try JSON.parse(nested(128))
    for depth in [129, 1_000_000] {
      let error = #expect(throws: RecurrentError.self) { try JSON.parse(nested(depth)) }
      #expect(error?.reason.code == "json.depth")
    }
  }

  @Test func differentSpellingsOfOneCharacterAreDifferentKeys() throws {
    let value = try JSON.parse(Array("{\"\u{E9}\":1,\"e\u{301}\":2}".utf8))
    #expect(value.objectValue?.count == 2)
    #expect(value["e\u{301}"]?.intValue == 2)
    #expect(JSON.string("\u{E9}") != JSON.string("e\u{301}"))
  }

  @Test func writesNumbersAndEscapes() {
    #expect(JSON.number(-42).serialized() == "-42")
    #expect(JSON.number(0.1).serialized() == "0.1")
    #expect(JSON.number(Double.leastNonzeroMagnitude).serialized() == "5e-324")
    #expect(JSON.number(Double.nan).serialized() == "\"NaN\"")
    #expect(JSON.number(-Double.infinity).serialized() == "\"-Infinity\"")
    #expect(
      JSON.string("\u{1}\u{1f}\u{7f}\u{8}\u{c}/é\"\\\n").serialized()
        == "\"\\u0001\\u001f\u{7f}\\b\\f/é\\\"\\\\\\n\"")
    let value = JSON.object(["a": .array([.number(1), .null]), "b": .object([:]), "c": .array([])])
    #expect(value.serialized() == #"{"a":[1,null],"b":{},"c":[]}"#)
    #expect(
      value.serialized(pretty: true)
        == "{\n  \"a\": [\n    1,\n    null\n  ],\n  \"b\": {},\n  \"c\": []\n}")
  }
}
