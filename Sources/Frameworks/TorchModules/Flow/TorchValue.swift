import Containers
import Tensors

/// What a name in a program stands for.
enum TorchValue {
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case text(String)
  case list([TorchValue])
  /// One of the tensors of a `TorchFlow`.
  case tensor(Int)
  /// A module of a TorchScript archive.
  case object(Int, path: String)
  /// A function, by its full name.
  case function(String)
  /// A method of a module.
  case method(Int, path: String, name: String)
  /// Whether the module is being trained, which it is not when it is used.
  case training
  /// A number, a text or a list that is not known.
  case unknown

  var int: Int? { if case .int(let value) = self { value } else { nil } }
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var tensor: Int? { if case .tensor(let index) = self { index } else { nil } }
  var isNone: Bool { if case .none = self { true } else { false } }
  var list: [TorchValue]? { if case .list(let items) = self { items } else { nil } }
  var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }
  /// Known integers, where all of them are.
  var ints: [Int]? {
    guard let list else { return nil }
    let values = list.compactMap(\.int)
    return values.count == list.count ? values : nil
  }
}

/// A tensor that a program computes.
struct TorchTensor {
  enum Origin {
    /// An argument of the program.
    case argument
    /// A tensor of the file.
    case stored(name: String, shape: [Int], isTransposed: Bool)
    case zeros
    /// A constant in the program.
    case constant
    /// A result of a module, moved at most.
    case module(Int)
    /// Anything else.
    case derived
  }

  /// Operations that lead here from a module, or from an argument where there is none.
  struct Trail {
    var module: Int?
    var operations: [String]
  }

  var origin: Origin
  /// How a module's result is laid out, where that is known.
  var layout: TorchLayout?
  /// What has moved the module's result so far, or the function behind it.
  var operations: [String] = []
  /// The function right behind a linear layer.
  var activation: String?
  /// Where a derived tensor comes from.
  var trails: [Trail] = []
  /// Tensors with one root may share their elements.
  var root = 0
  /// Whether the argument may be missing.
  var isOptional = false
  /// Of an argument, or of what a table or a linear layer makes of one: whether its first two axes are exchanged.
  var isSwapped = false
  /// Whether they were exchanged by an operation that only matrices have.
  var isMatrix = false
  /// A packed sequence: whether batch comes first in what was packed.
  var packed: Bool?
}

/// A call with its arguments.
struct TorchCall {
  /// The operation without its library and overload (`select`).
  var operation: String
  var arguments: [TorchValue]
  var named: [String: TorchValue] = [:]

  /// An argument by position or name.
  func argument(_ index: Int, _ name: String) -> TorchValue? {
    if let value = named[name] { return value }
    return arguments.indices.contains(index) ? arguments[index] : nil
  }
  var all: [TorchValue] { arguments + named.sorted { $0.key < $1.key }.map(\.value) }
}
