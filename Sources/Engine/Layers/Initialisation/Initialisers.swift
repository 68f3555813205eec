import Tensors

// The initialisers of torch.nn.init, drawing from PyTorch's generator in PyTorch's order.

/// The factor that keeps the variance through a non-linearity, `torch.nn.init.calculate_gain`.
package enum Gain: Sendable, Equatable {
  /// Linear layers and the sigmoid: 1.
  case linear
  /// 5 / 3.
  case tanh
  /// √2.
  case relu
  /// √(2 / (1 + slope²)).
  case leakyReLU(slope: Double)

  /// The factor.
  package var value: Double {
    switch self {
    case .linear: 1
    case .tanh: 5.0 / 3
    case .relu: 2.0.squareRoot()
    case .leakyReLU(let slope): (2 / (1 + slope * slope)).squareRoot()
    }
  }
}

/// Which side of a matrix Kaiming's initialiser keeps the variance of.
package enum Fan: Sendable, Equatable {
  /// The inputs, for the forward pass.
  case input
  /// The outputs, for the backward pass.
  case output
}

extension NDArray where Element: Scalar {
  /// Uniform between ±gain·√(6 / (inputs + outputs)), `xavier_uniform_`; bit-equal.
  ///
  /// Throws `engine.shape` for fewer than two axes, as every initialiser of this file.
  package static func xavierUniform(
    shape: [Int], gain: Double = 1, generator: inout TorchGenerator
  ) throws -> NDArray {
    let fans = try fans(shape)
    let deviation = gain * (2 / Double(fans.input + fans.output)).squareRoot()
    let bound = 3.0.squareRoot() * deviation
    return try generator.uniform(shape: shape, from: -bound, to: bound)
  }

  /// Normal with deviation gain·√(2 / (inputs + outputs)), `xavier_normal_`.
  package static func xavierNormal(
    shape: [Int], gain: Double = 1, generator: inout TorchGenerator
  ) throws -> NDArray {
    let fans = try fans(shape)
    return try generator.normal(
      shape: shape,
      standardDeviation: gain * (2 / Double(fans.input + fans.output)).squareRoot())
  }

  /// Uniform between ±gain·√(3 / fan), `kaiming_uniform_`; bit-equal.
  package static func kaimingUniform(
    shape: [Int], gain: Gain = .leakyReLU(slope: 0), fan: Fan = .input,
    generator: inout TorchGenerator
  ) throws -> NDArray {
    let bound = 3.0.squareRoot() * (try kaimingDeviation(shape, gain, fan))
    return try generator.uniform(shape: shape, from: -bound, to: bound)
  }

  /// Normal with deviation gain / √fan, `kaiming_normal_`.
  package static func kaimingNormal(
    shape: [Int], gain: Gain = .leakyReLU(slope: 0), fan: Fan = .input,
    generator: inout TorchGenerator
  ) throws -> NDArray {
    try generator.normal(
      shape: shape, standardDeviation: try kaimingDeviation(shape, gain, fan))
  }

  /// A matrix of orthonormal rows or columns, whichever are fewer, times `gain`, `orthogonal_`.
  ///
  /// Equal to PyTorch's up to rounding: the factorisation is unique, its order of operations is not.
  package static func orthogonal(
    shape: [Int], gain: Double = 1, generator: inout TorchGenerator
  ) throws -> NDArray {
    _ = try fans(shape)
    let count = try checkedCount(shape)
    if count == 0 { return NDArray(trusted: shape, []) }
    let (rows, columns) = (shape[0], count / shape[0])
    let draws = try generator.normal(Element.self, shape: [rows, columns]).elements.map {
      Double($0)
    }
    // The vectors to make orthonormal: columns of the taller of the matrix and its transpose.
    let wide = rows < columns
    let (vectorCount, length) = wide ? (rows, columns) : (columns, rows)
    var vectors = (0..<vectorCount).map { index in
      (0..<length).map { wide ? draws[index * columns + $0] : draws[$0 * columns + index] }
    }
    orthonormalise(&vectors)
    var result = NDArray(zeros: shape)
    for row in 0..<rows {
      for column in 0..<columns {
        let element = wide ? vectors[row][column] : vectors[column][row]
        result.elements[row * columns + column] = Element(element) * Element(gain)
      }
    }
    return result
  }

  // Axes after the second belong to a receptive field.
  private static func fans(_ shape: [Int]) throws -> (input: Int, output: Int) {
    _ = try checkedCount(shape)
    guard shape.count >= 2 else {
      throw RecurrentError(
        .engineShape, found: "shape \(shape)",
        expected: "two axes or more, of which fan in and fan out are known")
    }
    let field = shape[2...].reduce(1, *)
    return (shape[1] * field, shape[0] * field)
  }

  private static func kaimingDeviation(_ shape: [Int], _ gain: Gain, _ fan: Fan) throws -> Double {
    let fans = try fans(shape)
    return gain.value / Double(fan == .input ? fans.input : fans.output).squareRoot()
  }
}

// Gram and Schmidt's method, each vector twice: once is not accurate, twice is.
private func orthonormalise(_ vectors: inout [[Double]]) {
  func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
  for index in vectors.indices {
    for _ in 0..<2 {
      for earlier in 0..<index {
        let share = dot(vectors[earlier], vectors[index])
        for place in vectors[index].indices {
          vectors[index][place] -= share * vectors[earlier][place]
        }
      }
    }
    let norm = dot(vectors[index], vectors[index]).squareRoot()
    // A dependent vector, which random numbers never give, stays zero.
    if norm > 0 { vectors[index] = vectors[index].map { $0 / norm } }
  }
}
