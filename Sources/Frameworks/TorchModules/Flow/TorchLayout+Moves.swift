// What operations make of a layout; `nil` where the result is not understood.

extension TorchLayout {
  /// One element of an axis.
  func selecting(_ axis: Int, _ index: Int) -> TorchLayout? {
    var copy = self
    copy.axes.remove(at: axis)
    switch axes[axis] {
    case .time:
      guard index == -1 || index == 0 else { return nil }
      return copy.stepping(index == -1 ? .last : .first)
    case .one: return index == 0 || index == -1 ? copy : nil
    case .states(let states):
      guard let state = Self.element(states, index) else { return nil }
      copy.parts = [part(state)]
      return copy
    case .grid(let states):
      guard let columns = axes.firstIndex(of: .columns) else { return nil }
      let rows = states.count / directions
      let row = index < 0 ? index + rows : index
      guard (0..<rows).contains(row) else { return nil }
      copy = self
      copy.axes[columns] = .states(Array(states[row * directions..<(row + 1) * directions]))
      copy.axes.remove(at: axis)
      return copy
    case .columns:
      guard let (place, states) = grid else { return nil }
      let column = index < 0 ? index + directions : index
      guard (0..<directions).contains(column) else { return nil }
      copy = self
      copy.axes[place] = .states(states.filter { $0.direction == column })
      copy.axes.remove(at: axis)
      return copy
    case .batch, .rows, .feature: return nil
    }
  }

  private var grid: (Int, [TorchState])? {
    for (index, axis) in axes.enumerated() {
      if case .grid(let states) = axis { return (index, states) }
    }
    return nil
  }

  private func stepping(_ step: TorchPart.Step) -> TorchLayout? {
    guard parts.allSatisfy({ $0.content == .output && $0.step == .every }) else { return nil }
    var copy = self
    for index in copy.parts.indices { copy.parts[index].step = step }
    return copy
  }

  private static func element(_ states: [TorchState], _ index: Int) -> TorchState? {
    let place = index < 0 ? index + states.count : index
    return states.indices.contains(place) ? states[place] : nil
  }

  /// The elements from `start` up to `end` of an axis; `nil` bounds are open.
  func slicing(_ axis: Int, _ start: Int?, _ end: Int?) -> TorchLayout? {
    let start = start ?? 0
    let isOpen = (end ?? .max) == .max
    if start == 0, isOpen { return self }
    var copy = self
    switch axes[axis] {
    case .time:
      guard (start == -1 && isOpen) || (start == 0 && end == 1) else { return nil }
      copy.axes[axis] = .one
      return copy.stepping(start == -1 ? .last : .first)
    case .states(let states):
      guard let range = Self.range(start, end, states.count) else { return nil }
      copy.axes[axis] = .states(Array(states[range]))
      return copy
    case .feature:
      let sizes = parts.compactMap(\.size)
      guard sizes.count == parts.count, !parts.isEmpty else { return nil }
      var borders = [0]
      for size in sizes {
        let (sum, overflow) = (borders.last ?? 0).addingReportingOverflow(size)
        guard !overflow else { return nil }
        borders.append(sum)
      }
      guard let range = Self.range(start, end, borders.last ?? 0),
        let first = borders.firstIndex(of: range.lowerBound),
        let last = borders.firstIndex(of: range.upperBound), first < last
      else { return nil }
      copy.parts = Array(parts[first..<last])
      return copy
    default: return nil
    }
  }

  private static func range(_ start: Int, _ end: Int?, _ count: Int) -> Range<Int>? {
    func place(_ index: Int) -> Int { min(max(index < 0 ? index + count : index, 0), count) }
    let low = place(start)
    let high = place(end ?? .max)
    return low < high ? low..<high : nil
  }

  /// The axes in another order.
  func permuted(_ order: [Int]) -> TorchLayout? {
    let places = order.compactMap { axis($0) }
    guard places.count == axes.count, Set(places).count == axes.count else { return nil }
    var copy = self
    copy.axes = places.map { axes[$0] }
    return copy
  }

  /// Two axes exchanged.
  func transposed(_ a: Int, _ b: Int) -> TorchLayout? {
    guard let a = axis(a), let b = axis(b) else { return nil }
    var copy = self
    copy.axes.swapAt(a, b)
    return copy
  }

