import Containers
import Tensors

/// Lists of sizes that a graph computes from shapes, as exporters do for Reshape and Expand.
struct ONNXSizes {
  /// The numbers of a value.
  struct List: Equatable {
    var items: [ONNXSize]
    /// Whether it is one number without an axis.
    var isScalar = false
  }

  private var lists: [Name: List] = [:]
  private let values: ONNXValues
  private static let limit = 64

  init(_ values: ONNXValues) { self.values = values }

  /// The sizes that a value holds; `nil` where they are not known.
  func list(_ name: Name?) -> List? {
    guard let name else { return nil }
    if let known = lists[name] { return known }
    guard let tensor = try? values.tensor(name), !tensor.dtype.isFloatingPoint,
      tensor.shape.count < 2, tensor.elementCount <= Self.limit,
      let numbers = try? tensor.integers()
    else { return nil }
    return List(items: numbers.map { ONNXSize($0) }, isScalar: tensor.shape.isEmpty)
  }

  /// The numbers that a value holds, all of them known.
  func integers(_ name: Name?) -> [Int]? {
    guard let items = list(name)?.items else { return nil }
    let numbers = items.compactMap(\.known)
    return numbers.count == items.count ? numbers : nil
  }

  /// Notes what Shape gives.
  mutating func note(_ name: Name, _ items: [ONNXSize]) { lists[name] = List(items: items) }

  /// Notes what a node makes of sizes; nothing where it is no operation of ours.
  mutating func follow(_ node: ONNXNode) {
    guard let output = node.output(0), let result = result(node),
      result.items.count <= Self.limit
    else { return }
    lists[output] = result
  }

  private func result(_ node: ONNXNode) -> List? {
    if node.operation == "Concat" {
      guard node.inputs.count <= Self.limit else { return nil }
      let parts = node.inputs.map { list($0) }
      let found = parts.compactMap { $0 }
      guard found.count == parts.count, !found.contains(where: \.isScalar) else { return nil }
      return List(items: found.flatMap(\.items))
    }
    guard let first = list(node.input(0)) else {
      return node.operation == "Cast" ? wholeNumbers(node) : nil
    }
    switch node.operation {
    case "Identity", "Cast": return first
    case "Squeeze":
      return first.items.count == 1 ? List(items: first.items, isScalar: true) : nil
    case "Unsqueeze": return first.isScalar ? List(items: first.items) : nil
    case "Reshape":
      guard let shape = integers(node.input(1)) ?? node.attribute("shape")?.integers else {
        return nil
      }
      if shape.isEmpty {
        return first.items.count == 1 ? List(items: first.items, isScalar: true) : nil
      }
      return shape == [-1] || shape == [first.items.count] ? List(items: first.items) : nil
    case "Shape": return List(items: first.isScalar ? [] : [ONNXSize(first.items.count)])
    case "ConstantOfShape":
      guard first.items.count == 1, !first.isScalar, let count = first.items[0].known,
        (0...Self.limit).contains(count), let value = constant(node)
      else { return nil }
      return List(items: [ONNXSize](repeating: ONNXSize(value), count: count))
    case "Gather":
      guard !first.isScalar, let chosen = list(node.input(1)), (node.integer("axis") ?? 0) == 0
      else { return nil }
      var items: [ONNXSize] = []
      for index in chosen.items {
        guard let index = index.known, (-first.items.count..<first.items.count).contains(index)
        else { return nil }
        items.append(first.items[index < 0 ? index + first.items.count : index])
      }
      return List(items: items, isScalar: chosen.isScalar)
    case "Slice": return sliced(node, first)
    case "Mul", "Div", "Equal": return combined(node, first)
    case "Where":
      guard let yes = list(node.input(1)), let no = list(node.input(2)),
        yes.items.count == first.items.count, no.items.count == first.items.count
      else { return nil }
      var items: [ONNXSize] = []
      for (index, condition) in first.items.enumerated() {
        guard let condition = condition.known else { return nil }
        items.append(condition != 0 ? yes.items[index] : no.items[index])
      }
      return List(items: items, isScalar: first.isScalar)
    default: return nil
    }
  }

  /// Whole numbers that older exporters store as floating-point ones.
  private func wholeNumbers(_ node: ONNXNode) -> List? {
    guard [6, 7].contains(node.integer("to") ?? 0), let name = node.input(0),
      let tensor = try? values.tensor(name), tensor.dtype.isFloatingPoint, tensor.shape.count < 2,
      tensor.elementCount <= Self.limit, let floats = try? tensor.doubles(),
      floats.allSatisfy({ $0.magnitude < 16_777_216 && $0 == $0.rounded() })
    else { return nil }
    return List(items: floats.map { ONNXSize(Int($0)) }, isScalar: tensor.shape.isEmpty)
  }

  private func constant(_ node: ONNXNode) -> Int? {
    guard let record = node.attribute("value")?.tensor,
      let tensor = values.stored(attribute: record), !tensor.dtype.isFloatingPoint,
      tensor.elementCount == 1
    else { return nil }
    return (try? tensor.integers())?.first
  }

  private func sliced(_ node: ONNXNode, _ first: List) -> List? {
    let count = first.items.count
    guard !first.isScalar,
      let starts = node.attribute("starts")?.integers ?? integers(node.input(1)),
      let ends = node.attribute("ends")?.integers ?? integers(node.input(2)), starts.count == 1,
      ends.count == 1
    else { return nil }
    if node.input(4) != nil, integers(node.input(4)) != [1] { return nil }
    func clamped(_ position: Int) -> Int {
      position < 0 ? max(0, position + count) : min(position, count)
    }
    let low = clamped(starts[0])
    let high = clamped(ends[0])
    return List(items: low < high ? Array(first.items[low..<high]) : [])
  }

  private func combined(_ node: ONNXNode, _ first: List) -> List? {
    guard let second = list(node.input(1)) else { return nil }
    let count = max(first.items.count, second.items.count)
    guard [1, count].contains(first.items.count), [1, count].contains(second.items.count) else {
      return nil
    }
    var items: [ONNXSize] = []
    for index in 0..<count {
      let a = first.items[first.items.count == 1 ? 0 : index]
      let b = second.items[second.items.count == 1 ? 0 : index]
      let item: ONNXSize? =
        switch node.operation {
        case "Mul": a.times(b)
        case "Div": a.divided(by: b)
        default: a.equals(b).map { ONNXSize($0 ? 1 : 0) }
        }
      guard let item else { return nil }
      items.append(item)
    }
    return List(items: items, isScalar: first.isScalar && second.isScalar)
  }
}
