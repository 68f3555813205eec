import Tensors

/// A link of a group.
package struct HDF5Link {
  package enum Target {
    /// The address of an object header.
    case hard(Int)
    /// A path inside the file.
    case soft(Name)
  }

  package let name: Name
  package let target: Target
  package let creationOrder: UInt64
}

/// The links of a group, by whichever of the three ways it stores them.
package struct HDF5Links {
  package private(set) var links: [HDF5Link] = []
  package private(set) var isInCreationOrder = false

  /// Reads all links, in creation order when the group tracks it, by name otherwise.
  package init(of header: HDF5ObjectHeader, in image: HDF5Image) throws {
    if let table = try header.only(0x11) { try readSymbolTable(table.body, in: image) }
    for message in header.all(0x06) {
      guard !message.isShared else { throw message.body.outside("a shared link") }
      links.append(try Self.link(message.body))
    }
    if let message = try header.only(0x02) { try readDense(message.body, in: image) }
    guard Set(links.map(\.name)).count == links.count else {
      throw RecurrentError(
        .hdf5Duplicate, found: "two links of one name", expected: "every name once")
    }
    if isInCreationOrder {
      links.sort { $0.creationOrder < $1.creationOrder }
    } else {
      links.sort { $0.name < $1.name }
    }
  }

  // O name offset · O header · u32 cache type · u32 0 · 16 bytes (cache type 2: u32 offset of a path)
  private mutating func readSymbolTable(_ message: HDF5Cursor, in image: HDF5Image) throws {
    var message = message
    let tree = try message.requiredAddress("a B-tree")
    let heap = try HDF5LocalHeap(at: try message.requiredAddress("a heap"), in: image)
    func name(_ key: HDF5Cursor) throws -> [UInt8] {
      var key = key
      return try heap.text(at: try key.length())
    }
    try HDF5BTree1.forEachLeafEntry(
      at: tree, type: 0, keySize: image.lengthSize, in: image,
      areAscending: { try name($0).lexicographicallyPrecedes(try name($1)) }
    ) { key, address, next in
      var head = try image.read(address, count: 8, "a symbol table node")
      try head.expect("SNOD")
      try head.expect(version: 1, of: "a symbol table node")
      try head.skip(1)
      let count = try head.u16()
      let entrySize = 2 * image.offsetSize + 24
      var cursor = try image.readOnce(
        address, count: 8 + count * entrySize, "a symbol table node")
      try cursor.skip(8)
      // A node's names come after the key before it, up to and including the one after it.
      var previous = try name(key)
      let greatest = try name(next)
      for index in 0..<count {
        try image.step()
        let raw = try heap.text(at: try cursor.int(image.offsetSize))
        let name = try Self.name(raw, at: cursor)
        guard previous.lexicographicallyPrecedes(name.utf8),
          index + 1 < count || !greatest.lexicographicallyPrecedes(name.utf8)
        else { throw cursor.damage("the name \(name) out of order", "names in order") }
        previous = name.utf8
        let target = try cursor.address()
        let kind = try cursor.u32()
        guard kind <= 2 else { throw cursor.damage("a link of type \(kind)", "0, 1 or 2") }
        try cursor.skip(4)
        var scratch = try cursor.part(16)
        if kind == 2 {
          let path = try heap.text(at: try scratch.u32())
          links.append(
            HDF5Link(name: name, target: try Self.soft(path, of: name), creationOrder: 0))
        } else {
          guard let target else { throw cursor.damage("a link to no object", "an address") }
          links.append(HDF5Link(name: name, target: .hard(target), creationOrder: 0))
        }
        try limit()
      }
    }
  }

  // version 0 · flags · [u64 greatest order] · O heap · O tree of names · [O tree of the order]
  private mutating func readDense(_ message: HDF5Cursor, in image: HDF5Image) throws {
    var message = message
    try message.expect(version: 0, of: "link information")
    let flags = try message.u8()
    isInCreationOrder = flags & 1 != 0
    try message.skip(flags & 1 != 0 ? 8 : 0)
    guard let address = try message.address() else { return }
    let heap = try HDF5FractalHeap(at: address, in: image)
    let names = try message.requiredAddress("the names")
    for record in try HDF5BTree2.records(at: names, types: 5...5, in: image).records {
      var record = record
      try record.skip(4)
      links.append(try Self.link(try heap.object(try record.part(heap.idSize))))
      try limit()
    }
  }

  private func limit() throws {
    guard links.count <= HDF5Limit.objects else {
      throw RecurrentError(
        .hdf5TooMany, found: "too many links",
        expected: "at most \(HDF5Limit.objects)")
    }
  }

  // version 1 · flags · [type] · [u64 order] · [character set] · name length · name · target
  private static func link(_ message: HDF5Cursor) throws -> HDF5Link {
    var cursor = message
    try cursor.expect(version: 1, of: "a link")
    let flags = try cursor.u8()
    let kind = flags & 8 != 0 ? try cursor.u8() : 0
    let order = flags & 4 != 0 ? try cursor.uint(8) : 0
    try cursor.skip(flags & 16 != 0 ? 1 : 0)
    let length = try cursor.int(1 << (flags & 3))
    let name = try name(try cursor.take(length), at: cursor)
    switch kind {
    case 0:
      let target = try cursor.requiredAddress("an object")
      return HDF5Link(name: name, target: .hard(target), creationOrder: order)
    case 1:
      let path = try cursor.take(try cursor.u16())
      return HDF5Link(name: name, target: try soft(path, of: name), creationOrder: order)
    case 64:
      throw RecurrentError(
        .hdf5ExternalLink, at: "link \"\(name)\"", found: "a link into another file",
        expected: "data inside the file")
    default:
      throw RecurrentError(
        .hdf5UserLink, at: "link \"\(name)\"",
        found: "a user-defined link (type \(kind))", expected: "hard and soft links")
    }
  }

  private static func name(_ raw: [UInt8], at cursor: HDF5Cursor) throws -> Name {
    guard let name = Name(validating: raw), !raw.isEmpty, raw != [0x2E], !raw.contains(0x2F),
      !raw.contains(0)
    else {
      throw RecurrentError(
        .hdf5Name, at: cursor.place,
        found: "the link name \(String(decoding: raw, as: UTF8.self))",
        expected: "valid UTF-8 that is neither empty nor \".\" and has no slash and no NUL")
    }
    return name
  }

  private static func soft(_ path: [UInt8], of name: Name) throws -> HDF5Link.Target {
    guard let target = Name(validating: path.prefix { $0 != 0 }) else {
      throw RecurrentError(
        .hdf5Name, at: "link \"\(name)\"",
        found: "a soft link that is not valid UTF-8", expected: "a path")
    }
    return .soft(target)
  }
}
