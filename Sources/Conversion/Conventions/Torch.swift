import RNNEngine
import Tensors
import WeightFormats

// PyTorch state dicts (torch.nn.RNN, "Variables"):
//   {prefix}weight_ih_l{k}{_reverse}  (gates × H, inputs of layer k)
//   {prefix}weight_hh_l{k}{_reverse}  (gates × H, H or P)
//   {prefix}bias_ih_l{k}{_reverse}    (gates × H)
//   {prefix}bias_hh_l{k}{_reverse}    (gates × H)
//   {prefix}weight_hr_l{k}{_reverse}  (P, H), LSTMs with a projection only
//   {embedding}weight                 (V, D)
//   {head}weight                      (C, directions × H or P)
//   {head}bias                        (C)
extension Convention {
  /// The state dict of PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU`, with an optional `nn.Embedding`
  /// before and an optional `nn.Linear` head after it.
  public static let torch = Convention(
    name: "torch", summary: "PyTorch state dict (weight_ih_l0, …)",
    candidates: { state in
      let facts = try moduleFacts(in: state.metadata)
      return TorchKey.prefixes(in: state).compactMap { prefix in
        candidate(prefix, state).map { adding(facts, to: $0) }
      }
    },
    table: { architecture, naming in
      var tensors: [StoredTensor] = []
      if architecture.embedding != nil {
        tensors.append(
          .matrix("\(naming.embedding)weight", .embedding, .weight, in: architecture))
      }
      for layer in 0..<architecture.layerCount {
        for direction in 0..<architecture.directionCount {
          let part = Slot.Part.recurrent(layer: layer, direction: direction)
          func key(_ role: Slot.Role) -> Name {
            Name(
              "\(naming.recurrent)\(role.rawValue)_l\(layer)\(direction == 1 ? "_reverse" : "")")
          }
          for role in [Slot.Role.weightIH, .weightHH] {
            tensors.append(.matrix(key(role), part, role, in: architecture))
          }
          if architecture.bias {
            for role in [Slot.Role.biasIH, .biasHH] {
              tensors.append(.vector(key(role), part, [role], in: architecture))
            }
          }
          if architecture.projSize > 0 {
            tensors.append(.matrix(key(.weightHR), part, .weightHR, in: architecture))
          }
        }
      }
      if let head = architecture.head {
        tensors.append(.matrix("\(naming.head)weight", .head, .weight, in: architecture))
        if head.bias {
          tensors.append(.vector("\(naming.head)bias", .head, [.bias], in: architecture))
        }
      }
      return tensors
    })

  /// What a file of whole modules says of each beyond its tensors.
  ///
  /// The reader of PyTorch files keeps it in metadata; see ``PyTorchFile``.
  private static func moduleFacts(in metadata: Metadata) throws -> [JSON] {
    let key = RecurrentFacts.metadataKey
    guard let text = metadata[key] else { return [] }
    guard let facts = try? JSON.parse(Array(text.utf8)).arrayValue else {
      throw RecurrentError(
        .malformed, "metadata.torch.modules", at: "metadata \"\(key)\"", found: "\"\(text)\"",
        expected: "a JSON array of modules")
    }
    return facts
  }

  private static func adding(_ facts: [JSON], to candidate: Candidate) -> Candidate {
    func fact(_ prefix: String) -> JSON? { facts.first { $0["prefix"]?.stringValue == prefix } }
    var candidate = candidate
    if let own = fact(candidate.naming.recurrent) {
      if let cell = own["mode"]?.stringValue.flatMap({ RecurrentFacts.cells[$0] })
        .flatMap({ Cell(rawValue: $0) }),
        cell.gateNames.count == candidate.architecture.cell.gateNames.count
      {
        candidate.architecture.cell = cell
        candidate.known.insert(.cell)
      }
      if let batchFirst = own["batch_first"]?.boolValue {
        candidate.architecture.batchFirst = batchFirst
        candidate.known.insert(.batchFirst)
      }
    }
    if let table = candidate.architecture.embedding,
      let index = fact(candidate.naming.embedding)?["padding_idx"]?.intValue,
      (0..<table.tokenCount).contains(index)
    {
      candidate.architecture.embedding?.paddingIndex = index
    }
    return candidate
  }

