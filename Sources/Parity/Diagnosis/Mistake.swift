import Bytes
import RNNEngine
import Tensors

/// A known mistake, as a change of a network, its input or its options.
///
/// The change is written once for numbers and for numbers with derivatives, so that the gradients under a
/// hypothesis are exact as well.
enum Mistake: Sendable, Equatable {
  /// Stored gate `order[k]` is what stands in the k-th place.
  case gates(order: [Int], roles: [Role], blocks: [Int])
  case scaledBiases(input: Double, hidden: Double, blocks: [Int])
  case copiedBias(from: Role, to: Role, blocks: [Int])
  case withoutHeadBias
  case exchangedAxes, reshapedAxes, exchangedOutput
  case otherReset
  /// A GRU's z where others have 1 - z.
  case complementedUpdate
  /// A GRU's b_hn outside of the product with r.
  case biasOutsideReset(blocks: [Int])
  case swappedBlocks([[Int]], roles: [Role])
  case swappedStates([[Int]])
  case transposed(roles: [Role], blocks: [Int], Transposition)
  case transposedHead(Transposition)
  case lengths(Lengths)
  case options(WritableChange)
  case activation(Place, Squash)
  case forgetBias(Double, blocks: [Int])
  case initialState(Initial)
  case rounded(DType, inputs: Bool, biases: Bool)
  case turnedInput(valid: Bool, output: Bool)
  /// Rows × columns of one parameter: of a tensor, a gate, a row, a column or an element.
  case patch(Patch, PatchChange)

  enum Transposition: String, Sendable {
    /// Every gate's square block.
    case gates
    /// The memory of the transposed matrix, read in the other order: of all gates, or gate by gate.
    case memory, memoryInverse, gateMemory, gateMemoryInverse
  }
  enum Lengths: Sendable { case ignored, ignoredButMasked, reverseStartsInPadding }
  enum Place: String, Sendable { case gates, state, memory }
  enum Initial: Sendable { case ignored, hIgnored, cIgnored, exchanged, cIsH, firstLayerOnly }

  /// A change of one option.
  enum WritableChange: Sendable, Equatable {
    case reverse(TrialOptions.Reverse)
    case reads(HeadReads)
    case lastStep(TrialOptions.LastStep)
    case statesAtOutputEnd, statesByDirection, statesLastLayerFirst
    case reverseFirst, returnsReverseFirst, turnsOutput
  }

