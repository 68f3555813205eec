import Networks
import RNNEngine
import Tensors

/// What is said of a mistake: its code, the tensor, and what the numbers then are those of.
struct MistakeWords: Sendable {
  let code: String
  let tensor: String?
  /// Continues "the expected numbers are those of …".
  let detail: String
}

extension Mistake {
  /// The mistake in words for the network of a trial; `key` turns PyTorch's names into the file's.
  func words(_ trial: Trial<Double>, key: (String) -> String) -> MistakeWords {
    let directions = trial.directions
    func name(_ block: Int, _ role: Role) -> String {
      key(Trial<Double>.name(block, role, directions: directions))
    }
    func tensor(_ roles: [Role], _ blocks: [Int]) -> String? {
      roles.count == 1 && blocks.count == 1 ? name(blocks[0], roles[0]) : nil
    }
    func place(_ blocks: [Int]) -> String {
      if blocks.count == trial.blockCount { return "" }
      let layers = Set(blocks.map { $0 / directions })
      let ways = Set(blocks.map { $0 % directions })
      let way = ways.count == 1 && directions == 2 ? (ways == [0] ? "forward" : "reverse") : ""
      if layers.count == trial.configuration.layerCount { return " in the \(way) direction" }
      let list = layers.sorted().map { "\($0)" }.joined(separator: ", ")
      return " in layer \(list)" + (way.isEmpty ? "" : " (\(way))")
    }
    func of(_ roles: [Role]) -> String {
      roles.count >= 4 ? "" : " of " + roles.map(\.name).joined(separator: ", ")
    }
    func words(_ code: String, _ detail: String, _ tensor: String? = nil) -> MistakeWords {
      MistakeWords(code: code, tensor: tensor, detail: detail)
    }
    let gates = trial.configuration.cell.gateNames
    switch self {
    case .gates(let order, let roles, let blocks):
      let stand = order.map { gates[$0] }.joined(separator: " ")
      return words(
        "gates-permuted",
        "weights whose gates\(of(roles)) stand as \(stand)\(place(blocks)), where PyTorch has "
          + gates.joined(separator: " "), tensor(roles, blocks))
    case .scaledBiases(let input, let hidden, let blocks):
      switch (input, hidden) {
      case (0, 0): return words("bias-missing", "a network without biases\(place(blocks))")
      case (1, 0):
        return words(
          "bias-hh-missing", "a network that leaves out bias_hh\(place(blocks))",
          tensor([.hiddenBias], blocks))
      case (0, 1):
        return words(
          "bias-missing", "a network that leaves out bias_ih\(place(blocks))",
          tensor([.inputBias], blocks))
      case (0.5, 0.5):
        return words(
          "bias-doubled",
          "biases half as large\(place(blocks)): bias_ih and bias_hh hold the same bias twice")
      default:
        return words(
          "bias-doubled",
          "biases that are added \(input == 2 && hidden == 2 ? "twice" : "\(input) and \(hidden) times")\(place(blocks))"
        )
      }
    case .copiedBias(let from, let to, let blocks):
      return words(
        "bias-doubled", "\(from.name) added twice, and no \(to.name)\(place(blocks))",
        tensor([to], blocks))
    case .withoutHeadBias: return words("bias-missing", "a head without its bias", "head bias")
    case .exchangedAxes:
      return words(
        "batch-first",
        "x read as \(trial.timeAxis == 0 ? "(N, T, D)" : "(T, N, D)"): time and batch are exchanged",
        "inputs/x")
    case .reshapedAxes:
      return words(
        "batch-first", "x reshaped from one order of time and batch to the other, not transposed",
        "inputs/x")
    case .exchangedOutput:
      return words(
        "batch-first", "an output with time and batch exchanged", "outputs/output")
    case .otherReset:
      let isAfter = trial.options.reset == .after
      return words(
        "gru-reset",
        "a GRU whose reset gate acts \(isAfter ? "before" : "after") the product with weight_hh (gru_reset: \(isAfter ? "before" : "after"))"
      )
    case .biasOutsideReset(let blocks):
      return words(
        "gru-reset",
        "a GRU that adds b_hn outside of the product with the reset gate\(place(blocks))")
    case .complementedUpdate:
      return words(
        "weight-differs",
        "gate z with the other sign in every parameter: z and 1 - z are exchanged")
    case .swappedBlocks(let pairs, let roles):
      let isLayers = pairs[0][0] / directions != pairs[0][1] / directions
      let layers = Set(pairs.flatMap { $0.map { $0 / directions } }).sorted()
      if isLayers {
        return words(
          "layers-swapped",
          "a network with\(of(roles).replacingPrefix(" of ", " the ")) layers \(layers[0]) and \(layers[1]) exchanged",
          roles.count == 1 ? name(pairs[0][0], roles[0]) : nil)
      }
      return words(
        "directions-swapped",
        "a network whose forward and reverse weights\(of(roles)) are exchanged"
          + (layers.count == trial.configuration.layerCount ? "" : " in layer \(layers[0])"))
    case .swappedStates(let pairs):
      let isLayers = pairs[0][0] / directions != pairs[0][1] / directions
      return words(
        isLayers ? "layers-swapped" : "directions-swapped",
        "initial states whose \(isLayers ? "layers" : "directions") are exchanged", "inputs/h_0")
    case .transposed(let roles, let blocks, let kind):
      let what = roles.map(\.name).joined(separator: ", ")
      return words(
        "matrix-transposed", "\(what)\(place(blocks)) \(kind.words)", tensor(roles, blocks))
    case .transposedHead(let kind):
      return words("matrix-transposed", "the head's weight \(kind.words)", "head weight")
    case .lengths(.ignored):
      return words(
        "lengths-ignored", "rows that all run to the last step, padding included", "inputs/lengths")
    case .lengths(.ignoredButMasked):
      return words(
        "lengths-ignored", "rows that run through the padding, whose outputs alone are masked",
        "inputs/lengths")
    case .lengths(.reverseStartsInPadding):
      return words(
        "lengths-ignored", "a reverse direction that starts in the padding", "inputs/lengths")
    case .options(let change): return optionWords(change)
    case .activation(let place, let function):
      let what =
        switch place {
        case .gates: "the gates"
        case .memory: "the cell state on its way to h"
        case .state:
          trial.configuration.cell == .lstm
            ? "gate g" : trial.configuration.cell == .gru ? "gate n" : "the state"
        }
      return words("activation", "a cell with \(function.rawValue) for \(what)")
    case .forgetBias(let amount, let blocks):
      return words(
        "forget-bias",
        amount > 0
          ? "\(significant(amount)) added to the bias of the forget gate\(place(blocks))"
          : "\(significant(-amount)) less in the bias of the forget gate\(place(blocks)): it is stored with the weights and counted once too often"
      )
    case .initialState(let kind):
      let detail =
        switch kind {
        case .ignored: "a network that starts from zeros"
        case .hIgnored: "a network whose h starts from zeros"
        case .cIgnored: "a network whose c starts from zeros"
        case .exchanged: "a network that takes h_0 for c_0, and c_0 for h_0"
        case .cIsH: "a network whose c starts from h_0"
        case .firstLayerOnly: "a network whose first layer alone starts from the initial state"
        }
      return words(
        "initial-state-ignored", detail,
        kind == .cIgnored || kind == .cIsH ? "inputs/c_0" : "inputs/h_0")
    case .rounded(let dtype, let inputs, let biases):
      return words(
        "weights-rounded",
        "\(biases ? "weights" : "matrices")\(inputs ? " and inputs" : "") rounded to \(dtype.rawValue)"
      )
    case .turnedInput(_, let output):
      return words(
        "time-reversed",
        output ? "a network that goes through time backwards" : "x from the last step to the first",
        "inputs/x")
    case .patch(let patch, let change): return patchWords(patch, change, trial, key)
    }
  }

