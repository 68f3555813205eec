import Containers
import Tensors

/// What a layer of a configuration is to a network.
enum KerasRole {
  /// The model's input.
  case input
  /// Hands its input on when nothing is being trained; a plain `Dropout` has a rate.
  case transparent(rate: Double?)
  /// Nothing but a function of each step's features.
  case function(KerasFunction)
  case recurrent(KerasRecurrentLayer)
  case linear(KerasFunction)
  /// A table; where it masks zeros, what reads it skips the steps whose id is 0.
  case embedding(masksZero: Bool)
  /// An `RNN` layer whose cells are no stack.
  case cells
  case other

  /// Layers that hand their input on when nothing is being trained.
  private static let transparent: Set<String> = [
    "Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout",
    "ActivityRegularization", "Identity",
  ]

  /// What a layer is; a class that is not Keras's own is `other` whatever its name.
  init(_ layer: KerasGraph.Layer, reader: KerasRecurrentReader) {
    self = .other
    guard !layer.isCustom else { return }
    let config = layer.config
    switch layer.className {
    case "InputLayer": self = .input
    case let name where Self.transparent.contains(name):
      // Whoever asks for training's behaviour gets noise from it always.
      guard layer.call?.isTraining != true else { return }
      let isPlain = name == "Dropout" && [nil, .null].contains(config["noise_shape"])
      let rate = (config["rate"] ?? config["p"])?.doubleValue
      self = .transparent(rate: isPlain ? rate : nil)
    case "Activation":
      let function = KerasFunction(config["activation"], default: "?")
      guard function.isKnown else { return }
      self = function.name == "linear" ? .transparent(rate: 0) : .function(function)
    case "Softmax":
      guard [nil, -1].contains(config["axis"]?.intValue), config["axis"]?.arrayValue == nil else {
        return
      }
      self = .function(KerasFunction(.string("softmax"), default: ""))
    case "ReLU":
      let isPlain =
        [nil, .null].contains(config["max_value"])
        && ["negative_slope", "threshold"].allSatisfy { (config[$0]?.doubleValue ?? 0) == 0 }
      if isPlain { self = .function(KerasFunction(.string("relu"), default: "")) }
    case "Dense": self = .linear(KerasFunction(config["activation"], default: "linear"))
    case "Embedding":
      self = .embedding(masksZero: config["mask_zero"]?.boolValue == true)
    case "RNN":
      self = reader.layer(layer).map { .recurrent($0) } ?? .cells
    default:
      if let found = reader.layer(layer) { self = .recurrent(found) }
    }
  }

  var isTransparent: Bool {
    if case .transparent = self { return true }
    return false
  }

  var recurrent: KerasRecurrentLayer? {
    if case .recurrent(let layer) = self { return layer }
    return nil
  }

  /// Whether it is a module that the engine knows.
  var isModule: Bool {
    switch self {
    case .recurrent, .linear, .embedding: true
    case .input, .transparent, .function, .cells, .other: false
    }
  }
}
