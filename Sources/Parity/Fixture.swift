import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A network, inputs, and the outputs and gradients that another implementation computed from them.
///
/// <doc:MakingFixtures> lists its tensors and keys; anyone can make one from Python with `numpy.savez` alone.
public struct Fixture: Sendable {
  /// What the fixture says about itself.
  package internal(set) var configuration: FixtureConfiguration
  /// The parameters, under their keys without `weights/`.
  public internal(set) var weights: StateDict
  /// Inputs, under their keys without `inputs/`.
  public let inputs: StateDict
  /// Expected outputs, under their keys without `outputs/`.
  public let outputs: StateDict
  /// Expected gradients, under their keys without `grads/`.
  public let gradients: StateDict
  /// Expected parameters after training, under their keys without `trained/`.
  public let trained: StateDict
  /// Expected states after every step, `h` and `c`, to compare step by step.
  public let states: StateDict
  /// Expected parameters before every update, under their keys without `trajectory/`.
  public let trajectory: StateDict
  /// Expected losses before each update.
  public let losses: Tensor?

  static let inputNames = [
    "x", "h_0", "c_0", "lengths", "targets", "grad_output", "grad_h_n", "grad_c_n",
  ]
  static let outputNames = ["output", "h_n", "c_n", "logits", "probabilities", "loss"]

  /// Whether a state dict is a fixture: it has a `config`.
  package static func isFixture(_ state: StateDict) -> Bool { state["config"] != nil }

  /// Takes a fixture's tensors apart; throws `fixture.…` for missing and unknown ones.
  public init(_ state: StateDict) throws {
    guard let config = state["config"] else {
      throw RecurrentError(
        .fixtureConfig, at: "tensor \"config\"", found: "no such tensor",
        expected: "a 1-D uint8 tensor with a JSON object",
        hint:
          "tools/capture/recurrent_capture.py makes fixtures; weights alone are for \(.networkComparison) and \(.gradientCheck)."
      )
    }
    guard config.dtype == .u8, config.shape.count == 1, config.byteCount <= 1 << 20 else {
      throw RecurrentError(
        .fixtureConfig, at: "tensor \"config\"",
        found: "\(config.dtype.rawValue) \(config.shape)",
        expected: "a 1-D uint8 tensor of at most 1 MiB")
    }
    do {
      configuration = try FixtureConfiguration(JSON.parse(config.bytes()))
    } catch let error as RecurrentError {
      throw error.within("tensor \"config\"")
    }
    var groups: [String: StateDict] = [:]
    var losses: Tensor?
    for entry in state.entries where entry.name != "config" {
      if entry.name == "losses" {
        losses = entry.tensor
        continue
      }
      let text = entry.name.string
      guard let slash = text.firstIndex(of: "/") else { throw Self.unknown(entry.name) }
      let group = String(text[..<slash])
      let key = String(text[text.index(after: slash)...])
      switch group {
      case "weights", "grads", "trained", "trajectory": break
      case "inputs" where Self.inputNames.contains(key): break
      case "outputs" where Self.outputNames.contains(key): break
      case "states" where key == "h" || key == "c": break
      default: throw Self.unknown(entry.name)
      }
      try groups[group, default: StateDict()].append(Name(key), entry.tensor)
    }
    weights = groups["weights"] ?? StateDict()
    inputs = groups["inputs"] ?? StateDict()
    outputs = groups["outputs"] ?? StateDict()
    gradients = groups["grads"] ?? StateDict()
    trained = groups["trained"] ?? StateDict()
    states = groups["states"] ?? StateDict()
    trajectory = groups["trajectory"] ?? StateDict()
    self.losses = losses
    guard inputs["x"] != nil else {
      throw RecurrentError(
        .fixtureMissing, at: "tensor \"inputs/x\"", found: "no such tensor",
        expected: "the input sequence")
    }
    let expected = [outputs, gradients, trained, states, trajectory]
    guard expected.contains(where: { $0.count > 0 }) || losses != nil else {
      throw RecurrentError(
        .fixtureNothingExpected, found: "no expected tensors",
        expected: "at least one under outputs/, grads/, trained/, states/ or trajectory/")
    }
  }

  private static func unknown(_ name: Name) -> RecurrentError {
    RecurrentError(
      .fixtureExtra, at: "tensor \"\(name)\"", found: "a tensor of unknown meaning",
      expected:
        "config, weights/…, inputs/…, outputs/…, grads/…, trained/…, losses, states/h, states/c"
        + " or trajectory/…")
  }

  /// The network of the fixture.
  package func network() throws -> Network { try network(of: weights) }

  /// The network with other parameters under the same keys.
  func network(of weights: StateDict) throws -> Network {
    var state = weights
    let names = configuration.modules
    switch configuration.head {
    case true? where names.head == nil: state.metadata["head"] = "linear"
    case false?: state.metadata["head"] = "none"
    default: break
    }
    var options = ReadOptions(
      convention: configuration.convention ?? .torch, module: names.recurrent,
      cell: configuration.cell, gruReset: configuration.gruReset,
      head: configuration.head == false
        ? ReadOptions.Neighbour.none : names.head.map { .named($0) },
      headReads: configuration.headReads, embedding: names.embedding.map { .named($0) },
      batchFirst: configuration.batchFirst)
    do {
      if options.embedding == nil { options.embedding = try table(in: state, options) }
      let network = try Network(state, options: options)
      guard let stray = network.recognition.foreign.first else { return network }
      throw RecurrentError(
        .fixtureExtra, at: "tensor \"\(stray)\"",
        found: "a parameter that \(network.architecture.summary) does not have",
        expected: "the network's parameters only",
        hint: inputs["x"]?.dtype.isFloatingPoint == false
          ? "config key \"modules\" names the embedding: {\"embedding\": \"…\"}." : nil)
    } catch let error as RecurrentError {
      throw error.within("weights/")
    }
  }

  /// The embedding of a fixture whose input is token ids: the only table that fits, whatever its name.
  private func table(
    in state: StateDict, _ options: ReadOptions
  ) throws -> ReadOptions.Neighbour? {
    guard inputs["x"]?.dtype.isFloatingPoint == false,
      let recurrent = try? Recognition(state, options: options), recurrent.embedding == nil
    else { return nil }
    let own = Set(recurrent.tensors.map(\.name))
    let tables = state.entries.filter { entry in
      let text = entry.name.string
      return !own.contains(entry.name) && text.hasSuffix(".weight")
        && entry.tensor.shape.count == 2
        && entry.tensor.shape[1] == recurrent.architecture.inputSize
        && state[Name(text.dropLast("weight".count) + "bias")] == nil
    }
    guard tables.count == 1 else { return nil }
    return .named(String(tables[0].name.string.dropLast(".weight".count)))
  }
}
