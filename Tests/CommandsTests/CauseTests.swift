import Foundation
import Recurrent
import TestSupport
import Testing

@Suite("rnn-verify names the cause under a fixture that fails")
struct CauseTests {
  /// A fixture whose LSTM has its gates in another order than its numbers.
  private func permuted(_ folder: String) throws -> String {
    var copy = StateDict()
    let original = Checkout.fixture("torch/lstm-2-layer-batch-first-f64.npz")
    for entry in try WeightFile(path: original).state.entries {
      guard entry.name.string.hasPrefix("weights/") else {
        if !entry.name.string.hasPrefix("grads/") { try copy.append(entry.name, entry.tensor) }
        continue
      }
      let numbers = try entry.tensor.doubles()
      let size = numbers.count / 4
      let moved = [0, 1, 3, 2].flatMap { numbers[$0 * size..<($0 + 1) * size] }
      try copy.append(entry.name, NDArray(shape: entry.tensor.shape, elements: moved).tensor)
    }
    let path = "\(folder)/permuted.npz"
    try WeightFormat.named("npz").write(copy, to: path, overwrite: true) { _ in }
    return path
  }

  @Test func inTextAndInJSON() throws {
    try withTemporaryFolder { folder in
      let path = try permuted(folder)
      let text = try Tools.run("rnn-verify", path)
      #expect(text.status == 1)
      let line =
        "  cause: gates-permuted: the expected numbers are those of weights whose gates stand as i f o g"
      #expect(text.output.contains(line), "\(text.output)")
      #expect(text.output.contains("(deviation then "))
      let json = try Tools.run("rnn-verify", path, "--json")
      let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
      let fixture = (object?["fixtures"] as? [[String: Any]])?.first
      let causes = fixture?["causes"] as? [[String: Any]]
      #expect(causes?.first?["code"] as? String == "gates-permuted")
      #expect((causes?.first?["deviation"] as? Double).map { $0 < 1e-10 } == true)
      let good = try Tools.run("rnn-verify", CommandLineTests.good, "--json")
      #expect(good.output.contains("\"causes\": []"))
    }
  }
}
