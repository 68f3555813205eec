/// NumPy's `default_rng(seed)`: PCG64 (O'Neill, 2014) with the ziggurat method for normal numbers; every
/// stream is bit-equal to NumPy's.
///
/// The generator is a value: a copy continues on its own, and keeping one is saving its state.
public struct NumPyGenerator: NumPyRandom, Equatable {
  private var state: Wide
  private var increment: Wide
  // The unused upper half of a 64-bit word, for the next 32-bit draw.
  private var spareHalf: UInt32?

  // 128 bits: `UInt128` would need newer systems than the package does.
  private struct Wide: Sendable, Equatable {
    var high: UInt64
    var low: UInt64

    static func &+ (a: Wide, b: Wide) -> Wide {
      let (low, carry) = a.low.addingReportingOverflow(b.low)
      return Wide(high: a.high &+ b.high &+ (carry ? 1 : 0), low: low)
    }

    static func &* (a: Wide, b: Wide) -> Wide {
      let product = a.low.multipliedFullWidth(by: b.low)
      return Wide(
        high: product.high &+ a.high &* b.low &+ a.low &* b.high, low: product.low)
    }
  }

  /// Creates a generator as `default_rng(seed)`.
  public init(seed: UInt64) {
    let high = UInt32(truncatingIfNeeded: seed >> 32)
    let low = UInt32(truncatingIfNeeded: seed)
    self.init(entropy: high == 0 ? [low] : [low, high])
  }

  /// Creates a generator as `default_rng(seed)` of a large seed, given by 32-bit words, the low one
  /// first, or of a list of seeds below 2³².
  public init(entropy: [UInt32]) {
    let words = SeedSequence(entropy: entropy).words(4)
    increment = Wide(high: words[2] << 1 | words[3] >> 63, low: words[3] << 1 | 1)
    state = increment &+ Wide(high: words[0], low: words[1])
    advance()
  }

  private mutating func advance() {
    let multiplier = Wide(high: 2_549_297_995_355_413_924, low: 4_865_540_595_714_422_341)
    state = state &* multiplier &+ increment
  }

  /// 64 random bits.
  public mutating func next64() -> UInt64 {
    advance()
    let (mixed, turn) = (state.high ^ state.low, state.high >> 58)
    return mixed >> turn | mixed << ((64 - turn) & 63)
  }

  /// 32 random bits: the lower half of a word, then its upper half.
  public mutating func next32() -> UInt32 {
    if let half = spareHalf {
      spareHalf = nil
      return half
    }
    let word = next64()
    spareHalf = UInt32(truncatingIfNeeded: word >> 32)
    return UInt32(truncatingIfNeeded: word)
  }

  /// A number of `[0, 1)`, as `random()`.
  public mutating func random() -> Double { Double(next64() >> 11) * 0x1p-53 }

  /// A standard normal number, as `standard_normal()`.
  public mutating func standardNormal() -> Double {
    while true {
      let word = next64()
      let layer = Int(word & 0xFF)
      let magnitude = word >> 9 & 0x000F_FFFF_FFFF_FFFF
      let size = Double(magnitude) * ZigguratTables.widths[layer]
      let x = word >> 8 & 1 == 0 ? size : -size
      if magnitude < ZigguratTables.thresholds[layer] { return x }
      if layer == 0 { return tail(negative: magnitude >> 8 & 1 == 1) }
      let (above, below) = (ZigguratTables.heights[layer - 1], ZigguratTables.heights[layer])
      if (above - below) * random() + below < Double.exp(-0.5 * x * x) { return x }
    }
  }

  // Beyond the outermost layer (Marsaglia, 1964).
  private mutating func tail(negative: Bool) -> Double {
    let edge = 3.6541528853610087963519472518
    let inverse = 0.27366123732975827203338247596
    while true {
      let x = -inverse * Double.log1p(-random())
      let y = -Double.log1p(-random())
      if y + y > x * x { return negative ? -(edge + x) : edge + x }
    }
  }

  /// A place of 0...highest: masked draws until one fits.
  public mutating func place(through highest: Int) -> Int {
    let mask = UInt64.max >> UInt64(highest.leadingZeroBitCount)
    while true {
      let word = highest > 0xFFFF_FFFF ? next64() : UInt64(next32())
      if word & mask <= UInt64(highest) { return Int(word & mask) }
    }
  }

  /// A whole number of 0...highest (Lemire, 2019).
  public mutating func integer(through highest: UInt64) -> UInt64 {
    if highest == 0 { return 0 }
    if highest == .max { return next64() }
    if highest > 0xFFFF_FFFF {
      let range = highest + 1
      var product = next64().multipliedFullWidth(by: range)
      if product.low < range {
        let threshold = (UInt64.max - highest) % range
        while product.low < threshold { product = next64().multipliedFullWidth(by: range) }
      }
      return product.high
    }
    if highest == 0xFFFF_FFFF { return UInt64(next32()) }
    let range = UInt32(highest) + 1
    var product = UInt64(next32()) * UInt64(range)
    if UInt32(truncatingIfNeeded: product) < range {
      let threshold = (UInt32.max - UInt32(highest)) % range
      while UInt32(truncatingIfNeeded: product) < threshold {
        product = UInt64(next32()) * UInt64(range)
      }
    }
    return product >> 32
  }
}
