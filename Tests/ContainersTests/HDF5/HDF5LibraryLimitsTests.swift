import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers

/// libhdf5 is asked only about files that our own reader does not know, but then nothing may be let in
/// that our own reader keeps out.
@Suite("libhdf5 lets nothing in that our own reader keeps out")
struct HDF5LibraryLimitsTests {
  private func reasonOfTheLibrary(_ path: String) throws -> String? {
    do {
      let file = try InputFile(path: path)
      let contents = try HDF5LibraryFile(file).contents()
      for entry in try HDF5Layout(contents).stateDict().entries { _ = try entry.tensor.bytes() }
      return nil
    } catch let error as RecurrentError {
      return error.reason.code
    }
  }

  @Test(arguments: HDF5Golden.all.filter { $0.error != nil })
  func whatWeRefuseTheLibraryRefuses(_ golden: HDF5Golden) throws {
    let reason = try reasonOfTheLibrary(golden.path)
    // libhdf5 1.10 does not read what 2.0 writes with libver latest, and has no names for what it finds.
    let known: [String?] = [golden.error, "h5.library", "h5.newer"]
    #expect(known.contains(reason), "\(reason ?? "accepted"), not \(golden.error ?? "")")
    #expect(reason == golden.error || golden.name.contains("latest"), "\(reason ?? "")")
  }

  /// Values that are kept as words, and texts in every storage.
  @Test(arguments: ["odd-earliest.h5", "odd-v110.h5"])
  func attributesOfEveryStorage(_ name: String) throws {
    let golden = try #require(NativeReaderTests.layouts.first { $0.name == name })
    let file = try InputFile(path: golden.path)
    for contents in [try HDF5Reader(source: file).contents(), try HDF5LibraryFile(file).contents()]
    {
      guard case .group(let root)? = contents.nodes.first?.object else {
        Issue.record("no root")
        continue
      }
      let values = Dictionary(
        uniqueKeysWithValues: root.attributes.map { ($0.name.string, "\($0.value)") })
      #expect(values["fixed"] == "\(HDF5Attribute.Value.texts(["one", "three", ""]))")
      let long = String(repeating: "0123456789", count: 600)
      #expect(values["long"] == "\(HDF5Attribute.Value.text(long))")
      for key in ["numbers", "latin", "latin.list", "latin.variable", "latin.one"] {
        #expect(values[key]?.hasPrefix("other(") == true, "\(key): \(values[key] ?? "none")")
      }
    }
  }

  @Test func aLibraryThatIsAskedForAnotherFile() throws {
    let folder = try newFolder()
    defer { remove(folder) }
    let (one, other) = (folder + "/one.h5", folder + "/other.h5")
    let golden = HDF5Golden.directory.appendingPathComponent("flat.h5").path
    try FileManager.default.copyItem(atPath: golden, toPath: one)
    try FileManager.default.copyItem(atPath: golden, toPath: other)
    let file = try InputFile(path: one)
    try FileManager.default.removeItem(atPath: one)
    try FileManager.default.moveItem(atPath: other, toPath: one)
    let error = #expect(throws: RecurrentError.self) { try HDF5LibraryFile(file) }
    #expect(error?.reason.code == "file.changed" && error?.kind == .changed)
    // A file that is no HDF5 at all, and one that ends early.
    let bytes = try Data(contentsOf: URL(fileURLWithPath: golden))
    for (content, name) in [(Data("no HDF5".utf8), "text"), (bytes.prefix(600), "cut")] {
      let path = folder + "/" + name
      try content.write(to: URL(fileURLWithPath: path))
      let reason = try reasonOfTheLibrary(path)
      #expect(reason == "h5.library", "\(name)")
    }
  }

  @Test func tensorsOfTooManyAxesAreNotWritten() throws {
    var state = StateDict()
    let shape = [Int](repeating: 1, count: 33)
    try state.append("a", Tensor(dtype: .f32, shape: shape, bytes: [1, 2, 3, 4]))
    let path = newPath(".h5")
    defer { remove(path) }
    let error = #expect(throws: RecurrentError.self) { try HDF5.write(state, toFileAt: path) }
    #expect(error?.reason.code == "h5.rank" && error?.place == "tensor \"a\"")
  }
}
