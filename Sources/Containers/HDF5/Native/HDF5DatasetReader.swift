import Tensors

/// Describes datasets: everything that can be checked before an element is read.
package struct HDF5DatasetReader {
  package let image: HDF5Image

  /// The dataset behind a header; `name` is what errors call it.
  package func dataset(
    _ header: HDF5ObjectHeader, _ attributes: inout HDF5AttributeReader, name: String
  ) throws -> HDF5Dataset {
    if let outside = try header.only(0x07) {
      throw RecurrentError(
        .hdf5ExternalStorage, at: outside.body.place,
        found: "data in another file", expected: "data inside the file")
    }
    guard let typeMessage = try header.only(0x03), let spaceMessage = try header.only(0x01),
      let layoutMessage = try header.only(0x08)
    else {
      throw RecurrentError(
        .hdf5Structure, at: "byte \(image.place(header.address))",
        found: "a dataset without type, shape or layout", expected: "all three")
    }
    for message in [spaceMessage, layoutMessage] where message.isShared {
      throw message.body.outside("a shared message of type \(message.type)")
    }
    let type = try attributes.datatype(typeMessage.body, isShared: typeMessage.isShared)
    var spaceBody = spaceMessage.body
    let space = try HDF5Dataspace(&spaceBody)
    let storage = try HDF5Storage(layoutMessage.body)
    if case .chunked(let chunking) = storage, chunking.elementSize != type.size {
      throw RecurrentError(
        .hdf5Chunk, found: "chunks with elements of \(chunking.elementSize) bytes",
        expected: "\(type.size) bytes")
    }
    var dataset = HDF5Dataset(
      identity: UInt64(header.address), type: type.element, shape: space.shape)
    if case .opaque = type.element {
      let found = try attributes.attributes(of: header).first { $0.name == "dtype" }
      if case .text(let label) = found?.value { dataset.dtypeAttribute = label }
    }
    // Opaque pairs of bytes without a label are Keras's bfloat16 in its older layout.
    let mayBeTensor =
      type.element.dtype(label: dataset.dtypeAttribute) != nil || type.element == .opaque(size: 2)
    if let shape = space.shape, mayBeTensor {
      let filters = try filters(of: header, elementSize: type.size)
      let count = try byteCount(of: shape, elementSize: type.size)
      let fill = try HDF5FillValue.read(from: header, elementSize: type.size)
      dataset.source = try source(
        storage, shape: shape, limits: space.limits, elementSize: type.size, count: count,
        filters: filters, fill: fill, name: name)
    }
    return dataset
  }

  private func filters(of header: HDF5ObjectHeader, elementSize: Int) throws -> HDF5Filters {
    guard let message = try header.only(0x0B) else { return HDF5Filters() }
    guard !message.isShared else { throw message.body.outside("a shared filter list") }
    return try HDF5Filters(message.body, elementSize: elementSize)
  }

  private func source(
    _ storage: HDF5Storage, shape: [Int], limits: [Int?], elementSize: Int, count: Int,
    filters: HDF5Filters, fill: [UInt8], name: String
  ) throws -> any ByteSource {
    switch storage {
    case .compact(let bytes):
      guard bytes.count == count else { throw wrongSize(count, stored: bytes.count) }
      return MemorySource(bytes)
    case .contiguous(let address, let stored):
      guard count > 0 else { return MemorySource([]) }
      guard let address else { return try unwritten(count, fill) }
      guard stored ?? count == count else { throw wrongSize(count, stored: stored ?? 0) }
      try image.check(address, count: count, "data")
      image.claimData(address, count: count)
      return try WindowSource(image.source, offset: image.base + address, count: count)
    case .chunked(let chunking):
      guard count > 0 else { return MemorySource([]) }
      let grid = try HDF5ChunkGrid(
        shape: shape, chunkShape: chunking.shape, elementSize: elementSize)
      let chunks = try HDF5ChunkIndex.chunks(
        of: chunking, grid: grid, limits: limits, isFiltered: !filters.isEmpty, in: image)
      guard !chunks.isEmpty else { return try unwritten(count, fill) }
      let stored = chunks.reduce(0) { $0 + $1.size }
      guard count <= HDF5Limit.expandedBytes || count / stored <= HDF5Limit.expansion else {
        throw RecurrentError(
          .hdf5Bomb, found: "\(count) bytes out of \(stored) stored bytes",
          expected: "at most \(HDF5Limit.expansion) times the stored bytes")
      }
      let decoded = try HDF5DecodedSource(
        image, grid, chunks, filters, leavesEdgesUnfiltered: chunking.leavesEdgesUnfiltered,
        fill: fill)
      return HDF5NamedSource(base: decoded, name: name)
    }
  }

  private func unwritten(_ count: Int, _ fill: [UInt8]) throws -> any ByteSource {
    guard count <= HDF5Limit.unwrittenBytes else {
      throw RecurrentError(
        .hdf5Bomb, found: "\(count) bytes that were never written",
        expected: "at most \(HDF5Limit.unwrittenBytes)")
    }
    return HDF5FillSource(element: fill, count: count)
  }

  private func wrongSize(_ count: Int, stored: Int) -> RecurrentError {
    RecurrentError(
      .hdf5Size, found: "\(stored) stored bytes",
      expected: "\(count) bytes for its shape")
  }
}
