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
    /// How many elements differ, how much, and where the most.
    package var elements: Elements?
  }

  /// The elements of a tensor that differ.
  package struct Elements: Sendable {
    /// How far they are apart.
    package let deviation: FileDifference.Deviation
    /// How many elements the tensor has.
    package let count: Int
    /// The element that is furthest off; `nil` where all values agree and only their bits or types do not.
    package let place: ElementPlace?
  }

  /// What differs; empty when the networks are the same.
  package private(set) var differences: [Difference]
  /// What had to be allowed for ("biases compared as sums").
  package private(set) var allowances: [String]
  /// Parameters compared.
  package private(set) var parameterCount: Int
  /// The element type that both were rounded to, if they were.
  package private(set) var roundedTo: DType?
  /// The narrower element type in which everything would be the same; `nil` where rounding does not explain the differences.
  package private(set) var equalWhenRoundedTo: DType?
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
  /// be the same; `rounded` compares after rounding to the narrower of the two.
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
    var tensors = try Network.parameterTensors(of: pair.left)
    if !first.weights.merged.isEmpty || !second.weights.merged.isEmpty {
      tensors = StoredTensor.summingBiases(tensors)
      if first.weights.merged != second.weights.merged {
        allowances.append("biases compared as sums, because one file stores a single bias")
      }
    }
    var a = try first.weights.encoded(as: tensors)
    var b = try second.weights.encoded(as: tensors)
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
    if rounded { roundedTo = try Self.round(&a, &b) }
    if let roundedTo { allowances.append("compared after rounding to \(roundedTo.rawValue)") }
    let pairs = Self.types(a, b)
    if let all = pairs.first, pairs.allSatisfy({ $0 == all }), all.first != all.second {
      differences.append(
        Difference(
          place: "element type", first: all.first.rawValue, second: all.second.rawValue))
    }
    let saysTypes = differences.contains { $0.place == "element type" }
    for entry in a.entries {
      guard let other = b[entry.name], try !entry.tensor.isIdentical(to: other) else { continue }
      let name = first.recognition.fullName(entry.name.string)
      let stored = tensors.first { $0.name == entry.name }
      let difference = try Self.difference(name, entry.tensor, other, stored, pair.left)
      // Where all types differ alike, this is said once.
      if saysTypes, let elements = difference.elements, elements.place == nil { continue }
      differences.append(difference)
    }
    self.differences = differences
    if pairs.contains(where: { $0.first != $0.second }) {
      var (one, other) = (a, b)
      if let narrow = try Self.round(&one, &other) {
        let areEqual = try one.entries.allSatisfy { entry in
          try other[entry.name].map { try entry.tensor.isIdentical(to: $0) } ?? true
        }
        if areEqual, differences.allSatisfy({ $0.place == "element type" || $0.elements != nil }) {
          equalWhenRoundedTo = narrow
        }
      }
    }
    self.allowances = allowances
    parameterCount = a.entries.reduce(0) { $0 + $1.tensor.elementCount }
  }

  private struct Types: Equatable {
    let first: DType
    let second: DType
    /// The one with fewer bits; f16 and bf16 have as many, and bf16 has fewer of them behind the point.
    var narrower: DType {
      if first.byteCount == second.byteCount { return first == .bf16 ? first : second }
      return first.byteCount < second.byteCount ? first : second
    }
  }

  /// The element types of the tensors that both have.
  private static func types(_ one: StateDict, _ other: StateDict) -> [Types] {
    one.entries.compactMap { entry in
      other[entry.name].map { Types(first: entry.tensor.dtype, second: $0.dtype) }
    }
  }

  /// Rounds what differs in its element type to the narrower one, and says which that is.
  private static func round(_ one: inout StateDict, _ other: inout StateDict) throws -> DType? {
    guard let narrow = types(one, other).first(where: { $0.first != $0.second })?.narrower else {
      return nil
    }
    var (left, right) = (StateDict(), StateDict())
    for entry in one.entries {
      guard let twin = other[entry.name] else { continue }
      let (a, b) = try rounded(entry.tensor, twin)
      try left.append(entry.name, a)
      try right.append(entry.name, b)
    }
    (one, other) = (left, right)
    return narrow
  }

  private static func rounded(_ one: Tensor, _ other: Tensor) throws -> (Tensor, Tensor) {
    guard one.dtype != other.dtype else { return (one, other) }
    let narrow = Types(first: one.dtype, second: other.dtype).narrower
    return (try one.converted(to: narrow).0, try other.converted(to: narrow).0)
  }

  private static func difference(
    _ name: String, _ one: Tensor, _ other: Tensor, _ stored: StoredTensor? = nil,
    _ architecture: Architecture? = nil
  ) throws -> Difference {
    guard one.shape == other.shape else {
      return Difference(
        place: name, first: "\(one.dtype.rawValue) \(one.shape)",
        second: "\(other.dtype.rawValue) \(other.shape)")
    }
    let deviation = try FileDifference.deviation(one, other)
    let place = deviation.index.map {
      ElementPlace(offset: $0, shape: one.shape, stored: stored, in: architecture)
    }
    var difference = Difference(
      place: name, first: place == nil ? one.dtype.rawValue : "\(deviation.values.0)",
      second: place == nil ? other.dtype.rawValue : "\(deviation.values.1)")
    difference.elements = Elements(
      deviation: deviation, count: one.elementCount, place: place)
    return difference
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
    let one = try ComparedFile(firstPath, format, options)
    let other = try ComparedFile(secondPath, format, options)
    let own: Set<Name>
    if let first = one.network, let second = other.network {
      try self.init(first, second, rounded: rounded)
      own = Set(first.recognition.tensors.map(\.name))
        .intersection(second.recognition.tensors.map(\.name))
    } else {
      try self.init(one, other, rounded: rounded)
      own = Set(one.list.modules.flatMap(\.tensorNames))
        .intersection(other.list.modules.flatMap(\.tensorNames))
      reservations.first += Self.loose(one, other)
      reservations.second += Self.loose(other, one)
    }
    // What both recognise is compared; what only one of them does must be equal as it stands.
    for entry in one.state.entries where !own.contains(entry.name) {
      guard var twin = other.state[entry.name] else { continue }
      var entry = entry
      if rounded, entry.tensor.dtype.isFloatingPoint, twin.dtype.isFloatingPoint,
        entry.tensor.shape == twin.shape
      {
        (entry.tensor, twin) = try Self.rounded(entry.tensor, twin)
      }
      guard try !entry.tensor.isIdentical(to: twin) else { continue }
      guard entry.tensor.dtype.isFloatingPoint, twin.dtype.isFloatingPoint else {
        differences.append(
          Difference(place: entry.name.string, first: "other numbers", second: "than here"))
        continue
      }
      differences.append(try Self.difference(entry.name.string, entry.tensor, twin))
    }
  }

  /// All modules of two files, by name.
  private init(_ one: ComparedFile, _ other: ComparedFile, rounded: Bool) throws {
    differences = []
    allowances = []
    parameterCount = 0
    modules = []
    reservations = (one.reservations, other.reservations)
    var left = other.list.modules
    var isRoundingOnly = true
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
      roundedTo = roundedTo ?? part.roundedTo
      equalWhenRoundedTo = equalWhenRoundedTo ?? part.equalWhenRoundedTo
      if !part.areSame, part.equalWhenRoundedTo == nil { isRoundingOnly = false }
      for line in part.allowances where !allowances.contains(line) { allowances.append(line) }
      differences += part.differences.map { difference in
        let isWhole = ["architecture", "element type"].contains(difference.place)
        guard isWhole else { return difference }
        return Difference(
          place: "\(difference.place) of \(Assumption.name(module.name))",
          first: difference.first, second: difference.second)
      }
    }
    if !isRoundingOnly { equalWhenRoundedTo = nil }
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
  private static func loose(_ side: ComparedFile, _ other: ComparedFile) -> [Reservation] {
    let own = Set((side.list.modules + other.list.modules).flatMap(\.tensorNames))
    let names = side.state.names.filter { !own.contains($0) && other.state[$0] == nil }
    guard !names.isEmpty else { return [] }
    return [
      .says(
        "beside them: \(names.count) other tensor\(names.count == 1 ? "" : "s"): "
          + names.prefix(3).map(\.string).joined(separator: ", ") + (names.count > 3 ? ", …" : ""))
    ]
  }
}
