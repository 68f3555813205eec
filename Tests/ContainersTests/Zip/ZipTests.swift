import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Tensors

@Suite("A zip archive cut or changed anywhere is an error, not a crash")
struct ZipTests {
  private func archive(limit: UInt64 = 0xFFFF_FFFF) throws -> [UInt8] {
    let sink = MemorySink()
    var zip = ZipWriter(sink, limit: limit)
    try zip.add("a/first", [MemorySource([1, 2, 3])], alignment: 64)
    try zip.add("größe", [MemorySource([4, 5]), MemorySource([6, 7, 8])])
    try zip.add("empty", [], alignment: 64)
    try zip.add("last", [MemorySource(Array(0..<200))], alignment: 64)
    try zip.finish()
    return sink.bytes
  }

  @Test(arguments: [0xFFFF_FFFF, 100, 0] as [UInt64])
  func writtenArchivesReadBack(limit: UInt64) throws {
    let zip = try ZipArchive(MemorySource(archive(limit: limit)))
    #expect(zip.entries.map(\.name) == ["a/first", "größe", "empty", "last"])
    let read = try zip.entries.map { try zip.source(of: $0).readAll() }
    #expect(read == [[1, 2, 3], [4, 5, 6, 7, 8], [], Array(0..<200)])
    #expect(zip.entries.filter { $0.name != "größe" }.allSatisfy { $0.dataOffset % 64 == 0 })
  }

  @Test func manyEntriesNeedZIP64() throws {
    let sink = MemorySink()
    var writer = ZipWriter(sink)
    for index in 0..<65_600 { try writer.add("\(index)", [MemorySource([UInt8(index & 255)])]) }
    try writer.finish()
    let zip = try ZipArchive(MemorySource(sink.bytes))
    #expect(zip.entries.count == 65_600)
    let last = try #require(zip["65599"])
    #expect(try zip.source(of: last).readAll() == [63])
  }

  @Test func truncationsAreRefused() throws {
    let bytes = try archive()
    for length in 0..<bytes.count {
      #expect(reason { _ = try ZipArchive(MemorySource(Array(bytes[..<length]))) } != nil)
    }
  }

  @Test func surplusBytesAreRefused() throws {
    let bytes = try archive()
    #expect(reason { _ = try ZipArchive(MemorySource(bytes + [0])) } == "zip.end")
    #expect(reason { _ = try ZipArchive(MemorySource([0] + bytes)) } == "zip.directory")
    #expect(reason { _ = try ZipArchive(MemorySource(bytes + bytes)) } == "zip.directory")
  }

  @Test func damagedContentNamesItsEntry() throws {
    var bytes = try archive()
    let last = try #require(try ZipArchive(MemorySource(bytes))["last"])
    bytes[last.dataOffset + 150] ^= 1
    let zip = try ZipArchive(MemorySource(bytes))
    let source = try zip.source(of: last)
    let error = #expect(throws: RecurrentError.self) { _ = try source.read(0..<1) }
    #expect(error?.reason.code == "zip.crc")
    #expect(error?.place == "entry \"last\" at byte \(last.dataOffset)")
    #expect(error?.kind == .damaged)
  }

  @Test func duplicatesAndUnsafeNamesAreRefused() throws {
    var writer = ZipWriter(MemorySink())
    try writer.add("x", [])
    for (name, expected) in [
      ("x", "zip.duplicate"), ("../x", "zip.name"), ("/x", "zip.name"), ("a/../x", "zip.name"),
      ("a\\x", "zip.name"), ("a\0", "zip.name"), ("", "zip.name"),
    ] {
      #expect(reason { try writer.add(Name(name), []) } == expected)
    }
    // The same on reading: rename "b" to "a" in both of its headers.
    let sink = MemorySink()
    var two = ZipWriter(sink)
    try two.add("a", [MemorySource([1])])
    try two.add("b", [MemorySource([1])])
    try two.finish()
    let bytes = sink.bytes.map { $0 == UInt8(ascii: "b") ? UInt8(ascii: "a") : $0 }
    #expect(reason { _ = try ZipArchive(MemorySource(bytes)) } == "zip.duplicate")
    let dots = sink.bytes.map { $0 == UInt8(ascii: "b") ? UInt8(ascii: "\\") : $0 }
    #expect(reason { _ = try ZipArchive(MemorySource(dots)) } == "zip.name")
  }

  @Test func contradictingHeadersAreRefused() throws {
    let bytes = try archive()
    let changes: [(at: Int, reason: String)] = [
      (6, "zip.contradiction"), (8, "zip.contradiction"), (14, "zip.contradiction"),
      (18, "zip.contradiction"), (22, "zip.contradiction"), (30, "zip.contradiction"),
      (0, "zip.layout"), (28, "zip.layout"),
    ]
    for change in changes {
      var copy = bytes
      copy[change.at] ^= 1
      #expect(reason { _ = try ZipArchive(MemorySource(copy)) } == change.reason, "\(change.at)")
    }
  }

  @Test func overlapsAndLyingSizesAreRefused() throws {
    let bytes = try archive()
    let directory = try #require(
      (0..<bytes.count - 4).first { Array(bytes[$0..<$0 + 4]) == [0x50, 0x4B, 1, 2] })
    // Offset of the first record, then its sizes, encryption and method.
    for (field, value, expected) in [
      (42, 5, "zip.layout"), (24, 4, "zip.size"), (8, 1, "zip.encrypted"), (10, 12, "zip.method"),
    ] as [(Int, UInt8, String)] {
      var copy = bytes
      copy[directory + field] = value
      #expect(reason { _ = try ZipArchive(MemorySource(copy)) } == expected)
    }
    var huge = bytes
    for field in [20, 24] { for byte in 0..<4 { huge[directory + field + byte] = 0xFE } }
    #expect(reason { _ = try ZipArchive(MemorySource(huge)) } == "zip.layout")
  }

  @Test("A tensor that is written by tiles has the checksum of its bytes in order")
  func tiledEntriesHaveTheChecksumOfTheirBytes() throws {
    try withTemporaryFolder { directory in
      let (lines, width) = (151, 15_003)
      let bytes = (0..<lines * width * 8).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
      let tiled = try StridedSource(
        MemorySource(bytes), elementSize: 8, shape: [lines, width], strides: [1, lines], offset: 0)
      #expect(tiled.isTiled)
      // As an archive it has the checksum of its bytes in order.
      let sink = try OutputFile(path: directory + "/out.zip", overwrite: false)
      var zip = ZipWriter(sink)
      try zip.add("matrix", [MemorySource([1, 2, 3]), tiled])
      try zip.finish()
      try sink.publish()
      let archive = try ZipArchive(InputFile(path: directory + "/out.zip"))
      let entry = try #require(archive.entries.first)
      #expect(try archive.source(of: entry).readAll() == [1, 2, 3] + tiled.readAll())
    }
  }
}
