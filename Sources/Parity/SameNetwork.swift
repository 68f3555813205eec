import Conversion
import RNNEngine
import Tensors
import WeightFormats

/// Whether two weight files hold the same modules, and whether these are the same network, whatever their containers and
/// conventions.
public struct NetworkComparison: Sendable {
  /// One parameter tensor that differs.
  public struct Difference: Sendable {
    /// The canonical name of the parameter, or what else differs ("architecture").
    public let place: String
    /// What the first file has.
    public let first: String
    /// What the second file has.
    public let second: String
  }

  /// What differs; empty when the networks are the same.
  public let differences: [Difference]
  /// What had to be allowed for ("biases compared as sums").
  public let allowances: [String]
  /// Parameters compared.
  public let parameterCount: Int
  /// The modules that were compared, under the first file's names.
  public let modules: [String]
  /// What each file assumes, and what it has beside these modules, one line each; what one of them does not say may differ.
  public let reservations: (first: [String], second: [String])

  /// Whether the modules are the same.
  public var areSame: Bool { differences.isEmpty }
  /// Whether they are the same network: every connection is stated or given in both files, and neither has anything else.
  public var areSameNetwork: Bool {
    areSame && reservations.first.isEmpty && reservations.second.isEmpty
  }

  /// Compares parameters bit for bit in PyTorch's layout.
  ///
  /// Biases are compared as sums when one file stores a single bias, and numbers in the narrower of
  /// the two element types when they differ.
  public init(_ first: Network, _ second: Network) throws {
    modules = first.recognition.modules.map(\.name)
    reservations = (first.reservations, second.reservations)
    var left = first.architecture
    let right = second.architecture
    // How x is laid out is no part of the network.
    left.batchFirst = right.batchFirst
    guard left == right else {
      differences = [
        Difference(place: "architecture", first: left.summary, second: right.summary)
      ]
      allowances = []
      parameterCount = 0
      return
    }
    var allowances: [String] = []
    var tensors = try Network.parameterTensors(of: left)
    if first.weights.merged != second.weights.merged {
      tensors = StoredTensor.summingBiases(tensors)
      allowances.append("biases compared as sums, because one file stores a single bias")
    }
    var a = try first.weights.encoded(as: tensors)
    var b = try second.weights.encoded(as: tensors)
    if first.weights.dtype != second.weights.dtype {
      let narrow =
        first.weights.dtype.byteCount <= second.weights.dtype.byteCount
        ? first.weights.dtype : second.weights.dtype
      allowances.append("compared as \(narrow.rawValue)")
      a = try Self.converted(a, to: narrow)
      b = try Self.converted(b, to: narrow)
    }
    for (name, one, other) in [
      ("h_0", first.initialState.h, second.initialState.h),
      ("c_0", first.initialState.c, second.initialState.c),
    ] {
      guard let one, let other else { continue }
      try a.append(Name(name), one)
      try b.append(Name(name), other)
    }
    var differences = Self.differences(of: first, second)
    for entry in a.entries {
      guard let other = b[entry.name], try !entry.tensor.isIdentical(to: other) else { continue }
      let lhs = try entry.tensor.doubles()
      let rhs = try other.doubles()
      let position =
        zip(lhs, rhs).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
      differences.append(
        Difference(
          place: "\(entry.name)[\(position)] of shape \(entry.tensor.shape)",
          first: "\(lhs[position])", second: "\(rhs[position])"))
    }
    self.differences = differences
    self.allowances = allowances
    parameterCount = a.entries.reduce(0) { $0 + $1.tensor.elementCount }
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

  /// Opens and compares two files.
  public init(
    _ firstPath: String, _ secondPath: String, options: ReadOptions = .init()
  ) throws {
    func open(_ path: String) throws -> Network {
      let file = try WeightFile(path: path)
      do {
        return try Network(file.state, options: options)
      } catch let error as RecurrentError {
        throw error.inFile(path)
      }
    }
    try self.init(open(firstPath), open(secondPath))
  }

  private static func converted(_ state: StateDict, to dtype: DType) throws -> StateDict {
    var result = StateDict()
    for entry in state.entries {
      try result.append(entry.name, entry.tensor.converted(to: dtype).0)
    }
    return result
  }
}
