import Containers
import Tensors

/// A model as far as weights depend on it: its graph, and who wrote it.
struct ONNXModel {
  var irVersion = 0
  var producer = ""
  var opset = 0
  var metadata: [(key: String, value: String)] = []
  var graph = ONNXGraph()
  /// The graphs inside nodes and the bodies of local functions, parents before children.
  var bodies: [ONNXBody] = []
}

/// A graph that is not the model's own: a branch, the body of a loop, or a local function.
struct ONNXBody {
  /// What its modules are named after ("then", "body", the function's name).
  var label = ""
  /// The body that its node stands in; `nil` for the main graph and for functions.
  var parent: Int?
  var isFunction = false
  var graph = ONNXGraph()
}

/// The nodes and stored tensors of a graph.
struct ONNXGraph {
  var nodes: [ONNXNode] = []
  var initializers: [ONNXTensorRecord] = []
  var inputs: [ONNXInput] = []
  var outputs: [Name] = []
  /// What the file says about the shapes of values between.
  var shapes: [Name: [ONNXInput.Dimension]] = [:]
  /// What is stored but not read, one line each.
  var skipped: [String] = []
}

/// An input of a graph.
struct ONNXInput {
  /// One axis: a size, the name of a size, or neither.
  enum Dimension {
    case size(Int)
    case named(Name)
    case any
  }

  var name = Name("")
  /// The element type's number in TensorProto.DataType; 0 where the file does not say.
  var dataType = 0
  /// The axes; `nil` where the file does not say.
  var shape: [Dimension]?
}

/// One operation.
struct ONNXNode {
  var name = ""
  var operation = ""
  var domain = ""
  var inputs: [Name] = []
  var outputs: [Name] = []
  var attributes: [ONNXAttribute] = []
  /// PyTorch's module path ("['', 'rnn', 'lstm']"), where the exporter notes it.
  var scopes: String?
  /// The graphs inside the node, by their places in the model.
  var bodies: [Int] = []
  /// PyTorch's classes along that path.
  var namespace: String?

  /// Whether the operation is one of ONNX's own.
  var isStandard: Bool { domain.isEmpty || domain == "ai.onnx" }

  /// How messages name the node.
  var place: String { "node \"\(name.isEmpty ? outputs.first?.string ?? "" : name)\"" }

  /// The attribute with a name.
  func attribute(_ name: String) -> ONNXAttribute? { attributes.first { $0.name == name } }

  /// An input; `nil` when it is left out.
  func input(_ index: Int) -> Name? {
    index < inputs.count && !inputs[index].utf8.isEmpty ? inputs[index] : nil
  }

  /// An output; `nil` when it is left out.
  func output(_ index: Int) -> Name? {
    index < outputs.count && !outputs[index].utf8.isEmpty ? outputs[index] : nil
  }

  /// An integer attribute.
  func integer(_ name: String) -> Int? { attribute(name)?.integer }
}

/// One attribute; the fields that its type does not use are empty.
struct ONNXAttribute {
  var name = ""
  var float: Float?
  var integer: Int?
  var string: String?
  var integers: [Int] = []
  var floats: [Float] = []
  var strings: [String] = []
  var tensor: ONNXTensorRecord?
}

/// What a file says about one tensor; nothing of its data has been read.
struct ONNXTensorRecord {
  var name = Name("")
  var shape: [Int] = []
  var dataType = 0
  /// Little-endian data in the model file.
  var raw: Range<Int>?
  /// Data in typed fields, by field number; ranges of the model file in order.
  var typed: [Int: [ProtobufField.Value]] = [:]
  var isExternal = false
  var external: [(key: String, value: String)] = []

  /// How messages name the tensor.
  var place: String { "tensor \"\(name)\"" }
}
