// What a TorchScript archive states: its forward method is followed statement by statement, with
// symbols in place of tensors. Nothing is computed; calls of submodules are entered, and whatever is
// not a straight line of known operations leaves obstacles in place of connections.

import Containers
import Tensors

/// Follows the forward method of a TorchScript module.
struct TorchScriptRun {
  /// A block of statements that belong to a condition or a loop.
  fileprivate struct Block {
    enum Mode { case run, skip, veil(String) }
    var indent: Int
    var mode: Mode
    /// How the part behind `else` is taken; `nil` where there can be none.
    var otherwise: Mode?
  }

  /// A call that has begun.
  struct Frame {
    var method: TorchScriptMethod
    var variables: [String: TorchValue] = [:]
    var site: TorchFlow.Site?
    /// What the whole call stands under.
    var veil: String?
    /// What the present statement stands under.
    var presentVeil: String?
    fileprivate var blocks: [Block] = []
    var statement = 0
    var step = 0
    var stack: [TorchValue] = []
    var returned: TorchValue?

    init(_ method: TorchScriptMethod) { self.method = method }
  }

  let objects: TorchScriptObjects
  let code: TorchScriptCode
  var flow: TorchFlow
  var frames: [Frame] = []
  private var methods: [String: TorchScriptMethod?] = [:]
  private var unclearPaths: Set<String> = []
  /// The modules whose methods were called.
  var calledPaths: Set<String> = []
  private var stepCount = 0
  private static let maximumSteps = 300_000
  private static let maximumFrames = 128

  init(objects: TorchScriptObjects, code: TorchScriptCode, state: StateDict) {
    self.objects = objects
    self.code = code
    flow = TorchFlow(state)
  }

  /// What the program of a module states.
  static func structure(
    of root: Int, objects: TorchScriptObjects, code: TorchScriptCode, state: StateDict
  ) -> Structure {
    var run = TorchScriptRun(objects: objects, code: code, state: state)
    var remarks: [Remark] = []
    if !run.begin(root) { remarks.append(.noForwardMethod) }
    run.addUnused(root)
    run.obstructUnclear()
    var structure = run.flow.structure()
    structure.remarks = remarks
    return structure
  }

  private mutating func begin(_ root: Int) -> Bool {
    guard let method = method("forward", of: root) else { return false }
    var frame = Frame(method)
    for (index, parameter) in method.parameters.enumerated() {
      frame.variables[parameter.name] =
        index == 0
        ? .object(root, path: "") : flow.argument(isOptional: parameter.isOptional)
    }
    frames = [frame]
    while !frames.isEmpty, flow.failure == nil {
      stepCount += 1
      guard stepCount <= Self.maximumSteps else {
        flow.failure = "a program of more than \(Self.maximumSteps) steps"
        break
      }
      advance()
    }
    return true
  }

  /// Puts obstacles around the modules that code which is not followed may use.
  private mutating func obstructUnclear() {
    for path in unclearPaths {
      for (index, module) in flow.modules.enumerated()
      where path.isEmpty || module.name == path || module.name.hasPrefix(path + ".") {
        flow.obstruct(index, .before, ["code that is not followed"])
        flow.obstruct(index, .behind, ["code that is not followed"])
      }
    }
  }

  /// A method of a module's class; read once.
  mutating func method(_ name: String, of object: Int) -> TorchScriptMethod? {
    let className = objects.className(object)
    let key = "\(className) \(name)"
    if let known = methods[key] { return known }
    let method = code.body(of: className)?.methods[name].flatMap { TorchScriptMethod($0) }
    methods[key] = .some(method)
    return method
  }

  /// A function outside of classes.
  mutating func function(_ name: String) -> TorchScriptMethod? {
    if let known = methods[name] { return known }
    let method = code.functions[name].flatMap { TorchScriptMethod($0) }
    methods[name] = .some(method)
    return method
  }

  /// Begins a call; its result goes to the caller's stack at its end.
  mutating func enter(
    _ method: TorchScriptMethod, _ arguments: [TorchValue], named: [String: TorchValue],
    site: TorchFlow.Site?
  ) {
    guard frames.count < Self.maximumFrames else {
      flow.failure = "calls that are nested more than \(Self.maximumFrames) deep"
      return
    }
    var frame = Frame(method)
    frame.site = site ?? frames.last?.site
    frame.veil = flow.veil
    for (index, parameter) in method.parameters.enumerated() {
      frame.variables[parameter.name] =
        named[parameter.name] ?? (arguments.indices.contains(index) ? arguments[index] : nil)
        ?? parameter.fallback ?? .unknown
    }
    frames.append(frame)
  }

  /// Says that nothing is known about the modules under a path.
  mutating func leaveUnclear(_ path: String) { unclearPaths.insert(path) }

  // MARK: Statements

  private mutating func advance() {
    let last = frames.count - 1
    guard frames[last].statement < frames[last].method.statements.count else { return leave(.none) }
    let statement = frames[last].method.statements[frames[last].statement]
    if frames[last].step == 0 {
      guard arrive(at: statement, last) else {
        frames[last].statement += 1
        return
      }
    }
    flow.site = frames[last].site
    flow.veil = frames[last].presentVeil
    if frames[last].step < statement.steps.count {
      let step = statement.steps[frames[last].step]
      frames[last].step += 1
      return perform(step)
    }
    let value = frames[last].stack.popLast() ?? .none
    frames[last].stack = []
    frames[last].step = 0
    frames[last].statement += 1
    complete(statement, value)
  }

