import CKernels
import HostSystem
import Testing

@testable import RNNEngine

/// The instruction sets that this processor has; one that it has not cannot be tested here.
private let names: [String] = ["avx512", "avx2", "sse2", "neon"]
private let available = names.filter { ck_find(4, $0) != nil }

@Suite("Compiled kernels agree with the portable ones")
struct KernelTests {
  private func table<S>(_ name: String, _ type: S.Type) throws -> ck_kernels {
    try #require(ck_find(MemoryLayout<S>.size, name)).pointee
  }

  @Test func somethingIsAvailable() {
    #expect(!available.isEmpty)
    #expect(ck_find(4, "abacus") == nil && ck_find(2, nil) == nil)
    #expect(ck_find(4, nil) == ck_find(4, available[0]))
  }

  /// The largest error in units in the last place of the result, which may be subnormal.
  private func worst<S: Scalar & Sendable>(
    _ inputs: [S], _ function: (UnsafeRawPointer, UnsafeMutableRawPointer, Int) -> Void,
    _ exact: (Double) -> Double
  ) -> Double {
    var results = [S](repeating: 0, count: inputs.count)
    inputs.withUnsafeBytes { from in
      results.withUnsafeMutableBytes { to in
        guard let from = from.baseAddress, let to = to.baseAddress else { return }
        function(from, to, inputs.count)
      }
    }
    var worst = 0.0
    for (x, y) in zip(inputs, results) {
      let wanted = exact(Double(x))
      if wanted.isNaN {
        if !y.isNaN { return .infinity }
        continue
      }
      let unit = Double(max(S(wanted).ulp, S.leastNonzeroMagnitude))
      let error = Double(y) == wanted ? 0 : abs(Double(y) - wanted) / unit
      worst = max(worst, error)
    }
    return worst
  }

  @Test(arguments: available)
  func functionsAreAccurateOverTheWholeRange(_ name: String) throws {
    let table = try table(name, Float.self)
    // Every 8,191st bit pattern: all exponents, both signs, NaN and infinity.
    var inputs = stride(from: UInt32(0), to: .max - 8191, by: 8191).map { Float(bitPattern: $0) }
    inputs += [0, -0.0, .infinity, -.infinity, .nan, 0.625, -0.625, 88.8, -103.9, -104.1]
    #expect(worst(inputs, { table.tanh($0, $1, $2) }) { tanh($0) } < 1.5)
    #expect(
      worst(inputs, { table.sigmoid($0, $1, $2) }) {
        $0 < 0 ? exp($0) / (1 + exp($0)) : 1 / (1 + exp(-$0))
      }
        < 2.5)
  }

  // libm's double results are themselves off by up to half a unit or so.
  @Test(arguments: available)
  func functionsAreAccurateInDouble(_ name: String) throws {
    let table = try table(name, Double.self)
    var random = SplitMix64(state: 77)
    var inputs: [Double] = [
      0, -0.0, .infinity, -.infinity, .nan, 0x1p-1074, -0x1p-1074, 709.7, -745.2,
    ]
    for _ in 0..<40_000 {
      let u = Double.random(in: -1..<1, using: &random)
      inputs += [
        u, u * 20, u * 700, u * pow(2, -1000 * abs(Double.random(in: -1..<1, using: &random))),
      ]
    }
    #expect(worst(inputs, { table.tanh($0, $1, $2) }) { tanh($0) } <= 2)
    #expect(
      worst(inputs, { table.sigmoid($0, $1, $2) }) {
        $0 < 0 ? exp($0) / (1 + exp($0)) : 1 / (1 + exp(-$0))
      }
        < 3.5)
  }

  @Test(arguments: available)
  func signedZeroAndSubnormalsSurvive(_ name: String) throws {
    let table = try table(name, Float.self)
    let inputs: [Float] = [-0.0, 0x1p-149, -0x1p-140]
    var results = [Float](repeating: 7, count: 3)
    table.tanh(inputs, &results, 3)
    #expect(results.map(\.bitPattern) == inputs.map(\.bitPattern))
  }

  /// Every instruction set, every size of tile and tail, one row or many: the same sums.
  @Test(arguments: available)
  func productsAgreeWithThePortableOnes(_ name: String) throws {
    try products(name, Float.self, tolerance: 2e-5)
    try products(name, Double.self, tolerance: 1e-13)
  }

  private func products<S: Scalar>(_ name: String, _ type: S.Type, tolerance: S) throws {
    let compiled = try #require(CompiledKernels<S>(named: name))
    let portable = PortableKernels<S>()
    var random = SplitMix64(state: 5)
    for (rows, k, n) in [
      (1, 1, 1), (1, 37, 5), (2, 7, 70), (5, 64, 64), (7, 33, 131), (13, 19, 260), (1, 20, 600),
    ] {
      let a: NDArray<S> = random.array([rows, k])
      let b: NDArray<S> = random.array([k, n])
      let bias: NDArray<S> = random.array([n + 3])
      func run(_ kernels: any RecurrentKernels<S>) -> ([S], [S], [S], [S]) {
        var projected = [S](repeating: 0, count: rows * (n + 3))
        let weight = kernels.pack(b.elements, rowStride: n, columnStride: 1, rows: k, columns: n)
        kernels.project(
          a.elements, Block(rows: rows, columns: k), weight: weight, bias: bias.elements, width: n,
          into: &projected, stride: n + 3)
        var dInput = [S](repeating: 1, count: rows * n)
        kernels.addInputGradient(
          a.elements, Block(rows: rows, columns: k), weight: weight, inputSize: n,
          into: &dInput, isFirst: false)
        var dWeight = [S](repeating: 2, count: k * n)
        kernels.addWeightGradient(
          a.elements, Block(rows: rows, columns: k), input: dInput,
          Block(rows: rows, columns: n), into: &dWeight)
        var dBias = [S](repeating: 3, count: k)
        kernels.addBiasGradient(a.elements, Block(rows: rows, columns: k), into: &dBias)
        return (projected, dInput, dWeight, dBias)
      }
      let (ours, theirs) = (run(compiled), run(portable))
      for (x, y) in [
        (ours.0, theirs.0), (ours.1, theirs.1), (ours.2, theirs.2), (ours.3, theirs.3),
      ] {
        let deviation = zip(x, y).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? .infinity
        #expect(deviation < tolerance, "\(name) \(rows) × \(k) × \(n)")
      }
      // A row alone has the bits that it has among others.
      let alone = NDArray<S>(trusted: [1, k], Array(a.elements[..<k]))
      var first = [S](repeating: 0, count: n + 3)
      compiled.project(
        alone.elements, Block(rows: 1, columns: k),
        weight: compiled.pack(b.elements, rowStride: n, columnStride: 1, rows: k, columns: n),
        bias: bias.elements, width: n, into: &first, stride: n + 3)
      #expect(first == Array(ours.0[..<(n + 3)]))
    }
  }
}
