import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// The names in a pickled state dict, and keys that lead to one inside another.
@Suite("Names in a pickled state dict are text, and keys lead to one inside another")
struct PickledNamesTests {
  private static func text(_ string: String) -> [UInt8] {
    [0x8C, UInt8(string.utf8.count)] + string.utf8
  }

  private func pickled(_ body: [UInt8], _ others: [(Name, [UInt8])] = []) throws -> MemorySource {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    try zip.add("m/data.pkl", [MemorySource([0x80, 2] + body + Array(".".utf8))])
    try zip.add("m/version", [MemorySource(Array("3\n".utf8))])
    for (name, bytes) in others { try zip.add(name, [MemorySource(bytes)]) }
    try zip.finish()
    return MemorySource(sink.bytes)
  }

  /// Two elements of the storage 0, of eight bytes.
  private static func tensor(_ storage: String = "FloatStorage") -> [UInt8] {
    Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + text("storage")
      + Array("ctorch\n\(storage)\n".utf8) + text("0") + text("cpu")
      + Array("K\u{2}tQK\0K\u{2}".utf8) + [0x85] + Array("K\u{1}".utf8) + [0x85, 0x89]
      + Array("ccollections\nOrderedDict\n)RtR".utf8)
  }

  @Test func namesOfTensorsAreText() throws {
    let data = [(Name("m/data/0"), [UInt8](0..<8))]
    func file(_ key: [UInt8]) throws -> StateDict {
      try PyTorchFile.read(
        pickled(Array("}".utf8) + key + Self.tensor() + Array("s".utf8), data))
    }
    #expect(try file(Self.text("w"))["w"]?.bytes() == [UInt8](0..<8))
    let error = #expect(throws: RecurrentError.self) {
      try file(Array("X".utf8) + [2, 0, 0, 0, 0xC3, 0x28])
    }
    #expect(error?.reason.code == "pt.name")
    // A number for a name: nothing that a state dict holds.
    let skipped = try file([0x4B, 5]).skipped
    #expect(skipped.count == 1 && skipped[0].contains("a tensor"))
    #expect(
      reason { _ = try PyTorchFile.read(pickled(Array("}".utf8), [("m/byteorder", [1])])) }
        == "pt.byteorder")
    #expect(reason { _ = try PyTorchFile.read(MemorySource([])) } != nil)
  }

  @Test func keysLeadToDicts() throws {
    let data = [(Name("m/data/0"), [UInt8](0..<8))]
    let inner = Array("}".utf8) + Self.text("w") + Self.tensor() + Array("s".utf8)
    let middle = Array("}".utf8) + Self.text("net") + inner + Array("s".utf8)
    let body =
      Array("}".utf8) + Self.text("best") + middle + Array("s".utf8) + Self.text("best.net") + inner
      + Array("s".utf8) + Self.text("epoch") + [0x4B, 3] + Array("s".utf8)
    func names(_ key: String?) throws -> [Name] {
      try PyTorchFile.read(pickled(body, data), key: key).names
    }
    #expect(reason { _ = try names(nil) } == "pt.key")
    #expect(try names("best.net") == ["w"])
    #expect(reason { _ = try names("best.other") } == "pt.key")
    #expect(reason { _ = try names("epoch") } == "pt.key")
    let nested = Array("}".utf8) + Self.text("best") + middle + Array("s".utf8)
    #expect(try PyTorchFile.read(pickled(nested, data), key: "best.net").names == ["w"])
  }
}
