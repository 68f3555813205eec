import Containers
import Tensors

/// The values of a graph that are fixed: initializers, constants, and what rearranging them gives.
///
/// Exporters fold weights into ONNX's layout or leave the nodes that do it. The few operations that only
/// move elements are followed and computed on demand; a value of any other origin is refused with the
/// node that computes it.
final class ONNXValues {
  let graph: ONNXGraph
  private let reader: ONNXTensorReader
  private var initializers: [Name: Int] = [:]
  private let inputs: Set<Name>
  private var producers: [Name: (node: Int, output: Int)] = [:]
  private(set) var consumers: [Name: [Int]] = [:]
  private var resolved: [Name: Tensor] = [:]
  /// Bytes that rearranged values may have altogether; a few nodes could otherwise describe exabytes.
  private var allowance: Int
  private var visits = 4_000_000
  /// The values of the graph around this one, which its nodes may use.
  private let outer: ONNXValues?
  private static let depthLimit = 24
  /// Reordering an LSTM's gates in the graph takes every weight three times, in each of its branches.
  private static let allowedUses = 16

  /// Indexes a graph whose tensors have `byteCount` bytes; those of Constant nodes are added here.
  ///
  /// Throws `onnx.duplicate-value` when two nodes or tensors have one name.
  init(
    _ graph: ONNXGraph, _ reader: ONNXTensorReader, byteCount: Int, outer: ONNXValues? = nil
  ) throws {
    self.graph = graph
    self.reader = reader
    self.outer = outer
    inputs = Set(graph.inputs.map(\.name))
    var stored = byteCount
    for node in graph.nodes where node.operation == "Constant" {
      guard let record = node.attribute("value")?.tensor else { continue }
      let (sum, overflow) = stored.addingReportingOverflow(record.storedByteCount(reader))
      stored = overflow ? Int.max : sum
    }
    allowance = 0
    grant(stored)
    for (index, record) in graph.initializers.enumerated() {
      guard initializers.updateValue(index, forKey: record.name) == nil else {
        throw Self.duplicate(record.name)
      }
    }
    for (index, node) in graph.nodes.enumerated() {
      for (output, name) in node.outputs.enumerated() where !name.utf8.isEmpty {
        guard initializers[name] == nil,
          producers.updateValue((index, output), forKey: name) == nil
        else { throw Self.duplicate(name) }
      }
      for name in Set(node.inputs) where !name.utf8.isEmpty {
        consumers[name, default: []].append(index)
      }
    }
  }

  /// Adds what stored tensors allow; a branch of the computation works with the tensors of the graph around it, and pays
  /// from the same purse.
  private func grant(_ stored: Int) {
    if let outer { return outer.grant(stored) }
    let (manyfold, overflow) = stored.multipliedReportingOverflow(by: Self.allowedUses)
    let (sum, isTooMuch) = allowance.addingReportingOverflow(overflow ? Int.max : manyfold)
    allowance = isTooMuch ? Int.max : max(sum, 1 << 16)
  }

  private static func duplicate(_ name: Name) -> RecurrentError {
    RecurrentError(
      .onnxDuplicateValue, at: "value \"\(name)\"", found: "the name twice",
      expected: "every value computed or stored once")
  }

  /// The node that computes a value, and which of its outputs it is.
  func producer(of name: Name) -> (node: Int, output: Int)? { producers[name] }

  /// Whether a value is stored in the file under its own name.
  func isInitializer(_ name: Name) -> Bool { initializers[name] != nil }

  /// Whether a value is known without running the model.
  func isFixed(_ name: Name) -> Bool { (try? tensor(name)) != nil }

  /// A fixed value; throws `onnx.not-stored` naming what computes it, or what its tensor's reader
  /// throws.
  func tensor(_ name: Name) throws -> Tensor { try tensor(name, depth: 0) }

  /// A fixed value as whole numbers, of at most a thousand: axes, shapes and the like.
  func integers(_ name: Name) throws -> [Int] {
    let tensor = try tensor(name)
    guard !tensor.dtype.isFloatingPoint, tensor.elementCount <= 1000 else {
      throw Self.notStored(name, "\(tensor.dtype.rawValue) \(tensor.shape)")
    }
    return try tensor.integers()
  }

