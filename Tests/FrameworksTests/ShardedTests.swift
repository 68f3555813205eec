import Bytes
import Foundation
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("Shards are read together, written together, or refused")
struct ShardedTests {
  private struct Expected: Decodable {
    var files: [String: Golden.Expectation]
  }

  private func folder() throws -> URL { URL(fileURLWithPath: try newFolder()) }

  @Test func shardsOfHuggingFaceAreRead() throws {
    let expected = try Golden.decode(Expected.self, "sharded/expected.json")
    #expect(expected.files.count == 2)
    for (file, expectation) in expected.files {
      let weights = try WeightFile(path: Checkout.golden("sharded/" + file))
      #expect(weights.format.name == "sharded")
      #expect(weights.files.count == (file.hasPrefix("model") ? 4 : 3))
      #expect(try Golden.differences(weights.state, from: expectation) == [], "\(file)")
    }
  }

  @Test func writtenShardsReadBack() throws {
    let folder = try folder()
    defer { remove(folder.path) }
    var state = try sampleState()
    try state.append("tied", try #require(state["t.f32"]))
    state.ties["tied"] = "t.f32"
    state.metadata["cell"] = "gru"
    let path = folder.appendingPathComponent("out.safetensors.index.json").path
    for (size, files) in [(100, 10), (1, 16), (1 << 30, 1)] {
      let target = folder.appendingPathComponent("s\(size).safetensors.index.json").path
      let format = try WeightFormat.forWriting(path: target)
      #expect(format.name == "sharded")
      try WeightFormat.sharded(shardSize: size).write(state, to: target) {
        try $0.checkReadBack(of: state)
      }
      let again = try WeightFile(path: target)
      #expect(try contents(again.state) == contents(state))
      #expect(again.state.ties == state.ties)
      #expect(again.state.metadata == state.metadata)
      #expect(again.otherFiles.count == files, "\(size)")
      #expect(again.otherFiles.allSatisfy { $0.count > 0 && (try? $0.checkUnchanged()) != nil })
    }
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(names.contains("s1-00002-of-00016.safetensors"))
    #expect(!names.contains { $0.hasSuffix(".tmp") })
    #expect(
      reason { try Safetensors.writeShards(state, to: path + ".txt") } == "usage.shards")
    #expect(
      reason { try Safetensors.writeShards(state, to: path, shardSize: 0) } == "usage.shards")
  }

  @Test func aFailedProofLeavesNothing() throws {
    let folder = try folder()
    defer { remove(folder.path) }
    let path = folder.appendingPathComponent("m.safetensors.index.json").path
    let state = try sampleState()
    let refusal = RecurrentError(.init("test.refused", .fault), found: "")
    #expect(
      reason {
        try Safetensors.writeShards(state, to: path, shardSize: 100) { _ in throw refusal }
      } == "test.refused")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    // A shard of an older set is in the way, even with overwrite; the others are taken back.
    try Data([1]).write(to: folder.appendingPathComponent("m-00002-of-00010.safetensors"))
    #expect(
      reason { try Safetensors.writeShards(state, to: path, shardSize: 100, overwrite: true) }
        == "output.exists")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).count == 1)
  }

  /// An index with two files of one tensor each, and what is to be changed about them.
  private func write(
    _ folder: URL, index: String, first: String = "a-1.safetensors", same: Bool = false
  ) throws -> String {
    for (file, name) in [(first, "x"), ("a-2.safetensors", same ? "x" : "y")] {
      var state = StateDict()
      try state.append(Name(name), .make([Float(1), 2], shape: [2]))
      let sink = MemorySink()
      try Safetensors.write(state, to: sink)
      try Data(sink.bytes).write(to: folder.appendingPathComponent(file))
    }
    let path = folder.appendingPathComponent("a.index.json")
    try Data(index.utf8).write(to: path)
    return path.path
  }

  @Test func liesOfAnIndexAreRefused() throws {
    let good = #"{"weight_map":{"x":"a-1.safetensors","y":"a-2.safetensors"}"#
    let cases: [(String, String)] = [
      (good + #","metadata":{"total_size":15}}"#, "shard.total-size"),
      (good + #","metadata":{"total_size":"16"}}"#, "shard.index"),
      (#"{"weight_map":{"x":"a-1.safetensors"}}"#, ""),
      (#"{"weight_map":{"x":"a-2.safetensors","y":"a-2.safetensors"}}"#, "shard.missing-tensor"),
      (#"{"weight_map":{"x":"a-1.safetensors","z":"a-1.safetensors"}}"#, "shard.missing-tensor"),
      (#"{"weight_map":{"z":"a-1.safetensors"}}"#, "shard.extra"),
      (#"{"weight_map":{"x":"../a-1.safetensors"}}"#, "shard.name"),
      (#"{"weight_map":{"x":"/etc/passwd"}}"#, "shard.name"),
      (#"{"weight_map":{"x":".."}}"#, "shard.name"), (#"{"weight_map":{"x":""}}"#, "shard.name"),
      (#"{"weight_map":{"x":"a\u0000b"}}"#, "shard.name"),
      (#"{"weight_map":{"x":7}}"#, "shard.name"),
      (#"{"weight_map":{"x":"gone.safetensors"}}"#, "shard.missing"),
      (#"{"weight_map":{"x":"a.index.json"}}"#, "shard.format"),
      (#"{"weight_map":{"x":"link.safetensors"}}"#, "shard.link"),
      (#"{"weight_map":{"x":"inner.safetensors"}}"#, ""),
      (#"{"weight_map":{"x":"a-1.safetensors","x":"a-2.safetensors"}}"#, "json.duplicate"),
      (good + #","metadata":{"total_size":1.6e1,"parameters":4}}"#, ""), (good + "}", ""),
    ]
    for (index, expected) in cases {
      let folder = try folder()
      let outside = try self.folder()
      defer { for url in [folder, outside] { remove(url.path) } }
      let path = try write(folder, index: index)
      try FileManager.default.copyItem(
        at: folder.appendingPathComponent("a-1.safetensors"),
        to: outside.appendingPathComponent("b.safetensors"))
      try FileManager.default.createSymbolicLink(
        at: folder.appendingPathComponent("link.safetensors"),
        withDestinationURL: outside.appendingPathComponent("b.safetensors"))
      try FileManager.default.createSymbolicLink(
        atPath: folder.appendingPathComponent("inner.safetensors").path,
        withDestinationPath: "a-1.safetensors")
      let result = reason { _ = try WeightFile(path: path, format: .sharded()) }
      #expect((result ?? "") == expected, "\(index)")
    }
    #expect(!ShardedWeights.recognizes(MemorySource(Array("{\"a\": 1}".utf8))))
    #expect(ShardedWeights.recognizes(MemorySource(Array((good + "}").utf8))))
    for text in ["{}", #"{"weight_map":[]}"#] {
      #expect(reason { _ = try ShardIndex(MemorySource(Array(text.utf8))) } == "shard.index")
    }
  }

  @Test func theCacheOfHuggingFaceIsRead() throws {
    let folder = try folder()
    defer { remove(folder.path) }
    let blobs = folder.appendingPathComponent("blobs")
    let snapshot = folder.appendingPathComponent("snapshot")
    for url in [blobs, snapshot] {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }
    _ = try write(blobs, index: #"{"weight_map":{"x":"a-1.safetensors","y":"a-2.safetensors"}}"#)
    for name in ["a-1.safetensors", "a-2.safetensors", "a.index.json"] {
      try FileManager.default.moveItem(
        at: blobs.appendingPathComponent(name), to: blobs.appendingPathComponent("hash" + name))
      try FileManager.default.createSymbolicLink(
        atPath: snapshot.appendingPathComponent(name).path,
        withDestinationPath: "../blobs/hash" + name)
    }
    let weights = try WeightFile(path: snapshot.appendingPathComponent("a.index.json").path)
    #expect(weights.state.names == ["x", "y"])
  }
}
