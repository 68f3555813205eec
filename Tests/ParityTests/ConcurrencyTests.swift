import Foundation
import Parity
import Recurrent
import TestSupport
import Testing

private let root = "\(Checkout.root)/fixtures"

/// The golden files of every container that can be read, by path.
private let goldens: [String] = {
  let folder = root + "/golden"
  let paths = FileManager.default.subpaths(atPath: folder) ?? []
  return paths.sorted().filter { path in
    let isNamed = WeightFormat.all.contains { format in
      format.extensions.contains { path.hasSuffix("." + $0) }
    }
    guard isNamed else { return false }
    return (try? WeightFile(path: folder + "/" + path)) != nil
  }.map { folder + "/" + $0 }
}()

/// Models and files are values that any number of tasks may use concurrently; run under the thread
/// sanitizer (tools/ci/sanitize thread), this finds what only happens to work.
@Suite("Models and files may be used from any number of tasks")
struct ConcurrencyTests {
  private static let taskCount = 12

  private let model: Model<Float>
  private let alphabet: Int

  init() throws {
    model = try Model<Float>(path: root + "/checkpoints/char-rnn.pt")
    alphabet = model.architecture.inputSize
  }

  /// One-hot rows of characters (T, N, D) that depend on `seed`.
  private static func features(_ seed: Int, steps: Int, rows: Int, size: Int) throws
    -> NDArray<Float>
  {
    var elements = [Float](repeating: 0, count: steps * rows * size)
    for place in 0..<steps * rows { elements[place * size + (place * 7 + seed * 3) % size] = 1 }
    return try NDArray(shape: [steps, rows, size], elements: elements)
  }

  @Test func oneModelInManyTasks() async throws {
    let (model, alphabet) = (model, alphabet)
    let (steps, rows) = (9, 3)
    let classes = try #require(model.architecture.head).classCount
    @Sendable func run(_ seed: Int) throws -> [[Float]] {
      let x = try Self.features(seed, steps: steps, rows: rows, size: alphabet)
      let batchFirst = model.architecture.batchFirst
      let input = try NDArray<Float>(
        shape: batchFirst ? [rows, steps, alphabet] : x.shape, elements: x.elements)
      let result = try model(input)
      let ids = (0..<steps * rows).map { ($0 + seed) % classes }
      let gradients = try model.backward(
        input,
        targets: .classes(ids, shape: batchFirst ? [rows, steps] : [steps, rows]),
        loss: .crossEntropy())
      return [result.output.elements, result.logits?.elements ?? [], gradients.x.elements]
        + gradients.parameterGroups.flatMap { $0.entries.map(\.array.elements) }
    }
    let expected = try (0..<Self.taskCount).map(run)
    #expect(Set(expected).count == Self.taskCount)
    try await withThrowingTaskGroup(of: (Int, [[Float]]).self) { group in
      for seed in 0..<Self.taskCount {
        group.addTask { (seed, try run(seed)) }
      }
      for try await (seed, found) in group { #expect(found == expected[seed]) }
    }
  }

  @Test func oneStreamForEachTask() async throws {
    let (model, alphabet) = (model, alphabet)
    @Sendable func stream(_ seed: Int) throws -> [Float] {
      let stream = try model.stream()
      var logits: [Float] = []
      for step in 0..<60 {
        var x = [Float](repeating: 0, count: alphabet)
        x[(step * 5 + seed) % alphabet] = 1
        try stream.step(x)
        logits += stream.logits
      }
      return logits
    }
    let expected = try (0..<Self.taskCount).map(stream)
    #expect(Set(expected).count == Self.taskCount)
    try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for seed in 0..<Self.taskCount {
        group.addTask { (seed, try stream(seed)) }
      }
      for try await (seed, found) in group { #expect(found == expected[seed]) }
    }
  }

  /// What one opened file gives to many tasks is what it gives to one: windows of the file, views, inflated
  /// members and decoded chunks share caches.
  @Test func oneFileInManyTasks() async throws {
    #expect(goldens.count > 60)
    for path in goldens {
      let alone = try WeightFile(path: path).state
      let expected = try alone.entries.map { try $0.tensor.bytes() }
      let shared = try WeightFile(path: path)
      let state = shared.state
      try await withThrowingTaskGroup(of: Bool.self) { group in
        for task in 0..<6 {
          group.addTask {
            for step in state.entries.indices {
              let index = (step + task * 5) % state.entries.count
              let (source, bytes) = (state.entries[index].tensor.source, expected[index])
              if task % 2 == 0 {
                if try source.readAll() != bytes { return false }
                continue
              }
              // The rear half before the front half.
              let middle = bytes.count / 2
              let rear = try source.read(middle..<bytes.count)
              if try source.read(0..<middle) + rear != bytes { return false }
            }
            return true
          }
        }
        for try await isEqual in group { #expect(isEqual, "\(path)") }
      }
      for file in shared.files { try file.checkUnchanged() }
    }
  }

  /// Every container is opened, converted and written by several tasks; each name has one winner.
  @Test func manyWritersOfOneName() async throws {
    let folder = try newFolder()
    defer { remove(folder) }
    let source = root + "/checkpoints/char-rnn.pt"
    let state = try WeightFile(path: source).state
    let suffixes = ["npz", "pt", "safetensors", "h5", "onnx", "keras"]
    let winners = try await withThrowingTaskGroup(of: String?.self) { group in
      for suffix in suffixes {
        for _ in 0..<3 {
          group.addTask {
            do {
              let plan = try ConversionPlan(
                from: source, to: "\(folder)/out.\(suffix)", options: .init())
              try plan.execute()
              return suffix
            } catch let error as RecurrentError where error.reason.code == "output.exists" {
              return nil
            }
          }
        }
      }
      return try await group.reduce(into: [String]()) { if let suffix = $1 { $0.append(suffix) } }
    }
    #expect(winners.sorted() == suffixes.sorted())
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    #expect(names.sorted() == suffixes.map { "out.\($0)" }.sorted())
    for suffix in suffixes {
      let same = try NetworkComparison(
        Network(WeightFile(path: "\(folder)/out.\(suffix)").state, options: .init(cell: .rnnTanh)),
        Network(state, options: .init(cell: .rnnTanh)))
      #expect(same.areSame, "\(suffix): \(same.differences)")
    }
  }
}
