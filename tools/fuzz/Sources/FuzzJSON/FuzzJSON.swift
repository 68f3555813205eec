import Containers
import Frameworks
import Tensors

/// One input of libFuzzer: what parses must come back from its own text.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let value = try? JSON.parse(bytes) else { return 0 }
  let text = value.serialized()
  guard let again = try? JSON.parse(Array(text.utf8)) else { fatalError("own text does not parse") }
  precondition(again.serialized() == text)
  return 0
}
