import Bytes
import Tensors

extension Safetensors {
  /// Writes what the reference writes for the same tensors and metadata, byte for byte; where the
  /// reference puts several metadata pairs in random order, they are sorted.
  ///
  /// Throws `safetensors.…` with kind `.malformed` for what the container cannot express.
  package static func write(_ state: StateDict, to sink: ByteSink) throws {
    let ties = try droppedNames(state)
    let tensors = try state.entries.filter { ties[$0.name] == nil }.map(WrittenTensor.init).sorted {
      $0.rank != $1.rank ? $0.rank > $1.rank : $0.name < $1.name
    }
    var members: [JSON.Member] = []
    let metadata = try self.metadata(of: state, ties: ties, tensors: Set(tensors.map(\.name)))
    if !metadata.isEmpty { members.append(JSON.Member(key: metadataKey, value: .object(metadata))) }
    var position = 0
    for written in tensors {
      let (end, overflow) = position.addingReportingOverflow(written.tensor.byteCount)
      guard !overflow else {
        throw RecurrentError(
          .safetensorsSizeInexpressible, at: "tensor \"\(written.name)\"",
          found: "more than 2^63 bytes of data")
      }
      members.append(written.member(begin: position, end: end))
      position = end
    }
    var header = Array(JSON.object(members).serialized().utf8)
    header += [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8)
    guard header.count <= maximumHeaderLength else {
      throw RecurrentError(
        .safetensorsHeaderLengthInexpressible, at: "header",
        found: "names and metadata of \(header.count) bytes",
        expected: "at most \(maximumHeaderLength)")
    }
    try sink.write((0..<8).map { UInt8(truncatingIfNeeded: header.count >> ($0 * 8)) })
    try sink.write(header)
    for written in tensors { try sink.write(written.tensor.source) }
  }

  /// The names that are not written, because an earlier name holds the same tensor.
  ///
  /// A tie is a claim of the source; only equal bytes make dropping one of the names lossless.
  package static func droppedNames(_ state: StateDict) throws -> [Name: Name] {
    var dropped: [Name: Name] = [:]
    for entry in state.entries {
      guard let first = state.ties[entry.name], first != entry.name else { continue }
      let kept = dropped[first] ?? first
      guard kept != entry.name, let tensor = state[kept], dropped[kept] == nil,
        try tensor.isIdentical(to: entry.tensor)
      else { continue }
      dropped[entry.name] = kept
    }
    return dropped
  }

  package static func metadata(
    of state: StateDict, ties: [Name: Name], tensors: Set<Name>
  ) throws -> [JSON.Member] {
    for pair in state.metadata.pairs {
      let key = Name(pair.key)
      guard ties[key] == nil, tensors.contains(key) || !tensors.contains(Name(pair.value)) else {
        throw RecurrentError(
          .safetensorsAmbiguousMetadata, at: "metadata \"\(pair.key)\"",
          found: "\"\(pair.value)\", which would be read as a tied tensor",
          expected: "metadata that does not name a tensor")
      }
    }
    var pairs = state.metadata.pairs.map { (Name($0.key), $0.value) }
    // The container sorts its tensors; an optimiser's state still refers to parameters by position.
    if state.metadata[orderKey] == nil, registrationOrder(state.names) != state.names {
      pairs.append(
        (Name(orderKey), JSON.array(state.names.map { .string($0.string) }).serialized()))
    }
    let aliases = ties.map { ($0.key, $0.value.string) }
    return (pairs + aliases).sorted { $0.0 < $1.0 }.map {
      JSON.Member(key: $0.0.string, value: .string($0.1))
    }
  }
}

/// A tensor with what its header record and its place in the file depend on.
private struct WrittenTensor {
  let name: Name
  let tensor: Tensor
  let element: SafetensorsElement
  let rank: Int

  init(_ entry: (name: Name, tensor: Tensor)) throws {
    let place = "tensor \"\(entry.name)\""
    guard let element = SafetensorsElement(entry.tensor.dtype) else {
      throw RecurrentError(
        .safetensorsDTypeFault, at: place, found: "dtype \(entry.tensor.dtype.rawValue)")
    }
    guard entry.name != Name(Safetensors.metadataKey) else {
      throw RecurrentError(
        .safetensorsReservedName, at: place,
        found: "the name that safetensors keeps for metadata", expected: "another name")
    }
    name = entry.name
    tensor = entry.tensor
    self.element = element
    rank = element.rank
  }

  func member(begin: Int, end: Int) -> JSON.Member {
    let shape = tensor.shape.map { JSON.number($0) }
    let offsets: [JSON] = [.number(begin), .number(end)]
    return JSON.Member(
      key: name.string,
      value: .object([
        "dtype": .string(element.rawValue), "shape": .array(shape), "data_offsets": .array(offsets),
      ]))
  }
}
