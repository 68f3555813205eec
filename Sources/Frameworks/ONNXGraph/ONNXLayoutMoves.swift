import Containers
import Tensors

/// Operations that only move elements, on layouts; `nil` where what comes out has no layout that we
/// can state.
extension ONNXLayout {
  private static let rankLimit = 32

  private func position(_ axis: Int, _ count: Int) -> Int? {
    guard axis >= -count, axis < count else { return nil }
    return axis < 0 ? axis + count : axis
  }

  func transposed(_ order: [Int]?) -> ONNXLayout? {
    let order = order ?? Array(axes.indices.reversed())
    guard !hasUnknownAxes, order.sorted() == Array(axes.indices) else { return nil }
    var result = self
    result.axes = order.map { axes[$0] }
    return result
  }

  func squeezed(_ named: [Int]?) -> ONNXLayout? {
    guard !hasUnknownAxes else { return nil }
    let dropped: [Int]
    if let named {
      let found = named.compactMap { position($0, axes.count) }
      guard found.count == named.count else { return nil }
      dropped = found
    } else {
      dropped = axes.indices.filter { size($0)?.known == 1 }
    }
    var result = self
    for axis in Set(dropped).sorted().reversed() {
      guard result.makeUnit(axis) else { return nil }
      result.axes.remove(at: axis)
    }
    return result
  }

  /// Empties an axis of size one.
  private mutating func makeUnit(_ axis: Int) -> Bool {
    for factor in axes[axis] {
      switch factor {
      case .parts(let parts) where parts.count == 1 && fixed == nil: fixed = parts[0]
      case .lead where factor.isUnitLead: break
      default: return false
      }
    }
    axes[axis] = []
    return true
  }

  func unsqueezed(_ named: [Int]) -> ONNXLayout? {
    let rank = axes.count + named.count
    let new = Set(named.compactMap { position($0, rank) })
    guard !hasUnknownAxes, new.count == named.count, rank <= Self.rankLimit else { return nil }
    var rest = axes[...]
    var result = self
    result.axes = (0..<rank).map { new.contains($0) ? [] : rest.removeFirst() }
    return result
  }

  func flattened(_ axis: Int) -> ONNXLayout? {
    guard !hasUnknownAxes, let axis = position(axis, axes.count + 1) else { return nil }
    var result = self
    result.axes = [Array(axes[..<axis].joined()), Array(axes[axis...].joined())]
    return result
  }

  /// Sizes as Reshape takes them: -1 is what is left, 0 the size before unless `allowZero`.
  func reshaped(_ sizes: [ONNXSize], allowZero: Bool) -> ONNXLayout? {
    guard !hasUnknownAxes, sizes.count <= Self.rankLimit else { return nil }
    var total: ONNXSize? = ONNXSize(1)
    for axis in axes.indices {
      guard let size = size(axis) else { return nil }
      total = total?.times(size)
    }
    guard let total else { return nil }
    var targets: [ONNXSize] = []
    var free: Int?
    for (index, target) in sizes.enumerated() {
      if target.known == -1 {
        guard free == nil else { return nil }
        free = index
        targets.append(ONNXSize(1))
      } else if target.known == 0 {
        guard !allowZero, index < axes.count, let size = size(index) else { return nil }
        targets.append(size)
      } else {
        targets.append(target)
      }
    }
    if let free {
      guard let others = targets.reduce(ONNXSize(1) as ONNXSize?, { $0?.times($1) }),
        let rest = total.divided(by: others)
      else { return nil }
      targets[free] = rest
    }
    return arranged(targets)
  }

  /// The factors in their order, shared out to axes of these sizes.
  private func arranged(_ targets: [ONNXSize]) -> ONNXLayout? {
    var result = self
    var rest: [Factor] = []
    var lastFeature: Factor?
    for factor in axes.joined() {
      if case .parts(let parts) = factor, parts.count == 1 {
        guard result.fixed == nil else { return nil }
        result.fixed = parts[0]
      } else if case .feature(1) = factor {
        lastFeature = factor
      } else if !factor.isUnitLead {
        rest.append(factor)
      }
    }
    var waiting = rest[...]
    result.axes = []
    for target in targets {
      var size = ONNXSize(1)
      var axis: [Factor] = []
      while size != target {
        guard let next = waiting.popFirst(), let product = size.times(next.size),
          target.divided(by: product) != nil
        else { return nil }
        size = product
        axis.append(next)
      }
      result.axes.append(axis)
    }
    guard waiting.isEmpty else { return nil }
    if let lastFeature {
      // One feature stays the last axis, or is lost.
      guard let last = result.axes.indices.last, result.axes[last].isEmpty else { return nil }
      result.axes[last] = [lastFeature]
    }
    return result
  }

