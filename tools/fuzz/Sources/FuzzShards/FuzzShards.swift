import Attack
import Bytes
import Tensors

@testable import Containers
@testable import Frameworks

/// One input of libFuzzer: an index, beside the shards of the golden files.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  attack(start, count) { source in
    try ShardedWeights.read(source) { name in
      guard let shard = shards[name] else {
        throw RecurrentError(.init("file.missing", .missing), found: "no shard of that name")
      }
      return shard
    }.0
  }
}

private let shards: [String: InputFile] = {
  let root = #filePath.split(separator: "/").dropLast(5).map { "/" + $0 }.joined()
  let names =
    (1...3).map { "model-0000\($0)-of-00003.safetensors" }
    + (1...2).map { "pytorch_model-0000\($0)-of-00002.bin" }
  do {
    let files = try names.map { try InputFile(path: "\(root)/fixtures/golden/sharded/\($0)") }
    return Dictionary(uniqueKeysWithValues: zip(names, files))
  } catch {
    fatalError("\(error)")
  }
}()
