import Networks
import RNNEngine
import Tensors

/// Where numbers part from those that the weights make, in plain sentences: for where no cause was found.
struct Deviations {
  let evidence: FixtureEvidence
  /// Whose numbers they are: `the expected numbers`, `the port's numbers`.
  let subject: String

  private var trial: Trial<Double> { evidence.baseline }

  /// The sentences, most telling first.
  func sentences() -> [String] {
    let result = evidence.baselineResult
    var sentences: [String] = []
    var agreeing: [String] = []
    var areOutputsRight = true
    for expected in evidence.outputs {
      guard let (shape, computed) = evidence.numbers(expected, trial, result) else { continue }
      let name = expected.name.hasPrefix("states/") ? expected.name : "outputs/\(expected.name)"
      if shape != expected.shape {
        areOutputsRight = false
        sentences.append(Self.shapes(name, expected.shape, shape))
        continue
      }
      guard expected.compare(shape, computed).share > 1 else {
        agreeing.append(name)
        continue
      }
      areOutputsRight = false
      if let ratio = ratio(expected, computed) {
        sentences.append("\(name): every number is \(significant(ratio)) times the one computed")
        continue
      }
      let wrong = Set(
        expected.numbers.indices.filter {
          let (e, c) = (expected.numbers[$0], computed[$0])
          return !(e == c || e.isNaN && c.isNaN || (e - c).magnitude <= expected.bound(e))
        })
      switch expected.name {
      case "output", "logits": sentences += sequence(name, expected, wrong)
      case "h_n", "c_n": sentences += states(name, expected, wrong)
      default: sentences.append("\(name) differs")
      }
      if let stray = wrong.first(where: { !expected.numbers[$0].isFinite }) {
        sentences.append("\(name) has \(expected.numbers[stray]) among its numbers")
      }
    }
    sentences += gradients(areOutputsRight)
    if !agreeing.isEmpty, !sentences.isEmpty {
      sentences.append("\(agreeing.joined(separator: ", ")) agree\(agreeing.count == 1 ? "s" : "")")
    }
    return sentences
  }

  /// What shapes that differ say: which axes were exchanged.
  static func shapes(_ name: String, _ found: [Int], _ computed: [Int]) -> String {
    let text = "\(name) has shape \(found), the network makes \(computed)"
    guard found.sorted() == computed.sorted(), found.count == computed.count else {
      let (a, b) = (found.reduce(1, *), computed.reduce(1, *))
      return a == b ? text + ": as many numbers, in other axes" : text
    }
    let moved = found.indices.filter { found[$0] != computed[$0] }
    return moved.count == 2
      ? text + ": axes \(moved[0]) and \(moved[1]) are exchanged"
      : text + ": its axes stand in another order"
  }

  private func ratio(_ expected: ExpectedNumbers, _ computed: [Double]) -> Double? {
    guard expected.numbers.count > 2,
      let place = computed.indices.max(by: { computed[$0].magnitude < computed[$1].magnitude }),
      computed[place] != 0
    else { return nil }
    let ratio = expected.numbers[place] / computed[place]
    guard ratio.isFinite, ratio != 0 else { return nil }
    let isConstant = zip(expected.numbers, computed).allSatisfy {
      ($0 - ratio * $1).magnitude <= expected.bound($0) * max(1, ratio.magnitude)
    }
    return isConstant ? ratio : nil
  }

