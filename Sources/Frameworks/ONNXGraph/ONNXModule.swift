// The metadata pair "onnx.modules" says what a model's graph says beside its tensors: a JSON array
// with one object per recurrent module, in the order of the graph. Absent members have their defaults.
//
//   "prefix"               before the names of its tensors: "rnn." for rnn.W_l0, rnn.R_l0, rnn.B_l0, …
//   "op"                   "RNN", "LSTM" or "GRU"
//   "layers"               nodes in a chain, 1
//   "bidirectional"        false
//   "bias"                 whether there are B tensors, true
//   "activation"           "relu" for an RNN without tanh, absent
//   "linear_before_reset"  of a GRU, false
//   "batch_first"          whether the model's x and output are (N, T, ·), false
//   "sequence_lens"        whether the model takes the lengths of its sequences, false
//   "head", "embedding"    before the names of the head's and the embedding's tensors, absent
//   "refusal"              why it is no recurrent module of PyTorch: {"reason", "found", "expected",
//                          "hint"}, absent
import Containers
import Tensors

// Everything here is also in `Structure`; it goes once conversion reads that.

/// A recurrent module of an ONNX graph: the chain of its nodes, with head and embedding.
///
/// A reader finds it in the graph, a writer makes the graph from it, and conventions see it as metadata.
package struct ONNXModule: Sendable, Equatable {
  /// The metadata key of a file's modules.
  package static let metadataKey = "onnx.modules"

  /// The operations that are recurrent layers.
  package enum Operation: String, Sendable {
    /// A plain layer with tanh or relu.
    case rnn = "RNN"
    /// Long short-term memory.
    case lstm = "LSTM"
    /// Gated recurrent units.
    case gru = "GRU"

    /// The number of gates, which W, R and B stack.
    package var gateCount: Int {
      switch self {
      case .rnn: 1
      case .lstm: 4
      case .gru: 3
      }
    }
  }

  /// Before the names of the tensors, dot included.
  package var prefix: String
  /// The operation of its nodes.
  package var operation: Operation
  /// The number of nodes, each of which feeds the next.
  package var layerCount = 1
  /// Whether the nodes run in both directions.
  package var bidirectional = false
  /// Whether the nodes have biases.
  package var bias = true
  /// Whether an RNN uses relu instead of tanh.
  package var relu = false
  /// Whether a GRU resets after the recurrent product, as PyTorch does.
  package var linearBeforeReset = false
  /// Whether x and output are (N, T, ·).
  package var batchFirst = false
  /// Whether the nodes take the lengths of the sequences.
  package var sequenceLengths = false
  /// Before `weight` and `bias` of the linear layer on top; `nil` without one.
  package var head: String?
  /// Before `weight` of the embedding; `nil` without one.
  package var embedding: String?
  /// Why PyTorch has no such module.
  package var refusal: RecurrentError?

  /// Describes a module of one layer with ONNX's defaults.
  package init(prefix: String, operation: Operation) {
    self.prefix = prefix
    self.operation = operation
  }

  /// The name of a tensor of a node: `rnn.W_l0`.
  package func tensorName(_ role: String, layer: Int) -> Name { Name("\(prefix)\(role)_l\(layer)") }

  /// The modules as the text of ``metadataKey``.
  package static func text(_ modules: [ONNXModule]) -> String {
    JSON.array(modules.map(\.json)).serialized()
  }

  /// Reads the text of ``metadataKey``; throws `onnx.modules` for anything that ``text(_:)`` does not write.
  package static func parse(_ text: String) throws -> [ONNXModule] {
    guard let items = try JSON.parse(Array(text.utf8)).arrayValue else { throw malformed }
    return try items.map { try ONNXModule($0) }
  }

  private static var malformed: RecurrentError {
    RecurrentError(
      .onnxModules, at: "metadata \"\(metadataKey)\"",
      found: "something else than a list of recurrent modules", expected: "what a reader writes")
  }

  private init(_ json: JSON) throws {
    guard let prefix = json["prefix"]?.stringValue,
      let operation = json["op"]?.stringValue.flatMap(Operation.init(rawValue:))
    else { throw Self.malformed }
    self.init(prefix: prefix, operation: operation)
    for member in json.objectValue ?? [] {
      func flag() throws -> Bool {
        guard let value = member.value.boolValue else { throw Self.malformed }
        return value
      }
      func name() throws -> String {
        guard let value = member.value.stringValue else { throw Self.malformed }
        return value
      }
      switch member.key {
      case "prefix", "op": break
      case "layers":
        guard let count = member.value.intValue, (1...100_000).contains(count) else {
          throw Self.malformed
        }
        layerCount = count
      case "bidirectional": bidirectional = try flag()
      case "bias": bias = try flag()
      case "activation":
        guard try name() == "relu", operation == .rnn else { throw Self.malformed }
        relu = true
      case "linear_before_reset": linearBeforeReset = try flag()
      case "batch_first": batchFirst = try flag()
      case "sequence_lens": sequenceLengths = try flag()
      case "head": head = try name()
      case "embedding": embedding = try name()
      case "refusal":
        guard let reason = member.value["reason"]?.stringValue,
          let found = member.value["found"]?.stringValue
        else { throw Self.malformed }
        refusal = RecurrentError(
          .init(reason, .inexpressible), at: member.value["place"]?.stringValue, found: found,
          expected: member.value["expected"]?.stringValue,
          hint: (member.value["hint"]?.stringValue).map { Advice($0) })
      default: throw Self.malformed
      }
    }
  }

  private var json: JSON {
    var members: [JSON.Member] = []
    func add(_ key: String, _ value: JSON?) {
      if let value { members.append(JSON.Member(key: key, value: value)) }
    }
    func flag(_ value: Bool, unless standard: Bool) -> JSON? {
      value == standard ? nil : .bool(value)
    }
    add("prefix", .string(prefix))
    add("op", .string(operation.rawValue))
    add("layers", layerCount == 1 ? nil : .number(layerCount))
    add("bidirectional", flag(bidirectional, unless: false))
    add("bias", flag(bias, unless: true))
    add("activation", relu ? .string("relu") : nil)
    add("linear_before_reset", flag(linearBeforeReset, unless: false))
    add("batch_first", flag(batchFirst, unless: false))
    add("sequence_lens", flag(sequenceLengths, unless: false))
    add("head", head.map { .string($0) })
    add("embedding", embedding.map { .string($0) })
    if let refusal {
      let texts = [
        ("reason", refusal.reason.code), ("place", refusal.place), ("found", refusal.found),
        ("expected", refusal.expected), ("hint", refusal.hint),
      ]
      add(
        "refusal",
        .object(
          texts.compactMap { key, text in
            text.map { JSON.Member(key: key, value: .string($0)) }
          }))
    }
    return .object(members)
  }
}

