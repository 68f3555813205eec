import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// Weights in other forms, and checkpoints with several state dicts.
@Suite("Weights in other forms, and checkpoints with several state dicts")
struct TorchFormsTests {
  private struct Expected: Decodable {
    var tensors: [[Field]]
    var skipped: [String]
    var refused: [String]
  }

  private enum Field: Decodable {
    case name(String)
    case shape([Int])
    case values([Double])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self = .name(text)
      } else if let shape = try? container.decode([Int].self) {
        self = .shape(shape)
      } else {
        self = .values(try container.decode([Double].self))
      }
    }

    var values: [Double]? {
      switch self {
      case .values(let values): values
      case .shape(let whole): whole.map(Double.init)
      case .name: nil
      }
    }
  }

  @Test func formsAreWorkedOutOrRefused() throws {
    let files = try Golden.decode([String: Expected].self, "pt-forms/expected.json")
    #expect(files.count == 12)
    for (file, expected) in files {
      let state = try WeightFile(path: Checkout.golden("pt-forms/" + file)).state
      #expect(state.count == expected.tensors.count, "\(file): \(state.names)")
      for (entry, fields) in zip(state.entries, expected.tensors) {
        guard fields.count == 3, case .name(let name) = fields[0],
          case .shape(let shape) = fields[1]
        else {
          Issue.record("expected.json is broken for \(file)")
          return
        }
        #expect(entry.name.string == name, "\(file)")
        #expect(entry.tensor.shape == shape, "\(file): \(name)")
        #expect(try entry.tensor.doubles() == fields[2].values, "\(file): \(name)")
      }
      for line in expected.skipped {
        #expect(state.skipped.contains(line), "\(file): \(state.skipped)")
      }
      let refused = state.structure?.modules.filter { $0.refusal != nil }.map(\.name) ?? []
      #expect(refused == expected.refused, "\(file)")
      let code = file == "max-norm.pt" ? "pt.max-norm" : "pt.parametrisation"
      let codes = state.structure?.modules.compactMap { $0.refusal?.reason.code } ?? []
      #expect(codes.allSatisfy { $0 == code }, "\(file)")
      #expect((state.structure == nil) == expected.refused.isEmpty, "\(file)")
    }
  }

  @Test func piecesOfPrunedWeightsAgreeWithTheWhole() throws {
    var state = StateDict()
    try state.append("a.w_orig", .make((0..<15).map { Float($0 * 7 % 11) - 4 }, shape: [3, 5]))
    try state.append("a.w_mask", .make((0..<15).map { Float($0 % 2) }, shape: [3, 5]))
    let pruned = try #require(try state.foldingReparametrisations()["a.w"])
    let bytes = try pruned.bytes()
    for start in 0..<bytes.count {
      #expect(try pruned.source.read(start..<bytes.count) == Array(bytes[start...]))
    }
  }
}
