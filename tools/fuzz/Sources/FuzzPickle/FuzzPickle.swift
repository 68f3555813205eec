import Attack

/// One input of libFuzzer: a pickle, inside an archive whose checksums are right.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let archive = torchArchive(pickle: UnsafeRawBufferPointer(start: start, count: count))
  return archive.withUnsafeBufferPointer { attack($0.baseAddress, $0.count, as: "pt") }
}
