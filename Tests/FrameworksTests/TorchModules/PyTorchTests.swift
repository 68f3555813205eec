import Bytes
import Foundation
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("PyTorch's files are read, written and refused bit for bit")
struct PyTorchTests {
  private struct Expected: Decodable {
    var files: [String: Golden.Expectation]
    var refused: [String: String]
  }

  @Test func filesOfPyTorchAreRead() throws {
    let expected = try Golden.decode(Expected.self, "pt/expected.json")
    #expect(expected.files.count == 11)
    for (file, expectation) in expected.files {
      // A file that must be read with a key is refused without one.
      let place =
        expectation.key == nil ? Checkout.golden("pt/\(file)") : Checkout.refused("pt/\(file)")
      let source = MemorySource(try fileBytes(place))
      #expect(PyTorchFile.recognizes(source), "\(file)")
      #expect(!NPZ.recognizes(source), "\(file)")
      let state = try PyTorchFile.read(source, key: expectation.key)
      #expect(try Golden.differences(state, from: expectation) == [], "\(file)")
      var ties: [Name: Name] = [:]
      for (later, first) in expectation.ties ?? [:] { ties[Name(later)] = Name(first) }
      #expect(state.ties == ties, "\(file)")
      for line in expectation.skipped ?? [] { #expect(state.skipped.contains(line), "\(file)") }
    }
  }

  @Test func whatIsNotReadIsNamed() throws {
    let expected = try Golden.decode(Expected.self, "pt/expected.json")
    #expect(expected.refused.count == 8)
    for (file, code) in expected.refused {
      let source = MemorySource(try fileBytes(Checkout.refused("pt/" + file)))
      #expect(PyTorchFile.recognizes(source), "\(file)")
      #expect(reason { _ = try PyTorchFile.read(source) } == code, "\(file)")
    }
  }

  @Test func checkpointsListWhatWasLeftOut() throws {
    let state = try PyTorchFile.read(MemorySource(Golden.bytes("pt/checkpoint.pt")))
    #expect(
      state.skipped == [
        "epoch = 12", "loss = 0.125", "args = a dict of 1",
        "optimizer_state_dict = the state of an optimizer", "best = None", "tag = \"run 7\"",
      ])
    let two = MemorySource(try fileBytes(Checkout.refused("pt/two.pt")))
    #expect(try PyTorchFile.read(two, key: "generator").names == ["w"])
    #expect(try PyTorchFile.read(two).names == ["generator.w", "critic.w"])
    let error = #expect(throws: RecurrentError.self) {
      _ = try PyTorchFile.read(two, key: "discriminator")
    }
    #expect(error?.expected == "one of \"generator\", \"critic\"")
    let unchecked = try PyTorchFile.read(MemorySource(Golden.bytes("pt/nocrc.pt")))
    #expect(unchecked.skipped.count == 1)
  }

  @Test func everythingRoundTrips() throws {
    var state = try sampleState()
    let first = try #require(state["t.f32"])
    try state.append("tied", first)
    state.ties["tied"] = "t.f32"
    let other = try Tensor(dtype: .f32, shape: first.shape, bytes: first.bytes().reversed())
    try state.append("no longer tied", other)
    state.ties["no longer tied"] = "t.f32"
    state.metadata["cell"] = "gru"
    let sink = MemorySink()
    try PyTorchFile.write(state, to: sink)
    let again = try PyTorchFile.read(MemorySource(sink.bytes))
    #expect(try contents(again) == contents(state))
    #expect(again.ties == ["tied": "t.f32"])
    #expect(again.metadata.isEmpty)
    let second = MemorySink()
    try PyTorchFile.write(again, to: second)
    #expect(second.bytes == sink.bytes)
    let zip = try ZipArchive(MemorySource(sink.bytes))
    #expect(zip.entries.allSatisfy { $0.dataOffset % 64 == 0 })
    #expect(zip.entries.count == state.count - 1 + 3)
  }

  @Test func plainTensorsStayWindows() throws {
    let state = try PyTorchFile.read(MemorySource(Golden.bytes("pt/views.pt")))
    #expect(state["base"]?.source is WindowSource)
    #expect(state["rows"]?.source is WindowSource)
    #expect(state["transposed"]?.source is StridedSource)
  }

  @Test(arguments: ["views.pt", "tied.pt", "protocol4.pt", "bigendian.pt"])
  func damageIsRefusedOrHarmless(file: String) throws {
    let bytes = try Golden.bytes("pt/" + file)
    let whole = try contents(PyTorchFile.read(MemorySource(bytes)))
    for index in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 1500)) {
      let cut = MemorySource(Array(bytes[..<index]))
      #expect(reason { _ = try contents(PyTorchFile.read(cut)) } != nil, "cut at \(index)")
      var flipped = bytes
      flipped[index] ^= UInt8(1 << (index % 8))
      let result = reason {
        let read = try contents(PyTorchFile.read(MemorySource(flipped)))
        #expect(read == whole, "flip at \(index)")
      }
      #expect(result?.hasPrefix("foreign") != true)
    }
  }
}

