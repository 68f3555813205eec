// Datasets: everything that can be checked before an element is read, and reading through libhdf5
// where the elements do not lie in the file as they are.

import Bytes
import CHDF5
import Tensors

package enum HDF5LibraryDataset {

  /// Describes a dataset; its elements become a window on the file where that is possible.
  package static func describe(
    _ place: String, identity: UInt64, in file: HDF5LibraryFile
  ) throws -> HDF5Dataset {
    let id = try HDF5Library.check(
      H5Dopen2(file.id, place, chdf5_default()), "open a dataset", at: place)
    defer { H5Dclose(id) }
    let type = try HDF5Library.check(H5Dget_type(id), "read a type", at: place)
    defer { H5Tclose(type) }
    let elementType = try HDF5LibraryType.describe(type, at: place)
    let properties = try HDF5Library.check(
      H5Dget_create_plist(id), "read a dataset's properties", at: place)
    defer { H5Pclose(properties) }
    let layout = try refuseOutsideStorage(properties, at: place)
    var dataset = HDF5Dataset(
      identity: identity, type: elementType, shape: try shape(of: id, at: place))
    if case .opaque = elementType, H5Aexists(id, "dtype") > 0,
      case .text(let label) = try HDF5LibraryAttributes.value(of: "dtype", on: id, at: place)
    {
      dataset.dtypeAttribute = label
    }
    // Opaque pairs of bytes without a label are Keras's bfloat16 in its older layout.
    let mayBeTensor =
      elementType.dtype(label: dataset.dtypeAttribute) != nil || elementType == .opaque(size: 2)
    if let shape = dataset.shape, mayBeTensor {
      do {
        dataset.source = try source(
          of: id, type: type, properties: properties, layout: layout, shape: shape, at: place,
          in: file)
      } catch let error as RecurrentError {
        throw error.place == nil || error.reason == .fileTruncated ? error.within(place) : error
      }
    }
    return dataset
  }

  private static func refuseOutsideStorage(
    _ properties: hid_t, at place: String
  ) throws -> H5D_layout_t {
    let layout = H5Pget_layout(properties)
    guard layout != H5D_VIRTUAL else {
      throw RecurrentError(
        .hdf5Virtual, at: place, found: "a virtual dataset",
        expected: "data inside the file")
    }
    guard layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED else {
      throw RecurrentError(
        .hdf5Layout, at: place, found: "storage layout \(layout.rawValue)",
        expected: "compact, contiguous or chunked")
    }
    let external = try HDF5Library.check(
      H5Pget_external_count(properties), "read a dataset's storage", at: place)
    guard external == 0 else {
      throw RecurrentError(
        .hdf5ExternalStorage, at: place, found: "data in another file",
        expected: "data inside the file")
    }
    return layout
  }

  private static func shape(of id: hid_t, at place: String) throws -> [Int]? {
    let space = try HDF5Library.check(H5Dget_space(id), "read a shape", at: place)
    defer { H5Sclose(space) }
    guard H5Sget_simple_extent_type(space) != H5S_NULL else { return nil }
    let rank = try HDF5Library.check(
      H5Sget_simple_extent_ndims(space), "read a shape", at: place)
    guard rank <= HDF5Limit.rank else {
      throw RecurrentError(
        .hdf5Rank, at: place, found: "\(rank) axes",
        expected: "at most \(HDF5Limit.rank)")
    }
    var sizes = [hsize_t](repeating: 0, count: Int(rank))
    try HDF5Library.check(
      H5Sget_simple_extent_dims(space, &sizes, nil), "read a shape", at: place)
    return try sizes.map { size in
      guard let size = Int(exactly: size) else {
        throw RecurrentError(
          .tensorShape, at: place, found: "an axis of \(size)",
          expected: "sizes that fit in 63 bits")
      }
      return size
    }
  }

  private static func source(
    of id: hid_t, type: hid_t, properties: hid_t, layout: H5D_layout_t, shape: [Int],
    at place: String, in file: HDF5LibraryFile
  ) throws -> any ByteSource {
    let elementSize = H5Tget_size(type)
    let count = try byteCount(of: shape, elementSize: elementSize)
    guard count > 0 else { return MemorySource([]) }
    let stored = H5Dget_storage_size(id)
    if layout == H5D_COMPACT {
      // libhdf5 copies from the object header without looking at this.
      guard count <= 1 << 16, stored == count else {
        throw wrongSize(count, stored: stored, at: place)
      }
      let source = try HDF5ChunkedSource(file, place, shape, elementSize, chunkRows: 1)
      return MemorySource(try source.readAll())
    }
    let offset = H5Dget_offset(id)
    if layout == H5D_CONTIGUOUS, offset != chdf5_undefined_address() {
      guard stored == count, let start = Int(exactly: offset) else {
        throw wrongSize(count, stored: stored, at: place)
      }
      return try WindowSource(file.source, offset: start, count: count)
    }
    guard layout == H5D_CHUNKED else {
      return try fill(count, type: type, elementSize, properties: properties, at: place)
    }
    try checkFilters(properties, at: place)
    var chunk = [hsize_t](repeating: 0, count: HDF5Limit.rank)
    let rank = try HDF5Library.check(
      H5Pget_chunk(properties, Int32(HDF5Limit.rank), &chunk), "read the chunk shape", at: place)
    let chunkShape = chunk.prefix(Int(rank)).map { Int(clamping: $0) }
    guard rank == shape.count,
      let chunkBytes = try? byteCount(of: chunkShape, elementSize: elementSize),
      chunkBytes > 0, chunkBytes <= HDF5Limit.chunkBytes
    else {
      throw RecurrentError(
        .hdf5Chunk, at: place, found: "chunks of shape \(chunkShape)",
        expected: "chunks of at most \(HDF5Limit.chunkBytes) bytes with \(shape.count) axes")
    }
    guard stored > 0 else {
      return try fill(count, type: type, elementSize, properties: properties, at: place)
    }
    guard stored <= UInt64(file.source.count) else {
      throw wrongSize(count, stored: stored, at: place)
    }
    guard count <= HDF5Limit.expandedBytes || UInt64(count) / stored <= UInt64(HDF5Limit.expansion)
    else {
      throw RecurrentError(
        .hdf5Bomb, at: place, found: "\(count) bytes out of \(stored) stored bytes",
        expected: "at most \(HDF5Limit.expansion) times the stored bytes")
    }
    return try HDF5ChunkedSource(file, place, shape, elementSize, chunkRows: chunkShape[0])
  }

  private static func wrongSize(
    _ count: Int, stored: some BinaryInteger, at place: String
  ) -> RecurrentError {
    RecurrentError(
      .hdf5Size, at: place, found: "\(stored) stored bytes",
      expected: "\(count) bytes for its shape")
  }

  private static func fill(
    _ count: Int, type: hid_t, _ elementSize: Int, properties: hid_t, at place: String
  ) throws -> any ByteSource {
    guard count <= HDF5Limit.unwrittenBytes else {
      throw RecurrentError(
        .hdf5Bomb, at: place, found: "\(count) bytes that were never written",
        expected: "at most \(HDF5Limit.unwrittenBytes)")
    }
    var element = [UInt8](repeating: 0, count: elementSize)
    var defined = H5D_FILL_VALUE_UNDEFINED
    try HDF5Library.check(H5Pfill_value_defined(properties, &defined), "find its fill value")
    if defined == H5D_FILL_VALUE_USER_DEFINED {
      try HDF5Library.check(H5Pget_fill_value(properties, type, &element), "read its fill value")
    }
    return HDF5FillSource(element: element, count: count)
  }

  private static func checkFilters(_ properties: hid_t, at place: String) throws {
    let count = try HDF5Library.check(H5Pget_nfilters(properties), "count filters", at: place)
    for index in 0..<UInt32(max(0, count)) {
      var (flags, configuration): (UInt32, UInt32) = (0, 0)
      var valueCount = 0
      var name = [CChar](repeating: 0, count: 128)
      let filter = try HDF5Library.check(
        H5Pget_filter2(
          properties, index, &flags, &valueCount, nil, name.count, &name, &configuration),
        "read a filter", at: place)
      // deflate, shuffle, fletcher32
      guard [1, 2, 3].contains(filter) else {
        name[name.count - 1] = 0
        let given = String(decoding: bytes(of: name), as: UTF8.self)
        let known = [4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc"]
        let title = known[Int(filter)] ?? (given.isEmpty ? "unknown" : given)
        throw RecurrentError(
          .hdf5Filter, at: place, found: "the filter \(title) (id \(filter))",
          expected: "gzip, shuffle or fletcher32",
          hint: "Save the file again without compression or with gzip.")
      }
    }
  }
}

/// A dataset that libhdf5 must decode, read in blocks of whole rows of chunks.
///
/// Reading forwards decodes every chunk once.
package final class HDF5ChunkedSource: ByteSource, @unchecked Sendable {
  package let count: Int
  private let file: HDF5LibraryFile
  private let place: String
  private let id: hid_t
  private let shape: [Int]
  private let rowBytes: Int
  private let blockRows: Int
  private let cache = BlockCache()

  /// Opens the dataset at `place`; its shape has been checked to fit in memory sizes.
  package init(
    _ file: HDF5LibraryFile, _ place: String, _ shape: [Int], _ elementSize: Int, chunkRows: Int,
    blockBytes: Int = 8 << 20
  ) throws {
    self.file = file
    self.place = place
    self.shape = shape
    count = try byteCount(of: shape, elementSize: elementSize)
    rowBytes = try byteCount(of: Array(shape.dropFirst()), elementSize: elementSize)
    let rows = shape.first ?? 1
    let bands = max(1, blockBytes / max(1, rowBytes) / max(1, chunkRows))
    let (whole, overflow) = bands.multipliedReportingOverflow(by: max(1, chunkRows))
    blockRows = overflow ? rows : min(rows, whole)
    id = try HDF5Library.locked {
      try HDF5Library.check(H5Dopen2(file.id, place, chdf5_default()), "open a dataset", at: place)
    }
  }

  deinit { HDF5Library.close { H5Dclose(id) } }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let blockBytes = rowBytes * blockRows
    try HDF5Library.locked {
      try cache.read(at: offset, into: buffer) { position in
        let start = position / blockBytes * blockBytes
        return start..<min(start + blockBytes, count)
      } fill: { range, block in
        try load(firstRow: range.lowerBound / rowBytes, rows: range.count / rowBytes, into: block)
      }
    }
  }

  private func load(
    firstRow: Int, rows: Int, into block: UnsafeMutableRawBufferPointer
  ) throws {
    // The type of the file is the type in memory, so that libhdf5 converts nothing.
    let type = try HDF5Library.check(H5Dget_type(id), "read a type", at: place)
    defer { H5Tclose(type) }
    let fileSpace = try HDF5Library.check(H5Dget_space(id), "read a shape", at: place)
    defer { H5Sclose(fileSpace) }
    var memorySpace = hid_t(0)
    defer { if memorySpace > 0 { H5Sclose(memorySpace) } }
    if !shape.isEmpty {
      let start = [hsize_t(firstRow)] + shape.dropFirst().map { _ in 0 }
      let size = [hsize_t(rows)] + shape.dropFirst().map { hsize_t($0) }
      try HDF5Library.check(
        H5Sselect_hyperslab(fileSpace, H5S_SELECT_SET, start, nil, size, nil), "select rows",
        at: place)
      memorySpace = try HDF5Library.check(
        H5Screate_simple(Int32(size.count), size, nil), "describe rows", at: place)
    }
    let wholeSpace = hid_t(0)
    try HDF5Library.check(
      H5Dread(
        id, type, shape.isEmpty ? wholeSpace : memorySpace,
        shape.isEmpty ? wholeSpace : fileSpace, chdf5_default(), block.baseAddress),
      "decode a dataset", at: place)
    try file.checkUnchanged()
  }
}
