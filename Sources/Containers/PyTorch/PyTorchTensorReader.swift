import Bytes
import Tensors

/// Turns the tensor nodes of a pickle into tensors over the storages of the file.
package struct PyTorchTensorReader {
  /// Which elements of which storage a tensor shows: equal for tied weights.
  package struct View: Hashable {
    package let key: [UInt8]
    package let dtype: DType
    package let offset: Int
    package let shape: [Int]
    package let strides: [Int]
  }

  package let graph: PickleGraph
  package var storages: PyTorchStorages
  /// How many bytes all tensors together may show; views can repeat elements without end.
  package let expansionLimit: Int
  private var expanded = 0

  package init(graph: PickleGraph, storages: PyTorchStorages, expansionLimit: Int) {
    self.graph = graph
    self.storages = storages
    self.expansionLimit = expansionLimit
  }

  /// The call that rebuilds a tensor, without the wrappers around it; `nil` if this is no tensor.
  package func tensorCall(_ value: PickleValue) -> (name: String, arguments: [PickleValue])? {
    var value = value
    for _ in 0..<8 {
      guard let call = graph.call(value) else { return nil }
      switch call.name {
      case "torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state",
        "torch.nn.parameter Parameter", "torch.autograd.variable Variable":
        guard let inner = call.arguments.first else { return nil }
        value = inner
      case "torch._tensor _rebuild_from_type_v2":
        guard call.arguments.count >= 3, case .global(let name) = call.arguments[0],
          let arguments = graph.tuple(call.arguments[2])
        else { return nil }
        return (name, arguments)
      default:
        return Self.isTensor(call.name) ? call : nil
      }
    }
    return nil
  }

  private static func isTensor(_ name: String) -> Bool {
    name.hasPrefix("torch._utils _rebuild_") || name.hasPrefix("torch._tensor _rebuild_")
  }

  /// Builds the tensor that a call describes.
  package mutating func tensor(_ call: (name: String, arguments: [PickleValue])) throws -> (
    Tensor, View
  ) {
    let parts = call.arguments
    let hasType: Bool
    switch call.name {
    case "torch._utils _rebuild_tensor" where parts.count == 4: hasType = false
    case "torch._utils _rebuild_tensor_v2" where parts.count == 6 || parts.count == 7:
      hasType = false
    case "torch._utils _rebuild_tensor_v3" where parts.count == 7 || parts.count == 8:
      hasType = true
    case "torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2",
      "torch._utils _rebuild_tensor_v3":
      throw RecurrentError(
        .ptTensor, found: "\(parts.count) arguments for \(call.name)",
        expected: "storage, offset, size, stride and more")
    default:
      throw RecurrentError(
        .ptTensorKind, found: "a tensor made by \(call.name)",
        expected: "a plain dense tensor",
        hint: "In Python, make it dense and real and save the state_dict again.")
    }
    try checkNotLazy(parts.dropFirst(hasType ? 7 : 6).first)
    let reference = try PyTorchStorages.reference(parts[0], in: graph)
    let declared = hasType ? try dtype(parts[6]) : nil
    guard let dtype = declared ?? reference.dtype else {
      throw RecurrentError(
        .ptTensor, found: "untyped bytes", expected: "an element type")
    }
    guard case .int(let first) = parts[1], let shape = integers(parts[2]),
      let strides = integers(parts[3]), shape.count == strides.count, first >= 0,
      shape.count <= 64, let offset = Self.sum(first, reference.start)
    else {
      throw RecurrentError(
        .ptTensor, found: "no valid offset, size and stride",
        expected: "non-negative integers, one stride per axis, at most 64 axes")
    }
    let view = View(
      key: reference.key, dtype: dtype, offset: offset, shape: shape, strides: strides)
    return (try Tensor(dtype: dtype, shape: shape, source: bytes(of: view, reference)), view)
  }

  private mutating func bytes(of view: View, _ reference: PyTorchStorages.Reference) throws
    -> any ByteSource
  {
    let width = view.dtype.byteCount
    let storage = try storages.source(of: reference)
    let strided = try StridedSource(
      storage, elementSize: width, shape: view.shape, strides: view.strides, offset: view.offset)
    let (total, overflow) = expanded.addingReportingOverflow(strided.count)
    guard !overflow, total <= expansionLimit else {
      throw RecurrentError(
        .ptExpansion,
        found: "views that repeat their elements to \(strided.count) bytes",
        expected: "at most \(expansionLimit) bytes in all")
    }
    expanded = total
    if strided.count == 0 { return MemorySource([]) }
    var elements = storage
    if storages.isBigEndian && width > 1 {
      guard storage.count % width == 0 else {
        throw RecurrentError(
          .ptStorageSize, found: "\(storage.count) bytes",
          expected: "a multiple of \(width)")
      }
      elements = ByteSwappedSource(storage, elementSize: width)
    }
    if Self.isContiguous(shape: view.shape, strides: view.strides) {
      return try WindowSource(elements, offset: view.offset * width, count: strided.count)
    }
    return try StridedSource(
      elements, elementSize: width, shape: view.shape, strides: view.strides, offset: view.offset)
  }

  private static func sum(_ one: Int, _ other: Int) -> Int? {
    let (sum, overflow) = one.addingReportingOverflow(other)
    return overflow ? nil : sum
  }

  /// Whether the elements of a view follow one another in its storage.
  package static func isContiguous(shape: [Int], strides: [Int]) -> Bool {
    var step = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      guard stride == step else { return false }
      step *= size
    }
    return true
  }

  /// Conjugation and negation may be pending; the bytes are then not the numbers.
  private func checkNotLazy(_ metadata: PickleValue?) throws {
    guard let metadata else { return }
    for key in ["conj", "neg"] {
      if case .bool(true)? = graph.value(key, in: metadata) {
        throw RecurrentError(
          .ptLazy, found: "a tensor with a pending \(key)",
          expected: "plain values",
          hint: "In Python, call resolve_conj().resolve_neg() before saving.")
      }
    }
  }

  private func dtype(_ value: PickleValue) throws -> DType {
    if case .global(let name) = value {
      for dtype in DType.allCases where name == "torch \(PyTorchStorages.typeName(of: dtype))" {
        return dtype
      }
      throw RecurrentError(
        .ptDTypeUnsupported, found: "elements of type \(name)",
        expected: "real numbers, integers or booleans")
    }
    throw RecurrentError(.ptDType, found: "no type", expected: "torch.NAME")
  }

  private func integers(_ value: PickleValue) -> [Int]? {
    var items = graph.tuple(value)
    if let call = graph.call(value), call.name == "torch Size", let inner = call.arguments.first {
      items = graph.tuple(inner)
    }
    guard let items else { return nil }
    let result = items.compactMap {
      if case .int(let value) = $0, value >= 0 { value } else { nil }
    }
    return result.count == items.count ? result : nil
  }
}
