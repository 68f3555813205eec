import Networks
import RNNEngine
import Tensors

/// The hypotheses for one network, the commonest and the simplest first.
struct KnownMistakes {
  let trial: Trial<Double>
  /// The element type of the weights.
  let dtype: DType
  /// Whether there are tensors over time, rows of different lengths, …
  private var configuration: RecurrentConfiguration { trial.configuration }
  private var all: [Int] { Array(0..<trial.blockCount) }
  private var roles: [Role] { [.inputWeight, .hiddenWeight, .inputBias, .hiddenBias] }
  private var isBidirectional: Bool { trial.directions == 2 }
  private var hasBias: Bool { !trial.weights[2].isEmpty }

  init(_ trial: Trial<Double>, dtype: DType) {
    self.trial = trial
    self.dtype = dtype
  }

  /// Parts of the network that a mistake may be confined to, all of it first.
  private var parts: [[Int]] {
    var result = [all]
    if isBidirectional {
      result += [all.filter { $0 % 2 == 1 }, all.filter { $0 % 2 == 0 }]
    }
    guard trial.blockCount <= 64 else { return result }
    for layer in 0..<configuration.layerCount {
      result.append(all.filter { $0 / trial.directions == layer })
    }
    result += all.map { [$0] }
    var unique: [[Int]] = []
    for part in result where !unique.contains(part) { unique.append(part) }
    return unique
  }

  /// What happened to the whole network: what pairs are made of.
  var ofEverything: [Mistake] {
    inputs + biases(all) + resets + permutations(all, [roles]) + configurationMistakes + states
      + transpositions([all]) + exchanges + roundings
  }

  /// What happened to a part of it, or to some roles only.
  var ofParts: [Mistake] {
    let parts = parts.dropFirst()
    return parts.flatMap { biases($0) + permutations($0, [roles]) }
      + permutations(all, someRoles)
      + transpositions(Array(parts))
      + parts.flatMap { permutations($0, someRoles) }
  }

  private var someRoles: [[Role]] {
    [
      [.inputWeight], [.hiddenWeight], [.inputBias, .hiddenBias], [.inputBias], [.hiddenBias],
      [.inputWeight, .inputBias], [.hiddenWeight, .hiddenBias], [.inputWeight, .hiddenWeight],
    ]
  }

  private var inputs: [Mistake] {
    var result: [Mistake] = []
    if trial.h0 != nil || trial.c0 != nil {
      result.append(.initialState(.ignored))
      if trial.c0 != nil {
        result += [.initialState(.hIgnored), .initialState(.cIgnored)]
        if configuration.stateSize == configuration.hiddenSize {
          result.append(.initialState(.exchanged))
        }
      }
      if configuration.cell.hasCellState, trial.h0 != nil,
        configuration.stateSize == configuration.hiddenSize
      {
        result.append(.initialState(.cIsH))
      }
      if configuration.layerCount > 1 { result.append(.initialState(.firstLayerOnly)) }
    }
    if trial.lengths != nil {
      result += [.lengths(.ignored), .lengths(.ignoredButMasked)]
      if isBidirectional { result.append(.lengths(.reverseStartsInPadding)) }
    }
    if trial.isBatched { result += [.exchangedAxes, .exchangedOutput, .reshapedAxes] }
    result += [.turnedInput(valid: true, output: true), .turnedInput(valid: true, output: false)]
    if trial.lengths != nil {
      result += [
        .turnedInput(valid: false, output: true), .turnedInput(valid: false, output: false),
      ]
    }
    return result
  }

  private var resets: [Mistake] {
    guard configuration.cell == .gru else { return [] }
    return [.otherReset, .complementedUpdate]
      + (hasBias ? [.biasOutsideReset(blocks: all)] : [])
  }

  private var configurationMistakes: [Mistake] {
    var result: [Mistake] = []
    if trial.hasHead, trial.options.reads != .sequence {
      result += [HeadReads.last, .final].filter { $0 != trial.options.reads }
        .map { .options(.reads($0)) }
    }
    if trial.hasHead {
      result += [.options(.lastStep(.padded)), .options(.lastStep(.first))]
    }
    result += [.options(.statesAtOutputEnd), .options(.turnsOutput)]
    if isBidirectional {
      result += [
        .options(.reverse(.forwards)), .options(.reverse(.notTurnedBack)),
        .options(.reverseFirst), .options(.returnsReverseFirst), .options(.statesByDirection),
      ]
    }
    if configuration.layerCount > 1 { result.append(.options(.statesLastLayerFirst)) }
    return result + activations
  }

  private var activations: [Mistake] {
    var result: [Mistake] = []
    let isGated = configuration.cell == .lstm || configuration.cell == .gru
    if isGated {
      result += [Squash.hardSigmoid, .hardSigmoid6, .tanh, .relu, .identity, .softsign].map {
        .activation(.gates, $0)
      }
    }
    let states: [Squash] = [.relu, .tanh, .sigmoid, .identity, .softsign, .hardTanh]
    result += states.filter { $0 != trial.options.state }.map { .activation(.state, $0) }
    if configuration.cell == .lstm {
      result += states.filter { $0 != .tanh }.map { .activation(.memory, $0) }
      result += [.forgetBias(1, blocks: all), .forgetBias(-1, blocks: all)]
    }
    return result
  }

