import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

/// Whether two weight files hold the same modules, and whether these are the same network, whatever their containers and
/// conventions.
package struct NetworkComparison: Sendable {
  /// One parameter tensor that differs.
  package struct Difference: Sendable {
    /// The canonical name of the parameter, or what else differs ("architecture").
    package let place: String
    /// What the first file has.
    package let first: String
    /// What the second file has.
    package let second: String
  }

  /// What differs; empty when the networks are the same.
  package private(set) var differences: [Difference]
  /// What had to be allowed for ("biases compared as sums").
  package let allowances: [String]
  /// Parameters compared.
  package let parameterCount: Int
  /// The modules that were compared, under the first file's names.
  package let modules: [String]
  /// What each file assumes, and what it has beside these modules; what one of them does not say may differ.
  package let reservations: (first: [Reservation], second: [Reservation])

  /// Whether the modules are the same.
  package var areSame: Bool { differences.isEmpty }
  /// Whether they are the same network: every connection is stated or given in both files, and neither has anything else.
  package var areSameNetwork: Bool {
    areSame && reservations.first.isEmpty && reservations.second.isEmpty
  }

  /// Compares parameters bit for bit in PyTorch's layout.
  ///
  /// Biases are compared as sums when one file stores a single bias. What one file does not say (a head, what it
  /// reads, the function behind it, a nonlinearity that was assumed) is no difference, but a reservation. Element types must
  /// be the same; `rounded` compares in the narrower of the two.
  package init(_ first: Network, _ second: Network, rounded: Bool = false) throws {
    let pair = NetworkPair(first, second)
    modules = pair.modules
    reservations = pair.reservations
    var allowances = pair.allowances
    guard pair.left == pair.right else {
      differences = [
        Difference(place: "architecture", first: pair.left.summary, second: pair.right.summary)
      ]
      self.allowances = allowances
      parameterCount = 0
      return
    }
    let types = (first.weights.dtype, second.weights.dtype)
    guard types.0 == types.1 || rounded else {
      differences = [
        Difference(place: "element type", first: types.0.rawValue, second: types.1.rawValue)
      ]
      self.allowances = allowances
      parameterCount = 0
      return
    }
    var tensors = try Network.parameterTensors(of: pair.left)
    if !first.weights.merged.isEmpty || !second.weights.merged.isEmpty {
      tensors = StoredTensor.summingBiases(tensors)
      if first.weights.merged != second.weights.merged {
        allowances.append("biases compared as sums, because one file stores a single bias")
      }
    }
    var a = try first.weights.encoded(as: tensors)
    var b = try second.weights.encoded(as: tensors)
    if types.0 != types.1 {
      let narrow = types.0.byteCount <= types.1.byteCount ? types.0 : types.1
      allowances.append("compared as \(narrow.rawValue)")
      a = try Self.converted(a, to: narrow)
      b = try Self.converted(b, to: narrow)
    }
    var differences = Self.differences(of: first, second)
    for (name, one, other) in [
      ("h_0", first.initialState.h, second.initialState.h),
      ("c_0", first.initialState.c, second.initialState.c),
    ] {
      if let one, let other {
        try a.append(Name(name), one)
        try b.append(Name(name), other)
      } else if one != nil || other != nil {
        differences.append(
          Difference(
            place: name, first: one == nil ? "zeros" : "stored",
            second: other == nil ? "zeros" : "stored"))
      }
    }
    for entry in a.entries {
      guard let other = b[entry.name], try !entry.tensor.isIdentical(to: other) else { continue }
      differences.append(try Self.difference(entry.name.string, entry.tensor, other))
    }
    self.differences = differences
    self.allowances = allowances
    parameterCount = a.entries.reduce(0) { $0 + $1.tensor.elementCount }
  }

  private static func difference(_ name: String, _ one: Tensor, _ other: Tensor) throws
    -> Difference
  {
    guard one.shape == other.shape, one.dtype == other.dtype else {
      return Difference(
        place: name, first: "\(one.dtype.rawValue) \(one.shape)",
        second: "\(other.dtype.rawValue) \(other.shape)")
    }
    let (lhs, rhs) = try (one.doubles(), other.doubles())
    let position =
      zip(lhs, rhs).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
    return Difference(
      place: "\(name)[\(position)] of shape \(one.shape)", first: "\(lhs[position])",
      second: "\(rhs[position])")
  }

  /// What both files state about the way around their modules, and state differently.
  private static func differences(of first: Network, _ second: Network) -> [Difference] {
    guard first.statesConnections, second.statesConnections else { return [] }
    let (one, other) = (first.surroundings, second.surroundings)
    guard one.isEmpty != other.isEmpty else { return [] }
    func words(_ lines: [String]) -> String {
      lines.isEmpty ? "nothing" : lines.joined(separator: "; ")
    }
    return [Difference(place: "around the modules", first: words(one), second: words(other))]
  }

  /// Opens and compares two files; tensors beside the networks that both have under one name must be the same too.
  ///
  /// A names file among the options describes the file that has its tensors, or both; `format` is the container of
  /// both where it is not to be recognised.
  package init(
    _ firstPath: String, _ secondPath: String, format: WeightFormat? = nil,
    options: ReadOptions = .init(), rounded: Bool = false
  ) throws {
    func open(_ path: String) throws -> (StateDict, Network) {
      let file = try WeightFile(path: path, format: format)
      do {
        do {
          return (file.state, try Network(file.state, options: options))
        } catch let error as RecurrentError
          where error.reason == "names.missing" && options.convention != nil
        {
          var plain = options
          plain.convention = nil
          return (file.state, try Network(file.state, options: plain))
        }
      } catch let error as RecurrentError {
        throw error.inFile(path)
      }
    }
    let (one, first) = try open(firstPath)
    let (other, second) = try open(secondPath)
    try self.init(first, second, rounded: rounded)
    let own = Set((first.recognition.tensors + second.recognition.tensors).map(\.name))
    for entry in one.entries where !own.contains(entry.name) {
      guard let twin = other[entry.name], try !entry.tensor.isIdentical(to: twin) else { continue }
      guard entry.tensor.dtype.isFloatingPoint, twin.dtype.isFloatingPoint else {
        differences.append(
          Difference(place: entry.name.string, first: "other numbers", second: "than here"))
        continue
      }
      differences.append(try Self.difference(entry.name.string, entry.tensor, twin))
    }
  }

  private static func converted(_ state: StateDict, to dtype: DType) throws -> StateDict {
    var result = StateDict()
    for entry in state.entries {
      try result.append(entry.name, entry.tensor.converted(to: dtype).0)
    }
    return result
  }
}

