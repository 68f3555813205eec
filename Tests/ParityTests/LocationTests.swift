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
    #expect(
      try WeightFile(contentsOf: output).state.names == WeightFile(path: output.path).state.names)
    let arrays = model.rnn.parameters.entries.map(\.array)
    #expect(again.rnn.parameters.entries.map(\.array) == arrays)
    let error = #expect(throws: RecurrentError.self) {
      try WeightFile(URL(string: "https://example.org/model.pt") ?? output)
    }
    #expect(error?.reason.code == "usage.url")
    var file = try WeightFile(contentsOf: output)
    try file.replace("rnn", with: file.recurrent("rnn", as: Float.self))
    let copy = URL(fileURLWithPath: newPath(".npz"))
    defer { remove(copy.path) }
    try file.write(to: copy)
    #expect(try Model<Float>(contentsOf: copy).rnn.parameters.entries.map(\.array) == arrays)
  }
}
