import Tensors

/// A stored chunk.
struct HDF5Chunk: Sendable {
  /// Its place in the row-major grid of chunks.
  let index: Int
  let address: Int
  let size: Int
  /// The filters that were left out.
  let mask: Int
}

/// A dataset's shape as a grid of chunks.
struct HDF5ChunkGrid: Sendable {
  let shape: [Int]
  let chunkShape: [Int]
  let elementSize: Int
  let chunkBytes: Int
  /// The number of chunks along each axis.
  let counts: [Int]

  init(shape: [Int], chunkShape: [Int], elementSize: Int) throws {
    guard shape.count == chunkShape.count, chunkShape.allSatisfy({ $0 > 0 }),
      let bytes = try? byteCount(of: chunkShape, elementSize: elementSize),
      bytes <= HDF5Limit.chunkBytes
    else {
      throw RecurrentError(
        .malformed, "h5.chunk", found: "chunks of shape \(chunkShape)",
        expected: "chunks of at most \(HDF5Limit.chunkBytes) bytes with \(shape.count) axes")
    }
    self.shape = shape
    self.chunkShape = chunkShape
    self.elementSize = elementSize
    chunkBytes = bytes
    counts = zip(shape, chunkShape).map { Self.chunks(in: $0, of: $1) }
  }

  static func chunks(in size: Int, of chunk: Int) -> Int { size / chunk + (size % chunk).signum() }

  /// The number of chunks, at most the number of elements.
  var count: Int { counts.reduce(1, *) }

  /// The place in the grid; `nil` outside it.
  func index(of coordinates: [Int]) -> Int? {
    var index = 0
    for (coordinate, count) in zip(coordinates, counts) {
      guard coordinate < count else { return nil }
      index = index * count + coordinate
    }
    return index
  }

  func coordinates(of index: Int) -> [Int] {
    var rest = index
    var coordinates = counts
    for axis in counts.indices.reversed() {
      coordinates[axis] = rest % counts[axis]
      rest /= counts[axis]
    }
    return coordinates
  }

  /// Whether a chunk reaches over the edge of the dataset.
  func isPartial(_ index: Int) -> Bool {
    zip(coordinates(of: index), zip(shape, chunkShape)).contains { ($0 + 1) * $1.1 > $1.0 }
  }
}
