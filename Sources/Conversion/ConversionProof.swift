import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// What was proven about a written file before it got its name: this and nothing else.
public enum ConversionProof: Sendable {
  /// The file, read back, has the input's tensors: names, types, shapes and bytes.
  case identical(tensors: Int, bytes: Int)
  /// The file, read back, has exactly the planned bytes; element types were changed as asked.
  case asPlanned(tensors: Int, bytes: Int)
  /// The modules of both files ran on the same inputs, forward and backward, with these relative deviations.
  case sameModules([String], forward: Double, gradients: Double)
  /// The whole network of both files did, and there is nothing else in either.
  case sameNetwork(forward: Double, gradients: Double)
  /// Every parameter of the written file, found through the output's convention, has the bytes of the
  /// input's parameter, found through the input's; the modules are too large to run.
  case sameParameters(count: Int, limit: Int)
  /// Nothing was proven, as asked.
  case none

  /// One line for people.
  public var summary: String {
    switch self {
    case .identical(let tensors, let bytes):
      "proven identical: \(tensors) tensors, bit for bit (\(bytes) bytes read back and compared)"
    case .asPlanned(let tensors, let bytes):
      "proven as planned: \(tensors) tensors, \(bytes) bytes read back and compared"
    case .sameModules(let names, let forward, let gradients):
      "proven: \(Self.list(names)) \(names.count == 1 ? "computes" : "compute") the same in both files: "
        + agreement(forward, gradients)
    case .sameNetwork(let forward, let gradients):
      "proven the same network: " + agreement(forward, gradients)
    case .sameParameters(let count, let limit):
      "proven: \(count) parameters carried back and compared, byte for byte"
        + " (more than \(limit) are not run)"
    case .none: "not verified, as asked"
    }
  }

  private static func list(_ names: [String]) -> String {
    let shown = names.prefix(6).map { $0.isEmpty ? "the module" : $0 }
    return shown.joined(separator: ", ") + (names.count > 6 ? " and \(names.count - 6) more" : "")
  }

  private func agreement(_ forward: Double, _ gradients: Double) -> String {
    forward == 0 && gradients == 0
      ? "outputs and gradients are equal, bit for bit"
      : "outputs agree to \(rounded(forward)), gradients to \(rounded(gradients))"
  }

  private func rounded(_ value: Double) -> String {
    // Two significant digits, without Foundation.
    guard value > 0, value.isFinite else { return "\(value)" }
    var exponent = 0
    var mantissa = value
    while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
    while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
    return "\((mantissa * 10).rounded() / 10)e\(exponent)"
  }
}

extension ConversionPlan {
  /// Writes the output under the output protocol and proves it before it appears.
  ///
  /// Throws `output.exists` for a file that may not be replaced, `proof.…` where what was written is not what was
  /// planned, and what reading and writing throw; then nothing was written.
  @discardableResult
  public func execute() throws -> ConversionProof {
    var proof = ConversionProof.none
    let counter = options.progress.map(PhaseCounter.init)
    let planned = try counter.map { counter in try output.observed(counter.note) } ?? output
    counter?.begin(.writing, output)
    try outputFormat.write(
      planned, to: outputPath, overwrite: options.overwrites, inputs: input.files
    ) { written in
      guard options.verifies else { return }
      counter?.begin(.comparing, output)
      if changesConvention {
        proof = try compare(written, with: planned, counter)
      } else {
        try written.checkReadBack(of: planned)
        proof =
          losses.isEmpty
          ? .identical(tensors: output.count, bytes: output.byteCount)
          : .asPlanned(tensors: output.count, bytes: output.byteCount)
      }
    }
    return proof
  }

  /// One piece of the proof: what was in the input, and what the written file has of it.
  private struct Pair {
    let name: String
    let original: Network
    let converted: Network
  }

  private func compare(
    _ written: StateDict, with planned: StateDict, _ counter: PhaseCounter?
  ) throws -> ConversionProof {
    // Of a file with other tensors or shapes there is nothing to recognise.
    try written.checkReadBack(of: planned, except: Set(planned.names))
    let pairs = try outputFormat.holdsOneNetwork ? [networkPair(written)] : modulePairs(written)
    let count = pairs.reduce(0) { $0 + $1.original.parameterCount }
    guard pairs.contains(where: { $0.original.parameterCount > options.largestRun }) else {
      try written.checkReadBack(of: planned)
      return try run(pairs)
    }
    // Each byte is compared once: with the parameter that it is, or with what was planned.
    var matched: Set<Name> = []
    for pair in pairs {
      matched.formUnion(
        pair.converted.recognition.tensors.filter {
          pair.converted.weights.isMade(of: $0, pair.original.weights)
        }.map(\.name))
    }
    let parts = matched
    try written.checkReadBack(of: planned, except: parts)
    for pair in pairs {
      try pair.converted.checkParameters(are: pair.original) { name, bytes in
        guard parts.contains(name) else { return }
        counter?.note(name, bytes)
      }
    }
    return .sameParameters(count: count, limit: options.largestRun)
  }

