import HostSystem
import Tensors

/// A complex number, as an eigenvalue may be.
package struct Complex: Sendable, Equatable {
  /// The real part.
  package var real: Double
  /// The imaginary part.
  package var imaginary: Double

  /// Creates a number.
  package init(_ real: Double, _ imaginary: Double = 0) {
    self.real = real
    self.imaginary = imaginary
  }

  /// The distance to zero.
  package var size: Double { hypot(real, imaginary) }

  var conjugate: Complex { Complex(real, -imaginary) }

  static func + (a: Complex, b: Complex) -> Complex {
    Complex(a.real + b.real, a.imaginary + b.imaginary)
  }
  static func - (a: Complex, b: Complex) -> Complex {
    Complex(a.real - b.real, a.imaginary - b.imaginary)
  }
  static func * (a: Complex, b: Complex) -> Complex {
    Complex(
      a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
  }
  static func / (a: Complex, b: Double) -> Complex { Complex(a.real / b, a.imaginary / b) }

  // The root with a real part of at least 0.
  var squareRoot: Complex {
    if size == 0 { return Complex(0) }
    let half = ((size + abs(real)) / 2).squareRoot()
    let other = abs(imaginary) / (2 * half)
    let (x, y) = real >= 0 ? (half, other) : (other, half)
    return Complex(x, imaginary < 0 ? -y : y)
  }
}

/// The eigenvalues of a square matrix, largest first: reduction to Hessenberg form, then the shifted QR
/// iteration in complex arithmetic, which needs no special case for pairs.
func eigenvalues(_ matrix: [Double], size n: Int) throws -> [Complex] {
  // Without this, squares of very large or small elements would leave the range; a power of two rounds
  // nothing.
  let largest = matrix.reduce(0) { max($0, abs($1)) }
  let scale = largest > 0 ? largest.binade : 1
  var h = (0..<n).map { row in (0..<n).map { Complex(matrix[row * n + $0] / scale) } }
  reduceToHessenberg(&h)
  var values: [Complex] = []
  var last = n - 1
  var rounds = 0
  while last >= 0 {
    // The lowest block that no negligible element below the diagonal cuts off.
    var first = last
    while first > 0 {
      let scale = h[first - 1][first - 1].size + h[first][first].size
      let reference = scale > 0 ? scale : 1
      if h[first][first - 1].size <= Double.ulpOfOne * reference { break }
      first -= 1
    }
    if first == last {
      values.append(h[last][last])
      last -= 1
      rounds = 0
      continue
    }
    rounds += 1
    guard rounds <= 300 else {
      throw RecurrentError(
        .engineEigenvalues, found: "no convergence of a matrix of size \(n)")
    }
    let shift =
      rounds % 10 == 0
      ? Complex(h[last][last].real + h[last][last - 1].size, h[last][last].imaginary)
      : wilkinsonShift(h, last)
    sweep(&h, first...last, shift)
  }
  return values.map { Complex($0.real * scale, $0.imaginary * scale) }
    .sorted { $0.size > $1.size }
}

// Gaussian elimination with pivots, mirrored so that the eigenvalues stay.
private func reduceToHessenberg(_ h: inout [[Complex]]) {
  let n = h.count
  guard n > 2 else { return }
  for column in 0..<n - 2 {
    // Householder's reflection of what is below the subdiagonal; the matrix is still real.
    let below = (column + 1..<n).map { h[$0][column].real }
    let norm = below.reduce(0) { hypot($0, $1) }
    if norm == 0 { continue }
    var v = below
    v[0] += below[0] >= 0 ? norm : -norm
    let square = v.reduce(0) { $0 + $1 * $1 }
    if square == 0 { continue }
    for j in 0..<n {
      let share = v.indices.reduce(0) { $0 + v[$1] * h[column + 1 + $1][j].real } * 2 / square
      for i in v.indices { h[column + 1 + i][j].real -= share * v[i] }
    }
    for i in 0..<n {
      let share = v.indices.reduce(0) { $0 + v[$1] * h[i][column + 1 + $1].real } * 2 / square
      for j in v.indices { h[i][column + 1 + j].real -= share * v[j] }
    }
    for i in column + 2..<n { h[i][column] = Complex(0) }
  }
}

// The eigenvalue of the last 2×2 block that is nearer to its corner.
private func wilkinsonShift(_ h: [[Complex]], _ last: Int) -> Complex {
  let (a, b) = (h[last - 1][last - 1], h[last - 1][last])
  let (c, d) = (h[last][last - 1], h[last][last])
  let half = (a - d) / 2
  let root = (half * half + b * c).squareRoot
  let middle = (a + d) / 2
  let (x, y) = (middle + root, middle - root)
  return (x - d).size < (y - d).size ? x : y
}

// One step QR → RQ of the shifted block, by rotations.
private func sweep(_ h: inout [[Complex]], _ block: ClosedRange<Int>, _ shift: Complex) {
  let (first, last) = (block.lowerBound, block.upperBound)
  for i in block { h[i][i] = h[i][i] - shift }
  var rotations: [(c: Complex, s: Complex)] = []
  for k in first..<last {
    let length = hypot(h[k][k].size, h[k + 1][k].size)
    let (c, s) =
      length == 0 ? (Complex(1), Complex(0)) : (h[k][k] / length, h[k + 1][k] / length)
    for j in k...last {
      let (x, y) = (h[k][j], h[k + 1][j])
      h[k][j] = c.conjugate * x + s.conjugate * y
      h[k + 1][j] = c * y - s * x
    }
    rotations.append((c, s))
  }
  for (offset, (c, s)) in rotations.enumerated() {
    let k = first + offset
    for i in first...min(k + 1, last) {
      let (x, y) = (h[i][k], h[i][k + 1])
      h[i][k] = x * c + y * s
      h[i][k + 1] = y * c.conjugate - x * s.conjugate
    }
  }
  for i in block { h[i][i] = h[i][i] + shift }
}
