import Bytes
import TestSupport
import Testing

@testable import Containers
@testable import Tensors

@Suite("Flax's files come and go bit for bit, or are refused")
struct FlaxMessagePackTests {
  @Test func filesOfFlaxAreReadAndWrittenByteForByte() throws {
    let files = try Golden.decode([String: Golden.Expectation].self, "flax/expected.json")
    #expect(files.count == 9)
    for (file, expected) in files {
      let bytes = try Golden.bytes("flax/" + file)
      #expect(FlaxMessagePack.recognizes(MemorySource(bytes)), "\(file)")
      let state = try FlaxMessagePack.read(MemorySource(bytes))
      #expect(try Golden.differences(state, from: expected) == [], "\(file)")
      #expect(state.skipped == expected.skipped, "\(file)")
      // Numbers that are no arrays and NumPy scalars are not written again.
      guard file != "train-state.msgpack", file != "dtypes.msgpack" else { continue }
      let sink = MemorySink()
      try FlaxMessagePack.write(state, to: sink)
      #expect(sink.bytes == bytes, "\(file)")
    }
  }

  @Test func everythingRoundTripsInChunksToo() throws {
    let state = try sampleState()
    for maximumChunk in [1 << 30, 64, 1] {
      let sink = MemorySink()
      try FlaxMessagePack.write(state, to: sink, maximumChunk: maximumChunk)
      let again = try FlaxMessagePack.read(MemorySource(sink.bytes))
      #expect(try contents(again).sorted() == contents(state).sorted())
    }
  }

  @Test func headersOfEveryLengthAreWrittenAndRead() throws {
    var state = StateDict()
    let long = String(repeating: "n", count: 300)
    for index in 0..<70_000 {
      // Keys of three header lengths in a map of the longest.
      let length = index < 3 ? 20 + index * 140 : 0
      try state.append(
        "all.\(long.prefix(length))\(index)", Tensor(dtype: .u8, shape: [], bytes: [7]))
    }
    for size in [0, 100, 300, 70_000] {
      try state.append(
        "size.\(size)", Tensor(dtype: .u8, shape: [size], bytes: [UInt8](repeating: 9, count: size))
      )
    }
    let sink = MemorySink()
    try FlaxMessagePack.write(state, to: sink)
    let again = try FlaxMessagePack.read(MemorySource(sink.bytes))
    #expect(again.count == state.count)
    #expect(try again["size.70000"]?.bytes().count == 70_000)
  }

