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
  package private(set) var allowances: [String]
  /// Parameters compared.
  package private(set) var parameterCount: Int
  /// The modules that were compared, under the first file's names.
  package private(set) var modules: [String]
  /// Modules that only one of the files has.
  package private(set) var loneModules: [String] = []
  /// What each file assumes, and what it has beside these modules; what one of them does not say may differ.
  package private(set) var reservations: (first: [Reservation], second: [Reservation])

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
            place: first.recognition.fullName(name), first: one == nil ? "zeros" : "stored",
            second: other == nil ? "zeros" : "stored"))
      }
    }
    for entry in a.entries {
      guard let other = b[entry.name], try !entry.tensor.isIdentical(to: other) else { continue }
      let name = first.recognition.fullName(entry.name.string)
      differences.append(try Self.difference(name, entry.tensor, other))
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
    // By bytes: a NaN is no number's equal, and −0 is 0's.
    let bytes = try (one.bytes(), other.bytes())
    let byte = zip(bytes.0, bytes.1).enumerated().first { $0.element.0 != $0.element.1 }
    let position = (byte?.offset ?? 0) / max(1, one.dtype.byteCount)
    let (first, second) = try ("\(one.doubles()[position])", "\(other.doubles()[position])")
    return Difference(
      place: "\(name) of shape \(one.shape), \(Self.words(position, one.shape))", first: first,
      second: first == second ? "\(second) with other bits" : second)
  }

  /// `row 2, column 1` of a matrix, `element 3` of a vector, `at [0, 2, 1]` otherwise.
  private static func words(_ position: Int, _ shape: [Int]) -> String {
    var rest = position
    let index = Array(
      shape.reversed().map { size in
        defer { rest /= max(1, size) }
        return rest % max(1, size)
      }.reversed())
    switch index.count {
    case 1: return "element \(index[0])"
    case 2: return "row \(index[0]), column \(index[1])"
    default: return "at \(index)"
    }
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
  /// Of files with several recurrent modules all modules are compared by name, unless the options choose one.
  /// A names file among the options describes the file that has its tensors, or both; `format` is the container of
  /// both where it is not to be recognised.
  package init(
    _ firstPath: String, _ secondPath: String, format: WeightFormat? = nil,
    options: ReadOptions = .init(), rounded: Bool = false
  ) throws {
    let one = try Side(firstPath, format, options)
    let other = try Side(secondPath, format, options)
    let own: Set<Name>
    if let first = one.network, let second = other.network {
      try self.init(first, second, rounded: rounded)
      own = Set((first.recognition.tensors + second.recognition.tensors).map(\.name))
    } else {
      try self.init(one, other, rounded: rounded)
      own = Set((one.list.modules + other.list.modules).flatMap(\.tensorNames))
      reservations.first += Self.loose(one, other, except: own)
      reservations.second += Self.loose(other, one, except: own)
    }
    for entry in one.state.entries where !own.contains(entry.name) {
      guard let twin = other.state[entry.name], try !entry.tensor.isIdentical(to: twin) else {
        continue
      }
      guard entry.tensor.dtype.isFloatingPoint, twin.dtype.isFloatingPoint else {
        differences.append(
          Difference(place: entry.name.string, first: "other numbers", second: "than here"))
        continue
      }
      differences.append(try Self.difference(entry.name.string, entry.tensor, twin))
    }
  }

  /// All modules of two files, by name.
  private init(_ one: Side, _ other: Side, rounded: Bool) throws {
    differences = []
    allowances = []
    parameterCount = 0
    modules = []
    reservations = (one.reservations, other.reservations)
    var left = other.list.modules
    for module in one.list.modules {
      guard let index = left.firstIndex(where: { $0.name == module.name }) else {
        lacks(module, what: (module.what, "no such module"))
        continue
      }
      let twin = left.remove(at: index)
      let (first, second) = try (one.network(of: module), other.network(of: twin))
      let part = try NetworkComparison(first, second, rounded: rounded)
      modules.append(module.name)
      parameterCount += part.parameterCount
      for line in part.allowances where !allowances.contains(line) { allowances.append(line) }
      differences += part.differences.map { difference in
        let isWhole = ["architecture", "element type"].contains(difference.place)
        return Difference(
          place: isWhole
            ? "\(difference.place) of \(Assumption.name(module.name))" : difference.place,
          first: difference.first, second: difference.second)
      }
    }
    for module in left { lacks(module, what: ("no such module", module.what)) }
    if one.statesConnections, other.statesConnections, one.paths != other.paths {
      differences.append(
        Difference(
          place: "connections", first: one.paths.joined(separator: "; "),
          second: other.paths.joined(separator: "; ")))
    }
  }

  private mutating func lacks(_ module: Module, what: (String, String)) {
    loneModules.append(module.name)
    differences.append(
      Difference(place: "module \"\(module.name)\"", first: what.0, second: what.1))
  }

  /// Tensors of no module that the other file does not have.
  private static func loose(_ side: Side, _ other: Side, except own: Set<Name>) -> [Reservation] {
    let names = side.state.names.filter { !own.contains($0) && other.state[$0] == nil }
    guard !names.isEmpty else { return [] }
    return [
      .says(
        "beside them: \(names.count) other tensor\(names.count == 1 ? "" : "s"): "
          + names.prefix(3).map(\.string).joined(separator: ", ") + (names.count > 3 ? ", …" : ""))
    ]
  }

  private static func converted(_ state: StateDict, to dtype: DType) throws -> StateDict {
    var result = StateDict()
    for entry in state.entries {
      try result.append(entry.name, entry.tensor.converted(to: dtype).0)
    }
    return result
  }
}

