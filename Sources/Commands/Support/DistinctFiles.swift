import Bytes
import Tensors

/// Throws `usage.arguments` where two of a command's files are one, by name or as the file system knows them.
///
/// One of them would be written over the other.
package func checkDistinct(_ files: [(word: String, path: String?)]) throws {
  var seen: [(word: String, path: String)] = []
  for (word, path) in files {
    guard let path else { continue }
    let file = try? InputFile(path: path)
    for other in seen
    where other.path == path || file.map({ $0.isSameFile(as: other.path) }) == true {
      throw RecurrentError(
        .usageArguments, file: path, found: "\(word) and \(other.word) in one file",
        expected: "a file for each")
    }
    seen.append((word, path))
  }
}

/// Throws `usage.arguments` where a command would write one of its files over one of many that it reads.
package func checkDistinct(_ outputs: [(word: String, path: String?)], from inputs: [String]) throws
{
  for (word, path) in outputs {
    guard let path, let file = try? InputFile(path: path) else { continue }
    guard let input = inputs.first(where: { $0 == path || file.isSameFile(as: $0) }) else {
      continue
    }
    throw RecurrentError(
      .usageArguments, file: path, found: "\(word) would replace \(input), which is read",
      expected: "another name")
  }
}
