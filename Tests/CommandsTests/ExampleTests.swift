import Foundation
import Recurrent
import TestSupport
import Testing

@Suite("The example programs do what the guides say")
struct ExampleTests {
  static let checkpoint = Checkout.fixture("checkpoints/char-rnn.pt")

  @Test func streamingSaysWhatPyTorchSays() throws {
    let result = try Tools.run("example-stream", Self.checkpoint, "Shall I ", "40")
    #expect(result.status == 0)
    // From the same checkpoint in PyTorch, the most probable character each time.
    #expect(result.output == "Shall I mover thou wander'st in his shade,\nWhen \n")
  }

  @Test func fineTuningHandsThePyTorchCheckpointBack() throws {
    let path = newPath(".pt")
    defer { remove(path) }
    let result = try Tools.run(
      "example-fine-tune", Self.checkpoint, "my mistress' eyes are nothing like the sun", "30", path
    )
    #expect(result.status == 0, "\(result.errors)")
    let losses = result.output.split(separator: "\n").prefix(2).compactMap {
      $0.split(separator: " ").last.flatMap { Double($0) }
    }
    #expect(losses.count == 2 && losses[1] < losses[0] / 2)
    let (before, after) = try (WeightFile(path: Self.checkpoint), WeightFile(path: path))
    #expect(after.state.names == before.state.names)
    #expect(try !FileDifference(before.state, after.state).areEqual)
  }

  @Test func aPortIsVerified() throws {
    let fixture = Checkout.fixture("torch/rnn-tanh-1-layer-unbatched-f64.npz")
    let result = try Tools.run("example-port", fixture)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("the port agrees"))
    let gated = try Tools.run("example-port", Checkout.fixture("torch/ce-lstm.npz"))
    #expect(gated.status != 0)
  }
}
