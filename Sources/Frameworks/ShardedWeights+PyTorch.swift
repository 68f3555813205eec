import Bytes
import Containers
import Tensors

// Shards may be PyTorch files too, and what those hold is known here.

extension ShardedWeights {
  /// Reads an index and the headers of its files, safetensors or PyTorch; also gives the files.
  package static func read(_ index: InputFile) throws -> (StateDict, [InputFile]) {
    try read(index, others: [.pytorch])
  }

  /// The same, of an index whose files `open` finds by their names.
  static func read(
    _ source: any ByteSource, open: (String) throws -> InputFile
  ) throws -> (StateDict, [InputFile]) {
    try read(source, others: [.pytorch], open: open)
  }
}

extension WeightFormat {
  /// Several safetensors or PyTorch files with an index; written as safetensors of at most
  /// `shardSize` bytes each.
  public static func sharded(shardSize: Int = 5_000_000_000) -> WeightFormat {
    WeightFormat(
      name: "sharded", extensions: ["safetensors.index.json"],
      summary: "sharded safetensors (or PyTorch files) with an index",
      carriesMetadata: true, expectedConvention: nil,
      recognizes: ShardedWeights.recognizes,
      readContents: { file, _ in try ShardedWeights.read(file).0 }, writeContents: nil,
      readSeveral: { try ShardedWeights.read($0) },
      writeSeveral: {
        try Safetensors.writeShards(
          $0, to: $1, shardSize: shardSize, overwrite: $2, inputs: $3, proof: $4)
      })
  }
}
