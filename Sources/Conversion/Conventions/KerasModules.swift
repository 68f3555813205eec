import RNNEngine
import Tensors
import WeightFormats

/// Finds the recurrent modules of a Keras model: consecutive recurrent layers are one stack, with the
/// embedding before and the dense layer behind.
struct KerasModules {
  private let state: StateDict
  private let model: KerasModel?
  private let reader: KerasLayerReader

  /// Layers that hand their input on when nothing is being trained.
  private static let transparent: Set<String> = [
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Masking",
    "ActivityRegularization",
  ]

  init(_ state: StateDict) throws {
    self.state = state
    model = try state.metadata[KerasMetadata.config].flatMap { try KerasModel($0) }
    reader = KerasLayerReader(state: state)
  }

  func candidates() throws -> [Candidate] {
    var result: [Candidate]
    if let model, !model.layers.isEmpty {
      result = try stacks(of: model).map { candidate($0, in: model) }
    } else {
      result = try stacksByName().map(candidate)
    }
    if let note = state.metadata[KerasMetadata.note] {
      let lines = note.split(separator: "\n").map(String.init)
      for index in result.indices { result[index].remarks += lines }
    }
    return result
  }

  private func merged(_ stack: [KerasRecurrentLayer]) -> Candidate {
    var architecture = stack[0].architecture
    architecture.layerCount = stack.reduce(0) { $0 + $1.architecture.layerCount }
    var naming = Naming(recurrent: stack[0].path, layers: stack.flatMap(\.prefixes))
    naming.head = ""
    naming.embedding = ""
    var remarks: [String] = []
    for remark in stack.flatMap(\.remarks) where !remarks.contains(remark) {
      remarks.append(remark)
    }
    return Candidate(
      architecture: architecture, naming: naming, known: stack[0].known,
      refusal: stack.lazy.compactMap(\.refusal).first, remarks: remarks)
  }

  // MARK: With a configuration

  private func stacks(of model: KerasModel) throws -> [[KerasRecurrentLayer]] {
    var stacks: [[KerasRecurrentLayer]] = []
    for (position, layer) in model.layers.enumerated() {
      guard let found = try reader.layer(layer, at: position) else { continue }
      let below = source(of: position, in: model)
      if let index = stacks.firstIndex(where: { $0.last?.position == below && below != nil }),
        let last = stacks[index].last, last.continues(with: found),
        below.map({ consumers(of: $0, in: model) == 1 }) == true,
        !found.remarks.contains(where: { $0.hasPrefix("go_backwards") })
      {
        stacks[index].append(found)
      } else {
        stacks.append([found])
      }
    }
    return stacks
  }

  /// The layer whose output another one takes, seen through layers that only hand it on.
  private func source(of position: Int, in model: KerasModel) -> Int? {
    var current = position
    // Positions of inputs are always smaller in sane files; the count bounds the others.
    for _ in 0..<model.layers.count {
      guard let inputs = model.layers[current].inputs, inputs.count == 1 else { return nil }
      current = inputs[0]
      guard Self.transparent.contains(model.layers[current].className) else { return current }
    }
    return nil
  }

  private func consumers(of position: Int, in model: KerasModel) -> Int {
    model.layers.reduce(0) { $0 + ($1.inputs?.contains(position) == true ? 1 : 0) }
  }

  private func candidate(_ stack: [KerasRecurrentLayer], in model: KerasModel) -> Candidate {
    var candidate = merged(stack)
    guard let first = stack[0].position, let last = stack.last?.position else { return candidate }
    if let position = source(of: first, in: model),
      model.layers[position].className == "Embedding"
    {
      let layer = model.layers[position]
      let prefix = layer.path + "/vars/#"
      if let table = state[Convention.kerasName(prefix, 0, "embeddings")], table.shape.count == 2,
        table.shape[1] == candidate.architecture.inputSize
      {
        candidate.naming.embedding = prefix
        candidate.architecture.embedding = .init(tokenCount: table.shape[0])
      }
      if layer.config["mask_zero"]?.boolValue == true {
        candidate.remarks.append("mask_zero: steps with token 0 are skipped; pack the sequences")
      }
    }
    if masks(before: first, in: model) {
      candidate.remarks.append("Masking: masked steps are skipped; pack the sequences")
    }
    let heads = model.layers.indices.filter {
      model.layers[$0].className == "Dense" && source(of: $0, in: model) == last
    }
    if heads.count == 1 { addHead(model.layers[heads[0]], to: &candidate) }
    if stack.last?.returnsSequences == false {
      candidate.remarks.append(
        candidate.architecture.bidirectional
          ? "Keras returns one step: the last one forwards, the first one backwards"
          : "Keras returns the last step only")
    }
    return candidate
  }

