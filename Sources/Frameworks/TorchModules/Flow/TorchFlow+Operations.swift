import Containers
import Tensors

extension TorchFlow {
  /// Operations that give the same numbers in the same places.
  static let identities: Set<String> = [
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
  static let activations: Set<String> = [
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
}
