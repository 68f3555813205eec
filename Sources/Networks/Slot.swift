import RNNEngine
import Tensors

/// The address of one block of canonical parameters: PyTorch's matrices, cut into gates.
package struct Slot: Hashable, Sendable {
  /// Which part of the network.
  package enum Part: Hashable, Sendable {
    /// A recurrent layer (0 = first) in one direction (0 = forward, 1 = reverse).
    case recurrent(layer: Int, direction: Int)
    /// The table of vectors that token ids choose from, before the first layer.
    case embedding
    /// The linear layer on top.
    case head
  }

  /// What the block does.
  package enum Role: String, Hashable, Sendable {
    /// Multiplies the input of the layer.
    case weightIH = "weight_ih"
    /// Multiplies the hidden state.
    case weightHH = "weight_hh"
    /// Added to the input product.
    case biasIH = "bias_ih"
    /// Added to the recurrent product.
    case biasHH = "bias_hh"
    /// Projects an LSTM's state.
    case weightHR = "weight_hr"
    /// Multiplies the output of the last layer; or the vectors of an embedding.
    case weight
    /// Added to that product.
    case bias
  }

  /// The part of the network.
  package let part: Part
  /// The role within the part.
  package let role: Role
  /// The gate, in PyTorch's order; 0 where there are none.
  package let gate: Int

  /// The shape of the block in PyTorch's orientation: rows are outputs; a bias has one column.
  package func size(in architecture: Architecture) -> (rows: Int, columns: Int) {
    let hidden = architecture.hiddenSize
    switch (part, role) {
    case (.recurrent(let layer, _), .weightIH):
      return (hidden, architecture.inputSize(ofLayer: layer))
    case (.recurrent, .weightHH): return (hidden, architecture.stateSize)
    case (.recurrent, .weightHR): return (architecture.projSize, hidden)
    case (.recurrent, _): return (hidden, 1)
    case (.embedding, _):
      return (architecture.embedding?.tokenCount ?? 0, architecture.inputSize)
    case (.head, .weight):
      return (architecture.head?.classCount ?? 0, architecture.outputSize)
    case (.head, _): return (architecture.head?.classCount ?? 0, 1)
    }
  }

  /// All slots of an architecture, in PyTorch's order of parameters.
  package static func all(in architecture: Architecture) -> [Slot] {
    var slots: [Slot] = []
    if architecture.embedding != nil {
      slots.append(Slot(part: .embedding, role: .weight, gate: 0))
    }
    for layer in 0..<architecture.layerCount {
      for direction in 0..<architecture.directionCount {
        let part = Part.recurrent(layer: layer, direction: direction)
        let roles: [Role] =
          architecture.bias
          ? [.weightIH, .weightHH, .biasIH, .biasHH] : [.weightIH, .weightHH]
        for role in roles {
          for gate in architecture.cell.gateNames.indices {
            slots.append(Slot(part: part, role: role, gate: gate))
          }
        }
        if architecture.projSize > 0 {
          slots.append(Slot(part: part, role: .weightHR, gate: 0))
        }
      }
    }
    if let head = architecture.head {
      slots.append(Slot(part: .head, role: .weight, gate: 0))
      if head.bias { slots.append(Slot(part: .head, role: .bias, gate: 0)) }
    }
    return slots
  }
}

extension Cell {
  /// The gates of a cell in PyTorch's order; their names are those of the equations.
  package var gateNames: [String] {
    switch self {
    case .rnnTanh, .rnnRelu: ["h"]
    case .lstm: ["i", "f", "g", "o"]
    case .gru: ["r", "z", "n"]
    }
  }
}

/// Where in a stored tensor the elements of a slot lie.
package struct Placement: Sendable {
  /// The slots stored here; more than one means that the tensor holds their sum.
  package let slots: [Slot]
  /// The element that holds row 0, column 0.
  package let offset: Int
  /// Elements from one row of the slot to the next.
  package let rowStride: Int
  /// Elements from one column of the slot to the next.
  package let columnStride: Int
  /// What the framework adds to the stored numbers when it runs.
  package var addend = 0.0
}

/// One tensor of a convention, and where the canonical parameters lie in it.
package struct StoredTensor: Sendable {
  /// The name in the file.
  package let name: Name
  /// The shape in the file.
  package let shape: [Int]
  /// The blocks that it consists of.
  package let placements: [Placement]

  /// A matrix that stacks the gates of one role in `order` (PyTorch gate numbers).
  ///
  /// `transposed` stores (inputs, gates × outputs), as row-vector code does; otherwise PyTorch's
  /// (gates × outputs, inputs).
  package static func matrix(
    _ name: Name, _ part: Slot.Part, _ role: Slot.Role, in architecture: Architecture,
    order: [Int]? = nil, transposed: Bool = false
  ) -> StoredTensor {
    let order = order ?? Self.gateOrder(part, role, architecture)
    let (rows, columns) = Slot(part: part, role: role, gate: 0).size(in: architecture)
    let stacked = order.count * rows
    let placements = order.enumerated().map { position, gate in
      Placement(
        slots: [Slot(part: part, role: role, gate: gate)],
        offset: transposed ? position * rows : position * rows * columns,
        rowStride: transposed ? 1 : columns, columnStride: transposed ? stacked : 1)
    }
    return StoredTensor(
      name: name, shape: transposed ? [columns, stacked] : [stacked, columns],
      placements: placements)
  }

  /// A vector that stacks the gates of one role, or of the sum of several roles.
  ///
  /// `asRow` stores (1, n) instead of (n).
  package static func vector(
    _ name: Name, _ part: Slot.Part, _ roles: [Slot.Role], in architecture: Architecture,
    order: [Int]? = nil, asRow: Bool = false
  ) -> StoredTensor {
    let order = order ?? Self.gateOrder(part, roles[0], architecture)
    let rows = Slot(part: part, role: roles[0], gate: 0).size(in: architecture).rows
    let placements = order.enumerated().map { position, gate in
      Placement(
        slots: roles.map { Slot(part: part, role: $0, gate: gate) }, offset: position * rows,
        rowStride: 1, columnStride: 1)
    }
    let count = order.count * rows
    return StoredTensor(
      name: name, shape: asRow ? [1, count] : [count], placements: placements)
  }

  /// The same tensors with the two biases of each layer stored as one sum.
  package static func summingBiases(_ tensors: [StoredTensor]) -> [StoredTensor] {
    tensors.compactMap { stored in
      guard let role = stored.placements.first?.slots.first?.role else { return stored }
      if role == .biasHH { return nil }
      guard role == .biasIH else { return stored }
      let placements = stored.placements.map { placement in
        Placement(
          slots: placement.slots.flatMap {
            [$0, Slot(part: $0.part, role: .biasHH, gate: $0.gate)]
          }, offset: placement.offset, rowStride: placement.rowStride,
          columnStride: placement.columnStride)
      }
      return StoredTensor(name: stored.name, shape: stored.shape, placements: placements)
    }
  }

  private static func gateOrder(
    _ part: Slot.Part, _ role: Slot.Role, _ architecture: Architecture
  ) -> [Int] {
    guard case .recurrent = part, role != .weightHR else { return [0] }
    return Array(architecture.cell.gateNames.indices)
  }
}
