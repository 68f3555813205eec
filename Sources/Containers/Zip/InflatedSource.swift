import Bytes
import CZlib
import HostSystem
import Tensors

/// The content of a deflated entry, inflated on demand and never held as a whole.
///
/// The first read makes one pass over everything to check size and CRC-32, and keeps the beginning
/// (the headers of arrays). Later reads go forward from where the last one ended; going back starts
/// anew.
package final class InflatedSource: ByteSource, @unchecked Sendable {
  package let count: Int
  private let base: any ByteSource
  private let entry: ZipArchive.Entry
  private let lock = Lock()
  private var beginning: [UInt8]?
  private var stream: ZipInflater?

  package init(_ base: any ByteSource, entry: ZipArchive.Entry) {
    self.base = base
    self.entry = entry
    count = entry.size
  }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try lock.withLock {
      let head = try beginning ?? verify()
      beginning = head
      if offset + buffer.count <= head.count {
        head.withUnsafeBytes {
          buffer.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
        }
        return
      }
      var current = stream
      if current.map({ $0.position > offset }) ?? true { current = try ZipInflater(base, entry) }
      guard let current else { return }
      stream = current
      try current.skip(to: offset)
      try current.fill(buffer)
      if current.position == count { stream = nil }
    }
  }

  private func verify() throws -> [UInt8] {
    let inflater = try ZipInflater(base, entry)
    let head = try [UInt8](unsafeUninitializedCapacity: min(count, 4096)) { buffer, initialized in
      let length = min(count, 4096)
      try inflater.fill(UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: length))
      initialized = length
    }
    try inflater.skip(to: count)
    try inflater.finish()
    guard isRight(entry.crc, for: inflater.checksum.value) else {
      throw ZipChecksum.mismatch(entry, found: inflater.checksum.value)
    }
    return head
  }
}

/// One forward pass through deflated bytes.
private final class ZipInflater {
  private(set) var position = 0
  private(set) var checksum = ZipChecksum()
  private let base: any ByteSource
  private let entry: ZipArchive.Entry
  private let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
  private var consumed = 0
  private var isAtEnd = false

  init(_ base: any ByteSource, _ entry: ZipArchive.Entry) throws {
    self.base = base
    self.entry = entry
    stream.initialize(to: z_stream())
    // Negative window bits: a raw deflate stream, as zip stores it.
    let status = inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      throw RecurrentError(.zipInflate, found: "zlib status \(status)")
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    input.deallocate()
  }

  func fill(_ buffer: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < buffer.count {
      let length = min(buffer.count - done, 1 << 30)
      let got = try step(UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + length]))
      guard got > 0 || !isAtEnd else { throw damaged("\(position) bytes") }
      checksum.add(UnsafeRawBufferPointer(rebasing: buffer[done..<done + got]))
      done += got
      position += got
    }
  }

  func skip(to offset: Int) throws {
    guard offset > position else { return }
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { scratch.deallocate() }
    while position < offset {
      let length = min(scratch.count, offset - position)
      try fill(UnsafeMutableRawBufferPointer(rebasing: scratch[0..<length]))
    }
  }

  /// Checks that the stream ends here and that no input is left over.
  func finish() throws {
    try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { extra in
      while !isAtEnd {
        guard try step(extra) == 0 else { throw damaged("more than \(entry.size) bytes") }
      }
    }
    let leftOver = base.count - consumed + Int(stream.pointee.avail_in)
    guard leftOver == 0 else { throw damaged("\(leftOver) bytes after the deflate stream") }
  }

  private func step(_ output: UnsafeMutableRawBufferPointer) throws -> Int {
    if isAtEnd { return 0 }
    if stream.pointee.avail_in == 0, consumed < base.count {
      let length = min(input.count, base.count - consumed)
      try base.read(
        at: consumed, into: UnsafeMutableRawBufferPointer(rebasing: input[0..<length]))
      consumed += length
      stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_in = UInt32(length)
    }
    stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(output.count)
    let before = stream.pointee.avail_in
    let status = inflate(stream, Z_NO_FLUSH)
    let got = output.count - Int(stream.pointee.avail_out)
    if status == Z_STREAM_END { isAtEnd = true }
    let hasMoved = got > 0 || stream.pointee.avail_in < before
    guard status == Z_STREAM_END || (status == Z_OK && hasMoved) else {
      throw damaged(status == Z_MEM_ERROR ? "no memory" : "a broken deflate stream")
    }
    return got
  }

  private func damaged(_ found: String) -> RecurrentError {
    RecurrentError(
      .zipDeflate, at: "entry \"\(entry.name)\" at byte \(entry.dataOffset)",
      found: found, expected: "a deflate stream of exactly \(entry.size) bytes")
  }
}
