@testable import RNNEngine

/// SplitMix64: the same numbers on every platform and in every run.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in −1..<1; the same for `Float` and `Double` up to rounding.
  mutating func array<S: Scalar>(_ shape: [Int], scale: Double = 1) -> NDArray<S> {
    let elements = (0..<shape.reduce(1, *)).map { _ in
      S(scale * (Double(next() >> 11) * 0x1p-52 - 1))
    }
    return NDArray(trusted: shape, elements)
  }

  /// A network with weights uniform in ±`scale` around `center`.
  mutating func network<S: Scalar>(
    _ configuration: RecurrentConfiguration, center: S = 0, scale: Double = 0.8
  ) throws -> RNN<S> {
    var parameters = Parameters<S>()
    for (name, shape) in configuration.parameterShapes {
      var weights: NDArray<S> = array(shape, scale: scale)
      for index in weights.elements.indices { weights.elements[index] += center }
      parameters.append(name, weights)
    }
    return try RNN(configuration, parameters: parameters)
  }
}

func dot<S: Scalar>(_ a: NDArray<S>, _ b: NDArray<S>) -> S {
  zip(a.elements, b.elements).reduce(0) { $0 + $1.0 * $1.1 }
}

/// The central differences of `function` at every element of `array`.
func differences(
  _ array: NDArray<Double>, step: Double = 1e-5, _ function: (NDArray<Double>) throws -> Double
) rethrows -> NDArray<Double> {
  var moved = array
  var result = NDArray<Double>(zeros: array.shape)
  for index in array.elements.indices {
    moved.elements[index] = array.elements[index] + step
    let above = try function(moved)
    moved.elements[index] = array.elements[index] - step
    let below = try function(moved)
    moved.elements[index] = array.elements[index]
    result.elements[index] = (above - below) / (2 * step)
  }
  return result
}

/// How far a gradient is from the central difference along a random direction, relative to both their lengths;
/// that costs less than every element, and misses nothing either.
func directionalDeviation(
  _ found: NDArray<Double>, at array: NDArray<Double>, _ random: inout SplitMix64,
  _ function: (NDArray<Double>) throws -> Double
) rethrows -> Double {
  guard found.shape == array.shape else { return .infinity }
  let direction: NDArray<Double> = random.array(array.shape)
  let expected = try differences(NDArray(trusted: [1], [0])) { step in
    var moved = array
    for index in moved.elements.indices {
      moved.elements[index] += step.elements[0] * direction.elements[index]
    }
    return try function(moved)
  }
  let scale = (dot(found, found) * dot(direction, direction)).squareRoot()
  let difference = abs(dot(found, direction) - expected.elements[0])
  return difference == 0 ? 0 : difference / scale
}

/// The largest difference, relative to the largest magnitude; infinite for other shapes or NaN.
func deviation<S: Scalar>(_ found: NDArray<S>, from expected: NDArray<S>) -> S {
  guard found.shape == expected.shape, found.count == expected.count else { return .infinity }
  let largest = expected.elements.reduce(0) { max($0, abs($1)) }
  var worst: S = 0
  for (a, b) in zip(found.elements, expected.elements) {
    let difference = abs(a - b)
    guard difference == difference else { return .infinity }
    worst = max(worst, difference)
  }
  return largest == 0 ? worst : worst / largest
}
