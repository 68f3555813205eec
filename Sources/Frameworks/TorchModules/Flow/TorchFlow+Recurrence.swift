import Containers
import Tensors

extension TorchFlow {
  /// The names of a recurrent module's tensors in PyTorch's order.
  private static func parameterNames(
    layers: Int, directions: Int, hasBias: Bool, hasProjection: Bool
  ) -> [String] {
    var names: [String] = []
    for layer in 0..<layers {
      for direction in 0..<directions {
        let end = "_l\(layer)" + (direction == 1 ? "_reverse" : "")
        names += ["weight_ih" + end, "weight_hh" + end]
        if hasBias { names += ["bias_ih" + end, "bias_hh" + end] }
        if hasProjection { names.append("weight_hr" + end) }
      }
    }
    return names
  }

  /// The name of the module whose tensors these are, in order; `nil` if they are not one module's.
  func owner(of parameters: [TorchValue], _ names: [String]) -> String? {
    guard parameters.count == names.count, let first = parameters.first,
      let name = storedName(first)
    else { return nil }
    let prefix = name.lastIndex(of: ".").map { name[...$0] } ?? ""
    for (parameter, own) in zip(parameters, names) {
      // Layers or directions may share their weights, of which the program names one only.
      guard let stored = storedName(parameter),
        stored == prefix + own || isTied(stored, prefix + own)
      else { return nil }
    }
    return String(prefix.dropLast())
  }

  func storedName(_ value: TorchValue, isTransposed: Bool = false) -> String? {
    guard let index = value.tensor,
      case .stored(let name, _, let transposed) = tensors[index].origin, transposed == isTransposed
    else { return nil }
    return name
  }

  /// A call of a recurrent function: the words of PyTorch, and where its tensors are.
  struct Recurrence {
    var cell: String
    var input: TorchValue
    var initial: TorchValue
    var parameters: [TorchValue]
    var hasBias: Bool
    var layers: Int
    var dropout: Double
    var isTraining: Bool
    var isBidirectional: Bool
    var batchFirst: Bool
    /// The batch sizes of packed rows.
    var isPacked = false
  }

  /// `torch.lstm` and its like.
  mutating func recurrence(_ call: Recurrence) -> TorchValue {
    let directions = call.isBidirectional ? 2 : 1
    let hasProjection =
      call.cell == "lstm"
      && call.parameters.count
        == call.layers.multipliedReportingOverflow(by: directions * (call.hasBias ? 5 : 3))
        .partialValue
    guard (1...1024).contains(call.layers),
      let name = owner(
        of: call.parameters,
        Self.parameterNames(
          layers: call.layers, directions: directions, hasBias: call.hasBias,
          hasProjection: hasProjection))
    else {
      return spread(
        derived(
          call.cell + " with weights that are computed",
          from: [
            call.input, call.initial, .list(call.parameters),
          ]), call.cell)
    }
    return recurrent(name, className: call.cell.uppercased(), call, isRankKnown: true)
  }

  private func spread(_ value: TorchValue, _ cell: String) -> TorchValue {
    .list(cell == "lstm" ? [value, value, value] : [value, value])
  }

