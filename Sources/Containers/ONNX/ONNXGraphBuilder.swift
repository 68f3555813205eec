import Tensors

/// The nodes of a graph under construction, as messages.
package struct ONNXGraphBuilder {
  /// NodeProto messages in the order of computation.
  package private(set) var nodes: [ProtobufMessage] = []
  /// The names of all values that nodes compute.
  package private(set) var values: Set<Name> = []

  /// Creates an empty graph.
  package init() {}

  /// An attribute of a node.
  package enum Attribute {
    case integer(Int)
    case integers([Int])
    case string(String)
    case strings([String])
  }

  /// Adds a node `/scope/Operation_n` and returns its outputs, which are named after it unless given.
  @discardableResult
  package mutating func add(
    _ operation: String, in scope: String, number: Int? = nil, _ inputs: [String],
    outputs: [String]? = nil, outputCount: Int = 1,
    _ attributes: KeyValuePairs<String, Attribute> = [:]
  ) -> [String] {
    var name = "\(scope)/\(operation)"
    if let number, number > 0 { name += "_\(number)" }
    let outputs = outputs ?? (0..<outputCount).map { "\(name)_output_\($0)" }
    var node = ProtobufMessage()
    for input in inputs { node.append(1, input) }
    for output in outputs {
      node.append(2, output)
      values.insert(Name(output))
    }
    node.append(3, name)
    node.append(4, operation)
    for (key, value) in attributes { node.append(5, Self.attribute(key, value)) }
    nodes.append(node)
    return outputs
  }

  /// Adds whole numbers as a Constant and returns its output.
  package mutating func constant(_ numbers: [Int], in scope: String, _ name: String) -> String {
    constant(numbers, shape: [numbers.count], "\(scope)/\(name)")
  }

  /// Adds one whole number without an axis.
  package mutating func constant(_ number: Int, in scope: String, _ name: String) -> String {
    constant([number], shape: [], "\(scope)/\(name)")
  }

  private mutating func constant(_ numbers: [Int], shape: [Int], _ output: String) -> String {
    var tensor = ProtobufMessage()
    for size in shape { tensor.append(1, size) }
    tensor.append(2, DType.i64.onnxNumber)
    tensor.append(
      9, bytes: numbers.flatMap { withUnsafeBytes(of: Int64($0).littleEndian) { Array($0) } })
    var attribute = ProtobufMessage()
    attribute.append(1, "value")
    attribute.append(5, tensor)
    attribute.append(20, 4)
    var node = ProtobufMessage()
    node.append(2, output)
    node.append(3, output)
    node.append(4, "Constant")
    node.append(5, attribute)
    nodes.append(node)
    values.insert(Name(output))
    return output
  }

  private static func attribute(_ name: String, _ value: Attribute) -> ProtobufMessage {
    var message = ProtobufMessage()
    message.append(1, name)
    switch value {
    case .integer(let number):
      message.append(3, number)
      message.append(20, 2)
    case .integers(let numbers):
      for number in numbers { message.append(8, number) }
      message.append(20, 7)
    case .string(let text):
      message.append(4, text)
      message.append(20, 3)
    case .strings(let texts):
      for text in texts { message.append(9, text) }
      message.append(20, 8)
    }
    return message
  }

  /// A ValueInfoProto; a dimension is a size or a name for any size.
  package static func value(_ name: String, _ dtype: DType, _ shape: [Dimension]) -> ProtobufMessage
  {
    var dimensions = ProtobufMessage()
    for dimension in shape {
      var message = ProtobufMessage()
      switch dimension {
      case .size(let size): message.append(1, size)
      case .any(let name): message.append(2, name)
      }
      dimensions.append(1, message)
    }
    var tensor = ProtobufMessage()
    tensor.append(1, dtype.onnxNumber)
    tensor.append(2, dimensions)
    var type = ProtobufMessage()
    type.append(1, tensor)
    var value = ProtobufMessage()
    value.append(1, name)
    value.append(2, type)
    return value
  }

  /// A dimension of a graph's input or output.
  package enum Dimension {
    case size(Int)
    case any(String)
  }
}
