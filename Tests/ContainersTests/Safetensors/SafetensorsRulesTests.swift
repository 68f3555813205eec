import Containers
import Tensors
import Testing

/// One file per row of the table of what the reference accepts and refuses.
@Suite("safetensors accepts and refuses what the reference does")
struct SafetensorsRulesTests {
  static func file(_ header: String, data: Int = 0, headerLength: Int? = nil) -> [UInt8] {
    let text = Array(header.utf8)
    let length = headerLength ?? text.count
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) } + text
      + (0..<data).map { UInt8(truncatingIfNeeded: $0 + 1) }
  }

  static func tensor(
    _ name: String, _ begin: Int, _ end: Int, dtype: String = "U8", shape: String? = nil
  ) -> String {
    #""\#(name)":{"dtype":"\#(dtype)","shape":\#(shape ?? "[\(end - begin)]"),"#
      + #""data_offsets":[\#(begin),\#(end)]}"#
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let result: String
    init(_ name: String, _ bytes: [UInt8], _ result: String) {
      testDescription = name
      self.bytes = bytes
      self.result = result
    }
  }

  static let accepted: [Case] = [
    Case("leading and trailing whitespace", file(" \n\t{\(tensor("a", 0, 3))} \n\t", data: 3), "a"),
    Case("free order", file("{\(tensor("b", 3, 5)),\(tensor("a", 0, 3))}", data: 5), "a,b"),
    Case(
      "unaligned",
      file("{\(tensor("a", 0, 1)),\(tensor("b", 1, 5, dtype: "F32", shape: "[1]"))}", data: 5),
      "a,b"),
    Case("scalar", file("{\(tensor("a", 0, 8, dtype: "F64", shape: "[]"))}", data: 8), "a"),
    Case(
      "unknown inner key",
      file(#"{"a":{"dtype":"U8","x":[{}],"shape":[1],"data_offsets":[0,1]}}"#, data: 1), "a"),
    Case("null metadata", file(#"{"__metadata__":null,\#(tensor("a", 0, 1))}"#, data: 1), "a"),
    Case("empty name", file("{\(tensor("", 0, 1))}", data: 1), ""),
    Case("escaped name", file("{\(tensor("\\u0061\\n", 0, 1))}", data: 1), "a\n"),
    Case("bool byte 5", file("{\(tensor("a", 0, 5, dtype: "BOOL"))}", data: 5), "a"),
    Case(
      "empty tensors at one offset",
      file(
        "{\(tensor("a", 0, 2)),\(tensor("b", 2, 2)),\(tensor("c", 2, 2, shape: "[3,0]")),"
          + "\(tensor("d", 2, 4))}", data: 4), "a,b,c,d"),
    Case("no tensors", file("{}"), ""),
  ]

  @Test(arguments: accepted) func accepts(item: Case) throws {
    let state = try Safetensors.read(MemorySource(item.bytes))
    #expect(state.names.map(\.string).joined(separator: ",") == item.result)
    #expect(Safetensors.recognizes(MemorySource(item.bytes)))
  }

  static let big = "9223372036854775808"
  static let refused: [Case] = [
    Case("seven bytes", [2, 0, 0, 0, 0, 0, 0], "safetensors.truncated"),
    Case("no header", file(""), "safetensors.header-length"),
    Case("header past the end", file("{}", headerLength: 3), "safetensors.header-length"),
    Case("negative header", file("{}", headerLength: -1), "safetensors.header-length"),
    Case(
      "huge header", file("{" + String(repeating: " ", count: 100_000_000)),
      "safetensors.header-length"),
    Case("not UTF-8", [3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0xFF, 0x7D], "json.utf8"),
    Case("byte order mark", file("\u{FEFF}{}"), "json.byte-order-mark"),
    Case("array root", file("[]"), "safetensors.header"),
    Case("NUL padding", file("{}\0\0"), "json.trailing"),
    Case("second value", file("{}{}"), "json.trailing"),
    Case("lone surrogate", file("{\(tensor("\\ud800", 0, 1))}", data: 1), "json.surrogate"),
    Case("gap", file("{\(tensor("a", 0, 1)),\(tensor("b", 2, 3))}", data: 3), "safetensors.gap"),
    Case(
      "overlap", file("{\(tensor("a", 0, 2)),\(tensor("b", 1, 3))}", data: 3),
      "safetensors.overlap"),
    Case(
      "one range twice", file("{\(tensor("a", 0, 2)),\(tensor("b", 0, 2))}", data: 2),
      "safetensors.overlap"),
    Case("first offset", file("{\(tensor("a", 1, 2))}", data: 2), "safetensors.gap"),
    Case("trailing byte", file("{\(tensor("a", 0, 2))}", data: 3), "safetensors.trailing-bytes"),
    Case("trailing byte of nothing", file("{}", data: 1), "safetensors.trailing-bytes"),
    Case("short file", file("{\(tensor("a", 0, 2))}", data: 1), "safetensors.truncated"),
    Case("end before begin", file("{\(tensor("a", 2, 0))}", data: 2), "safetensors.shape"),
    Case(
      "end before begin, empty", file("{\(tensor("a", 2, 0, shape: "[0]"))}", data: 2),
      "safetensors.offsets"),
    Case("wrong size", file("{\(tensor("a", 0, 2, shape: "[3]"))}", data: 2), "safetensors.size"),
    Case(
      "overflow hidden by a zero",
      file("{\(tensor("a", 0, 0, shape: "[4611686018427387904,4,0]"))}"), "tensor.shape"),
    Case(
      "overflow after a zero",
      file("{\(tensor("a", 0, 0, shape: "[0,4611686018427387904,4]"))}"), "tensor.shape"),
    Case(
      "size beyond 63 bits", file("{\(tensor("a", 0, 0, shape: "[\(big),\(big),0]"))}"),
      "safetensors.shape"),
    Case("negative size", file("{\(tensor("a", 0, 0, shape: "[-1]"))}"), "safetensors.shape"),
    Case("minus zero", file("{\(tensor("a", 0, 0, shape: "[-0]"))}"), "safetensors.shape"),
    Case(
      "float size", file("{\(tensor("a", 0, 1, shape: "[1.0]"))}", data: 1), "safetensors.shape"),
    Case("no shape", file(#"{"a":{"dtype":"U8","data_offsets":[0,0]}}"#), "safetensors.shape"),
    Case("no dtype", file(#"{"a":{"shape":[0],"data_offsets":[0,0]}}"#), "safetensors.dtype"),
    Case("no offsets", file(#"{"a":{"shape":[0],"dtype":"U8"}}"#), "safetensors.offsets"),
    Case("record as array", file(#"{"a":["U8",[0],[0,0]]}"#), "safetensors.dtype"),
    Case(
      "three offsets", file(#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}"#),
      "safetensors.offsets"),
    Case(
      "float offset", file(#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0.0]}}"#),
      "safetensors.offsets"),
    Case(
      "duplicate name", file("{\(tensor("a", 0, 1)),\(tensor("a", 0, 1))}", data: 1),
      "json.duplicate"),
    Case(
      "duplicate name, escaped", file("{\(tensor("a", 0, 1)),\(tensor("\\u0061", 0, 1))}", data: 1),
      "json.duplicate"),
    Case("duplicate metadata", file(#"{"__metadata__":{},"__metadata__":{}}"#), "json.duplicate"),
    Case("duplicate pair", file(#"{"__metadata__":{"a":"1","a":"1"}}"#), "json.duplicate"),
    Case(
      "duplicate inner key",
      file(#"{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#),
      "json.duplicate"),
    Case("metadata number", file(#"{"__metadata__":{"a":1}}"#), "safetensors.metadata"),
    Case("metadata nested", file(#"{"__metadata__":{"a":{}}}"#), "safetensors.metadata"),
    Case("metadata list", file(#"{"__metadata__":[]}"#), "safetensors.metadata"),
    Case(
      "lower-case dtype", file("{\(tensor("a", 0, 4, dtype: "f32", shape: "[1]"))}", data: 4),
      "safetensors.dtype"),
    Case(
      "unknown dtype", file("{\(tensor("a", 0, 16, dtype: "C128", shape: "[1]"))}", data: 16),
      "safetensors.dtype"),
    Case(
      "half a byte", file("{\(tensor("a", 0, 1, dtype: "F4", shape: "[1]"))}", data: 1),
      "safetensors.size"),
    Case(
      "malformed before unsupported",
      file("{\(tensor("a", 0, 8, dtype: "C64", shape: "[1]")),\(tensor("b", 9, 9))}", data: 8),
      "safetensors.gap"),
  ]

  @Test(arguments: refused) func refuses(item: Case) {
    do {
      _ = try Safetensors.read(MemorySource(item.bytes))
      Issue.record("accepted")
    } catch {
      #expect((error as? RecurrentError)?.kind == .damaged)
      #expect((error as? RecurrentError)?.reason.code == item.result)
    }
  }

  @Test(arguments: [
    ("F4", 2, "[4]"), ("F6_E2M3", 3, "[4]"), ("F6_E3M2", 3, "[2,2]"), ("F8_E5M2", 1, "[1]"),
    ("F8_E4M3", 1, "[1]"), ("F8_E8M0", 1, "[1]"), ("F8_E4M3FNUZ", 1, "[1]"),
    ("F8_E5M2FNUZ", 1, "[1]"), ("C64", 8, "[1]"),
  ])
  func typesWithoutAnEquivalentAreUnsupported(dtype: String, size: Int, shape: String) {
    let bytes = Self.file(
      "{\(Self.tensor("odd", 0, size, dtype: dtype, shape: shape))}", data: size)
    do {
      _ = try Safetensors.read(MemorySource(bytes))
      Issue.record("accepted")
    } catch {
      #expect((error as? RecurrentError)?.kind == .unsupported)
      #expect((error as? RecurrentError)?.place == "tensor \"odd\"")
    }
  }

  @Test(arguments: ["", "\0\0\0\0\0\0\0\0{}", "PK\u{3}\u{4}aaaaaaaaaaa", "\u{89}HDF\r\n\u{1A}\n{}"])
  func doesNotRecognizeOtherFiles(text: String) {
    #expect(!Safetensors.recognizes(MemorySource(Array(text.utf8))))
  }
}
