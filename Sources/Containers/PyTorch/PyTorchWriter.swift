import Bytes
import Tensors

extension PyTorchFile {
  /// Writes a state dict that `torch.load` accepts with `weights_only=True` and `mmap=True`.
  ///
  /// Tied tensors share one storage. Metadata is left out, because a state dict must stay loadable
  /// with `strict=True`. Equal input gives equal bytes.
  package static func write(_ state: StateDict, to sink: any ByteSink) throws {
    var storages: [Tensor] = []
    var keys: [Name: Int] = [:]
    for entry in state.entries {
      if let first = state.ties[entry.name], let key = keys[first],
        try storages[key].isIdentical(to: entry.tensor)
      {
        keys[entry.name] = key
      } else {
        keys[entry.name] = storages.count
        storages.append(entry.tensor)
      }
    }
    var pickle = PickleWriter()
    pickle.begin()
    for entry in state.entries {
      pickle.add(entry.name, entry.tensor, storage: keys[entry.name] ?? 0)
    }
    pickle.end()

    var zip = ZipWriter(sink)
    try zip.add("archive/data.pkl", [MemorySource(pickle.bytes)], alignment: 64)
    try zip.add("archive/byteorder", [MemorySource(Array("little".utf8))], alignment: 64)
    for (key, tensor) in storages.enumerated() {
      try zip.add("archive/data/\(key)", [tensor.source], alignment: 64)
    }
    try zip.add("archive/version", [MemorySource(Array("3\n".utf8))], alignment: 64)
    try zip.finish()
  }
}

/// Writes the pickle of an ordered dict of tensors, protocol 2, without memo.
private struct PickleWriter {
  private(set) var bytes: [UInt8] = []

  mutating func begin() {
    bytes += [0x80, 2]
    emptyOrderedDict()
    emit("(")
  }

  mutating func end() { emit("u.") }

  mutating func add(_ name: Name, _ tensor: Tensor, storage: Int) {
    string(name.utf8)
    let storageClass = PyTorchStorages.className(of: tensor.dtype)
    global("torch._utils", storageClass == nil ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2")
    emit("((")
    string(Array("storage".utf8))
    if let storageClass {
      global("torch", storageClass)
    } else {
      global("torch.storage", "UntypedStorage")
    }
    string(Array(String(storage).utf8))
    string(Array("cpu".utf8))
    integer(storageClass == nil ? tensor.byteCount : tensor.elementCount)
    emit("tQ")
    integer(0)
    tuple(tensor.shape)
    tuple(Self.strides(of: tensor.shape))
    bytes.append(0x89)
    emptyOrderedDict()
    if storageClass == nil { global("torch", PyTorchStorages.typeName(of: tensor.dtype)) }
    emit("tR")
  }

  /// Row-major strides in elements; an empty axis counts as one, as torch does it.
  private static func strides(of shape: [Int]) -> [Int] {
    var step = 1
    let reversed = shape.reversed().map { size in
      defer { step = step.multipliedReportingOverflow(by: max(size, 1)).partialValue }
      return step
    }
    return reversed.reversed()
  }

  private mutating func emptyOrderedDict() {
    global("collections", "OrderedDict")
    emit(")R")
  }

  private mutating func emit(_ opcodes: String) { bytes += opcodes.utf8 }

  private mutating func global(_ module: String, _ name: String) { emit("c\(module)\n\(name)\n") }

  private mutating func string(_ utf8: [UInt8]) {
    emit("X")
    little(utf8.count, 4)
    bytes += utf8
  }

  private mutating func tuple(_ values: [Int]) {
    emit("(")
    for value in values { integer(value) }
    emit("t")
  }

  private mutating func integer(_ value: Int) {
    switch value {
    case 0..<0x100:
      emit("K")
      little(value, 1)
    case 0x100..<0x1_0000:
      emit("M")
      little(value, 2)
    case 0x1_0000..<0x8000_0000:
      emit("J")
      little(value, 4)
    default:
      // LONG1, eight bytes of two's complement.
      bytes += [0x8A, 8]
      little(value, 8)
    }
  }

  private mutating func little(_ value: Int, _ count: Int) {
    bytes += (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}
