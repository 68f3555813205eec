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
    try outputFormat.write(
      output, to: outputPath, overwrite: options.overwrites, inputs: [input.file]
    ) { written in
      guard options.verifies else { return }
      try written.checkReadBack(of: output)
      if changesConvention, let network {
        proof = try probe(written, against: network)
      } else if losses.isEmpty {
        proof = .identical(tensors: output.count, bytes: output.byteCount)
      } else {
        proof = .asPlanned(tensors: output.count, bytes: output.byteCount)
      }
    }
    return proof
  }

  private func probe(_ written: StateDict, against network: Network) throws -> ConversionProof {
    let prefix =
      convention?.name == Convention.torch.name
      ? Naming.customary(for: network.architecture).recurrent : nil
    let converted = try Network(
      written,
      options: ReadOptions(
        convention: convention, module: prefix, cell: network.architecture.cell,
        gruReset: network.architecture.gruReset))
    var architecture = network.architecture
    // The target may have no place for this; it does not touch the weights.
    architecture.batchFirst = converted.architecture.batchFirst
    architecture.embedding?.paddingIndex = converted.architecture.embedding?.paddingIndex
    guard converted.architecture == architecture else {
      throw RecurrentError(
        .fault, "proof.read-back", at: "the network",
        found: "reading back gave \(converted.architecture.summary)",
        expected: "what was written", hint: "Please report this; the input is untouched.")
    }
    let probe = try Probe(network, converted)
    let exact = losses.isEmpty && !network.weights.rounds(writing: converted.recognition.tensors)
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
