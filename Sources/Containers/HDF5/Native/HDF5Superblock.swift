import Tensors

/// The head of a file: where addresses count from, how wide they are, where the root group lies.
package struct HDF5Superblock {
  package let image: HDF5Image
  package let root: Int

  /// Reads the superblock at `start`, where its signature has been seen.
  ///
  /// Throws `h5.newer`, `h5.truncated`, `h5.driver`.
  package init(_ source: any ByteSource, at start: Int) throws {
    guard source.count - start >= 64 else { throw Self.truncated(source.count, start + 64) }
    let available = min(source.count - start, 120)
    let head = try source.read(start..<start + available)
    var cursor = HDF5Cursor(head, at: start, offsetSize: 8, lengthSize: 8)
    try cursor.skip(8)
    let version = try cursor.u8()
    guard version <= 3 else {
      throw RecurrentError(
        .hdf5Newer, at: "byte \(start + 8)", found: "superblock version \(version)",
        expected: "version 0 to 3",
        hint: "The file was written by a newer HDF5; rewrite it with libver=\"v110\".")
    }
    if version < 2 {
      // Versions of the free space, the root group's entry and shared headers.
      let versions = try cursor.take(4)
      guard versions[0] == 0, versions[1] == 0, versions[3] == 0 else {
        throw cursor.damage("versions \(versions) of the root's structures", "zeros")
      }
    }
    let offsetSize = try cursor.u8()
    let lengthSize = try cursor.u8()
    guard [2, 4, 8].contains(offsetSize), [2, 4, 8].contains(lengthSize) else {
      throw cursor.outside("addresses of \(offsetSize) and lengths of \(lengthSize) bytes")
    }
    cursor = HDF5Cursor(head, at: start, offsetSize: offsetSize, lengthSize: lengthSize)
    try cursor.skip(version < 2 ? 24 + (version == 1 ? 4 : 0) : 12)
    // Like libhdf5, count from the signature: a user block may have been put in front later.
    let statedBase = try cursor.address() ?? start
    let second = try cursor.address()
    let end = try cursor.address() ?? 0
    guard end <= source.count else { throw Self.truncated(source.count, end) }
    let image = HDF5Image(
      source, base: start, count: max(0, min(end - statedBase, source.count - start)),
      offsetSize: offsetSize, lengthSize: lengthSize)
    if version < 2 {
      let driverPlace = cursor.place
      guard try cursor.address() == nil else { throw Self.driver(at: driverPlace) }
      try cursor.skip(offsetSize)
      root = try cursor.requiredAddress("the root group")
    } else {
      root = try cursor.requiredAddress("the root group")
      try cursor.expectChecksum()
    }
    try image.claim(0, count: cursor.position, "the superblock")
    if version >= 2, let second { try Self.checkExtension(at: second, in: image) }
    self.image = image
  }

  // The extension says what the rest of the file needs from a reader.
  private static func checkExtension(at address: Int, in image: HDF5Image) throws {
    for message in try HDF5ObjectHeader(at: address, in: image).messages {
      switch message.type {
      case 0x0F: throw message.body.outside("a table of shared messages")
      case 0x14: throw driver(at: message.body.place)
      default: break
      }
    }
  }

  private static func truncated(_ count: Int, _ expected: Int) -> RecurrentError {
    RecurrentError(
      .hdf5Truncated, found: "\(count) bytes", expected: "at least \(expected)",
      hint: "The file is cut short; copy or download it again.")
  }

  private static func driver(at place: String) -> RecurrentError {
    RecurrentError(
      .hdf5Driver, at: place, found: "a file that is spread over several files",
      expected: "a single file")
  }
}
