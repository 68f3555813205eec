import Bytes
import HostSystem
import Tensors

extension Safetensors {
  /// What follows the stem in the name of an index.
  static let indexSuffix = ".safetensors.index.json"

  /// Writes `STEM-00001-of-0000N.safetensors` … and their index, `STEM.safetensors.index.json`.
  ///
  /// Tensors are cut in their order into files of at most `shardSize` bytes; a larger tensor gets a
  /// file alone. All files are complete under temporary names and proven before the first appears,
  /// and the index appears last. Existing shards are never replaced, because a set could not change at
  /// one instant: `overwrite` concerns the index. Throws `output.…` or `safetensors.…`.
  package static func writeShards(
    _ state: StateDict, to indexPath: String, shardSize: Int = 5_000_000_000,
    overwrite: Bool = false, inputs: [InputFile] = [], proof: (StateDict) throws -> Void = { _ in }
  ) throws {
    guard indexPath.hasSuffix(indexSuffix), shardSize > 0 else {
      throw RecurrentError(
        .usageShards, file: indexPath,
        found: shardSize > 0 ? "an index with another name" : "a shard size of \(shardSize)",
        expected: "STEM\(indexSuffix), and shards of at least one byte")
    }
    let plan = try ShardPlan(state, stem: indexPath.dropLast(indexSuffix.count), shardSize)
    let index = try OutputFile(path: indexPath, overwrite: overwrite)
    let shards = try plan.shards.map { try OutputFile(path: $0.path, overwrite: false) }
    for (shard, output) in zip(plan.shards, shards) {
      try output.reserve(shard.state.storedByteCount)
    }
    for (shard, output) in zip(plan.shards, shards) {
      try write(shard.state, to: output)
      try output.finishWriting()
    }
    try index.write(Array((plan.index.serialized(pretty: true) + "\n").utf8))
    try index.finishWriting()
    try proof(
      ShardedWeights.read(InputFile(path: index.readingPath), others: []) { name in
        guard let position = plan.shards.firstIndex(where: { $0.name == name }) else {
          throw RecurrentError(.proofReadBack, found: "a shard \"\(name)\"")
        }
        return try InputFile(path: shards[position].readingPath)
      }.0)
    // Without an index they are nobody's: neither an error nor a signal leaves them behind.
    defer { for shard in plan.shards { LiveTemporaries.remove(shard.path) } }
    do {
      for (shard, output) in zip(plan.shards, shards) {
        defer { if output.isPublished { LiveTemporaries.insert(shard.path) } }
        try output.publish(checking: inputs)
      }
      try index.publish(checking: inputs)
    } catch {
      for (shard, output) in zip(plan.shards, shards) where output.isPublished && !index.isPublished
      {
        unlink(shard.path)
      }
      throw error
    }
  }
}

/// Which tensor goes into which file.
private struct ShardPlan {
  struct Shard {
    let name: String
    let path: String
    let state: StateDict
  }

  let shards: [Shard]
  let index: JSON
  let totalSize: Int

  init(_ state: StateDict, stem: Substring, _ shardSize: Int) throws {
    let ties = try Safetensors.droppedNames(state)
    let entries = state.entries.filter { ties[$0.name] == nil }
    var groups: [[(name: Name, tensor: Tensor)]] = [[]]
    var size = 0
    var total = 0
    for entry in entries {
      let bytes = entry.tensor.byteCount
      let (sum, overflow) = total.addingReportingOverflow(bytes)
      guard !overflow else {
        throw RecurrentError(.safetensorsSizeInexpressible, found: "more than 2^63 bytes of data")
      }
      total = sum
      if size > 0, bytes > shardSize - size {
        groups.append([])
        size = 0
      }
      groups[groups.count - 1].append(entry)
      size = size.addingReportingOverflow(bytes).partialValue
    }
    let file = stem.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
    var map: [(name: Name, file: String)] = []
    var shards: [Shard] = []
    for (number, group) in groups.enumerated() {
      let suffix = "-\(Self.digits(number + 1))-of-\(Self.digits(groups.count)).safetensors"
      var part = StateDict()
      // What loaders of the Hugging Face libraries insist on.
      part.metadata["format"] = "pt"
      let names = registrationOrder(group.map(\.name))
      for name in names {
        guard let tensor = state[name] else { continue }
        try part.append(name, tensor)
        map.append((name, file + suffix))
      }
      shards.append(Shard(name: file + suffix, path: stem + suffix, state: part))
    }
    self.shards = shards
    totalSize = total
    var metadata = try Safetensors.metadata(
      of: state, ties: ties, tensors: Set(entries.map(\.name)))
    let asRead = map.map(\.name) + ties.keys.sorted()
    if !metadata.contains(where: { $0.key == Safetensors.orderKey }), asRead != state.names {
      metadata.append(
        JSON.Member(
          key: Safetensors.orderKey,
          value: .string(JSON.array(state.names.map { .string($0.string) }).serialized())))
    }
    index = .object([
      "metadata": .object(
        [JSON.Member(key: "total_size", value: .number(total))]
          + metadata.filter { $0.key != "total_size" }),
      "weight_map": .object(
        map.sorted { $0.name < $1.name }.map {
          JSON.Member(key: $0.name.string, value: .string($0.file))
        }),
    ])
  }

  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.count)) + text
  }
}
