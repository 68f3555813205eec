import Tensors

/// Groups and datasets of a file to be written, every group before its members.
package struct KerasTree {
  package var root: [(key: String, value: HDF5Object.Value)] = []
  private var body: [HDF5Object] = []
  private var groups: [[Name]: Int] = [:]
  private var datasets: Set<[Name]> = []

  /// Creates an empty file.
  package init() {}

  package var objects: [HDF5Object] {
    [HDF5Object(path: [], content: .group, attributes: root)] + body
  }

  /// The path that a tensor's name spells.
  package static func path(_ name: Name) throws -> [Name] {
    let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let path = parts.compactMap { Name(validating: $0) }
    guard path.count == parts.count, path.count <= HDF5Limit.depth,
      path.allSatisfy({ !$0.utf8.isEmpty && !$0.utf8.contains(UInt8(ascii: "\\")) })
    else {
      throw RecurrentError(
        .kerasName, at: "tensor \"\(name)\"",
        found: "a name that is no path of groups",
        expected: "at most \(HDF5Limit.depth) words between slashes",
        hint: "Rename the tensor, or write it in another container.")
    }
    return path
  }

  /// Adds a group and those around it; attributes go to it whether or not it is new.
  package mutating func addGroup(
    _ path: [Name], attributes: [(key: String, value: HDF5Object.Value)] = []
  ) throws {
    for length in 1...max(1, path.count) {
      let prefix = Array(path.prefix(length))
      guard !datasets.contains(prefix) else { throw Self.collision(prefix) }
      if groups[prefix] == nil {
        groups[prefix] = body.count
        body.append(HDF5Object(path: prefix, content: .group))
      }
    }
    if let position = groups[path] { body[position].attributes += attributes }
  }

  package mutating func addDataset(
    _ path: [Name], _ tensor: Tensor, attributes: [(key: String, value: HDF5Object.Value)] = []
  ) throws {
    if path.count > 1 { try addGroup(path.dropLast()) }
    guard groups[path] == nil, datasets.insert(path).inserted else { throw Self.collision(path) }
    body.append(
      HDF5Object(
        path: path, content: .dataset(tensor), attributes: attributes, storesBF16AsOpaque: true))
  }

  private static func collision(_ path: [Name]) -> RecurrentError {
    RecurrentError(
      .kerasName, at: "tensor \"\(KerasObjects.joined(path))\"",
      found: "a name that is also a group's, or twice the same", expected: "every path once",
      hint: "Rename the tensor, or write it in another container.")
  }
}
