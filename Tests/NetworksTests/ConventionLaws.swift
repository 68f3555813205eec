import Networks
import NetworksTestSupport
import RNNEngine
import Tensors
import Testing

@Suite("Every convention decodes what it encodes")
struct ConventionLaws {
  @Test func everyConventionIsCovered() {
    #expect(Set(expressible.map(\.0.name)) == Set(Convention.all.map(\.name)))
    #expect(expressible.filter { $0.0.name == "torch" }.count == architectures.count)
  }

  /// Each element of each stored tensor belongs to exactly one slot (or one sum), and each canonical
  /// element is stored exactly once.
  @Test(arguments: expressible.indices)
  func everyElementIsCoveredOnce(_ index: Int) throws {
    let (convention, architecture) = expressible[index]
    var slots: [Slot] = []
    for stored in try convention.storedTensors(of: architecture) {
      var covered = [Int](repeating: 0, count: stored.shape.reduce(1, *))
      for placement in stored.placements {
        slots += placement.slots
        let size = placement.slots[0].size(in: architecture)
        for slot in placement.slots { #expect(slot.size(in: architecture) == size) }
        for row in 0..<size.rows {
          for column in 0..<size.columns {
            covered[
              placement.offset + row * placement.rowStride + column * placement.columnStride] += 1
          }
        }
      }
      #expect(covered.allSatisfy { $0 == 1 }, "\(convention.name) \(stored.name)")
    }
    #expect(slots.count == Set(slots).count)
    let omissions = try omitted(convention, architecture)
    #expect(Set(slots).union(omissions) == Set(Slot.all(in: architecture)))
    // NNX's GRU has no recurrent bias; nothing else may be left out.
    #expect(omissions.allSatisfy { $0.role == .biasHH && $0.gate == 2 })
    #expect(omissions.isEmpty || (convention.name == "nnx" && architecture.cell == .gru))
  }

  /// decode ∘ encode is the identity, up to the sums.
  @Test(arguments: expressible.indices)
  func decodingUndoesEncoding(_ index: Int) throws {
    let (convention, architecture) = expressible[index]
    let canonical = try Network.parameterTensors(of: architecture)
    let original = try CanonicalWeights(
      canonicalState(architecture, zeros: omitted(convention, architecture)),
      architecture: architecture, tensors: canonical)
    let isKeras = convention.name == "keras"
    let tensors = try convention.storedTensors(
      of: architecture,
      naming: isKeras
        ? Naming(recurrent: "", head: "layers/dense/vars/#", embedding: "layers/embedding/vars/#")
        : Naming.customary(for: architecture))
    let encoded = try original.encoded(as: tensors)
    let decoded = try CanonicalWeights(encoded, architecture: architecture, tensors: tensors)
    // Compared through sums where the convention sums, exactly elsewhere.
    let table = decoded.merged.isEmpty ? canonical : StoredTensor.summingBiases(canonical)
    let (before, after) = try (original.encoded(as: table), decoded.encoded(as: table))
    #expect(before.names == after.names)
    for entry in before.entries {
      let other = try #require(after[entry.name])
      #expect(try entry.tensor.isIdentical(to: other), "\(convention.name) \(entry.name)")
    }
    // And encode ∘ decode is the identity without exception.
    let again = try decoded.encoded(as: tensors)
    for entry in encoded.entries {
      let other = try #require(again[entry.name])
      #expect(try entry.tensor.isIdentical(to: other), "\(convention.name) \(entry.name)")
    }
  }

  @Test(arguments: [DType.f16, .bf16, .f32])
  func narrowTypesMoveAsBytes(_ dtype: DType) throws {
    let architecture = Architecture(inputSize: 3, hiddenSize: 5)
    let tensors = try Convention.textbookD3.storedTensors(of: architecture)
    // Every byte pattern, signalling NaNs included.
    var state = StateDict()
    var byte: UInt8 = 0
    for stored in tensors {
      let bytes = (0..<stored.shape.reduce(dtype.byteCount, *)).map { _ -> UInt8 in
        byte &+= 37
        return byte
      }
      try state.append(stored.name, Tensor(dtype: dtype, shape: stored.shape, bytes: bytes))
    }
    let decoded = try CanonicalWeights(state, architecture: architecture, tensors: tensors)
    for entry in try decoded.encoded(as: tensors).entries {
      let original = try #require(state[entry.name])
      #expect(try entry.tensor.isIdentical(to: original))
    }
    // The second bias is zero, and the first holds the file's bytes.
    let canonical = try Network.parameterTensors(of: architecture)
    let both = try decoded.encoded(as: canonical)
    #expect(try both["bias_ih_l0"]?.bytes() == state["b"]?.bytes())
    #expect(try both["bias_hh_l0"]?.bytes().allSatisfy { $0 == 0 } == true)
  }

  @Test func textbookMatricesLieAsTheDocumentsWriteThem() throws {
    let architecture = Architecture(
      inputSize: 3, hiddenSize: 5, head: .init(classCount: 7, bias: true))
    func shapes(_ convention: Convention) throws -> [String: [Int]] {
      Dictionary(
        uniqueKeysWithValues: try convention.storedTensors(of: architecture).map {
          ($0.name.string, $0.shape)
        })
    }
    #expect(
      try shapes(.textbookD0) == [
        "Wxh": [5, 3], "Wah": [5, 5], "bh": [5], "Wao": [7, 5], "bo": [7],
      ])
    #expect(
      try shapes(.textbookD1) == [
        "Wxh": [3, 5], "Whh": [5, 5], "bh": [1, 5], "Why": [5, 7], "by": [1, 7],
      ])
    let error = #expect(throws: RecurrentError.self) { try shapes(.textbookD3) }
    #expect(error?.reason.code == "convention.inexpressible")
  }
}
