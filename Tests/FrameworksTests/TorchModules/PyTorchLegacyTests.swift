import Foundation
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("Files of every age of PyTorch are read")
struct PyTorchLegacyTests {
  private struct Expected: Decodable {
    var files: [String: Golden.Expectation]
    var refused: [String: String]
  }

  private struct Facts: Decodable {
    struct File: Decodable { var metadata: [String: String] }
    var files: [String: File]
  }

  @Test func filesOfEveryGenerationAreRead() throws {
    let expected = try Golden.decode(Expected.self, "pt-legacy/expected.json")
    let facts = try Golden.decode(Facts.self, "pt-legacy/expected.json").files
    #expect(expected.files.count == 23)
    for (file, expectation) in expected.files {
      let source = MemorySource(try Golden.bytes("pt-legacy/" + file))
      #expect(WeightFormat.all.first { $0.recognizes(source) }?.name == "pt", "\(file)")
      let state = try PyTorchFile.read(source, key: expectation.key)
      #expect(try Golden.differences(state, from: expectation) == [], "\(file)")
      for line in expectation.skipped ?? [] { #expect(state.skipped.contains(line), "\(file)") }
      try check(state, facts[file]?.metadata ?? [:], file)
    }
  }

  /// What the goldens' script wrote down of the modules, in the words of PyTorch.
  private func check(_ state: StateDict, _ facts: [String: String], _ file: String) throws {
    let cells = [
      "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru",
    ]
    if let cell = facts["cell"] {
      let recurrent = state.structure?.modules.filter { $0.kind == .recurrent } ?? []
      #expect(recurrent.allSatisfy { $0.recurrent.cell == cell } && !recurrent.isEmpty, "\(file)")
      for (key, value) in facts where key == "batch_first" {
        #expect(recurrent.allSatisfy { "\($0.recurrent.batchFirst == true)" == value }, "\(file)")
      }
    }
    guard let text = facts["torch.modules"] else { return }
    for module in try JSON.parse(Array(text.utf8)).arrayValue ?? [] {
      let prefix = module["prefix"]?.stringValue ?? ""
      let stated = try #require(
        state.structure?.module(prefix.hasSuffix(".") ? String(prefix.dropLast()) : prefix),
        "\(file): \(prefix)")
      if let mode = module["mode"]?.stringValue {
        #expect(stated.recurrent.cell == cells[mode], "\(file)")
        if let first = module["batch_first"]?.boolValue {
          #expect(stated.recurrent.batchFirst == first, "\(file)")
        }
        if let layers = module["num_layers"]?.intValue {
          #expect(stated.recurrent.layerCount == layers, "\(file)")
        }
      }
      if let index = module["padding_idx"]?.intValue {
        #expect(stated.paddingIndex == index, "\(file)")
      }
    }
  }

  @Test func whatIsNotReadIsNamed() throws {
    let expected = try Golden.decode(Expected.self, "pt-legacy/expected.json")
    #expect(expected.refused.count == 6)
    for (file, code) in expected.refused {
      let source = MemorySource(try fileBytes(Checkout.refused("pt-legacy/" + file)))
      #expect(PyTorchFile.recognizes(source), "\(file)")
      #expect(reason { _ = try PyTorchFile.read(source) } == code, "\(file)")
    }
  }

  @Test func modulesSayWhatTheyAre() throws {
    func modules(_ file: String) throws -> [Structure.Module] {
      try PyTorchFile.read(MemorySource(Golden.bytes("pt-legacy/" + file))).structure?.modules ?? []
    }
    let exported = try #require(try modules("exported.pt2").first { $0.kind == .recurrent })
    #expect(exported.name == "rnn" && exported.recurrent.direction == "both")
    for file in ["embedding.pt", "embedding-script.pt"] {
      let found = try modules(file)
      #expect(found.first { $0.kind == .embedding }?.paddingIndex == 1, "\(file)")
      #expect(found.first { $0.kind == .recurrent }?.recurrent.cell == "gru", "\(file)")
    }
    let two = try modules("traced-two.pt").filter { $0.kind == .recurrent }
    #expect(two.map(\.name) == ["first", "second"])
    #expect(two.map(\.recurrent.cell) == ["rnn_relu", "lstm"])
    #expect(two.map(\.recurrent.hasBias) == [true, false])
    #expect(two.map(\.recurrent.batchFirst) == [false, true])
    #expect(try modules("data-parallel.pt").contains { $0.name == "module.rnn" })
  }

  @Test(arguments: [
    "stacked-2.pt", "stacked-5.pt", "storage-view.pt", "tar-views.pt", "tar-module.pt",
    "module.pt", "traced-two.pt", "exported.pt2", "numpy-4.pt",
  ])
  func damageIsRefusedOrHarmless(file: String) throws {
    let bytes = try Golden.bytes("pt-legacy/" + file)
    for index in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 1200)) {
      let cut = MemorySource(Array(bytes[..<index]))
      let isPadding = file.hasPrefix("tar") && bytes[index...].allSatisfy { $0 == 0 }
      let result = reason { _ = try contents(PyTorchFile.read(cut)) }
      #expect(isPadding || result != nil, "cut at \(index)")
      #expect(result?.hasPrefix("foreign") != true)
      var flipped = bytes
      flipped[index] ^= UInt8(1 << (index % 8))
      let other = reason { _ = try contents(PyTorchFile.read(MemorySource(flipped))) }
      #expect(other?.hasPrefix("foreign") != true)
    }
  }
}
