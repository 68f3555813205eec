import Conversion
import Networks
import RNNEngine
import Tensors

/// Drawings of a network's weights.
public enum NetworkFigures {
  /// The largest hidden size whose spectra are computed; the time is that of its cube.
  public static let largestSpectrum = 256

  /// The histogram of every floating-point tensor with at least two different numbers.
  public static func histograms(_ state: StateDict) throws -> [Figure] {
    try state.entries.compactMap { entry in
      guard entry.tensor.dtype.isFloatingPoint else { return nil }
      let statistics = try TensorStatistics(entry.tensor)
      guard statistics.minimum < statistics.maximum else { return nil }
      let counts = try Histogram(entry.tensor, statistics, intervals: 40).counts
      return HistogramChart(
        entry.name.string, counts: counts, range: (statistics.minimum, statistics.maximum)
      ).figure
    }
  }

  /// The spectra of a network that was read.
  package static func spectra(_ network: Network) throws -> [Figure] {
    try spectra(of: network.model(Double.self).rnn)
  }

  /// The eigenvalues of every recurrent matrix, gate by gate, in the complex plane.
  ///
  /// Empty for a network with projections, whose recurrent matrices are not square, and for one whose
  /// hidden size is above ``largestSpectrum``.
  public static func spectra<S: Scalar>(of rnn: RNN<S>) throws -> [Figure] {
    let configuration = rnn.configuration
    guard configuration.projSize == 0, configuration.hiddenSize <= largestSpectrum else {
      return []
    }
    let gates: [String] =
      switch configuration.cell {
      case .lstm: ["input gate", "forget gate", "candidate", "output gate"]
      case .gru: ["reset gate", "update gate", "candidate"]
      default: [""]
      }
    var figures: [Figure] = []
    for (name, weights) in rnn.parameters.entries
    where name.hasPrefix("weight_hh") {
      for (spectrum, gate) in zip(try RecurrentSpectrum.gates(weights), gates) {
        figures.append(figure(gate.isEmpty ? name : "\(name), \(gate)", spectrum))
      }
    }
    return figures
  }

  private static func figure(_ name: String, _ spectrum: RecurrentSpectrum) -> Figure {
    ScatterPlot(
      name,
      description: "\(spectrum.eigenvalues.count) eigenvalues and the unit circle; spectral radius"
        + " \(label(spectrum.spectralRadius)), largest singular value"
        + " \(label(spectrum.largestSingularValue)).", axes: ("real part", "imaginary part"),
      points: spectrum.eigenvalues.map { ($0.real, $0.imaginary) },
      names: spectrum.eigenvalues.map {
        "\(label($0.real)) + \(label($0.imaginary)) i, size \(label($0.size))"
      }, hasUnitCircle: true
    ).figure
  }
}
