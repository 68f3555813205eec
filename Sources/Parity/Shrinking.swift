import Bytes
import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// A failing fixture made as small as it still fails: fewer steps, rows, features, units, layers, directions, and zeros for weights.
package struct Shrinking: Sendable {
  /// The name of what is written.
  package let name: String
  /// The small fixture.
  package let fixture: StateDict
  /// The same as a script of NumPy, for an issue.
  package let script: String
  /// What was made smaller, before and after.
  package let sizes: [(name: String, before: Int, after: Int)]
  /// Weights that are not zero, before and after.
  package let weights: (before: Int, after: Int)
  /// How often the case was run.
  package let runs: Int

  /// At most so many runs: each may start a program.
  static let mostRuns = 300

  /// Shrinks the case of a fixture file that fails against a program, or against this library.
  ///
  /// Against a program this library computes what is expected of every smaller case. Without one only the file knows
  /// what is expected, so only steps and rows can be cut: those behind the first that differs, and all other rows.
  ///
  /// Throws `against.whole` where the fixture fails only with what is left out here: its head, its loss, its training.
  package init(_ path: String, against program: ForeignProgram?, options: VerificationOptions)
    throws
  {
    do {
      let fixture = try Fixture(WeightFile(path: path).state)
      let stem = path.split(separator: "/").last.map(String.init) ?? "case"
      let name = String(stem.prefix { $0 != "." })
      try self.init(fixture, name, program, options)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  private init(
    _ fixture: Fixture, _ name: String, _ program: ForeignProgram?, _ options: VerificationOptions
  ) throws {
    let first = try ShrinkCase(fixture)
    let result: ShrinkCase
    var expected: [String: ShrinkArray]?
    if let program {
      var wanted: Bool?
      var search = ShrinkSearch(first) { small in
        guard let state = try? small.state(name: name) else { return false }
        let result = asked(state, name, program, options)
        guard result.fails else { return false }
        // A program that breaks is another failure than wrong numbers.
        let breaks = result.error != nil
        wanted = wanted ?? breaks
        return wanted == breaks
      }
      guard try search.start() else { throw Self.whole }
      try search.run()
      (result, runs) = (search.best, search.runs)
    } else {
      (result, expected) = try Self.cut(first, fixture, options)
      runs = 1
    }
    self.name = name
    let small = try result.state(name: name, expecting: expected)
    self.fixture = small
    let check = program.map { asked(small, name, $0, options) }
    var found = check?.headline ?? check?.error?.found
    if program == nil {
      let failing = try Fixture(small).verify(options: options).first { !$0.passes }
      found = failing.map { "\($0.tensor): \($0.summary)" }
    }
    script = result.script(name: name, found: found ?? "", by: program?.command)
    sizes = zip(first.sizes, result.sizes).map { ($0.name, $0.value, $1.value) }
    func nonzero(_ small: ShrinkCase) -> Int {
      small.weights.values.reduce(0) { $0 + $1.values.filter { $0 != 0 }.count }
    }
    weights = (nonzero(first), nonzero(result))
  }

  private static let whole = RecurrentError(
    .againstWhole,
    found: "a failure only of what stands around the recurrent layers, or of training",
    expected: "one of the recurrent layers' outputs or gradients, which can be made smaller")

  /// What the file expects up to the first step that differs, of the one row that differs there.
  private static func cut(
    _ first: ShrinkCase, _ fixture: Fixture, _ options: VerificationOptions
  ) throws -> (ShrinkCase, [String: ShrinkArray]) {
    let checks = try fixture.comparison(options: options).checks
    let isUnbatched =
      (fixture.inputs["x"]?.shape.count ?? 0)
      == (fixture.inputs["x"]?.dtype.isFloatingPoint == true ? 2 : 1)
    func array(_ numbers: CheckNumbers, timeFirst: Bool) -> ShrinkArray {
      var array = ShrinkArray(shape: numbers.shape, values: numbers.expected)
      if isUnbatched { array.shape.insert(1, at: 1) }
      return timeFirst && !isUnbatched && fixture.configuration.batchFirst
        ? array.exchangingFirstAxes() : array
    }
    for name in ["outputs/output", "outputs/h_n", "outputs/c_n"] {
      guard let check = checks.first(where: { $0.tensor == name && !$0.passes }),
        let numbers = check.numbers
      else { continue }
      let isOutput = name == "outputs/output"
      let batchFirst = isOutput && fixture.configuration.batchFirst
      let rowAxis = batchFirst ? 0 : 1
      // The row that differs first, or most.
      var (row, step) = (0, first.x.shape[0] - 1)
      if !isUnbatched { row = check.index[rowAxis] }
      if isOutput, let firstStep = check.firstStep {
        let inner = numbers.shape[(numbers.timeAxis.map { $0 + 1 } ?? 0)...].reduce(1, *)
        let place = numbers.expected.indices.first { offset in
          offset / inner % numbers.shape[numbers.timeAxis ?? 0] == firstStep
            && numbers.share(offset) > 1
        }
        if let place, !isUnbatched {
          let width = numbers.shape[2]
          row = batchFirst ? place / (numbers.shape[1] * width) : place / width % numbers.shape[1]
        }
        // What a reverse direction computes depends on all later steps.
        if first.directions == 1 { step = firstStep }
      }
      let steps = Array(0...step)
      guard let small = first.keepingRows([row]).keepingSteps(steps) else { continue }
      var expected = array(numbers, timeFirst: isOutput).keeping([row], axis: 1)
      if isOutput { expected = expected.keeping(steps, axis: 0) }
      return (small, [name: expected])
    }
    throw whole
  }
}

/// Delta debugging: parts are left out for as long as the case fails without them.
struct ShrinkSearch {
  private(set) var best: ShrinkCase
  private(set) var runs = 0
  private var tried: Set<ShrinkCase> = []
  private let fails: (ShrinkCase) throws -> Bool

  init(_ first: ShrinkCase, fails: @escaping (ShrinkCase) throws -> Bool) {
    best = first
    self.fails = fails
  }

  /// Whether the case fails by its outputs, or by its gradients.
  mutating func start() throws -> Bool {
    runs += 1
    if try fails(best) { return true }
    best.expectsGradients = true
    runs += 1
    return try fails(best)
  }

  mutating func run() throws {
    var before: ShrinkCase
    repeat {
      before = best
      try attemptAny { $0.simplified() }
      _ = try attempt(best.forwardOnly())
      try attemptAny { best in (0..<best.layers).reversed().compactMap(best.withoutLayer) }
      try cut({ $0.x.shape[0] }, { $0.keepingSteps($1) })
      try cut({ $0.x.shape[1] }, { $0.keepingRows($1) })
      try cut({ $0.hidden }, { $0.keepingUnits($1) })
      try cut({ $0.proj }, { $0.keepingProjections($1) })
      try cut({ $0.x.shape[2] }, { $0.keepingFeatures($1) })
    } while best != before
    for change in best.zeroed() {
      var small = best
      change(&small)
      _ = try attempt(small)
    }
  }

  private mutating func attempt(_ small: ShrinkCase?) throws -> Bool {
    guard let small, small != best, runs < Shrinking.mostRuns, tried.insert(small).inserted else {
      return false
    }
    runs += 1
    guard try fails(small) else { return false }
    best = small
    return true
  }

  private mutating func attemptAny(_ candidates: (ShrinkCase) -> [ShrinkCase]) throws {
    var isChanged = true
    while isChanged {
      isChanged = false
      for small in candidates(best) where try attempt(small) {
        isChanged = true
        break
      }
    }
  }

  /// Leaves out halves, quarters, … of one axis.
  private mutating func cut(
    _ count: (ShrinkCase) -> Int, _ keeping: (ShrinkCase, [Int]) -> ShrinkCase?
  ) throws {
    guard count(best) > 1 else { return }
    // Mostly one is enough.
    if try attempt(keeping(best, [0])) { return }
    var size = count(best) / 2
    while size >= 1 {
      var start = 0
      while start < count(best), count(best) > 1 {
        let all = count(best)
        let end = min(all, start + size)
        guard end - start < all else { break }
        let kept = Array(0..<start) + Array(end..<all)
        if try !attempt(keeping(best, kept)) { start += size }
      }
      size /= 2
    }
  }
}