  private func optionWords(_ change: WritableChange) -> MistakeWords {
    func words(_ code: String, _ tensor: String?, _ detail: String) -> MistakeWords {
      MistakeWords(code: code, tensor: tensor, detail: detail)
    }
    switch change {
    case .reverse(.forwards):
      return words("time-reversed", nil, "a second direction that also goes forward in time")
    case .reverse:
      return words(
        "time-reversed", "outputs/output",
        "a reverse direction whose output was not turned back: its step 0 is the last one")
    case .reads(let reads):
      let what =
        switch reads {
        case .sequence: "every step's output"
        case .last: "the output of the last step, of both directions"
        case .final: "the final states"
        }
      return words("last-step", "outputs/logits", "a head that reads \(what)")
    case .lastStep(let step):
      return words(
        "last-step", "outputs/logits",
        step == .first
          ? "a head that reads the first step"
          : "a head that reads step T - 1 of every row, in the padding of the shorter ones")
    case .statesAtOutputEnd:
      return words(
        "last-step", "outputs/h_n",
        "final states taken from the last step of the output, also of the reverse direction")
    case .statesByDirection:
      return words(
        "directions-swapped", "outputs/h_n",
        "final states ordered by direction, then by layer")
    case .statesLastLayerFirst:
      return words("layers-swapped", "outputs/h_n", "final states with the last layer first")
    case .reverseFirst:
      return words(
        "directions-swapped", nil, "layers whose output has the reverse direction first")
    case .returnsReverseFirst:
      return words(
        "directions-swapped", "outputs/output", "an output that has the reverse direction first")
    case .turnsOutput:
      return words(
        "time-reversed", "outputs/output", "an output from the last step to the first")
    }
  }