  /// A range of an axis; `times` are the leads that are time axes.
  func sliced(_ axis: Int, _ start: Int, _ end: Int, times: Set<Int>) -> ONNXLayout? {
    guard !hasUnknownAxes, let axis = position(axis, axes.count), let size = size(axis),
      size.number < 1 << 40
    else { return nil }
    // Far outside is as good as anywhere outside.
    let (start, end) = (max(-1 << 41, min(1 << 41, start)), max(-1 << 41, min(1 << 41, end)))
    if start == 0, end >= 1 << 30 || (size.known.map { end >= $0 } ?? false) { return self }
    var result = self
    func bounds(_ count: Int) -> Range<Int>? {
      let low = min(count, start < 0 ? max(0, start + count) : start)
      let high = min(count, end < 0 ? max(0, end + count) : end)
      return low < high ? low..<high : nil
    }
    let factors = axes[axis]
    switch (factors.first, factors.count) {
    case (.parts(let parts), 1):
      guard let range = bounds(parts.count) else { return nil }
      result.axes[axis] = [.parts(Array(parts[range]))]
    case (.parts(let parts), 2):
      guard case .feature(let width) = factors[1],
        let range = bounds(parts.count * width), range.lowerBound % width == 0,
        range.upperBound % width == 0
      else { return nil }
      result.axes[axis] = [
        .parts(Array(parts[range.lowerBound / width..<range.upperBound / width])), factors[1],
      ]
    case (.lead(let lead), 1) where times.contains(lead.id) && !parts.isEmpty:
      return step(start, end, of: lead, on: axis)
    case (.lead(let lead), 1):
      guard lead.range == nil else { return nil }
      let range: Range<Int>
      if let count = lead.size.known {
        guard let found = bounds(count) else { return nil }
        range = found
      } else {
        guard start >= 0, end > start, end < 1 << 30 else { return nil }
        range = start..<end
      }
      var part = lead
      part.range = range
      result.axes[axis] = [.lead(part)]
    default: return nil
    }
    return result
  }

  /// One step of time: the first, the last, or another.
  private func step(_ start: Int, _ end: Int, of lead: Lead, on axis: Int) -> ONNXLayout? {
    guard lead.range == nil, parts.allSatisfy({ $0.step == .all }) else { return nil }
    let isLast: Bool
    if let count = lead.size.known {
      let low = start < 0 ? start + count : start
      let high = min(count, end < 0 ? end + count : end)
      guard low >= 0, high - low == 1 else { return nil }
      isLast = low == count - 1
      // Of one step only, the first is the last: the file's own word decides.
      if count == 1 { return at(start < 0 || end >= 1 << 30 ? .last : .first, axis) }
      return at(isLast ? .last : low == 0 ? .first : .other(low), axis)
    }
    if start == -1, end >= 1 << 30 { return at(.last, axis) }
    guard start >= 0, end == start + 1 else { return nil }
    return at(start == 0 ? .first : .other(start), axis)
  }

  private func at(_ step: Part.Step, _ axis: Int) -> ONNXLayout {
    var result = atStep(step)
    result.axes[axis] = []
    return result
  }

  /// What Gather takes by indices that the graph stores: one, which drops the axis, or a list.
  func gathered(_ axis: Int, _ indices: [Int], isOne: Bool, times: Set<Int>) -> ONNXLayout? {
    guard !hasUnknownAxes, let axis = position(axis, axes.count) else { return nil }
    var result = self
    switch (axes[axis].first, axes[axis].count) {
    case (.parts(let parts), 1):
      var chosen: [Part] = []
      for index in indices {
        guard let place = position(index, parts.count) else { return nil }
        chosen.append(parts[place])
      }
      result.axes[axis] = [.parts(chosen)]
    case (.lead(let lead), 1) where times.contains(lead.id) && !parts.isEmpty:
      guard indices.count == 1, (-1 << 40..<1 << 40).contains(indices[0]),
        (lead.size.known ?? 0) < 1 << 40,
        let moved = step(indices[0], indices[0] == -1 ? .max : indices[0] + 1, of: lead, on: axis)
      else { return nil }
      result = moved
    case (nil, 0): guard indices == [0] || indices == [-1] else { return nil }
    default: return nil
    }
    return isOne ? result.squeezed([axis]) : result
  }

  /// The same layout without an axis for the only part there is.
  func withoutUnitParts(except kept: Int? = nil) -> ONNXLayout {
    var result = self
    for axis in axes.indices where axis != kept && fixed == nil {
      if case .parts(let parts)? = axes[axis].first, parts.count == 1 {
        result.fixed = parts[0]
        result.axes[axis].removeFirst()
      }
    }
    return result
  }

  /// Several values joined along an axis: parts beside parts.
  static func joined(_ given: [ONNXLayout], _ axis: Int) -> ONNXLayout? {
    guard let rank = given.first?.axes.count, let axis = given.first?.position(axis, rank) else {
      return nil
    }
    let layouts = given.map { $0.withoutUnitParts(except: axis) }
    guard let first = layouts.first, !first.hasUnknownAxes else { return nil }
    var parts: [Part] = []
    var width: Int?
    for (index, layout) in layouts.enumerated() {
      guard !layout.hasUnknownAxes, layout.axes.count == first.axes.count else { return nil }
      var factors = layout.axes[axis]
      if case .feature(let size) = factors.last {
        guard index == 0 || width == size else { return nil }
        width = size
        factors.removeLast()
      } else if width != nil {
        return nil
      }
      switch factors.count {
      case 0:
        guard let fixed = layout.fixed else { return nil }
        parts.append(fixed)
      case 1:
        guard case .parts(let more) = factors[0], layout.fixed == nil else { return nil }
        parts += more
      default: return nil
      }
      for other in first.axes.indices where other != axis {
        guard layout.axes[other] == first.axes[other] else { return nil }
      }
      guard parts.count <= 4096 else { return nil }
    }
    var result = first
    result.fixed = nil
    result.axes[axis] = [.parts(parts)] + (width.map { [.feature($0)] } ?? [])
    return result
  }
}
