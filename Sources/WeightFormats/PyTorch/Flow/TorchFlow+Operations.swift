import Tensors

extension TorchFlow {
  /// Operations that give the same numbers in the same places.
  private static let identities: Set<String> = [
    "contiguous", "clone", "detach", "detach_", "alias", "lift_fresh", "lift_fresh_copy", "cpu",
    "cuda", "requires_grad_", "prim.data",
  ]
  /// Operations that give no data at all, or numbers about shapes.
  private static let shapeOnly: Set<String> = [
    "size", "sym_size", "dim", "len", "numel", "sym_numel", "is_contiguous", "prim.dtype",
    "prim.device", "prim.shape", "_assert_tensor_metadata", "warn", "format", "is_floating_point",
    "prim.layout", "prim.requires_grad", "prim.is_cuda", "get_device", "__is__", "__isnot__",
  ]
  /// Operations whose result is no view of their argument.
  private static let pure: Set<String> = [
    "add", "sub", "mul", "div", "relu", "tanh", "sigmoid", "softmax", "log_softmax", "layer_norm",
    "cat", "stack", "matmul", "bmm", "linear", "sum", "mean", "max", "where", "gelu", "embedding",
    "batch_norm", "conv1d", "flip", "neg", "exp", "index_select", "gather", "pow", "rsub",
    "dropout",
  ]
  private static let activations: Set<String> = [
    "softmax", "log_softmax", "sigmoid", "tanh", "relu",
  ]

  /// What one call of the program gives.
  mutating func apply(_ call: TorchCall) -> TorchValue {
    var call = call
    if veil != nil {
      call.arguments = call.arguments.map { veiled($0) }
      call.named = call.named.mapValues { veiled($0) }
    }
    if let value = constant(call) { return value }
    if Self.shapeOnly.contains(call.operation) { return .unknown }
    let all = call.all
    if tensorIndices(in: all).isEmpty { return creation(call) }
    let name = call.operation
    if name.hasSuffix("_"), !name.hasSuffix("__"), !Self.identities.contains(name) {
      return changing(call)
    }
    if let site, site.className == "RNNCell", let place = places[site.path],
      name == "tanh" || name == "relu"
    {
      modules[place].recurrent.cell = "rnn_" + name
    }
    if let value = computation(call) { return value }
    if let value = movement(call) { return value }
    let root = Self.pure.contains(name) ? nil : all.lazy.compactMap(\.tensor).first
    return derived(name, from: all, sharing: root.map { tensors[$0].root })
  }

  /// Comparisons of what is known before the program runs.
  private func constant(_ call: TorchCall) -> TorchValue? {
    guard call.arguments.count == 2 || call.operation == "__not__", let first = call.arguments.first
    else { return nil }
    if call.operation == "__not__" { return first.bool.map { .bool(!$0) } }
    let second = call.arguments[1]
    switch call.operation {
    case "__is__", "__isnot__":
      guard second.isNone else { return nil }
      let isNone: Bool
      switch first {
      case .none: isNone = true
      case .tensor(let index):
        if tensors[index].isOptional { return nil }
        if case .derived = tensors[index].origin, veil != nil { return nil }
        isNone = false
      case .list, .bool, .int: isNone = false
      default: return nil
      }
      return .bool(isNone == (call.operation == "__is__"))
    case "eq", "ne", "lt", "gt", "le", "ge":
      guard let a = first.int, let b = second.int else { return nil }
      switch call.operation {
      case "eq": return .bool(a == b)
      case "ne": return .bool(a != b)
      case "lt": return .bool(a < b)
      case "gt": return .bool(a > b)
      case "le": return .bool(a <= b)
      default: return .bool(a >= b)
      }
    default: return nil
    }
  }

  /// Calls that need no tensor.
  private mutating func creation(_ call: TorchCall) -> TorchValue {
    switch call.operation {
    case "zeros": return add(TorchTensor(origin: .zeros))
    case "ones", "rand", "randn", "full", "tensor", "arange", "empty", "randint":
      return add(TorchTensor(origin: .constant))
    default: return .unknown
    }
  }

