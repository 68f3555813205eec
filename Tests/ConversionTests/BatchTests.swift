import Containers
import Conversion
import Foundation
import Frameworks
import Networks
import Tensors
import TestSupport
import Testing

@Suite("A batch mirrors its tree and refuses before it writes")
struct BatchTests {
  private let files = FileManager.default

  /// A tree of weights and other things.
  private func withTree(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { directory in
      var state = StateDict()
      try state.append("t", Tensor.make([1.0, 2, 3], shape: [3]))
      for folder in ["tree/a/b", "tree/.hidden"] {
        try files.createDirectory(
          atPath: "\(directory)/\(folder)", withIntermediateDirectories: true)
      }
      for path in ["tree/x.npz", "tree/a/b/y.SAFETENSORS", "tree/a/model.bin", "tree/.hidden/z.pt"]
      {
        try WeightFormat.safetensors.write(state, to: "\(directory)/\(path)") { _ in }
      }
      try "hello".write(toFile: directory + "/tree/notes.txt", atomically: true, encoding: .utf8)
      try "PK".write(toFile: directory + "/tree/a/damaged.pt", atomically: true, encoding: .utf8)
      try files.createSymbolicLink(
        atPath: directory + "/tree/a/loop", withDestinationPath: directory + "/tree")
      try body(directory)
    }
  }

  private func reason(_ body: () throws -> ConversionBatch) -> String? {
    #expect(throws: RecurrentError.self) { _ = try body() }?.reason.code
  }

  @Test func theTreeIsMirrored() throws {
    try withTree { directory in
      let batch = try ConversionBatch(
        [directory + "/tree/"], into: directory + "/out/deep/", format: .hdf5)
      #expect(
        batch.items.map { $0.output.dropFirst(directory.count) } == [
          "/out/deep/a/b/y.h5", "/out/deep/a/damaged.h5", "/out/deep/a/model.bin.h5",
          "/out/deep/x.h5",
        ])
    }
  }

  @Test func whatCollidesIsRefusedBeforeAnythingIsWritten() throws {
    try withTree { directory in
      let (tree, out) = (directory + "/tree", directory + "/out")
      let before = try files.subpathsOfDirectory(atPath: directory).sorted()
      #expect(
        reason { try ConversionBatch([tree, tree + "/x.npz"], into: out, format: .hdf5) }
          == "batch.collision")
      #expect(
        reason { try ConversionBatch([tree + "/x.npz"], into: tree, format: .npz, overwrite: true) }
          == "batch.collision")
      #expect(
        reason {
          try ConversionBatch([tree + "/a/model.bin", tree + "/x.npz"], into: tree, format: .npz)
        }
          == "batch.collision")
      #expect(
        reason { try ConversionBatch([tree], into: tree + "/a/new/er", format: .hdf5) }
          == "batch.nested")
      #expect(
        reason { try ConversionBatch([tree], into: tree + "/x.npz", format: .hdf5) }
          == "output.not-directory")
      #expect(
        reason { try ConversionBatch([tree + "/.hidden/none"], into: out, format: .npy) }
          == "usage.read-only")
      #expect(reason { try ConversionBatch([tree], into: "", format: .npz) } == "usage.arguments")
      try files.createDirectory(atPath: directory + "/empty", withIntermediateDirectories: true)
      #expect(
        reason { try ConversionBatch([directory + "/empty"], into: out, format: .npz) }
          == "batch.none")
      try files.removeItem(atPath: directory + "/empty")
      #expect(try files.subpathsOfDirectory(atPath: directory).sorted() == before)
    }
  }

  @Test func directoriesAreCreatedWhenAFileIsWritten() throws {
    try withTree { directory in
      let out = directory + "/new/out"
      let batch = try ConversionBatch([directory + "/tree"], into: out, format: .hdf5)
      #expect(!files.fileExists(atPath: directory + "/new"))
      #expect(batch.ignored.map { $0.dropFirst(directory.count) } == ["/tree/notes.txt"])
      #expect(batch.items.map(\.byteCount).allSatisfy { $0 > 0 })
      try batch.createDirectories(for: batch.items[0])
      #expect(files.fileExists(atPath: out + "/a/b"))
      try files.createDirectory(atPath: out + "/a/x", withIntermediateDirectories: true)
      try "".write(toFile: out + "/a/damaged.h5", atomically: true, encoding: .utf8)
      #expect(
        reason { try ConversionBatch([directory + "/tree"], into: out, format: .hdf5) }
          == "output.exists")
      #expect(
        try ConversionBatch([directory + "/tree"], into: out, format: .hdf5, overwrite: true).items
          .count == 4)
      try "".write(toFile: directory + "/new/file", atomically: true, encoding: .utf8)
      let blocked = try ConversionBatch(
        [directory + "/tree/x.npz"], into: directory + "/new/file/below", format: .hdf5)
      let error = #expect(throws: RecurrentError.self) {
        try blocked.createDirectories(for: blocked.items[0])
      }
      #expect(error?.reason.code == "output.directory")
    }
  }

  @Test func shardsAreOneInput() throws {
    try withTemporaryFolder { directory in
      var state = StateDict()
      for name: Name in ["a", "b", "c"] {
        try state.append(name, Tensor.make([1.0, 2, 3], shape: [3]))
      }
      let index = directory + "/model.safetensors.index.json"
      try WeightFormat.sharded(shardSize: 30).write(state, to: index) { _ in }
      #expect(try files.contentsOfDirectory(atPath: directory).count == 4)
      let batch = try ConversionBatch([directory], into: directory + "-out", format: .npz)
      #expect(batch.items.map(\.input) == [index])
      #expect(batch.items.map(\.output) == [directory + "-out/model.npz"])
      #expect(batch.items[0].byteCount > 3 * 24)
    }
  }
}