  @Test(arguments: ["linen-gru.msgpack", "dtypes.msgpack", "train-state.msgpack"])
  func damageIsRefusedOrHarmless(file: String) throws {
    let bytes = try Golden.bytes("flax/" + file)
    for index in stride(from: 0, to: bytes.count, by: 3) {
      #expect(
        reason { _ = try contents(FlaxMessagePack.read(MemorySource(Array(bytes[..<index])))) }
          != nil, "cut at \(index)")
      for bit: UInt8 in [0x01, 0x10, 0x80] {
        var flipped = bytes
        flipped[index] ^= bit
        let result = reason { _ = try contents(FlaxMessagePack.read(MemorySource(flipped))) }
        #expect(result?.hasPrefix("foreign") != true)
        _ = FlaxMessagePack.recognizes(MemorySource(flipped))
      }
    }
  }

  private func text(_ string: String) -> [UInt8] { [0xa0 | UInt8(string.utf8.count)] + string.utf8 }

  private func file(_ pairs: (String, [UInt8])...) -> [UInt8] {
    [0x80 | UInt8(pairs.count)] + pairs.flatMap { text($0.0) + $0.1 }
  }

  private func array(_ payload: [UInt8], type: UInt8 = 1) -> [UInt8] {
    [0xc7, UInt8(payload.count), type] + payload
  }

  @Test func wrongFilesAreRefused() {
    let one = array([0x93, 0x91, 1] + text("uint8") + [0xc4, 1, 7])
    let cases: [([UInt8], String)] = [
      ([], "msgpack.truncated"),
      ([0x91, 1], "msgpack.key"),
      ([0x81, 0xc0, 1], "msgpack.key"),
      ([0x81, 0xa1, 0xff, 1], "msgpack.key"),
      ([0x81, 0xc1], "msgpack.header"),
      ([0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1], "msgpack.truncated"),
      ([0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, 0x61], "msgpack.truncated"),
      (file(("a", one)) + [0], "msgpack.trailing"),
      (file(("a", one), ("a", one)), "name.duplicate"),
      ([0x81, 0xda, 4, 1] + [UInt8](repeating: 0x61, count: 1025) + one, "msgpack.limit"),
      (nested(70), "msgpack.depth"), (nested(100_000), "msgpack.depth"),
      (file(("a", array([0x92, 0x91, 1]))), "flax.array"),
      (file(("a", array([0x93, 0x91, 0xff] + text("uint8") + [0xc4, 1, 7]))), "flax.array"),
      (file(("a", array([0x93, 0x91, 1] + text("uint8") + [0xc4, 1, 7, 7]))), "flax.array"),
      (file(("a", array([0x93, 0x91, 2] + text("uint8") + [0xc4, 1, 7]))), "tensor.size"),
      (
        file(
          (
            "a",
            array(
              [0x93, 0x92] + [0xcf, 0x40, 0, 0, 0, 0, 0, 0, 0] + [4] + text("uint8") + [0xc4, 1, 7])
          )), "tensor.shape"
      ),
      (file(("a", array([0x93, 0x91, 1] + text("float8") + [0xc4, 1, 7]))), "flax.dtype"),
      (file(("a", [0xd4, 5, 0])), "flax.dtype"),
      (file(("a", array([0x92, 1, 1], type: 2))), "flax.dtype"),
      (file(("a", chunks(shape: [1], [one]))), "nothing"),
      (file(("a", chunks(shape: [2], [one]))), "tensor.size"),
      (file(("a", chunks(shape: [0], []))), "flax.chunks"),
      (file(("a", chunks(shape: [1], [[7]]))), "flax.chunks"),
      (
        file(("a", [0x82] + text("__msgpack_chunked_array__") + [0xc3] + text("other") + [1])),
        "flax.chunks"
      ),
    ]
    for (bytes, expected) in cases {
      let found = reason { _ = try FlaxMessagePack.read(MemorySource(bytes)) }
      #expect((found ?? "nothing") == expected)
    }
  }

  private func nested(_ depth: Int) -> [UInt8] {
    (0..<depth).flatMap { _ -> [UInt8] in [0x81, 0xa1, 0x61] } + [0x80]
  }

  private func chunks(shape: [UInt8], _ pieces: [[UInt8]]) -> [UInt8] {
    func numbered(_ values: [[UInt8]]) -> [UInt8] {
      [0x80 | UInt8(values.count)]
        + values.enumerated().flatMap { text("\($0.offset)") + $0.element }
    }
    return [0x83] + text("__msgpack_chunked_array__") + [0xc3] + text("shape")
      + numbered(shape.map { [$0] }) + text("chunks") + numbered(pieces)
  }

  @Test func recordsOfBurnAreNamed() {
    let format = "burn_core::record::file"
    let bytes =
      [0x82] + text("metadata") + [0x81] + text("format") + text(format) + text("item") + [0x80]
    #expect(reason { _ = try FlaxMessagePack.read(MemorySource(bytes)) } == "msgpack.burn")
  }

  @Test func tooManyArraysAreRefused() throws {
    let one = array([0x93, 0x90] + text("uint8") + [0xc4, 1, 7])
    var bytes: [UInt8] = [0xdf, 0x00, 0x03, 0x0d, 0x41]
    for index in 0...200_000 { bytes += text("\(index)") + one }
    #expect(reason { _ = try FlaxMessagePack.read(MemorySource(bytes)) } == "msgpack.limit")
    // 70,000 names of a thousand bytes from a file of a megabyte.
    bytes = [0x81, 0xda, 0x03, 0xe8] + [UInt8](repeating: 0x61, count: 1000)
    bytes += [0xdf, 0x00, 0x01, 0x11, 0x70]
    for index in 0..<70_000 { bytes += text("\(index)") + one }
    #expect(reason { _ = try FlaxMessagePack.read(MemorySource(bytes)) } == "msgpack.limit")
  }

  @Test func anArrayCannotBeAMapToo() throws {
    let tensor = try Tensor(dtype: .u8, shape: [1], bytes: [7])
    for names in [["a", "a.b"], ["a.b", "a"]] {
      var state = StateDict()
      for name in names { try state.append(Name(name), tensor) }
      #expect(reason { try FlaxMessagePack.write(state, to: MemorySink()) } == "flax.name")
    }
  }

  @Test func otherFilesAreNotTakenForMessagePack() throws {
    let others: [[UInt8]] = [
      [], [0x80], [0x80, 0x02, 0x8a, 0x0a], [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a],
      [0x89, 0x50, 0x4e, 0x47], Array("version https://git-lfs".utf8), [0x81, 0xa0, 0x80],
    ]
    for bytes in others { #expect(!FlaxMessagePack.recognizes(MemorySource(bytes))) }
    let complex = try fileBytes(Checkout.refused("flax/complex.msgpack"))
    #expect(reason { _ = try FlaxMessagePack.read(MemorySource(complex)) } == "flax.dtype")
  }
}
