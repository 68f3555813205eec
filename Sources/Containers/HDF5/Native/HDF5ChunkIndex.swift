import Tensors

/// Lists the stored chunks of a dataset from whichever index it has.
package struct HDF5ChunkIndex {
  package let grid: HDF5ChunkGrid
  package let image: HDF5Image
  private let limits: [Int?]
  private let isFiltered: Bool
  private var chunks: [HDF5Chunk] = []

  /// All chunks, by their place in the grid.
  package static func chunks(
    of chunking: HDF5Chunking, grid: HDF5ChunkGrid, limits: [Int?], isFiltered: Bool,
    in image: HDF5Image
  ) throws -> [HDF5Chunk] {
    var index = HDF5ChunkIndex(grid: grid, image: image, limits: limits, isFiltered: isFiltered)
    try index.read(chunking.index)
    index.chunks.sort { $0.index < $1.index }
    for (one, next) in zip(index.chunks, index.chunks.dropFirst()) where one.index == next.index {
      throw index.damage("a second chunk for one place", at: next.address)
    }
    return index.chunks
  }

  private init(grid: HDF5ChunkGrid, image: HDF5Image, limits: [Int?], isFiltered: Bool) {
    self.grid = grid
    self.image = image
    self.limits = limits
    self.isFiltered = isFiltered
  }

  private mutating func read(_ index: HDF5Chunking.Index) throws {
    switch index {
    case .bTree1(let address):
      if let address { try readBTree1(at: address) }
    case .bTree2(let address):
      if let address { try readBTree2(at: address) }
    case .single(let address, let size, let mask):
      guard let address else { return }
      guard grid.count == 1 else { throw damage("one chunk for \(grid.count)", at: address) }
      try add(0, address: address, size: size ?? grid.chunkBytes, mask: mask)
    case .implicit(let address):
      guard let address else { return }
      try readImplicit(at: address)
    case .fixedArray(let address):
      guard let address else { return }
      try forEachElement(HDF5FixedArray.elements(at: address, in: image), unlimitedAxis: nil)
    case .extensibleArray(let address):
      guard let address else { return }
      let axes = limits.indices.filter { limits[$0] == nil }
      guard axes.count == 1 else {
        throw damage("\(axes.count) axes without a limit", at: address)
      }
      try forEachElement(
        HDF5ExtensibleArray.elements(at: address, in: image), unlimitedAxis: axes[0])
    }
  }

  // u32 size · u32 mask · u64 offsets, one more than axes
  private mutating func readBTree1(at address: Int) throws {
    let keySize = 8 + 8 * (grid.shape.count + 1)
    let lengths = grid.chunkShape + [grid.elementSize]
    func coordinates(_ key: HDF5Cursor) throws -> [Int] {
      var key = key
      try key.skip(8)
      return try lengths.map { length in
        let offset = try key.int(8)
        guard offset % length == 0 else {
          throw key.damage("a chunk at \(offset)", "a multiple of \(length)")
        }
        return offset / length
      }
    }
    try HDF5BTree1.forEachLeafEntry(
      at: address, type: 1, keySize: keySize, in: image,
      areAscending: { try coordinates($0).lexicographicallyPrecedes(try coordinates($1)) },
      { key, child, _ in
        let place = try coordinates(key)
        guard place.last == 0 else { throw key.damage("a chunk inside an element", "a 0") }
        var key = key
        let (size, mask) = (try key.u32(), try key.u32())
        try add(place.dropLast(), address: child, size: size, mask: mask)
      })
  }

  // type 10: O address · u64 coordinates; type 11: O address · size · u32 mask · u64 coordinates
  private mutating func readBTree2(at address: Int) throws {
    let tree = try HDF5BTree2.records(at: address, types: 10...11, in: image)
    let sizeWidth = tree.size - image.offsetSize - 4 - 8 * grid.shape.count
    guard tree.type == (isFiltered ? 11 : 10), tree.type == 10 || (1...8).contains(sizeWidth)
    else { throw damage("an index of type \(tree.type)", at: address) }
    for record in tree.records {
      var record = record
      let child = try record.requiredAddress("a chunk")
      let size = tree.type == 11 ? try record.int(sizeWidth) : grid.chunkBytes
      let mask = tree.type == 11 ? try record.u32() : 0
      var coordinates: [Int] = []
      for _ in grid.shape { coordinates.append(try record.int(8)) }
      try add(coordinates, address: child, size: size, mask: mask)
    }
  }

  private mutating func readImplicit(at address: Int) throws {
    let counts = try limitCounts()
    let (total, overflow) = counts.reduce((1, false)) { sum, count in
      let (product, overflow) = sum.0.multipliedReportingOverflow(by: count)
      return (product, sum.1 || overflow)
    }
    let (bytes, overflow2) = total.multipliedReportingOverflow(by: grid.chunkBytes)
    guard !isFiltered, !overflow, !overflow2 else {
      throw damage("chunks without an index", at: address)
    }
    try image.check(address, count: bytes, "chunks")
    for index in 0..<grid.count {
      let coordinates = grid.coordinates(of: index)
      let position = zip(coordinates, counts).reduce(0) { $0 * $1.1 + $1.0 }
      try add(index, address: address + position * grid.chunkBytes, size: grid.chunkBytes, mask: 0)
    }
  }

  /// The number of chunks along each axis when it has grown as far as it may.
  private func limitCounts() throws -> [Int] {
    try zip(limits, grid.chunkShape).map { limit, length in
      guard let limit else {
        throw RecurrentError(
          .hdf5Chunk, found: "an axis without a limit", expected: "limits")
      }
      return HDF5ChunkGrid.chunks(in: limit, of: length)
    }
  }

  // Elements count through the grid of the axes' limits; an axis without one comes first.
  private mutating func forEachElement(
    _ array: HDF5ElementArray, unlimitedAxis: Int?
  ) throws {
    let sizeWidth = array.elementSize - image.offsetSize - 4
    guard array.isFiltered == isFiltered,
      isFiltered ? (1...8).contains(sizeWidth) : array.elementSize == image.offsetSize
    else { throw damage("elements of \(array.elementSize) bytes", at: array.address) }
    var axes = Array(grid.shape.indices)
    if let unlimitedAxis {
      axes.remove(at: unlimitedAxis)
      axes.insert(unlimitedAxis, at: 0)
    }
    let counts = try zip(limits, grid.chunkShape).enumerated().map { axis, pair in
      guard let limit = pair.0 else {
        guard axis == unlimitedAxis else { throw damage("no limit", at: array.address) }
        return Int.max
      }
      return HDF5ChunkGrid.chunks(in: limit, of: pair.1)
    }
    for (first, part) in array.parts {
      var cursor = part
      var position = first
      while cursor.count >= array.elementSize {
        try image.step()
        defer { position += 1 }
        let address = try cursor.address()
        let size = isFiltered ? try cursor.int(sizeWidth) : grid.chunkBytes
        let mask = isFiltered ? try cursor.u32() : 0
        guard let address else { continue }
        var rest = position
        var coordinates = grid.counts
        for axis in axes.reversed() {
          guard counts[axis] > 0 else { throw damage("an empty grid", at: address) }
          coordinates[axis] = rest % counts[axis]
          rest /= counts[axis]
        }
        guard rest == 0 else { throw damage("a chunk outside the limits", at: address) }
        try add(coordinates, address: address, size: size, mask: mask)
      }
    }
  }

  private mutating func add(
    _ coordinates: [Int], address: Int, size: Int, mask: Int
  ) throws {
    guard let index = grid.index(of: coordinates) else {
      throw damage("a chunk outside the dataset", at: address)
    }
    try add(index, address: address, size: size, mask: mask)
  }

  private mutating func add(_ index: Int, address: Int, size: Int, mask: Int) throws {
    try image.check(address, count: size, "a chunk")
    // No filter makes a chunk much larger.
    guard size > 0, size <= 2 * grid.chunkBytes + 4096,
      isFiltered || (size == grid.chunkBytes && mask == 0)
    else {
      throw damage("a chunk of \(size) bytes", at: address)
    }
    image.claimData(address, count: size)
    chunks.append(HDF5Chunk(index: index, address: address, size: size, mask: mask))
    guard chunks.count <= HDF5Limit.chunks else {
      throw RecurrentError(
        .hdf5TooMany, found: "too many chunks",
        expected: "at most \(HDF5Limit.chunks)")
    }
  }

  private func damage(_ found: String, at address: Int) -> RecurrentError {
    RecurrentError(
      .hdf5Chunk, at: "byte \(image.place(address))", found: found,
      expected: "chunks of \(grid.chunkBytes) bytes in a grid of \(grid.counts)")
  }
}
