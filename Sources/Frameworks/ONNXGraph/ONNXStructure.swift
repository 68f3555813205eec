import Containers
import Tensors

/// The modules of a graph and how they are connected, from what was followed.
struct ONNXStructure {
  /// A module with what its tensors are made of.
  struct Module {
    var module: Structure.Module
    var content: Content
  }

  enum Content {
    /// The nodes of a stack, by their place among the recurrent ones.
    case recurrent([Int])
    case embedding(Int)
    case linear(Int)
    case other(Int)
  }

  let follower: ONNXFollower
  var modules: [Module] = []
  var connections: [Structure.Connection] = []
  private(set) var obstacles: [Structure.Obstacle] = []
  /// The module of every recurrent node, linear layer and embedding.
  var owner: [ONNXTrace.Source: Int] = [:]
  /// Its place in its stack, from below, of every recurrent node.
  var layers: [Int: Int] = [:]
  /// Modules whose output something understood takes.
  var leadsOn: Set<Int> = []
  /// What linear layers read of recurrent modules.
  var readsOf: [Int: HeadReads] = [:]
  var seen: Set<String> = []
  var linearOfTensors: [[Name]: Int] = [:]
  /// The recurrent module of every time axis, the first one that has it.
  var moduleOfTime: [Int: Int] = [:]
  private static let obstacleLimit = 1000

  /// Groups nodes to modules; names come from `names`, behind `label` for graphs inside others.
  init(_ follower: ONNXFollower, label: String?, names: inout ONNXNames) {
    self.follower = follower
    var above: [Int: Int] = [:]
    var hasBelow: Set<Int> = []
    for use in follower.uses {
      guard case .recurrent(let upper) = use.reader, let lower = layerBelow(use.trace, upper),
        above[lower] == nil, hasBelow.insert(upper).inserted
      else { continue }
      above[lower] = upper
    }
    for found in follower.found {
      switch found {
      case .recurrent(let number):
        guard !hasBelow.contains(number) else { continue }
        var stack = [number]
        while let next = above[stack[stack.count - 1]] { stack.append(next) }
        addStack(stack, label, &names)
      case .embedding(let number) where label == nil: addEmbedding(number, &names)
      case .linear(let number) where label == nil: addLinear(number, &names)
      case .other(let number) where label == nil || follower.others[number].refusal != nil:
        addOther(number, label, &names)
      default: break
      }
    }
    guard label == nil else { return }
    connect()
  }

  /// What the file states, without the initial states.
  var structure: Structure {
    Structure(
      statesConnections: true, modules: modules.map(\.module), connections: connections,
      obstacles: obstacles)
  }

  func name(_ index: Int) -> String { modules[index].module.name }

  mutating func change(_ index: Int, _ body: (inout Structure.Module) -> Void) {
    body(&modules[index].module)
  }

  /// The module that a source belongs to.
  func module(of source: ONNXTrace.Source) -> Int? { owner[source] }

  // MARK: Obstacles

  /// What stands between a module and what it is made from.
  mutating func block(_ trace: ONNXTrace, _ reader: Int, _ operations: [String]) {
    add(reader, .before, operations.reversed())
    blockBehind(trace, operations)
  }

  mutating func blockBehind(_ trace: ONNXTrace, _ operations: [String]) {
    for source in trace.sources {
      if let module = owner[source] { add(module, .behind, operations) }
    }
  }

  mutating func add(_ module: Int, _ side: Structure.Obstacle.Side, _ operations: [String]) {
    guard obstacles.count < Self.obstacleLimit else { return }
    let key = "\(module) \(side) \(operations)"
    guard seen.insert(key).inserted else { return }
    obstacles.append(
      Structure.Obstacle(module: name(module), side: side, operations: operations))
  }

  mutating func noteBranches() {
    let names = Set(leadsOn.map { Name(name($0)) })
    for index in obstacles.indices
    where obstacles[index].side == .behind && names.contains(Name(obstacles[index].module)) {
      obstacles[index].isBranch = true
    }
  }
}
