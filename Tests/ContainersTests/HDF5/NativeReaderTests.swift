// Our own reader against h5py's values (tools/goldens/make_hdf5_layouts.py) and against libhdf5.

import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers

@Suite("Our HDF5 reader finds what h5py and libhdf5 find")
struct NativeReaderTests {
  static let layouts = HDF5Golden.load(
    HDF5Golden.directory.deletingLastPathComponent().appendingPathComponent("hdf5-layouts"))

  @Test func theGoldensAreThere() {
    #expect(Self.layouts.count == 14)
    #expect(Self.layouts.allSatisfy { !$0.tensors.isEmpty })
  }

  /// Every chunk index, every way to store links and attributes, every filter.
  @Test(arguments: layouts) func readsAsH5pyDoes(_ golden: HDF5Golden) throws {
    let contents = try HDF5Reader(source: InputFile(path: golden.path)).contents()
    let state = try HDF5Layout(contents).stateDict()
    #expect(Set(state.names) == Set(golden.tensors.map { Name($0.key) }))
    for item in golden.tensors {
      let tensor = try #require(state[Name(item.key)])
      #expect(tensor.dtype.rawValue == item.dtype, "\(item.key)")
      #expect(tensor.shape == item.shape, "\(item.key)")
      #expect(try tensor.bytes() == item.bytes, "\(item.key)")
    }
  }

  /// What libhdf5 1.10 says of the same files: every node, attribute and byte.
  @Test(arguments: HDF5Golden.all.filter { $0.error == nil } + layouts)
  func agreesWithTheLibrary(_ golden: HDF5Golden) throws {
    let file = try InputFile(path: golden.path)
    let theirs: HDF5Contents
    do {
      theirs = try HDF5LibraryFile(file).contents()
    } catch let error as RecurrentError
      where ["h5.library", "h5.newer", "h5.filter"].contains(error.reason.code)
    {
      // HDF5 2.0 writes layouts that 1.10 does not know, and it has no LZF.
      return #expect(golden.name.contains("latest") || golden.name.contains("lzf"), "\(error)")
    }
    let ours = try HDF5Reader(source: file).contents()
    try #require(ours.nodes.map(\.path) == theirs.nodes.map(\.path))
    for (our, their) in zip(ours.nodes, theirs.nodes) { try expectEqual(our, their) }
  }

  private func expectEqual(_ our: HDF5Node, _ their: HDF5Node) throws {
    switch (our.object, their.object) {
    case (.softLink(let our), .softLink(let their)): #expect(our == their)
    case (.other(let our), .other(let their)): #expect(our == their)
    case (.group(let one), .group(let other)):
      #expect(one.isInCreationOrder == other.isInCreationOrder, "\(our.pathText)")
      #expect(one.attributes.map(\.name) == other.attributes.map(\.name), "\(our.pathText)")
      let values = one.attributes.map { "\($0.value)" }
      #expect(values == other.attributes.map { "\($0.value)" }, "\(our.pathText)")
    case (.dataset(let one), .dataset(let other)):
      #expect(one.type == other.type, "\(our.pathText)")
      #expect(one.shape == other.shape, "\(our.pathText)")
      #expect(one.dtypeAttribute == other.dtypeAttribute, "\(our.pathText)")
      #expect(try one.source?.readAll() == other.source?.readAll(), "\(our.pathText)")
    default: Issue.record("\(our) is not \(their)")
    }
  }

  /// A stored member of an archive is a range of a file; addresses count from its beginning.
  @Test(arguments: HDF5Golden.all.filter { $0.error == nil } + layouts)
  func readsFromARangeOfAFile(_ golden: HDF5Golden) throws {
    let bytes = try Array(Data(contentsOf: URL(fileURLWithPath: golden.path)))
    let around = [UInt8](repeating: 0x5A, count: 77)
    let window = try WindowSource(
      MemorySource(around + bytes + around), offset: 77, count: bytes.count)
    let state = try HDF5Layout(HDF5Reader(source: window).contents()).stateDict()
    #expect(state.count == golden.tensors.count)
    for item in golden.tensors {
      #expect(try state[Name(item.key)]?.bytes() == item.bytes, "\(item.key)")
    }
  }

