/// NumPy's `SeedSequence`: spreads a seed of any size over a pool of four words (O'Neill's `seed_seq`).
struct SeedSequence {
  private var pool = [UInt32](repeating: 0, count: 4)

  /// Mixes the seed's 32-bit words, the low one first.
  init(entropy: [UInt32]) {
    let count = pool.count
    var constant: UInt32 = 0x43B0_D7E5
    func hash(_ value: UInt32) -> UInt32 {
      var result = value ^ constant
      constant &*= 0x931E_8875
      result &*= constant
      return result ^ (result >> 16)
    }
    func mix(_ x: UInt32, _ y: UInt32) -> UInt32 {
      let result = 0xCA01_F9DD &* x &- 0x4973_F715 &* y
      return result ^ (result >> 16)
    }
    for index in 0..<count { pool[index] = hash(index < entropy.count ? entropy[index] : 0) }
    for source in 0..<count {
      for target in 0..<count where target != source {
        pool[target] = mix(pool[target], hash(pool[source]))
      }
    }
    for word in entropy.dropFirst(count) {
      for target in 0..<count { pool[target] = mix(pool[target], hash(word)) }
    }
  }

  /// Words of 64 bits to seed a generator with.
  func words(_ count: Int) -> [UInt64] {
    var constant: UInt32 = 0x8B51_F9DD
    var halves = (0..<2 * count).map { index -> UInt32 in
      var result = pool[index % pool.count] ^ constant
      constant &*= 0x58F3_8DED
      result &*= constant
      return result ^ (result >> 16)
    }[...]
    return (0..<count).map { _ in
      let low = UInt64(halves.removeFirst())
      return UInt64(halves.removeFirst()) << 32 | low
    }
  }
}
