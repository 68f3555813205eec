// The files of PyTorch 0.1: a tar archive (see TarArchive.swift) of three files.
//
//   storages  pickle of n; n times: pickle of (key, location, storage class) · i64 number of
//             elements · the elements; then pickle of the list of (key, root's key, first element,
//             number of elements): views of other storages
//   tensors   pickle of m; m times: pickle of (key, storage's key, tensor class) · i32 number of
//             axes · 4 bytes · i64 sizes · i64 strides · i64 offset
//   pickle    pickle of the object; a persistent id is the key of a tensor
//
// All numbers are little-endian. Keys are integers, or their digits as text.

import Bytes
import Tensors

/// Takes a file of PyTorch 0.1 apart.
struct PyTorchTar {
  private var windows: [[UInt8]: WindowSource] = [:]
  private var storages: [[UInt8]: Storage] = [:]
  private var tensors: [[UInt8]: Layout] = [:]

  private struct Storage {
    let root: [UInt8]
    let type: String
    let rootCount: Int
    let start: Int
    let count: Int
  }

  private struct Layout {
    let storage: Storage
    let shape: [Int]
    let strides: [Int]
    let offset: Int
  }

  static func recognizes(_ source: any ByteSource) -> Bool {
    guard TarArchive.recognizes(source), let archive = try? TarArchive(source) else { return false }
    return ["storages", "tensors", "pickle"].allSatisfy { archive.files[$0] != nil }
  }

  /// The graph of the object with its tensors spelled as later versions do; throws `pt.tar`.
  static func read(_ source: any ByteSource) throws -> (PickleGraph, PyTorchStorages) {
    let files = try TarArchive(source).files
    guard let storages = files["storages"], let tensors = files["tensors"],
      let object = files["pickle"]
    else { throw malformed("no files storages, tensors and pickle", "all three") }
    var tar = PyTorchTar()
    try tar.readStorages(storages)
    try tar.readTensors(tensors)
    var (graph, end) = try PickleMachine.run(in: object, at: 0)
    guard end == object.count else {
      throw malformed("\(object.count - end) bytes after the pickle", "the end")
    }
    try tar.replaceIDs(in: &graph)
    return (graph, PyTorchStorages(.windows(tar.windows)))
  }

  private mutating func readStorages(_ file: WindowSource) throws {
    var (count, position) = try Self.count(file)
    while count > 0 {
      count -= 1
      let (entry, end) = try PickleMachine.run(in: file, at: position)
      guard let parts = entry.tuple(entry.root), parts.count == 3, let key = Self.key(parts[0]),
        case .global(let type) = parts[2], storages[key] == nil
      else { throw Self.malformed("no storage", "(key, location, class), every key once") }
      let width = try PyTorchStorages.dtype(ofClass: type)?.byteCount ?? 1
      let window = try PyTorchLegacy.storage(in: file, at: end, width: width)
      windows[key] = window
      let elements = window.count / width
      storages[key] = Storage(
        root: key, type: type, rootCount: elements, start: 0, count: elements)
      position = window.offset + window.count
    }
    let (views, end) = try PickleMachine.run(in: file, at: position)
    guard case .list(let items)? = views.node(views.root), end == file.count else {
      throw Self.malformed("no list of views at the end of the storages", "one")
    }
    for item in items {
      guard let parts = views.tuple(item), parts.count == 4, let key = Self.key(parts[0]),
        let root = Self.key(parts[1]).flatMap({ storages[$0] }), case .int(let start) = parts[2],
        case .int(let size) = parts[3], start >= 0, start <= root.count, size >= 0,
        size <= root.count - start, storages[key] == nil
      else { throw Self.malformed("no view", "(key, root's key, offset, size) inside the root") }
      storages[key] = Storage(
        root: root.root, type: root.type, rootCount: root.rootCount, start: root.start + start,
        count: size)
    }
  }

  private mutating func readTensors(_ file: WindowSource) throws {
    var (count, position) = try Self.count(file)
    while count > 0 {
      count -= 1
      let (entry, end) = try PickleMachine.run(in: file, at: position)
      guard let parts = entry.tuple(entry.root), parts.count == 3, let key = Self.key(parts[0]),
        let storage = Self.key(parts[1]).flatMap({ storages[$0] }), tensors[key] == nil
      else { throw Self.malformed("no tensor", "(key, storage's key, class), every key once") }
      let axes = Int(UInt32(littleEndian: try file.read(end..<end + 4)))
      guard axes <= 64 else { throw Self.malformed("\(axes) axes", "at most 64") }
      let numbers = try Self.numbers(file, end + 8, axes * 2 + 1)
      tensors[key] = Layout(
        storage: storage, shape: Array(numbers[..<axes]), strides: Array(numbers[axes..<2 * axes]),
        offset: numbers[2 * axes])
      position = end + 8 + numbers.count * 8
    }
    guard position == file.count else {
      throw Self.malformed("\(file.count - position) bytes after the last tensor", "the end")
    }
  }

  /// Turns the key of a tensor into the call that later versions write.
  private func replaceIDs(in graph: inout PickleGraph) throws {
    func push(_ node: PickleNode) -> PickleValue {
      graph.nodes.append(node)
      return .node(graph.nodes.count - 1)
    }
    for index in graph.nodes.indices {
      guard case .persistent(let id) = graph.nodes[index] else { continue }
      guard let tensor = Self.key(id).flatMap({ tensors[$0] }) else {
        throw Self.malformed("a reference to \(graph.summary(id))", "the key of a tensor")
      }
      let reference = push(
        .tuple([
          .string(Array("storage".utf8)), .global(tensor.storage.type),
          .string(tensor.storage.root), .none, .int(tensor.storage.rootCount),
        ]))
      let (offset, overflow) = tensor.offset.addingReportingOverflow(tensor.storage.start)
      guard !overflow else { throw Self.malformed("offset \(tensor.offset)", "a small one") }
      let arguments = push(
        .tuple([
          push(.persistent(reference)), .int(offset), push(.tuple(tensor.shape.map { .int($0) })),
          push(.tuple(tensor.strides.map { .int($0) })),
        ]))
      graph.nodes[index] = .object(
        callee: .global("torch._utils _rebuild_tensor"), arguments: arguments)
    }
  }

  private static func count(_ file: WindowSource) throws -> (Int, end: Int) {
    let (graph, end) = try PickleMachine.run(in: file, at: 0)
    guard case .int(let count) = graph.root, count >= 0 else {
      throw malformed(graph.summary(graph.root), "a number of entries")
    }
    return (count, end)
  }

  private static func numbers(_ file: WindowSource, _ start: Int, _ count: Int) throws -> [Int] {
    let bytes = try file.read(start..<start + count * 8)
    return stride(from: 0, to: bytes.count, by: 8).map { first in
      Int(truncatingIfNeeded: UInt64(littleEndian: bytes[first..<first + 8]))
    }
  }

  private static func key(_ value: PickleValue) -> [UInt8]? {
    switch value {
    case .int(let number): Array(String(number).utf8)
    case .string(let digits): digits
    default: nil
    }
  }

  private static func malformed(_ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(.ptTar, found: found, expected: expected)
  }
}
