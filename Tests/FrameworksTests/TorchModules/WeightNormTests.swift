import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("Reparametrised weights are what PyTorch computes from them")
struct WeightNormTests {
  private enum Field: Decodable {
    case shape([Int])
    case values([Double])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let shape = try? container.decode([Int].self) {
        self = .shape(shape)
      } else {
        self = .values(try container.decode([Double].self))
      }
    }
  }

  @Test func foldedWeightsAreThoseOfPyTorch() throws {
    let expected = try Golden.decode([String: [String: [Field]]].self, "weight-norm/expected.json")
    #expect(expected.count == 4)
    for (file, tensors) in expected {
      let weights = try WeightFile(path: Checkout.golden("weight-norm/" + file)).state
      #expect(weights.count == 10, "\(file): \(weights.names)")
      #expect(weights.skipped.count == 5)
      #expect(weights.skipped.allSatisfy { $0.hasPrefix("weight normalisation of ") })
      for (name, fields) in tensors {
        guard fields.count == 2, case .shape(let shape) = fields[0],
          case .values(let values) = fields[1]
        else {
          Issue.record("expected.json is broken for \(file)")
          return
        }
        let tensor = try #require(weights[Name(name)], "\(file): \(name)")
        #expect(tensor.shape == shape)
        // PyTorch sums in the element type: one or two roundings differ.
        let tolerance = file.hasSuffix("f64.pt") ? 4e-16 : 2.4e-7
        for (ours, theirs) in zip(try tensor.doubles(), values) {
          #expect(abs(ours - theirs) <= tolerance * abs(theirs), "\(file): \(name)")
        }
      }
    }
  }

  @Test func piecesOfFoldedWeightsAgreeWithTheWhole() throws {
    var state = StateDict()
    try state.append("a.w_v", .make((0..<15).map { Float($0 * 7 % 11) - 4 }, shape: [3, 5]))
    try state.append("a.w_g", .make([Float(2), -3, 0.5], shape: [3, 1]))
    let folded = try #require(try state.foldingWeightNorm()["a.w"])
    let bytes = try folded.bytes()
    for start in 0..<bytes.count {
      #expect(try folded.source.read(start..<bytes.count) == Array(bytes[start...]))
    }
  }

  @Test(arguments: [DType.f16, .bf16])
  func halfWeightsAreRoundedOnce(dtype: DType) throws {
    var state = StateDict()
    let direction = try Tensor.make([Float(3), 4, -1.5, 2], shape: [2, 2])
    try state.append("w_g", Tensor.make([Float(10), 5], shape: [2, 1]).converted(to: dtype).0)
    try state.append("w_v", direction.converted(to: dtype).0)
    #expect(try state.foldingWeightNorm()["w"]?.doubles() == [6, 8, -3, 4])
  }

  @Test func whatOnlyLooksNormalizedStays() throws {
    let vector = try Tensor.make([Float(1), 2, 3], shape: [3])
    let matrix = try Tensor.make([Float(1), 2, 3, 4, 5, 6], shape: [2, 3])
    let whole = try Tensor.make([Float(1), 2, 3, 4], shape: [2, 2])
    let cases: [[(Name, Tensor)]] = [
      [("a_g", vector), ("a_v", matrix)], [("a_g", whole), ("a_v", whole)], [("a_v", matrix)],
      [("a", matrix), ("a_g", vector), ("a_v", matrix)],
      [("a_g", try matrix.converted(to: .f64).0), ("a_v", matrix)],
      [("parametrizations.a.original0", vector), ("parametrizations.a.original", matrix)],
    ]
    for tensors in cases {
      var state = StateDict()
      for (name, tensor) in tensors { try state.append(name, tensor) }
      let folded = try state.foldingWeightNorm()
      #expect(folded.names == state.names)
      #expect(folded.skipped.isEmpty)
    }
  }
}
