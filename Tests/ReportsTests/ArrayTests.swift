import Foundation
import Parity
import Recurrent
import Reports
import TestSupport
import Testing

@Suite("Arrays and models are drawn as they are")
struct ArrayTests {
  @Test func arraysAreDrawnAsTheirNestedLists() throws {
    let states = try NDArray<Float>([[0.1, 0.5, 0.25], [0.75, 0.2, 0.125]])
    let lists = [[Double(Float(0.1)), 0.5, 0.25], [0.75, Double(Float(0.2)), 0.125]]
    #expect(
      HeatMap("t", description: "d", axes: ("x", "y"), steps: states).figure.file
        == HeatMap("t", description: "d", axes: ("x", "y"), columns: lists).figure.file)
    #expect(LineChart.Series("a", states[0]).values == lists[0])
    #expect(LineChart.Series("a", states[1].elements).values == lists[1])
    let (points, shares) = states.principalComponents()
    let expected = Projection.principalComponents(lists)
    #expect(points.map(\.x) == expected.points.map(\.x) && shares == expected.shares)
    let many = try NDArray((0..<24).map { Double($0 * 7 % 11) }).reshaped([8, 3])
    #expect(
      many.tSNE(perplexity: 2, seed: 5, iterations: 20).map(\.y)
        == Projection.tSNE(many.rows, perplexity: 2, seed: 5, iterations: 20).map(\.y))
  }

  @Test func filesAppearAndStay() throws {
    let folder = try TemporaryFolder()
    let figure = LineChart(
      "a", description: "d", axes: ("x", "y"), series: [.init("one", [1, 2, 4])]
    ).figure
    let path = folder.file("a.svg")
    try figure.write(toPath: path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == figure.file)
    #expect(reason { try figure.write(toPath: path) } == "output.exists")
    var page = Page("p")
    page.figures([figure])
    try page.write(toPath: path, overwrite: true)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == page.html)
  }

  @Test(arguments: [false, true])
  func aModelsPortraitIsItsFirstRow(_ batchFirst: Bool) throws {
    var generator = TorchGenerator(seed: 7)
    let model = try Model<Double>(
      RecurrentConfiguration(
        cell: .gru, inputSize: 3, hiddenSize: 5, layerCount: 2, batchFirst: batchFirst),
      classCount: 4, generator: &generator)
    let x: NDArray<Double> = try generator.randn(shape: batchFirst ? [2, 6, 3] : [6, 2, 3])
    let classes = try NDArray([[0, 3], [1, 1], [2, 0], [3, 2], [0, 1], [2, 2]])
    let targets = Targets<Double>.classes(
      batchFirst ? classes.exchangingLeadingAxes() : classes)
    let portrait = try model.activity(x, targets: targets, loss: .crossEntropy())
    let result = try model(x)
    let logits = try #require(result.logits)
    #expect(portrait.states == (batchFirst ? result.output[0] : result.output[.all, 0]).rows)
    #expect(
      portrait.probabilities == (batchFirst ? logits[0] : logits[.all, 0]).softmax().rows)
    #expect(portrait.gradientNorms.count == 6 && portrait.gradientRemark == nil)
    // The first is that of the initial state, per row.
    let h0 = try model.backward(x, targets: targets, loss: .crossEntropy()).h0
    let norm = try (h0 * h0).sum().squareRoot() / 2
    #expect(abs(portrait.gradientNorms[0] / norm - 1) < 1e-12)
    let figures = try model.portrait(x, targets: targets, loss: .crossEntropy())
    #expect(figures.map(\.file) == portrait.figures.map(\.file) && figures.count == 4)
    let silent = try model.activity(x, targets: nil, loss: nil)
    #expect(silent.gradientNorms.isEmpty && silent.gradientRemark != nil)
    let binary = try model.activity(
      x, targets: .values(logits), loss: .bceWithLogits())
    #expect(
      binary.probabilities == (batchFirst ? logits[0] : logits[.all, 0]).sigmoid().rows)
  }
}
