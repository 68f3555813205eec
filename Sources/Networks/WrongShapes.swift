import RNNEngine
import Tensors

/// A layer whose tensors have PyTorch's names and shapes that contradict each other.
struct WrongShapes {
  /// The cell and the sizes that most of the tensors agree on.
  let architecture: Architecture
  /// Which tensor does not fit, what was found, and what was expected.
  let refusal: RecurrentError

  /// One tensor of the layer by the role that its name says.
  private struct Part {
    let role: Slot.Role
    let name: Name
    let shape: [Int]

    /// The shape that a cell of a hidden size gives it; the inputs are whatever it says itself.
    func expected(_ cell: Cell, _ hidden: Int, _ state: Int) -> [Int] {
      let height = cell.gateNames.count * hidden
      switch role {
      case .weightIH:
        let isTransposed = shape.count == 2 && shape[1] == height && shape[0] != height
        return [height, isTransposed ? shape[0] : shape.last ?? 1]
      case .weightHH: return [height, state]
      case .weightHR: return [state, hidden]
      case .biasIH, .biasHH, .weight, .bias: return [height]
      }
    }

    /// 0 where it fits; a transposed matrix is nearer than one of other sizes.
    func distance(to expected: [Int]) -> Double {
      if role == .weightIH, shape.count == 2, shape[0] == expected[0], shape[1] > 0 { return 0 }
      if LayoutFinder.fits(shape, expected) { return 0 }
      if shape == Array(expected.reversed()) { return 0.5 }
      guard shape.count == expected.count else { return 1e9 }
      return zip(shape, expected).reduce(0) { $0 + Double(($1.0 - $1.1).magnitude) }
    }
  }

  /// A reading of the tensors: a cell with its sizes, and how far each tensor is from it.
  private struct Reading {
    let cell: Cell
    let hidden: Int
    let state: Int
    let distances: [Double]

    var misfits: Int { distances.count { $0 > 0 } }
    func isBetter(than other: Reading?) -> Bool {
      guard let other else { return true }
      let (own, its) = (distances.reduce(0, +), other.distances.reduce(0, +))
      return (misfits, own) < (other.misfits, its)
    }
  }

  /// Looks at the first layer of a module of PyTorch's; `nil` where a weight is missing or nothing is contradicted.
  init?(at prefix: String, _ layout: ModuleLayout, _ state: StateDict) {
    var parts: [Part] = []
    for template in layout.tensors {
      let name = template.name(at: prefix, direction: layout.directions.first ?? "")
      guard let role = template.bands.first?.roles.first, let shape = state[name]?.shape else {
        continue
      }
      parts.append(Part(role: role, name: name, shape: shape))
    }
    guard let input = parts.first(where: { $0.role == .weightIH }),
      let recurrent = parts.first(where: { $0.role == .weightHH })
    else { return nil }
    var best: Reading?
    for cell in [Cell.lstm, .gru, .rnnTanh] {
      let gates = cell.gateNames.count
      let heights = parts.filter { $0.role != .weightHR }.flatMap(\.shape).filter {
        $0 % gates == 0
      }
      let sizes = heights.map { $0 / gates } + recurrent.shape
      for hidden in Set(sizes).sorted() where (1...1 << 26).contains(hidden) {
        let projected = parts.first { $0.role == .weightHR }?.shape.first ?? hidden
        let reading = Reading(
          cell: cell, hidden: hidden, state: projected,
          distances: parts.map { $0.distance(to: $0.expected(cell, hidden, projected)) })
        if reading.isBetter(than: best) { best = reading }
      }
    }
    guard let best, let wrong = best.distances.firstIndex(where: { $0 > 0 }) else { return nil }
    // Where nothing fits anything, the names alone say too little.
    guard best.misfits < parts.count || best.distances.allSatisfy({ $0 <= 0.5 }) else { return nil }
    architecture = Architecture(
      cell: best.cell, inputSize: max(1, input.shape.last ?? 1), hiddenSize: best.hidden)
    if let gates = Self.strangeGates(parts, input, recurrent) {
      let rows = recurrent.shape[0]
      let known = [Cell.rnnTanh, .gru, .lstm].filter { rows % $0.gateNames.count == 0 }
      refusal = RecurrentError(
        .weightsUnrecognized, at: "tensor \"\(recurrent.name)\"",
        found: "shape \(recurrent.shape): \(gates) gates",
        expected: "1, 3 or 4 gates (rnn, gru, lstm): shape "
          + known.map { "\([rows, rows / $0.gateNames.count])" }.joined(separator: " or "))
      return
    }
    let part = parts[wrong]
    let others = best.misfits - 1
    let more = others > 0 ? ", and \(others) more that \(others == 1 ? "does" : "do") not fit" : ""
    let word = best.cell == .lstm ? "an lstm" : best.cell == .gru ? "a gru" : "an rnn"
    let shape =
      "shape \(part.expected(best.cell, best.hidden, best.state)), of \(word) of hidden size"
      + " \(best.hidden) as the other tensors say"
    // A cell's names are anybody's; those of numbered layers are PyTorch's alone.
    refusal =
      layout.numbersLayers
      ? RecurrentError(
        .weightsShape, at: "tensor \"\(part.name)\"",
        found: "shape \(part.shape)\(more)", expected: shape)
      : RecurrentError(
        .weightsUnrecognized, at: "tensor \"\(part.name)\"",
        found: "shape \(part.shape)\(more)", expected: shape)
  }

  /// How many gates the tensors agree on, where that is no cell of PyTorch's; `nil` where they do not agree.
  private static func strangeGates(_ parts: [Part], _ input: Part, _ recurrent: Part) -> Int? {
    guard !parts.contains(where: { $0.role == .weightHR }), input.shape.count == 2,
      recurrent.shape.count == 2, input.shape[0] == recurrent.shape[0], recurrent.shape[1] > 0,
      recurrent.shape[0] % recurrent.shape[1] == 0,
      parts.allSatisfy({
        $0.role == .weightIH || $0.role == .weightHH || $0.shape == [input.shape[0]]
      })
    else { return nil }
    let gates = recurrent.shape[0] / recurrent.shape[1]
    return [1, 3, 4].contains(gates) ? nil : gates
  }
}
