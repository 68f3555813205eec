// Which array of the older layout belongs to which layer.
//
// A layer's group lists its arrays' names, those that training moves first. So a frozen layer of a nested
// model, or a frozen half of a Bidirectional, comes behind all others, and positions say nothing without
// the flags `trainable`. Names do:
//
//   encoder/lstm_1/lstm_cell/kernel         Keras 3: names of models, layers and cells, then the variable
//   lstm_1/lstm_cell_3/kernel:0             Keras 2 in TensorFlow
//   bi/forward_lstm_1/kernel:0              Keras 2 alone
//   lstm_1_W_i                              Keras 1

import Containers
import Tensors

/// Deals the arrays of one group out to the objects of its layers.
struct KerasLegacyNames {
  /// One array with the name that its layer gave it.
  struct Weight {
    let name: String
    let tensor: Tensor

    /// The pieces before the variable's own name.
    var pieces: [String] { Array(all.dropLast()) }
    /// The variable's own name, without TensorFlow's `:0`.
    var variable: String {
      let last = all.last ?? ""
      guard let colon = last.lastIndex(of: ":"), Int(last[last.index(after: colon)...]) != nil
      else {
        return last
      }
      return String(last[..<colon])
    }
    private var all: [String] { name.split(separator: "/").map(String.init) }
  }

  /// One object of a layer, and the arrays that are its own.
  struct Share {
    let holder: KerasVariables.Holder
    var weights: [Weight] = []
  }

  /// The layer's own words for its variables, in order.
  private static let roles = [
    ["kernel", "recurrent_kernel", "bias"], ["embeddings"],
    ["gamma", "beta", "moving_mean", "moving_variance"],
  ]

  // MARK: With a configuration

  private struct Target {
    let share: Int
    /// Names of models and the layer, outermost first.
    let names: [String]
    let holder: KerasVariables.Holder
    /// Whether the layer has other objects beside this one.
    let isOneOfSeveral: Bool
  }

  /// The objects of a layer; a class of the author's own is one.
  static func holders(of leaf: KerasGraph.Layer) -> [KerasVariables.Holder] {
    guard !leaf.isCustom else {
      return [
        .init(path: leaf.path, isRecurrent: false, isCuDNN: false, isFrozen: leaf.isFrozen)
      ]
    }
    return KerasVariables.holders(of: leaf.className, leaf.config, path: leaf.path).map { holder in
      var holder = holder
      holder.isFrozen = holder.isFrozen || leaf.isFrozen
      return holder
    }
  }

  /// The pieces of an object's arrays' names, as Keras writes them.
  static func pieces(of holder: KerasVariables.Holder, in leaf: KerasGraph.Layer) -> [String] {
    var pieces = leaf.names
    if let direction = holder.direction {
      let word = ["forward_", "backward_"][direction]
      var inner = holder.innerName ?? "layer"
      while inner.hasPrefix(word) { inner.removeFirst(word.count) }
      pieces.append(word + inner)
    }
    if holder.isRecurrent {
      pieces.append(leaf.className == "RNN" ? holder.innerName ?? "cell" : "cell")
    }
    return pieces
  }

  /// The arrays of every object; `nil` when neither names nor counts say whose an array is.
  static func deal(_ weights: [Weight], to leaves: [KerasGraph.Layer]) -> [Share]? {
    var shares: [Share] = []
    var targets: [Target] = []
    for leaf in leaves {
      let holders = holders(of: leaf)
      for holder in holders {
        targets.append(
          Target(
            share: shares.count, names: leaf.names, holder: holder,
            isOneOfSeveral: holders.count > 1))
        shares.append(Share(holder: holder))
      }
    }
    if targets.count == 1 {
      shares[0].weights = ordered(weights)
      return shares
    }
    return byName(weights, shares, targets) ?? byPosition(weights, shares)
  }

