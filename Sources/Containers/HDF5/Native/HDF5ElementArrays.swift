import Tensors

/// The elements of a fixed or extensible array, in parts that lie together in the file.
package struct HDF5ElementArray {
  package let address: Int
  package let isFiltered: Bool
  package let elementSize: Int
  /// Each with the number of its first element.
  package var parts: [(first: Int, elements: HDF5Cursor)] = []

  /// Reads the members that both kinds of head begin with, up to the element size.
  fileprivate init(_ head: inout HDF5Cursor, _ signature: String, at address: Int) throws {
    self.address = address
    try head.expect(signature)
    try head.expect(version: 0, of: "an array")
    let client = try head.u8()
    guard client <= 1 else { throw head.damage("an array for client \(client)", "0 or 1") }
    isFiltered = client == 1
    elementSize = try head.u8()
    guard elementSize > 0 else { throw head.damage("elements of 0 bytes", "a size") }
  }

  /// Adds pages of `size` elements, each followed by its checksum; `isWritten` tells which exist.
  fileprivate mutating func addPages(
    at address: Int, first: Int, count: Int, size: Int, in image: HDF5Image,
    isWritten: (Int) -> Bool
  ) throws {
    var start = address
    for page in 0..<(count / size + (count % size).signum()) {
      let elements = min(size, count - page * size)
      let bytes = elements * elementSize
      if isWritten(page) {
        var cursor = try image.readOnce(start, count: bytes + 4, "a page of an array")
        let part = try cursor.part(bytes)
        try cursor.expectChecksum()
        parts.append((first + page * size, part))
      }
      start += bytes + 4
    }
  }

  /// Reads the head of a block: signature · version 0 · client · O head of the array.
  fileprivate func expectBlock(_ cursor: inout HDF5Cursor, _ signature: String) throws {
    try cursor.expect(signature)
    try cursor.expect(version: 0, of: "a block of an array")
    guard try cursor.u8() == (isFiltered ? 1 : 0), try cursor.address() == address else {
      throw cursor.damage("a block of another array", "a block of the one at \(address)")
    }
  }
}

/// "FAHD" · version · client · element size · page bits · L count · O block · checksum.
package enum HDF5FixedArray {
  package static func elements(at address: Int, in image: HDF5Image) throws -> HDF5ElementArray {
    let headSize = 12 + image.lengthSize + image.offsetSize
    var head = try image.readOnce(address, count: headSize, "a fixed array")
    var array = try HDF5ElementArray(&head, "FAHD", at: address)
    let pageBits = try head.u8()
    let count = try head.length()
    let block = try head.address()
    try head.expectChecksum()
    guard let block else { return array }
    guard pageBits < 32, count <= image.count / array.elementSize else {
      throw head.damage("\(count) elements", "as many as fit in the file")
    }
    let prefix = 6 + image.offsetSize
    let pageSize = 1 << pageBits
    if count <= pageSize {
      let bytes = count * array.elementSize
      var cursor = try image.readOnce(block, count: prefix + bytes + 4, "a fixed array")
      try array.expectBlock(&cursor, "FADB")
      array.parts.append((0, try cursor.part(bytes)))
      try cursor.expectChecksum()
    } else {
      let pages = count / pageSize + (count % pageSize).signum()
      let bitmap = (pages + 7) / 8
      var cursor = try image.readOnce(block, count: prefix + bitmap + 4, "a fixed array")
      try array.expectBlock(&cursor, "FADB")
      let bits = try cursor.take(bitmap)
      try cursor.expectChecksum()
      try array.addPages(
        at: block + prefix + bitmap + 4, first: 0, count: count, size: pageSize, in: image
      ) { bits[$0 / 8] & (0x80 >> UInt8($0 % 8)) != 0 }
    }
    return array
  }
}

