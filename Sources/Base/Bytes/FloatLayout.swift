import Tensors

/// Conversions between binary floating-point formats in integer arithmetic, each with one rounding.
///
/// `Float16` does not exist on Intel Macs and bfloat16 nowhere in Swift; and going through binary32
/// would round binary64 twice (65519.99999999999 would become infinite in binary16).
struct FloatLayout {
  let exponentBits: UInt64
  let mantissaBits: UInt64

  static let f64 = FloatLayout(exponentBits: 11, mantissaBits: 52)
  static let f32 = FloatLayout(exponentBits: 8, mantissaBits: 23)
  static let f16 = FloatLayout(exponentBits: 5, mantissaBits: 10)
  static let bf16 = FloatLayout(exponentBits: 8, mantissaBits: 7)

  init(exponentBits: UInt64, mantissaBits: UInt64) {
    self.exponentBits = exponentBits
    self.mantissaBits = mantissaBits
  }

  init?(_ dtype: DType) {
    switch dtype {
    case .f64: self = .f64
    case .f32: self = .f32
    case .f16: self = .f16
    case .bf16: self = .bf16
    default: return nil
    }
  }

  /// The pattern of positive infinity; larger magnitudes are NaN.
  var infinity: UInt64 { (1 << exponentBits - 1) << mantissaBits }
  private var bias: Int { 1 << (Int(exponentBits) - 1) - 1 }

  /// The binary64 pattern of the same value; NaN keeps its payload and stays signalling.
  func widened(_ bits: UInt64) -> UInt64 {
    if mantissaBits == 52 { return bits }
    let sign = (bits >> (exponentBits + mantissaBits)) << 63
    let exponent = Int(bits >> mantissaBits & (1 << exponentBits - 1))
    let mantissa = bits & (1 << mantissaBits - 1)
    if exponent == 1 << Int(exponentBits) - 1 {
      return sign | Self.f64.infinity | mantissa << (52 - mantissaBits)
    }
    if exponent > 0 {
      return sign | UInt64(exponent - bias + 1023) << 52 | mantissa << (52 - mantissaBits)
    }
    if mantissa == 0 { return sign }
    let top = 63 - mantissa.leadingZeroBitCount
    let fraction = mantissa << UInt64(52 - top) & (1 << 52 - 1)
    return sign | UInt64(1 - bias - Int(mantissaBits) + top + 1023) << 52 | fraction
  }

  /// The nearest pattern of this format to a binary64 pattern, ties to even, subnormals included.
  ///
  /// NaN keeps its sign; its payload survives where it fits, else the upper bits of it, made quiet.
  /// (PyTorch makes one NaN of all when it rounds to bfloat16.)
  func narrowed(_ bits: UInt64) -> UInt64 {
    if mantissaBits == 52 { return bits }
    let sign = (bits >> 63) << (exponentBits + mantissaBits)
    let exponent = Int(bits >> 52 & 0x7FF)
    let mantissa = bits & (1 << 52 - 1)
    let drop = 52 - mantissaBits
    if exponent == 0x7FF {
      let quiet = infinity | 1 << (mantissaBits - 1)
      if mantissa == 0 { return sign | infinity }
      let kept = mantissa >> drop
      return kept << drop == mantissa ? sign | infinity | kept : sign | quiet | kept
    }
    let unbiased = max(exponent, 1) - 1023
    let significand = exponent == 0 ? mantissa : mantissa | 1 << 52
    let smallest = 1 - bias
    let level = max(unbiased, smallest)
    let shift = Int(drop) + level - unbiased
    if shift >= 54 { return sign }
    let half = UInt64(1) << UInt64(shift - 1)
    let kept = significand >> UInt64(shift)
    let rest = significand & (half << 1 - 1)
    let roundsUp = rest > half || (rest == half && kept & 1 == 1)
    // A carry out of the mantissa raises the exponent by itself.
    let result = kept + (roundsUp ? 1 : 0) + UInt64(level - smallest) << mantissaBits
    return sign | min(result, infinity)
  }
}

/// The binary32 number that a binary16 pattern stands for.
package func floatFromHalf(_ bits: UInt16) -> Float {
  Float(bitPattern: UInt32(FloatLayout.f32.narrowed(FloatLayout.f16.widened(UInt64(bits)))))
}

/// The binary32 number that a bfloat16 pattern stands for.
package func floatFromBFloat16(_ bits: UInt16) -> Float {
  Float(bitPattern: UInt32(bits) << 16)
}

/// The binary16 pattern nearest to a number, ties to even.
package func halfBits(_ value: Double) -> UInt16 {
  UInt16(FloatLayout.f16.narrowed(value.bitPattern))
}

/// The bfloat16 pattern nearest to a number, ties to even.
package func bfloat16Bits(_ value: Double) -> UInt16 {
  UInt16(FloatLayout.bf16.narrowed(value.bitPattern))
}
