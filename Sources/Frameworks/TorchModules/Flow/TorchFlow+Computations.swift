import Containers
import Tensors

// Calls of modules and of functions that are understood exactly.

extension TorchFlow {
  /// What a call of a module's function gives; `nil` where it is none, or not understood.
  mutating func computation(_ call: TorchCall) -> TorchValue? {
    let all = call.arguments
    switch call.operation {
    case "zeros_like", "new_zeros": return add(TorchTensor(origin: .zeros))
    case "lstm", "gru", "rnn_tanh", "rnn_relu": return recurrentCall(call)
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

  private mutating func recurrentCall(_ call: TorchCall) -> TorchValue? {
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
}