@Suite("Nothing in a pickle is executed")
struct PickleTests {
  /// A file whose data.pkl is `pickle`, with one storage of eight bytes.
  private func file(_ pickle: [UInt8], version: String = "3\n") throws -> MemorySource {
    let sink = MemorySink()
    var zip = ZipWriter(sink)
    try zip.add("m/data.pkl", [MemorySource(pickle)])
    try zip.add("m/data/0", [MemorySource([1, 2, 3, 4, 5, 6, 7, 8])])
    try zip.add("m/version", [MemorySource(Array(version.utf8))])
    try zip.finish()
    return MemorySource(sink.bytes)
  }

  /// `{"w": tensor}` with the given size, stride, offset and element count, as pickle text.
  private func tensor(
    size: [UInt8], stride: [UInt8], offset: UInt8 = 0, count: UInt8 = 2,
    callee: String = "torch._utils\n_rebuild_tensor_v2"
  ) -> [UInt8] {
    func tuple(_ values: [UInt8]) -> [UInt8] {
      [UInt8(ascii: "(")] + values.flatMap { [UInt8(ascii: "K"), $0] } + [UInt8(ascii: "t")]
    }
    var text: [UInt8] = [0x80, 2] + Array("}X\u{1}\0\0\0wc\(callee)\n((X\u{7}\0\0\0storage".utf8)
    text += Array("ctorch\nFloatStorage\nX\u{1}\0\0\00X\u{3}\0\0\0cpuK".utf8) + [count]
    text += Array("tQK".utf8) + [offset] + tuple(size) + tuple(stride)
    return text + [0x89] + Array("}tRs.".utf8)
  }

  @Test func handMadePicklesAreRead() throws {
    let state = try PyTorchFile.read(file(tensor(size: [2], stride: [1])))
    #expect(try state["w"]?.bytes() == [1, 2, 3, 4, 5, 6, 7, 8])
    let repeated = try PyTorchFile.read(file(tensor(size: [3, 1], stride: [0, 9], offset: 1)))
    #expect(try repeated["w"]?.bytes() == [5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 8])
  }

  @Test func lyingTensorsAreRefused() throws {
    let cases: [([UInt8], String)] = [
      (tensor(size: [3], stride: [1]), "tensor.outside-storage"),
      (tensor(size: [2], stride: [2]), "tensor.outside-storage"),
      (tensor(size: [2], stride: [1], offset: 1), "tensor.outside-storage"),
      (tensor(size: [2], stride: [1], count: 3), "pt.storage-size"),
      (tensor(size: [2], stride: [1, 1]), "pt.tensor"),
      (tensor(size: [255, 255, 255, 255], stride: [0, 0, 0, 0]), "pt.expansion"),
      (
        tensor(
          size: Array(repeating: 255, count: 9), stride: Array(repeating: 0, count: 9)),
        "tensor.shape"
      ),
      (
        tensor(size: Array(repeating: 1, count: 65), stride: Array(repeating: 1, count: 65)),
        "pt.tensor"
      ),
      (tensor(size: [2], stride: [1], callee: "torch._utils\n_rebuild_qtensor"), "pt.tensor-kind"),
    ]
    for (pickle, expected) in cases {
      #expect(reason { _ = try PyTorchFile.read(file(pickle)) } == expected)
    }
  }

