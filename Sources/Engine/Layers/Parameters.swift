import Tensors

/// Named arrays in order: the weights of a network, or their gradients.
public struct Parameters<S: Scalar>: Sendable {
  /// The arrays with their names, in order.
  public private(set) var entries: [(name: String, array: NDArray<S>)] = []

  /// Creates an empty collection.
  public init() {}

  /// The names, in order.
  public var names: [String] { entries.map(\.name) }

  /// Adds an array at the end.
  public mutating func append(_ name: String, _ array: NDArray<S>) {
    entries.append((name, array))
  }

  /// The array of that name; setting an unknown name appends it, setting `nil` removes it.
  public subscript(name: String) -> NDArray<S>? {
    get { entries.first { $0.name == name }?.array }
    set {
      let index = entries.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let array?): entries[index].array = array
      case (let index?, nil): entries.remove(at: index)
      case (nil, let array?): entries.append((name, array))
      case (nil, nil): break
      }
    }
  }

  /// Arrays of zeros of those shapes; matrices may be left for kernels to fill.
  init(zeros shapes: [(name: String, shape: [Int])], leavesMatrices: Bool = false) {
    entries = shapes.map { name, shape in
      let array: NDArray<S> =
        leavesMatrices && shape.count == 2
        ? NDArray(trusted: shape, .unfilled(shape[0] * shape[1])) : NDArray(zeros: shape)
      return (name, array)
    }
  }

  /// The array of that name, which a checked collection has.
  func required(_ name: String) throws -> NDArray<S> {
    guard let array = self[name] else {
      throw RecurrentError(.engineMissingParameterFault, at: name, found: "no \(name)")
    }
    return array
  }

  /// Changes the elements of one array in place, if there is one of that name.
  mutating func update(_ name: String, _ body: (inout [S]) throws -> Void) rethrows {
    guard let index = entries.firstIndex(where: { $0.name == name }) else { return }
    try body(&entries[index].array.elements)
  }

  /// Changes the elements of every array in place.
  mutating func updateElements(_ body: (String, inout [S]) throws -> Void) rethrows {
    for index in entries.indices {
      try body(entries[index].name, &entries[index].array.elements)
    }
  }

  /// The same arrays in the order of `shapes`; throws if any is missing, extra, double or misshapen.
  func matching(_ shapes: [(name: String, shape: [Int])]) throws -> Parameters {
    var result = Parameters()
    for (name, shape) in shapes {
      let found = entries.filter { $0.name == name }
      guard let array = found.first?.array else {
        throw RecurrentError(
          .engineMissingParameter, at: name,
          found: "no \(name) among \(entries.count) parameters", expected: "shape \(shape)")
      }
      guard found.count == 1 else {
        throw RecurrentError(
          .engineDuplicateParameter, at: name, found: "\(found.count) times \(name)",
          expected: "one")
      }
      guard array.shape == shape, array.count == shape.reduce(1, *) else {
        throw RecurrentError(
          .engineParameterShape, at: name,
          found: "shape \(array.shape) with \(array.count) elements", expected: "shape \(shape)")
      }
      result.append(name, array)
    }
    if let extra = names.first(where: { name in !shapes.contains { $0.name == name } }) {
      throw RecurrentError(
        .engineExtraParameter, at: extra, found: "parameter \(extra)",
        expected: "only " + shapes.map(\.name).joined(separator: ", "))
    }
    return result
  }
}
