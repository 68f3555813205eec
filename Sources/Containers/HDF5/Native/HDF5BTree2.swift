import Tensors

/// Walks version 2 B-trees: "BTHD" with the sizes, "BTIN" and "BTLF" nodes with the records.
package enum HDF5BTree2 {
  private struct Level {
    /// The most records in a node of this level, and in it and everything below.
    var most: Int
    var total: Int
    /// The size of the child pointers of a node of this level: address, records, [records below].
    var countSize: Int
    var totalSize: Int
  }

  /// The size of a record and all records, in no particular order.
  package static func records(
    at address: Int, types: ClosedRange<Int>, in image: HDF5Image
  ) throws -> (type: Int, size: Int, records: [HDF5Cursor]) {
    let headSize = 22 + image.offsetSize + image.lengthSize
    var head = try image.readOnce(address, count: headSize, "a B-tree")
    try head.expect("BTHD")
    try head.expect(version: 0, of: "a B-tree")
    let type = try head.u8()
    guard types.contains(type) else { throw head.damage("a B-tree of type \(type)", "\(types)") }
    let nodeSize = try head.u32()
    let recordSize = try head.u16()
    let depth = try head.u16()
    try head.skip(2)
    let root = try head.address()
    let rootCount = try head.u16()
    let total = try head.length()
    try head.expectChecksum()
    guard recordSize > 0, depth <= HDF5Limit.depth, nodeSize > 10 else {
      throw head.damage("nodes of \(nodeSize) and records of \(recordSize) bytes", "other sizes")
    }
    var records: [HDF5Cursor] = []
    guard let root else {
      guard total == 0 else { throw head.damage("\(total) records in no node", "none") }
      return (type, recordSize, [])
    }
    let levels = try levels(
      depth: depth, nodeSize: nodeSize, recordSize: recordSize, image, head)
    var pending = [(address: root, count: rootCount, level: depth)]
    while let node = pending.popLast() {
      let level = levels[node.level]
      guard node.count <= level.most else {
        throw head.damage("\(node.count) records in a node", "at most \(level.most)")
      }
      let pointerSize = image.offsetSize + level.countSize + level.totalSize
      let pointers = node.level == 0 ? 0 : (node.count + 1) * pointerSize
      var cursor = try image.readOnce(
        node.address, count: 10 + node.count * recordSize + pointers, "a B-tree node")
      try cursor.expect(node.level == 0 ? "BTLF" : "BTIN")
      try cursor.expect(version: 0, of: "a B-tree node")
      guard try cursor.u8() == type else {
        throw cursor.damage("a node of another type", "type \(type)")
      }
      for _ in 0..<node.count {
        try image.step()
        records.append(try cursor.part(recordSize))
      }
      guard records.count <= total else {
        throw cursor.damage("more than \(total) records", "as many as the tree says")
      }
      if node.level > 0 {
        for _ in 0...node.count {
          let child = try cursor.requiredAddress("a node")
          let count = try cursor.int(level.countSize)
          try cursor.skip(level.totalSize)
          pending.append((child, count, node.level - 1))
        }
      }
      try cursor.expectChecksum()
    }
    guard records.count == total else {
      throw head.damage("\(records.count) records", "\(total) as the tree says")
    }
    return (type, recordSize, records)
  }

  private static func levels(
    depth: Int, nodeSize: Int, recordSize: Int, _ image: HDF5Image, _ head: HDF5Cursor
  ) throws -> [Level] {
    let leaf = (nodeSize - 10) / recordSize
    let countSize = encodedSize(leaf)
    var levels = [Level(most: leaf, total: leaf, countSize: countSize, totalSize: 0)]
    for height in 0..<depth {
      let below = levels[height]
      // Leaves hold nothing but their own records, so their parents do not repeat the number.
      let totalSize = height == 0 ? 0 : encodedSize(below.total)
      let pointerSize = image.offsetSize + countSize + totalSize
      let most = (nodeSize - 10 - pointerSize) / (recordSize + pointerSize)
      let (product, overflow) = (max(0, most) + 1).multipliedReportingOverflow(by: below.total)
      let (total, overflow2) = product.addingReportingOverflow(max(0, most))
      guard most > 0, !overflow, !overflow2 else {
        throw head.damage("\(depth) levels of nodes of \(nodeSize) bytes", "other sizes")
      }
      levels.append(
        Level(most: most, total: total, countSize: countSize, totalSize: totalSize))
    }
    return levels
  }

  /// The bytes that numbers up to `limit` take.
  package static func encodedSize(_ limit: Int) -> Int {
    max(1, (Int.bitWidth - max(1, limit).leadingZeroBitCount + 7) / 8)
  }
}