  private func patchWords(
    _ patch: Patch, _ change: PatchChange, _ trial: Trial<Double>, _ key: (String) -> String
  ) -> MistakeWords {
    let tensor = key(trial.name(of: patch.index))
    let what = patch.words.isEmpty ? tensor : "\(patch.words) of \(tensor)"
    let detail: String
    switch change {
    case .scaled(0): detail = "\(what) all zero"
    case .scaled(-1): detail = "\(what) with the other sign"
    case .scaled(let factor): detail = "\(what) times \(significant(factor))"
    case .added(let amount):
      let old = patch.elements.first.map { trial.weights[patch.index][$0] } ?? 0
      detail =
        patch.elements.count == 1
        ? "\(what) equal to \(significant(old + amount)), which is \(significant(old)) here"
        : "\(significant(amount.magnitude)) \(amount > 0 ? "added to" : "taken from") \(what)"
    case .copied(let source):
      detail =
        "\(what) equal to \(source.words.isEmpty ? "" : source.words + " of ")\(key(trial.name(of: source.index)))"
    case .transposed:
      return MistakeWords(code: "matrix-transposed", tensor: tensor, detail: "\(what) transposed")
    case .swapped(let other):
      detail =
        "\(what) exchanged with \(other.words.isEmpty ? "" : other.words + " of ")\(key(trial.name(of: other.index)))"
    }
    var code = "weight-differs"
    if case .added = change, patch.words == "gate f" { code = "forget-bias" }
    return MistakeWords(code: code, tensor: tensor, detail: detail)
  }
}

extension Mistake.Transposition {
  fileprivate var words: String {
    switch self {
    case .gates: "transposed, gate by gate"
    case .memory: "whose memory holds the transposed matrix"
    case .memoryInverse: "that was transposed in memory while its shape stayed"
    case .gateMemory: "whose memory holds the transposed matrix of every gate"
    case .gateMemoryInverse: "that was transposed gate by gate in memory while its shape stayed"
    }
  }
}

extension String {
  fileprivate func replacingPrefix(_ prefix: String, _ other: String) -> String {
    hasPrefix(prefix) ? other + dropFirst(prefix.count) + " of" : self
  }
}
