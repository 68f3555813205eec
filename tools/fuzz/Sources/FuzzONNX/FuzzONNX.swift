import Attack

@testable import Containers
@testable import Frameworks

/// One input of libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) { try ONNX.read($0, path: nil) }
}