  private func masks(before position: Int, in model: KerasModel) -> Bool {
    var current = position
    for _ in 0..<model.layers.count {
      guard let inputs = model.layers[current].inputs, inputs.count == 1 else { return false }
      current = inputs[0]
      if model.layers[current].className == "Masking" { return true }
      guard Self.transparent.contains(model.layers[current].className) else { return false }
    }
    return false
  }

  private func addHead(_ layer: KerasModel.Layer, to candidate: inout Candidate) {
    let activation = KerasLayerReader.name(layer.config["activation"]) ?? "linear"
    // A dense layer with another function is a hidden layer, not logits.
    guard ["linear", "softmax", "sigmoid", "log_softmax"].contains(activation) else { return }
    guard addHead(layer.path + "/vars/#", to: &candidate) else { return }
    if activation != "linear" {
      candidate.remarks.append(
        "the head's \(activation) is no weight: the network gives its logits")
    }
  }

  @discardableResult
  private func addHead(_ prefix: String, to candidate: inout Candidate) -> Bool {
    guard let kernel = state[Convention.kerasName(prefix, 0, "kernel")], kernel.shape.count == 2,
      kernel.shape[0] == candidate.architecture.outputSize
    else { return false }
    let bias = state[Convention.kerasName(prefix, 1, "bias")]
    guard bias == nil || bias?.shape == [kernel.shape[1]] else { return false }
    candidate.naming.head = prefix
    candidate.architecture.head = .init(classCount: kernel.shape[1], bias: bias != nil)
    return true
  }

  // MARK: By names and shapes

  /// The prefixes of all groups of variables, in file order, with `#` or `*` for the variable.
  private var prefixes: [String] {
    var seen: Set<String> = []
    return state.names.compactMap { name in
      var text = name.string
      let hasNumber = text.hasSuffix(":0")
      if hasNumber { text.removeLast(2) }
      guard let slash = text.lastIndex(of: "/") else { return nil }
      let word = text[text.index(after: slash)...]
      let stem = text[...slash]
      let prefix: String
      if stem.hasSuffix("/vars/"), Int(word) != nil {
        prefix = stem + "#"
      } else if ["kernel", "recurrent_kernel", "bias", "embeddings"].contains(word) {
        prefix = stem + "*" + (hasNumber ? ":0" : "")
      } else {
        return nil
      }
      return seen.insert(prefix).inserted ? prefix : nil
    }
  }

  private func stacksByName() throws -> [[KerasRecurrentLayer]] {
    let cells = prefixes.filter(isRecurrent)
    let known = Set(cells)
    var layers: [KerasRecurrentLayer] = []
    for prefix in cells {
      let (path, direction) = Self.layer(of: prefix)
      var pair = [prefix]
      if direction == 1, let forward = Self.other(prefix), known.contains(forward) { continue }
      if direction == 0, let backward = Self.other(prefix) {
        guard known.contains(backward) else { continue }
        pair.append(backward)
      }
      var layer = try KerasRecurrentLayer(
        path: path, prefixes: [pair], architecture: reader.architecture([pair]))
      if layer.architecture.cell == .gru {
        if layer.architecture.bias {
          layer.known = [.gruReset]
        } else {
          layer.remarks.append("assumed reset_after=True; pass --gru-reset before if not")
        }
      }
      layers.append(layer)
    }
    var stacks: [[KerasRecurrentLayer]] = []
    for layer in layers {
      if let last = stacks.last?.last, last.continues(with: layer),
        Self.container(last.path) == Self.container(layer.path)
      {
        stacks[stacks.count - 1].append(layer)
      } else {
        stacks.append([layer])
      }
    }
    return stacks
  }

