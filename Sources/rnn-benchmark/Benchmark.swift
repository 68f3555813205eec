// Times the engine at points that a harness names on standard input, one JSON object a line; called by
// tools/benchmark, which times the peers on the same points in the same minute.

import RNNEngine

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// One workload: `lstm f32 forward 8 100 128 128 1 1` is cell, type, kind, N, T, D, H, layers, directions.
struct Point {
  let cell: Cell
  let isDouble: Bool
  let kind: String
  let batch, steps, input, hidden, layers, directions: Int

  init?(_ line: String) {
    let words = line.split(separator: " ").map(String.init)
    let numbers = words.dropFirst(3).compactMap { Int($0) }
    guard words.count == 9, numbers.count == 6, let cell = Cell(rawValue: words[0]) else {
      return nil
    }
    self.cell = cell
    isDouble = words[1] == "f64"
    kind = words[2]
    (batch, steps, input, hidden) = (numbers[0], numbers[1], numbers[2], numbers[3])
    (layers, directions) = (numbers[4], numbers[5])
  }
}

/// Seconds of a monotonic clock.
func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + 1e-9 * Double(time.tv_nsec)
}

/// A workload ready to run.
func workload<S: Scalar>(_ point: Point, _ type: S.Type) throws -> () throws -> Void {
  let configuration = RecurrentConfiguration(
    cell: point.cell, inputSize: point.input, hiddenSize: point.hidden,
    layerCount: point.layers, bidirectional: point.directions == 2)
  var generator = TorchGenerator(seed: 7)
  let rnn = try RNN<S>(configuration, generator: &generator)
  func array(_ shape: [Int]) throws -> NDArray<S> {
    let count = shape.reduce(1, *)
    return try NDArray(
      shape: shape, elements: (0..<count).map { S(Double(($0 * 7919) % 2003) / 1001 - 1) })
  }
  let x = try array([point.steps, point.batch, point.input])
  switch point.kind {
  case "forward": return { _ = try rnn(x) }
  case "train":
    let up = try array([point.steps, point.batch, configuration.outputSize])
    return {
      let (_, tape) = try rnn.record(x)
      _ = try rnn.backward(tape, gradOutput: up)
    }
  default:
    let stream = try ModelStream(SequenceModel(rnn: rnn), batch: point.batch)
    let step = Array(x.elements[..<(point.batch * point.input)])
    return { try stream.step(step) }
  }
}

@main
enum Benchmark {
  static func main() throws {
    while let line = readLine() {
      guard let point = Point(line) else {
        print("?")
        continue
      }
      let run =
        point.isDouble ? try workload(point, Double.self) : try workload(point, Float.self)
      // Long enough for the clock, short enough for many rounds.
      var repeats = 1
      try run()
      while true {
        let start = now()
        for _ in 0..<repeats { try run() }
        let elapsed = now() - start
        if elapsed > 0.02 { break }
        repeats *= elapsed < 0.002 ? 8 : 2
      }
      var best = Double.infinity
      for _ in 0..<5 {
        let start = now()
        for _ in 0..<repeats { try run() }
        best = min(best, (now() - start) / Double(repeats))
      }
      print(best * 1e6 / Double(point.steps))
      fflush(nil)
    }
  }
}