  /// Closes the blocks that end here; whether the statement is to be looked at.
  private mutating func arrive(at statement: TorchScriptStatement, _ last: Int) -> Bool {
    var closed: Block?
    while let block = frames[last].blocks.last, block.indent >= statement.indent {
      closed = frames[last].blocks.removeLast()
    }
    var veil = frames[last].veil
    for block in frames[last].blocks {
      switch block.mode {
      case .skip:
        frames[last].blocks +=
          isHeader(statement)
          ? [Block(indent: statement.indent, mode: .skip, otherwise: .skip)] : []
        return false
      case .veil(let what): veil = what
      case .run: break
      }
    }
    frames[last].presentVeil = veil
    flow.veil = veil
    if statement.kind == .otherwise {
      let mode = closed?.indent == statement.indent ? closed?.otherwise : nil
      frames[last].blocks.append(
        Block(indent: statement.indent, mode: mode ?? .veil("a condition"), otherwise: nil))
      return false
    }
    return true
  }

  private func isHeader(_ statement: TorchScriptStatement) -> Bool {
    switch statement.kind {
    case .when, .otherwise, .block: true
    default: false
    }
  }

  private mutating func complete(_ statement: TorchScriptStatement, _ value: TorchValue) {
    let last = frames.count - 1
    switch statement.kind {
    case .pass, .attribute, .otherwise: break
    case .assign(let targets): assign(value, to: targets)
    case .when:
      let block: Block
      if let isTrue = value.bool {
        block = Block(
          indent: statement.indent, mode: isTrue ? .run : .skip, otherwise: isTrue ? .skip : .run)
      } else {
        block = Block(
          indent: statement.indent, mode: .veil("a condition"), otherwise: .veil("a condition"))
      }
      frames[last].blocks.append(block)
    case .block(let what):
      if statement.names.count > 1 { frames[last].variables[statement.names[1]] = .unknown }
      frames[last].blocks.append(
        Block(indent: statement.indent, mode: .veil(what), otherwise: .veil(what)))
    case .unclear(let targets): abandon(statement, targets)
    case .give:
      guard flow.veil != nil, frames[last].veil == nil || !frames[last].blocks.isEmpty else {
        return leave(frames[last].returned.map { merged($0, value) } ?? value)
      }
      // It may end here or go on.
      let certain = flow.veiled(value)
      frames[last].returned = frames[last].returned.map { merged($0, certain) } ?? certain
      if frames[last].veil == nil { frames[last].veil = "a condition" }
    }
  }

  private mutating func abandon(_ statement: TorchScriptStatement, _ targets: [String]) {
    let last = frames.count - 1
    var values: [TorchValue] = []
    for name in Set(statement.names).sorted() {
      guard let value = frames[last].variables[name] else { continue }
      values.append(value)
      if case .object(_, let path) = value { leaveUnclear(path) }
    }
    let value = flow.derived("code that is not followed", from: values)
    for target in targets where target != "return" { frames[last].variables[target] = value }
    if targets == ["return"] { leave(value) }
  }

  private mutating func leave(_ value: TorchValue) {
    let frame = frames.removeLast()
    var value = value
    if value.isNone, let returned = frame.returned { value = returned }
    if frames.isEmpty {
      flow.give(value)
    } else {
      frames[frames.count - 1].stack.append(value)
    }
  }

  private mutating func assign(_ value: TorchValue, to targets: [String]) {
    guard targets.count != 1 else { return set(targets[0], value) }
    guard !targets.isEmpty else { return }
    let names = targets.filter { !$0.isEmpty }
    if case .list(let items) = value {
      if items.count == names.count {
        for (name, item) in zip(names, items) { set(name, item) }
        return
      }
      let joined = flow.derived("a list of another length", from: items)
      for name in names { set(name, joined) }
      return
    }
    for name in names { set(name, value) }
  }

  private mutating func set(_ name: String, _ value: TorchValue) {
    let last = frames.count - 1
    guard flow.veil != nil, !frames[last].blocks.isEmpty else {
      frames[last].variables[name] = value
      return
    }
    let certain = flow.veiled(value)
    frames[last].variables[name] =
      frames[last].variables[name].map { merged($0, certain) } ?? certain
  }

  /// One of two values, nobody knows which.
  private mutating func merged(_ a: TorchValue, _ b: TorchValue) -> TorchValue {
    guard case .list(let x) = a, case .list(let y) = b, x.count == y.count, x.count <= 64 else {
      return mergedItem(a, b)
    }
    var result: [TorchValue] = []
    for (one, other) in zip(x, y) { result.append(mergedItem(one, other)) }
    return .list(result)
  }

  private mutating func mergedItem(_ a: TorchValue, _ b: TorchValue) -> TorchValue {
    switch (a, b) {
    case (.none, .none): .none
    case (.object, .object), (.function, .function): b
    default: flow.derived(flow.veil ?? "a condition", from: [a, b])
    }
  }
}
