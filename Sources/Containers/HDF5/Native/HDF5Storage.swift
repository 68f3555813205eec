import Tensors

/// A layout message: where the elements of a dataset lie.
package enum HDF5Storage {
  case compact([UInt8])
  /// `count` is `nil` where the message does not say how many bytes there are.
  case contiguous(address: Int?, count: Int?)
  case chunked(HDF5Chunking)

  package init(_ message: HDF5Cursor) throws {
    var cursor = message
    let version = try cursor.u8()
    switch version {
    case 1, 2: self = try Self.old(&cursor)
    case 3...5: self = try Self.new(&cursor, version: version)
    default: throw cursor.damage("version \(version) of a layout", "version 1 to 5")
    }
  }

  // rank · class · 5 bytes · [address] · u32 sizes · [u32 element size] · [u32 count · data]
  private static func old(_ cursor: inout HDF5Cursor) throws -> HDF5Storage {
    let rank = try cursor.u8()
    let kind = try cursor.u8()
    try cursor.skip(5)
    guard rank <= HDF5Limit.rank + 1 else { throw cursor.damage("\(rank) axes", "fewer") }
    switch kind {
    case 0:
      try cursor.skip(4 * rank)
      let count = try cursor.u32()
      return .compact(try cursor.take(count))
    case 1: return .contiguous(address: try cursor.address(), count: nil)
    case 2:
      let address = try cursor.address()
      return .chunked(try chunking(&cursor, rank: rank, width: 4, index: .bTree1(address)))
    default: throw cursor.damage("storage class \(kind)", "0, 1 or 2")
    }
  }

  private static func new(_ cursor: inout HDF5Cursor, version: Int) throws -> HDF5Storage {
    let kind = try cursor.u8()
    switch kind {
    case 0:
      let count = try cursor.u16()
      return .compact(try cursor.take(count))
    case 1: return .contiguous(address: try cursor.address(), count: try cursor.length())
    case 2:
      if version > 3 { return .chunked(try newChunking(&cursor)) }
      let rank = try cursor.u8()
      let address = try cursor.address()
      return .chunked(try chunking(&cursor, rank: rank, width: 4, index: .bTree1(address)))
    case 3:
      throw RecurrentError(
        .hdf5Virtual, at: cursor.place, found: "a virtual dataset",
        expected: "data inside the file")
    default: throw cursor.damage("storage class \(kind)", "0 to 3")
    }
  }

  // flags · rank + 1 · width · sizes · index type · its parameters · address
  private static func newChunking(_ cursor: inout HDF5Cursor) throws -> HDF5Chunking {
    let flags = try cursor.u8()
    let rank = try cursor.u8()
    let width = try cursor.u8()
    guard (1...8).contains(width) else {
      throw cursor.damage("sizes of \(width) bytes", "1 to 8")
    }
    var chunking = try chunking(&cursor, rank: rank, width: width, index: .bTree1(nil))
    chunking.leavesEdgesUnfiltered = flags & 1 != 0
    switch try cursor.u8() {
    case 1:
      var stored: (size: Int, mask: Int)?
      if flags & 2 != 0 { stored = (try cursor.length(), try cursor.u32()) }
      chunking.index = .single(try cursor.address(), size: stored?.size, mask: stored?.mask ?? 0)
    case 2: chunking.index = .implicit(try cursor.address())
    case 3:
      try cursor.skip(1)
      chunking.index = .fixedArray(try cursor.address())
    case 4:
      try cursor.skip(5)
      chunking.index = .extensibleArray(try cursor.address())
    case 5:
      try cursor.skip(6)
      chunking.index = .bTree2(try cursor.address())
    case let kind: throw cursor.damage("chunk index \(kind)", "1 to 5")
    }
    return chunking
  }

  private static func chunking(
    _ cursor: inout HDF5Cursor, rank: Int, width: Int, index: HDF5Chunking.Index
  ) throws -> HDF5Chunking {
    guard (2...HDF5Limit.rank + 1).contains(rank) else {
      throw cursor.damage("chunks with \(rank - 1) axes", "1 to \(HDF5Limit.rank)")
    }
    var sizes: [Int] = []
    for _ in 0..<rank - 1 { sizes.append(try cursor.int(width)) }
    return HDF5Chunking(shape: sizes, elementSize: try cursor.int(width), index: index)
  }
}

/// How a dataset is cut into chunks and where these are listed.
package struct HDF5Chunking {
  /// Each with the address of its head, `nil` while nothing has been written.
  package enum Index {
    case bTree1(Int?)
    case single(Int?, size: Int?, mask: Int)
    case implicit(Int?)
    case fixedArray(Int?)
    case extensibleArray(Int?)
    case bTree2(Int?)
  }

  package let shape: [Int]
  package let elementSize: Int
  package var index: Index
  /// Whether chunks that reach over the edge are stored without filters.
  package var leavesEdgesUnfiltered = false
}

/// The value of elements that were never written.
package enum HDF5FillValue {
  /// The bytes of one element; zeros when the file gives none.
  package static func read(from header: HDF5ObjectHeader, elementSize: Int) throws -> [UInt8] {
    let zeros = [UInt8](repeating: 0, count: min(elementSize, 16))
    var value: [UInt8]?
    if let message = try header.only(0x05) {
      try refuseShared(message)
      value = try current(message.body)
    } else if let message = try header.only(0x04) {
      try refuseShared(message)
      var cursor = message.body
      value = try cursor.take(try cursor.u32())
    }
    guard let value, !value.isEmpty else { return zeros }
    guard value.count == elementSize else {
      throw RecurrentError(
        .hdf5Fill, found: "a fill value of \(value.count) bytes",
        expected: "\(elementSize) bytes")
    }
    return value
  }

  private static func refuseShared(_ message: HDF5ObjectHeader.Message) throws {
    if message.isShared { throw message.body.outside("a shared fill value") }
  }

  // versions 1, 2: two times · defined · [u32 size · bytes]; version 3: flags · [u32 size · bytes]
  private static func current(_ message: HDF5Cursor) throws -> [UInt8]? {
    var cursor = message
    let version = try cursor.u8()
    switch version {
    case 1, 2:
      try cursor.skip(2)
      let isDefined = try cursor.u8() != 0
      guard version == 1 || isDefined else { return nil }
      let size = try cursor.u32()
      // Version 1 says -1 where there is no value.
      return size == 0xFFFF_FFFF || !isDefined ? nil : try cursor.take(size)
    case 3:
      let flags = try cursor.u8()
      return flags & 0x20 == 0 ? nil : try cursor.take(try cursor.u32())
    default: throw cursor.damage("version \(version) of a fill value", "version 1 to 3")
    }
  }
}
