import Bytes
import Tensors

/// The objects of a dense group or of dense attributes.
///
/// "FRHP" describes a table whose rows are blocks of doubling size; the small ones are "FHDB" blocks
/// of objects, the large ones "FHIB" tables again.
package struct HDF5FractalHeap {
  package let idSize: Int
  private let image: HDF5Image
  private let hugeTree: Int?
  private let offsetSize: Int
  private let lengthSize: Int
  private var blocks: [(start: Int, content: HDF5Cursor)] = []

  private struct Table {
    let header: Int
    let width: Int
    let startSize: Int
    let largest: Int
    let isChecked: Bool
    let offsetSize: Int

    func blockSize(_ row: Int) -> Int { row == 0 ? startSize : startSize << (row - 1) }
    func blockOffset(_ row: Int) -> Int { row == 0 ? 0 : startSize * width << (row - 1) }
  }

  package init(at address: Int, in image: HDF5Image) throws {
    self.image = image
    let headSize = 26 + 3 * image.offsetSize + 12 * image.lengthSize
    var head = try image.readOnce(address, count: headSize, "a fractal heap")
    try head.expect("FRHP")
    try head.expect(version: 0, of: "a fractal heap")
    idSize = try head.u16()
    guard try head.u16() == 0 else { throw head.outside("a fractal heap with filters") }
    let flags = try head.u8()
    let largestObject = try head.u32()
    try head.skip(image.lengthSize)
    hugeTree = try head.address()
    // Free space, its manager, and eight statistics have no bearing on what the heap holds.
    try head.skip(image.offsetSize + 9 * image.lengthSize)
    let width = try head.u16()
    let startSize = try head.length()
    let largest = try head.length()
    let offsetBits = try head.u16()
    try head.skip(2)
    let root = try head.address()
    let rows = try head.u16()
    try head.expectChecksum()
    guard width > 0, width & (width - 1) == 0, startSize >= 32, startSize & (startSize - 1) == 0,
      largest >= startSize, largest & (largest - 1) == 0, largest <= 1 << 31,
      (1...62).contains(offsetBits), idSize > 0
    else { throw head.damage("blocks of \(startSize) to \(largest) bytes", "powers of two") }
    offsetSize = (offsetBits + 7) / 8
    lengthSize = min(
      HDF5BTree2.encodedSize(largestObject), (largest.trailingZeroBitCount + 7) / 8)
    let table = Table(
      header: address, width: width, startSize: startSize, largest: largest,
      isChecked: flags & 2 != 0, offsetSize: offsetSize)
    if let root { try readBlocks(root: root, rows: rows, table, head) }
    blocks.sort { $0.start < $1.start }
  }

  private mutating func readBlocks(
    root: Int, rows: Int, _ table: Table, _ head: HDF5Cursor
  ) throws {
    let prefix = 5 + image.offsetSize + offsetSize
    let widthBits = table.width.trailingZeroBitCount
    let startBits = table.startSize.trailingZeroBitCount
    // Rows up to the largest block, and no block offset past 63 bits.
    let directRows = table.largest.trailingZeroBitCount - startBits + 2
    let mostRows = 62 - startBits - widthBits
    // `rows` is zero for a block of objects.
    var pending = [(address: root, start: 0, size: table.startSize, rows: rows)]
    while let block = pending.popLast() {
      try image.step()
      guard block.rows > 0 else {
        var cursor = try image.readOnce(block.address, count: block.size, "a heap block")
        try Self.check(&cursor, "FHDB", block.start, table)
        if table.isChecked { try checkBlock(block.address, size: block.size, prefix: prefix) }
        blocks.append((block.start, cursor))
        continue
      }
      guard block.rows <= mostRows else { throw head.damage("\(block.rows) rows", "fewer") }
      let size = prefix + block.rows * table.width * image.offsetSize + 4
      var cursor = try image.readOnce(block.address, count: size, "a heap block")
      try Self.check(&cursor, "FHIB", block.start, table)
      for row in 0..<block.rows {
        let blockSize = table.blockSize(row)
        for column in 0..<table.width {
          guard let child = try cursor.address() else { continue }
          let start = block.start + table.blockOffset(row) + column * blockSize
          let rows =
            row < directRows ? 0 : blockSize.trailingZeroBitCount - startBits - widthBits + 1
          guard rows >= 0, row < directRows || rows > 0 else {
            throw cursor.damage("a table of no rows", "rows")
          }
          pending.append((child, start, blockSize, rows))
        }
      }
      try cursor.expectChecksum()
    }
  }

  private static func check(
    _ cursor: inout HDF5Cursor, _ signature: String, _ start: Int, _ table: Table
  ) throws {
    try cursor.expect(signature)
    try cursor.expect(version: 0, of: "a heap block")
    guard try cursor.address() == table.header, try cursor.int(table.offsetSize) == start else {
      throw cursor.damage("a block of another heap or place", "offset \(start)")
    }
  }

  // The checksum is computed with zeros in its own place.
  private func checkBlock(_ address: Int, size: Int, prefix: Int) throws {
    var bytes = try image.source.read(image.base + address..<image.base + address + size)
    let stored = UInt32(littleEndian: bytes[prefix..<prefix + 4])
    bytes.replaceSubrange(prefix..<prefix + 4, with: [0, 0, 0, 0])
    let computed = hdf5Checksum(bytes[...])
    guard isRight(stored, for: computed) else {
      throw RecurrentError(
        .hdf5Checksum, at: "byte \(image.place(address + prefix))",
        found: "a checksum of \(String(stored, radix: 16))",
        expected: "\(String(computed, radix: 16)) for the block",
        hint: "The file is damaged; fetch or save it again.")
    }
  }

  /// The object behind an identifier of `idSize` bytes.
  package func object(_ id: HDF5Cursor) throws -> HDF5Cursor {
    var cursor = id
    let first = try cursor.u8()
    guard first & 0xC0 == 0 else { throw id.damage("a heap identifier of version 1", "version 0") }
    switch first >> 4 & 3 {
    case 0:
      let offset = try cursor.int(offsetSize)
      let length = try cursor.int(lengthSize)
      return try managed(offset, length, id)
    case 1: return try huge(cursor)
    case 2:
      guard idSize <= 17 else { throw id.outside("a heap with long identifiers") }
      return try cursor.part((first & 15) + 1)
    default: throw id.damage("a heap identifier of type 3", "0 to 2")
    }
  }

  private func managed(_ offset: Int, _ length: Int, _ id: HDF5Cursor) throws -> HDF5Cursor {
    var (low, high) = (0, blocks.count)
    while low < high {
      let middle = (low + high) / 2
      if blocks[middle].start <= offset { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { throw id.damage("offset \(offset) of a heap", "an offset in a block") }
    let block = blocks[low - 1]
    var content = try block.content.moved(to: offset - block.start)
    try image.charge(length)
    return try content.part(length)
  }

  // Records of the huge objects' tree: address · length · number.
  private func huge(_ id: HDF5Cursor) throws -> HDF5Cursor {
    var id = id
    guard let hugeTree else { throw id.damage("a huge object", "a tree of huge objects") }
    guard idSize - 1 < image.offsetSize + image.lengthSize else {
      throw id.outside("a heap with long identifiers")
    }
    let number = try id.uint(min(8, id.count))
    if hugeObjects.isEmpty {
      let tree = try HDF5BTree2.records(at: hugeTree, types: 1...4, in: image)
      guard tree.type == 1 else { throw id.outside("huge objects of type \(tree.type)") }
      for record in tree.records {
        var record = record
        let address = try record.requiredAddress("a huge object")
        let length = try record.length()
        hugeObjects.entries[try record.uint(image.lengthSize)] = (address, length)
      }
    }
    guard let (address, length) = hugeObjects.entries[number] else {
      throw id.damage("huge object \(number)", "one that the heap has")
    }
    return try image.readOnce(address, count: length, "a huge object")
  }

  private final class HugeObjects {
    var entries: [UInt64: (Int, Int)] = [:]
    var isEmpty: Bool { entries.isEmpty }
  }
  private let hugeObjects = HugeObjects()
}
