// The files of torch.save from 0.2 to 1.5, and of today's with _use_new_zipfile_serialization=False:
//
//   pickle of 0x1950A86A20F9469CFC6C
//   pickle of 1001, the version
//   pickle of {protocol_version, little_endian, type_sizes}
//   pickle of the object (see PyTorchFile.swift); its storages are
//     ("storage", torch FloatStorage, KEY, "cpu", number of elements, view)
//     where view is None or (key of the view, its first element, its elements)
//   pickle of the list of storage keys
//   per key in that order: i64 number of elements · the elements
//
// Numbers behind the pickles are little-endian whatever little_endian says: writers on big-endian
// machines swap them, and torch.load does not look.

import Bytes
import Tensors

/// Takes a file of stacked pickles apart.
enum PyTorchLegacy {
  private static let magic: [UInt8] = [
    0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]
  // Behind the version of its own protocol, the number is the same.
  private static let number = magic[2...]

  static func recognizes(_ source: any ByteSource) -> Bool {
    guard source.count >= magic.count, let head = try? source.read(0..<magic.count) else {
      return false
    }
    return head == magic || start(of: head, source) != nil
  }

  /// Where the second pickle begins, whatever the protocol of the first.
  private static func start(of head: [UInt8], _ source: any ByteSource) -> Int? {
    guard head[0] == 0x80, (2...5).contains(head[1]) else { return nil }
    guard head[2] == 0x95 else { return head[2...] == number ? magic.count : nil }
    // Protocol 4 puts a frame around: u64 length.
    let length = magic.count + 9
    guard let framed = try? source.read(0..<min(source.count, length)), framed.count == length,
      framed[11...].elementsEqual(number)
    else { return nil }
    return length
  }

  /// The graph of the object, and the bytes behind it; throws `pt.legacy…` or `pickle.…`.
  static func read(_ source: any ByteSource) throws -> (PickleGraph, PyTorchStorages) {
    guard let start = start(of: try source.read(0..<magic.count), source) else {
      throw malformed("no magic number", "0x1950A86A20F9469CFC6C")
    }
    let (version, afterVersion) = try PickleMachine.run(in: source, at: start)
    guard case .int(1001) = version.root else {
      throw malformed("version \(version.summary(version.root))", "1001")
    }
    let (system, afterSystem) = try PickleMachine.run(in: source, at: afterVersion)
    guard system.dict(system.root) != nil else {
      throw malformed(system.summary(system.root), "a dict about the system")
    }
    let (graph, afterGraph) = try PickleMachine.run(in: source, at: afterSystem)
    let (keys, afterKeys) = try PickleMachine.run(in: source, at: afterGraph)
    guard case .list(let items)? = keys.node(keys.root) else {
      throw malformed(keys.summary(keys.root), "a list of storage keys")
    }
    let widths = try elementWidths(graph)
    var windows: [[UInt8]: WindowSource] = [:]
    var position = afterKeys
    for item in items {
      guard case .string(let key) = item, let width = widths[key], windows[key] == nil else {
        throw malformed(
          "storage key \(keys.summary(item))", "a key that the object names, once")
      }
      let window = try storage(in: source, at: position, width: width)
      windows[key] = window
      position = window.offset + window.count
    }
    guard position == source.count else {
      throw RecurrentError(
        .ptTrailingBytes, at: "byte \(position)",
        found: "\(source.count - position) bytes after the last storage", expected: "the end")
    }
    return (graph, PyTorchStorages(.windows(windows)))
  }

  /// A count and as many elements.
  static func storage(in source: any ByteSource, at offset: Int, width: Int) throws -> WindowSource
  {
    let (start, overflow) = offset.addingReportingOverflow(8)
    guard !overflow, start <= source.count else {
      throw malformed("the end of the file", "a number of elements", at: offset)
    }
    let count = UInt64(littleEndian: try source.read(offset..<start))
    guard count <= UInt64((source.count - start) / width) else {
      throw malformed("\(count) elements", "at most the bytes that are left", at: offset)
    }
    return try WindowSource(source, offset: start, count: Int(count) * width)
  }

  /// The bytes per element of every storage that the object names.
  private static func elementWidths(_ graph: PickleGraph) throws -> [[UInt8]: Int] {
    var widths: [[UInt8]: Int] = [:]
    for (index, node) in graph.nodes.enumerated() {
      guard case .persistent = node else { continue }
      do {
        let reference = try PyTorchStorages.reference(.node(index), in: graph)
        let width = reference.dtype?.byteCount ?? 1
        guard widths.updateValue(width, forKey: reference.key) ?? width == width else {
          throw malformed("one storage with two element types", "one type")
        }
      } catch let error as RecurrentError {
        throw error.within("storage \(widths.count)")
      }
    }
    return widths
  }

  private static func malformed(
    _ found: String, _ expected: String, at offset: Int? = nil
  ) -> RecurrentError {
    RecurrentError(
      .ptLegacy, at: offset.map { "byte \($0)" }, found: found, expected: expected)
  }
}
