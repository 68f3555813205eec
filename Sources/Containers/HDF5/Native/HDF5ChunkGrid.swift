import Tensors

/// A stored chunk.
package struct HDF5Chunk: Sendable {
  /// Its place in the row-major grid of chunks.
  package let index: Int
  package let address: Int
  package let size: Int
  /// The filters that were left out.
  package let mask: Int
}

/// A dataset's shape as a grid of chunks.
package struct HDF5ChunkGrid: Sendable {
  package let shape: [Int]
  package let chunkShape: [Int]
  package let elementSize: Int
  package let chunkBytes: Int
  /// The number of chunks along each axis.
  package let counts: [Int]

  package init(shape: [Int], chunkShape: [Int], elementSize: Int) throws {
    guard shape.count == chunkShape.count, chunkShape.allSatisfy({ $0 > 0 }),
      let bytes = try? byteCount(of: chunkShape, elementSize: elementSize),
      bytes <= HDF5Limit.chunkBytes
    else {
      throw RecurrentError(
        .hdf5Chunk, found: "chunks of shape \(chunkShape)",
        expected: "chunks of at most \(HDF5Limit.chunkBytes) bytes with \(shape.count) axes")
    }
    self.shape = shape
    self.chunkShape = chunkShape
    self.elementSize = elementSize
    chunkBytes = bytes
    counts = zip(shape, chunkShape).map { Self.chunks(in: $0, of: $1) }
  }

  package static func chunks(in size: Int, of chunk: Int) -> Int {
    size / chunk + (size % chunk).signum()
  }

  /// The number of chunks, at most the number of elements.
  package var count: Int { counts.reduce(1, *) }

  /// The place in the grid; `nil` outside it.
  package func index(of coordinates: [Int]) -> Int? {
    var index = 0
    for (coordinate, count) in zip(coordinates, counts) {
      guard coordinate < count else { return nil }
      index = index * count + coordinate
    }
    return index
  }

  package func coordinates(of index: Int) -> [Int] {
    var rest = index
    var coordinates = counts
    for axis in counts.indices.reversed() {
      coordinates[axis] = rest % counts[axis]
      rest /= counts[axis]
    }
    return coordinates
  }

  /// Whether a chunk reaches over the edge of the dataset.
  package func isPartial(_ index: Int) -> Bool {
    zip(coordinates(of: index), zip(shape, chunkShape)).contains { ($0 + 1) * $1.1 > $1.0 }
  }
}