  /// Changes a trial, unless another mistake has left nothing that fits together.
  func apply<R: Real>(to trial: inout Trial<R>) {
    guard trial.isConsistent else { return }
    switch self {
    case .gates(let order, let roles, let blocks):
      for (index, rows, columns) in places(trial, roles, blocks) {
        let old = trial.weights[index]
        for (place, gate) in order.enumerated() {
          let size = rows * columns
          trial.weights[index].replaceSubrange(
            gate * size..<(gate + 1) * size, with: old[place * size..<(place + 1) * size])
        }
      }
    case .scaledBiases(let input, let hidden, let blocks):
      for (index, _, _) in places(trial, [.inputBias], blocks) {
        trial.weights[index] = trial.weights[index].map { R(input) * $0 }
      }
      for (index, _, _) in places(trial, [.hiddenBias], blocks) {
        trial.weights[index] = trial.weights[index].map { R(hidden) * $0 }
      }
    case .copiedBias(let from, let to, let blocks):
      for block in blocks {
        trial.weights[block * 5 + to.rawValue] = trial.weights[block * 5 + from.rawValue]
      }
    case .withoutHeadBias: trial.weights[trial.headBias] = []
    case .exchangedAxes: if trial.isBatched { trial.timeAxis = 1 - trial.timeAxis }
    case .reshapedAxes:
      // Read as if the other axis came first, without moving a number.
      if trial.isBatched {
        trial.xShape.swapAt(0, 1)
      }
    case .exchangedOutput: trial.options.exchangesOutput.toggle()
    case .otherReset:
      trial.options.reset = trial.options.reset == .after ? .before : .after
    case .biasOutsideReset(let blocks):
      for block in blocks where !trial.weights[block * 5 + 3].isEmpty {
        let hidden = trial.configuration.hiddenSize
        for unit in 2 * hidden..<3 * hidden {
          trial.weights[block * 5 + 2][unit] =
            trial.weights[block * 5 + 2][unit] + trial.weights[block * 5 + 3][unit]
          trial.weights[block * 5 + 3][unit] = R(0)
        }
      }
    case .complementedUpdate:
      let roles: [Role] = [.inputWeight, .hiddenWeight, .inputBias, .hiddenBias]
      for (index, rows, columns) in places(trial, roles, Array(0..<trial.blockCount)) {
        for element in rows * columns..<2 * rows * columns {
          trial.weights[index][element] = R(0) - trial.weights[index][element]
        }
      }
    case .swappedBlocks(let pairs, let roles):
      for pair in pairs {
        for role in roles {
          let (a, b) = (pair[0] * 5 + role.rawValue, pair[1] * 5 + role.rawValue)
          guard trial.weights[a].count == trial.weights[b].count else { continue }
          trial.weights.swapAt(a, b)
        }
      }
    case .swappedStates(let pairs):
      trial.h0 = swapped(trial.h0, pairs, trial.blockCount)
      trial.c0 = swapped(trial.c0, pairs, trial.blockCount)
    case .transposed(let roles, let blocks, let kind):
      for (index, rows, columns) in places(trial, roles, blocks) {
        transpose(&trial.weights[index], rows, columns, kind)
      }
    case .transposedHead(let kind):
      let rows = trial.classCount
      guard rows > 0 else { return }
      let columns = trial.weights[trial.headWeight].count / rows
      transpose(&trial.weights[trial.headWeight], rows, columns, kind)
    case .lengths(.ignored): trial.lengths = nil
    case .lengths(.ignoredButMasked): trial.options.runsThroughPadding = true
    case .lengths(.reverseStartsInPadding): trial.options.reverseStartsInPadding = true
    case .options(let change): apply(change, to: &trial.options)
    case .activation(.gates, let function): trial.options.gates = function
    case .activation(.state, let function): trial.options.state = function
    case .activation(.memory, let function): trial.options.memory = function
    case .forgetBias(let amount, let blocks):
      let hidden = trial.configuration.hiddenSize
      for (index, _, _) in places(trial, [.inputBias], blocks) {
        for unit in hidden..<2 * hidden {
          trial.weights[index][unit] = trial.weights[index][unit] + R(amount)
        }
      }
    case .initialState(let kind): applyInitial(kind, &trial)
    case .rounded(let dtype, let inputs, let biases):
      for index in trial.weights.indices {
        if !biases, index == trial.headBias || index % 5 == 2 || index % 5 == 3 { continue }
        round(&trial.weights[index], dtype)
      }
      if inputs {
        round(&trial.x, dtype)
        if var h = trial.h0 {
          round(&h, dtype)
          trial.h0 = h
        }
        if var c = trial.c0 {
          round(&c, dtype)
          trial.c0 = c
        }
      }
    case .turnedInput(let valid, let output):
      trial.x = turnedInput(trial, valid)
      if output { trial.options.turnsOutput = true }
    case .patch(let patch, let change): change.apply(patch, &trial)
    }
  }

  private func apply(_ change: WritableChange, to options: inout TrialOptions) {
    switch change {
    case .reverse(let reverse): options.reverse = reverse
    case .reads(let reads): options.reads = reads
    case .lastStep(let step): options.lastStep = step
    case .statesAtOutputEnd: options.statesAtOutputEnd = true
    case .statesByDirection: options.statesByDirection = true
    case .statesLastLayerFirst: options.statesLastLayerFirst = true
    case .reverseFirst: options.reverseFirst = true
    case .returnsReverseFirst: options.returnsReverseFirst = true
    case .turnsOutput: options.turnsOutput = true
    }
  }

  /// The arrays that there are, with the rows and columns of one gate.
  private func places<R>(
    _ trial: Trial<R>, _ roles: [Role], _ blocks: [Int]
  ) -> [(index: Int, rows: Int, columns: Int)] {
    blocks.flatMap { block in
      roles.compactMap { role in
        let index = block * 5 + role.rawValue
        guard !trial.weights[index].isEmpty else { return nil }
        let size = trial.size(block, role)
        return (index, size.rows, size.columns)
      }
    }
  }

  private func swapped<R>(_ states: [R]?, _ pairs: [[Int]], _ blocks: Int) -> [R]? {
    guard var states else { return nil }
    let size = states.count / blocks
    for pair in pairs {
      for unit in 0..<size { states.swapAt(pair[0] * size + unit, pair[1] * size + unit) }
    }
    return states
  }

