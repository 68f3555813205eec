import Tensors

// y = (x − μ) / √(σ² + ε) ⊙ w + b over the last axis, σ² with the divisor of the mean. With
// x̂ = (x − μ) / √(σ² + ε) and g = dy ⊙ w, back:
//
//     dw = Σ dy ⊙ x̂   db = Σ dy   dx = (g − mean(g) − x̂ · mean(g ⊙ x̂)) / √(σ² + ε)

/// Layer normalisation over the last axis, as `nn.LayerNorm` with one normalised axis.
///
/// Every row is computed by itself, so that a row alone has the same bits as in a batch.
public struct LayerNorm<S: Scalar>: Sendable {
  /// The factor of each feature, (F).
  public let weight: NDArray<S>
  /// What is added to each feature, (F).
  public let bias: NDArray<S>
  /// What is added to the variance.
  public let epsilon: S

  /// Creates a layer; throws `engine.parameter-shape` unless weight and bias are (F).
  public init(weight: NDArray<S>, bias: NDArray<S>, epsilon: S = 1e-5) throws {
    for (name, array) in [("weight", weight), ("bias", bias)] {
      guard array.shape.count == 1, array.shape == weight.shape, array.count == array.shape[0],
        array.count > 0
      else {
        throw RecurrentError(
          .engineParameterShape, at: name, found: "shape \(array.shape)",
          expected: name == "weight" ? "(F)" : "\(weight.shape)")
      }
    }
    self.weight = weight
    self.bias = bias
    self.epsilon = epsilon
  }

  /// Maps (…, F) to (…, F); throws `engine.input-size` for another last axis.
  public func callAsFunction(_ x: NDArray<S>) throws -> NDArray<S> {
    try check(x, x.shape, "x")
    return NDArray(trusted: x.shape, forward(x.elements).output)
  }

  /// The gradients of the input, in its shape, and of the weight and the bias (F), given the input and the
  /// gradient of the output.
  ///
  /// Throws `engine.input-size` for another last axis, or for two shapes that differ.
  public func backward(
    _ x: NDArray<S>, gradOutput: NDArray<S>
  ) throws -> (x: NDArray<S>, weight: NDArray<S>, bias: NDArray<S>) {
    try check(x, x.shape, "x")
    try check(gradOutput, x.shape, "gradient of output")
    var gradients = (
      x: gradOutput, weight: NDArray<S>(zeros: weight.shape), bias: NDArray<S>(zeros: weight.shape)
    )
    backward(
      forward(x.elements).tape, &gradients.x.elements, weight: &gradients.weight.elements,
      bias: &gradients.bias.elements)
    return gradients
  }

  private func check(_ array: NDArray<S>, _ shape: [Int], _ what: String) throws {
    guard array.shape == shape, shape.last == weight.count, array.count % weight.count == 0 else {
      throw RecurrentError(
        .engineInputSize, at: what, found: "\(what) of shape \(array.shape)",
        expected: "last axis \(weight.count)")
    }
  }
}

/// What the backward pass of a normalisation reads.
struct NormTape<S: Scalar>: Sendable {
  /// x̂, rows × F.
  let standardised: [S]
  /// 1 / √(σ² + ε) of each row.
  let scales: [S]
}

extension LayerNorm {
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func forward(_ rows: [S]) -> (output: [S], tape: NormTape<S>) {
    let width = weight.count
    let (factors, offsets) = (weight.elements, bias.elements)
    var (standardised, output) = (rows, rows)
    var scales: [S] = []
    scales.reserveCapacity(rows.count / width)
    for start in stride(from: 0, to: rows.count, by: width) {
      var (mean, variance): (S, S) = (0, 0)
      for i in 0..<width { mean += rows[start + i] }
      mean /= S(width)
      for i in 0..<width {
        let distance = rows[start + i] - mean
        variance += distance * distance
      }
      let scale = 1 / (variance / S(width) + epsilon).squareRoot()
      for i in 0..<width {
        standardised[start + i] = (rows[start + i] - mean) * scale
        output[start + i] = standardised[start + i] * factors[i] + offsets[i]
      }
      scales.append(scale)
    }
    return (output, NormTape(standardised: standardised, scales: scales))
  }

  /// Replaces the gradient of the output by that of the input, and adds those of weight and bias.
  ///
  /// The last row first, as everywhere: a sequence in pieces, the last one first, gives the same bits.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func backward(
    _ tape: NormTape<S>, _ gradient: inout [S], weight dWeight: inout [S], bias dBias: inout [S]
  ) {
    let width = weight.count
    let factors = weight.elements
    for row in tape.scales.indices.reversed() {
      let start = row * width
      var (mean, projection): (S, S) = (0, 0)
      for i in 0..<width {
        let (dy, x) = (gradient[start + i], tape.standardised[start + i])
        dWeight[i] += dy * x
        dBias[i] += dy
        mean += dy * factors[i]
        projection += dy * factors[i] * x
      }
      mean /= S(width)
      projection /= S(width)
      for i in 0..<width {
        let centred = gradient[start + i] * factors[i] - mean
        gradient[start + i] =
          (centred - tape.standardised[start + i] * projection) * tape.scales[row]
      }
    }
  }
}
