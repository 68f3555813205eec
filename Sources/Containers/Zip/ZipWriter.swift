import Bytes
import Tensors

/// Writes a zip archive of stored entries, front to back.
///
/// Headers carry real sizes and checksums: a checksum is put into its header when the bytes behind it are
/// written. The date is always 1980-01-01, so equal input gives equal bytes.
package struct ZipWriter {
  private let sink: any ByteSink
  /// From here on a field needs ZIP64; lowered only by tests.
  private let limit: UInt64
  private var offset = 0
  private var directory: [UInt8] = []
  private var names: Set<Name> = []

  /// Creates a writer of an archive that begins where `sink` does.
  package init(_ sink: any ByteSink) { self.init(sink, limit: 0xFFFF_FFFF) }

  package init(_ sink: any ByteSink, limit: UInt64) {
    self.sink = sink
    self.limit = limit
  }

  /// Appends an entry whose content is the parts one after another, beginning at a multiple of
  /// `alignment`; throws `zip.name` or `zip.duplicate`, and whatever source and sink throw.
  package mutating func add(
    _ name: Name, _ parts: [any ByteSource], alignment: Int = 1
  ) throws {
    guard zipNameIsSafe(name.utf8) else {
      throw RecurrentError(
        .zipNameInexpressible, at: "entry \"\(name)\"", found: "a name no archive may have",
        expected: "a relative path without \"..\", backslash or NUL, of at most 4096 bytes",
        hint: "Rename the tensor, or write safetensors.")
    }
    guard names.insert(name).inserted else {
      throw RecurrentError(
        .zipDuplicateInexpressible, at: "entry \"\(name)\"", found: "the name twice",
        expected: "every name once")
    }
    let size = parts.reduce(0) { $0 + $1.count }
    let start = offset
    try emit(localHeader(name, size: size, crc: 0, alignment: alignment))
    var checksum = ZipRunsChecksum(count: size)
    var end = 0
    for part in parts {
      try sink.write(part) { checksum.add($1, at: end + $0) }
      end += part.count
    }
    offset += size
    try sink.replace(at: start + 14, with: little(Int(checksum.value), 4))
    directory += centralHeader(name, size: size, crc: checksum.value, start: start)
  }

  /// Writes the directory; nothing may be added afterwards.
  package mutating func finish() throws {
    let start = offset
    let size = directory.count
    try emit(directory)
    let isWide = names.count >= 0xFFFF || UInt64(size) >= limit || UInt64(start) >= limit
    if isWide {
      let record = offset
      try emit(
        [0x50, 0x4B, 6, 6] + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8)
          + little(names.count, 8) + little(names.count, 8) + little(size, 8) + little(start, 8))
      try emit([0x50, 0x4B, 6, 7] + little(0, 4) + little(record, 8) + little(1, 4))
    }
    let count = min(names.count, 0xFFFF)
    try emit(
      [0x50, 0x4B, 5, 6] + little(0, 4) + little(count, 2) + little(count, 2) + short(size)
        + short(start) + little(0, 2))
  }

  private func localHeader(_ name: Name, size: Int, crc: UInt32, alignment: Int) -> [UInt8] {
    var extra: [UInt8] = []
    if UInt64(size) >= limit {
      extra = little(1, 2) + little(16, 2) + little(size, 8) + little(size, 8)
    }
    let fixed = 30 + name.utf8.count + extra.count
    var padding = (alignment - (offset + fixed) % alignment) % alignment
    if padding > 0 {
      // A record has four bytes of its own; the id "FB" is the one that torch pads with.
      while padding < 4 { padding += alignment }
      extra += [0x46, 0x42] + little(padding - 4, 2)
      extra += [UInt8](repeating: 0, count: padding - 4)
    }
    return [0x50, 0x4B, 3, 4] + common(name, size: size, crc: crc) + little(extra.count, 2)
      + name.utf8 + extra
  }

  private func centralHeader(_ name: Name, size: Int, crc: UInt32, start: Int) -> [UInt8] {
    var wide: [UInt8] = []
    if UInt64(size) >= limit { wide += little(size, 8) + little(size, 8) }
    if UInt64(start) >= limit { wide += little(start, 8) }
    let extra = wide.isEmpty ? [] : little(1, 2) + little(wide.count, 2) + wide
    return [0x50, 0x4B, 1, 2] + little(version(size), 2) + common(name, size: size, crc: crc)
      + little(extra.count, 2) + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4)
      + short(start) + name.utf8 + extra
  }

  /// What both headers share: version to name length.
  private func common(_ name: Name, size: Int, crc: UInt32) -> [UInt8] {
    let flags = name.utf8.allSatisfy { $0 < 0x80 } ? 0 : 0x800
    return little(version(size), 2) + little(flags, 2) + little(0, 2) + little(0, 2)
      + little(0x21, 2) + little(Int(crc), 4) + short(size) + short(size)
      + little(name.utf8.count, 2)
  }

  private func version(_ size: Int) -> Int { UInt64(size) >= limit ? 45 : 20 }

  private func short(_ value: Int) -> [UInt8] {
    little(UInt64(value) >= limit ? 0xFFFF_FFFF : value, 4)
  }

  private func little(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private mutating func emit(_ bytes: [UInt8]) throws {
    try sink.write(bytes)
    offset += bytes.count
  }
}
