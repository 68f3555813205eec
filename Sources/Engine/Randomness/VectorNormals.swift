// Logarithm, sine and cosine as PyTorch's AVX2 kernel for single-precision normal numbers computes them:
// the polynomials of the Cephes library (Moshier, 1989), with every multiplication that feeds an addition
// fused, as its compiler does. libm's functions are more accurate and give other bits in 13 % of cases.

/// Box and Muller's method on one pair of uniform numbers, in single precision.
enum VectorNormals {
  private static let logarithm: [Float] = [
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
  ]
  private static let evenPowers: [Float] = [
    2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2,
  ]
  private static let oddPowers: [Float] = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]

  /// The two normal numbers of `u1` in (0, 1] and `u2` in [0, 1).
  static func pair(_ u1: Float, _ u2: Float) -> (Float, Float) {
    let radius = (-2 * log(u1)).squareRoot()
    let (sine, cosine) = sineAndCosine(Float(2 * Double.pi) * u2)
    return (radius * cosine, radius * sine)
  }

  /// The natural logarithm of a positive normal number.
  private static func log(_ x: Float) -> Float {
    // x = m · 2ᵉ with m between √½ and √2.
    var exponent = Float(x.exponent) + 1
    var mantissa = x.significand / 2
    if mantissa < 0.707_106_781 {
      exponent -= 1
      mantissa += mantissa - 1
    } else {
      mantissa -= 1
    }
    let square = mantissa * mantissa
    let polynomial = evaluate(logarithm, mantissa) * mantissa
    // The logarithm of 2 in two parts, the large one exact in few bits.
    var result = (exponent * -2.12194440e-4).addingProduct(polynomial, square)
    result = result.addingProduct(-square, 0.5)
    return (mantissa + result).addingProduct(exponent, 0.693359375)
  }

  /// Of an angle from 0 to 2π.
  private static func sineAndCosine(_ x: Float) -> (sine: Float, cosine: Float) {
    // The nearest even multiple of π/4, taken away in three parts of few bits.
    let octant = (Int(x * 1.27323954473516) + 1) & ~1
    var rest = x
    for part: Float in [-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8] {
      rest = rest.addingProduct(Float(octant), part)
    }
    let square = rest * rest
    let even = evaluate(evenPowers, square) * square
    let cosine = (-(square * 0.5)).addingProduct(even, square) + 1
    let odd = evaluate(oddPowers, square) * square
    let sine = rest.addingProduct(odd, rest)
    switch octant & 7 {
    case 0: return (sine, cosine)
    case 2: return (cosine, -sine)
    case 4: return (-sine, -cosine)
    default: return (-cosine, sine)
    }
  }

  /// A polynomial by Horner's rule, highest power first.
  private static func evaluate(_ coefficients: [Float], _ x: Float) -> Float {
    coefficients.dropFirst().reduce(coefficients[0]) { $1.addingProduct($0, x) }
  }
}