  /// Without an axis of one element; an axis that may have more is not understood.
  func squeezed(_ index: Int) -> TorchLayout? {
    guard let place = axis(index) else { return nil }
    switch axes[place] {
    case .one: return selecting(place, 0)
    case .states(let states): return states.count == 1 ? selecting(place, 0) : self
    default: return nil
    }
  }

  /// With an axis of one element more.
  func unsqueezed(_ index: Int) -> TorchLayout? {
    guard let place = axis(index, extra: 1) else { return nil }
    var copy = self
    copy.axes.insert(.one, at: place)
    return copy
  }

  /// Several layouts joined along an axis.
  static func joined(_ pieces: [TorchLayout], _ index: Int) -> TorchLayout? {
    guard var result = pieces.first, let place = result.axis(index), pieces.count <= 1024 else {
      return nil
    }
    switch result.axes[place] {
    case .feature:
      guard !result.parts.isEmpty,
        pieces.allSatisfy({
          $0.axes == result.axes && !$0.parts.isEmpty && $0.directions == result.directions
        })
      else { return nil }
      result.parts = pieces.flatMap(\.parts)
      result.isPadded = pieces.contains { $0.isPadded }
      return result.parts.count <= 4096 ? result : nil
    case .states:
      var all: [TorchState] = []
      for piece in pieces {
        guard piece.axes.count == result.axes.count, piece.stateContent == result.stateContent,
          case .states(let states) = piece.axes[place], all.count <= 4096
        else { return nil }
        var other = piece.axes
        other[place] = result.axes[place]
        guard other == result.axes else { return nil }
        all += states
      }
      result.axes[place] = .states(all)
      return result
    default: return nil
    }
  }

  /// Another shape; `nil` stands for a size that is not known, -1 for the rest.
  func reshaped(_ sizes: [Int?]) -> TorchLayout? {
    var copy = self
    let width = parts.reduce(0) { $0 + ($1.size ?? 0) }
    let isKnown = !parts.isEmpty && parts.allSatisfy { $0.size != nil }
    // (T, N, F) to (T·N, F).
    if axes.count == 3, axes[2] == .feature, isKnown, sizes.count == 2, sizes[1] == width,
      axes[0] == .time || axes[0] == .batch, axes[1] == .time || axes[1] == .batch
    {
      copy.axes = [.rows([axes[0], axes[1]]), .feature]
      return copy
    }
    // (L·D, N, H) to (L, D, N, H).
    if axes.count == 3, case .states(let states) = axes[0], axes[1] == .batch, axes[2] == .feature,
      sizes.count == 4, let size = stateSize, sizes[3] == size, sizes[1] == directions,
      sizes[0] == states.count / directions, Self.isWhole(states, directions)
    {
      copy.axes = [.grid(states), .columns, .batch, .feature]
      return copy
    }
    // (N, S, H) to (N, S·H).
    if sizes.count == 2, case .states(let states)? = axes.dropFirst().first, let size = stateSize,
      size.multipliedReportingOverflow(by: states.count) == (sizes[1] ?? -1, false)
    {
      return flattened(from: 1)
    }
    return nil
  }

  private static func isWhole(_ states: [TorchState], _ directions: Int) -> Bool {
    states.enumerated().allSatisfy {
      $0.element == TorchState(layer: $0.offset / directions, direction: $0.offset % directions)
    }
  }

  /// All axes from one on in one.
  func flattened(from index: Int) -> TorchLayout? {
    guard let place = axis(index) else { return nil }
    if place == axes.count - 1 { return self }
    guard axes.count == 3, axes[2] == .feature, place == 1 else { return nil }
    var copy = self
    switch axes[1] {
    case .states(let states): copy.parts = states.map { part($0) }
    case .one: break
    default: return nil
    }
    copy.axes = [axes[0], .feature]
    return copy.parts.isEmpty ? nil : copy
  }

  /// Equal pieces along the features or an axis of states.
  func split(into count: Int, along index: Int) -> [TorchLayout]? {
    guard let place = axis(index), (1...64).contains(count) else { return nil }
    let total: Int
    switch axes[place] {
    case .feature:
      guard !parts.isEmpty, parts.allSatisfy({ $0.size != nil }) else { return nil }
      total = parts.reduce(0) { $0 + ($1.size ?? 0) }
    case .states(let states): total = states.count
    default: return nil
    }
    guard total % count == 0 else { return nil }
    let size = total / count
    let pieces = (0..<count).compactMap { slicing(place, $0 * size, ($0 + 1) * size) }
    return pieces.count == count ? pieces : nil
  }
}
