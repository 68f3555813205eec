import Foundation
import RNNEngine
import Tensors
import TestSupport
import Testing

@testable import LanguageModels

/// Threads that stand for the processes of one training.
final class Ring: @unchecked Sendable {
  private let condition = NSCondition()
  private var slots: [[Double]]
  private var arrived = 0
  private var round = 0
  private var result: [[Double]] = []
  let count: Int

  init(_ count: Int) {
    self.count = count
    slots = Array(repeating: [], count: count)
  }

  func exchange(_ values: [Double], rank: Int) -> [[Double]] {
    condition.lock()
    defer { condition.unlock() }
    slots[rank] = values
    arrived += 1
    let mine = round
    if arrived == count {
      (result, arrived, round) = (slots, 0, round + 1)
      condition.broadcast()
    }
    while round == mine { condition.wait() }
    return result
  }
}

struct RingProcess: TrainingProcesses {
  let ring: Ring
  let rank: Int
  var count: Int { ring.count }

  func average<S: Scalar>(_ values: inout [S]) {
    let all = ring.exchange(values.map { Double($0) }, rank: rank)
    for index in values.indices {
      values[index] = all.reduce(S(0)) { $0 + S($1[index]) } / S(count)
    }
  }

  func gather<S: Scalar>(_ values: [S]) -> [S] {
    ring.exchange(values.map { Double($0) }, rank: rank).flatMap { $0.map { S($0) } }
  }
}

@Suite("Several processes are one with as many rows")
struct ProcessesTests {
  /// Runs `body` in one thread per process and gives what each returned.
  private func run<T: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (RingProcess) throws -> T
  ) throws -> [T] {
    let ring = Ring(count)
    nonisolated(unsafe) var results: [Result<T, any Error>?] = Array(repeating: nil, count: count)
    let lock = NSLock()
    let group = DispatchGroup()
    for rank in 0..<count {
      group.enter()
      Thread.detachNewThread {
        let result = Result { try body(RingProcess(ring: ring, rank: rank)) }
        lock.withLock { results[rank] = result }
        group.leave()
      }
    }
    group.wait()
    return try results.compactMap { try $0?.get() }
  }

  /// K processes are one process with K times the rows; only the order of the sums differs.
  @Test(arguments: [2, 3])
  func processesAreOneLargerBatch(_ count: Int) throws {
    let settings = ["layers": "2", "dropout": "0.3", "embedding": "4", "clip-norm": "0.3"]
    let shared = try plan(settings.merging(["batch": "2"], uniquingKeysWith: { $1 }))
    let single = try plan(settings.merging(["batch": "\(2 * count)"], uniquingKeysWith: { $1 }))
    var one = try LanguageModelTrainer<Double>(single, text: sampleText)
    while !one.isFinished { try one.advance() }
    let several = try run(count) { process in
      var trainer = try LanguageModelTrainer<Double>(shared, text: sampleText, processes: process)
      while !trainer.isFinished { try trainer.advance() }
      return trainer
    }
    #expect(several.count == count)
    let expected = try one.current.network.parameterGroups.flatMap(\.entries)
    let first = try several[0].current.network.parameterGroups.flatMap(\.entries)
    for trainer in several {
      let found = try trainer.current.network.parameterGroups.flatMap(\.entries)
      for index in expected.indices {
        // The same bits in every process; 30 steps of Adam away from the single one.
        #expect(found[index].array == first[index].array)
        for (a, b) in zip(found[index].array.elements, expected[index].array.elements) {
          #expect(abs(a - b) < 1e-9)
        }
      }
      for (a, b) in zip(trainer.validations, one.validations) { #expect(abs(a - b) < 1e-9) }
    }
  }

  @Test func processesResumeBitEqual() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("c")
    let plan = try plan(["cell": "lstm", "layers": "2", "dropout": "0.2"])
    let whole = try run(2) { process in
      var trainer = try LanguageModelTrainer<Float>(plan, text: sampleText, processes: process)
      for step in 0..<30 {
        if step == 17 { try trainer.writeCheckpoint(to: path) }
        try trainer.advance()
      }
      return try trainer.current
    }
    let rest = try run(2) { process in
      var trainer = try TrainingCheckpoint(path: path).resume(
        Float.self, text: sampleText, processes: process)
      while !trainer.isFinished { try trainer.advance() }
      return try trainer.current
    }
    for (a, b) in zip(whole, rest) {
      let (a, b) = (a.network.parameterGroups, b.network.parameterGroups)
      for (x, y) in zip(a.flatMap(\.entries), b.flatMap(\.entries)) { #expect(x.array == y.array) }
    }
    #expect(
      reason {
        _ = try TrainingCheckpoint(path: path).resume(Float.self, text: sampleText)
      } == "train.processes")
  }
}
