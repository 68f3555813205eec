// Files that h5py wrote (tools/goldens/make_hdf5.py), against what the script says they hold.

import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers

struct HDF5Golden: Sendable, CustomTestStringConvertible {
  struct Item: Sendable {
    let key: String
    let dtype: String
    let shape: [Int]
    let bytes: [UInt8]
  }

  let folder: URL
  let name: String
  let error: String?
  let tensors: [Item]
  let metadata: [String: String]
  let ties: [String: String]
  let skipped: Int

  var testDescription: String { name }
  var path: String {
    error == nil ? folder.appendingPathComponent(name).path : Checkout.refused("hdf5/" + name)
  }

  static let directory = URL(fileURLWithPath: Checkout.golden("hdf5"))

  /// Empty when the fixtures are missing, which `theGoldensAreThere` reports.
  static let all = load(directory)

  static func load(_ folder: URL) -> [HDF5Golden] {
    guard let data = try? Data(contentsOf: folder.appendingPathComponent("expected.json")),
      let json = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
      let files = json["files"] as? [String: [String: Any]],
      let arrays = json["arrays"] as? [String]
    else { return [] }
    return files.sorted { $0.key < $1.key }.map { name, value in
      let items = (value["tensors"] as? [[Any]] ?? []).compactMap { item -> Item? in
        guard item.count == 4, let key = item[0] as? String, let dtype = item[1] as? String,
          let shape = item[2] as? [Int], let index = item[3] as? Int
        else { return nil }
        return Item(key: key, dtype: dtype, shape: shape, bytes: bytes(hex: arrays[index]))
      }
      return HDF5Golden(
        folder: folder, name: name, error: value["error"] as? String, tensors: items,
        metadata: value["metadata"] as? [String: String] ?? [:],
        ties: value["ties"] as? [String: String] ?? [:], skipped: value["skipped"] as? Int ?? 0)
    }
  }

  /// Whether a file, or its beginning, can be known for HDF5.
  static func hasSignature(_ bytes: some Collection<UInt8>) -> Bool {
    let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
    return [0, 512, 1024].contains { bytes.dropFirst($0).starts(with: signature) }
  }

  private static func bytes(hex: String) -> [UInt8] {
    let digits = hex.utf8.map { $0 < 0x40 ? $0 - 0x30 : $0 - 0x61 + 10 }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }
}

@Suite("Files of h5py's users are read as h5py reads them")
struct HDF5GoldenTests {
  @Test func theGoldensAreThere() {
    #expect(HDF5Golden.all.count == 47)
    #expect(HDF5Golden.all.filter { $0.error == nil }.allSatisfy { !$0.tensors.isEmpty })
  }

  @Test(arguments: HDF5Golden.all) func readsAsExpected(_ golden: HDF5Golden) throws {
    let file = try InputFile(path: golden.path)
    #expect(HDF5.recognizes(file))
    if let reason = golden.error {
      let error = #expect(throws: RecurrentError.self) { try HDF5.read(file) }
      #expect(error?.reason.code == reason, "\(String(describing: error))")
      #expect(error?.file == golden.path)
      return
    }
    let state = try HDF5.read(file)
    #expect(state.names == golden.tensors.map { Name($0.key) })
    for item in golden.tensors {
      let tensor = try #require(state[Name(item.key)])
      #expect(tensor.dtype.rawValue == item.dtype, "\(item.key)")
      #expect(tensor.shape == item.shape, "\(item.key)")
      #expect(try tensor.bytes() == item.bytes, "\(item.key)")
    }
    let metadata = Dictionary(uniqueKeysWithValues: state.metadata.pairs.map { ($0.key, $0.value) })
    #expect(metadata == golden.metadata)
    let ties = state.ties.map { ($0.key.string, $0.value.string) }
    #expect(Dictionary(uniqueKeysWithValues: ties) == golden.ties)
    #expect(state.skipped.count == golden.skipped, "\(state.skipped)")
  }

  @Test func contiguousTensorsAreWindowsOnTheFile() throws {
    let path = HDF5Golden.directory.appendingPathComponent("flat.h5").path
    let state = try HDF5.read(InputFile(path: path))
    #expect(state.count == 17)
    #expect(state.entries.allSatisfy { $0.tensor.source is WindowSource })
  }

  /// Pieces that begin and end inside elements, rows and chunks.
  @Test(arguments: ["odd-chunks.h5", "gzip-shuffle.h5"])
  func chunkedTensorsCanBeReadInPieces(_ name: String) throws {
    let golden = try #require(HDF5Golden.all.first { $0.name == name })
    let state = try HDF5.read(InputFile(path: golden.path))
    for item in golden.tensors {
      let tensor = try #require(state[Name(item.key)])
      for (start, end) in [(3, 4), (0, 101), (97, 211), (item.bytes.count - 7, item.bytes.count)] {
        #expect(try tensor.source.read(start..<end) == Array(item.bytes[start..<end]))
      }
      var pieces: [UInt8] = []
      try tensor.source.forEachChunk(of: 13) { pieces += $0 }
      #expect(pieces == item.bytes)
    }
  }

  @Test(arguments: [1, 200, 400, 1 << 20]) func blocksJoinWithoutSeams(_ blockBytes: Int) throws {
    let golden = try #require(HDF5Golden.all.first { $0.name == "gzip-shuffle.h5" })
    let file = try HDF5LibraryFile(InputFile(path: golden.path))
    let item = try #require(golden.tensors.first { $0.key == "m.a" })
    for chunkRows in [1, 2, 5, 17, 99] {
      let source = try HDF5ChunkedSource(
        file, "/m.a", item.shape, 8, chunkRows: chunkRows, blockBytes: blockBytes)
      var pieces: [UInt8] = []
      try source.forEachChunk(of: 13) { pieces += $0 }
      #expect(pieces == item.bytes)
      #expect(try source.read(3..<300) == Array(item.bytes[3..<300]))
    }
  }

  @Test func sourcesMayBeReadFromSeveralThreads() async throws {
    let golden = try #require(HDF5Golden.all.first { $0.name == "odd-chunks.h5" })
    let state = try HDF5.read(InputFile(path: golden.path))
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for index in 0..<60 {
        let item = golden.tensors[index % 3]
        let tensor = try #require(state[Name(item.key)])
        group.addTask { try tensor.bytes() == item.bytes }
      }
      for try await isEqual in group { #expect(isEqual) }
    }
  }

  @Test func keysAreSortedAsPyTorchSortsThem() {
    let sorted = [
      "a.2.weight", "a.10.weight", "rnn.weight_ih", "rnn.weight_hh", "rnn.bias_ih", "rnn.bias_hh",
      "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0",
      "rnn.weight_hr_l0", "rnn.weight_ih_l0_reverse", "rnn.weight_hr_l0_reverse",
      "rnn.weight_ih_l2", "rnn.weight_ih_l10", "rnn.other", "rnn.sub.x", "rnn.weight_ih_l0_g",
    ].map { Name($0) }
    for seed in 1..<20 {
      let mixed = sorted.indices.sorted { ($0 * seed * 7) % 19 < ($1 * seed * 7) % 19 }
        .map { sorted[$0] }
      #expect(registrationOrder(mixed) == sorted)
    }
  }
}
