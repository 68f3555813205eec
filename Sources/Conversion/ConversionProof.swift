import RNNEngine
import Tensors
import WeightFormats

/// What was proven about a written file before it got its name.
public enum ConversionProof: Sendable {
  /// The file, read back, has the input's names, types, shapes and bytes.
  case identical(tensors: Int, bytes: Int)
  /// The file, read back, has exactly the planned bytes; element types were changed as asked.
  case asPlanned(tensors: Int, bytes: Int)
  /// Both files ran on the same inputs, forward and backward, with these relative deviations.
  case sameNetwork(forward: Double, gradients: Double)
  /// Every parameter of the written file, found through the output's convention, has the bytes of the
  /// input's parameter, found through the input's; the network is too large to run.
  case sameParameters(count: Int, limit: Int)
  /// Nothing was proven, as asked.
  case none

  /// One line for people.
  public var summary: String {
    switch self {
    case .identical(let tensors, let bytes):
      "proven identical: \(tensors) tensors, \(bytes) bytes read back and compared"
    case .asPlanned(let tensors, let bytes):
      "proven as planned: \(tensors) tensors, \(bytes) bytes read back and compared"
    case .sameNetwork(let forward, let gradients):
      forward == 0 && gradients == 0
        ? "proven the same network: outputs and gradients of both files are equal, bit for bit"
        : "proven the same network: outputs agree to \(rounded(forward)), gradients to"
          + " \(rounded(gradients))"
    case .sameParameters(let count, let limit):
      "proven the same network: \(count) parameters carried back and compared, byte for byte"
        + " (more than \(limit) are not run)"
    case .none: "not verified, as asked"
    }
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
      if changesConvention, let network {
        proof = try compare(written, with: network, planned, counter)
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

  private func compare(
    _ written: StateDict, with network: Network, _ planned: StateDict, _ counter: PhaseCounter?
  ) throws -> ConversionProof {
    // Of a file with other tensors or shapes there is nothing to recognise.
    try written.checkReadBack(of: planned, except: Set(planned.names))
    // Tensors carried along may be modules of PyTorch too; other conventions have only one to find.
    let prefix =
      [Convention.torch.name, Convention.onnx.name].contains(convention?.name)
      ? Naming.customary(for: network.architecture).recurrent : nil
    // What is carried along was compared already; a matrix that fits could look like a head here.
    let carried = Set(network.recognition.foreign)
    var own = StateDict()
    own.metadata = written.metadata
    for entry in written.entries where !carried.contains(entry.name) {
      try own.append(entry.name, entry.tensor)
    }
    let converted = try Network(
      own,
      options: ReadOptions(
        convention: convention, module: prefix, cell: network.architecture.cell,
        gruReset: network.architecture.gruReset))
    var architecture = network.architecture
    // The target may have no place for this; it does not touch the weights.
    architecture.batchFirst = converted.architecture.batchFirst
    architecture.embedding?.paddingIndex = converted.architecture.embedding?.paddingIndex
    guard converted.architecture == architecture else {
      throw Network.fault("the network", converted.architecture.summary)
    }
    let parameters = Slot.all(in: architecture).reduce(0) { sum, slot in
      let size = slot.size(in: architecture)
      return sum + size.rows * size.columns
    }
    guard parameters > options.largestRun else {
      try written.checkReadBack(of: planned)
      return try run(converted, network)
    }
    // Each byte is compared once: with the parameter that it is, or with what was planned.
    let matched = Set(
      converted.recognition.tensors.filter { converted.weights.isMade(of: $0, network.weights) }
        .map(\.name))
    try written.checkReadBack(of: planned, except: matched)
    try converted.checkParameters(are: network) { name, bytes in
      guard matched.contains(name) else { return }
      counter?.note(name, bytes)
    }
    return .sameParameters(count: parameters, limit: options.largestRun)
  }

  private func run(_ converted: Network, _ network: Network) throws -> ConversionProof {
    let probe = try Probe(network, converted)
    let exact =
      try losses.isEmpty && !network.weights.rounds(writing: converted.recognition.tensors)
    guard probe.passes(for: converted.weights.dtype, exact: exact) else {
      throw RecurrentError(
        .malformed, "proof.deviation",
        found:
          "outputs deviate by \(probe.forward), gradients by \(probe.gradients)",
        expected: exact ? "no deviation" : "what one rounding of the weights explains",
        hint: "The conversion loses too much; choose a wider --dtype.")
    }
    return .sameNetwork(forward: probe.forward, gradients: probe.gradients)
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
      .fault, "proof.read-back", at: place, found: "reading back gave \(found)",
      expected: "what was written", hint: "Please report this; the input is untouched.")
  }
}
