import Networks
import RNNEngine
import Tensors

/// The parts of weights that may differ: tensors, gates, rows, columns, elements.
struct WeightPatches {
  let trial: Trial<Double>
  private let gates: [String]

  init(_ trial: Trial<Double>) {
    self.trial = trial
    gates = trial.configuration.cell.gateNames
  }

  /// Rows of one gate, and columns, of an array of weights.
  func size(_ index: Int) -> (gates: Int, rows: Int, columns: Int) {
    if index == trial.headWeight {
      return (1, trial.classCount, trial.weights[index].count / max(1, trial.classCount))
    }
    if index == trial.headBias { return (1, trial.classCount, 1) }
    let role = Role.allCases[index % 5]
    let size = trial.size(index / 5, role)
    return (role == .projection ? 1 : trial.gateCount, size.rows, size.columns)
  }

  var indices: [Int] { trial.weights.indices.filter { !trial.weights[$0].isEmpty } }

  var tensors: [Patch] {
    indices.map {
      Patch(index: $0, elements: Elements(start: 0, count: trial.weights[$0].count), words: "")
    }
  }

  var gateBlocks: [Patch] {
    indices.flatMap { index -> [Patch] in
      let (count, rows, columns) = size(index)
      guard count > 1 else { return [] }
      return (0..<count).map { gate in
        Patch(
          index: index, elements: Elements(start: gate * rows * columns, count: rows * columns),
          words: "gate \(gates[gate])")
      }
    }
  }

  var rows: [Patch] {
    indices.flatMap { index -> [Patch] in
      let (count, rows, columns) = size(index)
      guard columns > 1 else { return [] }
      return (0..<count * rows).map { row in
        Patch(
          index: index, elements: Elements(start: row * columns, count: columns),
          words: "row \(row % rows)" + (count > 1 ? " of gate \(gates[row / rows])" : ""))
      }
    }
  }

  var columns: [Patch] {
    indices.flatMap { index -> [Patch] in
      let (count, rows, columns) = size(index)
      guard columns > 1 else { return [] }
      return (0..<columns).map { column in
        Patch(
          index: index, elements: Elements(start: column, step: columns, count: count * rows),
          words: "column \(column)")
      }
    }
  }

  func element(_ index: Int, _ element: Int) -> Patch {
    let (count, rows, columns) = size(index)
    let row = element / columns
    var words = count > 1 ? "gate \(gates[row / rows]), row \(row % rows)" : "row \(row)"
    if columns > 1 { words += ", column \(element % columns)" }
    return Patch(index: index, elements: Elements(start: element, count: 1), words: words)
  }

  /// Changes without a number to find: zeros, signs, halves, doubles, copies, transposed gates.
  var fixedChanges: [Mistake] {
    var result: [Mistake] = []
    let factors = [0, -1, 2, 0.5]
    for patch in tensors { result += factors.map { .patch(patch, .scaled($0)) } }
    result += copies(tensors)
    for patch in gateBlocks { result += factors.map { .patch(patch, .scaled($0)) } }
    result += copies(gateBlocks)
    for patch in gateBlocks {
      let (_, rows, columns) = size(patch.index)
      if rows == columns, rows > 1 { result.append(.patch(patch, .transposed(rows))) }
    }
    return result
  }

  /// The same of rows and columns, of which there are many.
  var lineChanges: [Mistake] {
    (rows + columns).flatMap { patch in [0, -1].map { Mistake.patch(patch, .scaled($0)) } }
  }

