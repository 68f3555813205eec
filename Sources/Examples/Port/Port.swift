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
    let states = network.run(x.rows, from: start)
    return [
      "outputs/output": try NDArray(states),
      "outputs/h_n": try NDArray(states.suffix(1)),
    ]
  }
}

/// A port as one writes it by hand: h = tanh(W_ih x + b_ih + W_hh h + b_hh).
struct TanhRNN {
  var inputWeights, hiddenWeights, inputBias, hiddenBias: NDArray<Double>

  func run(_ x: [[Double]], from start: [Double]?) -> [[Double]] {
    var h = start ?? [Double](repeating: 0, count: hiddenBias.count)
    return x.map { input in
      let units = zip(inputWeights.rows, hiddenWeights.rows)
      let biases = zip(inputBias.elements, hiddenBias.elements)
      h = zip(units, biases).map { weights, bias in
        Double.tanh(bias.0 + bias.1 + product(weights.0, input) + product(weights.1, h))
      }
      return h
    }
  }

  private func product(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map(*).reduce(0, +) }
}
