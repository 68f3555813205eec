import Foundation
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// What programs and pickled modules state about their modules, against what PyTorch knows.
@Suite("Programs and pickled modules state what PyTorch knows of them")
struct TorchStructureTests {
  private struct Truth: Decodable {
    struct Module: Decodable {
      var name: String
      var kind: String
      var className: String
      var cell: String?
      var inputSize: Int?
      var hiddenSize: Int?
      var layerCount: Int?
      var projSize: Int?
      var hasBias: Bool?
      var batchFirst: Bool?
      var dropout: Double?
      var direction: String?
      var paddingIndex: Int?
    }
    var form: String
    var states: Bool
    var modules: [Module]
    var connections: [String]
    var obstacles: [String]
    var activations: [String: String]
    var initial: [String: String]
  }

  @Test func programsStateTheirConnections() throws {
    let expected = try Golden.decode([String: Truth].self, "pt-structure/expected.json")
    #expect(expected.count > 40)
    for (file, truth) in expected {
      try check(file, truth, Golden.bytes("pt-structure/" + file))
    }
  }

  /// The long run of tools/peers/check_pt_structure.py.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["RECURRENT_TORCH_STRUCTURES"] != nil))
  func programsOfTheLongRunStateTheirConnections() throws {
    let folder = URL(
      fileURLWithPath: ProcessInfo.processInfo.environment["RECURRENT_TORCH_STRUCTURES"] ?? "")
    let expected = try JSONDecoder().decode(
      [String: Truth].self, from: Data(contentsOf: folder.appendingPathComponent("expected.json")))
    for (file, truth) in expected.sorted(by: { $0.key < $1.key }) {
      let bytes = try Data(contentsOf: folder.appendingPathComponent(file))
      try check(file, truth, [UInt8](bytes))
    }
  }

  /// Writes down what is stated, for the judge in tools/peers/check_pt_structure.py.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["RECURRENT_TORCH_DUMP"] != nil))
  func structuresAreWrittenDown() throws {
    let folder = URL(
      fileURLWithPath: ProcessInfo.processInfo.environment["RECURRENT_TORCH_DUMP"] ?? "")
    var all: [String: Any] = [:]
    for file in try FileManager.default.contentsOfDirectory(atPath: folder.path)
    where file.hasSuffix(".pt") || file.hasSuffix(".pt2") {
      let bytes = try Data(contentsOf: folder.appendingPathComponent(file))
      let structure = try #require(
        try PyTorchFile.read(MemorySource([UInt8](bytes))).structure, "\(file)")
      all[file] = [
        "modules": structure.modules.map { module in
          [
            "name": module.name, "kind": module.kind.rawValue,
            "activation": module.activation ?? "",
            "initial": Self.text(module.recurrent.initialState) ?? "",
            "batchFirst": module.recurrent.batchFirst.map { "\($0)" } ?? "",
          ]
        },
        "connections": structure.connections.map {
          ["from": $0.from, "to": $0.to, "reads": $0.reads.rawValue]
        },
        "obstacles": structure.obstacles.map {
          ["module": $0.module, "side": $0.side.rawValue, "operations": $0.operations]
        },
      ]
    }
    try JSONSerialization.data(withJSONObject: all).write(
      to: folder.appendingPathComponent("structures.json"))
  }

  private func check(_ file: String, _ truth: Truth, _ bytes: [UInt8]) throws {
    let state = try PyTorchFile.read(MemorySource(bytes))
    let structure = try #require(state.structure, "\(file)")
    #expect(structure.statesConnections == truth.states, "\(file)")
    #expect(
      structure.connections.map { "\($0.from) -> \($0.to) \($0.reads.rawValue)" }.sorted()
        == truth.connections, "\(file): \(structure.obstacles)")
    let obstacles = Set(
      structure.obstacles.map { "\($0.module) \($0.side.rawValue)" + ($0.isBranch ? "*" : "") })
    #expect(obstacles.sorted() == truth.obstacles, "\(file): \(structure.obstacles)")
    #expect(structure.obstacles.allSatisfy { !$0.operations.isEmpty }, "\(file)")
    var activations: [String: String] = [:]
    for module in structure.modules { activations[module.name] = module.activation }
    #expect(activations == truth.activations, "\(file)")
    check(structure, truth, file)
  }

  private func check(_ structure: Structure, _ truth: Truth, _ file: String) {
    if truth.form == "module" {
      #expect(structure.modules.map(\.name) == truth.modules.map(\.name), "\(file)")
    }
    for wanted in truth.modules {
      guard let module = structure.module(wanted.name) else {
        // A graph holds what it runs.
        let isMissing = truth.form == "export" || wanted.kind == "other"
        #expect(isMissing, "\(file): \(wanted.name)")
        continue
      }
      #expect(module.kind.rawValue == wanted.kind, "\(file): \(wanted.name)")
      // Of an author's class the module that defines it is said too.
      #expect(
        module.className.split(separator: ".").last.map(String.init) == wanted.className,
        "\(file): \(wanted.name)")
      guard wanted.kind == "recurrent" || wanted.kind == "embedding" else { continue }
      let facts = module.recurrent
      #expect(module.paddingIndex == wanted.paddingIndex, "\(file): \(wanted.name)")
      guard wanted.kind == "recurrent" else { continue }
      #expect(facts.cell == wanted.cell, "\(file): \(wanted.name)")
      #expect(facts.inputSize == wanted.inputSize, "\(file): \(wanted.name)")
      #expect(facts.hiddenSize == wanted.hiddenSize, "\(file): \(wanted.name)")
      #expect(facts.layerCount == wanted.layerCount, "\(file): \(wanted.name)")
      #expect(facts.projSize == wanted.projSize, "\(file): \(wanted.name)")
      #expect(facts.hasBias == wanted.hasBias, "\(file): \(wanted.name)")
      #expect(facts.batchFirst == wanted.batchFirst, "\(file): \(wanted.name)")
      #expect(facts.dropout == wanted.dropout, "\(file): \(wanted.name)")
      #expect(facts.direction == wanted.direction, "\(file): \(wanted.name)")
      #expect(
        Self.text(facts.initialState) == truth.initial[wanted.name], "\(file): \(wanted.name)")
    }
  }

  private static func text(_ state: Structure.InitialState?) -> String? {
    switch state {
    case nil: nil
    case .zeros?: "zeros"
    case .fed?: "fed"
    case .computed?: "computed"
    case .stored(let h, let c)?:
      (["stored"] + [h, c].compactMap { $0?.string }).joined(separator: " ")
    }
  }
}