  /// Patches equal to others of the same size and role, and exchanged with them.
  private func copies(_ patches: [Patch]) -> [Mistake] {
    // Their number grows with the square.
    guard patches.count <= 200 else { return [] }
    var result: [Mistake] = []
    for (number, patch) in patches.enumerated() {
      let role = patch.index >= trial.headWeight ? patch.index : patch.index % 5
      for (other, source) in patches.enumerated() where other != number {
        let isSame =
          (source.index >= trial.headWeight ? source.index : source.index % 5) == role
          || (patch.index / 5 == source.index / 5 && role != patch.index)
        guard isSame, source.elements.count == patch.elements.count else { continue }
        result.append(.patch(patch, .copied(from: source)))
        if other > number { result.append(.patch(patch, .swapped(with: source))) }
      }
    }
    return result
  }

  /// Changes with one number to find, of a tensor or a gate: what is multiplied, or added to a bias.
  var scales: [Mistake] {
    (tensors + gateBlocks).flatMap { patch -> [Mistake] in
      let isBias = size(patch.index).columns == 1
      return [.patch(patch, .scaled(1))] + (isBias ? [.patch(patch, .added(0))] : [])
    }
  }
}

extension FixtureEvidence {
  /// The number with which a change of one number explains the outputs best, by Gauss and Newton: on a few
  /// steps of one row first, and on everything only if these are explained.
  func solved(_ patch: Patch, _ change: PatchChange) -> Mistake? {
    var number: Double
    let isFactor: Bool
    switch change {
    case .scaled(let factor): (number, isFactor) = (factor, true)
    case .added(let amount): (number, isFactor) = (amount, false)
    default: return nil
    }
    func mistake(_ number: Double) -> Mistake {
      .patch(patch, isFactor ? .scaled(number) : .added(number))
    }
    let isOfHead = patch.index >= baseline.headWeight
    if let cut = cut(baseline, steps: firstSteps, row: firstRow),
      !isOfHead || cut.outputs.contains(where: { $0.name == "logits" })
    {
      guard let near = solved(patch, isFactor, cut, from: number, most: 16) else { return nil }
      var changed = cut
      mistake(near).apply(to: &changed.trial)
      guard let share = Self.share(changed), share <= 2 else { return nil }
      number = near
    }
    return solved(patch, isFactor, (baseline, outputs), from: number, most: 16).map(mistake)
  }

  /// So many steps that the deviation shows in the first row: four more than agree.
  private var firstSteps: Int {
    guard baseline.directions == 1,
      let whole = cut(baseline, steps: baseline.steps, row: firstRow),
      let expected = whole.outputs.first
    else { return baseline.steps }
    let width = expected.shape.last ?? 1
    let size = baseline.steps * width
    guard expected.numbers.count == size,
      let (shape, computed) = baseline.tensor(
        expected.name, of: baselineResult, axes: expected.shape.count),
      shape.count == baseline.xShape.count
    else { return baseline.steps }
    for step in 0..<baseline.steps {
      let place =
        baseline.timeAxis == 1
        ? firstRow * baseline.steps + step : step * baseline.batch + firstRow
      for unit in 0..<width {
        let number = expected.numbers[step * width + unit]
        let distance = (number - computed[place * width + unit]).magnitude
        if !(distance <= expected.bound(number)) { return min(baseline.steps, step + 4) }
      }
    }
    return baseline.steps
  }

  private func solved(
    _ patch: Patch, _ isFactor: Bool, _ cut: Cut, from start: Double, most: Int
  ) -> Double? {
    var number = start
    var best = (number: number, error: Double.infinity)
    var step = 0.0
    let dual = cut.trial.dual
    for _ in 0..<most {
      var trial = dual
      for element in patch.elements {
        let old = trial.weights[patch.index][element].value
        trial.weights[patch.index][element] =
          isFactor ? Dual(old * number, old) : Dual(old + number, 1)
      }
      guard let result = trial.run() else { return nil }
      var (above, below, error) = (0.0, 0.0, 0.0)
      for expected in cut.outputs
      where expected.name != "loss" && expected.name != "probabilities" {
        guard
          let (shape, computed) = trial.tensor(
            expected.name, of: result, axes: expected.shape.count), shape == expected.shape
        else { return nil }
        for (e, c) in zip(expected.numbers, computed) {
          let residual = e - c.value
          above += c.tangent * residual
          below += c.tangent * c.tangent
          error += residual * residual
        }
      }
      guard error.isFinite, below > 0 else { return nil }
      if error < best.error {
        best = (number, error)
        step = above / below
      } else {
        step /= 4
      }
      if step.magnitude <= 1e-14 * max(1, best.number.magnitude) { break }
      number = best.number + step
    }
    return best.number
  }

