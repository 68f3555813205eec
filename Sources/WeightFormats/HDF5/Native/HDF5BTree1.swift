import Tensors

/// Walks version 1 B-trees: "TREE" · type · level · u16 children · 2 siblings · keys and children.
enum HDF5BTree1 {
  /// Calls `body` with the key bytes before each child of the lowest nodes, and the child's address.
  static func forEachLeafEntry(
    at root: Int, type: Int, keySize: Int, in image: HDF5Image,
    _ body: (_ key: HDF5Cursor, _ child: Int) throws -> Void
  ) throws {
    var pending: [(address: Int, level: Int?)] = [(root, nil)]
    while let node = pending.popLast() {
      let headSize = 8 + 2 * image.offsetSize
      var cursor = try image.read(node.address, count: headSize, "a B-tree node")
      try cursor.expect("TREE")
      guard try cursor.u8() == type else {
        throw cursor.damage("a B-tree of another type", "type \(type)")
      }
      let level = try cursor.u8()
      guard level == node.level ?? level, level <= HDF5Limit.depth else {
        throw cursor.damage("a node of level \(level)", "one level less than its parent")
      }
      let count = try cursor.u16()
      let size = count * (keySize + image.offsetSize) + keySize
      cursor = try image.readOnce(node.address, count: headSize + size, "a B-tree node")
      try cursor.skip(headSize)
      var children: [Int] = []
      for _ in 0..<count {
        try image.step()
        let key = try cursor.part(keySize)
        let child = try cursor.requiredAddress("a child")
        if level == 0 { try body(key, child) } else { children.append(child) }
      }
      for child in children.reversed() { pending.append((child, level - 1)) }
    }
  }
}
