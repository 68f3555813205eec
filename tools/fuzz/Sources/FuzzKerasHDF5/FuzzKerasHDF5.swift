import Attack

@testable import Containers
@testable import Frameworks

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) { try KerasHDF5.legacy.read(HDF5.contents(of: $0)) }
}