  /// Single elements whose change would move the outputs as they deviate, the likeliest first.
  ///
  /// One backward pass gives every element's product with the deviation; a few with random signs, how far every
  /// element moves the outputs at all. The ratio is the cosine of the angle between the two.
  func likelyElements(most: Int) -> [(index: Int, element: Int)] {
    let result = baselineResult
    var scores: [(index: Int, element: Int, score: Double)] = []
    for expected in outputs where ["output", "logits", "h_n", "c_n"].contains(expected.name) {
      guard let (shape, computed) = numbers(expected, baseline, result), shape == expected.shape,
        expected.compare(shape, computed).share > 1
      else { continue }
      let residual = zip(expected.numbers, computed).map { ($0 - $1).isFinite ? $0 - $1 : 0 }
      guard let along = pullback(expected.name, shape, residual) else { continue }
      var sizes = along.map { $0.map { _ in 1e-300 } }
      var generator = TorchGenerator(seed: 5)
      for _ in 0..<8 {
        let signs = residual.map { _ in generator.nextDouble() < 0.5 ? -1.0 : 1.0 }
        guard let random = pullback(expected.name, shape, signs) else { continue }
        for (index, numbers) in random.enumerated() {
          for (element, number) in numbers.enumerated() { sizes[index][element] += number * number }
        }
      }
      for (index, numbers) in along.enumerated() {
        for (element, number) in numbers.enumerated() where number != 0 {
          scores.append((index, element, number * number / sizes[index][element]))
        }
      }
      break
    }
    return scores.sorted { $0.score > $1.score }.prefix(most).map { ($0.index, $0.element) }
  }

  /// The gradient of the sum of a result times numbers, in a trial's arrays.
  private func pullback(_ name: String, _ shape: [Int], _ upstream: [Double]) -> [[Double]]? {
    guard let gradient = try? NDArray(shape: shape, elements: upstream) else { return nil }
    var recurrent: Parameters<Double>
    var head = Parameters<Double>()
    if name == "logits" {
      // The squared distance from logits − u/2 has the gradient u.
      guard let model = Optional(run.model),
        let output = try? model(run.x, state: .init(h: run.h0, c: run.c0), lengths: run.lengths),
        let logits = output.logits, logits.shape == shape
      else { return nil }
      var targets = logits
      for index in targets.elements.indices { targets.elements[index] -= upstream[index] / 2 }
      guard
        let gradients = try? model.backward(
          run.x, state: .init(h: run.h0, c: run.c0), lengths: run.lengths,
          targets: .values(targets),
          loss: .mse(reduction: .sum))
      else { return nil }
      (recurrent, head) = (gradients.recurrent, gradients.head)
    } else {
      guard
        let (_, tape) = try? run.model.rnn.record(
          run.x, h0: run.h0, c0: run.c0, lengths: run.lengths),
        let gradients = try? run.model.rnn.backward(
          tape, gradOutput: name == "output" ? gradient : nil,
          gradHN: name == "h_n" ? gradient : nil,
          gradCN: name == "c_n" ? gradient : nil)
      else { return nil }
      recurrent = gradients.parameters
    }
    var result: [[Double]] = []
    for index in 0..<baseline.blockCount * 5 {
      result.append(recurrent[baseline.name(of: index)]?.elements ?? [])
    }
    return result + [head["weight"]?.elements ?? [], head["bias"]?.elements ?? []]
  }
}