  /// The stored tensors that a fixed value is made of; none once the graph has cost too much.
  func roots(of name: Name) -> Set<Name> {
    var result: Set<Name> = []
    var waiting = [name]
    var seen: Set<Name> = [name]
    while let value = waiting.popLast() {
      visits -= 1
      guard visits > 0 else { return [] }
      if isInitializer(value) {
        result.insert(value)
      } else if let (index, _) = producer(of: value) {
        for input in graph.nodes[index].inputs where seen.insert(input).inserted {
          waiting.append(input)
        }
      } else if let outer, !inputs.contains(value) {
        result.formUnion(outer.roots(of: value))
      }
    }
    return result
  }

  /// Pays for a tensor that is used beside those that its file stores; throws `onnx.view-limit`.
  func charge(_ byteCount: Int, at place: String) throws {
    if let outer { return try outer.charge(byteCount, at: place) }
    allowance -= min(allowance, byteCount)
    guard allowance > 0 else {
      throw RecurrentError(
        .onnxViewLimit, at: place,
        found: "rearranged tensors many times the size of the file",
        expected: "every stored tensor used a few times")
    }
  }

  private func tensor(_ name: Name, depth: Int) throws -> Tensor {
    if let known = resolved[name] { return known }
    guard depth < Self.depthLimit else {
      throw Self.notStored(name, "more than \(Self.depthLimit) operations on a stored tensor")
    }
    let tensor: Tensor
    if let index = initializers[name] {
      tensor = try stored(graph.initializers[index])
    } else if let (index, output) = producers[name] {
      let node = graph.nodes[index]
      do {
        guard node.isStandard,
          let result = try rearranged(node, output: output, depth: depth + 1)
        else { throw Self.notStored(name, "the result of \(node.operation), \(node.place)") }
        tensor = result
      } catch let error as RecurrentError where error.place == nil {
        throw error.within(node.place)
      }
    } else if let outer, !inputs.contains(name) {
      tensor = try outer.tensor(name)
    } else {
      throw Self.notStored(name, "an input of the model")
    }
    resolved[name] = tensor
    return tensor
  }

  private func stored(_ record: ONNXTensorRecord) throws -> Tensor {
    guard let tensor = try reader.tensor(record) else {
      throw RecurrentError(
        .onnxDType, at: record.place, found: "element type \(record.dataType)",
        expected: "a floating-point or integer type of 8 to 64 bits")
    }
    return tensor
  }

  /// A tensor inside an attribute; `nil` where it cannot be read.
  func stored(attribute record: ONNXTensorRecord) -> Tensor? { try? stored(record) }

  static func notStored(_ name: Name, _ found: String) -> RecurrentError {
    RecurrentError(
      .onnxNotStored, at: "value \"\(name)\"", found: found,
      expected: "a tensor that the model stores",
      hint: "Export the model with constant folding, or fold it with onnxsim.")
  }

  // MARK: Operations that only move elements

  private func rearranged(_ node: ONNXNode, output: Int, depth: Int) throws -> Tensor? {
    if node.operation == "Constant" {
      return try node.attribute("value")?.tensor.map { try stored($0) } ?? Self.literal(node)
    }
    let move = ONNXRearrangement(node, output: output)
    guard move.isKnown else { return nil }
    let inputs = try node.inputs.prefix(1000).map { name in
      name.utf8.isEmpty ? nil : try tensor(name, depth: depth)
    }
    let result = try move.apply(inputs)
    if let result { try charge(result.byteCount, at: node.place) }
    return result
  }

  private static func literal(_ node: ONNXNode) throws -> Tensor? {
    func tensor(_ values: [Int], _ shape: [Int]) throws -> Tensor {
      let bytes = values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
      return try Tensor(dtype: .i64, shape: shape, bytes: bytes)
    }
    if let values = node.attribute("value_ints")?.integers {
      return try tensor(values, [values.count])
    }
    if let value = node.integer("value_int") { return try tensor([value], []) }
    if let value = node.attribute("value_float")?.float {
      return try Tensor.make([value], shape: [])
    }
    return nil
  }
}

extension ONNXTensorRecord {
  /// The bytes that the file has for the tensor, whatever its shape claims.
  fileprivate func storedByteCount(_ reader: ONNXTensorReader) -> Int {
    if isExternal { return ((try? reader.tensor(self)) ?? nil)?.byteCount ?? 0 }
    if let raw { return raw.count }
    return typed.values.joined().reduce(0) { sum, value in
      switch value {
      case .bytes(let range), .fixed32(let range), .fixed64(let range): sum + range.count
      case .varint: sum + 1
      }
    }
  }
}