  /// A recurrent module by name; the results are output, h_n and, of an LSTM, c_n.
  ///
  /// `isRankKnown` says that the input has three axes for certain; a module's own code also takes two.
  mutating func recurrent(
    _ name: String, className: String, _ call: Recurrence, isRankKnown: Bool = false
  ) -> TorchValue {
    let place = module(
      name, .recurrent, className: className.hasPrefix("RNN_") ? "RNN" : className)
    let directions = call.isBidirectional ? 2 : 1
    describe(place, call)
    let order: [TorchAxis] = call.batchFirst ? [.batch, .time] : [.time, .batch]
    let isSwapped = exchangesAxes(call.input, isRankKnown)
    if recurrents[place] != nil, isSwapped != swapped.contains(place) {
      obstruct(place, .before, ["calls with time and batch in different orders"])
    }
    if isSwapped {
      swapped.insert(place)
      modules[place].recurrent.batchFirst = !call.batchFirst
    }
    // The model's own order of axes, in which its results are to lie.
    let model: [TorchAxis] = isSwapped ? order.reversed() : order
    if call.isTraining, call.dropout > 0, call.layers > 1 {
      obstruct(place, .behind, ["dropout between the layers, in training mode,"], isBranch: true)
    }
    read(call.input, by: place, order: order)
    begin(place, call)
    recurrents[place] = RecurrentCall(layers: call.layers, batchFirst: call.batchFirst)
    if let veil {
      obstruct(place, .before, [veil])
      obstruct(place, .behind, [veil])
    }
    let hidden = modules[place].recurrent.hiddenSize
    let size = modules[place].recurrent.projSize ?? hidden
    let states = (0..<call.layers).flatMap { layer in
      (0..<directions).map { TorchState(layer: layer, direction: $0) }
    }
    let parts = (0..<directions).map {
      TorchPart(content: .output, layer: call.layers - 1, direction: $0, size: size)
    }
    let output = TorchLayout(
      axes: order + [.feature], parts: parts, canonical: model + [.feature], whole: parts,
      directions: directions)
    func stateLayout(_ content: TorchPart.Content, _ size: Int?) -> TorchLayout {
      let axes: [TorchAxis] = [.states(states), .batch, .feature]
      return TorchLayout(
        axes: axes, parts: [], canonical: axes, whole: [], stateContent: content, stateSize: size,
        directions: directions)
    }
    var results = [
      add(
        TorchTensor(
          origin: .module(place), layout: output, packed: call.isPacked ? call.batchFirst : nil)),
      add(TorchTensor(origin: .module(place), layout: stateLayout(.hidden, size))),
    ]
    if call.cell == "lstm" {
      results.append(add(TorchTensor(origin: .module(place), layout: stateLayout(.cell, hidden))))
    }
    return .list(results.map { veiled($0) })
  }

  /// Whether a module reads time and batch the other way round than the model has them.
  private func exchangesAxes(_ input: TorchValue, _ isRankKnown: Bool) -> Bool {
    guard let index = input.tensor else { return false }
    let tensor = tensors[index]
    guard case .module(let source) = tensor.origin else {
      return tensor.isSwapped && isRankKnown && !tensor.isMatrix
    }
    if recurrents[source] != nil || tensor.layout != nil { return swapped.contains(source) }
    let isTable = modules[source].kind == .embedding
    return tensor.isSwapped && (isTable || (isRankKnown && !tensor.isMatrix))
  }

  mutating func describe(_ place: Int, _ call: Recurrence) {
    let name = modules[place].name
    let prefix = name.isEmpty ? "" : name + "."
    var facts = modules[place].recurrent
    facts.cell = call.cell
    facts.layerCount = call.layers
    facts.hasBias = call.hasBias
    facts.dropout = call.dropout
    facts.direction = call.isBidirectional ? "both" : "forward"
    facts.batchFirst = call.batchFirst
    if call.isPacked { facts.takesLengths = true }
    if let input = shape(prefix + "weight_ih_l0"), input.count == 2 {
      let gates = ["lstm": 4, "gru": 3][call.cell] ?? 1
      facts.inputSize = input[1]
      if input[0] % gates == 0 { facts.hiddenSize = input[0] / gates }
    }
    if let projection = shape(prefix + "weight_hr_l0"), projection.count == 2 {
      facts.projSize = projection[0]
    }
    modules[place].recurrent = facts
  }

