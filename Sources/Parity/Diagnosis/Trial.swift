import RNNEngine
import Tensors

/// The parameters of one layer and direction, in PyTorch's order.
enum Role: Int, Sendable, CaseIterable {
  case inputWeight, hiddenWeight, inputBias, hiddenBias, projection

  var name: String {
    ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"][rawValue]
  }
  var isBias: Bool { self == .inputBias || self == .hiddenBias }
}

/// What a network may do differently from PyTorch's, beside its numbers.
struct TrialOptions: Sendable, Equatable {
  /// The function of the gates.
  var gates = Squash.sigmoid
  /// The function of the new state: of an Elman cell, of n, of g.
  var state = Squash.tanh
  /// What an LSTM's c goes through on its way to h.
  var memory = Squash.tanh
  var reset = GRUReset.after
  var reads = HeadReads.sequence

  /// How the second direction goes through time.
  enum Reverse: Sendable { case backwards, forwards, notTurnedBack }
  var reverse = Reverse.backwards
  /// Whether the second direction starts in the padding, and both go on through it.
  var reverseStartsInPadding = false
  var runsThroughPadding = false
  /// The step that a head of one prediction reads.
  enum LastStep: Sendable { case valid, padded, first }
  var lastStep = LastStep.valid
  /// Whether the final states are those at the end of the output, of both directions.
  var statesAtOutputEnd = false
  /// Whether the final states are those of direction 0 of every layer, then of direction 1.
  var statesByDirection = false
  var statesLastLayerFirst = false
  /// Whether a layer's output has its second direction first; of every layer, or the returned one only.
  var reverseFirst = false
  var returnsReverseFirst = false
  /// Whether the output comes back with time and batch exchanged, or from the last step to the first.
  var exchangesOutput = false
  var turnsOutput = false
}

/// A network with its input, as plain as can be: what hypotheses change.
///
/// It is written without the engine's kernels, so that it may differ from them where hypotheses want it to.
struct Trial<R: Real>: Sendable {
  let configuration: RecurrentConfiguration
  /// Five arrays for every layer and direction, then the head's weight and bias; absent ones are empty.
  var weights: [[R]]
  let classCount: Int
  /// In the caller's order of axes.
  var x: [R]
  var xShape: [Int]
  var timeAxis: Int
  var h0: [R]?
  var c0: [R]?
  var lengths: [Int]?
  var options = TrialOptions()

  var isBatched: Bool { xShape.count == 3 }
  var steps: Int { xShape[timeAxis] }
  var batch: Int { isBatched ? xShape[1 - timeAxis] : 1 }
  var directions: Int { configuration.directionCount }
  var blockCount: Int { configuration.layerCount * directions }
  var gateCount: Int { configuration.cell.gateCount }
  var headWeight: Int { blockCount * 5 }
  var headBias: Int { blockCount * 5 + 1 }
  var hasHead: Bool { classCount > 0 }

  func inputSize(ofLayer layer: Int) -> Int {
    layer == 0 ? configuration.inputSize : configuration.outputSize
  }

  func inputSize(ofBlock block: Int) -> Int { inputSize(ofLayer: block / directions) }

  /// Rows of one gate, and columns, of a parameter of a block.
  func size(_ block: Int, _ role: Role) -> (rows: Int, columns: Int) {
    switch role {
    case .inputWeight: (configuration.hiddenSize, inputSize(ofBlock: block))
    case .hiddenWeight: (configuration.hiddenSize, configuration.stateSize)
    case .inputBias, .hiddenBias: (configuration.hiddenSize, 1)
    case .projection: (configuration.projSize, configuration.hiddenSize)
    }
  }

  static func name(_ block: Int, _ role: Role, directions: Int) -> String {
    "\(role.name)_l\(block / directions)" + (block % directions == 1 ? "_reverse" : "")
  }

  /// PyTorch's name of the parameter at a place in ``weights``.
  func name(of index: Int) -> String {
    if index == headWeight { return "head weight" }
    if index == headBias { return "head bias" }
    return Self.name(index / 5, Role.allCases[index % 5], directions: directions)
  }
}

extension Trial where R == Double {
  /// What the fixture states, without any mistake.
  init(_ run: FixtureRun<Double>) throws {
    let model = run.model
    let configuration = model.rnn.configuration
    var weights: [[Double]] = []
    for block in 0..<configuration.layerCount * configuration.directionCount {
      for role in Role.allCases {
        let name = Self.name(block, role, directions: configuration.directionCount)
        weights.append(model.rnn.parameters[name]?.elements ?? [])
      }
    }
    weights.append(model.head?.weight.elements ?? [])
    weights.append(model.head?.bias?.elements ?? [])
    self.init(
      configuration: configuration, weights: weights, classCount: model.head?.outputSize ?? 0,
      x: run.x.elements, xShape: run.x.shape, timeAxis: run.timeAxis, h0: run.h0?.elements,
      c0: run.c0?.elements, lengths: run.lengths)
    options.reset = configuration.gruReset
    options.reads = model.headReads
    if configuration.cell == .rnnRelu { options.state = .relu }
  }

  /// The same with derivatives, all zero.
  var dual: Trial<Dual> {
    var result = Trial<Dual>(
      configuration: configuration, weights: weights.map { $0.map { Dual($0) } },
      classCount: classCount, x: x.map { Dual($0) }, xShape: xShape, timeAxis: timeAxis,
      h0: h0?.map { Dual($0) }, c0: c0?.map { Dual($0) }, lengths: lengths)
    result.options = options
    return result
  }

  /// The first steps of some rows.
  func cut(steps count: Int, rows: [Int]) -> Trial {
    var result = self
    let (steps, batch, width) = (steps, batch, configuration.inputSize)
    let count = min(count, steps)
    result.x = []
    let outer = timeAxis == 0 ? Array(0..<count) : rows
    let inner = timeAxis == 0 ? rows : Array(0..<count)
    for a in outer {
      for b in inner {
        let start = (a * (timeAxis == 0 ? batch : steps) + b) * width
        result.x += x[start..<start + width]
      }
    }
    if isBatched {
      result.xShape = [outer.count, inner.count, width]
    } else {
      result.xShape[0] = count
    }
    func states(_ states: [Double]?, _ size: Int) -> [Double]? {
      states.map { states in
        (0..<blockCount).flatMap { block in
          rows.flatMap { row in
            let start = (block * batch + row) * size
            return states[start..<start + size]
          }
        }
      }
    }
    result.h0 = states(h0, configuration.stateSize)
    result.c0 = states(c0, configuration.hiddenSize)
    result.lengths = lengths.map { lengths in rows.map { min(lengths[$0], count) } }
    return result
  }
}
