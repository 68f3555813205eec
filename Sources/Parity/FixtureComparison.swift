import Networks
import Tensors

/// A fixture's checks with all their numbers, and which gate of which layer each number belongs to.
package struct FixtureComparison: Sendable {
  /// Every expected tensor against what was computed, with its numbers.
  package let checks: [Check]
  /// The architecture of the network.
  package let architecture: Architecture
  /// Where the gates of every layer lie in the tensors of parameters.
  let tensors: [StoredTensor]

  /// One row of a table: a part of the network and the tolerance that each of its gates used.
  package struct Row: Sendable {
    /// `layer 1 reverse, weight_ih`.
    package let name: String
    /// One number per column; `nil` where nothing was compared.
    package var shares: [Double?]
    /// The first time step that is out of tolerance.
    package var firstStep: Int?
  }

  /// The groups of parameters of which one is out of tolerance, in the order of the checks.
  package var failingGroups: [String] {
    var groups: [String] = []
    for check in checks where !check.passes && check.numbers != nil {
      guard let group = Self.parameterGroup(check), !groups.contains(group) else { continue }
      groups.append(group)
    }
    return groups
  }

  private static func parameterGroup(_ check: Check) -> String? {
    ["grads", "trained", "trajectory"].first { check.tensor.hasPrefix($0 + "/") }
  }

  /// The tolerance that the gates of every layer used in one group of parameters; the columns are the
  /// gates of the cell.
  package func gates(of group: String) -> [Row] {
    let columns = architecture.cell.gateNames.count
    var rows: [Row] = []
    for check in checks where check.tensor.hasPrefix(group + "/") {
      guard let numbers = check.numbers, let stored = stored(check) else { continue }
      for placement in stored.placements {
        guard let slot = placement.slots.first, case .recurrent = slot.part else { continue }
        let name = Self.name(slot)
        let index = rows.firstIndex { $0.name == name } ?? rows.count
        if index == rows.count {
          rows.append(Row(name: name, shares: Array(repeating: nil, count: columns)))
        }
        let block = offsets(placement, slot, numbers).joined()
        let worst = block.reduce(0) { max($0, numbers.share($1)) }
        rows[index].shares[slot.gate] = max(rows[index].shares[slot.gate] ?? 0, worst)
      }
    }
    return rows
  }

  /// The tolerance that every layer's states used: after the last step (`h_n`, `c_n`) and after every step
  /// (`states/…`), as far as they are expected; the columns are ``stateColumns``.
  package var layers: [Row] {
    let directions = architecture.directionCount
    return (0..<architecture.layerCount * directions).map { index in
      let part = Slot.Part.recurrent(layer: index / directions, direction: index % directions)
      var row = Row(name: Self.name(part), shares: [])
      for name in stateColumns {
        let check = checks.first { $0.tensor == name }
        guard let numbers = check?.numbers else {
          row.shares.append(nil)
          continue
        }
        let axis = name.hasPrefix("states/") ? 1 : 0
        let inner = numbers.shape[(axis + 1)...].reduce(1, *)
        var worst = 0.0
        for offset in numbers.expected.indices where offset / inner % numbers.shape[axis] == index {
          let share = numbers.share(offset)
          worst = max(worst, share)
          guard axis == 1, share > 1 else { continue }
          let step = offset / inner / numbers.shape[axis]
          row.firstStep = min(row.firstStep ?? step, step)
        }
        row.shares.append(worst)
      }
      return row
    }
  }

  /// The states that are compared, layer by layer.
  package var stateColumns: [String] {
    ["outputs/h_n", "outputs/c_n", "states/h", "states/c"].filter { name in
      checks.contains { $0.tensor == name && $0.numbers != nil }
    }
  }

  /// One gate's block of a parameter, in PyTorch's orientation.
  package struct Block: Sendable {
    /// `layer 0, weight_ih, gate f`.
    package let name: String
    /// The elements of the block: for every column of inputs, the offsets of its units.
    package let part: CheckNumbers.Part
  }

  /// The block that the worst element of a parameter lies in; `nil` for all other tensors.
  package func block(_ check: Check, most: (columns: Int, rows: Int)) -> Block? {
    guard let numbers = check.numbers, let stored = stored(check) else { return nil }
    let offset = numbers.offset(check.index)
    for placement in stored.placements {
      guard let slot = placement.slots.first else { continue }
      let offsets = offsets(placement, slot, numbers, startingAt: offset)
      for (column, units) in offsets.enumerated() {
        guard let row = units.firstIndex(of: offset) else { continue }
        let horizontal = CheckNumbers.window(column, of: offsets.count, most: most.columns)
        let vertical = CheckNumbers.window(row, of: units.count, most: most.rows)
        let gates = architecture.cell.gateNames
        let isGated = gates.count > 1 && slot.isGated
        return Block(
          name: Self.name(slot) + (isGated ? ", gate \(gates[slot.gate])" : ""),
          part: .init(
            offsets: horizontal.map { Array(offsets[$0][vertical]) },
            origin: (horizontal.lowerBound, vertical.lowerBound),
            marked: (column - horizontal.lowerBound, row - vertical.lowerBound)))
      }
    }
    return nil
  }

  private func stored(_ check: Check) -> StoredTensor? {
    guard let group = Self.parameterGroup(check) else { return nil }
    let name = Name(String(check.tensor.dropFirst(group.count + 1)))
    return tensors.first { $0.name == name }
  }

  /// The offsets of a slot, column by column; of a trajectory those of all updates, or of the one that
  /// `startingAt` lies in.
  private func offsets(
    _ placement: Placement, _ slot: Slot, _ numbers: CheckNumbers, startingAt offset: Int? = nil
  ) -> [[Int]] {
    let size = slot.size(in: architecture)
    let updates = numbers.timeAxis == 0 ? numbers.shape[0] : 1
    let extent = numbers.expected.count / max(1, updates)
    let starts = offset.map { [$0 / max(1, extent) * extent] } ?? (0..<updates).map { $0 * extent }
    return (0..<size.columns).map { column in
      starts.flatMap { start in
        (0..<size.rows).map { row in
          start + placement.offset + row * placement.rowStride + column * placement.columnStride
        }
      }
    }
  }

  private static func name(_ slot: Slot) -> String { "\(name(slot.part)), \(slot.role.rawValue)" }

  private static func name(_ part: Slot.Part) -> String {
    switch part {
    case .recurrent(let layer, let direction): "layer \(layer)" + (direction == 1 ? " reverse" : "")
    case .embedding: "embedding"
    case .head: "head"
    }
  }
}

extension Slot {
  /// Whether the parameter is one of several gates.
  fileprivate var isGated: Bool {
    if case .recurrent = part { role != .weightHR } else { false }
  }
}

extension Fixture {
  /// Verifies once more and keeps every number.
  package func comparison(options: VerificationOptions = .init()) throws -> FixtureComparison {
    var options = options
    options.keepsNumbers = true
    return try comparison(of: examine(options: options).checks)
  }

  /// The same of checks that kept their numbers.
  package func comparison(of checks: [Check]) throws -> FixtureComparison {
    let network = try network()
    return FixtureComparison(
      checks: checks, architecture: network.architecture, tensors: network.recognition.tensors)
  }
}
