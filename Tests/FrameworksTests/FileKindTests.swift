import Bytes
import Foundation
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// What a file is taken for, and what is said of files that are no weights.
@Suite("A file is taken for what it is, and a stranger is called by its name")
struct FileKindTests {
  /// Opens a file with these bytes.
  private func open(_ bytes: [UInt8], name: String = "file", _ format: WeightFormat? = nil) throws
    -> WeightFile
  {
    try withTemporaryFolder { (folder: String) throws in
      let path = folder + "/" + name
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      return try WeightFile(path: path, format: format)
    }
  }

  private func zip(_ members: [(Name, [UInt8])]) throws -> [UInt8] {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    for (name, bytes) in members { try zip.add(name, [MemorySource(bytes)]) }
    try zip.finish()
    return sink.bytes
  }

  @Test func impostorsAreCalledByTheirNames() throws {
    func refusal(_ bytes: [UInt8]) -> RecurrentError? {
      #expect(throws: RecurrentError.self) { try open(bytes) }
    }
    func found(_ bytes: [UInt8]) -> String? { refusal(bytes)?.reason.code }
    #expect(found([]) == "file.empty")
    let unknown = refusal([1, 0xAB, 0, 4, 5, 6, 7, 8, 9])
    #expect(unknown?.reason.code == "file.unrecognized")
    #expect(unknown?.found == "9 bytes that begin with 01 ab 00 04 05 06 07 08")
    #expect(refusal([7])?.found == "1 bytes that begin with 07")
    #expect(found(Array("version https://git-lfs.github.com/spec/v1".utf8)) == "file.lfs-pointer")
    #expect(found([0x1F, 0x8B, 8, 0]) == "file.gzip")
    #expect(found(Array("<!DOCTYPE html><html>".utf8)) == "file.html")
    #expect(found(Array("<html></html>".utf8)) == "file.html")
    #expect(found(try zip([("notes.txt", [1])])) == "zip.contents")
    var cut = try zip([("a.npy", [1, 2, 3])])
    cut.removeLast(5)
    #expect(found(cut) == "zip.end")
    // A tar file of something else, sound and damaged.
    var tar = try Golden.bytes("pt-legacy/tar-views.pt")
    let folder = Array("storages".utf8)
    #expect(tar.starts(with: folder))
    tar[0] = UInt8(ascii: "z")
    // The checksum counts the bytes: s to z is 7 more.
    let digits = tar[148..<154].map { Int($0) - 0x30 }
    let sum = digits.reduce(0) { $0 * 8 + $1 } + 7
    let octal = String(sum, radix: 8)
    tar.replaceSubrange(
      148..<154, with: (String(repeating: "0", count: 6 - octal.count) + octal).utf8)
    #expect(found(tar) == "file.tar")
    tar[0] = UInt8(ascii: "y")
    #expect(found(tar) == "tar.malformed")
  }

  @Test func aFileMayBeAskedWhatItIs() throws {
    try withTemporaryFolder { (folder: String) throws in
      func isContainer(_ bytes: [UInt8]) throws -> Bool {
        let path = folder + "/asked"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return try WeightFile.isContainer(path: path)
      }
      #expect(try isContainer(Golden.bytes("pt-legacy/storage-view.pt")))
      #expect(try isContainer([0x1F, 0x8B, 8]))
      #expect(try !isContainer([1, 2, 3]))
      #expect(try !isContainer([]))
    }
  }