extension Structure {
  /// The recurrent modules as the pair ``ONNXModule/metadataKey`` has them.
  var legacyModules: [ONNXModule] {
    modules.filter { $0.kind == .recurrent }.compactMap { module in
      guard let operation = ONNXModule.Operation(rawValue: module.className) else { return nil }
      let prefix = module.name.isEmpty ? "" : module.name + "."
      var result = ONNXModule(prefix: prefix, operation: operation)
      result.layerCount = module.recurrent.layerCount ?? 1
      result.bidirectional = module.recurrent.direction == "both"
      result.bias = module.recurrent.hasBias ?? false
      result.relu = module.recurrent.cell == "rnn_relu"
      result.linearBeforeReset = module.recurrent.gruReset == "after"
      result.batchFirst = module.recurrent.batchFirst ?? false
      result.sequenceLengths = module.recurrent.takesLengths ?? false
      result.refusal = module.refusal
      if module.refusal?.reason == .onnxUnrolled { result.bias = true }
      func first(_ kind: ModuleKind, _ names: [String]) -> String? {
        names.first { self.module($0)?.kind == kind }.map { $0.isEmpty ? "" : $0 + "." }
      }
      let name = Name(module.name)
      result.head = first(
        .linear, connections.filter { Name($0.from) == name }.map(\.to))
      result.embedding = first(
        .embedding, connections.filter { Name($0.to) == name }.map(\.from))
      return result
    }
  }
}
