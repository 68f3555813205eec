import Tensors

/// The names of an old group: "HEAP" · version 0 · 3 bytes · size · free list · address.
package struct HDF5LocalHeap {
  private let data: HDF5Cursor
  private let image: HDF5Image

  package init(at address: Int, in image: HDF5Image) throws {
    self.image = image
    let headSize = 8 + 2 * image.lengthSize + image.offsetSize
    var head = try image.readOnce(address, count: headSize, "a local heap")
    try head.expect("HEAP")
    try head.expect(version: 0, of: "a local heap")
    try head.skip(3)
    let size = try head.length()
    let free = try head.length()
    let start = try head.requiredAddress("the names")
    data = try image.readOnce(start, count: size, "a local heap")
    try checkFreeList(from: free)
  }

  // L next · L size; 1 stands for the end.
  private func checkFreeList(from first: Int) throws {
    var free = first
    while free != 1 {
      try image.step()
      var block = try data.moved(to: free)
      let next = try block.length()
      let size = try block.length()
      guard size <= data.end - free, size >= 2 * image.lengthSize, next == 1 || next != free else {
        throw block.damage("\(size) free bytes", "at most \(data.end - free)")
      }
      free = next
    }
  }

  package func text(at offset: Int) throws -> [UInt8] {
    var cursor = try data.moved(to: offset)
    let text = try cursor.text("a name")
    // Any number of entries may share one long text.
    try image.charge(text.count)
    return text
  }
}

/// The shared texts of a file: "GCOL" · version 1 · 3 bytes · size · objects.
///
/// An object is u16 index · u16 references · 4 bytes · size · bytes, padded to 8; index 0 is the rest.
package struct HDF5GlobalHeap {
  private var objects: [Int: HDF5Cursor] = [:]

  package init(at address: Int, in image: HDF5Image) throws {
    let headSize = 8 + image.lengthSize
    var head = try image.read(address, count: headSize, "a global heap")
    try head.expect("GCOL")
    try head.expect(version: 1, of: "a global heap")
    try head.skip(3)
    let size = try head.length()
    var cursor = try image.readOnce(address, count: size, "a global heap")
    try cursor.skip(min(headSize, size))
    while cursor.count >= 8 + image.lengthSize {
      try image.step()
      let index = try cursor.u16()
      guard index != 0 else { break }
      try cursor.skip(6)
      let length = try cursor.length()
      let body = try cursor.part(length)
      guard objects.updateValue(body, forKey: index) == nil else {
        throw body.damage("two objects with index \(index)", "one")
      }
      try cursor.skip(min(cursor.count, (8 - length % 8) % 8))
    }
  }

  /// The first `count` bytes of an object.
  package func bytes(of index: Int, count: Int, for user: HDF5Cursor) throws -> [UInt8] {
    guard var object = objects[index], count <= object.count else {
      throw user.damage(
        "\(count) bytes of object \(index) of a heap that has not so many", "an object of the heap")
    }
    return try object.take(count)
  }
}
