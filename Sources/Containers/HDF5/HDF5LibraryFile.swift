// Walking an HDF5 file with libhdf5.

import Bytes
import CHDF5
import Tensors

/// A file opened with libhdf5; it stays open while a dataset needs the library to be read.
package final class HDF5LibraryFile: Sendable {
  package let id: hid_t
  /// What windows on contiguous elements look at.
  package let source: any ByteSource
  private let input: InputFile

  /// Opens the file by its path; throws `.inputChanged` when the path now names another file.
  package init(_ input: InputFile) throws {
    self.input = input
    source = input
    try Self.checkIdentity(input)
    id = try HDF5Library.locked {
      let access = try HDF5Library.check(
        H5Pcreate(chdf5_file_access_class()), "create an access list")
      defer { H5Pclose(access) }
      try HDF5Library.check(H5Pset_fapl_sec2(access), "choose its file driver")
      try HDF5Library.check(H5Pset_fclose_degree(access, H5F_CLOSE_STRONG), "set its close degree")
      try HDF5Library.check(H5Pset_file_locking(access, false, true), "switch off file locks")
      let readOnly: UInt32 = 0
      return try HDF5Library.check(H5Fopen(input.path, readOnly, access), "open the file")
    }
    try Self.checkIdentity(input)
  }

  /// Throws when the file on disk is no longer the one that was opened.
  package func checkUnchanged() throws { try input.checkUnchanged() }

  deinit { HDF5Library.close { H5Fclose(id) } }

  private static func checkIdentity(_ input: InputFile) throws {
    guard input.isSameFile(as: input.path) else {
      throw RecurrentError(
        .fileChanged, found: "the path names another file than the one opened",
        expected: "a file that nobody replaces")
    }
    try input.checkUnchanged()
  }

  /// Describes every object of the file.
  package func contents() throws -> HDF5Contents {
    try HDF5Library.locked {
      var walk = HDF5Walk(file: self)
      try walk.run()
      return walk.contents
    }
  }
}

/// An iterative walk, depth first, over hard links only.
private struct HDF5Walk {
  let file: HDF5LibraryFile
  var contents = HDF5Contents()
  private var pending: [Item] = [Item(path: [], link: .hard, ancestors: [])]
  private var groups: [UInt64: String] = [:]
  private var attributeCount = 0

  private enum Link {
    case hard
    case soft(Name)
  }

  private struct Item {
    let path: [Name]
    let link: Link
    /// The addresses of the groups on the way here.
    let ancestors: [UInt64]

    var libraryPath: String { "/" + path.map(\.string).joined(separator: "/") }
  }

  init(file: HDF5LibraryFile) { self.file = file }

  mutating func run() throws {
    while let item = pending.popLast() {
      switch item.link {
      case .soft(let target):
        contents.nodes.append(HDF5Node(path: item.path, object: .softLink(target: target)))
      case .hard:
        try visit(item)
      }
    }
  }

  private mutating func visit(_ item: Item) throws {
    let place = item.libraryPath
    var object = chdf5_object()
    try HDF5Library.check(
      chdf5_object_info(file.id, place, &object), "describe an object", at: place)
    if object.is_group != 0 {
      try visitGroup(item, object)
    } else if object.is_dataset != 0 {
      try count(attributes: object.attribute_count, at: place)
      let dataset = try HDF5LibraryDataset.describe(place, identity: object.address, in: file)
      contents.nodes.append(HDF5Node(path: item.path, object: .dataset(dataset)))
    } else {
      contents.nodes.append(HDF5Node(path: item.path, object: .other("a committed type")))
    }
  }

  private mutating func visitGroup(_ item: Item, _ object: chdf5_object) throws {
    let place = item.libraryPath
    guard !item.ancestors.contains(object.address) else {
      throw RecurrentError(
        .hdf5Cycle, at: place, found: "a group inside itself", expected: "a tree")
    }
    if let first = groups.updateValue(place, forKey: object.address) {
      throw RecurrentError(
        .hdf5SharedGroup, at: place, found: "a second link to the group \(first)",
        expected: "one link to every group")
    }
    guard item.path.count < HDF5Limit.depth else {
      throw RecurrentError(
        .hdf5Depth, at: place, found: "groups nested deeper than the limit",
        expected: "at most \(HDF5Limit.depth) levels")
    }
    try count(attributes: object.attribute_count, at: place)
    let id = try HDF5Library.check(
      H5Gopen2(file.id, place, chdf5_default()), "open a group", at: place)
    defer { H5Gclose(id) }
    let properties = try HDF5Library.check(
      H5Gget_create_plist(id), "read a group's properties", at: place)
    defer { H5Pclose(properties) }
    var order: UInt32 = 0
    try HDF5Library.check(
      H5Pget_link_creation_order(properties, &order), "read a group's order", at: place)
    // Bit 0: tracked, bit 1: indexed; the library iterates tracked links in either case.
    let isInCreationOrder = order & 1 != 0
    let attributes = try HDF5LibraryAttributes.read(of: id, properties: properties, at: place)
    contents.nodes.append(
      HDF5Node(
        path: item.path,
        object: .group(HDF5Group(attributes: attributes, isInCreationOrder: isInCreationOrder))))
    let children = try links(of: id, isInCreationOrder: isInCreationOrder, at: place)
    guard contents.nodes.count + pending.count + children.count <= HDF5Limit.objects
    else { throw Self.tooMany("objects", HDF5Limit.objects, at: place) }
    let ancestors = item.ancestors + [object.address]
    for (name, link) in children.reversed() {
      pending.append(Item(path: item.path + [name], link: link, ancestors: ancestors))
    }
  }