  private static func byName(
    _ weights: [Weight], _ shares: [Share], _ targets: [Target]
  ) -> [Share]? {
    var shares = shares
    for weight in weights {
      guard let target = target(of: weight, targets) else { return nil }
      shares[target].weights.append(weight)
    }
    for index in shares.indices {
      let holder = shares[index].holder
      if let trainable = holder.trainable {
        let counts =
          holder.isRecurrent ? [trainable + holder.other, 12, 9] : [trainable + holder.other]
        guard counts.contains(shares[index].weights.count) else { return nil }
      }
      shares[index].weights = ordered(shares[index].weights)
    }
    return shares
  }

  /// The one object whose names fit best; `nil` when several fit as well or none does.
  private static func target(of weight: Weight, _ targets: [Target]) -> Int? {
    var best: (score: Int, share: Int)?
    var isTie = false
    for target in targets {
      guard let score = score(weight, target) else { continue }
      if let known = best, known.score >= score {
        if known.score == score { isTie = true }
        continue
      }
      best = (score, target.share)
      isTie = false
    }
    return isTie ? nil : best?.share
  }

  /// How well an array's name fits an object; `nil` when it does not.
  private static func score(_ weight: Weight, _ target: Target) -> Int? {
    let pieces = weight.pieces
    // Files of Recurrent 0.1 name objects by their paths.
    if pieces.contains("layers") {
      let path = target.holder.path.split(separator: "/").map(String.init)
      let common = zip(path.reversed(), pieces.reversed()).prefix { $0 == $1 }.count
      return common >= path.count - 2 ? 1000 + common : nil
    }
    guard let own = target.names.last else { return nil }
    var score = 0
    var rest = pieces[...]
    if let range = lastRange(of: own, in: pieces) {
      score = 100
      rest = pieces[range.upperBound...]
      // The models around it, as far as the name holds them.
      var end = range.lowerBound
      for outer in target.names.dropLast().reversed() {
        guard let range = lastRange(of: outer, in: Array(pieces[..<end])) else { break }
        score += 100
        end = range.lowerBound
      }
      // A layer whose name is also that of another one's cell stands further out.
      score -= min(50, range.lowerBound)
    } else if pieces.isEmpty || pieces.count == 1, let words = oldName(weight, target, own) {
      score = words
    } else {
      return nil
    }
    guard target.isOneOfSeveral else { return score }
    if let direction = target.holder.direction {
      let words = ["forward_", "backward_"]
      let piece = rest.first ?? pieces.first ?? weight.variable
      if piece.hasPrefix(words[direction]) { return score + 10 }
      return nil
    }
    guard let inner = target.holder.innerName, rest.contains(inner) else { return nil }
    return score + 10
  }

  /// How many letters of Keras 1's `lstm_1_W_i` or `forward_lstm_1_W_i` are the layer's name.
  private static func oldName(_ weight: Weight, _ target: Target, _ own: String) -> Int? {
    let text = weight.pieces.first ?? weight.variable
    let inner = target.holder.innerName
    let names = [own, inner ?? own]
    let directed = target.holder.direction.map { direction in
      names.map { ["forward_", "backward_"][direction] + $0 }
    }
    let fits = (names + (directed ?? [])).filter { text == $0 || text.hasPrefix($0 + "_") }
    return fits.map { min($0.utf8.count, 90) }.max()
  }

  /// Where a name, which may hold slashes, last stands among the pieces.
  private static func lastRange(of name: String, in pieces: [String]) -> Range<Int>? {
    let wanted = name.split(separator: "/").map(String.init)
    guard !wanted.isEmpty, wanted.count <= pieces.count else { return nil }
    for start in stride(from: pieces.count - wanted.count, through: 0, by: -1)
    where Array(pieces[start..<start + wanted.count]) == wanted {
      return start..<start + wanted.count
    }
    return nil
  }

