import Conversion
import Networks
import RNNEngine
import Tensors

extension StateDict {
  /// The histogram of every floating-point tensor with at least two different numbers.
  ///
  /// Reads all bytes; throws what reading throws.
  public func histograms() throws -> [Figure] {
    try entries.compactMap { entry in
      guard entry.tensor.dtype.isFloatingPoint else { return nil }
      let statistics = try TensorStatistics(entry.tensor)
      guard statistics.minimum < statistics.maximum else { return nil }
      let counts = try Histogram(entry.tensor, statistics, intervals: 40).counts
      return HistogramChart(
        entry.name.string, counts: counts, range: (statistics.minimum, statistics.maximum)
      ).figure
    }
  }
}

extension Network {
  /// The spectra of a network that was read.
  package func spectra() throws -> [Figure] { try model(Double.self).rnn.spectra() }
}

extension RNN {
  /// The largest hidden size whose spectra are computed; the time is that of its cube.
  package static var largestSpectrum: Int { 256 }

  /// The eigenvalues of every recurrent matrix, gate by gate, in the complex plane.
  ///
  /// Empty for a network with projections, whose recurrent matrices are not square, and for one whose
  /// hidden size is above 256; the time is that of its cube. Throws `engine.not-finite` for weights that are
  /// NaN or infinite.
  public func spectra() throws -> [Figure] {
    guard configuration.projSize == 0, configuration.hiddenSize <= Self.largestSpectrum else {
      return []
    }
    let gates: [String] =
      switch configuration.cell {
      case .lstm: ["input gate", "forget gate", "candidate", "output gate"]
      case .gru: ["reset gate", "update gate", "candidate"]
      default: [""]
      }
    var figures: [Figure] = []
    for (name, weights) in parameters.entries
    where name.hasPrefix("weight_hh") {
      for (spectrum, gate) in zip(try RecurrentSpectrum.gates(weights), gates) {
        figures.append(spectrum.figure(gate.isEmpty ? name : "\(name), \(gate)"))
      }
    }
    return figures
  }
}

extension RecurrentSpectrum {
  fileprivate func figure(_ name: String) -> Figure {
    ScatterPlot(
      name,
      description: "\(values.count) eigenvalues and the unit circle; spectral radius"
        + " \(label(spectralRadius)), largest singular value"
        + " \(label(largestSingularValue)).", axes: ("real part", "imaginary part"),
      points: values.map { ($0.real, $0.imaginary) },
      names: values.map {
        "\(label($0.real)) + \(label($0.imaginary)) i, size \(label($0.size))"
      }, hasUnitCircle: true
    ).figure
  }
}
