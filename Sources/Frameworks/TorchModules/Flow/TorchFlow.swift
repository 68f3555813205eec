import Containers
import Tensors

/// Follows the data of a program from its arguments through its modules to its results.
///
/// Readers of TorchScript and of exported graphs give it one call after the other, in the order of
/// execution; what it has understood at the end is a `Structure`.
struct TorchFlow {
  /// The shape of a tensor of the file; `nil` where there is none of that name.
  let shape: (String) -> [Int]?
  /// Names that stand for the tensor of another name.
  let ties: [String: String]
  var tensors: [TorchTensor] = []
  var modules: [Structure.Module] = []
  var connections: [Structure.Connection] = []
  var obstacles: [Structure.Obstacle] = []
  var places: [String: Int] = [:]
  /// What the modules of `modules` do with their input, by place.
  var recurrents: [Int: RecurrentCall] = [:]
  /// The module of PyTorch's own that the calls belong to; `nil` outside of all.
  var site: Site?
  /// What keeps the following calls from being certain (`a condition`).
  var veil: String?
  /// Why nothing can be said about connections, when that is so.
  var failure: String?
  /// The recurrent modules whose input has time and batch the other way round than the model's.
  var swapped: Set<Int> = []
  /// What was packed: batch sizes and rows, by the data.
  var packs: [Int: TorchValue] = [:]
  var uses: [Int: Set<String>] = [:]
  /// The tensors of every root.
  private(set) var families: [Int: [Int]] = [:]
  private var storedTensors: [String: Int] = [:]
  private var seenObstacles: Set<String> = []
  private var work = 0

  /// What is known about a call of a recurrent module.
  struct RecurrentCall {
    var layers: Int
    var batchFirst: Bool
  }

  /// A module of PyTorch's own.
  struct Site {
    var className: String
    var path: String
  }

  static let maximumTensors = 400_000
  static let maximumModules = 20_000
  private static let maximumTrails = 16
  private static let maximumOperations = 12
  private static let maximumWork = 4_000_000

  init(_ state: StateDict) {
    shape = { state[Name($0)]?.shape }
    ties = Dictionary(
      state.ties.map { ($0.key.string, $0.value.string) }, uniquingKeysWith: { a, _ in a })
  }

  // MARK: Tensors

  /// A new tensor; `root` where it may share the elements of another.
  mutating func add(_ tensor: TorchTensor, root: Int? = nil) -> TorchValue {
    guard tensors.count < Self.maximumTensors else {
      failure = "a program of more than \(Self.maximumTensors) operations"
      return .unknown
    }
    var tensor = tensor
    tensor.root = root ?? tensors.count
    families[tensor.root, default: []].append(tensors.count)
    tensors.append(tensor)
    return .tensor(tensors.count - 1)
  }

  /// An argument of the program.
  mutating func argument(isOptional: Bool) -> TorchValue {
    add(TorchTensor(origin: .argument, isOptional: isOptional))
  }

  /// A tensor of the file, always the same one; a constant where the file has no such tensor.
  mutating func stored(_ name: String) -> TorchValue {
    if let known = storedTensors[name] { return .tensor(known) }
    guard let shape = shape(name) else { return add(TorchTensor(origin: .constant)) }
    let value = add(
      TorchTensor(origin: .stored(name: name, shape: shape, isTransposed: false)))
    if let index = value.tensor { storedTensors[name] = index }
    return value
  }

  /// The tensors in values, lists included.
  mutating func tensorIndices(in values: [TorchValue]) -> [Int] {
    var found: [Int] = []
    var seen: Set<Int> = []
    var pending = Array(values.reversed())
    while let value = pending.popLast() {
      work += 1
      guard work <= Self.maximumWork else {
        failure = "a program with lists without end"
        return found
      }
      switch value {
      case .tensor(let index): if seen.insert(index).inserted { found.append(index) }
      case .list(let items): pending.append(contentsOf: items.reversed())
      default: break
      }
    }
    return found
  }

  /// How a tensor came about, as far as modules and arguments are concerned.
  func trails(of index: Int) -> [TorchTensor.Trail] {
    let tensor = tensors[index]
    switch tensor.origin {
    case .argument: return [TorchTensor.Trail(module: nil, operations: [])]
    case .module(let module):
      return [TorchTensor.Trail(module: module, operations: tensor.operations)]
    case .derived: return tensor.trails
    case .stored, .zeros, .constant: return []
    }
  }