/// "EAHD": the first elements lie in the index block, the next ones in data blocks that it points to,
/// the rest in data blocks behind super blocks; each pair of super blocks doubles the sizes.
package enum HDF5ExtensibleArray {
  private struct Sizes {
    let offsetBytes: Int
    let inIndex: Int
    let least: Int
    let leastPointers: Int
    let pageSize: Int

    func blocks(_ level: Int) -> Int { 1 << (level / 2) }
    func elements(_ level: Int) -> Int { least << ((level + 1) / 2) }
  }

  package static func elements(at address: Int, in image: HDF5Image) throws -> HDF5ElementArray {
    let headSize = 16 + 6 * image.lengthSize + image.offsetSize
    var head = try image.readOnce(address, count: headSize, "an extensible array")
    var array = try HDF5ElementArray(&head, "EAHD", at: address)
    let offsetBits = try head.u8()
    let inIndex = try head.u8()
    let least = try head.u8()
    let leastPointers = try head.u8()
    let pageBits = try head.u8()
    try head.skip(6 * image.lengthSize)
    let indexBlock = try head.address()
    try head.expectChecksum()
    guard (1...48).contains(offsetBits), least > 0, least & (least - 1) == 0, leastPointers > 1,
      leastPointers & (leastPointers - 1) == 0, pageBits < 32,
      least.trailingZeroBitCount < offsetBits
    else { throw head.damage("blocks of \(least) elements", "powers of two") }
    guard let indexBlock else { return array }
    let sizes = Sizes(
      offsetBytes: (offsetBits + 7) / 8, inIndex: inIndex, least: least,
      leastPointers: leastPointers, pageSize: 1 << pageBits)
    let levels = 1 + offsetBits - least.trailingZeroBitCount
    let direct = 2 * leastPointers.trailingZeroBitCount
    let pointers = 2 * (leastPointers - 1) + max(0, levels - direct)
    let prefix = 6 + image.offsetSize
    let size = prefix + inIndex * array.elementSize + pointers * image.offsetSize + 4
    var cursor = try image.readOnce(indexBlock, count: size, "an extensible array")
    try array.expectBlock(&cursor, "EAIB")
    array.parts.append((0, try cursor.part(inIndex * array.elementSize)))
    var first = inIndex
    for level in 0..<levels {
      let elements = sizes.elements(level)
      guard level < direct else {
        let block = try cursor.address()
        if let block {
          try readSuperBlock(at: block, first: first, level: level, sizes, image, &array)
        }
        first += sizes.blocks(level) * elements
        continue
      }
      for _ in 0..<sizes.blocks(level) {
        if let block = try cursor.address() {
          try readDataBlock(
            at: block, first: first, count: elements, sizes, image, &array
          ) { _ in true }
        }
        first += elements
      }
    }
    try cursor.expectChecksum()
    return array
  }

  // prefix · block offset · [bitmaps of pages] · O data blocks · checksum
  private static func readSuperBlock(
    at address: Int, first: Int, level: Int, _ sizes: Sizes, _ image: HDF5Image,
    _ array: inout HDF5ElementArray
  ) throws {
    let (blocks, elements) = (sizes.blocks(level), sizes.elements(level))
    let pages = elements > sizes.pageSize ? elements / sizes.pageSize : 0
    let (bitmap, overflow) = blocks.multipliedReportingOverflow(by: (pages + 7) / 8)
    let prefix = 6 + image.offsetSize + sizes.offsetBytes
    guard !overflow, bitmap <= image.count, blocks <= image.count else {
      throw RecurrentError(
        .hdf5Address, at: "byte \(image.place(address))",
        found: "\(blocks) blocks of an array", expected: "as many as fit in the file")
    }
    var cursor = try image.readOnce(
      address, count: prefix + bitmap + blocks * image.offsetSize + 4, "an extensible array")
    try array.expectBlock(&cursor, "EASB")
    try cursor.skip(sizes.offsetBytes)
    let bits = try cursor.take(bitmap)
    for block in 0..<blocks {
      if let child = try cursor.address() {
        try readDataBlock(
          at: child, first: first + block * elements, count: elements, sizes, image, &array
        ) { page in
          let bit = block * pages + page
          return bits[bit / 8] & (0x80 >> UInt8(bit % 8)) != 0
        }
      }
    }
    try cursor.expectChecksum()
  }

  // prefix · block offset · elements · checksum; or prefix · block offset · checksum · pages
  private static func readDataBlock(
    at address: Int, first: Int, count: Int, _ sizes: Sizes, _ image: HDF5Image,
    _ array: inout HDF5ElementArray, isWritten: (Int) -> Bool
  ) throws {
    guard count <= image.count / array.elementSize else {
      throw RecurrentError(
        .hdf5Address, at: "byte \(image.place(address))",
        found: "\(count) elements of an array", expected: "as many as fit in the file")
    }
    let prefix = 6 + image.offsetSize + sizes.offsetBytes
    let isPaged = count > sizes.pageSize
    let bytes = isPaged ? 0 : count * array.elementSize
    var cursor = try image.readOnce(address, count: prefix + bytes + 4, "an extensible array")
    try array.expectBlock(&cursor, "EADB")
    try cursor.skip(sizes.offsetBytes)
    let part = try cursor.part(bytes)
    try cursor.expectChecksum()
    if isPaged {
      try array.addPages(
        at: address + prefix + 4, first: first, count: count, size: sizes.pageSize, in: image,
        isWritten: isWritten)
    } else {
      array.parts.append((first, part))
    }
  }
}
