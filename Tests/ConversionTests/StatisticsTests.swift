import Conversion
import Networks
import RNNEngine
import Tensors
import Testing

@Suite("Statistics of tensors are exact")
struct StatisticsTests {
  @Test func statisticsAreThoseOfTheFiniteNumbers() throws {
    let tensor = try Tensor.make([3.0, -4, .nan, .infinity, 0, -.infinity, .nan], shape: [7])
    let statistics = try TensorStatistics(tensor)
    #expect(statistics.count == 7 && statistics.nanCount == 2 && statistics.infinityCount == 2)
    #expect(statistics.minimum == -4 && statistics.maximum == 3)
    #expect(statistics.norm == 5 && statistics.mean == -1.0 / 3)
    let histogram = try Histogram(tensor, statistics, intervals: 7)
    #expect(histogram.counts == [1, 0, 0, 0, 1, 0, 1])
    #expect(histogram.drawn(with: Histogram.letters) == "@   @ @")
  }

  @Test(arguments: [0x1p-1000, 1, 0x1p1000]) func extremesNeitherOverflowNorVanish(scale: Double)
    throws
  {
    let tensor = try Tensor.make([3 * scale, 4 * scale, -scale, 1.5 * scale], shape: [4])
    let statistics = try TensorStatistics(tensor)
    #expect(abs(statistics.norm / scale - 28.25.squareRoot()) < 1e-14)
    #expect(statistics.mean == 1.875 * scale)
    let large = try TensorStatistics(
      Tensor.make([Double](repeating: .greatestFiniteMagnitude, count: 3), shape: [3]))
    #expect(large.mean == .greatestFiniteMagnitude)
  }

  @Test func integersHaveStatisticsToo() throws {
    let tensor = try Tensor(
      dtype: .u64, shape: [2],
      bytes: [UInt8](repeating: 255, count: 8) + [
        0, 0, 0, 0, 0, 0, 0, 0,
      ])
    #expect(try TensorStatistics(tensor).maximum == 0x1p64)
    let signed = try Tensor(dtype: .i16, shape: [2], bytes: [255, 255, 2, 0])
    #expect(try TensorStatistics(signed).minimum == -1)
  }
}

@Suite("Two files are equal bit for bit, or the difference is named")
struct FileDifferenceTests {
  private func state(_ tensors: [(Name, Tensor)]) throws -> StateDict {
    var state = StateDict()
    for (name, tensor) in tensors { try state.append(name, tensor) }
    return state
  }

  @Test func everyKindOfDifferenceIsNamed() throws {
    let first = try state([
      ("same", Tensor.make([1.0, 2], shape: [2])), ("gone", Tensor.make([1.0], shape: [1])),
      ("shape", Tensor.make([1.0, 2], shape: [2])),
      ("moved", Tensor.make([1.0, 4, 8], shape: [3])),
      ("typed", Tensor.make([1.0, 2], shape: [2])), ("zero", Tensor.make([0.0], shape: [1])),
      ("nan", Tensor.make([Double.nan, 1], shape: [2])),
    ])
    let second = try state([
      ("new", Tensor.make([1.0], shape: [1])), ("same", Tensor.make([1.0, 2], shape: [2])),
      ("shape", Tensor.make([1.0, 2], shape: [1, 2])),
      ("moved", Tensor.make([1.0, 5, 6], shape: [3])),
      ("typed", Tensor.make([1, 2] as [Float], shape: [2])),
      ("zero", Tensor.make([-0.0], shape: [1])), ("nan", Tensor.make([0, 1.0], shape: [2])),
    ])
    let difference = try FileDifference(first, second)
    #expect(!difference.areEqual)
    #expect(
      difference.tensors.map(\.name) == [
        "same", "gone", "shape", "moved", "typed", "zero", "nan", "new",
      ]
    )
    var deviations: [Name: FileDifference.Deviation] = [:]
    for (name, outcome) in difference.tensors {
      switch outcome {
      case .equal: #expect(name == "same")
      case .onlyInFirst: #expect(name == "gone")
      case .onlyInSecond: #expect(name == "new")
      case .shape(let one, let other): #expect(name == "shape" && one == [2] && other == [1, 2])
      case .different(let deviation): deviations[name] = deviation
      }
    }
    #expect(deviations.count == 4)
    let moved = try #require(deviations["moved"])
    #expect(moved.count == 2 && moved.absolute == 2 && moved.relative == 0.25 && moved.index == 2)
    #expect(deviations["typed"]?.count == 0 && deviations["typed"]?.types.1 == .f32)
    #expect(deviations["zero"]?.count == 0)
    #expect(deviations["nan"]?.absolute == .infinity && deviations["nan"]?.index == 0)
  }

  @Test func orderAndMetadataDoNotMakeADifference() throws {
    var first = try state([
      ("a", Tensor.make([1.0], shape: [1])), ("b", Tensor.make([2.0], shape: [1])),
    ])
    let second = try state([
      ("b", Tensor.make([2.0], shape: [1])), ("a", Tensor.make([1.0], shape: [1])),
    ])
    first.metadata["cell"] = "gru"
    let difference = try FileDifference(first, second)
    #expect(difference.areEqual && difference.metadata == ["cell: gru | none"])
    #expect(try FileDifference(second, first).metadata == ["cell: none | gru"])
  }
}
