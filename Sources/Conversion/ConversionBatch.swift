import Containers
import Frameworks
import HostSystem
import Networks
import Tensors

/// Which files one call converts, and where each goes; worked out before anything is written.
///
/// A file goes to `DIRECTORY/NAME.EXT`; the files of a directory go to the same places below
/// `DIRECTORY` that they have below theirs. EXT is the container's, in place of the input's own.
package struct ConversionBatch: Sendable {
  /// One conversion.
  package struct Item: Sendable {
    /// The file to read.
    package let input: String
    /// The file to write.
    package let output: String
    /// The size of the input, 0 where it is unknown.
    package let byteCount: Int
    /// Why the input cannot even be looked at (a directory without permission).
    package let obstacle: RecurrentError?
  }

  /// The conversions in the order of the arguments, directories in the order of names.
  package let items: [Item]
  /// Files in directories that are no weights.
  package let ignored: [String]

  /// Looks for inputs; touches nothing.
  ///
  /// Throws with kind `.usage`: `usage.read-only` for a container that is only read; `batch.nested`
  /// when the output directory lies in an input directory; `batch.collision` when two inputs would
  /// become one file, or one would replace another. Throws with kind `.cannotCreate`:
  /// `output.exists` unless `overwrite` is set, `output.not-directory`. Throws `batch.none` with kind
  /// `.noInput` when there is nothing to convert.
  package init(
    _ inputs: [String], into directory: String, format: WeightFormat, overwrite: Bool = false
  ) throws {
    var status = stat()
    if stat(directory, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
      throw RecurrentError(
        .outputNotDirectory, file: directory, found: "a file",
        expected: "a directory, or a name for a new one")
    }
    guard format.isWritable else {
      throw RecurrentError(
        .usageReadOnly, found: "container \(format.name)",
        expected: "one that can be written: "
          + WeightFormat.all.filter(\.isWritable).map(\.name).joined(separator: ", "))
    }
    guard !directory.isEmpty else {
      throw RecurrentError(
        .usageArguments, found: "an empty name", expected: "an output directory")
    }
    var items: [Item] = []
    var ignored: [String] = []
    for path in inputs {
      guard FileTree.isDirectory(path) else {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        items.append(Self.item(path, Self.joined(directory, Self.renamed(name, format))))
        continue
      }
      guard !FileTree.contains(path, directory) else {
        throw RecurrentError(
          .batchNested, file: directory,
          found: "an output directory inside the input directory \"\(path)\"",
          expected: "a directory outside it")
      }
      for found in FileTree.files(below: path) {
        let input = Self.joined(path, found.path)
        let output = Self.joined(directory, Self.renamed(found.path, format))
        if let error = found.error {
          items.append(Item(input: input, output: output, byteCount: 0, obstacle: error))
        } else if Self.isWeights(input) {
          items.append(Self.item(input, output))
        } else {
          ignored.append(input)
        }
      }
    }
    guard !items.isEmpty else {
      throw RecurrentError(
        .batchNone, file: inputs.first, found: "no weight files",
        expected: "at least one")
    }
    self.items = Self.joiningShards(items)
    self.ignored = ignored
    try checkOutputs(overwrite)
  }

  /// Creates the directories above an item's output.
  package func createDirectories(for item: Item) throws {
    for slash in item.output.indices.dropFirst() where item.output[slash] == "/" {
      let part = String(item.output[..<slash])
      // Another job may be creating the same one.
      if mkdir(part, 0o777) != 0, errno != EEXIST, !FileTree.isDirectory(part) {
        throw RecurrentError(
          .outputDirectory, file: part, found: systemMessage(),
          expected: "a directory that can be created")
      }
    }
  }

  private static func item(_ input: String, _ output: String) -> Item {
    var status = stat()
    let size = stat(input, &status) == 0 ? Int(status.st_size) : 0
    return Item(input: input, output: output, byteCount: size, obstacle: nil)
  }

  private static func joined(_ directory: String, _ path: String) -> String {
    directory.hasSuffix("/") ? directory + path : directory + "/" + path
  }

  /// The items without files that belong to the index of another item, which takes their sizes.
  private static func joiningShards(_ items: [Item]) -> [Item] {
    var shards: Set<FileTree.Identity> = []
    let indexed = items.map { item -> Item in
      guard item.input.hasSuffix(".index.json"),
        let others = try? WeightFile(path: item.input).otherFiles
      else { return item }
      shards.formUnion(others.compactMap { FileTree.Identity($0.path) })
      return Item(
        input: item.input, output: item.output,
        byteCount: others.reduce(item.byteCount) { $0 + $1.count }, obstacle: nil)
    }
    return indexed.filter { item in
      FileTree.Identity(item.input).map { !shards.contains($0) } ?? true
    }
  }

  /// A file name with the container's extension in place of any known one.
  private static func renamed(_ name: String, _ format: WeightFormat) -> String {
    let index = ".index.json"
    let name = name.hasSuffix(index) ? String(name.dropLast(index.count)) : name
    let known = WeightFormat.all.flatMap(\.extensions).map { "." + $0 }
    let lowercased = name.lowercased()
    let own = known.filter { lowercased.hasSuffix($0) }.max { $0.count < $1.count }
    let stem = own.map { String(name.dropLast($0.count)) } ?? name
    let isBare = stem.isEmpty || stem.hasSuffix("/")
    return (isBare ? name : stem) + "." + (format.extensions.first ?? format.name)
  }

  /// Whether a file among others is meant: by its extension, or else by what is in it.
  private static func isWeights(_ path: String) -> Bool {
    let name = path.lowercased()
    if WeightFormat.all.contains(where: { $0.extensions.contains { name.hasSuffix("." + $0) } }) {
      return true
    }
    do {
      guard try WeightFile.isContainer(path: path) else { return false }
      _ = try WeightFile(path: path)
      return true
    } catch let error as RecurrentError {
      // Archives of other things, web pages; what is damaged further inside was meant as weights.
      return !["file", "zip"].contains(error.reason.family)
    } catch {
      return true
    }
  }

  private func checkOutputs(_ overwrite: Bool) throws {
    var owners: [String: String] = [:]
    var files: [FileTree.Identity: String] = [:]
    for item in items {
      if let identity = FileTree.Identity(item.input) { files[identity] = item.input }
    }
    for item in items {
      if let other = owners.updateValue(item.input, forKey: item.output) {
        throw RecurrentError(
          .batchCollision, file: item.input,
          found: "the same output as \"\(other)\": \"\(item.output)\"",
          expected: "an output for each input", hint: "Convert one of them in another call.")
      }
      guard let identity = FileTree.Identity(item.output) else { continue }
      if let other = files[identity] {
        throw RecurrentError(
          .batchCollision, file: item.input,
          found: "an output that is an input: \"\(other)\"",
          expected: "an output beside the inputs", hint: "Choose another output directory.")
      }
      guard overwrite else {
        throw RecurrentError(
          .outputExists, file: item.output, found: "a file that exists",
          expected: "a new name", hint: "Use \(.replacing) to replace it.")
      }
    }
  }
}