/// Two networks with what one of them leaves open taken from the other, and what that is.
private struct NetworkPair {
  var left: Architecture
  var right: Architecture
  let modules: [String]
  private(set) var reservations: (first: [Reservation], second: [Reservation])
  private(set) var allowances: [String] = []

  init(_ first: Network, _ second: Network) {
    left = first.architecture
    right = second.architecture
    var names = first.recognition.modules.map(\.name)
    reservations = (first.reservations, second.reservations)
    if left.batchFirst != right.batchFirst, first.knowsLayout, second.knowsLayout {
      reservations.first.append(Self.layout(left))
      reservations.second.append(Self.layout(right))
    }
    right.batchFirst = left.batchFirst
    if left.dropout != right.dropout {
      allowances.append(
        "dropout \(left.dropout) against \(right.dropout): it acts in training only")
      right.dropout = left.dropout
    }
    right.embedding?.paddingIndex = left.embedding?.paddingIndex
    // What follows or precedes the module in one file only is no difference where the other does not say.
    if (left.head == nil) != (right.head == nil),
      !(left.head == nil ? first : second).statesConnections
    {
      if let head = first.recognition.head { names.removeAll { $0 == head.name } }
      (left.head, right.head) = (nil, nil)
    }
    if (left.embedding == nil) != (right.embedding == nil),
      !(left.embedding == nil ? first : second).statesConnections
    {
      if let table = first.recognition.embedding { names.removeAll { $0 == table.name } }
      (left.embedding, right.embedding) = (nil, nil)
    }
    modules = names
    let isAssumed = { (network: Network, code: String) in
      network.recognition.assumptions.contains { $0.code == code }
    }
    if let one = left.head?.reads, let other = right.head?.reads,
      left.reads(one, sameAs: other) || isAssumed(first, "head_reads")
        || isAssumed(second, "head_reads")
    {
      right.head?.reads = one
    }
    if left.head?.activation != right.head?.activation,
      !first.statesConnections || !second.statesConnections
    {
      for (network, side) in [(first, 0), (second, 1)] where !network.statesConnections {
        let line = Reservation.says("the file does not say what stands behind the head")
        if side == 0 { reservations.first.append(line) } else { reservations.second.append(line) }
      }
      right.head?.activation = left.head?.activation
    }
    if left.cell != right.cell,
      isAssumed(first, "nonlinearity") || isAssumed(second, "nonlinearity")
    {
      right.cell = left.cell
    }
  }

  private static func layout(_ architecture: Architecture) -> Reservation {
    .says("x and output are " + (architecture.batchFirst ? "(N, T, features)" : "(T, N, features)"))
  }
}
