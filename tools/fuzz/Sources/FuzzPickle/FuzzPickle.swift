import Attack
import Tensors

@testable import Containers
@testable import Frameworks

/// One input of libFuzzer: the pickle of a checkpoint that has two storages.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) { source in
    let storages = try [("0", 64), ("1", 24)].map { key, count in
      (Array(key.utf8), try WindowSource(elements, offset: 0, count: count))
    }
    var reader = PyTorchStateReader(
      graph: try PickleMachine.run(source.bytes),
      storages: PyTorchStorages(.windows(Dictionary(uniqueKeysWithValues: storages))), code: nil,
      expansionLimit: 1 << 20)
    return try reader.read(key: nil)
  }
}

private let elements = MemorySource(Array(0..<64))
