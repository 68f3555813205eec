import Foundation
import Recurrent
import Tensors

@testable import Parity

/// Chance that is the same in every run.
struct Chance {
  var generator: TorchGenerator

  init(_ seed: Int) { generator = TorchGenerator(seed: seed) }

  mutating func number(_ range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * generator.nextDouble()
  }
  mutating func pick<T>(_ items: [T]) -> T { items[Int(generator.next32()) % items.count] }
  mutating func isTrue() -> Bool { generator.next32() % 2 == 0 }
  mutating func array(_ shape: [Int], _ size: Double) -> NDArray<Double> {
    var result = NDArray<Double>(zeros: shape)
    for index in result.elements.indices { result.elements[index] = number(-size...size) }
    return result
  }
}

/// A small random network whose sizes all differ, with an input.
struct RandomNetwork {
  var configuration: RecurrentConfiguration
  var parameters = Parameters<Double>()
  var x: NDArray<Double>
  var h0: NDArray<Double>?
  var c0: NDArray<Double>?
  var lengths: [Int]?
  var head: Linear<Double>?
  var reads = HeadReads.sequence
  let steps: Int
  let batch: Int

  init(
    _ chance: inout Chance, cells: [Cell] = [.rnnTanh, .rnnRelu, .lstm, .gru], layers: Int? = nil,
    bidirectional: Bool? = nil, states: Bool? = nil, ragged: Bool = false, reads: HeadReads? = nil
  ) throws {
    var sizes = [2, 3, 4, 5]
    if chance.isTrue() { sizes.reverse() }
    let rotation = chance.pick([0, 1, 2, 3])
    sizes = Array(sizes[rotation...] + sizes[..<rotation])
    (steps, batch) = (max(3, sizes[0]) + 2, sizes[1])
    configuration = RecurrentConfiguration(
      cell: chance.pick(cells), inputSize: sizes[2], hiddenSize: max(3, sizes[3]),
      layerCount: layers ?? chance.pick([1, 2]), batchFirst: chance.isTrue(),
      bidirectional: bidirectional ?? chance.isTrue())
    for (name, shape) in configuration.parameterShapes {
      parameters.append(name, chance.array(shape, shape.count == 1 ? 0.6 : 0.9))
    }
    let rows = configuration.layerCount * configuration.directionCount
    x = chance.array(
      (configuration.batchFirst ? [batch, steps] : [steps, batch]) + [configuration.inputSize], 1.5)
    if states ?? chance.isTrue() {
      h0 = chance.array([rows, batch, configuration.hiddenSize], 0.8)
      if configuration.cell.hasCellState {
        c0 = chance.array([rows, batch, configuration.hiddenSize], 0.8)
      }
    }
    if ragged {
      var some: [Int] = []
      for row in 0..<batch {
        some.append(row == 0 ? steps : 1 + Int(chance.generator.next32()) % (steps - 1))
      }
      lengths = some
    }
    if let reads {
      self.reads = reads
      head = try Linear(
        weight: chance.array([6, configuration.outputSize], 0.8), bias: chance.array([6], 0.5))
    }
  }

  /// The outputs, of the network as it is now.
  func outputs(dropout: DropoutMasks? = nil, probability: Double = 0) throws -> [String: NDArray<
    Double
  >] {
    var configuration = configuration
    configuration.dropout = probability
    let rnn = try RNN(configuration, parameters: parameters)
    let (result, _) = try rnn.record(x, h0: h0, c0: c0, lengths: lengths, dropout: dropout)
    var outputs = ["output": result.output, "h_n": result.hN]
    outputs["c_n"] = result.cN
    if head != nil {
      let model = try Model(rnn: rnn, head: head, headReads: reads)
      outputs["logits"] = try model(x, state: .init(h: h0, c: c0), lengths: lengths).logits
    }
    return outputs
  }