  /// An operation that changes its first argument.
  private mutating func changing(_ call: TorchCall) -> TorchValue {
    var plain = call
    plain.operation = String(call.operation.dropLast())
    guard let index = call.arguments.first?.tensor else {
      for index in tensorIndices(in: call.arguments) { change(index, by: call.operation) }
      return derived(call.operation, from: call.all)
    }
    let root = tensors[index].root
    let aliases = (families[root]?.count ?? 0) > 1
    let result = apply(plain)
    guard let new = result.tensor, !aliases else {
      change(index, by: call.operation)
      return .tensor(index)
    }
    // Nobody else sees it: from here on the tensor is the result.
    tensors[index] = tensors[new]
    tensors[index].root = root
    return .tensor(index)
  }

  // MARK: Modules and functions

  private mutating func computation(_ call: TorchCall) -> TorchValue? {
    let all = call.arguments
    switch call.operation {
    case "zeros_like", "new_zeros": return add(TorchTensor(origin: .zeros))
    case "lstm", "gru", "rnn_tanh", "rnn_relu": return recurrence(call)
    case "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell":
      guard all.count >= 4 else { return nil }
      let hasBias = all.count >= 6 && !all[4].isNone
      let names = ["weight_ih", "weight_hh"] + (hasBias ? ["bias_ih", "bias_hh"] : [])
      return step(
        String(call.operation.dropLast("_cell".count)),
        owner(of: Array(all[2..<(hasBias ? 6 : 4)]), names), input: all[0], state: all[1])
    case "linear":
      guard all.count >= 2 else { return nil }
      if let value = product(of: all[0], weight: storedName(all[1])) { return value }
      return linear(all[0], weight: storedName(all[1]), bias: call.argument(2, "bias"))
    case "addmm":
      guard all.count == 3, scale(call, "beta"), scale(call, "alpha") else { return nil }
      return linear(all[1], weight: storedName(all[2], isTransposed: true), bias: all[0])
    case "matmul", "mm":
      guard all.count == 2 else { return nil }
      return linear(all[0], weight: storedName(all[1], isTransposed: true), bias: nil)
    case "embedding":
      guard all.count >= 2 else { return nil }
      return embedding(all[0], all[1], padding: call.argument(2, "padding_idx"))
    case "_weight_norm", "_weight_norm_interface":
      return normalized(call)
    case "_pack_padded_sequence": return packing(call)
    case "_pad_packed_sequence": return padding(call)
    case let name where Self.activations.contains(name): return activation(call)
    default: return nil
    }
  }

  /// The products in a cell whose step is spelt out.
  private mutating func product(of input: TorchValue, weight: String?) -> TorchValue? {
    guard let site, let weight, ["LSTMCell", "GRUCell", "RNNCell"].contains(site.className) else {
      return nil
    }
    let prefix = site.path.isEmpty ? "" : site.path + "."
    let cell = ["LSTMCell": "lstm", "GRUCell": "gru"][site.className]
    switch weight {
    case prefix + "weight_ih":
      let value = step(cell, site.path, input: input, state: .none)
      return value.list?.first ?? value
    case prefix + "weight_hh":
      let value = step(cell, site.path, input: .none, state: input)
      return value.list?.first ?? value
    default: return nil
    }
  }

  private func scale(_ call: TorchCall, _ name: String) -> Bool {
    call.named[name].map { $0.number == 1 } ?? true
  }