  @Test func aSingleArrayIsReadAndNotWritten() throws {
    let tensor = try Tensor.make([1.5, -2, 3, 4, 5, 6], shape: [2, 3])
    let bytes = try NPY.prefix(of: tensor) + tensor.bytes()
    let file = try open(bytes, name: "one.npy")
    #expect(file.format.name == "npy" && file.state.names == ["array"])
    #expect(file.files.count == 1)
    #expect(try file.state["array"]?.isIdentical(to: tensor) == true)
    let state = file.state
    try withTemporaryFolder { (folder: String) throws in
      for format in [WeightFormat.npy, .tensorFlowCheckpoint] {
        let error = #expect(throws: RecurrentError.self) {
          try format.write(state, to: folder + "/out") { _ in }
        }
        #expect(error?.reason.code == "usage.read-only" && error?.kind == .argument)
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
    let future = bytes[..<6] + [9] + bytes[7...]
    #expect(reason { _ = try open(Array(future), .npy) } == "npy.version")
  }

  @Test func extensionsNameContainers() throws {
    for (path, name) in [
      ("a/b.PT", "pt"), ("b.pth", "pt"), ("x.weights.h5", "keras-weights"), ("x.h5", "hdf5"),
      ("m.safetensors.index.json", "sharded"), ("m.safetensors", "safetensors"),
    ] {
      #expect(try WeightFormat.forWriting(path: path).name == name, "\(path)")
    }
    for path in ["a.npy", "a", "", "/", "a.index", "pt"] {
      #expect(reason { _ = try WeightFormat.forWriting(path: path) } == "usage.extension")
    }
    let error = #expect(throws: RecurrentError.self) { try WeightFormat.named("safetensor") }
    #expect(error?.reason.code == "usage.format")
    #expect(error?.hint == "Did you mean safetensors?")
    #expect(reason { _ = try WeightFormat.named("cuneiform tablet") } == "usage.format")
    for (framework, container) in [("pytorch", "pt"), ("TensorFlow", "tf"), ("Flax", "msgpack")] {
      let error = #expect(throws: RecurrentError.self) { try WeightFormat.named(framework) }
      #expect(error?.hint == "Did you mean \(container)?")
    }
    #expect(try WeightFormat.named("onnx").name == "onnx")
  }

  @Test func whatWasReadBackIsCompared() throws {
    var planned = StateDict()
    try planned.append("a", Tensor.make([1.0, 2], shape: [2]))
    try planned.append("b", Tensor.make([3.0], shape: []))
    planned.metadata["k"] = "v"
    try planned.checkReadBack(of: planned)
    func place(_ written: StateDict) -> String? {
      let error = #expect(throws: RecurrentError.self) { try written.checkReadBack(of: planned) }
      #expect(error?.reason.code == "proof.read-back" && error?.kind == .fault)
      return error?.place
    }
    var other = planned
    try other.append("c", Tensor.make([1.0], shape: [1]))
    #expect(place(other) == "tensor \"c\"")
    other = StateDict()
    try other.append("a", Tensor.make([1.0, 2], shape: [2]))
    #expect(place(other) == "tensor \"b\"")
    try other.append("b", Tensor.make([4.0], shape: []))
    #expect(place(other) == "tensor \"b\"")
    other = planned
    other.metadata["k"] = "w"
    #expect(place(other) == "metadata \"k\"")
    other.metadata["k"] = nil
    #expect(place(other) == "metadata \"k\"")
  }

  @Test func archivesOfArraysHoldArraysOnly() throws {
    func npy(_ tensor: Tensor) throws -> [UInt8] { try NPY.prefix(of: tensor) + tensor.bytes() }
    let array = try npy(Tensor.make([1.0, 2], shape: [2]))
    func read(_ members: [(Name, [UInt8])]) -> String? {
      reason { _ = try NPZ.read(MemorySource(zip(members))) }
    }
    func metadata(_ text: String) throws -> [(Name, [UInt8])] {
      let bytes = Array(text.utf8)
      return [
        ("a.npy", array),
        ("__metadata__.npy", try npy(Tensor(dtype: .u8, shape: [bytes.count], bytes: bytes))),
      ]
    }
    #expect(read([("a.npy", array)]) == nil)
    #expect(read([("a.npy", array), ("notes.txt", [1])]) == "npz.member")
    #expect(read([("a.npy", array), ("__metadata__.npy", array)]) == "npz.metadata")
    #expect(read(try metadata(#"{"a": "b"}"#)) == nil)
    #expect(read(try metadata("[]")) == "npz.metadata")
    #expect(read(try metadata(#"{"a": 1}"#)) == "npz.metadata")
    #expect(read(try metadata("{")) == "json.truncated")
  }

  @Test func namesAreToldApart() throws {
    var state = StateDict()
    try state.append("a", Tensor.make([1.0], shape: [1]))
    try state.append("a.npy", Tensor.make([1.0], shape: [1]))
    #expect(reason { try WeightFormat.npz.check(state) } == "npz.name")
    var half = StateDict()
    try half.append("a", Tensor(dtype: .bf16, shape: [1], bytes: [0, 0]))
    let error = #expect(throws: RecurrentError.self) { try NPZ.write(half, to: MemorySink()) }
    #expect(error?.reason.code == "npy.bf16" && error?.place == "tensor \"a\"")
  }

  /// An input that gives other bytes when it is read again.
  private final class FickleSource: ByteSource, @unchecked Sendable {
    let count = 8
    var reads: UInt8 = 0
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
      reads += 1
      for index in buffer.indices { buffer[index] = reads }
    }
  }

  @Test func whatIsWrittenIsWhatItsChecksumIsOf() throws {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    let source = FickleSource()
    try zip.add("a", [source])
    try zip.finish()
    #expect(source.reads == 1)
    let archive = try ZipArchive(MemorySource(sink.bytes))
    let entry = try #require(archive.entries.first)
    #expect(try archive.source(of: entry).readAll() == [UInt8](repeating: 1, count: 8))
  }

  @Test func shardsThatCannotAppearLeaveNothing() throws {
    try withTemporaryFolder { (folder: String) throws in
      var state = StateDict()
      for (index, name) in ["z", "b", "a"].enumerated() {
        try state.append(Name(name), Tensor.make([Double(index), 1, 2], shape: [3]))
      }
      let format = WeightFormat.sharded(shardSize: 30)
      let index = folder + "/m.safetensors.index.json"
      let taken = folder + "/m-00002-of-00003.safetensors"
      // In the way only when the first shard has its name already.
      #expect(throws: RecurrentError.self) {
        try format.write(state, to: index) { _ in
          try Data([7]).write(to: URL(fileURLWithPath: taken))
        }
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(names == ["m-00002-of-00003.safetensors"])
      try FileManager.default.removeItem(atPath: taken)
      // Names whose canonical order is another keep theirs.
      try format.write(state, to: index) { try $0.checkReadBack(of: state) }
      let file = try WeightFile(path: index)
      #expect(file.state.names == ["z", "b", "a"] && file.files.count == 4)
    }
  }

  @Test func placesThatTakeNoFileAreRefused() throws {
    for path in ["/proc/no.npz", "/sys/no.npz"]
    where FileManager.default.fileExists(atPath: "/proc") {
      let error = #expect(throws: RecurrentError.self) {
        try OutputFile(path: path, overwrite: false)
      }
      #expect(error?.reason.code == "output.create" && error?.kind == .output)
    }
    try withTemporaryFolder { (folder: String) throws in
      let output = try OutputFile(path: folder + "/huge", overwrite: false)
      let error = #expect(throws: RecurrentError.self) { try output.reserve(1 << 62) }
      #expect(error?.reason.code == "file.full")
    }
  }
}