  @Test func callsOfStrangersAreOnlyData() throws {
    let marker = newPath("")
    let command = "touch \(marker)"
    let call =
      "cposix\nsystem\nX\(String(UnicodeScalar(UInt8(command.utf8.count))))\0\0\0\(command)"
    let asValue: [UInt8] =
      [0x80, 2] + Array("}(X\u{1}\0\0\0x\(call)".utf8) + [0x85] + Array("Ru.".utf8)
    let state = try PyTorchFile.read(file(asValue))
    #expect(state.count == 0)
    #expect(state.skipped == ["x = an object of posix system"])
    let asRoot: [UInt8] = [0x80, 2] + Array(call.utf8) + [0x85] + Array("R.".utf8)
    #expect(reason { _ = try PyTorchFile.read(file(asRoot)) } == "pt.root")
    #expect(!FileManager.default.fileExists(atPath: marker))
  }

  @Test func brokenProgramsAreRefused() throws {
    let cases: [(String, String)] = [
      (".", "pickle.malformed"), ("", "pickle.malformed"), ("}", "pickle.malformed"),
      ("}.}", "pickle.malformed"), ("}}.", "pickle.malformed"), ("(}.", "pickle.malformed"),
      ("t.", "pickle.malformed"), ("K\u{1}K\u{2}s.", "pickle.malformed"),
      ("}K\u{1}a.", "pickle.malformed"), ("}h\u{5}.", "pickle.malformed"),
      ("}(K\u{1}u.", "pickle.malformed"), ("X\u{9}\0\0\0a.", "pickle.malformed"),
      ("cos\nsystem", "pickle.malformed"), ("K\u{1}K\u{2}R.", "pickle.malformed"),
      ("K\u{1}K\u{2}b.", "pickle.malformed"), ("I1\n.", "pickle.opcode"),
      ("(ios\nsystem\n.", "pickle.opcode"), ("P1\n.", "pickle.opcode"), ("K\u{1}.", "pt.root"),
    ]
    for (text, expected) in cases {
      let pickle = [0x80, 2] + Array(text.utf8)
      #expect(reason { _ = try PyTorchFile.read(file(pickle)) } == expected, "\(text)")
    }
    let good = tensor(size: [2], stride: [1])
    for length in 0..<good.count {
      #expect(reason { _ = try PyTorchFile.read(file(Array(good[..<length]))) } != nil)
    }
    for index in good.indices {
      for bit in 0..<8 {
        var flipped = good
        flipped[index] ^= 1 << UInt8(bit)
        let result = reason { _ = try contents(PyTorchFile.read(file(flipped))) }
        #expect(result?.hasPrefix("foreign") != true)
      }
    }
    #expect(reason { _ = try PyTorchFile.read(file(good, version: "11")) } == "pt.version")
    #expect(reason { _ = try PyTorchFile.read(file(good, version: "abc")) } == "pt.version")
  }

  @Test func bombsStaySmall() throws {
    // Each list holds the one before twice: 2^40 leaves in 200 bytes, if anybody counted them.
    var laughs: [UInt8] = [0x80, 2] + Array("}X\u{1}\0\0\0x]".utf8)
    for _ in 0..<40 { laughs += [UInt8(ascii: "2"), 0x86] }
    #expect(try PyTorchFile.read(file(laughs + Array("s.".utf8))).skipped == ["x = a tuple of 2"])
    // A dict that contains itself under a usual key.
    let cycle: [UInt8] =
      [0x80, 2] + Array("}q\0X\u{5}\0\0\0modelh\0s.".utf8)
    #expect(try PyTorchFile.read(file(cycle)).count == 0)
    // Copies of a dict that was filled once.
    var copies: [UInt8] = [0x80, 2] + Array("}(".utf8)
    for key in 0..<100 { copies += [UInt8(ascii: "K"), UInt8(key), UInt8(ascii: "N")] }
    copies += Array("uq\0".utf8)
    for _ in 0..<100 {
      copies += Array("0ccollections\nOrderedDict\nh\0".utf8) + [0x85] + Array("R".utf8)
    }
    #expect(
      reason { _ = try PyTorchFile.read(file(copies + Array(".".utf8))) } == "pickle.malformed")
  }
}