  private mutating func recurrence(_ call: TorchCall) -> TorchValue? {
    var all = call.arguments
    var isPacked = false
    // Of packed rows: data, batch sizes, states, parameters, and no batch_first.
    if all.count == 9, all[1].tensor != nil, all[3].list != nil {
      guard let data = all[0].tensor, let first = tensors[data].packed,
        case .list(let items)? = packs[data], let sizes = items.first?.tensor,
        sizes == all[1].tensor
      else { return nil }
      all[0] = items[1]
      all.remove(at: 1)
      all.append(.bool(first))
      isPacked = true
    }
    guard all.count == 9, let parameters = all[2].list, let hasBias = all[3].bool,
      let layers = all[4].int, let dropout = all[5].number, let isTraining = all[6].bool,
      let isBidirectional = all[7].bool, let batchFirst = all[8].bool
    else { return nil }
    let result = recurrence(
      Recurrence(
        cell: call.operation, input: all[0], initial: all[1], parameters: parameters,
        hasBias: hasBias, layers: layers, dropout: dropout, isTraining: isTraining,
        isBidirectional: isBidirectional, batchFirst: batchFirst, isPacked: isPacked))
    return result
  }

  /// `_pack_padded_sequence(x, lengths, batch_first)` gives data and batch sizes.
  private mutating func packing(_ call: TorchCall) -> TorchValue? {
    guard call.arguments.count == 3, let batchFirst = call.arguments[2].bool,
      let lengths = call.arguments[1].tensor, isLengths(lengths)
    else { return nil }
    let data = derived("pack_padded_sequence", from: [call.arguments[0]])
    guard let index = data.tensor else { return nil }
    tensors[index].packed = batchFirst
    let sizes = add(TorchTensor(origin: .constant))
    packs[index] = .list([sizes, call.arguments[0]])
    return .list([data, sizes])
  }

  /// Whether a tensor is an argument of the program, on another device or as other integers at most.
  func isLengths(_ index: Int) -> Bool {
    switch tensors[index].origin {
    case .argument: true
    case .derived:
      tensors[index].trails.count == 1 && tensors[index].trails[0].module == nil
        && tensors[index].trails[0].operations.allSatisfy { $0 == "to" }
        && !tensors[index].trails[0].operations.isEmpty
    default: false
    }
  }

  /// `_pad_packed_sequence(data, batch_sizes, batch_first, 0, total_length)` gives rows and lengths.
  private mutating func padding(_ call: TorchCall) -> TorchValue? {
    guard call.arguments.count >= 4, let batchFirst = call.arguments[2].bool,
      call.arguments[3].number == 0, let data = call.arguments[0].tensor
    else { return nil }
    let rows = unpacked(data, batchFirst: batchFirst)
    return rows.map { .list([$0, .unknown]) }
  }

  /// A recurrent module's packed output as rows of one length.
  mutating func unpacked(_ index: Int, batchFirst: Bool) -> TorchValue? {
    guard tensors[index].packed != nil, case .module = tensors[index].origin,
      var layout = tensors[index].layout
    else { return nil }
    var tensor = tensors[index]
    tensor.packed = nil
    layout.axes = (batchFirst ? [.batch, .time] : [.time, .batch]) + [.feature]
    layout.isPadded = true
    if !layout.isCanonical { tensor.operations = ["pad_packed_sequence in another order"] }
    tensor.layout = layout
    return add(tensor)
  }

  /// The weight that `g · v / |v|` stands for, which reading folds under that name.
  private mutating func normalized(_ call: TorchCall) -> TorchValue? {
    guard call.arguments.count >= 2, let direction = storedName(call.arguments[0]),
      let length = storedName(call.arguments[1]), let size = shape(direction)
    else { return nil }
    let name: String
    if direction.hasSuffix("_v"), length == direction.dropLast(2) + "_g" {
      name = String(direction.dropLast(2))
    } else {
      var parts = direction.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard parts.count >= 3, parts.removeLast() == "original1",
        parts[parts.count - 2] == "parametrizations",
        length == parts.joined(separator: ".") + ".original0"
      else { return nil }
      parts.remove(at: parts.count - 2)
      name = parts.joined(separator: ".")
    }
    return add(TorchTensor(origin: .stored(name: name, shape: size, isTransposed: false)))
  }

