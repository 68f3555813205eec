import Tensors

/// A model as far as weights depend on it: its graph, and who wrote it.
package struct ONNXModel {
  package var irVersion = 0
  package var producer = ""
  package var opset = 0
  package var metadata: [(key: String, value: String)] = []
  package var graph = ONNXGraph()
  /// The graphs inside nodes and the bodies of local functions, parents before children.
  package var bodies: [ONNXBody] = []
}

/// A graph that is not the model's own: a branch, the body of a loop, or a local function.
package struct ONNXBody {
  /// What its modules are named after ("then", "body", the function's name).
  package var label = ""
  /// The body that its node stands in; `nil` for the main graph and for functions.
  package var parent: Int?
  package var isFunction = false
  package var graph = ONNXGraph()
}

/// The nodes and stored tensors of a graph.
package struct ONNXGraph {
  package var nodes: [ONNXNode] = []
  package var initializers: [ONNXTensorRecord] = []
  package var inputs: [ONNXInput] = []
  package var outputs: [Name] = []
  /// What the file says about the shapes of values between.
  package var shapes: [Name: [ONNXInput.Dimension]] = [:]
  /// What is stored but not read, one line each.
  package var skipped: [String] = []
}

/// An input of a graph.
package struct ONNXInput {
  /// One axis: a size, the name of a size, or neither.
  package enum Dimension {
    case size(Int)
    case named(Name)
    case any
  }

  package var name = Name("")
  /// The element type's number in TensorProto.DataType; 0 where the file does not say.
  package var dataType = 0
  /// The axes; `nil` where the file does not say.
  package var shape: [Dimension]?
}

/// One operation.
package struct ONNXNode {
  package var name = ""
  package var operation = ""
  package var domain = ""
  package var inputs: [Name] = []
  package var outputs: [Name] = []
  package var attributes: [ONNXAttribute] = []
  /// PyTorch's module path ("['', 'rnn', 'lstm']"), where the exporter notes it.
  package var scopes: String?
  /// The graphs inside the node, by their places in the model.
  package var bodies: [Int] = []
  /// PyTorch's classes along that path.
  package var namespace: String?

  /// Whether the operation is one of ONNX's own.
  package var isStandard: Bool { domain.isEmpty || domain == "ai.onnx" }

  /// How messages name the node.
  package var place: String { "node \"\(name.isEmpty ? outputs.first?.string ?? "" : name)\"" }

  /// The attribute with a name.
  package func attribute(_ name: String) -> ONNXAttribute? { attributes.first { $0.name == name } }

  /// An input; `nil` when it is left out.
  package func input(_ index: Int) -> Name? {
    index < inputs.count && !inputs[index].utf8.isEmpty ? inputs[index] : nil
  }

  /// An output; `nil` when it is left out.
  package func output(_ index: Int) -> Name? {
    index < outputs.count && !outputs[index].utf8.isEmpty ? outputs[index] : nil
  }

  /// An integer attribute.
  package func integer(_ name: String) -> Int? { attribute(name)?.integer }
}

/// One attribute; the fields that its type does not use are empty.
package struct ONNXAttribute {
  package var name = ""
  package var float: Float?
  package var integer: Int?
  package var string: String?
  package var integers: [Int] = []
  package var floats: [Float] = []
  package var strings: [String] = []
  package var tensor: ONNXTensorRecord?
}

/// What a file says about one tensor; nothing of its data has been read.
package struct ONNXTensorRecord {
  package var name = Name("")
  package var shape: [Int] = []
  package var dataType = 0
  /// Little-endian data in the model file.
  package var raw: Range<Int>?
  /// Data in typed fields, by field number; ranges of the model file in order.
  package var typed: [Int: [ProtobufField.Value]] = [:]
  package var isExternal = false
  package var external: [(key: String, value: String)] = []

  /// How messages name the tensor.
  package var place: String { "tensor \"\(name)\"" }
}