  private func networkPair(_ written: StateDict) throws -> Pair {
    guard let network, let convention else { throw Network.fault("the network", "nothing") }
    var reading = ReadOptions(
      convention: convention, cell: network.architecture.cell,
      gruReset: network.architecture.cell == .gru ? network.architecture.gruReset : nil)
    if written.structure?.statesConnections != true {
      // Weights without a model: the neighbours are where they were put.
      let modules = (try? ModuleList(written, options: reading))?.modules ?? []
      func neighbour(_ kind: ModuleKind, _ isThere: Bool) -> ReadOptions.Neighbour {
        modules.first { isThere && $0.kind == kind }.map { .named($0.name) } ?? .none
      }
      reading.head = neighbour(.linear, network.architecture.head != nil)
      reading.embedding = neighbour(.embedding, network.architecture.embedding != nil)
    }
    let converted = try Network(written, options: reading)
    var expected = network.architecture
    var found = converted.architecture
    // What the container cannot say does not touch the weights.
    if written.structure?.statesConnections != true {
      found.head?.reads = expected.head?.reads ?? .sequence
      found.head?.activation = expected.head?.activation
    }
    if let one = expected.head?.reads, let other = found.head?.reads,
      expected.reads(one, sameAs: other)
    {
      found.head?.reads = one
    }
    (expected.batchFirst, found.batchFirst) = (false, false)
    (expected.dropout, found.dropout) = (0, 0)
    expected.embedding?.paddingIndex = nil
    found.embedding?.paddingIndex = nil
    guard found == expected else {
      throw Network.fault("the network", converted.architecture.summary)
    }
    return Pair(name: network.recognition.recurrent.name, original: network, converted: converted)
  }

  private func modulePairs(_ written: StateDict) throws -> [Pair] {
    try rewritten.map { module in
      let original = try Network(module: module.module, module.weights)
      let tensors = module.tensors
      let weights = try CanonicalWeights(
        written, architecture: module.module.architecture, tensors: tensors)
      return Pair(
        name: module.module.name, original: original,
        converted: try Network(module: module.module, weights, tensors: tensors))
    }
  }

  private func run(_ pairs: [Pair]) throws -> ConversionProof {
    var (forward, gradients) = (0.0, 0.0)
    for pair in pairs {
      let exact =
        try losses.isEmpty
        && !pair.original.weights.rounds(writing: pair.converted.recognition.tensors)
      guard pair.original.architecture.layerCount > 0 else {
        try pair.converted.checkParameters(are: pair.original)
        continue
      }
      let probe = try Probe(pair.original, pair.converted)
      guard probe.passes(for: pair.converted.weights.dtype, exact: exact) else {
        throw RecurrentError(
          .proofDeviation, at: pair.name.isEmpty ? nil : "module \"\(pair.name)\"",
          found:
            "outputs deviate by \(probe.forward), gradients by \(probe.gradients)",
          expected: exact ? "no deviation" : "what one rounding of the weights explains",
          hint: "The conversion loses too much; choose a wider \(.dtype).")
      }
      forward = max(forward, probe.forward)
      gradients = max(gradients, probe.gradients)
    }
    if isWholeNetwork { return .sameNetwork(forward: forward, gradients: gradients) }
    let names =
      outputFormat.holdsOneNetwork
      ? network?.recognition.modules.map(\.name) ?? [] : pairs.map(\.name)
    return .sameModules(names, forward: forward, gradients: gradients)
  }
}

extension Network {
  /// Throws `proof.read-back` unless each parameter has the bytes of the original's, rounded to this
  /// network's type and summed where its convention sums.
  ///
  /// Slot by slot, so that each file is read through its own convention's table, a tile at a time. `onRead`
  /// hears of which tensor how many bytes were compared.
  func checkParameters(
    are original: Network, onRead: @escaping @Sendable (Name, Int) -> Void = { _, _ in }
  ) throws {
    var missing = Set(Slot.all(in: original.architecture))
    for stored in recognition.tensors {
      for placement in stored.placements {
        missing.subtract(placement.slots)
        // In the order of this file, the one of the two that was written last.
        let expected = try original.weights.matrix(placement)
        let found = try weights.matrix(placement)
        let rounded = try expected.rounded(to: found.dtype).observed {
          onRead(stored.name, $0.count)
        }
        guard try found.isIdentical(to: rounded) else {
          throw Self.fault("\(placement.slots[0])", "other parameters")
        }
      }
    }
    // What the convention has no place for is zero in the original too.
    for slot in missing where try !original.weights.isZero(slot) {
      throw Self.fault("\(slot)", "no parameters")
    }
  }

  fileprivate static func fault(_ place: String, _ found: String) -> RecurrentError {
    RecurrentError(
      .proofReadBack, at: place, found: "reading back gave \(found)",
      expected: "what was written", hint: "Please report this; the input is untouched.")
  }
}
