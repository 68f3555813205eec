import Foundation
import TestSupport
import Testing

@testable import RNNEngine

/// PyTorch's own numbers, from tools/goldens/engine_cells.py and engine_stacks.py: of each array the sum of
/// its elements times 1, 2, 3, …, in the order output, final states, gradients of input, initial states and
/// parameters.
struct CellGolden: Sendable, Decodable, CustomTestStringConvertible {
  let kind: Kind
  let lengths: [Int]?
  let residual: Bool
  let layerNorm: Bool
  let values: [Double]

  var stacking: Stacking { Stacking(residual: residual, layerNorm: layerNorm) }
  var testDescription: String { "\(kind), lengths \(lengths ?? []), \(stacking)" }

  struct File: Decodable {
    let cells: [CellGolden]
    let norm: [String: [Double]]?
  }

  static func file(_ name: String) throws -> File {
    try Golden.decode(File.self, "engine/\(name).json")
  }

  /// Empty when the files are missing, which `theGoldensAreThere` reports.
  static let all = ["cells", "stacks"].flatMap { (try? file($0).cells) ?? [] }
}

@Suite("Outputs, states and gradients are PyTorch's")
struct GoldenTests {
  private func fill(_ shape: [Int], _ factor: Int) -> NDArray<Double> {
    let count = shape.reduce(1, *)
    return NDArray(trusted: shape, (0..<count).map { Double($0 * factor % 23 - 11) / 16 })
  }

  private func weighted(_ array: NDArray<Double>) -> Double {
    array.elements.enumerated().reduce(0) { $0 + Double($1.offset + 1) * $1.element }
  }

  @Test func theGoldensAreThere() { #expect(CellGolden.all.count == 22) }

  @Test(arguments: CellGolden.all)
  func agreesWithPyTorch(_ golden: CellGolden) throws {
    let layerCount = golden.stacking == .plain ? 2 : 3
    var configuration = golden.kind.configuration(
      inputSize: 3, hiddenSize: 4, layerCount: layerCount, bidirectional: true)
    configuration.stacking = golden.stacking
    var parameters = Parameters<Double>()
    for (index, (name, shape)) in configuration.parameterShapes.enumerated() {
      parameters.append(name, fill(shape, 5 + 2 * index))
    }
    let rnn = try RNN(configuration, parameters: parameters)
    let hasCells = configuration.cell.hasCellState
    let (result, tape) = try rnn.record(
      fill([4, 3, 3], 7), h0: fill([2 * layerCount, 3, configuration.stateSize], 13),
      c0: hasCells ? fill([2 * layerCount, 3, 4], 17) : nil, lengths: golden.lengths)
    let gradients = try rnn.backward(
      tape, gradOutput: fill(result.output.shape, 19), gradHN: fill(result.hN.shape, 19),
      gradCN: result.cN.map { fill($0.shape, 19) })
    let arrays =
      [result.output, result.hN, result.cN, gradients.x, gradients.h0, gradients.c0]
      .compactMap { $0 } + gradients.parameters.entries.map(\.array)
    #expect(arrays.count == golden.values.count)
    for (index, (array, expected)) in zip(arrays, golden.values).enumerated() {
      #expect(abs(weighted(array) - expected) <= 1e-12 * max(1, abs(expected)), "array \(index)")
    }
  }
}
