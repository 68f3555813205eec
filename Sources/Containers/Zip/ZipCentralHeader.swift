import Tensors

/// One record of the central directory, and the checks against the entry that it describes.
package struct ZipCentralHeader {
  package let name: Name
  package let flags: Int
  package let method: Int
  package let crc: UInt32
  package let size: Int
  package let storedSize: Int
  package let offset: Int

  package var place: String { "entry \"\(name)\"" }
  private var hasDescriptor: Bool { flags & 8 != 0 }

  package static func read(_ directory: ZipDirectory, in source: any ByteSource) throws
    -> [ZipCentralHeader]
  {
    let bytes = try source.read(directory.offset..<directory.offset + directory.size)
    var fields = ZipFields(bytes, at: "zip directory at byte \(directory.offset)")
    var headers: [ZipCentralHeader] = []
    for _ in 0..<directory.entryCount { headers.append(try ZipCentralHeader(&fields)) }
    guard fields.remaining == 0 else {
      throw RecurrentError(
        .zipDirectory, at: "zip directory at byte \(directory.offset)",
        found: "\(fields.remaining) bytes after \(directory.entryCount) entries",
        expected: "none")
    }
    return headers
  }

  private init(_ fields: inout ZipFields) throws {
    let signature = try fields.u32()
    _ = try fields.take(4)
    flags = try fields.u16()
    method = try fields.u16()
    _ = try fields.take(4)
    crc = UInt32(try fields.u32())
    var stored = try fields.u32()
    var full = try fields.u32()
    let lengths = [try fields.u16(), try fields.u16(), try fields.u16()]
    let disk = try fields.u16()
    _ = try fields.take(6)
    var start = try fields.u32()
    let nameBytes = try fields.take(lengths[0])
    let extra = try fields.take(lengths[1])
    _ = try fields.take(lengths[2])
    guard signature == 0x0201_4B50, disk == 0 || disk == 0xFFFF else {
      throw RecurrentError(
        .zipDirectory, found: "a record that is no directory entry",
        expected: "PK 1 2 on the first disk")
    }
    name = try Self.name(nameBytes, isUTF8: flags & 0x800 != 0)
    let place = "entry \"\(name)\""
    // The ZIP64 record holds only the fields that are saturated, in this order.
    if full == 0xFFFF_FFFF || stored == 0xFFFF_FFFF || start == 0xFFFF_FFFF {
      guard let wide = try ZipFields.extra(1, in: extra, at: place) else {
        throw RecurrentError(
          .zipZIP64, at: place, found: "no ZIP64 field", expected: "one")
      }
      var values = ZipFields(wide, at: place)
      if full == 0xFFFF_FFFF { full = try values.u64() }
      if stored == 0xFFFF_FFFF { stored = try values.u64() }
      if start == 0xFFFF_FFFF { start = try values.u64() }
    }
    size = try zipInt(full, at: place)
    storedSize = try zipInt(stored, at: place)
    offset = try zipInt(start, at: place)
    try checkPlausible()
  }

  private func checkPlausible() throws {
    guard flags & 0x2041 == 0 else {
      throw RecurrentError(
        .zipEncrypted, at: place, found: "an encrypted entry",
        expected: "plain bytes")
    }
    guard method == 0 || method == 8 else {
      throw RecurrentError(
        .zipMethod, at: place, found: "compression method \(method)",
        expected: "stored (0) or deflated (8)")
    }
    guard method == 8 || size == storedSize else {
      throw RecurrentError(
        .zipSize, at: place, found: "\(storedSize) stored bytes",
        expected: "\(size), the size of the content")
    }
    guard size <= 256 << 20 || size / 100 <= storedSize else {
      throw RecurrentError(
        .zipBomb, at: place, found: "\(storedSize) bytes that grow to \(size)",
        expected: "at most 256 MiB or 100 times the stored size")
    }
  }

  private static func name(_ bytes: ArraySlice<UInt8>, isUTF8: Bool) throws -> Name {
    guard isUTF8 || bytes.allSatisfy({ $0 < 0x80 }) else {
      throw RecurrentError(
        .zipNameUnsupported, found: "an entry name in an unknown character set",
        expected: "UTF-8")
    }
    guard let name = Name(validating: bytes), zipNameIsSafe(bytes) else {
      throw RecurrentError(
        .zipName, at: "entry \"\(String(decoding: bytes, as: UTF8.self))\"",
        found: "an unsafe entry name",
        expected: "a relative UTF-8 path without \"..\", backslash or NUL, of at most 4096 bytes")
    }
    return name
  }

  /// Checks the entry's own header and says where its content begins.
  package func dataOffset(in source: any ByteSource, before end: Int) throws -> Int {
    guard offset + 30 <= end else { throw misplaced("a header at byte \(offset)") }
    var local = ZipFields(try source.read(offset..<offset + 30), at: place)
    let signature = try local.u32()
    _ = try local.u16()
    let localFlags = try local.u16()
    let localMethod = try local.u16()
    _ = try local.take(4)
    let localCRC = try local.u32()
    var stored = try local.u32()
    var full = try local.u32()
    let nameLength = try local.u16()
    let extraLength = try local.u16()
    let start = offset + 30 + nameLength + extraLength
    guard signature == 0x0403_4B50 else { throw misplaced("no entry at byte \(offset)") }
    guard start + storedSize <= end else {
      throw misplaced("\(storedSize) bytes at byte \(start)")
    }
    let tail = try source.read(offset + 30..<start)
    guard localFlags == flags, localMethod == method, Array(tail[..<nameLength]) == name.utf8
    else { throw contradiction("name, flags or method") }
    if full == 0xFFFF_FFFF || stored == 0xFFFF_FFFF,
      let wide = try ZipFields.extra(1, in: tail[nameLength...], at: place)
    {
      var values = ZipFields(wide, at: place)
      if full == 0xFFFF_FFFF { full = try values.u64() }
      if stored == 0xFFFF_FFFF { stored = try values.u64() }
    }
    let isBlank = hasDescriptor && full == 0 && stored == 0
    guard isBlank || (full == UInt64(size) && stored == UInt64(storedSize)) else {
      throw contradiction("sizes")
    }
    guard (hasDescriptor && localCRC == 0) || localCRC == UInt64(crc) else {
      throw contradiction("CRC-32")
    }
    return start
  }

  /// Checks that between the content and the next entry lies nothing but a data descriptor.
  package func checkDescriptor(in source: any ByteSource, from start: Int, to end: Int) throws {
    if start == end { return }
    let length = end - start
    guard hasDescriptor, [12, 16, 20, 24].contains(length) else {
      throw RecurrentError(
        .zipLayout, at: place,
        found: length < 0
          ? "\(-length) bytes shared with the next entry" : "\(length) bytes after it",
        expected: "entries that neither overlap nor leave gaps")
    }
    var fields = ZipFields(try source.read(start..<end), at: place)
    let isSigned = length == 16 || length == 24
    let signature = isSigned ? try fields.u32() : 0x0807_4B50
    let checksum = try fields.u32()
    let stored = length < 20 ? try fields.u32() : try fields.u64()
    let full = length < 20 ? try fields.u32() : try fields.u64()
    guard signature == 0x0807_4B50, checksum == UInt64(crc), stored == UInt64(storedSize),
      full == UInt64(size)
    else { throw contradiction("data descriptor") }
  }

  private func misplaced(_ found: String) -> RecurrentError {
    RecurrentError(
      .zipLayout, at: place, found: found,
      expected: "an entry that lies before the directory")
  }

  private func contradiction(_ what: String) -> RecurrentError {
    RecurrentError(
      .zipContradiction, at: place,
      found: "\(what) that differ between the entry and the directory", expected: "the same in both"
    )
  }
}

/// Whether extracting an entry of this name could never leave the folder.
package func zipNameIsSafe(_ bytes: some Collection<UInt8>) -> Bool {
  guard !bytes.isEmpty, bytes.count <= 4096, bytes.first != UInt8(ascii: "/"),
    !bytes.contains(0), !bytes.contains(UInt8(ascii: "\\"))
  else { return false }
  return !bytes.split(separator: UInt8(ascii: "/")).contains { $0.elementsEqual("..".utf8) }
}
