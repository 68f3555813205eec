import Bytes
import Containers
import Foundation
import Frameworks
import NetworksTestSupport
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import Conversion
@testable import Networks

/// Matrices that are larger than a tile, or made of several blocks of which not all are there.
@Suite("Matrices larger than a tile are transposed and proven bit for bit")
struct TransposingTests {
  private func weights(_ hidden: Int = 90) throws -> CanonicalWeights {
    let architecture = Architecture(cell: .lstm, inputSize: hidden + 1, hiddenSize: hidden)
    return try CanonicalWeights(
      canonicalState(architecture), architecture: architecture,
      tensors: Network.parameterTensors(of: architecture))
  }

  @Test(arguments: [("keras", 700), ("flax", 90), ("onnx", 91), ("torch", 90), ("mlx", 33)])
  func runsAreTheBytesInOrder(_ name: String, _ hidden: Int) throws {
    let weights = try weights(hidden)
    let stored = try Convention.named(name).storedTensors(of: weights.architecture)
    for entry in try weights.encoded(as: stored).entries {
      let bytes = try entry.tensor.bytes()
      for order in [RunOrder.forwards, .any] {
        var (found, sum) = ([UInt8](repeating: 0xAA, count: bytes.count), 0)
        try entry.tensor.source.forEachRun(order) { offset, run in
          found.replaceSubrange(offset..<offset + run.count, with: run)
          sum += run.count
        }
        #expect(sum == bytes.count && found == bytes, "\(name) \(entry.name)")
      }
    }
  }

  @Test func keepsWhatNoBlockCoversZero() throws {
    let slot = Slot(part: .recurrent(layer: 0, direction: 0), role: .weightHH, gate: 0)
    let (rows, columns, width) = (300, 500, 400)
    let numbers = (1...rows * columns).map { Float($0) }
    let view = try StridedView(
      MemorySource(numbers.withUnsafeBytes { Array($0) }), elementSize: 4,
      shape: [rows, columns], strides: [columns, 1], offset: 0)
    // Transposed, in the middle of longer lines.
    let source = try RearrangedSource(
      .f32, [columns + 1, width],
      [
        .init(
          terms: [.init(view: view, addend: 0)], addend: 0,
          placement: Placement(
            slots: [slot], offset: width + 30, rowStride: 1, columnStride: width),
          size: (rows: rows, columns: columns))
      ])
    #expect(source.isTiled)
    var expected = [Float](repeating: 0, count: (columns + 1) * width)
    for row in 0..<rows {
      for column in 0..<columns {
        expected[(column + 1) * width + 30 + row] = numbers[row * columns + column]
      }
    }
    let bytes = expected.withUnsafeBytes { Array($0) }
    #expect(try source.readAll() == bytes)
    var found = [UInt8](repeating: 0xAA, count: bytes.count)
    try source.forEachRun(.any) { offset, run in
      found.replaceSubrange(offset..<offset + run.count, with: run)
    }
    #expect(found == bytes)
  }

  /// Only tensors of which every element is compared with a parameter are not compared with the plan.
  @Test func whatIsProvenByItsParameters() throws {
    let original = try weights()
    func proven(_ name: String) throws -> [String] {
      let stored = try Convention.named(name).storedTensors(of: original.architecture)
      let converted = try CanonicalWeights(
        original.encoded(as: stored, sums: .first), architecture: original.architecture,
        tensors: stored)
      return stored.filter { converted.isMade(of: $0, original) }.map(\.name.string)
    }
    let all = try proven("torch")
    #expect(all.count == 4)
    // A bias that is a sum is not.
    let keras = try Convention.named("keras").storedTensors(of: original.architecture)
    let sums = Set(
      keras.filter { $0.placements.contains { $0.slots.count > 1 } }.map(\.name.string))
    #expect(!sums.isEmpty)
    #expect(try Set(proven("keras")) == Set(keras.map(\.name.string)).subtracting(sums))
    // Nor is one with a hole, or with two blocks in one place.
    let torch = try Convention.named("torch").storedTensors(of: original.architecture)
    let matrix = try #require(torch.first)
    let holed = StoredTensor(
      name: matrix.name, shape: matrix.shape, placements: Array(matrix.placements.dropLast()))
    let twice = StoredTensor(
      name: matrix.name, shape: matrix.shape, placements: holed.placements + [holed.placements[0]])
    #expect(original.isMade(of: matrix, original))
    #expect(!original.isMade(of: holed, original) && !original.isMade(of: twice, original))
  }

  /// A large network: what was written is read back, transposed, and one changed bit is found.
  @Test(arguments: ["safetensors", "pt", "h5"]) func theProofFindsOneBit(_ kind: String) throws {
    let directory = try newFolder()
    defer { remove(directory) }
    let weights = try weights()
    let torch = try Convention.named("torch").storedTensors(of: weights.architecture)
    let input = directory + "/in.safetensors"
    try WeightFormat.safetensors.write(weights.encoded(as: torch), to: input) { _ in }
    var options = ConversionOptions()
    options.convention = try Convention.named("keras")
    options.largestRun = 0
    let output = "\(directory)/out.\(kind)"
    let proof = try ConversionPlan(from: input, to: output, options: options).execute()
    guard case .sameParameters = proof else { return #expect(Bool(false), "\(proof)") }

    // The proof's own comparison, with the file damaged behind the writer's back.
    let original = try Network(WeightFile(path: input).state)
    let found = try Network(
      WeightFile(path: output).state, options: ReadOptions(convention: options.convention))
    try found.checkParameters(are: original)
    for entry in found.recognition.tensors {
      var damaged = StateDict()
      for other in try WeightFile(path: output).state.entries {
        var bytes = try other.tensor.bytes()
        if other.name == entry.name { bytes[bytes.count / 3] ^= 1 }
        try damaged.append(
          other.name, Tensor(dtype: other.tensor.dtype, shape: other.tensor.shape, bytes: bytes))
      }
      let network = try Network(damaged, options: ReadOptions(convention: options.convention))
      let error = #expect(throws: RecurrentError.self) {
        try network.checkParameters(are: original)
      }
      #expect(error?.reason.code == "proof.read-back", "\(entry.name)")
    }
  }
}
