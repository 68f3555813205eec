// A PyTorch archive around a pickle, right in everything else, so that a fuzzer that knows no CRC-32
// reaches the pickle machine.

/// The bytes of a stored zip file with `archive/data.pkl`, two storages and the usual entries.
public func torchArchive(pickle: UnsafeRawBufferPointer) -> [UInt8] {
  let storage = (0..<64).map { UInt8($0) }
  let entries: [(String, [UInt8])] = [
    ("archive/data.pkl", Array(pickle)), ("archive/byteorder", Array("little".utf8)),
    ("archive/data/0", storage), ("archive/data/1", Array(storage[..<24])),
    ("archive/version", Array("3\n".utf8)),
  ]
  var bytes: [UInt8] = []
  var directory: [UInt8] = []
  func little(_ value: Int, _ width: Int) -> [UInt8] {
    (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
  for (name, content) in entries {
    let common =
      little(0, 2) + little(0, 2) + little(0, 2) + little(33, 2) + little(Int(crc32(content)), 4)
      + little(content.count, 4) + little(content.count, 4) + little(name.utf8.count, 2)
      + little(0, 2)
    directory +=
      little(0x0201_4b50, 4) + little(20, 2) + little(20, 2) + common + little(0, 2) + little(0, 2)
      + little(0, 2) + little(0, 4) + little(bytes.count, 4) + Array(name.utf8)
    bytes += little(0x0403_4b50, 4) + little(20, 2) + common + Array(name.utf8) + content
  }
  let start = bytes.count
  bytes += directory
  bytes +=
    little(0x0605_4b50, 4) + little(0, 4) + little(entries.count, 2) + little(entries.count, 2)
    + little(directory.count, 4) + little(start, 4) + little(0, 2)
  return bytes
}

private let table: [UInt32] = (0..<256).map { index in
  (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xedb8_8320 : value >> 1
  }
}

private func crc32(_ bytes: [UInt8]) -> UInt32 {
  ~bytes.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
}
