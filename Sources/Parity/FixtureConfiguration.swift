import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// The `config` tensor of a fixture: what network it holds, which loss, and how close is equal.
package struct FixtureConfiguration: Sendable {
  /// The fixture's name, if it gives one.
  package var name: String?
  /// Where its numbers come from, for example `torch 2.13.0`.
  package var source: String?
  /// The names and layout of the weights.
  package var convention: Convention?
  /// The cell; required.
  package var cell: Cell
  /// Where a GRU applies its reset gate.
  package var gruReset = GRUReset.after
  /// Whether x and output are (N,T,·).
  package var batchFirst = false
  /// Whether a linear head follows; `nil` to recognise one.
  package var head: Bool?
  /// Which of the recurrent results the head reads.
  package var headReads: HeadReads?
  /// The names of the modules among the weights, where they are not to be found out.
  package var modules = ModuleNames()

  /// The names of a fixture's modules.
  package struct ModuleNames: Sendable, Equatable {
    /// The recurrent module.
    package var recurrent: String?
    /// The embedding before it.
    package var embedding: String?
    /// The linear layer behind it.
    package var head: String?
  }
  /// The token id whose vector is not trained, of an embedding; negative counts from the end.
  package var paddingIndex: Int?
  /// The probability of dropout between layers.
  package var dropout = 0.0
  /// Whether dropout is on.
  package var isTraining = false
  /// What `torch.manual_seed` got before the forward pass, and again before the first update.
  package var seed: Int?
  /// What the classes are called, for drawings; may be empty.
  package var classNames: [String] = []
  /// The loss whose gradients are expected.
  package var loss: LossKind?
  /// Gradient clipping before each update.
  package var clip: Clip?
  /// The optimiser of `trained/…` and `losses`.
  package var optimizer: FixtureOptimizer?
  /// Tolerances that replace those of the element type.
  package var forwardTolerance: Tolerance?
  /// Tolerance of gradients, relative to the largest magnitude of each tensor.
  package var gradientTolerance: Tolerance?
  /// Tolerance of `losses`, where it is not that of outputs.
  package var lossTolerance: Tolerance?

  /// The loss of a fixture.
  package enum LossKind: Sendable {
    /// sum(output · grad_output) + sum(h_n · grad_h_n).
    case vectorJacobianProduct
    /// A loss of logits or outputs against targets.
    case loss(Loss)
  }

  /// Gradient clipping.
  package enum Clip: Sendable {
    /// Every element to [−max, max].
    case value(Double)
    /// All gradients together to a norm of at most max.
    case norm(Double)
  }

  /// Reads the JSON of a `config` tensor; throws `fixture.config` naming the key.
  package init(_ json: JSON) throws {
    guard case .object(let members) = json else {
      throw Self.error("config", "\(json)", "a JSON object")
    }
    guard json["schema"]?.intValue == 1 else {
      throw Self.error(
        "schema", json["schema"]?.serialized() ?? "no such key",
        "\"schema\": 1, the only version there is")
    }
    guard let cellName = json["cell"]?.stringValue else {
      throw Self.error("cell", json["cell"]?.serialized() ?? "no such key", "a cell")
    }
    guard let cell = Cell(rawValue: cellName) else {
      throw RecurrentError(
        .fixtureCell, at: "config key \"cell\"", found: "\"\(cellName)\"",
        expected: Cell.allCases.map(\.rawValue).joined(separator: " or "))
    }
    self.cell = cell
    for member in members {
      switch member.key {
      case "name": name = try Self.text(member)
      case "source": source = try Self.text(member)
      case "convention":
        do {
          convention = try Convention.named(Self.text(member))
        } catch let error as RecurrentError {
          throw Self.error("convention", error.found, error.expected ?? "a convention")
        }
      case "gru_reset":
        guard let reset = GRUReset(rawValue: try Self.text(member)) else {
          throw Self.error("gru_reset", member.value.serialized(), "after or before")
        }
        gruReset = reset
      case "batch_first": batchFirst = try Self.flag(member)
      case "head":
        switch try Self.text(member) {
        case "linear": head = true
        case "none": head = false
        case let other: throw Self.error("head", "\"\(other)\"", "linear or none")
        }
      case "head_reads":
        guard let reads = HeadReads(rawValue: try Self.text(member)) else {
          throw Self.error("head_reads", member.value.serialized(), "sequence, last or final")
        }
        headReads = reads
      case "modules": modules = try Self.moduleNames(member.value)
      case "padding_idx": paddingIndex = try Self.integer(member)
      case "dropout": dropout = try Self.number("dropout", member.value)
      case "training": isTraining = try Self.flag(member)
      case "seed": seed = try Self.integer(member)
      case "class_names": classNames = try Self.texts(member)
      case "loss": loss = try Self.loss(member.value)
      case "clip": clip = try Self.clip(member.value)
      case "optimizer": optimizer = try FixtureOptimizer(member.value)
      case "tolerance": try readTolerance(member.value)
      // Other keys are the maker's notes (versions, say).
      default: break
      }
    }
    guard !isTraining || dropout == 0 || seed != nil else {
      throw Self.error(
        "seed", "no such key", "the seed of the dropout masks, because training is true")
    }
  }

  private static func moduleNames(_ json: JSON) throws -> ModuleNames {
    guard case .object(let members) = json else {
      throw error("modules", json.serialized(), "an object")
    }
    var names = ModuleNames()
    for member in members {
      let name = try text(member)
      switch member.key {
      case "recurrent": names.recurrent = name
      case "embedding": names.embedding = name
      case "head": names.head = name
      default: throw error("modules.\(member.key)", "an unknown key", "recurrent, embedding, head")
      }
    }
    return names
  }

  static func error(_ key: String, _ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(
      .fixtureConfig, at: "config key \"\(key)\"", found: found, expected: expected)
  }

  private static func text(_ member: JSON.Member) throws -> String {
    guard let text = member.value.stringValue else {
      throw error(member.key, member.value.serialized(), "a string")
    }
    return text
  }

  private static func texts(_ member: JSON.Member) throws -> [String] {
    guard let texts = member.value.arrayValue?.map(\.stringValue), !texts.contains(nil) else {
      throw error(member.key, member.value.serialized(), "an array of strings")
    }
    return texts.compactMap { $0 }
  }

  private static func flag(_ member: JSON.Member) throws -> Bool {
    guard let flag = member.value.boolValue else {
      throw error(member.key, member.value.serialized(), "true or false")
    }
    return flag
  }

  private static func integer(_ member: JSON.Member) throws -> Int? {
    if member.value == .null { return nil }
    guard let integer = member.value.intValue else {
      throw error(member.key, member.value.serialized(), "an integer")
    }
    return integer
  }

  static func number(_ key: String, _ value: JSON) throws -> Double {
    guard let number = value.doubleValue, number.isFinite else {
      throw error(key, value.serialized(), "a number")
    }
    return number
  }

  private static func loss(_ json: JSON) throws -> LossKind {
    guard case .object(let members) = json else {
      throw error("loss", json.serialized(), "an object")
    }
    var reduction = Reduction.mean
    var ignoreIndex = -100
    var labelSmoothing = 0.0
    var steps = Loss.Steps.all
    for member in members {
      let key = "loss.\(member.key)"
      switch member.key {
      case "kind": break
      case "reduction":
        switch member.value.stringValue {
        case "mean": reduction = .mean
        case "sum": reduction = .sum
        case "mean_over_batch": reduction = .meanOverBatch
        default: throw error(key, member.value.serialized(), "mean, sum or mean_over_batch")
        }
      case "ignore_index":
        guard let index = member.value.intValue else {
          throw error(key, member.value.serialized(), "an integer")
        }
        ignoreIndex = index
      case "label_smoothing": labelSmoothing = try number(key, member.value)
      case "steps":
        switch member.value.stringValue {
        case "all": steps = .all
        case "last": steps = .last
        default: throw error(key, member.value.serialized(), "all or last")
        }
      default: throw error(key, "an unknown key", "kind, reduction, ignore_index, …")
      }
    }
    switch json["kind"]?.stringValue {
    case "vjp": return .vectorJacobianProduct
    case "cross_entropy":
      return .loss(
        .crossEntropy(
          reduction: reduction, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing,
          steps: steps))
    case "bce_with_logits": return .loss(.bceWithLogits(reduction: reduction, steps: steps))
    case "mse": return .loss(.mse(reduction: reduction, steps: steps))
    default:
      throw error(
        "loss.kind", json["kind"]?.serialized() ?? "no such key",
        "vjp, cross_entropy, bce_with_logits or mse")
    }
  }

  private static func clip(_ json: JSON) throws -> Clip? {
    if json == .null { return nil }
    guard let limit = json["max"] else {
      throw error("clip.max", "no such key", "a number")
    }
    let maximum = try number("clip.max", limit)
    switch json["kind"]?.stringValue {
    case "value": return .value(maximum)
    case "norm": return .norm(maximum)
    default:
      throw error("clip.kind", json["kind"]?.serialized() ?? "no such key", "value or norm")
    }
  }

  private mutating func readTolerance(_ json: JSON) throws {
    guard case .object(let members) = json else {
      if json == .null { return }
      throw Self.error("tolerance", json.serialized(), "an object")
    }
    for member in members {
      let key = "tolerance.\(member.key)"
      guard case .object(let parts) = member.value else {
        throw Self.error(key, member.value.serialized(), "an object")
      }
      var tolerance = Tolerance(relative: 0, absolute: 0, relativeToMaximum: 0)
      for part in parts {
        let bound = try Self.number("\(key).\(part.key)", part.value)
        guard bound >= 0 else {
          throw Self.error("\(key).\(part.key)", part.value.serialized(), "zero or more")
        }
        switch part.key {
        case "rtol": tolerance.relative = bound
        case "atol": tolerance.absolute = bound
        case "relative_to_max": tolerance.relativeToMaximum = bound
        default:
          throw Self.error("\(key).\(part.key)", "an unknown key", "rtol, atol, relative_to_max")
        }
      }
      switch member.key {
      case "forward": forwardTolerance = tolerance
      case "grads": gradientTolerance = tolerance
      case "losses": lossTolerance = tolerance
      default: throw Self.error(key, "an unknown key", "forward, grads or losses")
      }
    }
  }
}
