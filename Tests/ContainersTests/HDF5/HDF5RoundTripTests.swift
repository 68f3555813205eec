import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers

/// A file in a directory of its own that is removed with it.
final class HDF5TemporaryFile {
  let path: String
  private let folder: TemporaryFolder

  init(_ name: String = "state.h5") throws {
    folder = try TemporaryFolder()
    path = folder.file(name)
  }

  func bytes() throws -> [UInt8] { try fileBytes(path) }
  func write(_ bytes: some Sequence<UInt8>) throws { try TestSupport.write(bytes, to: path) }
}

@Suite("Every element type and shape comes back from HDF5 bit for bit")
struct HDF5RoundTripTests {
  /// Every dtype, ranks 0 to 5, sizes all different, and bytes that never repeat.
  static func everyDType() throws -> StateDict {
    var state = StateDict()
    let shapes = [[3, 5], [7], [], [2, 3, 4], [1], [2, 1, 3, 1, 2], [11, 13], [0], [4, 0, 2]]
    var seed: UInt64 = 1
    for (index, dtype) in DType.allCases.enumerated() {
      for shape in [shapes[index % shapes.count], [index + 2, 3]] {
        let count = shape.reduce(1, *) * dtype.byteCount
        let bytes = (0..<count).map { _ in
          seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return dtype == .bool ? UInt8(seed >> 63) : UInt8(seed >> 56)
        }
        try state.append(
          "m.\(dtype.rawValue).\(shape.count)", Tensor(dtype: dtype, shape: shape, bytes: bytes))
        if shape.count == 2 { break }
      }
    }
    return state
  }

  static func expectEqual(_ found: StateDict, _ state: StateDict) throws {
    #expect(found.names == state.names)
    #expect(found.metadata == state.metadata)
    #expect(found.ties == state.ties)
    for entry in state.entries {
      let other = try #require(found[entry.name])
      #expect(try other.isIdentical(to: entry.tensor), "\(entry.name)")
    }
  }

  private func roundTrip(_ state: StateDict) throws -> StateDict {
    let file = try HDF5TemporaryFile()
    try HDF5.write(state, toFileAt: file.path)
    let found = try HDF5.read(InputFile(path: file.path))
    try Self.expectEqual(found, state)
    return found
  }

  @Test func everyDTypeSurvives() throws {
    let found = try roundTrip(Self.everyDType())
    #expect(found.count >= DType.allCases.count)
    #expect(found.skipped.isEmpty)
  }

  @Test(arguments: [DType.f16, .bf16]) func every16BitPatternSurvives(_ dtype: DType) throws {
    let bytes = (0..<65536).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    var state = StateDict()
    try state.append("all", Tensor(dtype: dtype, shape: [256, 256], bytes: bytes))
    #expect(try roundTrip(state)["all"]?.bytes() == bytes)
  }

