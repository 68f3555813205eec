import Containers
import Frameworks
import Tensors

/// One input of libFuzzer: every entry that the directory promises is read.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let archive = try? ZipArchive(MemorySource(bytes)) else { return 0 }
  for entry in archive.entries where entry.size < 1 << 24 {
    _ = try? archive.source(of: entry).readAll()
  }
  return 0
}