  private static func candidate(_ prefix: String, _ state: StateDict) -> Candidate? {
    guard let input = state["\(prefix)weight_ih_l0"], let hidden = state["\(prefix)weight_hh_l0"],
      input.shape.count == 2, hidden.shape.count == 2, hidden.shape[1] > 0,
      input.shape[0] == hidden.shape[0]
    else { return nil }
    // With a projection the columns of weight_hh are P, and weight_hr (P, H) knows H.
    let projection = state["\(prefix)weight_hr_l0"].map(\.shape)
    guard projection == nil || projection?.count == 2 else { return nil }
    let size = projection?[1] ?? hidden.shape[1]
    guard size > 0, hidden.shape[0] % size == 0 else { return nil }
    let gates = hidden.shape[0] / size
    guard let cell = Cell.allCases.first(where: { $0.gateNames.count == gates }) else { return nil }
    let keys = state.names.compactMap { TorchKey($0) }.filter { $0.prefix == prefix }
    var architecture = Architecture(
      cell: cell, inputSize: input.shape[1], hiddenSize: size,
      layerCount: (keys.map(\.layer).max() ?? 0) + 1,
      bidirectional: keys.contains { $0.reverse },
      bias: keys.contains { $0.role == .biasIH || $0.role == .biasHH },
      projSize: projection?[0] ?? 0)
    // A file that names layer 10 without layer 9 must not make us build a table of 2^60 layers.
    guard architecture.layerCount <= state.count else { return nil }
    var naming = Naming(recurrent: prefix)
    let embedding = embeddingPrefix(in: state, features: architecture.inputSize)
    if let embedding {
      naming.embedding = embedding
      architecture.embedding = .init(
        tokenCount: state["\(embedding)weight"]?.shape.first ?? 0)
    }
    if let head = headPrefix(
      in: state, features: architecture.outputSize, except: embedding)
    {
      naming.head = head
      architecture.head = .init(
        classCount: state["\(head)weight"]?.shape.first ?? 0, bias: state["\(head)bias"] != nil)
    }
    return Candidate(architecture: architecture, naming: naming)
  }

  /// The prefixes of weights (n, features) that are no recurrent key, with a fitting bias or none.
  private static func matrixPrefixes(in state: StateDict, features: Int) -> [String] {
    state.entries.compactMap { entry -> String? in
      let name = entry.name.string
      guard TorchKey(entry.name) == nil, name == "weight" || name.hasSuffix(".weight"),
        entry.tensor.shape.count == 2, entry.tensor.shape[1] == features
      else { return nil }
      let prefix = String(name.dropLast("weight".count))
      guard let bias = state["\(prefix)bias"] else { return prefix }
      return bias.shape == [entry.tensor.shape[0]] ? prefix : nil
    }
  }

  private static func named(_ prefixes: [String], _ customary: [String]) -> [String] {
    prefixes.filter { prefix in
      customary.contains { prefix == $0 + "." || prefix.hasSuffix("." + $0 + ".") }
    }
  }

  /// The prefix of the only linear layer that fits on top, or of the one with a customary name.
  private static func headPrefix(
    in state: StateDict, features: Int, except embedding: String?
  ) -> String? {
    let prefixes = matrixPrefixes(in: state, features: features).filter { $0 != embedding }
    if prefixes.count == 1 { return prefixes[0] }
    let customary = named(
      prefixes, ["classifier", "head", "fc", "linear", "decoder", "output", "out", "proj"])
    return customary.count == 1 ? customary[0] : nil
  }

  /// The prefix of the only fitting table with a customary name; shapes alone would be a guess.
  private static func embeddingPrefix(in state: StateDict, features: Int) -> String? {
    let prefixes = matrixPrefixes(in: state, features: features).filter {
      state["\($0)bias"] == nil
    }
    let customary = named(
      prefixes,
      [
        "embedding", "embeddings", "embed", "emb", "word_embedding", "word_embeddings",
        "token_embedding", "embed_tokens", "char_embedding", "wte", "encoder",
      ])
    return customary.count == 1 ? customary[0] : nil
  }
}

/// A key of a recurrent module, taken apart.
struct TorchKey {
  let prefix: String
  let role: Slot.Role
  let layer: Int
  let reverse: Bool

  /// Parses `{prefix}{role}_l{k}{_reverse}`; `nil` for any other name.
  init?(_ name: Name) {
    var text = name.string[...]
    reverse = text.hasSuffix("_reverse")
    if reverse { text = text.dropLast("_reverse".count) }
    let component = text.lastIndex(of: ".").map { text.index(after: $0) } ?? text.startIndex
    prefix = String(text[..<component])
    let base = text[component...]
    guard
      let role = [Slot.Role.weightIH, .weightHH, .biasIH, .biasHH, .weightHR].first(where: {
        base.hasPrefix($0.rawValue + "_l")
      }), let layer = Int(base.dropFirst(role.rawValue.count + 2)), layer >= 0,
      "\(role.rawValue)_l\(layer)" == base
    else { return nil }
    self.role = role
    self.layer = layer
  }

  /// The prefixes of all recurrent modules, in file order.
  static func prefixes(in state: StateDict) -> [String] {
    var seen: [String] = []
    for name in state.names {
      if let key = TorchKey(name), !seen.contains(key.prefix) { seen.append(key.prefix) }
    }
    return seen
  }
}
