import Tensors

/// Which of a recurrent network's results the linear layer on top takes, forward and backward.
enum HeadInput {
  /// What the head reads of a result: the output itself, or (N, F), (F) unbatched.
  static func forward<S: Scalar>(
    _ output: NDArray<S>, _ hN: NDArray<S>, _ configuration: RecurrentConfiguration,
    _ reads: HeadReads, lengths: [Int]?
  ) -> NDArray<S> {
    let width = configuration.outputSize
    let isBatched = output.shape.count == 3
    switch reads {
    case .sequence: return output
    case .last:
      let rows = lastRows(output.shape, configuration, lengths)
      let last = NDArray(trusted: [output.count / width, width], output.elements).selecting(rows)
      return NDArray(trusted: isBatched ? last.shape : [width], last.elements)
    case .final:
      let last = hN[((configuration.layerCount - 1) * configuration.directionCount)...]
      guard isBatched else { return last.flattened() }
      return NDArray(trusted: [hN.shape[1], width], last.exchangingLeadingAxes().elements)
    }
  }

  /// The gradients of the output and of the final states that the gradient of the head's input is.
  static func backward<S: Scalar>(
    _ gradient: NDArray<S>, output: [Int], hN: [Int], _ configuration: RecurrentConfiguration,
    _ reads: HeadReads, lengths: [Int]?
  ) -> (output: NDArray<S>?, hN: NDArray<S>?) {
    let width = configuration.outputSize
    switch reads {
    case .sequence: return (gradient, nil)
    case .last:
      var result = NDArray<S>(zeros: output)
      for (n, row) in lastRows(output, configuration, lengths).enumerated() {
        result.elements.replaceSubrange(
          row * width..<(row + 1) * width,
          with: gradient.elements[n * width..<(n + 1) * width])
      }
      return (result, nil)
    case .final:
      let directions = configuration.directionCount
      let rows = NDArray(
        trusted: [output.count == 3 ? hN[1] : 1, directions, configuration.stateSize],
        gradient.elements)
      var result = NDArray<S>(zeros: hN)
      result[((configuration.layerCount - 1) * directions)...] = NDArray(
        trusted: [directions] + hN.dropFirst(), rows.exchangingLeadingAxes().elements)
      return (nil, result)
    }
  }

  /// The row of the output that holds each sequence's last valid step.
  private static func lastRows(
    _ shape: [Int], _ configuration: RecurrentConfiguration, _ lengths: [Int]?
  ) -> [Int] {
    guard shape.count == 3 else { return [shape[0] - 1] }
    let (steps, batch) =
      configuration.batchFirst ? (shape[1], shape[0]) : (shape[0], shape[1])
    return (0..<batch).map { n in
      let step = (lengths?[n] ?? steps) - 1
      return configuration.batchFirst ? n * steps + step : step * batch + n
    }
  }
}