  /// Connects a module with what it reads.
  mutating func read(_ value: TorchValue, by place: Int, order: [TorchAxis]?) {
    guard let index = value.tensor else {
      return obstruct(place, .before, ["a value that is not followed"])
    }
    let tensor = tensors[index]
    let isExchanged = tensor.isSwapped && order != nil && !swapped.contains(place)
    let exchange = isExchanged ? "an exchange of two axes" : nil
    guard case .module(let source) = tensor.origin else {
      return block(index, before: place, reason: exchange)
    }
    guard source != place else { return block(index, before: place, reason: "its own result") }
    guard tensor.packed == nil else { return block(index, before: place, reason: "packed rows") }
    guard tensor.activation == nil else { return block(index, before: place) }
    if let exchange { return block(index, before: place, reason: exchange) }
    guard let layout = tensor.layout else {
      return tensor.operations.isEmpty
        ? connect(source, place, .sequence) : block(index, before: place)
    }
    let reads = recurrents[source].flatMap { layout.reads(layers: $0.layers)?.reads }
    if let order {
      // A sequence: it must lie as the module that reads it expects.
      guard layout.parts == layout.whole, layout.axes == order + [.feature],
        reads == .sequence || recurrents[source] == nil
      else {
        return block(
          index, before: place,
          reason: tensor.operations.isEmpty ? "axes in another order" : nil)
      }
      return connect(source, place, .sequence)
    }
    // A product runs over the last axis, whatever it is.
    guard layout.axes.last == .feature else { return block(index, before: place) }
    if recurrents[source] == nil { return connect(source, place, .sequence) }
    guard let reads else {
      return block(
        index, before: place,
        reason: tensor.operations.isEmpty ? "states that are not the last layer's alone" : nil)
    }
    connect(source, place, reads)
  }

  /// Where the states come from.
  private mutating func begin(_ place: Int, _ call: Recurrence) {
    let isLSTM = call.cell == "lstm"
    var state = initialState(place, call, isLSTM)
    if let known = modules[place].recurrent.initialState, known != state {
      state = .computed("calls that begin with different states")
    }
    modules[place].recurrent.initialState = state
  }

  private mutating func initialState(_ place: Int, _ call: Recurrence, _ isLSTM: Bool)
    -> Structure.InitialState
  {
    if call.initial.isNone { return .zeros }
    var values = call.initial.list ?? [call.initial]
    // One argument that is a pair.
    if isLSTM, values.count == 1 { values += values }
    let indices = values.compactMap(\.tensor)
    guard indices.count == values.count, indices.count == (isLSTM ? 2 : 1) else {
      return .computed("a value that is not followed")
    }
    let origins = indices.map { tensors[$0].origin }
    if origins.allSatisfy({ if case .zeros = $0 { true } else { false } }) { return .zeros }
    if origins.allSatisfy({ if case .argument = $0 { true } else { false } }) {
      return indices.contains { tensors[$0].isSwapped }
        ? .computed("an exchange of two axes of an input") : .fed
    }
    var names: [Name?] = []
    for (position, origin) in origins.enumerated() {
      if case .zeros = origin {
        names.append(nil)
        continue
      }
      guard case .stored(let name, let shape, false) = origin,
        fits(shape, modules[place].recurrent, isCell: position == 1)
      else { continue }
      names.append(Name(name))
    }
    if names.count == origins.count {
      return .stored(h: names[0], c: names.count > 1 ? names[1] : nil)
    }
    for index in indices {
      for trail in trails(of: index) {
        if let source = trail.module, source != place {
          obstruct(
            source, .behind, trail.operations + ["the initial state of \(modules[place].name)"])
        }
      }
    }
    return .computed(description(of: indices))
  }

  private func fits(_ shape: [Int], _ facts: Structure.Recurrent, isCell: Bool) -> Bool {
    let count = (facts.layerCount ?? 0) * (facts.direction == "both" ? 2 : 1)
    let size = isCell ? facts.hiddenSize : facts.projSize ?? facts.hiddenSize
    return shape.count == 3 && shape[0] == count && shape[1] >= 1 && shape[2] == size
  }

  private func description(of indices: [Int]) -> String {
    for index in indices {
      switch tensors[index].origin {
      case .stored(let name, _, _): return "\(name), in another shape"
      case .constant: return "a constant of the program"
      case .module(let module):
        return (["a result of \(modules[module].name)"] + tensors[index].operations)
          .joined(separator: ", ")
      case .derived:
        let trail = tensors[index].trails.first
        let start = trail?.module.map { ["a result of \(modules[$0].name)"] } ?? []
        return (start + (trail?.operations ?? [])).joined(separator: ", ")
      case .argument, .zeros: continue
      }
    }
    return "an operation"
  }
}
