import Attack
import Containers
import Frameworks
import Tensors

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) {
    var state = StateDict()
    try state.append("array", NPY.read($0))
    return state
  }
}
