import Tensors

/// A rule that changes parameters by their gradients, with PyTorch's defaults and arithmetic.
///
/// An optimiser is a value: a copy continues on its own.
public protocol Optimizer<S>: Sendable {
  /// The element type of the parameters.
  associatedtype S: Scalar
  /// The learning rate, which schedules change between steps.
  var learningRate: Double { get set }
  /// What was accumulated so far: `step`, the number of steps made, and one array per parameter and
  /// buffer, named `group.parameter.buffer` with PyTorch's names of the buffers.
  var state: Parameters<S> { get }
  /// Continues from a saved state exactly; throws `engine.optimizer-state` if it is no such state.
  ///
  /// Whether the arrays fit the parameters shows at the next step, which then throws.
  mutating func restore(_ state: Parameters<S>) throws
  /// Makes one step of all groups; throws, and changes nothing, unless every parameter has a gradient of
  /// its shape and the options make sense.
  mutating func step(_ groups: inout [Parameters<S>], gradients: [Parameters<S>]) throws
}

extension Optimizer {
  /// Makes one step of a single group; throws as ``step(_:gradients:)-(_,[Parameters<S>])``.
  public mutating func step(_ parameters: inout Parameters<S>, gradients: Parameters<S>) throws {
    // Out of the caller's hands meanwhile, so that no array is copied.
    var groups = [parameters]
    parameters = Parameters()
    defer { parameters = groups[0] }
    try step(&groups, gradients: [gradients])
  }

  /// Makes one step of a model; throws, and changes nothing, as a step of its groups.
  public mutating func step(
    _ model: inout Model<S>, gradients: Model<S>.Gradients
  ) throws {
    var groups = model.parameterGroups
    try step(&groups, gradients: gradients.parameterGroups)
    try model.setParameterGroups(groups)
  }
}

/// An option of an optimiser with the numbers that PyTorch accepts.
struct OptimizerOption {
  var name: String
  var value: Double
  var allowed: String
  var isValid: Bool

  static func atLeastZero(_ name: String, _ value: Double) -> OptimizerOption {
    OptimizerOption(name: name, value: value, allowed: "at least 0", isValid: value >= 0)
  }

  static func belowOne(_ name: String, _ value: Double) -> OptimizerOption {
    OptimizerOption(
      name: name, value: value, allowed: "at least 0 and below 1", isValid: value >= 0 && value < 1)
  }

  static func check(_ options: OptimizerOption...) throws {
    guard let bad = options.first(where: { !$0.isValid }) else { return }
    throw RecurrentError(
      .engineOptimizerOption, at: bad.name, found: "Invalid \(bad.name): \(bad.value)",
      expected: bad.allowed)
  }
}