  private func isRecurrent(_ prefix: String) -> Bool {
    guard let kernel = state[Convention.kerasName(prefix, 0, "kernel")],
      let recurrent = state[Convention.kerasName(prefix, 1, "recurrent_kernel")],
      kernel.shape.count == 2, recurrent.shape.count == 2, recurrent.shape[0] > 0
    else { return false }
    return prefix.contains("cell") || prefix.contains("*")
  }

  /// The path of the layer that a cell's variables belong to, and the direction if it says one.
  private static func layer(of prefix: String) -> (path: String, direction: Int?) {
    let parts = prefix.split(separator: "/").map(String.init)
    if let index = parts.firstIndex(where: { isDirection($0) != nil }) {
      return (parts[..<index].joined(separator: "/"), isDirection(parts[index]))
    }
    var end = parts.count - 1
    if end > 0, parts[end - 1] == "vars" { end -= 1 }
    if end > 1, parts[end - 1] == "cell" || parts[end - 1].contains("_cell") { end -= 1 }
    return (parts[..<max(1, end)].joined(separator: "/"), nil)
  }

  private static func isDirection(_ part: String) -> Int? {
    part.hasPrefix("forward_") ? 0 : part.hasPrefix("backward_") ? 1 : nil
  }

  /// The same prefix in the other direction.
  private static func other(_ prefix: String) -> String? {
    let parts = prefix.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard let index = parts.firstIndex(where: { isDirection($0) != nil }) else { return nil }
    var swapped = parts
    let isForward = isDirection(parts[index]) == 0
    let rest = parts[index].drop { $0 != "_" }
    swapped[index] = (isForward ? "backward" : "forward") + rest
    return swapped.joined(separator: "/")
  }

  private static func container(_ path: String) -> String {
    path.split(separator: "/").dropLast().joined(separator: "/")
  }

  private func candidate(_ stack: [KerasRecurrentLayer]) -> Candidate {
    var candidate = merged(stack)
    if candidate.architecture.layerCount > 1 {
      let paths = stack.map(\.path).joined(separator: ", ")
      candidate.remarks.append("assumed that \(paths) stand on each other: the file has no model")
    }
    if candidate.architecture.cell.gateNames.count > 1 {
      candidate.remarks.append(
        "assumed Keras's standard activations and merge mode: the file has no model")
    }
    let own = Set(candidate.naming.layers.joined())
    let others = prefixes.filter { !own.contains($0) && !isRecurrent($0) }
    let tables = others.filter { prefix in
      let shape = state[Convention.kerasName(prefix, 0, "embeddings")]?.shape
      return shape?.count == 2 && shape?[1] == candidate.architecture.inputSize
        && state[Convention.kerasName(prefix, 1, "bias")] == nil && prefix.contains("embed")
    }
    if tables.count == 1,
      let table = state[Convention.kerasName(tables[0], 0, "embeddings")]
    {
      candidate.naming.embedding = tables[0]
      candidate.architecture.embedding = .init(tokenCount: table.shape[0])
    }
    let heads = others.filter { prefix in
      var trial = candidate
      return !tables.contains(prefix) && addHead(prefix, to: &trial)
    }
    if heads.count == 1 {
      var trial = candidate
      addHead(heads[0], to: &trial)
      // A dense layer that feeds another one is hidden, and its function is not known.
      let feeds = others.contains { prefix in
        let kernel = state[Convention.kerasName(prefix, 0, "kernel")]
        return prefix != heads[0] && !tables.contains(prefix) && kernel?.shape.count == 2
          && kernel?.shape[0] == trial.architecture.head?.classCount
      }
      if !feeds { candidate = trial }
    }
    return candidate
  }
}