  @Test func specialValuesSurvive() throws {
    let narrow: [UInt32] = [0x7FC0_0001, 0xFFC1_2345, 0x7F80_0001, 0x8000_0000, 1, 0xFF80_0000]
    let wide: [UInt64] = [0x7FF8_0000_0000_0123, 0x7FF0_0000_0000_0001, 1 << 63, 1, 0xFFF0 << 48]
    var state = StateDict()
    let narrowBytes = narrow.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) }
    let wideBytes = wide.flatMap { withUnsafeBytes(of: $0.littleEndian, Array.init) }
    try state.append("f32", Tensor(dtype: .f32, shape: [6], bytes: narrowBytes))
    try state.append("f64", Tensor(dtype: .f64, shape: [5], bytes: wideBytes))
    _ = try roundTrip(state)
  }

  @Test func orderNamesMetadataAndTiesSurvive() throws {
    var state = StateDict()
    let names: [Name] = [
      "z.10", "z.9", "a", "rnn.bias_hh_l0", "rnn.weight_ih_l0", "é", "e\u{301}", "..", "%2F", "a b",
      "\u{1F600}", "tied",
    ]
    for (index, name) in names.enumerated() {
      let bytes = name == "tied" ? [2, 2, 2] : [UInt8](repeating: UInt8(index), count: index + 1)
      try state.append(name, Tensor(dtype: .u8, shape: [bytes.count], bytes: bytes))
    }
    state.ties["tied"] = "a"
    for index in (0..<40).reversed() { state.metadata["key\(index)"] = "value \(index * index)" }
    state.metadata["empty"] = ""
    state.metadata["keras_version"] = "3.0 — ∇"
    state.metadata["long"] = String(repeating: "long", count: 50_000)
    _ = try roundTrip(state)
  }

  @Test func untrueTiesAreWrittenAsTensors() throws {
    var state = StateDict()
    try state.append("a", Tensor(dtype: .u8, shape: [2], bytes: [1, 2]))
    try state.append("b", Tensor(dtype: .u8, shape: [2], bytes: [1, 3]))
    try state.append("c", Tensor(dtype: .i8, shape: [2], bytes: [1, 2]))
    state.ties = ["b": "a", "c": "later"]
    let file = try HDF5TemporaryFile()
    try HDF5.write(state, toFileAt: file.path)
    let found = try HDF5.read(InputFile(path: file.path))
    #expect(found.ties.isEmpty)
    #expect(try found["b"]?.bytes() == [1, 3])
    #expect(found["c"]?.dtype == .i8)
  }

  @Test func manyTensorsKeepTheirOrder() throws {
    var state = StateDict()
    for index in 0..<700 {
      let bytes = [UInt8](repeating: UInt8(index % 251), count: index % 90 + 1)
      try state.append(
        "layers.\((index * 37) % 700).weight",
        Tensor(dtype: .u8, shape: [bytes.count], bytes: bytes))
    }
    _ = try roundTrip(state)
  }

  @Test func anEmptyStateDictSurvives() throws { _ = try roundTrip(StateDict()) }

  @Test func elementsAreAlignedAndBytesAreDeterministic() throws {
    var state = try Self.everyDType()
    state.metadata["cell"] = "lstm"
    let file = try HDF5TemporaryFile()
    try HDF5.write(state, toFileAt: file.path)
    let found = try HDF5.read(InputFile(path: file.path))
    for entry in found.entries where entry.tensor.byteCount > 0 {
      let window = try #require(entry.tensor.source as? WindowSource)
      #expect(window.offset % 64 == 0, "\(entry.name)")
    }
    let first = try file.bytes()
    // Over an existing, longer file, and from another process's point of view a second later.
    let again = try HDF5TemporaryFile("other.h5")
    try again.write([UInt8](repeating: 0xAB, count: first.count * 2))
    Thread.sleep(forTimeInterval: 1.1)
    try HDF5.write(state, toFileAt: again.path)
    #expect(try again.bytes() == first)
  }

  @Test(arguments: ["", ".", "a/b", "/", "a\0b"]) func impossibleNamesAreRefused(_ name: String)
    throws
  {
    var state = StateDict()
    try state.append(Name(name), Tensor(dtype: .u8, shape: [1], bytes: [1]))
    let file = try HDF5TemporaryFile()
    let error = #expect(throws: RecurrentError.self) {
      try HDF5.write(state, toFileAt: file.path)
    }
    #expect(error?.reason.code == "h5.name")
    #expect(!FileManager.default.fileExists(atPath: file.path))
  }

  @Test func aMissingDirectoryIsReported() throws {
    let error = #expect(throws: RecurrentError.self) {
      try HDF5.write(StateDict(), toFileAt: "/nonexistent/state.h5")
    }
    // The output protocol has made the file before libhdf5 gets it: only the disk can fail here.
    #expect(error?.kind == .inputOutput && error?.reason.code == "h5.create")
    #expect(error?.file == "/nonexistent/state.h5")
  }
}
