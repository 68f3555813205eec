import Foundation
import Tensors
import Testing

@testable import Containers
@testable import Frameworks

/// Prints what files state, for tools/peers/check_keras_structure.py, which judges it with Keras itself.
@Suite("What files state, for Keras itself to judge")
struct KerasStructureDump {
  private static let folder = ProcessInfo.processInfo.environment["KERAS_STRUCTURE_FOLDER"]

  @Test(.enabled(if: folder != nil)) func dump() throws {
    let folder = try #require(Self.folder)
    for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    where (name.hasSuffix(".keras") || name.hasSuffix(".h5")) && !name.hasPrefix("back-") {
      let path = folder + "/" + name
      let text: String
      do {
        let state = try WeightFile(path: path).state
        text = try Self.json(state, written: Self.write(state, folder, name)).serialized()
      } catch let error as RecurrentError {
        text = JSON.object(["error": .string("\(error.reason.code): \(error)")]).serialized()
      }
      try text.write(toFile: path + ".json", atomically: true, encoding: .utf8)
    }
  }

  /// Writes what a file states without its configuration, every module renamed; says why not where it
  /// cannot be.
  private static func write(_ read: StateDict, _ folder: String, _ name: String) throws -> String {
    guard name.hasSuffix(".keras") else { return "" }
    var state = read
    for key in ["keras.config", "keras.version", "keras.names"] { state.metadata[key] = nil }
    var structure = try #require(read.structure)
    structure.original = nil
    for index in structure.modules.indices {
      structure.modules[index].name = "net." + structure.modules[index].name
    }
    structure.connections = structure.connections.map {
      .init(from: "net." + $0.from, to: "net." + $0.to, reads: $0.reads)
    }
    state.structure = structure
    let base = folder + "/back-" + name.dropLast(".keras".count)
    do {
      try WeightFormat.keras.write(state, to: base + ".keras", overwrite: true) { written in
        try written.checkReadBack(of: WeightFormat.keras.completed(state))
      }
    } catch let error as RecurrentError {
      return error.reason.code
    }
    try WeightFormat.kerasWeights.write(state, to: base + ".weights.h5", overwrite: true) { _ in }
    try WeightFormat.kerasLegacy.write(state, to: base + ".h5", overwrite: true) { written in
      try written.checkReadBack(of: WeightFormat.kerasLegacy.completed(state))
      // Of one direction the last step is the final state.
      #expect(
        written.structure?.connections.count == structure.connections.count)
    }
    return "written"
  }

  private static func json(_ state: StateDict, written: String) throws -> JSON {
    let structure = try #require(state.structure)
    return .object([
      "written": .string(written),
      "statesConnections": .bool(structure.statesConnections),
      "remarks": texts(structure.remarks.map(\.description)),
      "hasOriginal": .bool(structure.original != nil),
      "modules": .array(structure.modules.map(module)),
      "connections": .array(
        structure.connections.map { .string("\($0.from) -> \($0.to) \($0.reads.rawValue)") }),
      "obstacles": .array(
        structure.obstacles.map { obstacle in
          .object([
            "module": .string(obstacle.module), "side": .string(obstacle.side.rawValue),
            "operations": texts(obstacle.operations), "isBranch": .bool(obstacle.isBranch),
          ])
        }),
      "tensors": .object(
        try state.entries.map { entry in
          JSON.Member(
            key: entry.name.string,
            value: .array([
              .array(entry.tensor.shape.map(JSON.number)),
              .array(try entry.tensor.doubles().map { JSON.number($0) }),
            ]))
        }),
    ])
  }

  private static func texts(_ list: [String]) -> JSON { .array(list.map(JSON.string)) }

  private static func module(_ module: Structure.Module) -> JSON {
    let says = module.recurrent
    let numbers = [
      ("layers", says.layerCount), ("inputs", says.inputSize), ("hidden", says.hiddenSize),
    ].compactMap { key, value in value.map { JSON.Member(key: key, value: .number($0)) } }
    let words: [(String, String?)] = [
      ("cell", says.cell), ("direction", says.direction), ("reset", says.gruReset),
      ("activations", says.activations), ("activation", module.activation),
      ("state", says.initialState.map { "\($0)" }), ("dropout", says.dropout.map { "\($0)" }),
      ("refusal", module.refusal?.reason.code), ("batchFirst", says.batchFirst.map { "\($0)" }),
    ]
    return .object(
      [
        .init(key: "name", value: .string(module.name)),
        .init(key: "kind", value: .string(module.kind.rawValue)),
        .init(key: "class", value: .string(module.className)),
        .init(key: "parts", value: .array(module.prefixes.map { texts($0) })),
        .init(key: "remarks", value: texts(module.remarks.map(\.description))),
        .init(key: "layerNames", value: texts(module.layerNames)),
      ] + numbers
        + words.compactMap { key, value in value.map { .init(key: key, value: .string($0)) } })
  }
}
