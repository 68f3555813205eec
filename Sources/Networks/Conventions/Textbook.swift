import RNNEngine
import Tensors

// The documents' own NumPy arrays: one layer, one direction, one bias, names without a module.
//   D0 (training and BPTT): h = a Wahᵀ + x Wxhᵀ + bh, a = tanh(h), o = a Waoᵀ + bo
//     Wxh (H, D), Wah (H, H), bh (H), Wao (C, H), bo (C)
//   D1 (vanilla RNN): h = tanh(x Wxh + h Whh + bh), y = h Why + by
//     Wxh (D, H), Whh (H, H), Why (H, C), bh (1, H), by (1, C)
//   D3 and D4 (TimeRNN): h = tanh(h Wh + x Wx + b)
//     Wx (D, H), Wh (H, H), b (H)
extension Convention {
  /// The names and shapes of document D0: column form, one bias.
  package static let textbookD0 = textbook(
    "textbook-d0", "document D0 (Wxh, Wah, bh, Wao, bo)", input: "Wxh", recurrent: "Wah",
    bias: "bh", head: ("Wao", "bo"), .rows, bias: .rows)
  /// The names and shapes of document D1: row vectors, one bias.
  package static let textbookD1 = textbook(
    "textbook-d1", "document D1 (Wxh, Whh, Why, bh, by; row vectors)", input: "Wxh",
    recurrent: "Whh", bias: "bh", head: ("Why", "by"), .columns, bias: .singleRow)
  /// The names and shapes of documents D3 and D4: row vectors, one bias, no output layer.
  package static let textbookD3 = textbook(
    "textbook-d3", "documents D3 and D4 (Wx, Wh, b; row vectors)", input: "Wx", recurrent: "Wh",
    bias: "b", head: nil, .columns, bias: .rows)

  private static func textbook(
    _ name: String, _ summary: String, input: String, recurrent: String, bias: String,
    head: (String, String)?, _ matrices: TensorTemplate.Arrangement,
    bias vectors: TensorTemplate.Arrangement
  ) -> Convention {
    var layouts = [
      ModuleLayout(
        kind: .recurrent, cells: [.rnnTanh, .rnnRelu],
        tensors: [
          TensorTemplate(input, [.init([.weightIH])], matrices),
          TensorTemplate(recurrent, [.init([.weightHH])], matrices),
          TensorTemplate(bias, [.init([.biasIH, .biasHH])], vectors),
        ])
    ]
    if let head {
      layouts.append(
        ModuleLayout(
          kind: .linear,
          tensors: [
            TensorTemplate(head.0, [.init([.weight])], matrices),
            TensorTemplate(head.1, [.init([.bias])], vectors),
          ]))
    }
    var convention = Convention(name: name, summary: summary, layouts: layouts)
    convention.statesHead = true
    // MLX has the same names for a network without biases.
    convention.refine = { candidate, state in
      candidate.isRejected =
        candidate.kind == .recurrent && recurrent == "Whh"
        && (state[Name(bias)] == nil || state["bias"] != nil)
    }
    convention.refuse = { architecture in
      try refuse(architecture, name, hasHead: head != nil)
    }
    return convention
  }

  private static func refuse(
    _ architecture: Architecture, _ convention: String, hasHead: Bool
  ) throws {
    func inexpressible(_ what: String, _ hint: Advice) -> RecurrentError {
      Self.inexpressible(convention, what, hint: hint)
    }
    guard architecture.layerCount <= 1, !architecture.bidirectional else {
      throw inexpressible(
        architecture.bidirectional ? "two directions" : "stacked layers",
        "Keep the network in the torch convention; the document has one layer.")
    }
    guard architecture.cell.gateNames.count == 1 else {
      throw inexpressible(
        "cell \(architecture.cell.rawValue)",
        "The document describes a simple recurrent network only.")
    }
    guard architecture.bias, architecture.head?.bias ?? true else {
      throw inexpressible(
        "layers without biases",
        "The document's classes always have biases; keep the torch convention.")
    }
    guard architecture.embedding == nil else {
      throw inexpressible(
        "an embedding", "The document multiplies one-hot vectors; keep the torch convention.")
    }
    guard architecture.head == nil || hasHead else {
      throw inexpressible(
        "a linear head", "The document's class has no output layer; use textbook-d1 or torch.")
    }
  }
}
