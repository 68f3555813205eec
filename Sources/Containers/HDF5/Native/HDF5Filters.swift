import Bytes
import CZlib
import Tensors

/// The filters that chunks went through on their way into the file; reading undoes the last one first.
package struct HDF5Filters {
  private enum Filter {
    case deflate
    case shuffle(elementSize: Int)
    case fletcher32
    case lzf
  }

  private var filters: [Filter] = []

  package var isEmpty: Bool { filters.isEmpty }

  package init() {}

  // version 1: count · 6 bytes; version 2: count; then per filter u16 id · [u16 name size] · u16 flags
  // · u16 values · [name] · values
  package init(_ message: HDF5Cursor, elementSize: Int) throws {
    var cursor = message
    let version = try cursor.u8()
    guard version == 1 || version == 2 else {
      throw cursor.damage("version \(version) of a filter list", "version 1 or 2")
    }
    let count = try cursor.u8()
    guard count <= HDF5Limit.filters else {
      throw cursor.damage("\(count) filters", "at most \(HDF5Limit.filters)")
    }
    try cursor.skip(version == 1 ? 6 : 0)
    for _ in 0..<count {
      let place = cursor.place
      let id = try cursor.u16()
      let nameSize = version == 1 || id >= 256 ? try cursor.u16() : 0
      try cursor.skip(2)
      let valueCount = try cursor.u16()
      let name = try cursor.take(version == 1 ? (nameSize + 7) / 8 * 8 : nameSize)
      var values: [Int] = []
      for _ in 0..<valueCount { values.append(try cursor.u32()) }
      try cursor.skip(version == 1 && valueCount % 2 == 1 ? 4 : 0)
      switch id {
      case 1: filters.append(.deflate)
      case 2:
        let size = values.first ?? elementSize
        guard size > 0 else { throw cursor.damage("a shuffle of 0 bytes", "an element's size") }
        filters.append(.shuffle(elementSize: size))
      case 3: filters.append(.fletcher32)
      case 32000: filters.append(.lzf)
      default:
        throw Self.unknown(id, String(decoding: name.prefix { $0 != 0 }, as: UTF8.self), place)
      }
    }
    let compressors = filters.filter {
      switch $0 {
      case .deflate, .lzf: true
      case .shuffle, .fletcher32: false
      }
    }
    guard compressors.count <= 1 else { throw cursor.outside("chunks that are compressed twice") }
  }

  private static func unknown(_ id: Int, _ name: String, _ place: String) -> RecurrentError {
    let known = [
      4: "szip", 5: "nbit", 6: "scaleoffset", 307: "bzip2", 32001: "blosc", 32004: "lz4",
      32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32026: "blosc2",
    ]
    let title = known[id] ?? (name.isEmpty ? "unknown" : name)
    return RecurrentError(
      .hdf5Filter, at: place, found: "the filter \(title) (id \(id))",
      expected: "gzip, lzf, shuffle or fletcher32",
      hint: "Save the file again without compression or with gzip.")
  }

  /// The bytes of a chunk as they were before the filters; bits of `mask` are filters left out.
  package func decode(_ stored: [UInt8], mask: Int, count: Int) throws -> [UInt8] {
    let applied = filters.enumerated().filter { mask >> $0.offset & 1 == 0 }.map(\.element)
    // What each filter was given, which is all that is to be known for the only compressor.
    var inputs: [Int] = []
    var size = count
    for filter in applied {
      inputs.append(size)
      if case .fletcher32 = filter { size += 4 }
    }
    var bytes = stored
    for (filter, input) in zip(applied, inputs).reversed() {
      switch filter {
      case .deflate: bytes = try Self.inflated(bytes, count: input)
      case .lzf: bytes = try Self.expanded(bytes, count: input)
      case .shuffle(let elementSize): bytes = Self.unshuffled(bytes, elementSize)
      case .fletcher32: bytes = try Self.verified(bytes)
      }
    }
    guard bytes.count == count else {
      throw RecurrentError(
        .hdf5Chunk, found: "\(bytes.count) bytes in a chunk",
        expected: "\(count) bytes")
    }
    return bytes
  }

  private static func damaged(_ reason: RecurrentError.Reason, _ found: String, _ count: Int)
    -> RecurrentError
  {
    RecurrentError(
      reason, found: found, expected: "a chunk of exactly \(count) bytes",
      hint: "The file is damaged; fetch or save it again.")
  }

  private static func inflated(_ bytes: [UInt8], count: Int) throws -> [UInt8] {
    // Deflate cannot shrink further than this, so nothing is allocated for a lie.
    guard count / 1040 <= bytes.count else {
      throw damaged(.hdf5Deflate, "\(bytes.count) deflated bytes", count)
    }
    var stream = z_stream()
    guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      throw RecurrentError(.zipInflate, found: "no memory to inflate a chunk")
    }
    defer { inflateEnd(&stream) }
    var input = bytes
    var status = Z_OK
    // One byte more than wanted shows a stream that goes on.
    let output = try [UInt8](unsafeUninitializedCapacity: count + 1) { buffer, initialized in
      input.withUnsafeMutableBufferPointer { input in
        stream.next_in = input.baseAddress
        stream.avail_in = UInt32(input.count)
        stream.next_out = buffer.baseAddress
        stream.avail_out = UInt32(count + 1)
        status = inflate(&stream, Z_FINISH)
      }
      initialized = count + 1 - Int(stream.avail_out)
      guard status == Z_STREAM_END, initialized == count, stream.avail_in == 0 else {
        initialized = 0
        throw damaged(.hdf5Deflate, "a broken deflate stream", count)
      }
    }
    return output
  }

  // liblzf: literal runs of 1 to 32 bytes, and copies of 3 to 264 bytes from up to 8192 bytes back.
  private static func expanded(_ bytes: [UInt8], count: Int) throws -> [UInt8] {
    guard count / 100 <= bytes.count else {
      throw damaged(.hdf5LZF, "\(bytes.count) compressed bytes", count)
    }
    var output: [UInt8] = []
    output.reserveCapacity(count)
    var position = 0
    func next() throws -> Int {
      guard position < bytes.count else { throw damaged(.hdf5LZF, "a chunk that is cut", count) }
      defer { position += 1 }
      return Int(bytes[position])
    }
    while position < bytes.count {
      let control = try next()
      if control < 32 {
        guard control + 1 <= bytes.count - position else {
          throw damaged(.hdf5LZF, "a chunk that is cut", count)
        }
        output += bytes[position...position + control]
        position += control + 1
      } else {
        let length = (control >> 5 == 7 ? 7 + (try next()) : control >> 5) + 2
        let back = ((control & 31) << 8) + (try next()) + 1
        guard back <= output.count else {
          throw damaged(.hdf5LZF, "a copy from before the beginning", count)
        }
        let start = output.count - back
        for index in 0..<length { output.append(output[start + index]) }
      }
      guard output.count <= count else { throw damaged(.hdf5LZF, "more bytes", count) }
    }
    guard output.count == count else {
      throw damaged(.hdf5LZF, "\(output.count) bytes", count)
    }
    return output
  }

  /// Gathers elements whose bytes were stored plane by plane.
  private static func unshuffled(_ bytes: [UInt8], _ elementSize: Int) -> [UInt8] {
    let elements = bytes.count / elementSize
    guard elementSize > 1, elements > 1 else { return bytes }
    return [UInt8](unsafeUninitializedCapacity: bytes.count) { buffer, initialized in
      bytes.withUnsafeBufferPointer { bytes in
        for plane in 0..<elementSize {
          let start = plane * elements
          for element in 0..<elements {
            buffer[element * elementSize + plane] = bytes[start + element]
          }
        }
        // An element that is not whole stays where it was.
        for index in elements * elementSize..<bytes.count { buffer[index] = bytes[index] }
      }
      initialized = bytes.count
    }
  }

  private static func verified(_ bytes: [UInt8]) throws -> [UInt8] {
    guard bytes.count >= 4 else {
      throw damaged(.hdf5Fletcher32, "\(bytes.count) bytes", 4)
    }
    let stored = UInt32(littleEndian: bytes.suffix(4))
    let computed = hdf5Fletcher32(bytes.dropLast(4))
    // HDF5 1.6.2 and before swapped the bytes of each half on little-endian machines.
    let swapped = (computed & 0x00FF_00FF) << 8 | computed >> 8 & 0x00FF_00FF
    guard isRight(stored, for: computed) || stored == swapped else {
      throw RecurrentError(
        .hdf5Fletcher32, found: "a checksum of \(String(stored, radix: 16))",
        expected: "\(String(computed, radix: 16)) for the chunk",
        hint: "The file is damaged; fetch or save it again.")
    }
    return bytes.dropLast(4)
  }
}