  /// A fixture of this network that expects those numbers.
  func fixture(_ outputs: [String: NDArray<Double>], narrow: Bool) throws -> Fixture {
    var state = StateDict()
    let config =
      #"{"schema": 1, "cell": "\#(configuration.cell.rawValue)", "batch_first": \#(configuration.batchFirst),"#
      + #" "gru_reset": "\#(configuration.gruReset.rawValue)", "head": "\#(head == nil ? "none" : "linear")""#
      + (head == nil ? "}" : #", "head_reads": "\#(reads.rawValue)"}"#)
    try state.append(
      "config", Tensor(dtype: .u8, shape: [config.utf8.count], bytes: Array(config.utf8)))
    func add(_ name: String, _ array: NDArray<Double>?) throws {
      guard let tensor = try array?.tensor else { return }
      try state.append(Name(name), narrow ? tensor.converted(to: .f32).0 : tensor)
    }
    for (name, array) in parameters.entries {
      try add("weights/" + (head == nil ? "" : "rnn.") + name, array)
    }
    try add("weights/head.weight", head?.weight)
    try add("weights/head.bias", head?.bias)
    try add("inputs/x", x)
    try add("inputs/h_0", h0)
    try add("inputs/c_0", c0)
    if let lengths { try state.append("inputs/lengths", Tensor.make(lengths, shape: [batch])) }
    for name in outputs.keys.sorted() { try add("outputs/\(name)", outputs[name]) }
    return try Fixture(state)
  }

  mutating func change(
    _ isChanged: (String) -> Bool, _ body: (NDArray<Double>) throws -> NDArray<Double>
  ) rethrows {
    for (name, array) in parameters.entries where isChanged(name) {
      parameters[name] = try body(array)
    }
  }
}

extension RandomNetwork {
  static let kinds = [
    "gates-permuted", "bias-doubled", "bias-missing", "bias-hh-missing", "batch-first", "gru-reset",
    "directions-swapped", "layers-swapped", "matrix-transposed", "lengths-ignored", "last-step",
    "time-reversed", "activation", "forget-bias", "initial-state-ignored", "weights-rounded",
    "weight-differs", "dropout-active",
  ]

