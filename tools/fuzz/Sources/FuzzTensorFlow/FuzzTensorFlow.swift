import Attack
import Tensors

@testable import Containers
@testable import Frameworks

/// One input of libFuzzer: an index, whose elements lie in a file of zeros.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) { try TensorFlowCheckpoint.read(index: $0) { _, _ in elements } }
}

private let elements = MemorySource(Array(repeating: 0, count: 8192))
