import RNNEngine
import Tensors

/// The parameters of a textbook network: one layer, one direction, one bias, NumPy arrays.
struct TextbookNames {
  var convention: String
  var input: Name
  var recurrent: Name
  var bias: Name
  /// The output layer, where the document has one.
  var head: (weight: Name, bias: Name)?
  /// Row-vector code (x W) stores the transposes of PyTorch's matrices.
  var rowVectors: Bool
  /// Whether biases are (1, n) arrays.
  var biasAsRow: Bool

  /// The candidate that the arrays' shapes suggest.
  func candidate(in state: StateDict) -> [Candidate] {
    guard let input = state[input], let recurrent = state[recurrent], input.shape.count == 2,
      recurrent.shape.count == 2, recurrent.shape[0] == recurrent.shape[1],
      // MLX has the same names: its GRU Wx, Wh and b, its RNN without biases Wxh and Whh.
      state["bhn"] == nil, state["bias"] == nil,
      state[bias] != nil || self.recurrent != "Whh"
    else { return [] }
    let hidden = recurrent.shape[0]
    var architecture = Architecture(
      inputSize: input.shape[rowVectors ? 0 : 1], hiddenSize: hidden)
    if let head, let weight = state[head.weight], weight.shape.count == 2 {
      architecture.head = .init(
        classCount: weight.shape[rowVectors ? 1 : 0], bias: true)
    }
    return [Candidate(architecture: architecture, naming: Naming(recurrent: "", head: ""))]
  }

  /// The stored tensors of an architecture.
  func table(_ architecture: Architecture) throws -> [StoredTensor] {
    guard architecture.layerCount == 1, !architecture.bidirectional else {
      throw Convention.inexpressible(
        convention, architecture.bidirectional ? "two directions" : "stacked layers",
        hint: "Keep the network in the torch convention; the document has one layer.")
    }
    guard architecture.cell == .rnnTanh || architecture.cell == .rnnRelu else {
      throw Convention.inexpressible(
        convention, "cell \(architecture.cell.rawValue)",
        hint: "The document describes a simple recurrent network only.")
    }
    guard architecture.bias, architecture.head?.bias ?? true else {
      throw Convention.inexpressible(
        convention, "layers without biases",
        hint: "The document's classes always have biases; keep the torch convention.")
    }
    guard architecture.embedding == nil else {
      throw Convention.inexpressible(
        convention, "an embedding",
        hint: "The document multiplies one-hot vectors; keep the torch convention.")
    }
    let part = Slot.Part.recurrent(layer: 0, direction: 0)
    var tensors: [StoredTensor] = [
      .matrix(input, part, .weightIH, in: architecture, transposed: rowVectors),
      .matrix(recurrent, part, .weightHH, in: architecture, transposed: rowVectors),
      .vector(bias, part, [.biasIH, .biasHH], in: architecture, asRow: biasAsRow),
    ]
    if architecture.head != nil {
      guard let head else {
        throw Convention.inexpressible(
          convention, "a linear head",
          hint: "The document's class has no output layer; use textbook-d1 or torch.")
      }
      tensors.append(
        .matrix(head.weight, .head, .weight, in: architecture, transposed: rowVectors))
      tensors.append(.vector(head.bias, .head, [.bias], in: architecture, asRow: biasAsRow))
    }
    return tensors
  }
}

extension Convention {
  /// Makes a convention of a document's names.
  init(textbook names: TextbookNames, summary: String) {
    self.init(
      name: names.convention, summary: summary, candidates: { names.candidate(in: $0) },
      table: { architecture, _ in try names.table(architecture) })
  }
}