  private func biases(_ blocks: [Int]) -> [Mistake] {
    guard hasBias else { return trial.hasHead && blocks == all ? [.withoutHeadBias] : [] }
    var result: [Mistake] = [
      .scaledBiases(input: 2, hidden: 2, blocks: blocks),
      .scaledBiases(input: 0.5, hidden: 0.5, blocks: blocks),
      .copiedBias(from: .inputBias, to: .hiddenBias, blocks: blocks),
      .copiedBias(from: .hiddenBias, to: .inputBias, blocks: blocks),
      .scaledBiases(input: 1, hidden: 0, blocks: blocks),
      .scaledBiases(input: 0, hidden: 0, blocks: blocks),
      .scaledBiases(input: 0, hidden: 1, blocks: blocks),
      .scaledBiases(input: 2, hidden: 1, blocks: blocks),
      .scaledBiases(input: 1, hidden: 2, blocks: blocks),
    ]
    if blocks.count < all.count {
      if configuration.cell == .gru { result.append(.biasOutsideReset(blocks: blocks)) }
      if configuration.cell == .lstm {
        result += [.forgetBias(1, blocks: blocks), .forgetBias(-1, blocks: blocks)]
      }
    } else if trial.hasHead {
      result.append(.withoutHeadBias)
    }
    return result
  }

  private func permutations(_ blocks: [Int], _ roleSets: [[Role]]) -> [Mistake] {
    let orders: [[Int]]
    switch configuration.cell {
    case .gru: orders = [[1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 2, 0], [2, 0, 1]]
    case .lstm:
      // ONNX's, TensorFlow 1's and older ones first.
      let known = [
        [0, 3, 1, 2], [0, 1, 3, 2], [0, 2, 1, 3], [1, 0, 2, 3], [1, 0, 3, 2], [2, 0, 1, 3],
      ]
      orders = known + Self.orders(4).filter { !known.contains($0) && $0 != [0, 1, 2, 3] }
    default: return []
    }
    return roleSets.flatMap { roles in
      orders.map { .gates(order: $0, roles: roles, blocks: blocks) }
    }
  }

  private static func orders(_ count: Int) -> [[Int]] {
    guard count > 1 else { return [[0]] }
    return orders(count - 1).flatMap { order in
      (0..<count).map { place in
        var order = order
        order.insert(count - 1, at: place)
        return order
      }
    }
  }

  private var states: [Mistake] {
    guard trial.h0 != nil || trial.c0 != nil else { return [] }
    var result: [Mistake] = []
    if isBidirectional {
      result.append(
        .swappedStates((0..<configuration.layerCount).map { [2 * $0, 2 * $0 + 1] }))
    }
    for (a, b) in layerPairs { result.append(.swappedStates(blocks(a, b))) }
    return result
  }

  private func transpositions(_ parts: [[Int]]) -> [Mistake] {
    let isSquare = configuration.stateSize == configuration.hiddenSize
    var result: [Mistake] = []
    for part in parts {
      if isSquare { result.append(.transposed(roles: [.hiddenWeight], blocks: part, .gates)) }
      var roleSets: [[Role]] = [[.inputWeight, .hiddenWeight], [.inputWeight], [.hiddenWeight]]
      if configuration.projSize > 0 { roleSets.append([.projection]) }
      for roles in roleSets {
        let kinds: [Mistake.Transposition] = [
          .memory, .memoryInverse, .gateMemory, .gateMemoryInverse,
        ]
        result += kinds.map { .transposed(roles: roles, blocks: part, $0) }
      }
    }
    if parts.contains(all), trial.hasHead {
      result += [.transposedHead(.memory), .transposedHead(.memoryInverse)]
    }
    return result
  }

  private var layerPairs: [(Int, Int)] {
    let layers = min(10, configuration.layerCount)
    return (0..<layers).flatMap { a in (a + 1..<max(layers, a + 1)).map { (a, $0) } }
  }

  private func blocks(_ a: Int, _ b: Int) -> [[Int]] {
    (0..<trial.directions).map { [a * trial.directions + $0, b * trial.directions + $0] }
  }

  private var exchanges: [Mistake] {
    var result: [Mistake] = []
    let everything = roles + [.projection]
    if isBidirectional {
      let pairs = (0..<configuration.layerCount).map { [2 * $0, 2 * $0 + 1] }
      result.append(.swappedBlocks(pairs, roles: everything))
      if (2...64).contains(pairs.count) {
        result += pairs.map { .swappedBlocks([$0], roles: everything) }
      }
      result += [[Role.inputWeight], [.hiddenWeight], [.inputBias, .hiddenBias]].map {
        .swappedBlocks(pairs, roles: $0)
      }
    }
    for (a, b) in layerPairs {
      let pairs = blocks(a, b)
      result.append(.swappedBlocks(pairs, roles: everything))
      result += [
        [Role.hiddenWeight], [.inputWeight], [.inputBias, .hiddenBias],
        [.hiddenWeight, .hiddenBias],
      ].map {
        .swappedBlocks(pairs, roles: $0)
      }
    }
    return result
  }

  private var roundings: [Mistake] {
    let types: [DType] =
      switch dtype {
      case .f64: [.bf16, .f16, .f32]
      case .f32: [.bf16, .f16]
      default: []
      }
    return types.flatMap { type -> [Mistake] in
      [
        .rounded(type, inputs: false, biases: true), .rounded(type, inputs: true, biases: true),
        .rounded(type, inputs: false, biases: false),
      ]
    }
  }
}
