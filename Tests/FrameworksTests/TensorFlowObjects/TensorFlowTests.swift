import Bytes
import Foundation
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("TensorFlow's checkpoints are read; damage is an error, not a crash")
struct TensorFlowTests {
  private func open(_ name: String) throws -> StateDict {
    try WeightFile(path: Checkout.golden("tensorflow/" + name)).state
  }

  @Test func checkpointsOfTensorFlowAreRead() throws {
    let files = try Golden.decode([String: Golden.Expectation].self, "tensorflow/expected.json")
    #expect(files.count == 4)
    for (file, expected) in files {
      let state = try open(file)
      var sorted = StateDict()
      for entry in state.entries.sorted(by: { $0.name < $1.name }) {
        try sorted.append(entry.name, entry.tensor)
      }
      #expect(try Golden.differences(sorted, from: expected) == [], "\(file)")
      #expect(state.skipped == expected.skipped, "\(file)")
    }
  }

  @Test func whatIsInSlicesIsRefused() {
    #expect(
      reason { _ = try WeightFile(path: Checkout.refused("tensorflow/partitioned.index")) }
        == "tf.partitioned")
  }

  @Test func theIndexNeedsItsNameAndItsShards() throws {
    let folder = URL(fileURLWithPath: try newFolder())
    defer { remove(folder.path) }
    let index = URL(fileURLWithPath: Checkout.golden("tensorflow/tf1.index"))
    for name in ["alone.index", "other.ckpt"] {
      try FileManager.default.copyItem(at: index, to: folder.appendingPathComponent(name))
    }
    func failure(_ name: String) -> String? {
      reason { _ = try WeightFile(path: folder.appendingPathComponent(name).path) }
    }
    #expect(failure("alone.index") == "file.missing")
    #expect(failure("other.ckpt") == "tf.name")
  }

  /// One data block with these entries, as TensorFlow's table builder would write it.
  private func table(
    _ entries: [(String, [UInt8])], compression: UInt8 = 0, restarts: UInt8 = 1
  ) -> [UInt8] {
    func block(_ entries: [(String, [UInt8])], _ compression: UInt8, _ restarts: UInt8) -> [UInt8] {
      var bytes: [UInt8] = []
      for (key, value) in entries {
        bytes += [0, UInt8(key.utf8.count), UInt8(value.count)] + Array(key.utf8) + value
      }
      bytes += [0, 0, 0, 0, restarts, 0, 0, 0, compression]
      return bytes + checksum(bytes)
    }
    let data = block(entries, compression, restarts)
    let index = block([("z", [0, UInt8(data.count - 5)])], 0, 1)
    let footer: [UInt8] = [0, 0, UInt8(data.count), UInt8(index.count - 5)]
    return data + index + footer + [UInt8](repeating: 0, count: 40 - footer.count)
      + SortedTable.magic
  }

  private func checksum(_ bytes: [UInt8]) -> [UInt8] {
    var sum = CRC32C()
    bytes.withUnsafeBytes { sum.add($0) }
    return withUnsafeBytes(of: sum.masked.littleEndian) { Array($0) }
  }

  private let header: (String, [UInt8]) = ("", [0x08, 1])

  /// A one-byte tensor of type u8 in shard 0.
  private func entry(shard: UInt8 = 0, offset: UInt8 = 0, type: UInt8 = 4, crc: [UInt8]? = nil)
    -> [UInt8]
  {
    [0x08, type, 0x12, 4, 0x12, 2, 0x08, 1, 0x18, shard, 0x20, offset, 0x28, 1, 0x35]
      + (crc ?? checksum([42]))
  }

  private func read(_ index: [UInt8], data: [UInt8] = [42]) throws -> StateDict {
    try TensorFlowCheckpoint.read(index: MemorySource(index)) { _, _ in MemorySource(data) }
  }

  @Test func theTestsOwnTableIsRead() throws {
    #expect(castagnoli("123456789") == 0xe306_9283)
    let state = try read(table([header, ("a/b", entry())]))
    #expect(try state["a.b"]?.bytes() == [42])
    // Big-endian shards.
    let swapped = try read(
      table([("", [0x08, 1, 0x10, 1]), ("a", [0x08, 5, 0x28, 2, 0x35] + checksum([1, 2]))]),
      data: [1, 2])
    #expect(try swapped["a"]?.bytes() == [2, 1])
  }

  private func castagnoli(_ text: String) -> UInt32 {
    var sum = CRC32C()
    Array(text.utf8).withUnsafeBytes { sum.add($0) }
    return sum.value
  }

  @Test func wrongIndexesAreRefused() throws {
    var damaged = table([header, ("a", entry())])
    damaged[5] ^= 1
    let short = Array(table([header]).suffix(48))
    let cases: [([UInt8], String)] = [
      (Array(table([header]).dropLast()), "tf.index"), (short, "tf.index"), (damaged, "tf.crc"),
      (table([header], compression: 1), "tf.snappy"), (table([header], restarts: 200), "tf.index"),
      (table([]), "tf.entry"), (table([("a", entry())]), "tf.entry"),
      (table([("", [0x08])]), "tf.entry"), (table([("", [0x08, 0])]), "tf.entry"),
      (table([header, ("a", [0x0f])]), "tf.entry"),
      (table([header, ("a", [0x12, 200])]), "tf.entry"),
      (table([header, ("a", entry(shard: 1))]), "tf.entry"),
      (table([header, ("a", entry(offset: 1))]), "file.truncated"),
      (table([header, ("a", [0x08, 4, 0x28, 2])]), "file.truncated"),
      (table([header, ("a", [0x08, 1, 0x28, 1])]), "tensor.size"),
      (
        table([
          header,
          (
            "a",
            [0x08, 4, 0x12, 13, 0x12, 11, 0x08]
              + [UInt8](repeating: 0xff, count: 9) + [1] + [0x28, 1]
          ),
        ]), "tensor.shape"
      ),
      (table([header, ("a", entry()), ("a", entry())]), "name.duplicate"),
      (table([header, (ObjectGraph.key, entry(type: 7))]), "tf.entry"),
    ]
    for (bytes, expected) in cases {
      #expect(reason { _ = try read(bytes) } == expected)
    }
    let wrong = try read(table([header, ("a", entry(crc: [1, 2, 3, 4]))]))
    #expect(reason { _ = try wrong["a"]?.bytes() } == "tf.crc")
    let graph: [UInt8] = [0x08, 7, 0x28, 5, 0x35, 9, 9, 9, 9]
    #expect(
      reason { _ = try read(table([header, (ObjectGraph.key, graph)]), data: [0, 0, 0, 0, 0]) }
        == "tf.crc")
  }

  @Test(arguments: ["keras3", "tf1"])
  func damageIsRefusedOrHarmless(name: String) throws {
    let index = try Golden.bytes("tensorflow/\(name).index")
    let data = try Golden.bytes("tensorflow/\(name).data-00000-of-00001")
    let whole = try contents(read(index, data: data))
    for position in stride(from: 0, to: index.count, by: name == "tf1" ? 1 : 17) {
      #expect(reason { _ = try read(Array(index[..<position]), data: data) } != nil)
      for bit: UInt8 in [0x01, 0x80] {
        var flipped = index
        flipped[position] ^= bit
        let result = reason {
          let read = try contents(read(flipped, data: data))
          #expect(read == whole)
        }
        #expect(result?.hasPrefix("foreign") != true)
      }
    }
    for position in stride(from: 0, to: data.count, by: 7) {
      var flipped = data
      flipped[position] ^= 4
      // Bytes of the optimizer are never read; all others are covered by a checksum.
      let result = reason {
        let read = try contents(read(index, data: flipped))
        #expect(read == whole)
      }
      #expect(result == nil || result?.hasPrefix("tf.") == true)
    }
  }
}
