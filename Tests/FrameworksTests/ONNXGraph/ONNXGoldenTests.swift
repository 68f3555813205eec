import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks

/// Models of both exporters of PyTorch and of the onnx package, from tools/goldens/make_onnx.py.
@Suite("Models of PyTorch's exporters are read; damage is an error, not a crash")
struct ONNXGoldenTests {
  struct Model: Decodable {
    var tensors: [[Golden.Field]]
    var modules: String?
  }

  struct Refusal: Decodable {
    var reading: String?
    var choosing: String?
  }

  static func read(_ name: String) throws -> StateDict {
    try ONNX.read(InputFile(path: Checkout.golden("onnx/" + name)))
  }

  static let models: [String] = {
    let all = try? Golden.decode([String: Model].self, "onnx/expected.json")
    return (all ?? [:]).keys.sorted()
  }()

  static let refused: [String] = {
    let names = try? FileManager.default.contentsOfDirectory(atPath: Checkout.refused("onnx"))
    return (names ?? []).filter { $0.hasSuffix(".onnx") }.sorted()
  }()

  @Test func thereAreModels() { #expect(Self.models.count == 11 && Self.refused.count > 30) }

  @Test(arguments: models) func readsWhatTheExporterWrote(name: String) throws {
    let expected = try Golden.decode([String: Model].self, "onnx/expected.json")[name]
    let model = try #require(expected)
    let state = try Self.read(name)
    #expect(
      try Golden.differences(state, from: Golden.Expectation(tensors: model.tensors)) == [],
      "\(name)")
    let modules = state.structure?.legacyModules ?? []
    #expect((modules.isEmpty ? nil : ONNXModule.text(modules)) == model.modules)
    #expect(state.metadata[ONNXModule.metadataKey] == nil)
    #expect(ONNX.recognizes(try InputFile(path: Checkout.golden("onnx/" + name))))
  }

  @Test(arguments: refused) func refusesWithTheReason(name: String) throws {
    let all = try JSONDecoder().decode(
      [String: Refusal].self, from: Data(fileBytes(Checkout.refused("onnx/expected.json"))))
    let expected = try #require(all[name])
    do {
      let state = try ONNX.read(InputFile(path: Checkout.refused("onnx/" + name)))
      let modules = state.structure?.legacyModules ?? []
      #expect(modules.map { $0.refusal?.reason.code } == [expected.choosing])
      // What cannot be chosen cannot be written either.
      let error = #expect(throws: RecurrentError.self) { try ONNX.write(state, to: MemorySink()) }
      #expect(error?.reason.code == expected.choosing)
    } catch let error as RecurrentError {
      #expect(error.reason.code == expected.reading, "\(error)")
    }
  }

  /// No prefix of a model, and no model with one byte changed, may do more than throw.
  @Test(arguments: ["relu.onnx", "two.onnx", "types.onnx", "layout-1.onnx"])
  func damageIsRefusedOrHarmless(name: String) throws {
    let bytes = try Golden.bytes("onnx/" + name)
    let path = Checkout.golden("onnx/" + name)
    func read(_ bytes: [UInt8]) -> Bool {
      do {
        let state = try ONNX.read(MemorySource(bytes), path: path)
        for entry in state.entries { _ = try entry.tensor.bytes() }
        return true
      } catch { return !(error is RecurrentError) }
    }
    for count in 1..<bytes.count { _ = read(Array(bytes[..<count])) }
    #expect(!read([]))
    for index in bytes.indices {
      for value in [0xFF, bytes[index] ^ 0x08] where value != bytes[index] {
        var changed = bytes
        changed[index] = value
        _ = read(changed)
      }
    }
  }

  @Test func symbolicLinksMayNotLeaveTheDirectory() throws {
    let manager = FileManager.default
    let root = URL(fileURLWithPath: try newFolder())
    defer { remove(root.path) }
    let folder = root.appendingPathComponent("model")
    try manager.createDirectory(at: folder, withIntermediateDirectories: true)
    let model = folder.appendingPathComponent("external.onnx")
    try manager.copyItem(at: URL(fileURLWithPath: Checkout.golden("onnx/external.onnx")), to: model)
    let outside = root.appendingPathComponent("secret")
    try manager.copyItem(
      at: URL(fileURLWithPath: Checkout.golden("onnx/external.bin")), to: outside)
    let link = folder.appendingPathComponent("external.bin")
    try manager.createSymbolicLink(at: link, withDestinationURL: outside)
    let error = #expect(throws: RecurrentError.self) {
      try ONNX.read(InputFile(path: model.path))
    }
    #expect(error?.reason.code == "onnx.external-path")
    // A link that stays inside is only another name.
    try manager.removeItem(at: link)
    try manager.moveItem(at: outside, to: folder.appendingPathComponent("data"))
    try manager.createSymbolicLink(atPath: link.path, withDestinationPath: "data")
    let (state, files) = try ONNX.readWithData(InputFile(path: model.path))
    #expect(state.count == 3 && files.count == 1 && files[0].isSameFile(as: link.path))
  }
}
