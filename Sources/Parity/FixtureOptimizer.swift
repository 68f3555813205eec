import Containers
import Frameworks
import RNNEngine
import Tensors

/// The `optimizer` of a fixture: PyTorch's class in lower case, its arguments, and how many updates.
package struct FixtureOptimizer: Sendable {
  /// PyTorch's class in lower case.
  package enum Kind: String, Sendable, CaseIterable {
    /// Gradient descent, with momentum or without.
    case sgd
    /// Adam, with weight decay in the gradient.
    case adam
    /// Adam with decoupled weight decay.
    case adamw
    /// RMSprop.
    case rmsprop
    /// Adagrad.
    case adagrad
  }

  /// The class.
  package let kind: Kind
  /// The number of updates.
  package let steps: Int
  private var numbers: [String: Double] = [:]
  private var flags: [String: Bool] = [:]
  private var betas = (0.9, 0.999)

  /// The arguments that PyTorch's classes have, and that change the numbers.
  private static func arguments(of kind: Kind) -> (numbers: Set<String>, flags: Set<String>) {
    switch kind {
    case .sgd: (["lr", "momentum", "dampening", "weight_decay"], ["nesterov"])
    case .adam, .adamw: (["lr", "eps", "weight_decay"], ["amsgrad"])
    case .rmsprop: (["lr", "alpha", "eps", "weight_decay", "momentum"], ["centered"])
    case .adagrad:
      (["lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"], [])
    }
  }

  /// Reads the configuration's object, or `null`; throws `fixture.config` naming the key.
  init?(_ json: JSON) throws {
    if json == .null { return nil }
    guard case .object(let members) = json else {
      throw FixtureConfiguration.error("optimizer", json.serialized(), "an object")
    }
    guard let name = json["kind"]?.stringValue, let kind = Kind(rawValue: name) else {
      throw RecurrentError(
        .fixtureOptimizer, at: "config key \"optimizer.kind\"",
        found: json["kind"]?.serialized() ?? "no such key",
        expected: Kind.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self.kind = kind
    let known = Self.arguments(of: kind)
    var steps = 1
    for member in members {
      let key = "optimizer.\(member.key)"
      switch member.key {
      case "kind": break
      case "steps":
        guard let count = member.value.intValue, (0...1_000_000).contains(count) else {
          throw FixtureConfiguration.error(
            key, member.value.serialized(), "a count of updates up to 1000000")
        }
        steps = count
      case "betas" where known.flags.contains("amsgrad"):
        let pair = member.value.arrayValue?.compactMap(\.doubleValue) ?? []
        guard pair.count == 2 else {
          throw FixtureConfiguration.error(key, member.value.serialized(), "two numbers")
        }
        betas = (pair[0], pair[1])
      case let name where known.numbers.contains(name):
        numbers[name] = try FixtureConfiguration.number(key, member.value)
      case let name where known.flags.contains(name):
        guard let flag = member.value.boolValue else {
          throw FixtureConfiguration.error(key, member.value.serialized(), "true or false")
        }
        flags[name] = flag
      default:
        // Arguments of other classes, and PyTorch's switches of implementation, at rest.
        let isAtRest =
          member.value.doubleValue == 0 || member.value.boolValue == false
          || member.value == .null
        guard isAtRest else {
          throw RecurrentError(
            .fixtureOptimizer, at: "config key \"\(key)\"",
            found: member.value.serialized(), expected: "an argument of \(kind.rawValue)")
        }
      }
    }
    self.steps = steps
  }

  /// A fresh optimiser with these arguments and PyTorch's defaults.
  func make<S: Scalar>(_ type: S.Type = S.self) -> any Optimizer<S> {
    func number(_ name: String, _ standard: Double) -> Double { numbers[name] ?? standard }
    let decay = numbers["weight_decay"]
    switch kind {
    case .sgd:
      return SGD<S>(
        learningRate: number("lr", 1e-3), momentum: number("momentum", 0),
        dampening: number("dampening", 0), weightDecay: decay ?? 0,
        nesterov: flags["nesterov"] ?? false)
    case .adam, .adamw:
      return Adam<S>(
        learningRate: number("lr", 1e-3), betas: betas, epsilon: number("eps", 1e-8),
        weightDecay: decay ?? (kind == .adamw ? 1e-2 : 0),
        decoupledWeightDecay: kind == .adamw, amsgrad: flags["amsgrad"] ?? false)
    case .rmsprop:
      return RMSprop<S>(
        learningRate: number("lr", 1e-2), alpha: number("alpha", 0.99),
        epsilon: number("eps", 1e-8), weightDecay: decay ?? 0,
        momentum: number("momentum", 0), centered: flags["centered"] ?? false)
    case .adagrad:
      return Adagrad<S>(
        learningRate: number("lr", 1e-2), learningRateDecay: number("lr_decay", 0),
        weightDecay: decay ?? 0, initialAccumulator: number("initial_accumulator_value", 0),
        epsilon: number("eps", 1e-10))
    }
  }
}