  @Test(arguments: ["indexes-earliest.h5", "indexes-latest.h5"])
  func chunksAreDecodedInPieces(_ name: String) throws {
    let golden = try #require(Self.layouts.first { $0.name == name })
    let state = try HDF5Layout(
      HDF5Reader(source: InputFile(path: golden.path)).contents()
    ).stateDict()
    for item in golden.tensors {
      let source = try #require(state[Name(item.key)]).source
      var pieces: [UInt8] = []
      try source.forEachChunk(of: 13) { pieces += $0 }
      #expect(pieces == item.bytes, "\(item.key)")
      let (start, end) = (item.bytes.count / 3, item.bytes.count / 3 * 2 + 1)
      #expect(try source.read(start..<end) == Array(item.bytes[start..<end]), "\(item.key)")
    }
  }

  /// Blocks smaller than a row, a chunk and a band of chunks.
  @Test(arguments: [4, 12, 40, 100, 1000]) func blocksJoinWithoutSeams(_ blockBytes: Int) throws {
    // 5 × 7 elements in chunks of 2 × 3, chunk by chunk, without the last one.
    let grid = try HDF5ChunkGrid(shape: [5, 7], chunkShape: [2, 3], elementSize: 4)
    var stored: [UInt8] = []
    var chunks: [HDF5Chunk] = []
    var wanted = [UInt8](repeating: 9, count: 5 * 7 * 4)
    for index in 0..<8 {
      let place = grid.coordinates(of: index)
      let bytes = (0..<24).map { UInt8(index * 24 + $0) }
      for row in 0..<min(2, 5 - place[0] * 2) {
        for column in 0..<min(3, 7 - place[1] * 3) {
          let target = ((place[0] * 2 + row) * 7 + place[1] * 3 + column) * 4
          let source = (row * 3 + column) * 4
          wanted.replaceSubrange(target..<target + 4, with: bytes[source..<source + 4])
        }
      }
      chunks.append(HDF5Chunk(index: index, address: stored.count, size: 24, mask: 0))
      stored += bytes
    }
    let image = HDF5Image(
      MemorySource(stored), base: 0, count: stored.count, offsetSize: 8, lengthSize: 8)
    let source = try HDF5DecodedSource(
      image, grid, chunks, HDF5Filters(), leavesEdgesUnfiltered: false, fill: [9, 9, 9, 9],
      blockBytes: blockBytes, bandBytes: blockBytes)
    var pieces: [UInt8] = []
    try source.forEachChunk(of: 9) { pieces += $0 }
    #expect(pieces == wanted)
    #expect(try source.read(33..<35) == Array(wanted[33..<35]))
  }

  @Test func arraysOfTextAreRead() throws {
    let golden = try #require(HDF5Golden.all.first { $0.name == "attributes.h5" })
    let contents = try HDF5Reader(source: InputFile(path: golden.path)).contents()
    guard case .group(let root) = contents.nodes.first?.object else {
      Issue.record("no root")
      return
    }
    let values = Dictionary(
      uniqueKeysWithValues: root.attributes.map { ($0.name, "\($0.value)") })
    #expect(values["list"] == "\(HDF5Attribute.Value.texts(["a", "b"]))")
    #expect(values["one"] == "\(HDF5Attribute.Value.text("single"))")
  }

  @Test func checksumsAreThoseOfTheirAuthors() {
    // From the comments of lookup3.c.
    #expect(hdf5Checksum([]) == 0xDEAD_BEEF)
    #expect(hdf5Checksum(Array("Four score and seven years ago".utf8)[...]) == 0x1777_0551)
    // Two words, then an odd byte: 0x0102, 0x0304, 0x0500.
    #expect(hdf5Fletcher32([1, 2, 3, 4, 5]) == 0x0E0E_0906)
  }
}
