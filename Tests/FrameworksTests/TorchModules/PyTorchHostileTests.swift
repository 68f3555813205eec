import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// Files that old layouts and object graphs allow and nobody writes in good faith.
@Suite("Old layouts and object graphs that nobody writes in good faith are refused")
struct PyTorchHostileTests {
  private func zip(_ entries: [(String, String)]) throws -> MemorySource {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    for (name, text) in entries { try zip.add(Name(name), [MemorySource(Array(text.utf8))]) }
    try zip.finish()
    return MemorySource(sink.bytes)
  }

  private func pickled(_ body: [UInt8], _ others: [(String, String)] = []) throws -> MemorySource {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    try zip.add("m/data.pkl", [MemorySource([0x80, 2] + body)])
    try zip.add("m/version", [MemorySource(Array("3\n".utf8))])
    for (name, text) in others { try zip.add(Name(name), [MemorySource(Array(text.utf8))]) }
    try zip.finish()
    return MemorySource(sink.bytes)
  }

  private func read(_ source: MemorySource) -> String? {
    reason { _ = try contents(PyTorchFile.read(source)) }
  }

  @Test func modulesInCirclesAreRefused() throws {
    let object = Array("c__torch__\nM\n)".utf8) + [0x81]
    let key = Array("X\u{1}\0\0\0a".utf8)
    let build = Array("sb".utf8)
    // A module that contains itself.
    let circle = object + Array("q\0}".utf8) + key + Array("h\0".utf8) + build + Array(".".utf8)
    #expect(read(try pickled(circle)) == "pt.modules")
    // Each module contains the one before twice: 2^40 modules.
    var laughs = object + Array("}bq\0".utf8) + Array("0".utf8)
    for level in 1...40 {
      let inner = [UInt8(ascii: "h"), UInt8(level - 1)]
      laughs += object + Array("}(".utf8) + key + inner + Array("X\u{1}\0\0\0b".utf8) + inner
      laughs += Array("ubq".utf8) + [UInt8(level)] + Array("0".utf8)
    }
    #expect(read(try pickled(laughs + Array("h(.".utf8))) == "pt.modules")
    // Quantised weights are inside objects that only PyTorch understands.
    let packed = Array("c__torch__.torch.classes.rnn\nCell\n)".utf8) + [0x81] + Array("}b.".utf8)
    #expect(read(try pickled(packed)) == "pt.object")
    let empty = object + Array("}b.".utf8)
    let script = ("m/constants.pkl", ".")
    #expect(read(try pickled(empty, [script])) == "pt.torchscript")
    let code = String(repeating: " ", count: 16 << 20 + 1)
    #expect(read(try pickled(empty, [script, ("m/code/a.py", code)])) == "pt.torchscript")
  }

  @Test func classesOfStrangersAreOnlyNames() throws {
    // A container id names a class; the value is that name.
    let body = Array("}X\u{1}\0\0\0c(X\u{6}\0\0\0modulecposix\nsystem\nX\u{1}\0\0\0fNtQs.".utf8)
    #expect(try PyTorchFile.read(pickled(body)).skipped == ["c = the name posix system"])
  }

  @Test func viewsOfStoragesStayInside() throws {
    func file(_ view: String) throws -> MemorySource {
      var body = Array("}X\u{1}\0\0\0wctorch._utils\n_rebuild_tensor\n((X\u{7}\0\0\0storage".utf8)
      body += Array("ctorch\nFloatStorage\nX\u{1}\0\0\00X\u{3}\0\0\0cpuK\u{2}\(view)tQK\0".utf8)
      body += Array("K\u{1}".utf8) + [0x85] + Array("K\u{1}".utf8) + [0x85] + Array("tRs.".utf8)
      return try pickled(body, [("m/data/0", "abcdefgh")])
    }
    #expect(try PyTorchFile.read(file("N"))["w"]?.bytes() == Array("abcd".utf8))
    #expect(try PyTorchFile.read(file("(NK\u{1}K\u{1}t"))["w"]?.bytes() == Array("efgh".utf8))
    for view in [
      "(NK\u{1}K\u{2}t", "(NK\u{3}K\0t", "(NJ\u{7F}\u{7F}\u{7F}\u{7F}K\u{1}t", "(K\u{1}t",
    ] {
      #expect(read(try file(view)) == "pt.storage")
    }
    #expect(read(try file("(NK\u{2}K\0t")) == "tensor.outside-storage")
  }

  @Test func stackedPicklesWithLiesAreRefused() throws {
    let good = try Golden.bytes("pt-legacy/storage-view.pt")
    let tail = good.count - 8 - 40
    func changed(_ index: Int, _ byte: UInt8) -> MemorySource {
      var bytes = good
      bytes[index] = byte
      return MemorySource(bytes)
    }
    #expect(read(MemorySource(good)) == nil)
    #expect(read(changed(tail, 11)) == "pt.legacy")
    #expect(read(changed(tail + 7, 0xFF)) == "pt.legacy")
    #expect(read(changed(tail, 9)) == "pt.trailing-bytes")
    // The list of storages names one that nobody uses.
    let key = try #require(good[..<tail].lastIndex(of: UInt8(ascii: "7")))
    #expect(read(changed(key, UInt8(ascii: "8"))) == "pt.legacy")
  }

