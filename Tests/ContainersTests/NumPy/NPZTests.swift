import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

@Suite("NumPy's archives are read, written and refused as NumPy means them")
struct NPZTests {
  @Test func filesOfNumPyAreRead() throws {
    let files = try Golden.decode([String: Golden.Expectation].self, "npz/expected.json")
    #expect(files.count == 5)
    for (file, expected) in files {
      let source = MemorySource(try Golden.bytes("npz/" + file))
      #expect(NPZ.recognizes(source), "\(file)")
      #expect(try Golden.differences(try NPZ.read(source), from: expected) == [], "\(file)")
    }
  }

  @Test func singleArraysOfNumPyAreRead() throws {
    let files = try Golden.decode([String: Golden.Expectation].self, "npy/expected.json")
    #expect(files.count == 7)
    for (file, expected) in files {
      let source = MemorySource(try Golden.bytes("npy/" + file))
      #expect(WeightFormat.npy.recognizes(source), "\(file)")
      var state = StateDict()
      try state.append("array", NPY.read(source))
      #expect(try Golden.differences(state, from: expected) == [], "\(file)")
    }
  }

  @Test func everythingRoundTrips() throws {
    var state = try sampleState(without: [.bf16])
    state.metadata["cell"] = "lstm"
    state.metadata["source"] = "größe \"x\"\n"
    let sink = MemorySink()
    try NPZ.write(state, to: sink)
    let again = try NPZ.read(MemorySource(sink.bytes))
    #expect(try contents(again) == contents(state))
    #expect(again.metadata == state.metadata)
    let second = MemorySink()
    try NPZ.write(again, to: second)
    #expect(second.bytes == sink.bytes)
  }

  @Test func dataIsAligned() throws {
    let sink = MemorySink()
    try NPZ.write(try sampleState(without: [.bf16]), to: sink)
    let zip = try ZipArchive(MemorySource(sink.bytes))
    for entry in zip.entries {
      #expect(entry.dataOffset % 64 == 0)
      let bytes = try zip.source(of: entry).readAll()
      #expect((10 + Int(bytes[8]) + Int(bytes[9]) << 8) % 64 == 0)
    }
  }

  @Test func whatNumPyCannotSayIsRefused() throws {
    let sink = MemorySink()
    #expect(reason { try NPZ.write(try sampleState(), to: sink) } == "npy.bf16")
    let tensor = try Tensor(dtype: .u8, shape: [1], bytes: [7])
    var reserved = StateDict()
    try reserved.append("__metadata__", tensor)
    #expect(reason { try NPZ.write(reserved, to: sink) } == "npz.name")
    var confusing = StateDict()
    try confusing.append("a", tensor)
    try confusing.append("a.npy", tensor)
    #expect(reason { try NPZ.write(confusing, to: sink) } == "npz.name")
  }

  @Test(arguments: ["special.npz", "piped.npz", "compressed.npz"])
  func damageIsRefusedOrHarmless(file: String) throws {
    let bytes = try Golden.bytes("npz/" + file)
    let whole = try contents(NPZ.read(MemorySource(bytes)))
    let step = max(1, bytes.count / 1500)
    for index in stride(from: 0, to: bytes.count, by: step) {
      let cut = reason { _ = try contents(NPZ.read(MemorySource(Array(bytes[..<index])))) }
      #expect(cut != nil, "cut at \(index)")
      var flipped = bytes
      flipped[index] ^= UInt8(1 << (index % 8))
      let result = reason {
        let read = try contents(NPZ.read(MemorySource(flipped)))
        #expect(read == whole, "flip at \(index)")
      }
      #expect(result?.hasPrefix("foreign") != true)
    }
  }
}

@Suite("NumPy's arrays in every order and byte order")
struct NPYTests {
  private func file(_ header: String, _ data: [UInt8] = [], version: UInt8 = 1) -> MemorySource {
    let text = Array(header.utf8)
    let length = [UInt8(text.count & 255), UInt8(text.count >> 8)] + (version > 1 ? [0, 0] : [])
    return MemorySource([0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data)
  }

  @Test func headersInOtherSpellingsAreRead() throws {
    let data: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    let spellings = [
      "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }  \n",
      "{\"shape\":(2L,3L,),\"descr\":\"=i2\",\"fortran_order\":False}",
    ]
    for (version, header) in zip([1, 2] as [UInt8], spellings) {
      let tensor = try NPY.read(file(header, data, version: version))
      #expect(tensor.dtype == .i16 && tensor.shape == [2, 3])
      #expect(try tensor.bytes() == data)
    }
    let swapped = try NPY.read(
      file("{'descr': '>i2', 'fortran_order': True, 'shape': (3, 2)}", data))
    #expect(try swapped.bytes() == [1, 0, 7, 6, 3, 2, 9, 8, 5, 4, 11, 10])
  }

  @Test func wrongHeadersAreRefused() {
    let cases: [(String, String)] = [
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "npy.size"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", "npy.header"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "npy.header"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (0x1,), }", "npy.header"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808,), }", "npy.header"),
      (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "tensor.shape"
      ),
      ("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "npy.header"),
      ("{'descr': '<f4', 'fortran_order': False}", "npy.header"),
      ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "npy.header"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", "npy.header"),
      ("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", "npy.header"),
      ("{'descr': '|V2', 'fortran_order': False, 'shape': (1,)}", "npy.bf16"),
      ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "npy.dtype"),
      ("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}", "npy.dtype"),
      ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", "npy.dtype"),
      ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "npy.structured"),
      ("", "npy.header"), ("{", "npy.header"), ("{'descr", "npy.header"),
    ]
    for (header, expected) in cases {
      #expect(reason { _ = try NPY.read(file(header, [1, 2, 3, 4])) } == expected, "\(header)")
    }
  }

  @Test func singleArraysRoundTrip() throws {
    for entry in try sampleState(without: [.bf16]).entries {
      let sink = MemorySink()
      try NPY.write(entry.tensor, to: sink)
      #expect(NPY.recognizes(MemorySource(sink.bytes)))
      #expect(try NPY.read(MemorySource(sink.bytes)).isIdentical(to: entry.tensor))
      for length in 0..<sink.bytes.count {
        #expect(reason { _ = try NPY.read(MemorySource(Array(sink.bytes[..<length]))) } != nil)
      }
    }
  }
}