  /// What an operation that is not understood makes of values; not a tensor where there is none in them.
  mutating func derived(_ operation: String?, from values: [TorchValue], sharing root: Int? = nil)
    -> TorchValue
  {
    let indices = tensorIndices(in: values)
    guard !indices.isEmpty else { return .unknown }
    var result = TorchTensor(origin: .derived)
    let name = operation.map { operation in
      site.map { "\(operation) of \($0.className) \"\($0.path)\"" } ?? operation
    }
    for index in indices {
      for var trail in trails(of: index) {
        work += 1
        if let name, trail.operations.count < Self.maximumOperations {
          trail.operations.append(name)
        }
        if result.trails.contains(where: { $0.module == trail.module }) { continue }
        if result.trails.count < Self.maximumTrails {
          result.trails.append(trail)
        } else if let module = trail.module {
          obstruct(module, .behind, trail.operations)
        }
      }
    }
    if result.trails.isEmpty {
      result.trails = [TorchTensor.Trail(module: nil, operations: [name].compactMap { $0 })]
    }
    if work > Self.maximumWork { failure = "a program without end" }
    return add(result, root: root)
  }

  /// The same values with every tensor taken as uncertain, while a veil lies over the program.
  mutating func veiled(_ value: TorchValue) -> TorchValue {
    guard let veil else { return value }
    guard case .list(let items) = value else { return veiledItem(value, veil) }
    guard items.count <= 64 else { return derived(veil, from: items) }
    var result: [TorchValue] = []
    for item in items { result.append(veiledItem(item, veil)) }
    return .list(result)
  }

  private mutating func veiledItem(_ value: TorchValue, _ veil: String) -> TorchValue {
    if case .tensor(let index) = value {
      switch tensors[index].origin {
      case .stored: return value
      case .derived where tensors[index].trails.allSatisfy({ $0.operations.last == veil }):
        return value
      default: break
      }
    } else if value.list == nil {
      return value
    }
    let known = site
    site = nil
    defer { site = known }
    return derived(veil, from: [value])
  }

  /// Marks a tensor as changed in place, and all that may share its elements.
  mutating func change(_ index: Int, by operation: String) {
    let root = tensors[index].root
    let family = families[root] ?? []
    work += family.count
    for other in family {
      let value = derived(operation, from: [.tensor(other)])
      guard let new = value.tensor else { return }
      tensors[other] = tensors[new]
      tensors[other].root = root
    }
  }

  // MARK: Modules

  /// The place of a module, added where it is new.
  mutating func module(_ name: String, _ kind: ModuleKind, className: String) -> Int {
    if let place = places[name] {
      if modules[place].kind == .other, kind != .other {
        modules[place].kind = kind
        modules[place].className = className
      }
      return place
    }
    guard modules.count < Self.maximumModules else {
      failure = "more than \(Self.maximumModules) modules"
      return 0
    }
    places[name] = modules.count
    modules.append(Structure.Module(name: name, kind: kind, className: className))
    return modules.count - 1
  }

  /// Notes something next to a module, once.
  mutating func obstruct(
    _ module: Int, _ side: Structure.Obstacle.Side, _ operations: [String], isBranch: Bool = false
  ) {
    guard modules.indices.contains(module) else { return }
    if side == .behind, !isBranch { use(module, as: "obstacle") }
    let key = "\(module) \(side.rawValue) \(operations.joined(separator: "\u{1F}"))"
    guard obstacles.count < Self.maximumModules, seenObstacles.insert(key).inserted else { return }
    obstacles.append(
      Structure.Obstacle(
        module: modules[module].name, side: side, operations: operations, isBranch: isBranch))
  }

  mutating func use(_ module: Int, as use: String) { uses[module, default: []].insert(use) }

  /// Notes that a module reads a tensor that is no direct result of another.
  mutating func block(_ index: Int, before module: Int, reason: String? = nil) {
    var before: [String] = []
    for trail in trails(of: index) {
      let way = trail.operations + [reason].compactMap { $0 }
      if let source = trail.module { obstruct(source, .behind, way) }
      for operation in way.reversed()
      where !before.contains(operation) && before.count < Self.maximumOperations {
        before.append(operation)
      }
    }
    if case .argument = tensors[index].origin, reason == nil { return }
    if before.isEmpty { before = [reason ?? "a tensor of the file"] }
    obstruct(module, .before, before)
  }

  /// Connects two modules, or notes why two ways between them cannot both be said.
  mutating func connect(_ from: Int, _ to: Int, _ reads: HeadReads) {
    let connection = Structure.Connection(
      from: modules[from].name, to: modules[to].name, reads: reads)
    use(from, as: "connection")
    if !connections.contains(connection) { connections.append(connection) }
  }
}
