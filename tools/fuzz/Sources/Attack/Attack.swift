import Containers
import Frameworks
import Glibc
import Tensors

/// Bytes in a file without a name that readers can open, used again for every input.
package final class Bait {
  private let descriptor: Int32
  /// The path that opens the bytes.
  package let path: String

  /// Creates an empty file in memory.
  package init() {
    let folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    let unique = "\(folder)/rnn-bait-\(getpid())"
    descriptor = open(unique, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode_t(0o600))
    unlink(unique)
    path = "/proc/self/fd/\(descriptor)"
    precondition(descriptor >= 0, "no bait")
  }

  /// Replaces the contents.
  package func fill(_ bytes: UnsafeRawBufferPointer) {
    precondition(ftruncate(descriptor, 0) == 0)
    var done = 0
    while done < bytes.count {
      let count = pwrite(
        descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, off_t(done))
      precondition(count > 0, "no room for bait")
      done += count
    }
  }

  /// Cuts the contents.
  package func cut(to count: Int) { precondition(ftruncate(descriptor, off_t(count)) == 0) }

  /// Replaces one byte.
  package func set(_ byte: UInt8, at offset: Int) {
    var byte = byte
    precondition(pwrite(descriptor, &byte, 1, off_t(offset)) == 1)
  }
}

/// What came of reading a hostile file.
package enum Outcome: Equatable {
  /// A refusal with its reason.
  case refused(String)
  /// Accepted: a digest of names, types, shapes, bytes and metadata.
  case accepted(UInt64)
}

/// Reads a file and all its elements, as a conversion does; traps on errors that no file may cause.
package func outcome(of path: String) -> Outcome {
  do {
    let file = try WeightFile(path: path)
    var digest = Digest()
    for entry in file.state.entries {
      digest.add(entry.name.string)
      digest.add("\(entry.tensor.dtype) \(entry.tensor.shape)")
      // Views multiply: a few megabytes show as much as all of them.
      guard entry.tensor.byteCount < 1 << 20 else { continue }
      digest.add(try entry.tensor.bytes())
    }
    for pair in file.state.metadata.pairs {
      digest.add(pair.key)
      digest.add(pair.value)
    }
    return .accepted(digest.value)
  } catch {
    return .refused(reason(error))
  }
}

/// The reason of a refusal; a fault of ours is a finding, and so is a message that cannot be printed.
private func reason(_ error: any Error, isPrinted: Bool = true) -> String {
  guard let error = error as? RecurrentError else { fatalError("\(error)") }
  precondition(error.kind != .fault, "\(error)")
  precondition(!isPrinted || !error.description.isEmpty)
  return error.reason.code
}

/// Hands the fuzzer's bytes to a reader, and reads all elements that it finds.
package func attack(
  _ start: UnsafePointer<UInt8>?, _ count: Int, read: (MemorySource) throws -> StateDict
) -> CInt {
  let source = MemorySource(Array(UnsafeBufferPointer(start: start, count: count)))
  do {
    // Views multiply: a megabyte shows as much as all of them.
    var left = 1 << 20
    for entry in try read(source).foldingReparametrisations().entries
    where entry.tensor.byteCount <= left {
      left -= entry.tensor.byteCount
      _ = try entry.tensor.bytes()
    }
  } catch {
    // Messages take longer to make than many inputs to refuse.
    _ = reason(error, isPrinted: count % 4 == 0)
  }
  return 0
}

private struct Digest {
  var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
    value = (value ^ 0xff) &* 0x100_0000_01b3
  }

  mutating func add(_ text: String) { add(Array(text.utf8)) }
}