  /// A function of every element, or over the features, right behind a linear layer.
  private mutating func activation(_ call: TorchCall) -> TorchValue? {
    guard let index = call.arguments.first?.tensor,
      case .module(let module) = tensors[index].origin,
      modules[module].kind == .linear, tensors[index].activation == nil
    else { return nil }
    var tensor = tensors[index]
    if call.operation.hasSuffix("softmax") {
      guard let axis = call.argument(1, "dim")?.int,
        call.arguments.count < 3 || call.arguments[2].isNone
          || call.arguments[2].bool == false
      else { return nil }
      let isLast = tensor.layout.map { layout in
        layout.axis(axis).map { layout.axes[$0] == .feature } ?? false
      }
      guard isLast ?? (axis == -1) else { return nil }
    }
    guard tensor.layout != nil || tensor.operations.isEmpty else { return nil }
    tensor.activation = call.operation
    tensor.operations.append(call.operation)
    return add(tensor)
  }

  // MARK: Movements

  private mutating func movement(_ call: TorchCall) -> TorchValue? {
    let all = call.arguments
    let name = call.operation
    if name == "cat" || name == "concat" || name == "concatenate" { return joined(call) }
    guard let index = all.first?.tensor else { return nil }
    if Self.identities.contains(name) {
      return add(tensors[index], root: name == "clone" ? nil : tensors[index].root)
    }
    if name.hasSuffix("dropout") {
      switch call.argument(2, "train") {
      case .bool(false)?, .training?: return all[0]
      default: return call.argument(1, "p")?.number == 0 ? all[0] : nil
      }
    }
    if name == "native_dropout" { return nil }
    switch tensors[index].origin {
    case .stored: return storedMovement(call, index)
    case .zeros:
      return ["expand", "repeat", "to", "unsqueeze", "view", "reshape"].contains(name)
        ? all[0] : nil
    case .module:
      guard let layout = tensors[index].layout, tensors[index].packed == nil else { return nil }
      return moduleMovement(call, index, layout)
    default: return nil
    }
  }

  private mutating func storedMovement(_ call: TorchCall, _ index: Int) -> TorchValue? {
    guard case .stored(let name, let shape, let isTransposed) = tensors[index].origin else {
      return nil
    }
    let all = call.arguments
    switch call.operation {
    case "t", "transpose", "permute":
      let isSwap =
        switch call.operation {
        case "t": true
        case "transpose":
          all.count == 3
            && Set([all[1].int, all[2].int].map { $0.map { ($0 + 2) % 2 } }) == [0, 1]
        default: all.count == 2 && all[1].ints == [1, 0]
        }
      guard shape.count == 2, isSwap else { return nil }
      return add(
        TorchTensor(origin: .stored(name: name, shape: shape, isTransposed: !isTransposed)),
        root: tensors[index].root)
    case "expand", "repeat":
      // One row for every row of the batch; the recurrent function checks the rest.
      guard !isTransposed, shape.count == 3, shape[1] == 1, all.count >= 2, let sizes = all[1].list,
        sizes.count == 3
      else { return nil }
      let kept =
        call.operation == "repeat" ? [[1], [], [1]] : [[-1, shape[0]], [], [-1, shape[2]]]
      for axis in [0, 2] {
        guard let size = sizes[axis].int, kept[axis].contains(size) else { return nil }
      }
      return .tensor(index)
    default: return nil
    }
  }

  private mutating func joined(_ call: TorchCall) -> TorchValue? {
    guard let items = call.arguments.first?.list, let first = items.first?.tensor,
      case .module(let module) = tensors[first].origin, items.count <= 1024
    else { return nil }
    let axis = call.argument(1, "dim") ?? .int(0)
    var layouts: [TorchLayout] = []
    for item in items {
      guard let index = item.tensor, case .module(let other) = tensors[index].origin,
        other == module, let layout = tensors[index].layout, tensors[index].packed == nil
      else { return nil }
      layouts.append(layout)
    }
    guard let dim = axis.int, let layout = TorchLayout.joined(layouts, dim) else { return nil }
    return add(moved(first, layout, call.operation))
  }

  private func moved(_ index: Int, _ layout: TorchLayout, _ operation: String) -> TorchTensor {
    var tensor = tensors[index]
    tensor.layout = layout
    if tensor.operations.count < 12 { tensor.operations.append(operation) }
    return tensor
  }

