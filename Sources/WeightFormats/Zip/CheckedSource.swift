import CZlib
import Tensors

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A running CRC-32, as in zip and gzip.
struct ZipChecksum {
  private(set) var value: UInt32 = 0

  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    // zlib counts in 32 bits.
    while !rest.isEmpty {
      let length = min(rest.count, 1 << 30)
      let start = rest.baseAddress?.assumingMemoryBound(to: UInt8.self)
      value = UInt32(truncatingIfNeeded: crc32(UInt(value), start, UInt32(length)))
      rest = UnsafeRawBufferPointer(rebasing: rest[length...])
    }
  }

  static func mismatch(_ entry: ZipArchive.Entry, found: UInt32) -> RecurrentError {
    RecurrentError(
      .malformed, "zip.crc", at: "entry \"\(entry.name)\" at byte \(entry.dataOffset)",
      found: "CRC-32 \(hexadecimal(found)) of the stored bytes",
      expected: "\(hexadecimal(entry.crc)) as the archive says",
      hint: "The file is damaged; fetch or save it again.")
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits
  }
}

/// A lock that exists on every platform without Foundation.
final class ZipLock: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  init() {
    mutex.initialize(to: pthread_mutex_t())
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  func withLock<Result>(_ body: () throws -> Result) rethrows -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }
}

/// Stored bytes of an archive whose CRC-32 is checked, once, before the first of them is handed
/// out.
///
/// The check reads the whole entry in pieces, so that memory stays bounded.
final class CheckedSource: ByteSource, @unchecked Sendable {
  let count: Int
  private let base: any ByteSource
  private let entry: ZipArchive.Entry
  private let lock = ZipLock()
  private var isVerified = false

  init(_ base: any ByteSource, entry: ZipArchive.Entry) {
    self.base = base
    self.entry = entry
    count = base.count
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try lock.withLock {
      guard !isVerified else { return }
      var checksum = ZipChecksum()
      try base.forEachChunk { checksum.add($0) }
      guard checksum.value == entry.crc else {
        throw ZipChecksum.mismatch(entry, found: checksum.value)
      }
      isVerified = true
    }
    try base.read(at: offset, into: buffer)
  }
}
