import Bytes
import RNNEngine
import Tensors

/// A network's parameters by slot, in PyTorch's orientation and the file's element type.
///
/// Nothing is read until bytes are asked for, and then a block at a time. No arithmetic touches the
/// elements: they move as bytes, so NaN payloads and −0 survive. Only a convention that stores a sum
/// of biases, or numbers that its framework adds to, makes the one rounding that the sum needs.
package struct CanonicalWeights: Sendable {
  /// The network.
  package let architecture: Architecture
  /// The element type of the parameters; of the recurrent ones where modules differ.
  package let dtype: DType
  /// The element types of single slots, where modules differ.
  private let dtypes: [Slot: DType]
  /// Where the elements of each slot lie; what the file has no place for is zero and has none.
  private let blocks: [Slot: RearrangedSource.Term]
  /// Slots that the file does not store apart (the second bias of a one-bias convention).
  package let merged: Set<Slot>
  /// Where matrices are transposed.
  private let scratch = TileScratch()

  /// How a tensor that holds a sum is made.
  package enum SumRule: Sendable {
    /// Add the parameters, rounding once to the element type.
    case add
    /// Take the first: the gradient of a sum is the gradient of each of its terms.
    case first
  }

  /// Reads the parameters of a recognised network.
  package init(_ state: StateDict, _ recognition: Recognition) throws {
    try self.init(state, architecture: recognition.architecture, tensors: recognition.tensors)
  }

  /// Reads parameters by a table; throws `weights.missing` when a tensor is absent, and
  /// `tensor.outside-storage` when it is too small.
  package init(_ state: StateDict, architecture: Architecture, tensors: [StoredTensor]) throws {
    self.architecture = architecture
    var blocks: [Slot: RearrangedSource.Term] = [:]
    var merged: Set<Slot> = []
    var dtypes: [Slot: DType] = [:]
    for stored in tensors {
      let tensor = try state.required(stored)
      let dtype = tensor.dtype
      for placement in stored.placements {
        for slot in placement.slots { dtypes[slot] = dtype }
        let size = placement.slots[0].size(in: architecture)
        do {
          let view = try StridedView(
            tensor.source, elementSize: dtype.byteCount, shape: [size.rows, size.columns],
            strides: [placement.rowStride, placement.columnStride], offset: placement.offset)
          blocks[placement.slots[0]] = RearrangedSource.Term(
            view: view, addend: placement.addend)
        } catch let error as RecurrentError {
          throw error.within("tensor \"\(stored.name)\"")
        }
        merged.formUnion(placement.slots.dropFirst())
      }
    }
    let recurrent = tensors.first { stored in
      if case .recurrent? = stored.placements.first?.slots.first?.part { true } else { false }
    }
    dtype = (recurrent ?? tensors.first).flatMap { state[$0.name]?.dtype } ?? .f32
    self.dtypes = dtypes
    self.blocks = blocks
    self.merged = merged
  }

  /// The parameters in another convention, in its order of tensors, worked out when they are read.
  ///
  /// Throws `convention.inexpressible` when parameters that are not zero have no place in it.
  package func encoded(as tensors: [StoredTensor], sums: SumRule = .add) throws -> StateDict {
    if sums == .add { try checkOmissions(tensors) }
    var state = StateDict()
    for stored in tensors { try state.append(stored.name, tensor(stored, sums)) }
    return state
  }

  /// A block, or the sum of several, as the placement stores it, rows or columns first, but as a matrix of
  /// its own.
  package func matrix(_ placement: Placement) throws -> Tensor {
    let size = placement.slots[0].size(in: architecture)
    let isTransposed = placement.rowStride < placement.columnStride
    let alone = Placement(
      slots: placement.slots, offset: 0, rowStride: isTransposed ? 1 : size.columns,
      columnStride: isTransposed ? size.rows : 1, addend: placement.addend)
    let shape = isTransposed ? [size.columns, size.rows] : [size.rows, size.columns]
    return try tensor(StoredTensor(name: "block", shape: shape, placements: [alone]), .add)
  }

  /// Whether each element of a stored tensor is exactly one parameter, and `original` has that apart from
  /// others too: comparing the parameters then compares the elements.
  package func isMade(of stored: StoredTensor, _ original: CanonicalWeights) -> Bool {
    let pieces = stored.placements.map { placement in
      RearrangedSource.Piece(
        terms: placement.slots.compactMap { original.blocks[$0] }, addend: -placement.addend,
        placement: placement, size: placement.slots[0].size(in: architecture))
    }
    return RearrangedSource.covers(stored.shape, exactlyBy: pieces)
  }

  /// Whether writing by a table adds numbers that are not zero, and so rounds.
  package func rounds(writing tensors: [StoredTensor]) throws -> Bool {
    for placement in tensors.flatMap(\.placements) {
      if let first = blocks[placement.slots[0]], first.addend != placement.addend { return true }
      for slot in placement.slots.dropFirst() where try !isZero(slot) { return true }
    }
    return false
  }

  /// Whether all bytes of a slot are zero; most slots that are asked for are biases.
  package func isZero(_ slot: Slot) throws -> Bool {
    guard blocks[slot] != nil else { return true }
    var isZero = true
    try matrix(Placement(slots: [slot], offset: 0, rowStride: 0, columnStride: 0)).source
      .forEachChunk { piece in isZero = isZero && piece.allSatisfy { $0 == 0 } }
    return isZero
  }

  /// The element type of a stored tensor: that of the parameters in it.
  package func dtype(of stored: StoredTensor) -> DType {
    stored.placements.lazy.flatMap(\.slots).compactMap { dtypes[$0] }.first ?? dtype
  }

  /// Whether modules of different element types were read.
  package var mixesTypes: Bool { Set(dtypes.values).count > 1 }

  private func tensor(_ stored: StoredTensor, _ sums: SumRule) throws -> Tensor {
    let dtype = dtype(of: stored)
    let pieces = stored.placements.map { placement in
      let slots = sums == .first ? placement.slots.prefix(1) : placement.slots[...]
      return RearrangedSource.Piece(
        terms: slots.compactMap { blocks[$0] }, addend: sums == .add ? -placement.addend : 0,
        placement: placement, size: placement.slots[0].size(in: architecture))
    }
    return try Tensor(
      dtype: dtype, shape: stored.shape,
      source: RearrangedSource(dtype, stored.shape, pieces, scratch: scratch))
  }

  private func checkOmissions(_ tensors: [StoredTensor]) throws {
    let placed = Set(tensors.flatMap { $0.placements.flatMap(\.slots) })
    for slot in Slot.all(in: architecture) where !placed.contains(slot) {
      guard case .recurrent(let layer, _) = slot.part, try !isZero(slot) else { continue }
      let gate = architecture.cell.gateNames[slot.gate]
      throw RecurrentError(
        .conventionInexpressible, at: "layer \(layer)",
        found: "a \(slot.role.rawValue) of gate \(gate) that is not zero",
        expected: "zeros: the target has no place for it",
        hint: "Keep the torch convention, or choose a target that has this parameter.")
    }
  }
}

extension StateDict {
  /// The tensor of a table's row; throws `weights.missing`.
  package func required(_ stored: StoredTensor) throws -> Tensor {
    guard let tensor = self[stored.name] else {
      throw RecurrentError(
        .weightsMissing, at: "tensor \"\(stored.name)\"", found: "no such tensor",
        expected: "shape \(stored.shape)")
    }
    return tensor
  }
}
