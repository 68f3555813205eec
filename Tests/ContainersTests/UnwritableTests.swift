import Containers
import Foundation
import Tensors
import TestSupport
import Testing

/// What no writer can say, refused before anything appears.
@Suite("What a container cannot say is refused before anything appears")
struct UnwritableTests {
  private func refusal(
    _ format: WeightFormat, _ name: String, shape: [Int] = [2], metadata: [String: String] = [:]
  ) throws -> String? {
    let directory = try newFolder()
    defer { remove(directory) }
    var state = StateDict()
    let count = shape.reduce(1, *)
    try state.append(
      Name(name),
      Tensor(dtype: .f32, shape: shape, bytes: (0..<4 * count).map { UInt8($0 % 251) }))
    for (key, value) in metadata { state.metadata[key] = value }
    do {
      try format.write(state, to: directory + "/out") { _ in }
      return nil
    } catch let error as RecurrentError {
      #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty)
      return error.reason.code
    }
  }

  @Test func namesAndTextsThatAContainerCannotHold() throws {
    #expect(try refusal(.safetensors, "__metadata__") == "safetensors.reserved-name")
    #expect(
      try refusal(.safetensors, "w", metadata: ["tied": "w"]) == "safetensors.ambiguous-metadata")
    #expect(try refusal(.hdf5, "w", metadata: ["key": "a\u{0}b"]) == "h5.metadata")
    #expect(try refusal(.hdf5, "w", metadata: ["": "empty"]) == "h5.metadata")
    #expect(try refusal(.npz, "w", shape: Array(repeating: 1, count: 65)) == "npy.rank")
    #expect(try refusal(.npz, "w", shape: Array(repeating: 1, count: 64)) == nil)
  }
}
