import Foundation
import Recurrent
import TestSupport
import Testing

/// Files by URL, as Swift programs have them.
@Suite("Files by URL, as Swift programs have them")
struct LocationTests {
  @Test func modelsOpenAndWriteByURL() throws {
    let checkpoint = URL(fileURLWithPath: Checkout.fixture("checkpoints/char-rnn.pt"))
    let model = try Model<Float>(contentsOf: checkpoint)
    let output = URL(fileURLWithPath: newPath(" with space.h5"))
    defer { remove(output.path) }
    try model.write(to: output)
    let again = try Model<Float>(WeightFile(output))
    let arrays = model.network.rnn.parameters.entries.map(\.array)
    #expect(again.network.rnn.parameters.entries.map(\.array) == arrays)
    let error = #expect(throws: RecurrentError.self) {
      try WeightFile(URL(string: "https://example.org/model.pt") ?? output)
    }
    #expect(error?.reason == "usage.url")
  }
}