  /// As Keras deals them out by position: arrays that training moves first, in the order of the layers.
  private static func byPosition(_ weights: [Weight], _ shares: [Share]) -> [Share]? {
    var shares = shares
    var position = 0
    func early(_ holder: KerasVariables.Holder) -> Int {
      holder.isFrozen ? 0 : holder.trainable ?? 0
    }
    guard shares.allSatisfy({ $0.holder.trainable != nil }),
      shares.reduce(0, { $0 + ($1.holder.trainable ?? 0) + $1.holder.other }) == weights.count
    else { return nil }
    for index in shares.indices {
      let count = early(shares[index].holder)
      shares[index].weights += weights[position..<position + count]
      position += count
    }
    for index in shares.indices {
      let holder = shares[index].holder
      let count = (holder.trainable ?? 0) + holder.other - early(holder)
      shares[index].weights += weights[position..<position + count]
      position += count
    }
    return shares
  }

  /// One object's arrays in the order of its variables, where their names say which they are.
  private static func ordered(_ weights: [Weight]) -> [Weight] {
    let words = weights.map(\.variable)
    guard Set(words).count == words.count,
      let roles = roles.first(where: { roles in words.allSatisfy { roles.contains($0) } })
    else { return weights }
    return weights.sorted {
      (roles.firstIndex(of: $0.variable) ?? 0) < (roles.firstIndex(of: $1.variable) ?? 0)
    }
  }

  // MARK: Without a configuration

  /// The arrays with those of one object together, forward halves first; as they are where names say
  /// nothing.
  static func grouped(_ weights: [Weight]) -> (weights: [Weight], objects: [String]) {
    var order: [String] = []
    var groups: [String: [Weight]] = [:]
    for weight in weights {
      let path = weight.pieces.joined(separator: "/")
      guard roles.joined().contains(weight.variable), !path.isEmpty else { return (weights, []) }
      if groups[path] == nil { order.append(path) }
      groups[path, default: []].append(weight)
    }
    var result: [Weight] = []
    var objects: [String] = []
    for path in order {
      guard let own = groups.removeValue(forKey: path) else { continue }
      let mirrored = mirror(of: path)
      if let mirrored, let other = groups.removeValue(forKey: mirrored.path) {
        result += mirrored.isForward ? ordered(other) + ordered(own) : ordered(own) + ordered(other)
        objects += mirrored.isForward ? [mirrored.path, path] : [path, mirrored.path]
      } else {
        result += ordered(own)
        objects.append(path)
      }
    }
    return (result, objects)
  }

  /// The same path in the other direction, and whether that is the forward one.
  private static func mirror(of path: String) -> (path: String, isForward: Bool)? {
    var pieces = path.split(separator: "/").map(String.init)
    guard
      let index = pieces.lastIndex(where: { $0.hasPrefix("forward_") || $0.hasPrefix("backward_") })
    else { return nil }
    let isForward = pieces[index].hasPrefix("backward_")
    let rest = pieces[index].drop { $0 != "_" }
    pieces[index] = (isForward ? "forward" : "backward") + rest
    return (pieces.joined(separator: "/"), isForward)
  }

  /// Whether two paths are the two halves of one layer, the forward one first.
  static func isMirror(_ forward: String, _ backward: String) -> Bool {
    guard let other = mirror(of: backward) else { return false }
    return other.isForward && other.path == forward
  }

  /// The name of the layer that an object's path holds: `lstm_1` of `encoder/lstm_1/lstm_cell`.
  static func layerName(of path: String) -> String? {
    var pieces = path.split(separator: "/").map(String.init)
    let cells = ["lstm_cell", "gru_cell", "simple_rnn_cell", "cell"]
    if pieces.count > 1, let last = pieces.last, cells.contains(where: { last.hasPrefix($0) }) {
      pieces.removeLast()
    }
    if pieces.count > 1, let last = pieces.last,
      last.hasPrefix("forward_") || last.hasPrefix("backward_")
    {
      pieces.removeLast()
    }
    return pieces.last
  }
}
