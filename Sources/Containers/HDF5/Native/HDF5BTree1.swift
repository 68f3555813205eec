import Tensors

/// Walks version 1 B-trees: "TREE" · type · level · u16 children · 2 siblings · keys and children.
package enum HDF5BTree1 {
  /// Calls `body` with each child of the lowest nodes and the keys before and after it.
  ///
  /// The parents' keys must be those of their children, so that a search would find what a walk finds.
  package static func forEachLeafEntry(
    at root: Int, type: Int, keySize: Int, in image: HDF5Image,
    areAscending: (HDF5Cursor, HDF5Cursor) throws -> Bool,
    _ body: (_ key: HDF5Cursor, _ child: Int, _ next: HDF5Cursor) throws -> Void
  ) throws {
    struct Node {
      let address: Int
      var level: Int?
      var bounds: (HDF5Cursor, HDF5Cursor)?
    }
    var pending = [Node(address: root)]
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
      var keys = [try cursor.part(keySize)]
      var children: [Int] = []
      for index in 0..<count {
        try image.step()
        children.append(try cursor.requiredAddress("a child"))
        keys.append(try cursor.part(keySize))
        guard try areAscending(keys[index], keys[index + 1]) else {
          throw keys[index + 1].damage("keys out of order", "ascending keys")
        }
      }
      if let (first, last) = node.bounds {
        guard try !areAscending(keys[0], first), try !areAscending(last, keys[count]) else {
          throw keys[0].damage("keys outside those of the parent", "keys between them")
        }
      }
      for index in 0..<count {
        if level == 0 { try body(keys[index], children[index], keys[index + 1]) }
      }
      guard level > 0 else { continue }
      for index in (0..<count).reversed() {
        pending.append(
          Node(
            address: children[index], level: level - 1, bounds: (keys[index], keys[index + 1])))
      }
    }
  }
}
