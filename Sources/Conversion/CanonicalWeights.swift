import RNNEngine
import Tensors

/// A network's parameters by slot, in PyTorch's orientation and the file's element type.
///
/// No arithmetic touches the elements: they move as bytes, so NaN payloads and −0 survive. Only a
/// convention that stores a sum of biases makes the one rounding that the sum needs.
public struct CanonicalWeights: Sendable {
  /// The network.
  public let architecture: Architecture
  /// The element type of all parameters.
  public let dtype: DType
  /// Row-major blocks.
  private(set) var blocks: [Slot: [UInt8]]
  /// Slots that the file does not store apart (the second bias of a one-bias convention).
  public private(set) var merged: Set<Slot>

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

  /// Reads parameters by a table; throws `weights.missing` when a tensor is absent.
  public init(_ state: StateDict, architecture: Architecture, tensors: [StoredTensor]) throws {
    self.architecture = architecture
    var blocks: [Slot: [UInt8]] = [:]
    var merged: Set<Slot> = []
    var dtype = DType.f32
    for stored in tensors {
      guard let tensor = state[stored.name] else {
        throw RecurrentError(
          .malformed, "weights.missing", at: "tensor \"\(stored.name)\"", found: "no such tensor",
          expected: "shape \(stored.shape)")
      }
      dtype = tensor.dtype
      let bytes = try tensor.bytes()
      let width = dtype.byteCount
      for placement in stored.placements {
        for (index, slot) in placement.slots.enumerated() {
          let size = slot.size(in: architecture)
          var block = [UInt8](repeating: 0, count: size.rows * size.columns * width)
          if index == 0 {
            placement.forEachElement(size) { inBlock, inTensor in
              for byte in 0..<width {
                block[inBlock * width + byte] = bytes[inTensor * width + byte]
              }
            }
            block = try Self.adding(placement.addend, to: block, dtype)
          } else {
            merged.insert(slot)
          }
          blocks[slot] = block
        }
      }
    }
    // What a convention has no place for is zero in every network that it holds.
    for slot in Slot.all(in: architecture) where blocks[slot] == nil {
      let size = slot.size(in: architecture)
      blocks[slot] = [UInt8](repeating: 0, count: size.rows * size.columns * dtype.byteCount)
    }
    self.dtype = dtype
    self.blocks = blocks
    self.merged = merged
  }

  private static func adding(
    _ addend: Double, to block: [UInt8], _ dtype: DType
  ) throws -> [UInt8] {
    guard addend != 0 else { return block }
    let shape = [block.count / dtype.byteCount]
    let values = try Tensor(dtype: dtype, shape: shape, bytes: block).doubles()
    return try Tensor.make(values.map { $0 + addend }, shape: shape).converted(to: dtype).0.bytes()
  }

  /// Writes the parameters in another convention, in its order of tensors.
  ///
  /// Throws `convention.inexpressible` when parameters that are not zero have no place in it.
  public func encoded(as tensors: [StoredTensor], sums: SumRule = .add) throws -> StateDict {
    var state = StateDict()
    if sums == .add { try checkOmissions(tensors) }
    let width = dtype.byteCount
    for stored in tensors {
      var bytes = [UInt8](repeating: 0, count: stored.shape.reduce(width, *))
      for placement in stored.placements {
        let size = placement.slots[0].size(in: architecture)
        let block = try Self.adding(
          sums == .add ? -placement.addend : 0, to: combined(placement.slots, size, sums), dtype)
        placement.forEachElement(size) { inBlock, inTensor in
          for byte in 0..<width {
            bytes[inTensor * width + byte] = block[inBlock * width + byte]
          }
        }
      }
      try state.append(stored.name, Tensor(dtype: dtype, shape: stored.shape, bytes: bytes))
    }
    return state
  }

  private func checkOmissions(_ tensors: [StoredTensor]) throws {
    let placed = Set(tensors.flatMap { $0.placements.flatMap(\.slots) })
    for slot in Slot.all(in: architecture) where !placed.contains(slot) {
      guard let block = blocks[slot], case .recurrent(let layer, _) = slot.part else { continue }
      let size = slot.size(in: architecture)
      let values = try Tensor(dtype: dtype, shape: [size.rows * size.columns], bytes: block)
      guard try values.doubles().allSatisfy({ $0 == 0 }) else {
        let gate = architecture.cell.gateNames[slot.gate]
        throw RecurrentError(
          .malformed, "convention.inexpressible", at: "layer \(layer)",
          found: "a \(slot.role.rawValue) of gate \(gate) that is not zero",
          expected: "zeros: the target has no place for it",
          hint: "Keep the torch convention, or choose a target that has this parameter.")
      }
    }
  }

  /// Whether writing by a table adds numbers that are not zero, and so rounds.
  func rounds(writing tensors: [StoredTensor]) -> Bool {
    tensors.contains { stored in
      stored.placements.contains { placement in
        placement.slots.dropFirst().contains { blocks[$0]?.contains { $0 != 0 } ?? false }
      }
    }
  }

  private func combined(_ slots: [Slot], _ size: (rows: Int, columns: Int), _ sums: SumRule)
    throws -> [UInt8]
  {
    guard let first = blocks[slots[0]] else { throw Self.absent(slots[0]) }
    let rest = sums == .first ? [] : slots.dropFirst().filter { slot in !merged.contains(slot) }
    guard !rest.isEmpty else { return first }
    let shape = [size.rows, size.columns]
    var sum = try Tensor(dtype: dtype, shape: shape, bytes: first).doubles()
    for slot in rest {
      guard let block = blocks[slot] else { throw Self.absent(slot) }
      let terms = try Tensor(dtype: dtype, shape: shape, bytes: block).doubles()
      for index in sum.indices { sum[index] += terms[index] }
    }
    return try Tensor.make(sum, shape: shape).converted(to: dtype).0.bytes()
  }

  private static func absent(_ slot: Slot) -> RecurrentError {
    RecurrentError(
      .fault, "conversion.slot", at: "\(slot)", found: "no parameters", expected: "a block")
  }
}

extension Placement {
  /// Calls `body` with the position of each element in the row-major block and in the stored tensor.
  func forEachElement(_ size: (rows: Int, columns: Int), _ body: (Int, Int) -> Void) {
    for row in 0..<size.rows {
      var position = offset + row * rowStride
      for column in 0..<size.columns {
        body(row * size.columns + column, position)
        position += columnStride
      }
    }
  }
}
