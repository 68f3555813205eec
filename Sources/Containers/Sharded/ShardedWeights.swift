import Bytes
import HostSystem
import Tensors

/// Weights in several files with an index (see ShardIndex.swift).
package enum ShardedWeights {
  /// Whether the bytes are an index of shards.
  package static func recognizes(_ source: any ByteSource) -> Bool { ShardIndex.recognizes(source) }

  /// Reads an index and the headers of its files, safetensors or one of `others`; also gives the files.
  ///
  /// Every tensor must be in the file that the index names, and no other may be there. Throws
  /// `shard.…`, or what the readers of the files throw.
  package static func read(_ index: InputFile, others: [WeightFormat]) throws -> (
    StateDict, [InputFile]
  ) {
    try read(index, others: others) { try open($0, beside: index) }
  }

  /// The same, of an index whose files `open` finds by their names.
  package static func read(
    _ source: any ByteSource, others: [WeightFormat], open: (String) throws -> InputFile
  ) throws -> (StateDict, [InputFile]) {
    let index = try ShardIndex(source)
    var files: [InputFile] = []
    var tensors: [(name: Name, tensor: Tensor)] = []
    var ties: [Name: Name] = [:]
    var texts = index.metadata.pairs.map { ($0.key, $0.value) }
    var known = Set(texts.map { Name($0.0) })
    var isNative = true
    for shard in index.shards {
      let file = try open(shard)
      files.append(file)
      do {
        let isSafetensors = Safetensors.recognizes(file)
        let other = isSafetensors ? nil : others.first { $0.recognizes(file) }
        guard isSafetensors || other != nil else {
          throw RecurrentError(
            .shardFormat, found: "neither safetensors nor a PyTorch file",
            expected: "one of them")
        }
        isNative = isNative && isSafetensors
        let state = try other?.readContents(file, "") ?? Safetensors.read(file)
        for entry in state.entries {
          let isAlias = isSafetensors && state.ties[entry.name] != nil
          guard index.files[entry.name] == shard || isAlias && index.files[entry.name] == nil else {
            throw RecurrentError(
              .shardExtra, at: "tensor \"\(entry.name)\"",
              found: "a tensor that the index does not place here", expected: "no such tensor")
          }
          tensors.append((entry.name, entry.tensor))
        }
        ties.merge(state.ties) { $1 }
        for pair in state.metadata.pairs
        where pair.key != "format" && known.insert(Name(pair.key)).inserted {
          texts.append((pair.key, pair.value))
        }
      } catch let error as RecurrentError {
        throw error.inFile(file.path)
      }
    }
    try check(tensors, ties, against: index)
    var state = StateDict()
    if isNative {
      // A tie inside a shard is a pair of the shard's metadata. The cuts follow the model's order.
      for (name, first) in ties.sorted(by: { $0.key < $1.key })
      where known.insert(name).inserted {
        texts.append((name.string, first.string))
      }
      state = try Safetensors.assemble(
        tensors.map(\.name).filter { ties[$0] == nil },
        Dictionary(uniqueKeysWithValues: tensors.filter { ties[$0.name] == nil }),
        Metadata(unique: texts),
        isOrdered: true)
    } else {
      for (name, tensor) in tensors { try state.append(name, tensor) }
      state.ties = ties
      state.metadata = Metadata(unique: texts)
    }
    state.skipped = index.skipped
    return (state, files)
  }

  private static func check(
    _ tensors: [(name: Name, tensor: Tensor)], _ ties: [Name: Name], against index: ShardIndex
  ) throws {
    let found = Set(tensors.map(\.name))
    if let missing = index.files.filter({ !found.contains($0.key) }).min(by: { $0.key < $1.key }) {
      throw RecurrentError(
        .shardMissingTensor, at: "tensor \"\(missing.key)\"",
        found: "no such tensor in \(missing.value)", expected: "every tensor of the index")
    }
    guard let total = index.totalSize else { return }
    // Tied tensors count once or several times, depending on the age of the writer.
    var (all, once) = (0, 0)
    for (name, tensor) in tensors {
      let (sum, overflow) = all.addingReportingOverflow(tensor.byteCount)
      guard !overflow else {
        throw RecurrentError(.shardTotalSize, found: "more than 2^63 bytes")
      }
      all = sum
      if ties[name] == nil { once += tensor.byteCount }
    }
    guard total == all || total == once else {
      throw RecurrentError(
        .shardTotalSize, at: "metadata \"total_size\"", found: "\(total) bytes",
        expected: "\(all), the bytes of all tensors")
    }
  }

  // MARK: Files beside the index

  /// Opens a file beside the index. Only the user may choose paths; a symbolic link must stay in the
  /// folder of the index or, as in the cache of Hugging Face, in the one that the index itself is
  /// linked from.
  private static func open(_ name: String, beside index: InputFile) throws -> InputFile {
    let folder = folder(of: index.path)
    let path = folder == "/" ? "/" + name : folder + "/" + name
    var status = stat()
    guard lstat(path, &status) == 0 else {
      throw RecurrentError(
        .shardMissing, at: "file \"\(name)\"",
        found: systemMessage(), expected: "the file beside the index")
    }
    guard status.st_mode & S_IFMT == S_IFLNK else {
      return try InputFile(path: path, followsLinks: false)
    }
    let allowed = [real(folder), real(index.path).map(Self.folder(of:))]
    guard let target = real(path), allowed.contains(Self.folder(of: target)) else {
      throw RecurrentError(
        .shardLink, at: "file \"\(name)\"",
        found: "a symbolic link out of the folder of the index", expected: "a file in it")
    }
    return try InputFile(path: target, followsLinks: false)
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func real(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
