import RNNEngine
import Tensors

/// A network's parameters by slot, in PyTorch's orientation and the file's element type.
///
/// Nothing is read until bytes are asked for, and then a block at a time. No arithmetic touches the
/// elements: they move as bytes, so NaN payloads and −0 survive. Only a convention that stores a sum
/// of biases makes the one rounding that the sum needs.
public struct CanonicalWeights: Sendable {
  /// The network.
  public let architecture: Architecture
  /// The element type of all parameters.
  public let dtype: DType
  /// Where the elements of each slot lie, as views of (rows, columns); merged slots have none.
  private let blocks: [Slot: StridedView]
  /// Slots that the file does not store apart (the second bias of a one-bias convention).
  public let merged: Set<Slot>

  /// How a tensor that holds a sum is made.
  public enum SumRule: Sendable {
    /// Add the parameters, rounding once to the element type.
    case add
    /// Take the first: the gradient of a sum is the gradient of each of its terms.
    case first
  }

  /// Reads the parameters of a recognised network.
  public init(_ state: StateDict, _ recognition: Recognition) throws {
    try self.init(state, architecture: recognition.architecture, tensors: recognition.tensors)
  }

  /// Reads parameters by a table; throws `weights.missing` when a tensor is absent, and
  /// `tensor.outside-storage` when it is too small.
  public init(_ state: StateDict, architecture: Architecture, tensors: [StoredTensor]) throws {
    self.architecture = architecture
    var blocks: [Slot: StridedView] = [:]
    var merged: Set<Slot> = []
    var dtype = DType.f32
    for stored in tensors {
      let place = "tensor \"\(stored.name)\""
      guard let tensor = state[stored.name] else {
        throw RecurrentError(
          .malformed, "weights.missing", at: place, found: "no such tensor",
          expected: "shape \(stored.shape)")
      }
      dtype = tensor.dtype
      for placement in stored.placements {
        let size = placement.slots[0].size(in: architecture)
        do {
          blocks[placement.slots[0]] = try StridedView(
            tensor.source, elementSize: dtype.byteCount, shape: [size.rows, size.columns],
            strides: [placement.rowStride, placement.columnStride], offset: placement.offset)
        } catch let error as RecurrentError {
          throw error.within(place)
        }
        merged.formUnion(placement.slots.dropFirst())
      }
    }
    self.dtype = dtype
    self.blocks = blocks
    self.merged = merged
  }

  /// The parameters in another convention, in its order of tensors, worked out when they are read.
  public func encoded(as tensors: [StoredTensor], sums: SumRule = .add) throws -> StateDict {
    var state = StateDict()
    for stored in tensors {
      let pieces = try stored.placements.map { placement in
        let slots = sums == .first ? placement.slots.prefix(1) : placement.slots[...]
        return RearrangedSource.Piece(
          terms: try slots.filter { !merged.contains($0) }.map { slot in
            guard let block = blocks[slot] else { throw Self.absent(slot) }
            return block
          }, placement: placement, size: placement.slots[0].size(in: architecture))
      }
      let source = try RearrangedSource(dtype, stored.shape, pieces)
      try state.append(stored.name, Tensor(dtype: dtype, shape: stored.shape, source: source))
    }
    return state
  }

  /// One block, or the sum of several, as a matrix in PyTorch's orientation.
  func matrix(_ slots: [Slot]) throws -> Tensor {
    let size = slots[0].size(in: architecture)
    let placement = Placement(
      slots: slots, offset: 0, rowStride: size.columns, columnStride: 1)
    let stored = StoredTensor(
      name: "block", shape: [size.rows, size.columns], placements: [placement])
    return try encoded(as: [stored]).entries[0].tensor
  }

  /// Whether writing by a table adds numbers that are not zero, and so rounds.
  func rounds(writing tensors: [StoredTensor]) throws -> Bool {
    for placement in tensors.flatMap(\.placements) {
      for slot in placement.slots.dropFirst() where !merged.contains(slot) {
        var isZero = true
        try matrix([slot]).source.forEachChunk { piece in
          isZero = isZero && piece.allSatisfy { $0 == 0 }
        }
        if !isZero { return true }
      }
    }
    return false
  }

  private static func absent(_ slot: Slot) -> RecurrentError {
    RecurrentError(
      .fault, "conversion.slot", at: "\(slot)", found: "no parameters", expected: "a block")
  }
}
