import Tensors
import Testing

@testable import RNNEngine

@Suite("Spectra and gradient norms agree with LAPACK and with document D4")
struct DiagnosisTests {
  /// The matrix that document D4 prints, and what it prints of 20 steps backwards.
  private let printed = [
    -0.68153985, -1.93970896, 0.67076229, -1.46036714, 0.391873, 0.91808671, 0.36187896, 0.73361743,
    -0.69306025,
  ]

  // Rows times the transposed matrix, as a gradient passes one step back.
  private func backwards(_ rows: [Double], _ matrix: [Double]) -> [Double] {
    var result: [Double] = []
    for start in stride(from: 0, to: rows.count, by: 3) {
      for column in 0..<3 {
        var sum = 0.0
        for k in 0..<3 { sum += rows[start + k] * matrix[3 * column + k] }
        result.append(sum)
      }
    }
    return result
  }

  @Test func theDocumentsExplodingGradient() throws {
    let norms = [
      1.41226324, 2.71608147, 6.59451059, 14.66020158, 35.76324737, 82.62945250, 199.80658370,
      469.27948281, 1127.09975772, 2666.70410584, 6379.49392890, 15145.7881293, 36156.2186358,
      85982.2743545, 205033.442217, 487982.526928, 1162996.55154, 2769065.91132, 6597593.76391,
      15711865.8429,
    ]
    var states: [Double] = []
    var dh = [1.0, 1, 1, 1, 1, 1]
    for _ in 0..<20 {
      dh = backwards(dh, printed)
      states += dh
    }
    let found = try NDArray(shape: [20, 2, 3], elements: states).normsByStep()
    #expect(found.count == 20)
    for (mine, document) in zip(found, norms) { #expect(abs(mine / 2 / document - 1) < 1e-7) }
    let last = [16765466.71501118, 11720113.66583842, -8676609.12453001]
    for (mine, document) in zip(dh, last + last) { #expect(abs(mine / document - 1) < 1e-7) }
    // The rate is the spectral radius, not the singular value.
    let rate = found[19] / found[18]
    let spectrum = try RecurrentSpectrum(NDArray(shape: [3, 3], elements: printed))
    #expect(abs(rate - spectrum.spectralRadius) < 1e-3)
    #expect(spectrum.largestSingularValue - rate > 0.09)
  }

  /// The gradient of a state is that of the initial state of what is left of the sequence.
  @Test(arguments: Kind.allCases)
  func gradientsOfStatesAreThoseOfTheRest(_ kind: Kind) throws {
    var random = SplitMix64(state: 81)
    let rnn: RNN<Float> = try random.network(
      kind.configuration(inputSize: 2, hiddenSize: 4, layerCount: 2))
    let x: NDArray<Float> = random.array([6, 3, 2])
    let whole = try rnn(x)
    let gradOutput: NDArray<Float> = random.array(whole.output.shape)
    let gradHN: NDArray<Float> = random.array(whole.hN.shape)
    let found = try rnn.stateGradients(x, gradOutput: gradOutput, gradHN: gradHN)
    #expect(found.shape == [6] + whole.hN.shape)
    func part(_ array: NDArray<Float>, _ steps: Range<Int>) throws -> NDArray<Float> {
      let size = array.count / 6
      return try NDArray(
        shape: [steps.count] + array.shape.dropFirst(),
        elements: Array(array.elements[steps.lowerBound * size..<steps.upperBound * size]))
    }
    for step in 0..<6 {
      let state = step == 0 ? nil : try rnn(part(x, 0..<step))
      let (_, tape) = try rnn.record(part(x, step..<6), h0: state?.hN, c0: state?.cN)
      let rest = try rnn.backward(tape, gradOutput: part(gradOutput, step..<6), gradHN: gradHN)
      #expect(try sameBits(part(found, step..<step + 1).elements, rest.h0.elements))
    }
    #expect(try found.normsByStep().count == 6)
    let both: RNN<Float> = try random.network(
      RecurrentConfiguration(inputSize: 2, hiddenSize: 4, bidirectional: true))
    let error = #expect(throws: RecurrentError.self) { try both.stateGradients(x) }
    #expect(error?.reason.code == "engine.checkpoint")
  }

  @Test func theDocumentsSpectrum() throws {
    let spectrum = try RecurrentSpectrum(NDArray(shape: [3, 3], elements: printed))
    for (mine, golden) in zip(spectrum.singularValues, [2.47456616, 1.65942702, 0.27985175]) {
      #expect(abs(mine - golden) < 1e-7)
    }
    for (mine, golden) in zip(spectrum.eigenvalues, [-2.38193255, 1.68545152, -0.28624607]) {
      #expect(abs(mine.real - golden) < 1e-7 && abs(mine.imaginary) < 1e-12)
    }
    #expect(spectrum.explodes && !spectrum.vanishes)
  }

  /// The book's variant: seed 3 of the legacy generator, ×1 and ×0.5.
  @Test func theBooksGrowthAndDecay() throws {
    var legacy = NumPyRandomState(seed: 3)
    let matrix = try legacy.randn(shape: [3, 3])
    let spectrum = try RecurrentSpectrum(matrix)
    #expect(abs(spectrum.largestSingularValue - 2.65942893) < 1e-7)
    for (factor, expected) in [
      (1.0, [2.46840681, 3.33570497, 4.78327938, 249.495615]),
      (0.5, [1.23420340, 0.83392624, 0.59790992, 2.3793756e-4]),
    ] {
      var states: [Double] = []
      var dh = [1.0, 1, 1]
      for _ in 0..<20 {
        dh = backwards(dh, matrix.elements.map { $0 * factor })
        states += dh + dh
      }
      let norms = try NDArray(shape: [20, 2, 3], elements: states).normsByStep()
      let found = (norms.prefix(3) + norms.suffix(1)).map { $0 / 2 }
      for (mine, golden) in zip(found, expected) { #expect(abs(mine / golden - 1) < 1e-7) }
    }
  }

  @Test(arguments: [
    (
      2, GoldenNumbers.random.doubles("matrix2"), GoldenNumbers.random.doubles("eigenvalueSizes2"),
      GoldenNumbers.random.doubles("singularValues2")
    ),
    (
      7, GoldenNumbers.random.doubles("matrix7"), GoldenNumbers.random.doubles("eigenvalueSizes7"),
      GoldenNumbers.random.doubles("singularValues7")
    ),
    (
      24, GoldenNumbers.random.doubles("matrix24"),
      GoldenNumbers.random.doubles("eigenvalueSizes24"),
      GoldenNumbers.random.doubles("singularValues24")
    ),
  ])
  func randomMatricesAgreeWithLAPACK(
    _ size: Int, _ matrix: [Double], _ eigenvalueSizes: [Double], _ singularValues: [Double]
  ) throws {
    let spectrum = try RecurrentSpectrum(NDArray(shape: [size, size], elements: matrix))
    #expect(spectrum.eigenvalues.count == size && spectrum.singularValues.count == size)
    for (mine, golden) in zip(spectrum.values.map(\.size), eigenvalueSizes) {
      #expect(abs(mine - golden) < 1e-12)
    }
    for (mine, golden) in zip(spectrum.singularValues, singularValues) {
      #expect(abs(mine - golden) < 1e-12)
    }
    // The trace is the sum of the eigenvalues.
    let trace = (0..<size).reduce(0) { $0 + matrix[$1 * (size + 1)] }
    let sum = spectrum.values.reduce(Complex(0), +)
    #expect(abs(sum.real - trace) < 1e-12 && abs(sum.imaginary) < 1e-12)
  }

  /// Matrices on which iterations stall or divide by zero.
  @Test func awkwardMatrices() throws {
    func spectrum(_ size: Int, _ elements: [Double]) throws -> RecurrentSpectrum {
      try RecurrentSpectrum(NDArray(shape: [size, size], elements: elements))
    }
    // A rotation: a complex pair of size 1. A cyclic shift: four values on the unit circle.
    let rotation = try spectrum(2, [0, -1, 1, 0])
    #expect(abs(rotation.spectralRadius - 1) < 1e-14)
    #expect(abs(abs(rotation.eigenvalues[0].imaginary) - 1) < 1e-14)
    let shift = try spectrum(4, [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0])
    for value in shift.values { #expect(abs(value.size - 1) < 1e-13) }
    // Nilpotent: radius 0 and yet transient growth.
    let nilpotent = try spectrum(3, [0, 5, 0, 0, 0, 7, 0, 0, 0])
    #expect(nilpotent.spectralRadius < 1e-4 && nilpotent.largestSingularValue == 7)
    #expect(!nilpotent.vanishes && !nilpotent.explodes)
    #expect(try spectrum(3, [Double](repeating: 0, count: 9)).vanishes)
    #expect(try spectrum(1, [-0.5]).spectralRadius == 0.5)
    #expect(try spectrum(0, []).spectralRadius == 0)
    #expect(abs(try spectrum(2, [1e200, 0, 0, 2e200]).largestSingularValue / 2e200 - 1) < 1e-14)
    #expect(abs(try spectrum(2, [1e-200, 0, 0, 2e-200]).largestSingularValue / 2e-200 - 1) < 1e-14)
    let rankOne = try spectrum(3, [1, 2, 3, 2, 4, 6, 3, 6, 9])
    #expect(abs(rankOne.spectralRadius - 14) < 1e-12)
    #expect(rankOne.singularValues[1] < 1e-12)
  }

  @Test func gatesAreExaminedOneByOne() throws {
    let weights = try NDArray<Float>(
      shape: [6, 2], elements: [1, 0, 0, 2, 3, 0, 0, 0, 0, 5, 0, 0])
    #expect(try RecurrentSpectrum.gates(weights).map(\.spectralRadius) == [2, 3, 0])
    #expect(try RecurrentSpectrum.gates(weights).map(\.largestSingularValue) == [2, 3, 5])
    #expect(throws: RecurrentError.self) {
      try RecurrentSpectrum.gates(NDArray<Float>(zeros: [5, 2]))
    }
    #expect(throws: RecurrentError.self) { try RecurrentSpectrum(NDArray<Float>(zeros: [3, 2])) }
    #expect(throws: RecurrentError.self) {
      try RecurrentSpectrum(NDArray(shape: [1, 1], elements: [Double.nan]))
    }
  }

  @Test func deviationsAndTheirGrowth() throws {
    let a = NDArray<Double>(zeros: [6, 2])
    var b = a
    for step in 1..<5 { b.elements[2 * step + 1] = -1e-9 * [1, 3, 9, 27, 81][step] }
    b.elements[10] = 1e-9
    let deviation = try a.deviation(from: b)
    #expect(deviation.perStep.count == 6 && deviation.perStep[0] == 0)
    #expect(abs(deviation.growth - 3) < 1e-12)
    #expect(try a.deviation(from: a).growth == 1)
    #expect(throws: RecurrentError.self) { _ = try a.deviation(from: NDArray(zeros: [2, 6])) }
    #expect(throws: RecurrentError.self) { try NDArray<Float>(zeros: []).normsByStep() }
  }
}
