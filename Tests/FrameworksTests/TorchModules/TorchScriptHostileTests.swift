import Bytes
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// Code that nobody's compiler wrote: it is followed within bounds, or not at all.
@Suite("Code that nobody's compiler wrote is followed within bounds, or not at all")
struct TorchScriptHostileTests {
  /// The steps of an expression, as far as they are understood.
  private func steps(_ text: String) -> Int? {
    var lines = TorchScriptLines(Array(text.utf8)[...])
    guard let line = lines.next(), let tokens = line.tokens else { return nil }
    return TorchScriptExpression.steps(tokens[...])?.count
  }

  private func statement(_ text: String) -> TorchScriptStatement? {
    var lines = TorchScriptLines(Array(text.utf8)[...])
    return lines.next().map { TorchScriptStatement(indent: $0.indent, tokens: $0.tokens) }
  }

  @Test func expressionsThatAreNotPrintedAreNotUnderstood() {
    #expect(steps("torch.select(x, 1, -1)") == 6)
    #expect(steps("(a, b, )") == 3)
    #expect(steps("(fc).forward(x, )") == 4)
    for text in [
      "a b", "a + b", "(a", "a)", "f(a]", "f(a=)", "a.", "- a", "x if y else z", "lambda x: x",
      "f(1=2)",
      "", "\"open", "{a: b}", "f(,)", "[1 2]", "a..b", "1.2.3", "f(x=1 y)",
    ] {
      #expect(steps(text) == nil, "\(text)")
    }
  }

  @Test func nestingHasAnEnd() {
    let deep = String(repeating: "f(", count: 10_000) + String(repeating: ")", count: 10_000)
    #expect(steps(deep) == nil)
    #expect(steps(String(repeating: "[", count: 300) + String(repeating: "]", count: 300)) == nil)
    #expect(statement("x = " + deep)?.kind == .unclear(["x"]))
  }

  @Test func statementsHaveTheirKinds() {
    #expect(statement("  y, _1, = _0")?.kind == .assign(["y", "_1"]))
    #expect(statement("  y, = _0")?.kind == .assign(["y", ""]))
    #expect(statement("  x : Optional[Tensor] = None")?.kind == .assign(["x"]))
    #expect(statement("  self.h = h")?.kind == .attribute("h"))
    #expect(statement("  return")?.kind == .give)
    #expect(statement("  return a + b")?.kind == .unclear(["return"]))
    #expect(statement("  if torch.gt(a, b):")?.kind == .when)
    #expect(statement("  for i in range(3):")?.kind == .block("a loop"))
    #expect(statement("  x[0] = y")?.kind == .unclear(["x"]))
    #expect(statement("  \u{1}")?.kind == .unclear([]))
  }

  /// An archive whose one module has this code and one linear layer.
  private func structure(_ body: String, more: String = "") throws -> Structure {
    func word(_ text: String) -> [UInt8] {
      [0x58] + withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian, Array.init)
        + Array(text.utf8)
    }
    func object(_ name: String, _ state: [UInt8]) -> [UInt8] {
      Array("c__torch__\n\(name)\n)\u{81}}(".unicodeScalars.map { UInt8($0.value) }) + state
        + Array("ub".utf8)
    }
    let tensor =
      Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + word("storage")
      + Array("ctorch\nFloatStorage\n".utf8) + word("0") + word("cpu") + [0x4B, 6]
      + Array(
        "tQK\u{0}K\u{2}K\u{3}\u{86}K\u{3}K\u{1}\u{86}\u{89}}".unicodeScalars.map { UInt8($0.value) }
      )
      + Array("tR".utf8)
    let pickle =
      [0x80, 2] + object("Net", word("fc") + object("Linear", word("weight") + tensor))
      + Array(".".utf8)
    let code = """
      class Linear(Module):
        __parameters__ = ["weight", ]
        __buffers__ = []
        def forward(self: __torch__.Linear, x: Tensor) -> Tensor:
          return torch.linear(x, self.weight, None)
      class Net(Module):
        __parameters__ = []
        __buffers__ = []
        def forward(self: __torch__.Net, x: Tensor) -> Tensor:
      \(body.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n"))
      \(more)
      """
    let entries: [(name: Name, bytes: [UInt8])] = [
      ("m/data.pkl", pickle), ("m/constants.pkl", [0x80, 2, 0x29, 0x2E]),
      ("m/code/__torch__.py", Array(code.utf8)), ("m/data/0", [UInt8](repeating: 7, count: 24)),
      ("m/version", Array("3\n".utf8)),
    ]
    let sink = MemorySink()
    var writer = ZipWriter(sink)
    for entry in entries { try writer.add(entry.name, [MemorySource(entry.bytes)]) }
    try writer.finish()
    return try #require(try PyTorchFile.read(MemorySource(sink.bytes)).structure)
  }

  @Test func codeThatGoesOnForEverIsLeft() throws {
    let plain = try structure("return (self.fc).forward(x, )")
    #expect(plain.modules.map(\.name) == ["fc"])
    #expect(plain.obstacles.isEmpty)
    // A method that calls itself.
    let own = try structure("return (self).forward((self.fc).forward(x, ), )")
    #expect(own.connections.isEmpty)
    #expect(own.obstacles.count == 2 && own.obstacles.allSatisfy { $0.module == "fc" })
    // Calls that double at every level.
    let methods = (0..<60).map {
      "  def f\($0)(self: __torch__.Net, x: Tensor) -> Tensor:\n"
        + "    return (self).f\($0 + 1)((self).f\($0 + 1)(x, ), )"
    }.joined(separator: "\n")
    let doubled = try structure("return (self).f0((self.fc).forward(x, ), )", more: methods)
    #expect(doubled.obstacles.contains { $0.module == "fc" && $0.side == .behind })
    // Lists that double.
    let lists = (0..<60).map { "a\($0 + 1) = [a\($0), a\($0)]" }.joined(separator: "\n")
    let listed = try structure(
      "a0 = [(self.fc).forward(x, ), x]\n\(lists)\nreturn torch.stack(a60)")
    #expect(listed.connections.isEmpty)
    #expect(listed.obstacles.contains { $0.module == "fc" && $0.side == .behind })
  }

  @Test func whatIsNotFollowedIsSaid() throws {
    for body in [
      "y = x + x\nreturn (self.fc).forward(y, )",
      "y = (self.fc).forward(x, ) ** 2\nreturn y",
      "self.fc.weight.add_(1)\nreturn x ? x",
      "while True:\n  x = (self.fc).forward(x, )\nreturn x",
      "with torch.no_grad():\n  y = (self.fc).forward(x, )\nreturn y",
      "try:\n  y = (self.fc).forward(x, )\nexcept:\n  y = x\nreturn y",
      "return (self.fc).strange(x, )",
      "y = torch.mul_(self.fc.weight, 2)\nreturn (self.fc).forward(x, )",
    ] {
      let found = try structure(body)
      #expect(found.statesConnections)
      #expect(found.connections.isEmpty, "\(body)")
      let isNamed = found.obstacles.contains { $0.module == "fc" }
      let isUnused = found.module("fc")?.remarks.isEmpty == false
      // A product with a weight that changes is no linear layer.
      let isOther = found.module("fc")?.kind == .other
      #expect(isNamed || isUnused || isOther, "\(body): \(found)")
    }
  }
}
