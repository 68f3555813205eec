import HostSystem
import Tensors

/// A running CRC-32C (Castagnoli, reflected polynomial 82f63b78), as TensorFlow and LevelDB use it.
package struct CRC32C {
  private var state: UInt32 = ~0

  /// The checksum of nothing.
  package init() {}

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? value >> 1 ^ 0x82f6_3b78 : value >> 1
    }
  }

  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var value = state
    Self.table.withUnsafeBufferPointer { table in
      for byte in bytes { value = table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] ^ value >> 8 }
    }
    state = value
  }

  package var value: UInt32 { ~state }

  /// The value as it is stored: a checksum of data that hold checksums would be weak.
  package var masked: UInt32 { (value >> 15 | value << 17) &+ 0xa282_ead8 }
}

/// Bytes of a shard whose CRC-32C is checked, once, before the first of them is handed out.
package final class ShardSource: ByteSource, @unchecked Sendable {
  package let count: Int
  private let base: any ByteSource
  private let checksum: UInt32
  private let name: Name
  private let lock = Lock()
  private var isVerified = false

  package init(_ base: any ByteSource, checksum: UInt32, name: Name) {
    self.base = base
    self.checksum = checksum
    self.name = name
    count = base.count
  }

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try lock.withLock {
      guard !isVerified else { return }
      var sum = CRC32C()
      try base.forEachChunk { sum.add($0) }
      guard isRight(checksum, for: sum.masked) else {
        throw Self.mismatch(name)
      }
      isVerified = true
    }
    try base.read(at: offset, into: buffer)
  }

  package static func mismatch(_ name: Name) -> RecurrentError {
    RecurrentError(
      .tensorFlowCRC, at: "tensor \"\(name)\"",
      found: "bytes whose CRC-32C is not the stored one", expected: "undamaged data",
      hint: "The file is damaged, or the .data files belong to another .index.")
  }
}
