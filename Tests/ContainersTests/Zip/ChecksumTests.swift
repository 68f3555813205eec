import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("Checksums of zip entries")
struct ChecksumTests {
  private func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 31 &+ $0 >> 7) }
  }

  /// The definition, bit by bit.
  private func crc(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { value, byte in
      (0..<8).reduce(value ^ UInt32(byte)) { value, _ in
        value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1
      }
    }
  }

  @Test("Any length, in one piece and in two")
  func checksums() {
    for count in [0, 1, 15, 16, 63, 64, 65, 127, 128, 129, 1000, 4096, 70_001] {
      let bytes = bytes(count)
      for cut in Set([0, 1, 64, 65, count / 2, count]) where cut <= count {
        var checksum = ZipChecksum()
        bytes[..<cut].withUnsafeBytes { checksum.add($0) }
        bytes[cut...].withUnsafeBytes { checksum.add($0) }
        #expect(checksum.value == crc(bytes), "\(count) bytes, cut at \(cut)")
      }
    }
  }

  @Test("Runs in any order")
  func runs() {
    let bytes = bytes(70_001)
    let cuts = [0, 1, 17, 4096, 4097, 30_000, 70_001]
    var runs = zip(cuts, cuts.dropFirst()).map { $0..<$1 }
    for _ in 0..<20 {
      var checksum = ZipRunsChecksum(count: bytes.count)
      for run in runs { bytes[run].withUnsafeBytes { checksum.add($0, at: run.lowerBound) } }
      #expect(checksum.value == crc(bytes), "\(runs)")
      runs.shuffle()
    }
    #expect(ZipRunsChecksum(count: 0).value == 0)
  }

  private func archive(_ content: [UInt8]) throws -> [UInt8] {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    try zip.add("large", [MemorySource(content)])
    try zip.finish()
    return sink.bytes
  }

  @Test("Damage of a large entry is found at the end of reading forwards, or before other reading")
  func damage() throws {
    let content = bytes(1_000_003)
    var damaged = try archive(content)
    damaged[900_000] ^= 1
    for bytes in [try archive(content), damaged] {
      let isDamaged = bytes == damaged
      let zip = try ZipArchive(MemorySource(bytes))
      let entry = try #require(zip["large"])
      let expected = isDamaged ? "zip.crc" : nil
      // A header first, as of an array; in pieces; all at once; from the middle on.
      var source = try zip.source(of: entry)
      #expect(reason { _ = try source.read(0..<10) } == expected)
      #expect(reason { _ = try source.read(0..<10) } == expected)
      source = try zip.source(of: entry)
      var read: [UInt8] = []
      #expect(reason { try source.forEachChunk { read += $0 } } == expected)
      #expect((read == content) == !isDamaged)
      source = try zip.source(of: entry)
      #expect(reason { _ = try source.readAll() } == expected)
      source = try zip.source(of: entry)
      _ = try source.read(0..<100_000)
      #expect(reason { _ = try source.read(500_000..<500_001) } == expected)
      #expect(reason { _ = try source.readAll() } == expected)
    }
  }
}