  /// The golden tar file with bytes of a header replaced and its checksum corrected.
  private func tar(_ header: Int, _ offset: Int, _ text: [UInt8]) throws -> MemorySource {
    var bytes = try Golden.bytes("pt-legacy/tar-views.pt")
    bytes.replaceSubrange(header + offset..<header + offset + text.count, with: text)
    for index in 148..<156 { bytes[header + index] = 0x20 }
    let sum = bytes[header..<header + 512].reduce(0) { $0 + Int($1) }
    let digits = String(sum, radix: 8)
    let field = String(repeating: "0", count: 6 - digits.count) + digits + "\0"
    bytes.replaceSubrange(header + 148..<header + 155, with: field.utf8)
    return MemorySource(bytes)
  }

  @Test func tarArchivesWithLiesAreRefused() throws {
    #expect(read(try tar(0, 0, Array("s".utf8))) == nil)
    #expect(read(try tar(0, 0, Array("z".utf8))) == "pt.tar")
    #expect(read(try tar(0, 156, Array("2".utf8))) == "tar.kind")
    #expect(read(try tar(0, 124, Array("77777777777".utf8))) == "tar.malformed")
    #expect(read(try tar(0, 124, Array("-0000000001".utf8))) == "tar.malformed")
    var bytes = try Golden.bytes("pt-legacy/tar-views.pt")
    bytes[0] ^= 1
    #expect(read(MemorySource(bytes)) == "tar.malformed")
    bytes[0] ^= 1
    bytes[bytes.count - 1] = 1
    #expect(read(MemorySource(bytes)) == "tar.malformed")
  }

  @Test func exportedProgramsWithLiesAreRefused() throws {
    func read(_ weight: String, config: Bool = true) throws -> String? {
      var entries = [("e/archive_format", "pt2"), ("e/data/weights/w", "abcdefgh")]
      if config {
        entries.append(
          ("e/data/weights/model_weights_config.json", #"{"config": {"w": \#(weight)}}"#))
      }
      return self.read(try zip(entries))
    }
    func weight(
      _ dtype: String = "7", size: Int = 2, stride: Int = 1, offset: Int = 0, path: String = "w",
      pickle: Bool = false
    ) -> String {
      #"""
      {"path_name": "\#(path)", "use_pickle": \#(pickle), "tensor_meta": {"dtype": \#(dtype),
       "sizes": [{"as_int": \#(size)}], "strides": [{"as_int": \#(stride)}],
       "storage_offset": {"as_int": \#(offset)}}}
      """#
    }
    #expect(try read(weight()) == nil)
    #expect(try read(weight(), config: false) == "pt.pt2")
    #expect(try read(weight(pickle: true)) == "pt.pt2")
    #expect(try read(weight("9")) == "pt.dtype")
    #expect(try read(weight(path: "../w")) == "pt.pt2")
    #expect(try read(weight(size: -1)) == "pt.pt2")
    #expect(try read(weight(offset: -1)) == "pt.pt2")
    #expect(try read(weight(size: 3)) == "tensor.outside-storage")
    #expect(try read(weight(offset: 1)) == "tensor.outside-storage")
    #expect(try read(weight(size: 1 << 40, stride: 0)) == "pt.pt2")
    #expect(try read("7") == "pt.pt2")
    #expect(try read("{") == "json.truncated")
  }

  @Test func arraysCannotMultiply() throws {
    // One string of 4000 bytes, and arrays that all show it.
    var body = Array("}(".utf8)
    let type = "cnumpy\ndtype\nX\u{2}\0\0\0u1".utf8 + [0x85] + "R(K\u{3}X\u{1}\0\0\0|tb".utf8
    for number in 0..<100 {
      body += Array("X\u{2}\0\0\0".utf8) + Array(String(number + 10).utf8.prefix(2))
      if number >= 90 { body[body.count - 1] = UInt8(number) }
      body += Array("cnumpy.core.multiarray\n_reconstruct\n)R(K\u{1}M".utf8) + [0xA0, 0x0F, 0x85]
      body += type + [0x89]
      if number == 0 {
        body += [UInt8(ascii: "B"), 0xA0, 0x0F, 0, 0] + [UInt8](repeating: 7, count: 4000)
        body += Array("q\0".utf8)
      } else {
        body += Array("h\0".utf8)
      }
      body += Array("tb".utf8)
    }
    #expect(read(try pickled(body + Array("u.".utf8))) == "pt.expansion")
  }
}
