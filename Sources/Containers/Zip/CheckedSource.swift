import Bytes
import CChecksum
import CZlib
import HostSystem
import Tensors

/// A running CRC-32, as in zip and gzip.
package struct ZipChecksum {
  package private(set) var value: UInt32 = 0

  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    if let start = bytes.baseAddress { value = checksum_crc32(value, start, bytes.count) }
  }

  package static func mismatch(_ entry: ZipArchive.Entry, found: UInt32) -> RecurrentError {
    RecurrentError(
      .zipCRC, at: "entry \"\(entry.name)\" at byte \(entry.dataOffset)",
      found: "CRC-32 \(hexadecimal(found)) of the stored bytes",
      expected: "\(hexadecimal(entry.crc)) as the archive says",
      hint: "The file is damaged; fetch or save it again.")
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

/// A CRC-32 of bytes that come in runs in any order.
package struct ZipRunsChecksum {
  private let count: Int
  /// What the runs before the last stretch make of the whole.
  private var sum: UInt32 = 0
  /// Runs that followed one another.
  private var stretch = ZipChecksum()
  private var end = 0

  /// The checksum of `count` bytes.
  package init(count: Int) { self.count = count }

  /// The checksum of all bytes, each of which was added once.
  package var value: UInt32 {
    // A checksum is linear: each stretch counts as if zeros followed it.
    sum ^ UInt32(truncatingIfNeeded: crc32_combine(uLong(stretch.value), 0, count - end))
  }

  package mutating func add(_ run: UnsafeRawBufferPointer, at offset: Int) {
    if offset != end {
      sum = value
      stretch = ZipChecksum()
    }
    stretch.add(run)
    end = offset + run.count
  }
}

/// Stored bytes of an archive whose CRC-32 is checked, once.
///
/// Whoever reads them forwards in large pieces gets them while they are added up, and learns with the last
/// piece that they are damaged; anybody else gets the first of them when the whole entry was read in
/// pieces and found good.
package final class CheckedSource: ByteSource, @unchecked Sendable {
  package let count: Int
  private let base: any ByteSource
  private let entry: ZipArchive.Entry
  private let lock = Lock()
  // Guarded by the lock.
  private var isVerified = false
  private var checksum = ZipChecksum()
  private var position = 0
  /// What looks at a beginning only (a header), and never at the end, reads less.
  private static let largePiece = 1 << 16

  package init(_ base: any ByteSource, entry: ZipArchive.Entry) {
    self.base = base
    self.entry = entry
    count = base.count
  }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    // Two threads that transpose a matrix need not wait for one another.
    if lock.withLock({ isVerified }) { return try base.read(at: offset, into: buffer) }
    try lock.withLock {
      if !isVerified, offset == 0, buffer.count >= Self.largePiece {
        (checksum, position) = (ZipChecksum(), 0)
      }
      let isNext = offset == position && (position > 0 || buffer.count >= Self.largePiece)
      if !isVerified, !isNext { try verify() }
      try base.read(at: offset, into: buffer)
      guard !isVerified else { return }
      checksum.add(UnsafeRawBufferPointer(buffer))
      position += buffer.count
      if position == count { try conclude() }
    }
  }

  package func copy(_ range: Range<Int>, to descriptor: Int32) -> Int {
    lock.withLock { isVerified } ? base.copy(range, to: descriptor) : 0
  }

  private func verify() throws {
    (checksum, position) = (ZipChecksum(), 0)
    try base.forEachChunk { checksum.add($0) }
    try conclude()
  }

  private func conclude() throws {
    defer { position = 0 }
    guard isRight(entry.crc, for: checksum.value) else {
      throw ZipChecksum.mismatch(entry, found: checksum.value)
    }
    isVerified = true
  }
}
