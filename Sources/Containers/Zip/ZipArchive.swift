// Zip, as torch, NumPy and Keras write it. All numbers are little-endian.
//
//   entry, once per member, without gaps from byte 0 on
//     "PK" 3 4 · u16 version · u16 flags · u16 method (0 stored, 8 deflated) · u16 time · u16 date
//     u32 crc · u32 stored size · u32 size · u16 name length · u16 extra length · name · extra
//     data · data descriptor if flags bit 3: ["PK" 7 8] · u32 crc · stored size · size (u32 or u64)
//   central directory, once per member
//     "PK" 1 2 · u16 made by · u16 version · u16 flags · u16 method · u16 time · u16 date
//     u32 crc · u32 stored size · u32 size · u16 name, extra, comment length · u16 disk
//     u16 attributes · u32 attributes · u32 offset of the entry · name · extra · comment
//   ZIP64 end record and locator (optional) · end record "PK" 5 6 · comment
//
// Sizes come from the central directory; torch leaves them zero in the entry itself, NumPy puts
// 0xFFFFFFFF there. Where both places do say something they must agree: parsers that believe one of
// two contradicting headers are how a harmless-looking archive smuggles in other weights.

import Tensors

/// A zip archive whose entries were all accounted for; nothing but headers has been read.
package struct ZipArchive: Sendable {
  /// One member.
  package struct Entry: Sendable {
    /// The name, with `/` between folders.
    package let name: Name
    /// Bytes of the content.
    package let size: Int
    /// Bytes in the archive; the same as `size` when stored.
    package let storedSize: Int
    /// The CRC-32 of the content that the directory states.
    package let crc: UInt32
    /// Whether the content is deflated rather than stored.
    package let isDeflated: Bool
    /// The byte of the archive where the (stored or deflated) content begins.
    package let dataOffset: Int
    /// Whether the entry is a folder.
    package var isDirectory: Bool { name.utf8.last == UInt8(ascii: "/") }
  }

  /// The members in directory order.
  package let entries: [Entry]
  /// Whether the writer left out every checksum (`torch.serialization.set_crc32_options(False)`).
  package let lacksChecksums: Bool
  private let archive: any ByteSource
  private let positions: [Name: Int]

  /// Whether the bytes begin like a zip archive.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    guard source.count >= 22, let start = try? source.read(0..<4) else { return false }
    return start == [0x50, 0x4B, 3, 4] || start == [0x50, 0x4B, 5, 6]
  }

  /// Reads the directory and checks it against every entry's own header; throws `zip.…` for gaps,
  /// overlaps, duplicates, contradictions, unsafe names and implausible expansion.
  package init(_ source: any ByteSource) throws {
    let directory = try ZipDirectory(source)
    let headers = try ZipCentralHeader.read(directory, in: source)
    var entries: [Entry] = []
    var positions: [Name: Int] = [:]
    for header in headers {
      guard positions.updateValue(entries.count, forKey: header.name) == nil else {
        throw RecurrentError(
          .zipDuplicate, at: header.place, found: "the name twice",
          expected: "every name once")
      }
      entries.append(
        Entry(
          name: header.name, size: header.size, storedSize: header.storedSize, crc: header.crc,
          isDeflated: header.method == 8,
          dataOffset: try header.dataOffset(in: source, before: directory.offset)))
    }
    // Every byte before the directory belongs to exactly one entry.
    let order = headers.indices.sorted { headers[$0].offset < headers[$1].offset }
    var end = 0
    for (rank, index) in order.enumerated() {
      let header = headers[index]
      guard header.offset == end else {
        throw RecurrentError(
          .zipLayout, at: header.place, found: "an entry at byte \(header.offset)",
          expected: "one at byte \(end): entries must neither overlap nor leave gaps")
      }
      let next = rank + 1 < order.count ? headers[order[rank + 1]].offset : directory.offset
      try header.checkDescriptor(
        in: source, from: entries[index].dataOffset + header.storedSize, to: next)
      end = next
    }
    guard end == directory.offset else {
      throw RecurrentError(
        .zipLayout, found: "\(directory.offset) bytes before the directory",
        expected: "none in an empty archive")
    }
    self.entries = entries
    self.positions = positions
    archive = source
    let contents = entries.filter { $0.size > 0 }
    lacksChecksums = !contents.isEmpty && contents.allSatisfy { $0.crc == 0 }
  }

  /// The member with a name.
  package subscript(name: Name) -> Entry? { positions[name].map { entries[$0] } }

  /// The content of a member; its CRC-32 is checked the first time that any of it is read.
  ///
  /// An archive without any checksum is read unchecked when `acceptsMissingChecksums` says so.
  package func source(of entry: Entry, acceptsMissingChecksums: Bool = false) throws
    -> any ByteSource
  {
    let window = try WindowSource(archive, offset: entry.dataOffset, count: entry.storedSize)
    if entry.isDeflated { return InflatedSource(window, entry: entry) }
    if lacksChecksums && acceptsMissingChecksums { return window }
    return CheckedSource(window, entry: entry)
  }
}
