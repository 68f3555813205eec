import Bytes
import Foundation
import Tensors
import Testing

@testable import Containers

/// Damage that must end in an error. (Links and storage outside the file are goldens.)
///
/// libhdf5 1.10 itself crashes on some damaged metadata; confining it to a process is the business of
/// the caller. The flips here are fixed, so that this suite does not depend on luck.
@Suite("An HDF5 file cut or changed anywhere is an error, not a crash")
struct HDF5HostileTests {
  private func reason(of bytes: some Sequence<UInt8>) throws -> String? {
    let file = try HDF5TemporaryFile()
    try file.write(bytes)
    do {
      for entry in try HDF5.read(InputFile(path: file.path)).entries {
        _ = try entry.tensor.bytes()
      }
      return nil
    } catch let error as RecurrentError {
      return error.reason.code
    }
  }

  @Test func otherFilesAreNotRecognized() throws {
    for bytes in [[], Array("not HDF5 at all".utf8), [UInt8](repeating: 0, count: 5000)] {
      #expect(!HDF5.recognizes(MemorySource(bytes)))
      #expect(try reason(of: bytes) == "h5.signature")
    }
    #expect(!HDF5.recognizes(MemorySource([0x89, 0x48, 0x44, 0x46])))
  }

  @Test func theSignatureMayFollowAUserBlock() {
    let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]
    for offset in [0, 512, 1024, 2048, 4096] {
      #expect(HDF5.recognizes(MemorySource([UInt8](repeating: 0, count: offset) + signature)))
    }
    for offset in [1, 256, 1536] {
      #expect(!HDF5.recognizes(MemorySource([UInt8](repeating: 0, count: offset) + signature)))
    }
  }

  @Test(arguments: ["flat.h5", "libver-v110.h5", "userblock.h5", "gzip-shuffle.h5"])
  func everyTruncationIsRefused(_ name: String) throws {
    let path = HDF5Golden.directory.appendingPathComponent(name)
    let bytes = try Array(Data(contentsOf: path))
    #expect(try reason(of: bytes) == nil)
    let step = max(1, bytes.count / 150)
    for length in Array(stride(from: 0, to: bytes.count, by: step)) + [bytes.count - 1] {
      let expected = HDF5Golden.hasSignature(bytes.prefix(length)) ? "h5.truncated" : "h5.signature"
      #expect(try reason(of: bytes.prefix(length)) == expected, "\(length)")
    }
  }

  @Test func superblockVersionsOfTheFutureAreNamed() throws {
    let path = HDF5Golden.directory.appendingPathComponent("flat.h5")
    var bytes = try Array(Data(contentsOf: path))
    bytes[8] = 4
    #expect(try reason(of: bytes) == "h5.newer")
  }

  /// A layout message relabelled as version 2 turns a contiguous dataset into a compact one;
  /// libhdf5 would copy past the object header.
  @Test(arguments: [("groups.h5", 7904), ("attributes.h5", 896)])
  func compactSizesAreChecked(_ name: String, _ offset: Int) throws {
    var bytes = try Array(Data(contentsOf: HDF5Golden.directory.appendingPathComponent(name)))
    #expect(bytes[offset] == 3)
    bytes[offset] = 2
    #expect(try reason(of: bytes) == "h5.size")
  }

  @Test func aDamagedChunkIsFound() throws {
    let path = HDF5Golden.directory.appendingPathComponent("fletcher32.h5").path
    let state = try HDF5.read(InputFile(path: path))
    let wanted = try #require(state["m.c"]).bytes()
    var bytes = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
    let start = try #require(
      bytes.indices.first { bytes[$0...].starts(with: wanted.prefix(16)) })
    bytes[start + 5] ^= 0x10
    #expect(try reason(of: bytes) == "h5.fletcher32")
  }

  @Test func aFileThatChangesIsAnError() throws {
    let golden = HDF5Golden.directory.appendingPathComponent("gzip.h5")
    let file = try HDF5TemporaryFile()
    let bytes = try Array(Data(contentsOf: golden))
    try file.write(bytes)
    let input = try InputFile(path: file.path)
    let state = try HDF5.read(input)
    let handle = try #require(FileHandle(forWritingAtPath: file.path))
    try handle.truncate(atOffset: UInt64(bytes.count))
    try handle.seekToEnd()
    try handle.write(contentsOf: [0])
    try handle.close()
    let error = #expect(throws: RecurrentError.self) { try state["m.a"]?.bytes() }
    #expect(error?.kind == .changed)
    // A path that was replaced after opening.
    try FileManager.default.removeItem(atPath: file.path)
    try file.write(bytes)
    let replaced = #expect(throws: RecurrentError.self) { try HDF5.read(input) }
    #expect(replaced?.kind == .changed)
  }
}
