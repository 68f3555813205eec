/// Where a writer puts its bytes, in order.
public protocol ByteSink: AnyObject {
  /// Appends bytes; throws with kind `.inputOutput` when the system refuses them.
  func write(_ bytes: UnsafeRawBufferPointer) throws
}

extension ByteSink {
  /// Appends bytes in memory.
  public func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }
}

/// Collects bytes in memory.
public final class MemorySink: ByteSink {
  /// What was written so far.
  public private(set) var bytes: [UInt8] = []

  /// Creates an empty sink.
  public init() {}

  /// Appends bytes.
  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    self.bytes.append(contentsOf: bytes)
  }
}