  private mutating func count(attributes: UInt64, at place: String) throws {
    attributeCount += Int(clamping: min(attributes, UInt64(Int32.max)))
    guard attributeCount <= HDF5Limit.attributes else {
      throw Self.tooMany("attributes", HDF5Limit.attributes, at: place)
    }
  }

  private static func tooMany(_ things: String, _ limit: Int, at place: String) -> RecurrentError {
    RecurrentError(
      .hdf5TooMany, at: place, found: "too many \(things)",
      expected: "at most \(limit)")
  }

  private final class Collected {
    var links: [(name: [UInt8], type: Int32)] = []
  }

  private func links(
    of group: hid_t, isInCreationOrder: Bool, at place: String
  ) throws -> [(Name, Link)] {
    let collected = Collected()
    let status = withExtendedLifetime(collected) {
      chdf5_iterate_links(
        group, isInCreationOrder ? 1 : 0,
        { name, type, context in
          guard let name, let context else { return -1 }
          let collected = Unmanaged<Collected>.fromOpaque(context).takeUnretainedValue()
          collected.links.append((bytes(of: name), type))
          return collected.links.count > HDF5Limit.objects ? 1 : 0
        }, Unmanaged.passUnretained(collected).toOpaque())
    }
    try HDF5Library.check(status, "list a group", at: place)
    if status > 0 { throw Self.tooMany("links", HDF5Limit.objects, at: place) }
    return try collected.links.map { raw, type in
      let name = try validated(raw, at: place)
      switch type {
      case 0: return (name, .hard)
      case 1: return (name, .soft(try softTarget(of: name, in: group, at: place)))
      case 64:
        throw RecurrentError(
          .hdf5ExternalLink, at: (place == "/" ? "" : place) + "/" + name.string,
          found: "a link into another file", expected: "data inside the file")
      default:
        throw RecurrentError(
          .hdf5UserLink, at: (place == "/" ? "" : place) + "/" + name.string,
          found: "a user-defined link (type \(type))", expected: "hard and soft links")
      }
    }
  }

  private func validated(_ raw: [UInt8], at place: String) throws -> Name {
    guard let name = Name(validating: raw), !raw.isEmpty, raw != [0x2E], !raw.contains(0x2F) else {
      throw RecurrentError(
        .hdf5Name, at: place,
        found: "the link name \(String(decoding: raw, as: UTF8.self))",
        expected: "valid UTF-8 that is neither empty nor \".\" and has no slash")
    }
    return name
  }

  private func softTarget(of name: Name, in group: hid_t, at place: String) throws -> Name {
    var size = 0
    try HDF5Library.check(
      chdf5_soft_link_size(group, name.string, &size), "read a soft link", at: place)
    guard size <= 1 << 16 else { throw Self.tooMany("bytes of a soft link", 1 << 16, at: place) }
    var buffer = [UInt8](repeating: 0, count: size + 1)
    try HDF5Library.check(
      H5Lget_val(group, name.string, &buffer, size, chdf5_default()), "read a soft link", at: place)
    guard let target = Name(validating: buffer.prefix { $0 != 0 }) else {
      throw RecurrentError(
        .hdf5Name, at: (place == "/" ? "" : place) + "/" + name.string,
        found: "a soft link that is not valid UTF-8", expected: "a path")
    }
    return target
  }
}

/// The bytes of a C string.
package func bytes(of text: UnsafePointer<CChar>) -> [UInt8] {
  var result: [UInt8] = []
  var pointer = text
  while pointer.pointee != 0 {
    result.append(UInt8(bitPattern: pointer.pointee))
    pointer += 1
  }
  return result
}