  /// A fixture whose numbers the engine computed with a mistake; `nil` if the mistake does not show.
  static func wrong(_ kind: String, _ chance: inout Chance) throws -> Fixture? {
    var network =
      switch kind {
      case "gates-permuted": try Self(&chance, cells: [.lstm, .gru])
      case "batch-first": try Self(&chance, states: false)
      case "gru-reset": try Self(&chance, cells: [.gru])
      case "directions-swapped": try Self(&chance, bidirectional: true)
      case "layers-swapped": try Self(&chance, layers: 3)
      case "lengths-ignored": try Self(&chance, ragged: true)
      case "last-step": try Self(&chance, bidirectional: true, reads: chance.pick([.last, .final]))
      case "activation": try Self(&chance, cells: [.rnnTanh, .rnnRelu])
      case "forget-bias": try Self(&chance, cells: [.lstm])
      case "initial-state-ignored": try Self(&chance, states: true)
      case "dropout-active": try Self(&chance, layers: 2, bidirectional: false)
      default: try Self(&chance)
      }
    let stated = network
    let right = try network.outputs()
    let gates = network.configuration.cell.gateCount
    let hidden = network.configuration.hiddenSize
    var masks: DropoutMasks?
    switch kind {
    case "gates-permuted":
      let order = chance.pick(
        gates == 3
          ? [[1, 0, 2], [2, 1, 0], [1, 2, 0]] : [[0, 2, 1, 3], [0, 3, 1, 2], [3, 2, 0, 1]])
      try network.change({ _ in true }) { array in
        let size = array.count / gates
        var result = array
        for (place, gate) in order.enumerated() {
          result.elements.replaceSubrange(
            gate * size..<(gate + 1) * size, with: array.elements[place * size..<(place + 1) * size]
          )
        }
        return result
      }
    case "bias-doubled": network.change({ $0.hasPrefix("bias") }) { 2 * $0 }
    case "bias-missing": network.change({ $0.hasPrefix("bias") }) { 0 * $0 }
    case "bias-hh-missing": network.change({ $0.hasPrefix("bias_hh") }) { 0 * $0 }
    case "batch-first": network.configuration.batchFirst.toggle()
    case "gru-reset": network.configuration.gruReset = .before
    case "directions-swapped":
      for (name, array) in stated.parameters.entries where name.hasSuffix("_reverse") {
        let other = String(name.dropLast("_reverse".count))
        network.parameters[name] = stated.parameters[other]
        network.parameters[other] = array
      }
    case "layers-swapped":
      for (name, array) in stated.parameters.entries where name.contains("_l1") {
        let other = name.replacingFirst("_l1", "_l2")
        network.parameters[name] = stated.parameters[other]
        network.parameters[other] = array
      }
    case "matrix-transposed":
      let input = chance.isTrue()
      try network.change({ $0.hasPrefix(input ? "weight_ih" : "weight_hh") }) { array in
        if input {
          return try NDArray(shape: array.shape.reversed(), elements: array.elements).transposed()
        }
        var result = array
        for index in array.elements.indices {
          let (gate, row, column) = (
            index / hidden / hidden, index / hidden % hidden, index % hidden
          )
          result.elements[index] = array.elements[(gate * hidden + column) * hidden + row]
        }
        return result
      }
    case "lengths-ignored": network.lengths = nil
    case "last-step": network.reads = network.reads == .last ? .final : .last
    case "time-reversed":
      for index in network.x.elements.indices {
        let width = network.configuration.inputSize
        let (place, unit) = (index / width, index % width)
        let (steps, batch) = (network.steps, network.batch)
        let from =
          network.configuration.batchFirst
          ? place / steps * steps + steps - 1 - place % steps
          : (steps - 1 - place / batch) * batch + place % batch
        network.x.elements[index] = stated.x.elements[from * width + unit]
      }
    case "activation":
      network.configuration.cell = network.configuration.cell == .rnnTanh ? .rnnRelu : .rnnTanh
    case "forget-bias":
      let amount = chance.pick([1.0, -1])
      network.change({ $0.hasPrefix("bias_ih") }) { array in
        var result = array
        for unit in hidden..<2 * hidden { result.elements[unit] += amount }
        return result
      }
    case "initial-state-ignored": (network.h0, network.c0) = (nil, nil)
    case "weights-rounded":
      let type = chance.pick([DType.f16, .bf16])
      try network.change({ _ in true }) { array in
        try NDArray(array.tensor.converted(to: type).0)
      }
    case "weight-differs":
      let victim = chance.pick(network.parameters.names)
      let how = chance.pick([0, 1])
      let amount = chance.number(0.1...0.8)
      network.change({ $0 == victim }) { array in
        var result = array
        if how == 0 {
          result.elements[array.count / 2] += amount
        } else {
          for unit in 0..<array.count / gates { result.elements[unit] *= -1 }
        }
        return result
      }
    case "dropout-active":
      let seed = Int(chance.generator.next32())
      var source = Chance(seed)
      var draws = [Bool]()
      for _ in 0..<network.steps * network.batch * hidden {
        draws.append(source.number(0...1) < 0.6)
      }
      let all = draws
      masks = DropoutMasks { count, _ in Array(all[0..<count]) }
    default: return nil
    }
    let wrong = try network.outputs(dropout: masks, probability: masks == nil ? 0 : 0.4)
    let moved = wrong.contains { name, array in
      right[name]?.shape != array.shape
        || zip(array.elements, right[name]?.elements ?? []).contains { ($0 - $1).magnitude > 2e-4 }
    }
    guard moved else { return nil }
    let narrow = kind != "weights-rounded" && chance.isTrue()
    return try stated.fixture(wrong, narrow: narrow)
  }
}

extension String {
  fileprivate func replacingFirst(_ part: String, _ other: String) -> String {
    guard let range = range(of: part) else { return self }
    return replacingCharacters(in: range, with: other)
  }

}
