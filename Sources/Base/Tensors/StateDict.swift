/// Ordered names with tensors, and string metadata: what every container is read into.
public struct StateDict: Sendable {
  /// The tensors with their names, in file order.
  public private(set) var entries: [(name: Name, tensor: Tensor)] = []
  /// Architecture metadata and whatever else the file says, in file order.
  public var metadata = Metadata()
  /// Names that share their storage with an earlier name (tied weights): later name to first name.
  public var ties: [Name: Name] = [:]
  /// Whether the entries stand in the order that their author gave them; containers that sort names forget it.
  package var keepsOrder = true
  /// What the file states beyond names and shapes; `nil` where it is a list of tensors and nothing more.
  package var structure: Structure?
  /// Things in the file that are not tensors, one line each ("epoch = 12"), for `rnn-inspect`.
  public var skipped: [String] = []
  private var positions: [Name: Int] = [:]

  /// Creates an empty state dict.
  public init() {}

  /// The names in file order.
  public var names: [Name] { entries.map(\.name) }
  /// The number of tensors.
  public var count: Int { entries.count }
  /// The number of bytes of all tensors.
  public var byteCount: Int { entries.reduce(0) { $0 + $1.tensor.byteCount } }

  /// The tensor with a name.
  public subscript(name: Name) -> Tensor? { positions[name].map { entries[$0].tensor } }

  /// Adds a tensor at the end; throws `name.duplicate` when the name exists, byte for byte.
  public mutating func append(_ name: Name, _ tensor: Tensor) throws {
    guard positions[name] == nil else {
      throw RecurrentError(
        .nameDuplicate, at: "tensor \"\(name)\"", found: "the name twice",
        expected: "every name once")
    }
    positions[name] = entries.count
    entries.append((name, tensor))
  }

  /// The same names and everything else, with other tensors.
  package func mapTensors(_ change: (Tensor) throws -> Tensor) rethrows -> StateDict {
    var copy = self
    for index in entries.indices { copy.entries[index].tensor = try change(entries[index].tensor) }
    return copy
  }
}

/// String metadata in file order; a key occurs once.
public struct Metadata: Sendable, Equatable {
  /// The pairs in file order.
  public private(set) var pairs: [(key: String, value: String)] = []

  /// Creates empty metadata.
  public init() {}

  /// Creates metadata from pairs whose keys are known to differ; linear where setting is quadratic.
  package init(unique pairs: [(key: String, value: String)]) {
    self.pairs = pairs
  }

  /// Whether two have the same pairs in the same order.
  public static func == (left: Metadata, right: Metadata) -> Bool {
    left.pairs.elementsEqual(right.pairs, by: ==)
  }

  /// Whether there is none.
  public var isEmpty: Bool { pairs.isEmpty }

  /// The value of a key; setting `nil` removes it, setting a new key appends it.
  public subscript(key: String) -> String? {
    get { pairs.first { $0.key.utf8.elementsEqual(key.utf8) }?.value }
    set {
      let position = pairs.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
      switch (position, newValue) {
      case (let index?, let value?): pairs[index].value = value
      case (let index?, nil): pairs.remove(at: index)
      case (nil, let value?): pairs.append((key, value))
      case (nil, nil): break
      }
    }
  }
}