  private func transpose<R>(
    _ matrix: inout [R], _ gateRows: Int, _ columns: Int, _ kind: Transposition
  ) {
    let isByGate = kind == .gates || kind == .gateMemory || kind == .gateMemoryInverse
    let rows = isByGate ? gateRows : matrix.count / max(1, columns)
    guard rows * columns > 0, kind != .gates || rows == columns else { return }
    let old = matrix
    for start in stride(from: 0, to: matrix.count, by: rows * columns) {
      for row in 0..<rows {
        for column in 0..<columns {
          let (straight, across) = (start + row * columns + column, start + column * rows + row)
          switch kind {
          case .gates, .memory, .gateMemory: matrix[straight] = old[across]
          case .memoryInverse, .gateMemoryInverse: matrix[across] = old[straight]
          }
        }
      }
    }
  }

  private func applyInitial<R: Real>(_ kind: Initial, _ trial: inout Trial<R>) {
    switch kind {
    case .ignored: (trial.h0, trial.c0) = (nil, nil)
    case .hIgnored: trial.h0 = nil
    case .cIgnored: trial.c0 = nil
    case .exchanged: (trial.h0, trial.c0) = (trial.c0, trial.h0)
    case .cIsH: trial.c0 = trial.h0
    case .firstLayerOnly:
      func firstOnly(_ states: [R]?) -> [R]? {
        states.map { states in
          let count = states.count / trial.blockCount * trial.directions
          return states[..<count] + [R](repeating: R(0), count: states.count - count)
        }
      }
      (trial.h0, trial.c0) = (firstOnly(trial.h0), firstOnly(trial.c0))
    }
  }

  /// Rounds the numbers and keeps their derivatives.
  private func round<R: Real>(_ numbers: inout [R], _ dtype: DType) {
    let values = numbers.map(\.value)
    guard
      let rounded = try? Tensor.make(values, shape: [values.count]).rounded(to: dtype).doubles()
    else { return }
    for index in numbers.indices {
      numbers[index] = numbers[index] + R(rounded[index] - values[index])
    }
  }

  private func turnedInput<R>(_ trial: Trial<R>, _ valid: Bool) -> [R] {
    var result = trial.x
    let width = trial.configuration.inputSize
    let (steps, batch) = (trial.steps, trial.batch)
    for row in 0..<batch {
      let length = valid ? trial.lengths?[row] ?? steps : steps
      for step in 0..<length {
        func start(_ step: Int) -> Int {
          (trial.timeAxis == 1 ? row * steps + step : step * batch + row) * width
        }
        for unit in 0..<width {
          result[start(step) + unit] = trial.x[start(length - 1 - step) + unit]
        }
      }
    }
    return result
  }
}

/// A rectangle of one parameter.
struct Patch: Sendable, Equatable {
  /// The place in a trial's weights.
  var index: Int
  /// The elements.
  var elements: Elements
  /// What it is, in words: `gate f`, `row 3 of gate f`, `row 3, column 2`.
  var words: String
}

/// Elements of an array, one every so many.
struct Elements: RandomAccessCollection, Sendable, Equatable {
  var start: Int
  var step = 1
  var count: Int

  var startIndex: Int { 0 }
  var endIndex: Int { count }
  subscript(position: Int) -> Int { start + position * step }
}

/// What happened to the numbers of a patch.
enum PatchChange: Sendable, Equatable {
  case scaled(Double)
  case added(Double)
  case copied(from: Patch)
  case swapped(with: Patch)
  /// As a square of so many rows.
  case transposed(Int)

  func apply<R: Real>(_ patch: Patch, _ trial: inout Trial<R>) {
    switch self {
    case .scaled(let factor):
      for element in patch.elements {
        trial.weights[patch.index][element] = R(factor) * trial.weights[patch.index][element]
      }
    case .added(let amount):
      for element in patch.elements {
        trial.weights[patch.index][element] = trial.weights[patch.index][element] + R(amount)
      }
    case .copied(let source):
      let numbers = source.elements.map { trial.weights[source.index][$0] }
      for (element, number) in zip(patch.elements, numbers) {
        trial.weights[patch.index][element] = number
      }
    case .transposed(let rows):
      let numbers = patch.elements.map { trial.weights[patch.index][$0] }
      for (place, element) in patch.elements.enumerated() {
        trial.weights[patch.index][element] = numbers[place % rows * rows + place / rows]
      }
    case .swapped(let other):
      for (a, b) in zip(patch.elements, other.elements) {
        let number = trial.weights[patch.index][a]
        trial.weights[patch.index][a] = trial.weights[other.index][b]
        trial.weights[other.index][b] = number
      }
    }
  }
}
