// MT19937 (Matsumoto and Nishimura, 1998): 624 words of 32 bits, renewed all at once.

/// The Mersenne Twister, which both PyTorch's generator and NumPy's legacy one are made of.
struct MersenneTwister: Sendable, Equatable {
  /// The number of words in the state.
  static let size = 624

  /// The state.
  var words: [UInt32]
  /// How many words of the state are used up; all of them right after seeding.
  var used: Int

  /// Seeds as `init_genrand`.
  init(seed: UInt32) {
    words = [seed]
    words.reserveCapacity(Self.size)
    for index in 1..<Self.size {
      let last = words[index - 1]
      words.append(1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(index))
    }
    used = Self.size
  }

  /// 32 random bits.
  mutating func next32() -> UInt32 {
    if used >= Self.size { renew() }
    var word = words[used]
    used += 1
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C_5680
    word ^= (word << 15) & 0xEFC6_0000
    return word ^ (word >> 18)
  }

  private mutating func renew() {
    let (size, offset) = (Self.size, 397)
    words.withUnsafeMutableBufferPointer { words in
      for index in 0..<size {
        let next = words[index + 1 == size ? 0 : index + 1]
        let mixed = (words[index] & 0x8000_0000) | (next & 0x7FFF_FFFF)
        let far = index + offset < size ? index + offset : index + offset - size
        words[index] = words[far] ^ (mixed >> 1) ^ (next & 1 == 0 ? 0 : 0x9908_B0DF)
      }
    }
    used = 0
  }
}
