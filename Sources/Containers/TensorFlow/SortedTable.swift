// The sorted string table of LevelDB, in which TensorFlow keeps the index of a checkpoint:
//
//   …     blocks, each followed by one byte of compression (0 none, 1 snappy) and a masked CRC-32C
//         of block and compression byte, u32
//   -48   footer: offset and size of the meta index block, offset and size of the index block, all
//         varints, filled up with zeros to 40 bytes; then the magic number, u64
//
//   block: entries, then u32 restart offsets, then their number, u32
//   entry: varint bytes shared with the key before, varint bytes of key that follow, varint bytes of
//          value, key bytes, value bytes
//
// The values of the index block are offset and size of a data block. Integers are little-endian.

import Bytes
import Tensors

/// Reads all entries of a sorted string table.
package enum SortedTable {
  package static let magic: [UInt8] = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]
  private static let footerLength = 48
  private static let maximumKeyLength = 1024
  private static let maximumEntries = 500_000
  /// Keys share their beginnings in the file but not in memory.
  private static let maximumKeyBytes = 64 << 20

  /// One key with its value.
  package typealias Entry = (key: [UInt8], value: ArraySlice<UInt8>)

  package static func recognizes(_ source: any ByteSource) -> Bool {
    guard source.count >= footerLength else { return false }
    return (try? source.read(source.count - magic.count..<source.count)) == magic
  }

  /// All entries in order of their keys.
  ///
  /// Throws `tf.index` for a broken structure, `tf.crc` for damage, `tf.snappy` for compression.
  package static func read(_ source: any ByteSource) throws -> [Entry] {
    guard recognizes(source) else { throw error("no table footer", at: source.count) }
    let end = source.count - footerLength
    let footer = try source.read(end..<source.count - magic.count)
    var rest = ByteReader(footer)
    _ = try handle(&rest)
    let index = try handle(&rest)
    var result: [Entry] = []
    var (used, keyBytes) = (0, 0)
    for block in try entries(in: block(source, index, end)) {
      var value = ByteReader(block.value)
      let place = try handle(&value)
      // Blocks that share bytes would let a small file fill the memory.
      used += place.size
      guard used <= end else { throw error("data blocks that overlap", at: place.offset) }
      let before = result.count
      result += try entries(in: Self.block(source, place, end))
      keyBytes += result.suffix(from: before).reduce(0) { $0 + $1.key.count }
      guard result.count <= maximumEntries, keyBytes <= maximumKeyBytes else {
        throw error("keys of \(keyBytes) bytes in \(result.count) entries", at: place.offset)
      }
    }
    return result
  }

  private static func handle(_ bytes: inout ByteReader) throws -> (offset: Int, size: Int) {
    guard let offset = bytes.varint().flatMap(Int.init(exactly:)),
      let size = bytes.varint().flatMap(Int.init(exactly:))
    else { throw error("a broken block address", at: nil) }
    return (offset, size)
  }

  private static func block(
    _ source: any ByteSource, _ place: (offset: Int, size: Int), _ end: Int
  ) throws -> [UInt8] {
    // The trailer of five bytes follows the block.
    guard place.size <= end - 5, place.offset <= end - 5 - place.size else {
      throw error("a block of \(place.size) bytes at \(place.offset)", at: place.offset)
    }
    var bytes = try source.read(place.offset..<place.offset + place.size + 5)
    var sum = CRC32C()
    bytes[..<(place.size + 1)].withUnsafeBytes { sum.add($0) }
    let stored = UInt32(littleEndian: bytes[(place.size + 1)...].prefix(4))
    guard isRight(stored, for: sum.masked) else {
      throw RecurrentError(
        .tensorFlowCRC, at: "index block at byte \(place.offset)",
        found: "bytes whose CRC-32C is not the stored one", expected: "an undamaged index",
        hint: "The file is damaged; fetch or save it again.")
    }
    guard bytes[place.size] == 0 else {
      throw RecurrentError(
        .tensorFlowSnappy, at: "index block at byte \(place.offset)",
        found: "a compressed index", expected: "an uncompressed one, as TensorFlow writes it")
    }
    bytes.removeLast(5)
    return bytes
  }

  private static func entries(in block: [UInt8]) throws -> [Entry] {
    guard block.count >= 4 else { throw error("a block of \(block.count) bytes", at: nil) }
    let restarts = Int(UInt32(littleEndian: block.suffix(4)))
    guard restarts <= (block.count - 4) / 4 else {
      throw error("a block with \(restarts) restarts", at: nil)
    }
    var rest = ByteReader(block[..<(block.count - 4 - 4 * restarts)])
    var result: [Entry] = []
    var key: [UInt8] = []
    var keyBytes = 0
    while rest.count > 0 {
      guard let shared = rest.varint(), let fresh = rest.varint(), let length = rest.varint(),
        shared <= UInt64(key.count), fresh <= UInt64(maximumKeyLength),
        length <= UInt64(rest.count), let suffix = try? rest.take(Int(fresh)),
        let value = try? rest.take(Int(length))
      else { throw error("a broken entry", at: nil) }
      key.removeLast(key.count - Int(shared))
      key += suffix
      guard key.count <= maximumKeyLength else {
        throw error("a key of \(key.count) bytes", at: nil)
      }
      result.append((key, value))
      keyBytes += key.count
      guard result.count <= maximumEntries, keyBytes <= maximumKeyBytes else {
        throw error("keys of \(keyBytes) bytes in \(result.count) entries", at: nil)
      }
    }
    return result
  }

  private static func error(_ found: String, at offset: Int?) -> RecurrentError {
    RecurrentError(
      .tensorFlowIndex, at: offset.map { "byte \($0)" }, found: found,
      expected: "a sorted string table")
  }
}
