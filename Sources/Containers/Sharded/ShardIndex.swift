// The index of weights that are spread over several files, as Hugging Face writes it
// (model.safetensors.index.json, pytorch_model.bin.index.json):
//
//   {"metadata": {"total_size": bytes of all tensors, …},
//    "weight_map": {NAME: "model-00001-of-00003.safetensors", …}}
//
// Files are named relative to the index and lie beside it. The writer here keeps string metadata and
// dropped aliases (see Safetensors.swift) in "metadata".

import Tensors

/// What an index says; nothing but the index has been read.
package struct ShardIndex {
  /// The file of every tensor.
  package let files: [Name: String]
  /// The files, sorted by name, which is the order in which they were cut.
  package let shards: [String]
  /// The text values of the index's metadata.
  package let metadata: Metadata
  /// Bytes of all tensors; `nil` when the index does not say.
  package let totalSize: Int?
  /// Other values of the index's metadata, one line each.
  package let skipped: [String]

  private static let maximumLength = 64 << 20
  private static let maximumShards = 1000

  package static func recognizes(_ source: any ByteSource) -> Bool {
    guard source.count <= maximumLength,
      let start = try? source.read(0..<min(source.count, 64)),
      start.first(where: { ![0x20, 0x0A, 0x0D, 0x09].contains($0) }) == UInt8(ascii: "{"),
      let text = try? source.readAll(), let json = try? JSON.parse(text)
    else { return false }
    return json["weight_map"]?.objectValue != nil
  }

  /// Reads an index; throws `shard.…` or `json.…`.
  package init(_ source: any ByteSource) throws {
    guard source.count <= Self.maximumLength else {
      throw Self.malformed("an index of \(source.count) bytes", "at most \(Self.maximumLength)")
    }
    let json = try JSON.parse(source.readAll())
    guard let map = json["weight_map"]?.objectValue else {
      throw Self.malformed("no weight_map", "an object of names and files")
    }
    var files: [Name: String] = [:]
    for member in map {
      guard let file = member.value.stringValue, Self.isPlainName(file) else {
        throw RecurrentError(
          .shardName, at: "tensor \"\(member.key)\"",
          found: member.value.serialized(),
          expected: "the name of a file beside the index, without a path")
      }
      files[Name(member.key)] = file
    }
    self.files = files
    shards = Set(files.values.map { Name($0) }).sorted().map(\.string)
    guard shards.count <= Self.maximumShards else {
      throw Self.malformed("\(shards.count) files", "at most \(Self.maximumShards)")
    }
    var texts: [(key: String, value: String)] = []
    var skipped: [String] = []
    for member in json["metadata"]?.objectValue ?? [] where member.key != "total_size" {
      if let text = member.value.stringValue {
        texts.append((member.key, text))
      } else {
        skipped.append("\(member.key) = \(member.value.serialized().prefix(80))")
      }
    }
    metadata = Metadata(unique: texts)
    self.skipped = skipped
    guard let size = json["metadata"]?["total_size"] else {
      totalSize = nil
      return
    }
    // Some writers divide and multiply before they write: 1.0e9 is what 1000000000 becomes.
    totalSize = size.intValue ?? size.doubleValue.flatMap { Int(exactly: $0) }
    guard totalSize != nil else {
      throw Self.malformed("total_size \(size.serialized().prefix(80))", "a number of bytes")
    }
  }

  /// Whether a text names a file beside the index and nothing else.
  private static func isPlainName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 255 && text.utf8.first != UInt8(ascii: ".")
      && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != 0x2F && $0 != 0x5C }
  }

  private static func malformed(_ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(.shardIndex, found: found, expected: expected)
  }
}
