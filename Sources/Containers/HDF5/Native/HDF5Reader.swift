// Our own reader of HDF5, for files and for ranges of files.
//
//   superblock                 HDF5Superblock      where the root group's header lies
//   object header              HDF5ObjectHeader    messages: what an object is
//     0x01 dataspace           HDF5Dataspace       shape
//     0x02, 0x06, 0x11 links   HDF5Links           by a symbol table (HDF5BTree1, HDF5LocalHeap), in
//                                                  the header, or dense (HDF5BTree2, HDF5FractalHeap)
//     0x03 datatype            HDF5Datatype
//     0x04, 0x05 fill value    HDF5FillValue
//     0x08 layout              HDF5Storage         compact, contiguous, or chunked (HDF5ChunkIndex)
//     0x0B filters             HDF5Filters         deflate, lzf, shuffle, fletcher32
//     0x0C, 0x15 attributes    HDF5AttributeReader in the header or dense; text in HDF5GlobalHeap
//
// Everything is bounded (`HDF5Limit`), nothing recurs, and no two structures may share bytes. What is
// valid but not in the subset is refused with the reason `hdf5OutsideSubset`, which sends `HDF5.read` to
// libhdf5.

import Tensors

/// Reads what an HDF5 file holds from any source of bytes.
package struct HDF5Reader {
  private let image: HDF5Image
  private let root: Int

  /// Finds the superblock, at byte 0, 512, 1024, 2048 and so on of the source.
  package init(source: any ByteSource) throws {
    guard let start = HDF5.signatureOffset(in: source) else {
      throw RecurrentError(
        .hdf5Signature, found: "no HDF5 signature", expected: "an HDF5 file")
    }
    let superblock = try HDF5Superblock(source, at: start)
    image = superblock.image
    root = superblock.root
  }

  /// Describes every object of the file; chunks are decoded when their elements are read.
  package func contents() throws -> HDF5Contents {
    var walk = HDF5ReaderWalk(image: image, root: root)
    try walk.run()
    try image.checkOverlaps()
    return walk.contents
  }
}

/// An iterative walk, depth first, over hard links only.
private struct HDF5ReaderWalk {
  let image: HDF5Image
  var contents = HDF5Contents()
  private var attributes: HDF5AttributeReader
  private var pending: [Item]
  private var groups: [Int: String] = [:]
  private var others: [Int: HDF5Node.Object] = [:]

  private struct Item {
    let path: [Name]
    let target: HDF5Link.Target
    /// The addresses of the groups on the way here.
    let ancestors: [Int]
  }

  init(image: HDF5Image, root: Int) {
    self.image = image
    attributes = HDF5AttributeReader(image)
    pending = [Item(path: [], target: .hard(root), ancestors: [])]
  }

  mutating func run() throws {
    while let item = pending.popLast() {
      switch item.target {
      case .soft(let target):
        contents.nodes.append(HDF5Node(path: item.path, object: .softLink(target: target)))
      case .hard(let address):
        try visit(item, address)
      }
    }
  }

  private func text(_ path: [Name]) -> String { "/" + path.map(\.string).joined(separator: "/") }

  private mutating func visit(_ item: Item, _ address: Int) throws {
    let place = text(item.path)
    guard !item.ancestors.contains(address) else {
      throw RecurrentError(
        .hdf5Cycle, at: "group \"\(place)\"", found: "a group inside itself",
        expected: "a tree")
    }
    if let first = groups[address] {
      throw RecurrentError(
        .hdf5SharedGroup, at: "group \"\(place)\"",
        found: "a second link to the group \(first)", expected: "one link to every group")
    }
    if let object = others[address] {
      contents.nodes.append(HDF5Node(path: item.path, object: object))
      return
    }
    var kind = "object"
    do {
      let header = try attributes.header(at: address)
      if !header.all(0x11).isEmpty || !header.all(0x02).isEmpty {
        kind = "group"
        groups[address] = place
        try visitGroup(item, header)
      } else {
        kind = "dataset"
        let object = try object(header, name: "dataset \"\(place)\"")
        others[address] = object
        contents.nodes.append(HDF5Node(path: item.path, object: object))
      }
    } catch let error as RecurrentError {
      throw error.within("\(kind) \"\(place)\"")
    }
  }

  private mutating func object(
    _ header: HDF5ObjectHeader, name: String
  ) throws -> HDF5Node.Object {
    if header.isCommittedType { return .other("a committed type") }
    return .dataset(
      try HDF5DatasetReader(image: image).dataset(header, &attributes, name: name))
  }

  private mutating func visitGroup(_ item: Item, _ header: HDF5ObjectHeader) throws {
    guard item.path.count < HDF5Limit.depth else {
      throw RecurrentError(
        .hdf5Depth, found: "groups nested deeper than the limit",
        expected: "at most \(HDF5Limit.depth) levels")
    }
    let found = try HDF5Links(of: header, in: image)
    let group = HDF5Group(
      attributes: try attributes.attributes(of: header),
      isInCreationOrder: found.isInCreationOrder)
    contents.nodes.append(HDF5Node(path: item.path, object: .group(group)))
    guard contents.nodes.count + pending.count + found.links.count <= HDF5Limit.objects else {
      throw RecurrentError(
        .hdf5TooMany, found: "too many objects",
        expected: "at most \(HDF5Limit.objects)")
    }
    let ancestors = item.ancestors + [header.address]
    for link in found.links.reversed() {
      pending.append(Item(path: item.path + [link.name], target: link.target, ancestors: ancestors))
    }
  }
}
