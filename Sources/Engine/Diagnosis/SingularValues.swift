import HostSystem

/// The singular values of a matrix, largest first: columns are rotated by pairs until all are orthogonal,
/// and their lengths are the values (Hestenes and Jacobi).
func singularValues(_ matrix: [Double], rows: Int, columns: Int) -> [Double] {
  // Without this, squares of very large or small elements would leave the range.
  let scale = matrix.reduce(0) { max($0, abs($1)) }
  guard scale > 0, scale.isFinite else {
    return [Double](repeating: scale == 0 ? 0 : .nan, count: min(rows, columns))
  }
  let transposed = rows < columns
  var vectors = (0..<min(rows, columns)).map { index in
    (0..<max(rows, columns)).map {
      (transposed ? matrix[index * columns + $0] : matrix[$0 * columns + index]) / scale
    }
  }
  func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
  var isDone = false
  var rounds = 0
  while !isDone && rounds < 60 {
    isDone = true
    rounds += 1
    for i in vectors.indices {
      for j in vectors.indices.dropFirst(i + 1) {
        let (a, b) = (dot(vectors[i], vectors[i]), dot(vectors[j], vectors[j]))
        let product = dot(vectors[i], vectors[j])
        if abs(product) <= Double.ulpOfOne * (a * b).squareRoot() { continue }
        isDone = false
        let tau = (b - a) / (2 * product)
        let tangent = (tau >= 0 ? 1.0 : -1) / (abs(tau) + hypot(1, tau))
        let cosine = 1 / hypot(1, tangent)
        let sine = cosine * tangent
        for place in vectors[i].indices {
          let (x, y) = (vectors[i][place], vectors[j][place])
          vectors[i][place] = cosine * x - sine * y
          vectors[j][place] = sine * x + cosine * y
        }
      }
    }
  }
  return vectors.map { dot($0, $0).squareRoot() * scale }.sorted(by: >)
}
