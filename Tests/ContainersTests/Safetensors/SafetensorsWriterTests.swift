import Bytes
import Containers
import Tensors
import Testing

@Suite("safetensors is written in the reference's form")
struct SafetensorsWriterTests {
  static func tensor(_ count: Int, _ value: UInt8 = 1) throws -> Tensor {
    try Tensor(dtype: .u8, shape: [count], bytes: (0..<count).map { value &+ UInt8($0) })
  }

  static func text(_ state: StateDict) throws -> String {
    let sink = MemorySink()
    try Safetensors.write(state, to: sink)
    let length = Int(sink.bytes[0]) + Int(sink.bytes[1]) << 8
    return String(decoding: sink.bytes[8..<8 + length], as: UTF8.self)
  }

  @Test func tiesAreWrittenOnceAndRestored() throws {
    var state = StateDict()
    try state.append("b.weight", Self.tensor(3))
    try state.append("c.weight", Self.tensor(3))
    try state.append("a.weight", Self.tensor(3))
    try state.append("d.weight", Self.tensor(3, 9))
    state.ties = ["c.weight": "b.weight", "a.weight": "c.weight", "d.weight": "b.weight"]
    state.metadata["format"] = "pt"
    let sink = MemorySink()
    try Safetensors.write(state, to: sink)
    let expected =
      #"{"__metadata__":{"a.weight":"b.weight","c.weight":"b.weight","format":"pt","#
      + #""key_order":"[\"b.weight\",\"c.weight\",\"a.weight\",\"d.weight\"]"},"#
      + #""b.weight":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"#
      + #""d.weight":{"dtype":"U8","shape":[3],"data_offsets":[3,6]}}"#
    #expect(try Self.text(state).hasPrefix(expected))
    #expect(sink.bytes.suffix(6) == [1, 2, 3, 9, 10, 11])

    let again = try Safetensors.read(MemorySource(sink.bytes))
    #expect(again.names == ["b.weight", "c.weight", "a.weight", "d.weight"])
    #expect(again.ties == ["c.weight": "b.weight", "a.weight": "b.weight"])
    #expect(again.metadata.pairs.map(\.key) == ["format"])
    for entry in state.entries {
      #expect(try again[entry.name]?.isIdentical(to: entry.tensor) == true)
    }
  }

  @Test func anOrderThatDoesNotFitIsOrdinaryMetadata() throws {
    var state = StateDict()
    try state.append("b", Self.tensor(3))
    try state.append("a", Self.tensor(2))
    for order in [#"["a","b","c"]"#, #"["a","a"]"#, "not JSON", #"{"a":1}"#] {
      state.metadata["key_order"] = order
      let sink = MemorySink()
      try Safetensors.write(state, to: sink)
      let again = try Safetensors.read(MemorySource(sink.bytes))
      #expect(again.names == ["a", "b"])
      #expect(again.metadata["key_order"] == order)
    }
  }

  @Test func metadataIsSortedAndPadded() throws {
    var state = StateDict()
    for key in ["z", "a", "é", "B"] { state.metadata[key] = "v" }
    let text = try Self.text(state)
    #expect(text.hasPrefix(#"{"__metadata__":{"B":"v","a":"v","z":"v","é":"v"}}"#))
    #expect(text.utf8.count.isMultiple(of: 8))
  }

  @Test func namesThatDifferInBytesStayApart() throws {
    var state = StateDict()
    try state.append("\u{E9}", Self.tensor(2))
    try state.append("e\u{301}", Self.tensor(3))
    let sink = MemorySink()
    try Safetensors.write(state, to: sink)
    let again = try Safetensors.read(MemorySource(sink.bytes))
    #expect(again["\u{E9}"]?.shape == [2])
    #expect(again["e\u{301}"]?.shape == [3])
  }

  @Test func whatWouldReadBackDifferentlyIsRefused() throws {
    var reserved = StateDict()
    try reserved.append("__metadata__", Self.tensor(1))
    #expect(throws: RecurrentError.self) { try Safetensors.write(reserved, to: MemorySink()) }
    var ambiguous = StateDict()
    try ambiguous.append("pt", Self.tensor(1))
    ambiguous.metadata["format"] = "pt"
    #expect(throws: RecurrentError.self) { try Safetensors.write(ambiguous, to: MemorySink()) }
  }

  @Test func orderIsThatOfPyTorch() {
    let expected: [Name] = [
      "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_ih_l0", "weight_hh_l0", "bias_ih_l0",
      "bias_hh_l0", "weight_hr_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse",
      "weight_hr_l0_reverse", "weight_ih_l2", "weight_ih_l10", "weight", "bias", "running_mean",
      "running_var", "num_batches_tracked", "fc.weight", "fc.bias", "layers.2.weight",
      "layers.2.bias", "layers.10.weight", "layers.010.weight", "rnn.weight_ih_l0",
      "rnn.weight_hh_l0", "rnn2.weight", "weight_ih_l00", "weight_ih_lx",
    ]
    // The one place where two spellings have one numeric value: bytes decide.
    var sorted = expected
    sorted.swapAt(23, 24)
    #expect(registrationOrder(expected.reversed()) == sorted)
    #expect(registrationOrder(expected.sorted()) == sorted)
  }
}
