// You ported a model to Swift by hand: hold your own code against what Python computed.
//
//   swift run example-port fixture.npz
//
// In a test it is one call (Parity's chapter "I ported my model to Swift: prove it"):
//
//   @Test func myPortAgrees() throws {
//     try expectParity(with: "Fixtures/model.npz", tensors: Port.tensors, run: Port.run)
//   }
import Parity
import Recurrent

@main
struct Port {
  /// What the port below computes.
  static let tensors = ["outputs/output", "outputs/h_n"]

  static func main() throws {
    guard CommandLine.arguments.count == 2 else {
      print("usage: example-port FIXTURE   (one layer of nn.RNN, tanh, unbatched)")
      return
    }
    try expectParity(with: CommandLine.arguments[1], tensors: tensors, run: run)
    print("the port agrees with \(CommandLine.arguments[1])")
  }

  /// Names in, names out: everything between is the code that is to be proved.
  static func run(_ fixture: Fixture) throws -> [String: NDArray<Double>] {
    let x = try fixture.array("inputs/x", as: Double.self)
    let network = TanhRNN(
      inputWeights: try fixture.array("weights/weight_ih_l0"),
      hiddenWeights: try fixture.array("weights/weight_hh_l0"),
      inputBias: try fixture.array("weights/bias_ih_l0"),
      hiddenBias: try fixture.array("weights/bias_hh_l0"))
    let start = try fixture.inputs["h_0"].map { try NDArray<Double>($0).elements }
    let states = network.run(x.elements, steps: x.shape[0], from: start)
    let size = network.hiddenBias.count
    return [
      "outputs/output": try NDArray(shape: [x.shape[0], size], elements: states.flatMap { $0 }),
      "outputs/h_n": try NDArray(shape: [1, size], elements: states.last ?? []),
    ]
  }
}

/// A port as one writes it by hand: h = tanh(W_ih x + b_ih + W_hh h + b_hh).
struct TanhRNN {
  var inputWeights, hiddenWeights, inputBias, hiddenBias: NDArray<Double>

  func run(_ x: [Double], steps: Int, from start: [Double]?) -> [[Double]] {
    let (size, width) = (hiddenBias.count, inputWeights.shape[1])
    var h = start ?? [Double](repeating: 0, count: size)
    return (0..<steps).map { step in
      h = (0..<size).map { unit in
        var sum = inputBias.elements[unit] + hiddenBias.elements[unit]
        for i in 0..<width {
          sum += inputWeights.elements[unit * width + i] * x[step * width + i]
        }
        for j in 0..<size { sum += hiddenWeights.elements[unit * size + j] * h[j] }
        return Double.tanh(sum)
      }
      return h
    }
  }
}
