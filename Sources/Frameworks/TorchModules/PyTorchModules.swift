// Modules in a pickle: objects whose attributes hold everything.
//
//   torch.save(model)      torch.nn.modules.rnn GRU with _parameters, _buffers, _modules (dicts) and
//                          _non_persistent_buffers_set; hyper-parameters are further attributes
//   torch.jit.save(model)  __torch__.torch.nn.modules.rnn GRU with parameters, buffers and modules
//                          side by side; code/ says which tensors are parameters and buffers, and
//                          what the hyper-parameters are
//
// Walking them gives what state_dict() gives.

import Containers
import Tensors

/// Collects the named tensors of modules, and the modules in the order of registration.
struct PyTorchModules {
  /// A name with the value that stands for its tensor.
  typealias Entry = (name: [UInt8], value: PickleValue)
  /// What one module holds itself, and how much was looked at to find it.
  private typealias Members = (tensors: [Entry], modules: [Entry], scanned: Int)

  private let graph: PickleGraph
  private let modules: Set<Int>
  private let code: TorchScriptCode?
  private let isTensor: (PickleValue) -> Bool
  private(set) var entries: [Entry] = []
  /// The modules in the order of registration, with their names.
  private(set) var visited: [(name: String, value: PickleValue, holdsTensors: Bool)] = []

  private static let maximumDepth = 128
  private static let maximumWork = 20_000_000

  init(
    _ graph: PickleGraph, modules: Set<Int>, code: TorchScriptCode?,
    isTensor: @escaping (PickleValue) -> Bool
  ) {
    self.graph = graph
    self.modules = modules
    self.code = code
    self.isTensor = isTensor
  }

  /// The nodes that are modules of either kind.
  ///
  /// Found out once, and once per set of attributes: objects may share them, and asking again and
  /// again could take for ever.
  static func all(in graph: PickleGraph) -> Set<Int> {
    var modules: Set<Int> = []
    var known: [Int: Bool] = [:]
    for (index, state) in graph.states {
      guard case .object(.global(let name), _) = graph.nodes[index], case .node(let node) = state
      else { continue }
      let value = PickleValue.node(index)
      if name.hasPrefix("__torch__") {
        if graph.attributes(value) != nil { modules.insert(index) }
        continue
      }
      let isModule =
        known[node]
        ?? ["_parameters", "_buffers", "_modules"].allSatisfy {
          graph.attribute($0, of: value).map { graph.dict($0) != nil } ?? false
        }
      known[node] = isModule
      if isModule { modules.insert(index) }
    }
    return modules
  }

  private func isModule(_ value: PickleValue) -> Bool {
    if case .node(let index) = value { modules.contains(index) } else { false }
  }

  /// Walks a module and the modules in it, in the order of `state_dict()`.
  ///
  /// Modules may be shared, so a small file could spell a huge tree: depth and size have limits.
  /// Throws `pt.modules`, and `pt.object` for weights in a form that is not read.
  mutating func walk(_ root: PickleValue) throws {
    var pending: [(value: PickleValue, prefix: [UInt8], depth: Int)] = [(root, [], 0)]
    var work = 0
    while let (value, prefix, depth) = pending.popLast() {
      let name = graph.call(value)?.name ?? ""
      try checkReadable(name, prefix)
      let isScript = name.hasPrefix("__torch__")
      let own = isScript ? script(value, name) : pickled(value)
      work += own.scanned + (own.tensors.count + own.modules.count) * (prefix.count + 1) + 1
      guard depth <= Self.maximumDepth, work <= Self.maximumWork else {
        throw RecurrentError(
          .ptModules, at: String(decoding: prefix.prefix(256), as: UTF8.self),
          found: "modules without end", expected: "at most \(Self.maximumDepth) levels")
      }
      if visited.count < TorchFlow.maximumModules {
        let path = String(decoding: prefix.dropLast(), as: UTF8.self)
        visited.append((path, value, !own.tensors.isEmpty))
      }
      for (key, value) in own.tensors { entries.append((prefix + key, value)) }
      for (key, child) in own.modules.reversed() {
        pending.append((child, prefix + key + [UInt8(ascii: ".")], depth + 1))
      }
    }
  }

  private func checkReadable(_ name: String, _ prefix: [UInt8]) throws {
    let packed = ["__torch__.torch.classes.", "torch.ao.nn.quantized", "torch.nn.quantized"]
    guard !packed.contains(where: { name.hasPrefix($0) }) else {
      throw RecurrentError(
        .ptObject,
        at: "module \"\(String(decoding: prefix.dropLast(), as: UTF8.self))\"",
        found: "an object of \(name)", expected: "modules with plain tensors",
        hint: "Quantised weights cannot be read; convert the model before quantisation.")
    }
  }

  private func pickled(_ value: PickleValue) -> Members {
    let hidden = names(graph.attribute("_non_persistent_buffers_set", of: value))
    let buffers = members("_buffers", of: value).filter { !hidden.contains($0.name) }
    let tensors = members("_parameters", of: value) + buffers
    let children = members("_modules", of: value)
    return (
      tensors.filter { isTensor($0.value) }, children.filter { isModule($0.value) },
      (graph.attributes(value)?.count ?? 0) + tensors.count + children.count + hidden.count
    )
  }

  private func members(_ attribute: String, of value: PickleValue) -> [Entry] {
    (graph.attribute(attribute, of: value).flatMap { graph.dict($0) } ?? []).compactMap {
      if case .string(let name) = $0.key { (name, $0.value) } else { nil }
    }
  }

  /// The strings of a set, which before protocol 4 is a call with a list.
  private func names(_ value: PickleValue?) -> Set<[UInt8]> {
    guard let value else { return [] }
    var items: [PickleValue] = []
    switch graph.node(value) {
    case .set(let members)?: items = members
    case .object(.global(let name), let arguments)? where name.hasSuffix(" set"):
      if let list = graph.tuple(arguments)?.first, case .list(let members)? = graph.node(list) {
        items = members
      }
    default: break
    }
    return Set(items.compactMap { if case .string(let name) = $0 { name } else { nil } })
  }

  private func script(_ value: PickleValue, _ name: String) -> Members {
    var members: [Entry] = []
    for pair in graph.attributes(value) ?? [] {
      if case .string(let name) = pair.key { members.append((name, pair.value)) }
    }
    let modules = members.filter {
      graph.call($0.value)?.name.hasPrefix("__torch__") ?? false
    }
    var tensors = members.filter { isTensor($0.value) }
    // Parameters come before buffers; plain tensor attributes are no part of a state dict.
    if let body = code?.body(of: name), let parameters = body.parameters {
      let declared = Set(parameters + (body.buffers ?? []))
      if body.buffers != nil { tensors.removeAll { !declared.contains($0.name) } }
      let known = Set(parameters)
      tensors =
        tensors.filter { known.contains($0.name) } + tensors.filter { !known.contains($0.name) }
    }
    return (tensors, modules, members.count)
  }
}
