import Tensors

/// A linear layer over the last axis, as `nn.Linear`: `y = x Wᵀ + b`.
public struct Linear<S: Scalar>: Sendable {
  /// The weight, (C, H).
  public let weight: NDArray<S>
  /// The bias, (C), if there is one.
  public let bias: NDArray<S>?
  /// Wᵀ and W for products, made when first used.
  private let forwardWeight = Once<PackedMatrix<S>>()
  private let backwardWeight = Once<PackedMatrix<S>>()
  /// Stands in for the bias if there is none.
  private let zeros: [S]

  /// Creates a layer; throws unless the weight is (C, H) and the bias (C).
  public init(weight: NDArray<S>, bias: NDArray<S>? = nil) throws {
    guard weight.shape.count == 2, weight.shape.allSatisfy({ $0 > 0 }),
      weight.count == weight.shape[0] * weight.shape[1]
    else {
      throw RecurrentError(
        .engineParameterShape, at: "weight", found: "shape \(weight.shape)",
        expected: "(C, H)")
    }
    if let bias, bias.shape != [weight.shape[0]] || bias.count != weight.shape[0] {
      throw RecurrentError(
        .engineParameterShape, at: "bias", found: "shape \(bias.shape)",
        expected: "\([weight.shape[0]])")
    }
    self.weight = weight
    self.bias = bias
    zeros = bias == nil ? [S](repeating: 0, count: weight.shape[0]) : []
  }

  /// H.
  public var inputSize: Int { weight.shape[1] }
  /// C.
  public var outputSize: Int { weight.shape[0] }

  /// The weight and the bias under PyTorch's names, `weight` and `bias`.
  public var parameters: Parameters<S> {
    var result = Parameters<S>()
    result.append("weight", weight)
    if let bias { result.append("bias", bias) }
    return result
  }

  /// Creates a layer from `weight` and, if present, `bias`.
  ///
  /// Throws `engine.missing-parameter` or `engine.extra-parameter` for other names, and as ``init(weight:bias:)``.
  public init(parameters: Parameters<S>) throws {
    guard let weight = parameters["weight"] else {
      throw RecurrentError(
        .engineMissingParameter, at: "weight", found: "no weight", expected: "(C, H)"
      )
    }
    if let extra = parameters.names.first(where: { $0 != "weight" && $0 != "bias" }) {
      throw RecurrentError(
        .engineExtraParameter, at: extra, found: "parameter \(extra)",
        expected: "only weight, bias")
    }
    try self.init(weight: weight, bias: parameters["bias"])
  }

  /// Maps (…, H) to (…, C); throws `engine.input-size` for another last axis.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func callAsFunction(_ x: NDArray<S>) throws -> NDArray<S> {
    let rows = try check(x, lastAxis: inputSize, "x")
    var result = [S].unfilled(rows * outputSize)
    apply(x.elements, rows: rows, into: &result)
    return NDArray(trusted: x.shape.dropLast() + [outputSize], result)
  }

  /// Maps rows (rows, H) to (rows, C).
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  func apply(
    _ x: [S], rows: Int, into result: inout [S], with given: (any RecurrentKernels<S>)? = nil
  ) {
    let kernels = given ?? kernels(for: S.self)
    kernels.project(
      x, Block(rows: rows, columns: inputSize),
      weight: forwardWeight.get {
        kernels.pack(
          weight.elements, rowStride: 1, columnStride: inputSize, rows: inputSize,
          columns: outputSize)
      },
      bias: bias?.elements ?? zeros, width: outputSize, into: &result, stride: outputSize)
  }

  /// The gradients of the input, in its shape, of the weight (C, H), and of the bias (C) if the layer has one,
  /// given the input and the gradient of the output.
  ///
  /// Throws `engine.input-size` or `engine.output-shape` for shapes that do not fit.
  @_specialize(where S == Float)
  @_specialize(where S == Double)
  public func backward(
    _ x: NDArray<S>, gradOutput: NDArray<S>
  ) throws -> (x: NDArray<S>, weight: NDArray<S>, bias: NDArray<S>?) {
    let rows = try check(x, lastAxis: inputSize, "x")
    let expected = x.shape.dropLast() + [outputSize]
    guard gradOutput.shape == Array(expected), gradOutput.count == rows * outputSize else {
      throw RecurrentError(
        .engineOutputShape, at: "gradient of output",
        found: "shape \(gradOutput.shape)", expected: "\(Array(expected))")
    }
    let kernels = kernels(for: S.self)
    var dx = [S].unfilled(x.count)
    var dWeight = [S](repeating: 0, count: weight.count)
    let block = Block(rows: rows, columns: outputSize)
    kernels.addInputGradient(
      gradOutput.elements, block,
      weight: backwardWeight.get {
        kernels.pack(
          weight.elements, rowStride: inputSize, columnStride: 1, rows: outputSize,
          columns: inputSize)
      }, inputSize: inputSize, into: &dx, isFirst: true)
    kernels.addWeightGradient(
      gradOutput.elements, block, input: x.elements, Block(rows: rows, columns: inputSize),
      into: &dWeight)
    var biasGradient: NDArray<S>?
    if bias != nil {
      var dBias = [S](repeating: 0, count: outputSize)
      kernels.addBiasGradient(gradOutput.elements, block, into: &dBias)
      biasGradient = NDArray(trusted: [outputSize], dBias)
    }
    return (
      NDArray(trusted: x.shape, dx), NDArray(trusted: weight.shape, dWeight), biasGradient
    )
  }

  private func check(_ x: NDArray<S>, lastAxis: Int, _ what: String) throws -> Int {
    guard let last = x.shape.last, last == lastAxis, x.count % lastAxis == 0 else {
      throw RecurrentError(
        .engineInputSize, at: what, found: "input of shape \(x.shape)",
        expected: "last axis \(lastAxis)")
    }
    return x.count / lastAxis
  }
}
