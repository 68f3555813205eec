/// Limits on what a file may make a reader do, ours or libhdf5.
///
/// The page "What is refused, and what is not there" has them as a table.
package enum HDF5Limit {
  /// All bytes that describe objects, taken together.
  package static let metadataBytes = 256 << 20
  package static let objects = 100_000
  package static let attributes = 100_000
  package static let headerChunks = 1024
  package static let depth = 64
  package static let chunks = 10_000_000
  package static let filters = 32
  package static let rank = 32
  /// Steps through trees, heaps and tables.
  package static let steps = 10_000_000
  package static let chunkBytes = 1 << 30
  /// Compressed data may not be both larger than this and more than `expansion` times its storage.
  package static let expandedBytes = 4 << 30
  package static let expansion = 1000
  /// A dataset that was never written may declare at most this many bytes.
  package static let unwrittenBytes = 256 << 20
  package static let attributeBytes = 16 << 20
}
