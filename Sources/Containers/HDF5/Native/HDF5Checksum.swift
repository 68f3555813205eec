/// Bob Jenkins's lookup3 ("hashlittle", initial value 0), the checksum of HDF5's own structures.
package func hdf5Checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
  bytes.withUnsafeBytes { bytes in
    var a = UInt32(truncatingIfNeeded: bytes.count) &+ 0xDEAD_BEEF
    var (b, c) = (a, a)
    var offset = 0
    func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 {
      value << count | value >> (32 - count)
    }
    // The last one to twelve bytes take part in the final mix instead.
    while bytes.count - offset > 12 {
      a &+= bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian
      b &+= bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self).littleEndian
      c &+= bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self).littleEndian
      a = (a &- c) ^ rotate(c, 4)
      c &+= b
      b = (b &- a) ^ rotate(a, 6)
      a &+= c
      c = (c &- b) ^ rotate(b, 8)
      b &+= a
      a = (a &- c) ^ rotate(c, 16)
      c &+= b
      b = (b &- a) ^ rotate(a, 19)
      a &+= c
      c = (c &- b) ^ rotate(b, 4)
      b &+= a
      offset += 12
    }
    guard offset < bytes.count else { return c }
    var tail: (UInt32, UInt32, UInt32) = (0, 0, 0)
    for index in offset..<bytes.count {
      let shifted = UInt32(bytes[index]) << UInt32(8 * ((index - offset) % 4))
      switch (index - offset) / 4 {
      case 0: tail.0 |= shifted
      case 1: tail.1 |= shifted
      default: tail.2 |= shifted
      }
    }
    a &+= tail.0
    b &+= tail.1
    c &+= tail.2
    c = (c ^ b) &- rotate(b, 14)
    a = (a ^ c) &- rotate(c, 11)
    b = (b ^ a) &- rotate(a, 25)
    c = (c ^ b) &- rotate(b, 16)
    a = (a ^ c) &- rotate(c, 4)
    b = (b ^ a) &- rotate(a, 14)
    return (c ^ b) &- rotate(b, 24)
  }
}

/// Fletcher's checksum as HDF5's filter computes it: 16-bit big-endian words, an odd byte counting as
/// the upper half of a word.
package func hdf5Fletcher32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
  bytes.withUnsafeBytes { bytes in
    var (first, second): (UInt32, UInt32) = (0, 0)
    func fold(_ sum: UInt32) -> UInt32 { (sum & 0xFFFF) &+ (sum >> 16) }
    var offset = 0
    let pairs = bytes.count / 2
    var pair = 0
    while pair < pairs {
      // 360 words are as many as 32 bits can add up.
      for _ in 0..<min(360, pairs - pair) {
        first &+= UInt32(bytes[offset]) << 8 | UInt32(bytes[offset + 1])
        second &+= first
        offset += 2
      }
      pair += 360
      (first, second) = (fold(first), fold(second))
    }
    if bytes.count % 2 == 1 {
      first &+= UInt32(bytes[offset]) << 8
      second &+= first
      (first, second) = (fold(first), fold(second))
    }
    return fold(second) << 16 | fold(first)
  }
}
