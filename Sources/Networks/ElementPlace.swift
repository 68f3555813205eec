import RNNEngine
import Tensors

/// Where an element of a tensor lies, in the words that a person looks for: row and column, and whose gate it is.
package struct ElementPlace: Sendable, Equatable {
  /// Its index.
  package let index: [Int]
  /// The gate that it belongs to, as the equations call it.
  package private(set) var gate: String?
  /// The unit of that gate.
  package private(set) var unit: Int?

  /// Finds the element `offset` of a tensor; `stored` knows the gates.
  package init(
    offset: Int, shape: [Int], stored: StoredTensor? = nil, in architecture: Architecture? = nil
  ) {
    var rest = offset
    index = Array(
      shape.reversed().map { size in
        defer { rest /= max(1, size) }
        return rest % max(1, size)
      }.reversed())
    guard let stored, let architecture, architecture.cell.gateNames.count > 1 else { return }
    for placement in stored.placements {
      guard let slot = placement.slots.first, case .recurrent = slot.part, slot.role != .weightHR,
        let row = placement.row(of: offset, slot.size(in: architecture))
      else { continue }
      (gate, unit) = (architecture.cell.gateNames[slot.gate], row)
      return
    }
  }

  /// `row 8, column 1 (gate f, unit 2)` of a matrix, `element 3` of a vector, `[0, 2, 1]` otherwise.
  package var words: String {
    let place =
      switch index.count {
      case 1: "element \(index[0])"
      case 2: "row \(index[0]), column \(index[1])"
      default: "\(index)"
      }
    guard let gate, let unit else { return place }
    return "\(place) (gate \(gate), unit \(unit))"
  }
}

extension Placement {
  /// The row of the block that an element of the tensor lies in; `nil` for one outside of the block.
  fileprivate func row(of element: Int, _ size: (rows: Int, columns: Int)) -> Int? {
    let distance = element - offset
    guard distance >= 0, rowStride > 0, columnStride > 0 else { return nil }
    let isRowMajor = rowStride >= columnStride
    let (outer, inner) = isRowMajor ? (rowStride, columnStride) : (columnStride, rowStride)
    let (first, second) = (distance / outer, distance % outer / inner)
    let (row, column) = isRowMajor ? (first, second) : (second, first)
    guard row < size.rows, column < size.columns,
      row * rowStride + column * columnStride == distance
    else { return nil }
    return row
  }
}

extension ModuleList {
  /// Where the gates lie in the tensors of every module that can be read.
  package var storedTensors: [Name: (stored: StoredTensor, architecture: Architecture)] {
    var result: [Name: (stored: StoredTensor, architecture: Architecture)] = [:]
    for module in modules {
      for stored in module.tensors { result[stored.name] = (stored, module.architecture) }
    }
    return result
  }
}
