// A TensorFlow checkpoint (tensor bundle): PREFIX.index and PREFIX.data-00000-of-00001, ….
//
// The index is a sorted table (see SortedTable.swift). Its empty key holds a BundleHeaderProto, every
// other key a BundleEntryProto that says where the tensor's raw row-major bytes lie in which shard.
//
//   name-based    rnn/basic_lstm_cell/kernel
//   object-based  model/layer/cell/kernel/.ATTRIBUTES/VARIABLE_VALUE
//
// Slashes become dots and the suffix of the object-based form goes away. What only an optimizer holds
// is not a weight (see ObjectGraph.swift); strings are no tensors.

import Bytes
import Containers
import Tensors

/// Reads TensorFlow checkpoints; they are never written.
package enum TensorFlowCheckpoint {
  private static let suffix = "/.ATTRIBUTES/VARIABLE_VALUE"
  private static let maximumGraph = 64 << 20
  private static let slots = [
    "/Adam", "/Adam_1", "/Momentum", "/RMSProp", "/RMSProp_1", "/Adagrad", "/Adadelta",
    "/Adadelta_1", "/ExponentialMovingAverage",
  ]

  /// Whether the bytes end like the index of a checkpoint.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    SortedTable.recognizes(source)
  }

  /// Opens a checkpoint by its index file; the shards lie beside it.
  ///
  /// Throws `tf.name` when the path does not end in `.index`, `file.missing` for an absent shard,
  /// `tf.index`, `tf.entry`, `tf.crc`, `tf.snappy` and `tf.partitioned` for contents.
  package static func read(_ file: InputFile) throws -> StateDict { try readWithShards(file).0 }

  /// The same, with the data files that were opened.
  static func readWithShards(_ file: InputFile) throws -> (StateDict, [InputFile]) {
    let ending = ".index"
    guard file.path.hasSuffix(ending) else {
      throw RecurrentError(
        .tensorFlowName, found: "the index of a checkpoint under another name",
        expected: "PREFIX.index beside PREFIX.data-00000-of-00001")
    }
    let prefix = String(file.path.dropLast(ending.count))
    var shards: [InputFile] = []
    let state = try read(index: file) { shard, count in
      func digits(_ number: Int) -> String {
        String(repeating: "0", count: max(0, 5 - "\(number)".count)) + "\(number)"
      }
      let file = try InputFile(path: "\(prefix).data-\(digits(shard))-of-\(digits(count))")
      shards.append(file)
      return file
    }
    return (state, shards)
  }

  /// Reads an index; `shard` opens the data file with a number, of so many.
  static func read(
    index: any ByteSource, shard open: (Int, Int) throws -> any ByteSource
  ) throws -> StateDict {
    let entries = try SortedTable.read(index)
    guard let first = entries.first, first.key.isEmpty else {
      throw RecurrentError(
        .tensorFlowEntry, at: "header", found: "no entry with an empty key",
        expected: "a checkpoint's header")
    }
    let header = try TensorFlowHeader(first.value)
    var shards: [Int: any ByteSource] = [:]
    func window(_ entry: TensorFlowEntry) throws -> any ByteSource {
      guard (0..<header.shardCount).contains(entry.shard) else {
        throw RecurrentError(
          .tensorFlowEntry, found: "shard \(entry.shard)",
          expected: "below \(header.shardCount)")
      }
      let shard = try shards[entry.shard] ?? open(entry.shard, header.shardCount)
      shards[entry.shard] = shard
      return try WindowSource(shard, offset: entry.offset, count: entry.size)
    }
    var state = StateDict()
    // The table of a checkpoint is sorted by key.
    state.keepsOrder = false
    var skipped = Skipped(keys: Set(entries.map(\.key)))
    for (key, value) in entries.dropFirst() where key.first != 0 {
      guard let name = Name(validating: key) else {
        throw RecurrentError(
          .tensorFlowEntry, found: "a key that is not UTF-8", expected: "text")
      }
      do {
        let entry = try TensorFlowEntry(value)
        if name.string == ObjectGraph.key {
          guard entry.size <= maximumGraph else {
            throw RecurrentError(
              .tensorFlowEntry, found: "an object graph of \(entry.size) bytes",
              expected: "at most \(maximumGraph)")
          }
          skipped.graph = try ObjectGraph(
            window(entry).readAll(), checksum: entry.checksum)
          continue
        }
        if try skipped.holds(name.string, entry) { continue }
        guard let dtype = entry.dtype else { continue }
        let bytes = ShardSource(try window(entry), checksum: entry.checksum, name: name)
        let isSwapped = header.isBigEndian && dtype.byteCount > 1
        try state.append(
          dotted(skipped.graph?.path(of: name.string) ?? name.string),
          Tensor(
            dtype: dtype, shape: entry.shape,
            source: isSwapped ? ByteSwappedSource(bytes, elementSize: dtype.byteCount) : bytes))
      } catch let error as RecurrentError {
        throw error.place == nil && error.kind == .damaged
          ? error.within("tensor \"\(name)\"") : error
      }
    }
    state.skipped = skipped.lines
    return state
  }

  private static func dotted(_ name: String) -> Name {
    var text = name
    if text.hasSuffix(suffix) { text.removeLast(suffix.count) }
    return Name(text.split(separator: "/", omittingEmptySubsequences: false).joined(separator: "."))
  }

  /// What is in a checkpoint beside weights.
  private struct Skipped {
    let keys: Set<[UInt8]>
    var graph: ObjectGraph?
    private var others: [String] = []
    private var optimizerTensors = 0

    init(keys: Set<[UInt8]>) { self.keys = keys }

    /// Counts what is not a weight; throws `tf.partitioned` for a variable that lies in slices.
    mutating func holds(_ name: String, _ entry: TensorFlowEntry) throws -> Bool {
      if isOptimizers(name) {
        optimizerTensors += 1
        return true
      }
      if entry.isPartitioned {
        throw RecurrentError(
          .tensorFlowPartitioned, at: "tensor \"\(name)\"",
          found: "a variable in slices (a partitioner was used)", expected: "whole variables",
          hint: "Load the checkpoint in TensorFlow and save it without a partitioner.")
      }
      guard entry.dtype == nil else { return false }
      if others.count < 100 {
        others.append("\(name): \(entry.type == 7 ? "text" : "TensorFlow type \(entry.type)")")
      }
      return true
    }

    private func isOptimizers(_ name: String) -> Bool {
      if name.contains("/.OPTIMIZER_SLOT/") { return true }
      if let graph, name.hasSuffix(suffix) { return graph.path(of: name) == nil }
      return slots.contains { slot in
        name.hasSuffix(slot) && keys.contains(Array(name.utf8.dropLast(slot.utf8.count)))
      }
    }

    var lines: [String] {
      others
        + (optimizerTensors > 0 ? ["optimizer: \(optimizerTensors) tensors of an optimizer"] : [])
    }
  }
}

extension WeightFormat {
  /// A TensorFlow checkpoint, named by its index file.
  public static let tensorFlowCheckpoint = WeightFormat(
    name: "tf", extensions: ["index"],
    summary: "TensorFlow checkpoint (PREFIX.index beside PREFIX.data-…); read only",
    carriesMetadata: false, expectedConvention: "tensorflow",
    recognizes: TensorFlowCheckpoint.recognizes,
    readContents: { file, _ in try TensorFlowCheckpoint.read(file) }, writeContents: nil,
    readSeveral: { try TensorFlowCheckpoint.readWithShards($0) })
}
