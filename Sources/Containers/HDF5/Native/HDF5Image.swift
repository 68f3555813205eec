import Tensors

/// The bytes of an HDF5 file, addressed as the file addresses them, and what reading them has cost.
///
/// Structures are claimed as they are read: two that share bytes cannot both be right, and one that
/// is met twice where a tree is meant is a circle.
package final class HDF5Image {
  package let source: any ByteSource
  /// Where address zero lies in the source.
  package let base: Int
  /// The number of addresses, at most as many as bytes from there on.
  package let count: Int
  /// Bytes of an address.
  package let offsetSize: Int
  /// Bytes of a length.
  package let lengthSize: Int

  private var metadataBytes = 0
  private var steps = 0
  private var starts: Set<Int> = []
  private var extents: [Range<Int>] = []

  package init(_ source: any ByteSource, base: Int, count: Int, offsetSize: Int, lengthSize: Int) {
    self.source = source
    self.base = base
    self.count = count
    self.offsetSize = offsetSize
    self.lengthSize = lengthSize
  }

  /// Throws unless the range lies inside the file.
  package func check(_ address: Int, count: Int, _ what: String) throws {
    guard address >= 0, count >= 0, address <= self.count, count <= self.count - address else {
      throw RecurrentError(
        .hdf5Address, at: "byte \(place(address))",
        found: "\(what) of \(count) bytes past the end of the file",
        expected: "everything below byte \(base + self.count)")
    }
  }

  /// Reads bytes that describe something.
  package func read(_ address: Int, count: Int, _ what: String) throws -> HDF5Cursor {
    try check(address, count: count, what)
    try charge(count)
    try step()
    let start = base + address
    return HDF5Cursor(
      try source.read(start..<start + count), at: start, offsetSize: offsetSize,
      lengthSize: lengthSize)
  }

  /// Reads bytes that describe something and that nothing else may use.
  package func readOnce(_ address: Int, count: Int, _ what: String) throws -> HDF5Cursor {
    let cursor = try read(address, count: count, what)
    try claim(address, count: count, what)
    return cursor
  }

  /// Notes that a structure lies here; throws when one that starts here is known already.
  package func claim(_ address: Int, count: Int, _ what: String) throws {
    guard count > 0 else { return }
    guard starts.insert(address).inserted else { throw overlap(address, what) }
    extents.append(address..<address + count)
  }

  /// Notes that raw data lies here.
  package func claimData(_ address: Int, count: Int) {
    if count > 0 { extents.append(address..<address + count) }
  }

  /// Throws when two structures share bytes.
  package func checkOverlaps() throws {
    extents.sort { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
    var end = 0
    for extent in extents {
      guard extent.lowerBound >= end else { throw overlap(extent.lowerBound, "a structure") }
      end = extent.upperBound
    }
  }

  /// Counts bytes that describe something, also those that several structures point to.
  package func charge(_ count: Int) throws {
    let (sum, overflow) = metadataBytes.addingReportingOverflow(count)
    guard !overflow, sum <= HDF5Limit.metadataBytes else {
      throw RecurrentError(
        .hdf5TooMany,
        found: "more than \(HDF5Limit.metadataBytes) bytes that describe objects",
        expected: "at most that many")
    }
    metadataBytes = sum
  }

  /// Counts one step of work.
  package func step() throws {
    steps += 1
    guard steps <= HDF5Limit.steps else {
      throw RecurrentError(
        .hdf5TooMany, found: "a file that takes more than \(steps - 1) steps to read",
        expected: "at most \(HDF5Limit.steps)")
    }
  }

  /// The position in the source, for messages.
  package func place(_ address: Int) -> String {
    let (sum, overflow) = base.addingReportingOverflow(address)
    return overflow ? "\(address)" : "\(sum)"
  }

  private func overlap(_ address: Int, _ what: String) -> RecurrentError {
    RecurrentError(
      .hdf5Overlap, at: "byte \(place(address))",
      found: "\(what) that shares bytes with another structure",
      expected: "structures that lie apart")
  }
}
