import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers

/// Whether this process was built with a sanitizer, whose memory map no limit on addresses allows: a worker
/// confined to 4 GiB ends before it has opened a file.
private let isUnderSanitizer: Bool = {
  let program = dlopen(nil, RTLD_NOW)
  return dlsym(program, "__asan_init") != nil || dlsym(program, "__tsan_init") != nil
}()

/// Files outside our own reader's subset, which libhdf5 reads in another process.
@Suite("What only libhdf5 reads is read by a confined process, and not believed", .serialized)
struct NativeWorkerTests {
  private static let path = "\(Checkout.root)/Tests/Support/LibraryOnly/hdf5/deflated-twice.h5"

  /// A tool of this package, which lies beside the tests.
  private static func tool() throws -> String {
    let besides = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let built = URL(fileURLWithPath: Checkout.root).appendingPathComponent(".build/debug")
    let paths = [besides, built].map { $0.appendingPathComponent("rnn-inspect").path }
    return try #require(paths.first { FileManager.default.isExecutableFile(atPath: $0) })
  }

  @Test func withoutAWorkerSuchFilesAreRefused() throws {
    let error = #expect(throws: RecurrentError.self) {
      try HDF5.read(InputFile(path: Self.path))
    }
    #expect(error?.kind == .unsupported)
    #expect(error?.reason.code == "h5.outside-subset")
    #expect(error?.place?.contains("dataset \"/a\"") == true)
  }

  @Test(.disabled(if: isUnderSanitizer, "a sanitizer needs more than 4 GiB of addresses"))
  func theWorkerSaysWhatTheLibrarySays() throws {
    let file = try InputFile(path: Self.path)
    let library = try HDF5LibraryFile(file).contents()
    let worker = try HDF5WorkerClient(file, executable: Self.tool()).contents()
    #expect(worker.nodes.count == 10)
    #expect(worker.nodes.map(\.path) == library.nodes.map(\.path))
    for (one, other) in zip(worker.nodes, library.nodes) {
      switch (one.object, other.object) {
      case (.dataset(let one), .dataset(let other)):
        #expect(one.type == other.type)
        #expect(one.shape == other.shape)
        #expect(one.identity == other.identity)
        #expect(try one.source?.readAll() == other.source?.readAll())
      default: #expect("\(one.object)" == "\(other.object)")
      }
    }
    let trusting = try HDF5Interpretation.stateDict.read(library)
    #expect(trusting.count == 6)
    #expect(try trusting["c"]?.bytes() == trusting["a"]?.bytes())
  }

  @Test(.disabled(if: isUnderSanitizer, "a sanitizer needs more than 4 GiB of addresses"))
  func theWorkerRefusesWhatTheLibraryRefuses() throws {
    let golden = try #require(HDF5Golden.all.first { $0.name == "external-storage.h5" })
    let file = try InputFile(path: golden.path)
    let error = #expect(throws: RecurrentError.self) {
      try HDF5WorkerClient(file, executable: Self.tool()).contents()
    }
    #expect(error?.reason.code == "h5.external-storage")
    #expect(error?.place == "/b")
  }

  @Test(.disabled(if: isUnderSanitizer, "a sanitizer needs more than 4 GiB of addresses"))
  func aWorkerThatDiesIsAnErrorAboutTheFile() throws {
    let file = try InputFile(path: Self.path)
    let dead = #expect(throws: RecurrentError.self) {
      try HDF5WorkerClient(file, executable: "/bin/true").contents()
    }
    #expect(dead?.kind == .damaged)
    #expect(dead?.reason.code == "h5.worker")
    #expect(dead?.found.contains("exit status 0") == true)
    let missing = #expect(throws: RecurrentError.self) {
      try HDF5WorkerClient(file, executable: "/nonexistent/tool")
    }
    #expect(missing?.reason.code == "h5.worker-start")
    // Killed between two answers.
    let client = try HDF5WorkerClient(file, executable: Self.tool())
    let contents = try client.contents()
    client.stop()
    let killed = #expect(throws: RecurrentError.self) {
      try contents.source(ofNode: 1)?.readAll()
    }
    #expect(killed?.reason.code == "h5.worker")
    #expect(killed?.found.contains("signal 9") == true)
  }

  @Test func errorsSurviveTheWire() throws {
    let error = RecurrentError(
      .hdf5Newer, at: "é", found: "this", expected: nil, hint: "")
    let received = try HDF5WorkerWire.error(HDF5WorkerWire.encode(error))
    #expect(received == error && received.description == error.description)
    for length in 0..<40 {
      let part = Array(HDF5WorkerWire.encode(error).prefix(length))
      #expect(throws: RecurrentError.self) { try HDF5WorkerWire.error(part) }
    }
  }

  /// The parent does not trust a worker that a file may have taken over.
  @Test func nonsenseFromTheWorkerIsRefused() throws {
    let file = try InputFile(path: Self.path)
    let bytes = HDF5WorkerWire.encode(try HDF5LibraryFile(file).contents())
    for index in stride(from: 0, to: bytes.count, by: 5) {
      var changed = bytes
      changed[index] ^= 0xFF
      _ = try? HDF5WorkerWire.contents(changed, of: file) { _, _ in MemorySource([]) }
      let part = Array(bytes.prefix(index))
      #expect(throws: RecurrentError.self) {
        try HDF5WorkerWire.contents(part, of: file) { _, _ in MemorySource([]) }
      }
    }
  }
}
