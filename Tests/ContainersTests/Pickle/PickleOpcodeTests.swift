import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// Opcodes one by one, as PyTorch and strangers write them.
@Suite("Pickles are data: every opcode is read, bounded or refused")
struct PickleOpcodeTests {
  private typealias Bytes = [UInt8]

  private static func text(_ string: String) -> [UInt8] {
    [0x8C, UInt8(string.utf8.count)] + string.utf8
  }

  private func graph(_ body: [UInt8]) throws -> PickleGraph {
    try PickleMachine.run(in: MemorySource([0x80, 2] + body + Array(".".utf8)), at: 0).0
  }

  private func summary(_ body: [UInt8]) throws -> String {
    let graph = try graph(body)
    return graph.summary(graph.root)
  }

  private func refusal(_ body: [UInt8]) -> String? { reason { _ = try graph(body) } }

  @Test func numbersOfEveryWidth() throws {
    func integer(_ body: [UInt8]) throws -> Int? {
      guard case .int(let value) = try graph(body).root else { return nil }
      return value
    }
    #expect(try integer([0x8A, 0]) == 0)
    #expect(try integer([0x8A, 1, 0xFF]) == -1)
    #expect(try integer([0x8A, 3, 1, 2, 0x83]) == Int(Int32(bitPattern: 0xFF83_0201)))
    #expect(try integer([0x8A, 8, 0, 0, 0, 0, 0, 0, 0, 0x80]) == Int.min)
    #expect(try integer([0x8A, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1]) == nil)
    #expect(try integer([0x8B, 2, 0, 0, 0, 0x34, 0x12]) == 0x1234)
    #expect(try integer(Array("J".utf8) + [0xFE, 0xFF, 0xFF, 0xFF]) == -2)
    guard case .float(let value) = try graph(Array("G".utf8) + [0x3F, 0xF8, 0, 0, 0, 0, 0, 0]).root
    else {
      Issue.record("no float")
      return
    }
    #expect(value == 1.5)
  }

  @Test func containersAreFilled() throws {
    let (mark, text) = (Array("(".utf8), Self.text)
    // A set, filled twice.
    let set = [0x8F] + mark + [0x4B, 1, 0x4B, 2, 0x90] + mark + [0x4B, 3, 0x90]
    guard case .set(let items)? = try graph(set).node(graph(set).root) else {
      Issue.record("no set")
      return
    }
    #expect(items.count == 3)
    #expect(refusal([0x7D] + mark + [0x4B, 1, 0x90]) == "pickle.malformed")
    // A dict in one opcode, from pairs, and an empty one of a class.
    let dict = mark + text("k") + [0x4B, 7, 0x64]
    #expect(try graph(dict).dict(graph(dict).root)?.count == 1)
    let ordered = Array("ccollections\nOrderedDict\n".utf8)
    let pair = mark + text("k") + [0x4B, 7] + Array("l".utf8)
    let other = text("m") + [0x4B, 8, 0x86]
    let pairs = ordered + Array("]".utf8) + mark + pair + other + Array("e".utf8) + [0x85, 0x52]
    #expect(try graph(pairs).dict(graph(pairs).root)?.count == 2)
    #expect(
      refusal(ordered + Array("]".utf8) + [0x4B, 1, 0x61, 0x85, 0x52]) == "pickle.malformed")
    #expect(refusal(ordered + [0x4B, 1, 0x85, 0x52]) == "pickle.malformed")
    // A dict of a dict, and of a dict of that: as many copies as the program has bytes.
    #expect(refusal(dict + Array("q\0".utf8)) == nil)
    var copies = mark
    for number in 0..<60 { copies += text("key\(number)") + [0x4B, 1] }
    copies += Array("dq\0".utf8) + Array("0".utf8)
    for _ in 0..<200 {
      copies += Array("ccollections\nOrderedDict\nh\0".utf8) + [0x85, 0x52] + Array("0".utf8)
    }
    #expect(refusal(copies + Array("N".utf8)) == "pickle.malformed")
    // Things that are stored where nothing is.
    #expect(refusal([0x4B, 1, 0x4B, 2, 0x61]) == "pickle.malformed")
    #expect(refusal(Array("]".utf8) + text("k") + [0x4B, 2, 0x73]) == "pickle.malformed")
    #expect(refusal(mark + text("k") + Array("d".utf8)) == "pickle.malformed")
    #expect(refusal([0x4B, 1, 0x4B, 2]) == "pickle.malformed")
    #expect(refusal([]) == "pickle.malformed")
    #expect(refusal(Array("t".utf8)) == "pickle.malformed")
    #expect(refusal([0x4B, 1, 0x87]) == "pickle.malformed")
    #expect(refusal(Array("h\u{7}".utf8)) == "pickle.malformed")
    #expect(refusal(Array("]".utf8) + [0x4B, 1] + Array("b".utf8)) == "pickle.malformed")
    #expect(refusal([0x4B, 1, 0x4B, 2] + Array("b".utf8)) == "pickle.malformed")
    #expect(refusal(ordered + [0x4B, 1, 0x52]) == "pickle.malformed")
    #expect(refusal([0x4B, 1, 0x4B, 2, 0x93]) == "pickle.malformed")
    // Values that are made and thrown away, doubled and remembered.
    let odd = [0x4B, 9, 0x4B, 1, 0x30] + mark + [0x4B, 1, 0x4B, 2, 0x31, 0x32, 0x94, 0x86]
    #expect(try summary(odd) != "")
    let far = Array("Nr".utf8) + [0, 1, 0, 0, 0x30] + Array("j".utf8) + [0, 1, 0, 0]
    #expect(refusal(far) == nil)
    // An object's own items, as a list or dict of a class.
    let object = Array("cmodule\nClass\n)".utf8) + [0x81]
    #expect(refusal(object + [0x4B, 1, 0x61]) == nil)
    #expect(refusal(object + text("k") + [0x4B, 1, 0x73]) == nil)
    #expect(refusal(Array("cmodule\nClass\n)}".utf8) + [0x92]) == nil)
    #expect(refusal(Array("I1\n".utf8)) == "pickle.opcode")
  }
}