/// One of two files to be compared.
private struct Side {
  let path: String
  let state: StateDict
  let list: ModuleList
  /// The network that is meant; `nil` where there are several recurrent modules and none is chosen.
  let network: Network?

  init(_ path: String, _ format: WeightFormat?, _ options: ReadOptions) throws {
    self.path = path
    let file = try WeightFile(path: path, format: format)
    state = file.state
    do {
      do {
        (list, network) = try Self.read(file.state, options)
      } catch let error as RecurrentError
        where error.reason == .namesMissing && options.convention != nil
      {
        var plain = options
        plain.convention = nil
        (list, network) = try Self.read(file.state, plain)
      }
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private static func read(
    _ state: StateDict, _ options: ReadOptions
  ) throws -> (ModuleList, Network?) {
    let list = try ModuleList(state, options: options)
    if options.module == nil, list.recurrent.count > 1 { return (list, nil) }
    return (list, try Network(state, Recognition(state, list, options)))
  }

  /// One module alone; throws why it cannot be used.
  func network(of module: Module) throws -> Network {
    do {
      if let refusal = module.refusal { throw refusal }
      return try Network(state, module: module)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// Whether the file says how all of its modules are connected.
  var statesConnections: Bool { list.structure?.statesConnections == true }

  /// The connections in an order that does not depend on the file's.
  var paths: [String] { list.connections.map(\.path).sorted() }

  /// What the file assumes of its modules, and what it leaves open.
  var reservations: [Reservation] {
    var result = list.modules.flatMap(\.assumptions).filter { !$0.isAboutLayout }
      .map(Reservation.assumed)
    for connection in list.connections {
      let isHead = list.recurrent.contains { $0.name == connection.from }
      result += Assumption.of(connection, isHead: isHead, isReadsGiven: false)
        .map(Reservation.assumed)
    }
    result += list.surroundings.map { .says($0) }
    if !statesConnections {
      result.append(.says("the file does not say how all of its modules are connected"))
    }
    return result
  }
}

extension Recognition {
  /// A canonical name (`weight_hh_l0`, `head.weight`) with the name of the module that it belongs to.
  fileprivate func fullName(_ canonical: String) -> String {
    for (prefix, module) in [("head.", head), ("embedding.", embedding)]
    where canonical.hasPrefix(prefix) {
      return (module ?? recurrent).name.asPrefix + canonical.dropFirst(prefix.count)
    }
    return recurrent.name.asPrefix + canonical
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