  /// Steps, rows, directions and units of a tensor over time.
  private func sequence(_ name: String, _ expected: ExpectedNumbers, _ wrong: Set<Int>) -> [String]
  {
    guard expected.shape.count == trial.xShape.count, let width = expected.shape.last else {
      return rows(name, wrong, expected.shape.first ?? 1, expected.shape.last ?? 1)
    }
    let (steps, batch, size) = (trial.steps, trial.batch, trial.configuration.stateSize)
    func place(_ offset: Int) -> (step: Int, row: Int, unit: Int) {
      let (row, unit) = (offset / width, offset % width)
      return trial.timeAxis == 1
        ? (row % steps, row / steps, unit) : (row / batch, row % batch, unit)
    }
    let places = wrong.map(place)
    let rows = Set(places.map(\.row)).sorted()
    var sentences: [String] = []
    var halves = [Int]()
    if trial.directions == 2, expected.name == "output" {
      halves = Set(places.map { $0.unit / size }).sorted()
      if halves.count == 1 {
        sentences.append(
          "only the \(halves[0] == 0 ? "forward" : "reverse") direction of \(name) differs")
      }
    }
    if batch > 1, rows.count < batch {
      let list = rows.map { "\($0)" }.joined(separator: ", ")
      let look =
        trial.lengths != nil ? ": look at \(rows.count == 1 ? "its length" : "their lengths")" : ""
      sentences.append(
        "row\(rows.count == 1 ? "" : "s") \(list) of the batch differ\(rows.count == 1 ? "s" : "") only\(look)"
      )
    }
    let isBackwards = halves == [1]
    // Steps count in the direction's own order, of every row from where it begins.
    func own(_ place: (step: Int, row: Int, unit: Int)) -> Int {
      isBackwards ? (trial.lengths?[place.row] ?? steps) - 1 - place.step : place.step
    }
    let inside = places.filter { own($0) >= 0 && $0.step < trial.lengths?[$0.row] ?? steps }
    if inside.isEmpty {
      sentences.append("\(name) differs in the padding only")
      return sentences
    }
    let first = inside.map(own).min() ?? 0
    let start = isBackwards ? "the last step" : "step 0"
    switch first {
    case 0:
      sentences.append(
        "\(start) of \(name) differs already: look at the input weights, the biases"
          + (trial.h0 == nil && trial.c0 == nil ? "" : " and the initial state")
          + (trial.configuration.layerCount > 1 ? " of the first layer that differs" : ""))
    case 1:
      sentences.append(
        "\(start) of \(name) agrees, the next does not: look at the recurrent weights")
    default:
      sentences.append(
        "the first \(first) steps of \(name) agree, step \(isBackwards ? "\(first) from the end" : "\(first)") does not"
      )
    }
    let units = Set(inside.filter { own($0) == first }.map { $0.unit % size }).sorted()
    if units.count == 1, size > 1 {
      sentences.append(
        expected.name == "logits"
          ? "only class \(units[0]) differs: look at row \(units[0]) of the head"
          : "only unit \(units[0]) differs at first: look at row \(units[0]) of the gates and of the biases"
      )
    }
    return sentences
  }

  private func states(_ name: String, _ expected: ExpectedNumbers, _ wrong: Set<Int>) -> [String] {
    let width = expected.shape.last ?? 1
    let batch = trial.batch
    let blocks = Set(wrong.map { $0 / width / batch }).sorted()
    let all = trial.blockCount
    var sentences: [String] = []
    if let first = blocks.first, all > 1 {
      let (layer, direction) = (first / trial.directions, first % trial.directions)
      let way = trial.directions == 2 ? (direction == 0 ? " (forward)" : " (reverse)") : ""
      if blocks.count == 1 {
        sentences.append("\(name) differs only in layer \(layer)\(way)")
      } else if layer > 0 {
        sentences.append(
          "\(name) agrees below layer \(layer): look at the weights of layer \(layer)")
      } else if blocks.count < all {
        sentences.append(
          "\(name) differs in layer\(way.isEmpty ? "s" : "s and directions") \(blocks.map { "\($0)" }.joined(separator: ", ")) of \(all)"
        )
      } else {
        sentences.append("\(name) differs from layer 0 on")
      }
    } else {
      sentences.append("\(name) differs")
    }
    let rows = Set(wrong.map { $0 / width % batch }).sorted()
    if batch > 1, rows.count < batch {
      let look =
        trial.lengths != nil ? ": look at \(rows.count == 1 ? "its length" : "their lengths")" : ""
      sentences.append(
        "\(name): row\(rows.count == 1 ? "" : "s") \(rows.map { "\($0)" }.joined(separator: ", ")) only\(look)"
      )
    }
    return sentences
  }

  private func rows(_ name: String, _ wrong: Set<Int>, _ count: Int, _ width: Int) -> [String] {
    let rows = Set(wrong.map { $0 / max(1, width) }).sorted()
    let classes = Set(wrong.map { $0 % max(1, width) })
    if classes.count == 1, width > 1, let only = classes.first {
      return ["\(name) differs in class \(only) only: look at row \(only) of the head"]
    }
    guard rows.count < count else { return ["\(name) differs in every row"] }
    return ["\(name) differs in row \(rows.map { "\($0)" }.joined(separator: ", ")) only"]
  }

  private func gradients(_ areOutputsRight: Bool) -> [String] {
    guard !evidence.gradients.isEmpty else { return [] }
    var (wrong, right) = ([String](), [String]())
    for gradient in evidence.gradients {
      let direction = gradient.direction(31)
      var dual = trial.dual
      gradient.move(&dual, along: direction)
      let distance = ((evidence.derivative(dual) ?? .nan) - gradient.product(direction)).magnitude
      if distance <= gradient.bound {
        right.append(gradient.name)
      } else {
        wrong.append(gradient.name)
      }
    }
    guard !wrong.isEmpty else {
      return areOutputsRight
        ? [] : ["the gradients agree: another loss or other outputs, not other weights"]
    }
    let list =
      wrong.count > 6
      ? "\(wrong.count) of \(wrong.count + right.count)" : wrong.joined(separator: ", ")
    if areOutputsRight, !evidence.outputs.isEmpty {
      return ["only the gradients differ: \(list)"]
    }
    return right.isEmpty
      ? [] : ["the gradients of \(right.prefix(6).joined(separator: ", ")) agree"]
  }
}
