// Pickle, protocols 2 to 5: a stack program that rebuilds Python data.
//
// Python's own machine imports modules and calls what it finds there, which is why opening a
// strange .pt file can run anything. This one has no callables at all: a global is a name, and
// "calling" one (REDUCE, NEWOBJ, BUILD) makes a node that says so. Reading cannot do more than
// build a graph, and the graph is never larger than the program.

import Tensors

/// Runs one pickle and yields its graph; throws `pickle.…`.
package struct PickleMachine {
  private var program: PickleProgram
  private var opcode: UInt8 = 0
  private var graph = PickleGraph()
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]
  private var copies = 0

  /// Names and shapes need no more; longer pickles are refused.
  package static let maximumLength = 64 << 20
  private static let maximumNodes = 10_000_000
  private static let maximumStack = 1_000_000
  private static let maximumMemo = 4_000_000
  private static let maximumOpcodes = 20_000_000

  /// Runs a program that is one pickle and nothing else.
  package static func run(_ program: [UInt8]) throws -> PickleGraph {
    var machine = PickleMachine(program)
    try machine.run()
    guard machine.program.position == program.count else {
      throw machine.failure(
        "\(program.count - machine.program.position) bytes after its end", "the end")
    }
    return machine.graph
  }

  /// Runs the pickle that `source` has at `offset` and says where it ends; what follows is not looked at.
  ///
  /// A pickle does not say how long it is, so the piece that is read grows until it fits.
  package static func run(in source: any ByteSource, at offset: Int) throws -> (
    PickleGraph, end: Int
  ) {
    let available = max(0, min(source.count - offset, maximumLength))
    var length = min(available, 1 << 12)
    while true {
      var machine = PickleMachine(try source.read(offset..<offset + length))
      do {
        try machine.run()
        return (machine.graph, offset + machine.program.position)
      } catch let error as RecurrentError {
        guard machine.program.ranOut, length < available else { throw error }
        length = min(available, length * 4)
      }
    }
  }

  private init(_ program: [UInt8]) {
    self.program = PickleProgram(program)
    graph.program = program
  }

  private mutating func run() throws {
    for _ in 0..<Self.maximumOpcodes {
      opcode = try program.byte()
      if opcode == UInt8(ascii: ".") {
        graph.root = try pop()
        guard stack.isEmpty, marks.isEmpty else {
          throw failure("\(stack.count) values left", "none")
        }
        return
      }
      if try !scalar(), try !structure(), try !object() {
        throw RecurrentError(
          .pickleOpcode, at: program.place,
          found: "opcode 0x" + String(opcode, radix: 16), expected: "one of protocols 2 to 5",
          hint: "Load the file in Python and save its state_dict() again.")
      }
      guard stack.count <= Self.maximumStack, memo.count <= Self.maximumMemo,
        graph.nodes.count <= Self.maximumNodes
      else { throw failure("too many values", "a smaller pickle") }
    }
    throw failure("more than \(Self.maximumOpcodes) opcodes", "fewer")
  }

  // MARK: Opcodes that push one value

  private mutating func scalar() throws -> Bool {
    switch opcode {
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.bool(true))
    case 0x89: stack.append(.bool(false))
    case UInt8(ascii: "J"):
      stack.append(.int(Int(Int32(truncatingIfNeeded: try program.unsigned(4)))))
    case UInt8(ascii: "K"): stack.append(.int(Int(try program.byte())))
    case UInt8(ascii: "M"): stack.append(.int(Int(try program.unsigned(2))))
    case 0x8A: stack.append(integer(try program.take(Int(try program.byte()))))
    case 0x8B: stack.append(integer(try program.take(try program.length(4))))
    case UInt8(ascii: "G"):
      stack.append(.float(Double(bitPattern: UInt64(bigEndian: try program.take(8)))))
    case UInt8(ascii: "X"): stack.append(.string(Array(try program.take(try program.length(4)))))
    case 0x8C, UInt8(ascii: "U"):
      stack.append(.string(Array(try program.take(Int(try program.byte())))))
    case 0x8D: stack.append(.string(Array(try program.take(try program.length(8)))))
    case UInt8(ascii: "T"): stack.append(.string(Array(try program.take(try program.length(4)))))
    case UInt8(ascii: "B"): try byteString(4)
    case UInt8(ascii: "C"): try byteString(1)
    case 0x8E, 0x96: try byteString(8)
    case UInt8(ascii: "c"):
      let module = try program.line()
      stack.append(.global(module + " " + (try program.line())))
    case 0x93:
      guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
        throw failure("no names", "two strings")
      }
      stack.append(
        .global(
          String(decoding: module, as: UTF8.self) + " " + String(decoding: name, as: UTF8.self)))
    default: return false
    }
    return true
  }

  private mutating func byteString(_ width: Int) throws {
    let bytes = try program.take(try program.length(width))
    stack.append(.bytes(bytes.startIndex..<bytes.endIndex))
  }

  // MARK: Containers, stack and memo

  private mutating func structure() throws -> Bool {
    switch opcode {
    case 0x80:
      let version = try program.byte()
      guard (2...5).contains(version) else {
        throw failure("protocol \(version)", "2 to 5", .pickleProtocol)
      }
    case 0x95:
      try program.frame()
    case UInt8(ascii: "("): marks.append(stack.count)
    case UInt8(ascii: "}"): push(.dict([]))
    case UInt8(ascii: "]"): push(.list([]))
    case UInt8(ascii: ")"): push(.tuple([]))
    case 0x8F: push(.set([]))
    case UInt8(ascii: "t"): push(.tuple(try popMark()))
    case UInt8(ascii: "l"): push(.list(try popMark()))
    case UInt8(ascii: "d"): push(.dict(try pairs(try popMark())))
    case 0x91:
      push(.set(try popMark()))
    case 0x85...0x87: push(.tuple(try pop(Int(opcode) - 0x84)))
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "1"): _ = try popMark()
    case UInt8(ascii: "2"): stack.append(try top())
    case UInt8(ascii: "q"): memo[Int(try program.byte())] = try top()
    case UInt8(ascii: "r"): memo[Int(try program.unsigned(4))] = try top()
    case 0x94: memo[memo.count] = try top()
    case UInt8(ascii: "h"): try recall(Int(try program.byte()))
    case UInt8(ascii: "j"): try recall(Int(try program.unsigned(4)))
    default: return false
    }
    return true
  }

  private mutating func recall(_ index: Int) throws {
    guard let value = memo[index] else {
      throw failure("memo entry \(index), which is empty", "one that was stored")
    }
    stack.append(value)
  }

  // MARK: Filling containers, and describing objects

  private mutating func object() throws -> Bool {
    switch opcode {
    case UInt8(ascii: "s"):
      let items = try pop(2)
      try add(pairs: items)
    case UInt8(ascii: "u"): try add(pairs: try popMark())
    case UInt8(ascii: "a"): try add(items: try pop(1))
    case UInt8(ascii: "e"): try add(items: try popMark())
    case 0x90:
      let added = try popMark()
      guard case .node(let index) = try top(), case .set(var items) = graph.nodes[index] else {
        throw failure("no set", "a set")
      }
      graph.nodes[index] = .set([])  // so that the array is not copied
      items += added
      graph.nodes[index] = .set(items)
    case UInt8(ascii: "R"), 0x81:
      let parts = try pop(2)
      try push(callee: parts[0], arguments: parts[1])
    case 0x92:
      let parts = try pop(3)
      try push(callee: parts[0], arguments: parts[1])
    case UInt8(ascii: "b"):
      // The state of an object: `_metadata` of an OrderedDict, attributes of a class.
      let state = try pop()
      guard case .node(let index) = try top() else { throw failure("no object", "an object") }
      switch graph.nodes[index] {
      case .object: graph.states[index] = state
      case .dict: break
      default: throw failure("a state for a plain value", "an object")
      }
    case UInt8(ascii: "Q"):
      let id = try pop()
      if let name = containerClass(id) { stack.append(name) } else { push(.persistent(id)) }
    default: return false
    }
    return true
  }

  /// The class in `("module", CLASS, file, source)`, or without the word before 1.0: old PyTorch kept
  /// the source of classes so that it could warn when it had changed.
  private func containerClass(_ id: PickleValue) -> PickleValue? {
    guard let parts = graph.tuple(id) else { return nil }
    if case .global? = parts.first, parts.count == 3 { return parts[0] }
    guard parts.count == 4, case .string(let kind) = parts[0], kind.elementsEqual("module".utf8),
      case .global = parts[1]
    else { return nil }
    return parts[1]
  }

  private mutating func push(callee: PickleValue, arguments: PickleValue) throws {
    guard case .tuple(let items)? = graph.node(arguments) else {
      throw failure("arguments that are no tuple", "a tuple")
    }
    if case .global(let name) = callee {
      switch name {
      case "collections OrderedDict", "builtins dict", "__builtin__ dict":
        return push(.dict(try initialPairs(items.first)))
      case "collections defaultdict":
        return push(.dict(try initialPairs(items.dropFirst().first)))
      default: break
      }
    }
    push(.object(callee: callee, arguments: arguments))
  }

  /// What a dict is made from: nothing, a dict, or a list of pairs.
  private mutating func initialPairs(_ value: PickleValue?) throws
    -> [(key: PickleValue, value: PickleValue)]
  {
    guard let value else { return [] }
    if let pairs = graph.dict(value) {
      try countCopies(pairs.count)
      return pairs
    }
    guard case .list(let items)? = graph.node(value) else {
      throw failure("a dict made from no pairs", "a list of pairs")
    }
    try countCopies(items.count)
    return try items.map { item in
      let pair: [PickleValue]
      switch graph.node(item) {
      case .list(let items)?, .tuple(let items)?: pair = items
      default: pair = []
      }
      guard pair.count == 2 else { throw failure("no pair", "a pair") }
      return (pair[0], pair[1])
    }
  }

  /// Copies could otherwise multiply: a few bytes of program for every copy of a large dict.
  private mutating func countCopies(_ count: Int) throws {
    copies += count
    guard copies <= program.bytes.count else {
      throw failure("copies of copies", "a smaller pickle")
    }
  }

  private func pairs(_ items: [PickleValue]) throws -> [(key: PickleValue, value: PickleValue)] {
    guard items.count % 2 == 0 else { throw failure("a key without a value", "pairs") }
    return stride(from: 0, to: items.count, by: 2).map { (items[$0], items[$0 + 1]) }
  }

  private mutating func add(pairs items: [PickleValue]) throws {
    let added = try pairs(items)
    guard case .node(let index) = try top() else { throw failure("no dict", "a dict") }
    switch graph.nodes[index] {
    case .dict(var pairs):
      graph.nodes[index] = .set([])  // so that the array is not copied
      pairs += added
      graph.nodes[index] = .dict(pairs)
    case .object: break
    default: throw failure("no dict", "a dict")
    }
  }

  private mutating func add(items: [PickleValue]) throws {
    guard case .node(let index) = try top() else { throw failure("no list", "a list") }
    switch graph.nodes[index] {
    case .list(var list):
      graph.nodes[index] = .set([])
      list += items
      graph.nodes[index] = .list(list)
    case .object: break
    default: throw failure("no list", "a list")
    }
  }

  // MARK: Stack

  private mutating func push(_ node: PickleNode) {
    stack.append(.node(graph.nodes.count))
    graph.nodes.append(node)
  }

  private func top() throws -> PickleValue {
    guard let value = stack.last, stack.count > (marks.last ?? 0) else {
      throw failure("an empty stack", "a value")
    }
    return value
  }

  private mutating func pop() throws -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func pop(_ count: Int) throws -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else {
      throw failure("too few values on the stack", "\(count)")
    }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popMark() throws -> [PickleValue] {
    guard let mark = marks.popLast() else { throw failure("no mark", "a mark") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  private func integer(_ bytes: ArraySlice<UInt8>) -> PickleValue {
    guard let last = bytes.last else { return .int(0) }
    guard bytes.count <= 8 else { return .bigInt }
    let start: Int = last & 0x80 == 0 ? 0 : -1
    return .int(bytes.reversed().reduce(start) { $0 << 8 | Int($1) })
  }

  private func failure(
    _ found: String, _ expected: String, _ reason: RecurrentError.Reason = .pickleMalformed
  ) -> RecurrentError {
    program.failure(found, expected, reason)
  }
}
