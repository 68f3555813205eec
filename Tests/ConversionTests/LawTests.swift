import Conversion
import Networks
import RNNEngine
import Tensors
import Testing

/// Architectures whose sizes all differ, so that no transposition can hide.
let architectures: [Architecture] = {
  var list: [Architecture] = []
  for cell in Cell.allCases {
    for layerCount in [1, 3] {
      for bidirectional in [false, true] {
        for bias in [true, false] {
          for head in [nil, Architecture.Head(classCount: 7, bias: bias)] {
            for projSize in cell.hasCellState ? [0, 2] : [0] {
              var architecture = Architecture(
                cell: cell, inputSize: 3, hiddenSize: 5, layerCount: layerCount,
                bidirectional: bidirectional, bias: bias, projSize: projSize, head: head)
              list.append(architecture)
              architecture.embedding = .init(tokenCount: 11)
              list.append(architecture)
              if cell == .gru {
                architecture.gruReset = .before
                list.append(architecture)
              }
            }
          }
        }
      }
    }
  }
  return list
}()

/// Conventions with the architectures that they have words for.
let expressible: [(Convention, Architecture)] = Convention.all.flatMap { convention in
  architectures.compactMap { architecture in
    (try? convention.storedTensors(of: architecture)).map { _ in (convention, architecture) }
  }
}

/// The parameters that a convention has no place for; they must be zero in what it holds.
func omitted(_ convention: Convention, _ architecture: Architecture) throws -> Set<Slot> {
  let tensors = try convention.storedTensors(of: architecture)
  return Set(Slot.all(in: architecture)).subtracting(
    tensors.flatMap { $0.placements.flatMap(\.slots) })
}

/// Weights in PyTorch's layout; every element is different, and only `zeros` are zero.
func canonicalState(
  _ architecture: Architecture, dtype: DType = .f64, zeros: Set<Slot> = []
) throws -> StateDict {
  var state = StateDict()
  var next = 1.0
  for stored in try Network.parameterTensors(of: architecture) {
    let count = stored.shape.reduce(1, *)
    var values = (0..<count).map { _ -> Double in
      next += 1
      return (next * 0.618).truncatingRemainder(dividingBy: 1) + next * 1e-6 - 0.5
    }
    for placement in stored.placements where zeros.contains(placement.slots[0]) {
      for row in 0..<placement.slots[0].size(in: architecture).rows {
        values[placement.offset + row * placement.rowStride] = 0
      }
    }
    try state.append(
      stored.name, Tensor.make(values, shape: stored.shape).converted(to: dtype).0)
  }
  return state
}

@Suite struct ConventionLaws {
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
    #expect(error?.reason == "convention.inexpressible")
  }
}
