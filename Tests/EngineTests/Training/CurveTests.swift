import Testing

@testable import RNNEngine

/// A hundred training steps with PyTorch's losses: only the losses are stored, everything
/// else follows from the seed as in Python.
///
/// The runs are such that PyTorch in single precision agrees with itself in double precision, which the
/// script checks. With larger rates Adam and RMSprop do not: the ratio of two small moments magnifies
/// rounding, and losses that PyTorch itself has to 8 % only cannot be compared to 1e-5.
@Suite("A hundred training steps have PyTorch's losses")
struct CurveTests {
  private static let (steps, rows, inputs, hidden, classes) = (7, 3, 4, 6, 5)

  private func losses<O: Optimizer>(
    _ cell: Cell, _ optimizer: O, clip: O.S? = nil,
    _ change: (inout RecurrentConfiguration) -> Void = { _ in }
  ) throws -> [Double] {
    typealias S = O.S
    var configuration = RecurrentConfiguration(
      cell: cell, inputSize: Self.inputs, hiddenSize: Self.hidden)
    change(&configuration)
    var generator = TorchGenerator(seed: 2026)
    let rnn = try RNN<S>(configuration, generator: &generator)
    let head = try Linear<S>(
      inputSize: configuration.outputSize, outputSize: Self.classes, generator: &generator)
    var model = try Model(rnn: rnn, head: head)
    let shape = [Self.steps, Self.rows]
    let x: NDArray<S> = try generator.uniform(shape: shape + [Self.inputs], from: 0, to: 1)
    let y = try generator.randint(0..<Self.classes, count: Self.steps * Self.rows)
    let masks = DropoutMasks(generator)
    var optimizer = optimizer
    var result: [Double] = []
    for _ in 0..<100 {
      var gradients = try model.backward(
        x, dropout: masks, targets: .classes(y, shape: shape), loss: .crossEntropy())
      result.append(Double(gradients.loss))
      if let clip { gradients.clipByGlobalNorm(max: clip) }
      try optimizer.step(&model, gradients: gradients)
    }
    return result
  }

  private func run<S: Scalar>(
    _ type: S.Type, _ precision: String, plain: Double, adaptive: Double
  ) throws {
    var compared: Set<String> = []
    func check(_ name: String, within gate: Double, _ found: [Double]) throws {
      let golden = GoldenNumbers.curves.doubles("\(precision).\(name)")
      #expect(found.count == 100 && golden.count == 100)
      let worst = zip(found, golden).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst <= gate, "\(name) in \(type)")
      // A curve that stands still would agree with anything.
      #expect(found[99] < found[0] - 0.02, "\(name): \(found[0]) to \(found[99])")
      compared.insert("\(precision).\(name)")
    }
    try check("tanhSGD", within: plain, losses(.rnnTanh, SGD<S>(learningRate: 0.1)))
    try check(
      "reluNesterov", within: plain,
      losses(
        .rnnRelu, SGD<S>(learningRate: 0.03, momentum: 0.9, weightDecay: 1e-3, nesterov: true)))
    try check(
      "lstmSGD", within: plain,
      losses(.lstm, SGD<S>(learningRate: 0.5), clip: 1) {
        ($0.layerCount, $0.bidirectional) = (2, true)
      })
    try check(
      "gruSGD", within: plain,
      losses(.gru, SGD<S>(learningRate: 0.2, momentum: 0.5)) { $0.layerCount = 2 })
    try check("lstmAdam", within: adaptive, losses(.lstm, Adam<S>(learningRate: 3e-3)))
    try check(
      "projectedAdamW", within: adaptive,
      losses(.lstm, Adam<S>.adamW(learningRate: 3e-3)) { ($0.projSize, $0.layerCount) = (4, 2) })
    try check(
      "gruRMSprop", within: adaptive,
      losses(.gru, RMSprop<S>(learningRate: 1e-3)) { $0.bidirectional = true })
    try check(
      "tanhAdagrad", within: adaptive,
      losses(.rnnTanh, Adagrad<S>(learningRate: 0.03)) { $0.layerCount = 2 })
    try check(
      "gruDropout", within: adaptive,
      losses(.gru, Adam<S>(learningRate: 3e-3)) { ($0.layerCount, $0.dropout) = (3, 0.3) })
    #expect(compared == GoldenNumbers.curves.names.filter { $0.hasPrefix(precision) })
  }

  @Test func doublePrecision() throws {
    try run(Double.self, "double", plain: 1e-12, adaptive: 1e-10)
  }

  @Test func singlePrecision() throws {
    try run(Float.self, "single", plain: 1e-6, adaptive: 1e-5)
  }
}
