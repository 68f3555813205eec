import Tensors

/// Where the central directory lies, from the records at the end of an archive.
package struct ZipDirectory {
  /// Entries that the archive says it has.
  package let entryCount: Int
  /// Where the directory begins; every byte before it belongs to an entry.
  package let offset: Int
  /// Bytes of the directory.
  package let size: Int

  private static let endSize = 22
  private static let locatorSize = 20

  package init(_ source: any ByteSource) throws {
    let position = try Self.endPosition(source)
    var end = ZipFields(
      try source.read(position..<position + Self.endSize), at: "end record at byte \(position)")
    _ = try end.take(4)
    let disks = [try end.u16(), try end.u16()]
    let counts = [try end.u16(), try end.u16()]
    let shortSize = try end.u32()
    let shortOffset = try end.u32()
    var count = UInt64(counts[1])
    var size = shortSize
    var offset = shortOffset
    var limit = position
    if let wide = try Self.zip64(source, before: position) {
      let agrees =
        (counts[1] == 0xFFFF || UInt64(counts[1]) == wide.count)
        && (shortSize == 0xFFFF_FFFF || shortSize == wide.size)
        && (shortOffset == 0xFFFF_FFFF || shortOffset == wide.offset)
      guard agrees else {
        throw RecurrentError(
          .zipDirectory, at: "byte \(position)",
          found: "two end records that disagree", expected: "the same directory in both")
      }
      (count, size, offset, limit) = (wide.count, wide.size, wide.offset, wide.position)
    }
    guard disks.allSatisfy({ $0 == 0 || $0 == 0xFFFF }), counts[0] == counts[1] else {
      throw RecurrentError(
        .zipMultiDisk, at: "byte \(position)", found: "an archive in parts",
        expected: "a single file")
    }
    self.size = try zipInt(size, at: "end record")
    self.offset = try zipInt(offset, at: "end record")
    entryCount = try zipInt(count, at: "end record")
    guard self.offset + self.size == limit else {
      throw RecurrentError(
        .zipDirectory, at: "byte \(position)",
        found: "a directory of \(size) bytes at byte \(offset)",
        expected: "one that ends where the end record begins (byte \(limit))",
        hint: "The file is cut off, or something was put before or after the archive.")
    }
    guard entryCount <= 200_000, self.size <= 256 << 20, entryCount <= self.size / 46 else {
      throw RecurrentError(
        .zipDirectory, at: "byte \(position)",
        found: "\(entryCount) entries in \(size) bytes", expected: "at most 200000 entries")
    }
  }

  /// The end record: its comment must reach exactly to the end of the file, and only one may fit.
  private static func endPosition(_ source: any ByteSource) throws -> Int {
    let start = max(0, source.count - endSize - 0xFFFF)
    let tail = try source.read(start..<source.count)
    var found: [Int] = []
    var index = tail.count - endSize
    while index >= 0 {
      if tail[index] == 0x50, tail[index + 1] == 0x4B, tail[index + 2] == 5, tail[index + 3] == 6,
        Int(tail[index + 20]) | Int(tail[index + 21]) << 8 == tail.count - index - endSize
      {
        found.append(start + index)
      }
      index -= 1
    }
    guard let position = found.first else {
      throw RecurrentError(
        .zipEnd, found: "no end record", expected: "one at the end of the file",
        hint: "The file is cut off or is not a zip archive.")
    }
    guard found.count == 1 else {
      throw RecurrentError(
        .zipEnd, at: "byte \(position)", found: "\(found.count) end records",
        expected: "one")
    }
    return position
  }

  private struct Wide {
    let position: Int
    let count: UInt64
    let size: UInt64
    let offset: UInt64
  }

  /// The ZIP64 end record, when its locator stands before the end record; torch always writes one.
  private static func zip64(_ source: any ByteSource, before end: Int) throws -> Wide? {
    guard end >= locatorSize else { return nil }
    let place = "ZIP64 locator at byte \(end - locatorSize)"
    var locator = ZipFields(try source.read(end - locatorSize..<end), at: place)
    guard try locator.u32() == 0x0706_4B50 else { return nil }
    let disk = try locator.u32()
    let position = try zipInt(try locator.u64(), at: place)
    let disks = try locator.u32()
    guard disk == 0, disks <= 1, position + 56 <= end - locatorSize else {
      throw RecurrentError(
        .zipLocator, at: place, found: "a record at byte \(position)",
        expected: "one before the locator")
    }
    var record = ZipFields(
      try source.read(position..<position + 56), at: "ZIP64 end record at byte \(position)")
    let signature = try record.u32()
    let length = try record.u64()
    _ = try record.take(12)
    let counts = [try record.u64(), try record.u64()]
    guard signature == 0x0606_4B50, counts[0] == counts[1],
      length == UInt64(end - locatorSize - position - 12)
    else {
      throw RecurrentError(
        .zipLocator, at: place, found: "no fitting ZIP64 end record at \(position)",
        expected: "one that ends where the locator begins")
    }
    return Wide(
      position: position, count: counts[1], size: try record.u64(), offset: try record.u64())
  }
}
