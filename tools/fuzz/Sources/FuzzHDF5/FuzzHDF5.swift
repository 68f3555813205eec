import Attack

@testable import Containers
@testable import Frameworks

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) { try HDF5Interpretation.stateDict.read(HDF5.contents(of: $0)) }
}
