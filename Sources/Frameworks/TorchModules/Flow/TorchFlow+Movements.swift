import Containers
import Tensors

// Operations that move, select or join what is known, and compute nothing.

extension TorchFlow {
  /// What a movement gives; `nil` where the call is none, or not understood.
  mutating func movement(_ call: TorchCall) -> TorchValue? {
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
    case .argument: return swapped(call, index)
    case .module(let place):
      guard tensors[index].packed == nil else { return nil }
      if let layout = tensors[index].layout { return moduleMovement(call, index, layout) }
      return recurrents[place] == nil && tensors[index].operations.isEmpty
        ? swapped(call, index) : nil
    default: return nil
    }
  }

  /// A value whose first two axes are exchanged, which a model does whose input lies the other way round than its modules
  /// take it.
  private mutating func swapped(_ call: TorchCall, _ index: Int) -> TorchValue? {
    let all = call.arguments
    switch call.operation {
    case "transpose", "swapaxes", "swapdims":
      guard all.count == 3, Set([all[1].int, all[2].int]) == [0, 1] else { return nil }
    case "permute":
      guard all.count == 2, [[1, 0], [1, 0, 2]].contains(all[1].ints) else { return nil }
    case "t": break
    default: return nil
    }
    var tensor = tensors[index]
    tensor.isSwapped.toggle()
    tensor.isMatrix = tensor.isMatrix || call.operation == "t"
    return add(tensor, root: tensor.root)
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