  private mutating func moduleMovement(_ call: TorchCall, _ index: Int, _ layout: TorchLayout)
    -> TorchValue?
  {
    let all = call.arguments
    let name = call.operation
    if let count = pieces(call, layout) {
      guard let dim = axisOfPieces(call), let found = layout.split(into: count, along: dim) else {
        return nil
      }
      var results: [TorchValue] = []
      for piece in found {
        let isGone = name == "unbind"
        guard let layout = isGone ? piece.axis(dim).flatMap({ piece.selecting($0, 0) }) : piece
        else {
          return nil
        }
        results.append(add(moved(index, layout, name), root: tensors[index].root))
      }
      return .list(results)
    }
    guard let result = moving(call, layout) else { return nil }
    if result == layout { return all[0] }
    return add(moved(index, result, name), root: tensors[index].root)
  }

  private func axisOfPieces(_ call: TorchCall) -> Int? {
    let value = call.argument(call.operation == "unbind" ? 1 : 2, "dim")
    return value == nil ? 0 : value?.int
  }

  /// Into how many equal pieces an operation cuts.
  private func pieces(_ call: TorchCall, _ layout: TorchLayout) -> Int? {
    guard let dim = axisOfPieces(call), let place = layout.axis(dim) else { return nil }
    let total: Int
    switch layout.axes[place] {
    case .feature: total = layout.parts.reduce(0) { $0 + ($1.size ?? 0) }
    case .states(let states): total = states.count
    default: return nil
    }
    switch call.operation {
    case "chunk": return call.argument(1, "chunks")?.int
    case "split", "split_with_sizes":
      if let sizes = call.argument(1, "split_sizes")?.ints {
        return Set(sizes).count == 1 ? sizes.count : nil
      }
      guard let size = call.argument(1, "split_size")?.int, size > 0, total % size == 0 else {
        return nil
      }
      return total / size
    case "unbind":
      if case .states = layout.axes[place] { return total }
      return nil
    default: return nil
    }
  }

  private func moving(_ call: TorchCall, _ layout: TorchLayout) -> TorchLayout? {
    let all = call.arguments
    func int(_ index: Int, _ name: String, _ fallback: Int? = nil) -> Int? {
      guard let value = call.argument(index, name) else { return fallback }
      return value.int
    }
    switch call.operation {
    case "select":
      guard let dim = int(1, "dim"), let place = layout.axis(dim), let at = int(2, "index") else {
        return nil
      }
      return layout.selecting(place, at)
    case "slice":
      guard let dim = int(1, "dim", 0), let place = layout.axis(dim), int(4, "step", 1) == 1 else {
        return nil
      }
      let bounds = [call.argument(2, "start") ?? .none, call.argument(3, "end") ?? .none]
      guard bounds.allSatisfy({ $0.isNone || $0.int != nil }) else { return nil }
      return layout.slicing(place, bounds[0].int, bounds[1].int)
    case "transpose", "swapaxes", "swapdims":
      guard let a = int(1, "dim0"), let b = int(2, "dim1") else { return nil }
      return layout.transposed(a, b)
    case "t": return layout.axes.count == 2 ? layout.transposed(0, 1) : nil
    case "permute":
      return all.count == 2 ? all[1].ints.flatMap { layout.permuted($0) } : nil
    case "squeeze":
      guard all.count == 2 else { return nil }
      if let dims = all[1].ints {
        return dims.count == 1 ? layout.squeezed(dims[0]) : nil
      }
      return all[1].int.flatMap { layout.squeezed($0) }
    case "unsqueeze": return int(1, "dim").flatMap { layout.unsqueezed($0) }
    case "flatten":
      guard int(2, "end_dim", -1) == -1 else { return nil }
      return int(1, "start_dim", 0).flatMap { layout.flattened(from: $0) }
    case "view", "reshape":
      guard all.count == 2, let sizes = all[1].list, sizes.count <= 8 else { return nil }
      return layout.reshaped(sizes.map(\.int))
    default: return nil
    }
  }
}
