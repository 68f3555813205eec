import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@Suite("An output appears complete under its name, or not at all")
struct OutputFileTests {
  func contents(_ path: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
  }

  func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  func files(_ directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
  }

  func mode(_ path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
  }

  func reason(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch { return (error as? RecurrentError).map { "\($0.kind) \($0.reason.code)" } }
  }

  @Test("Transposed sources are written in whatever order, between others")
  func tiledSources() throws {
    try withTemporaryFolder { directory in
      let (lines, width) = (151, 15_003)
      let bytes = (0..<lines * width * 8).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
      let tiled = try StridedSource(
        MemorySource(bytes), elementSize: 8, shape: [lines, width], strides: [1, lines], offset: 0)
      let output = try OutputFile(path: directory + "/out.bin", overwrite: false)
      try output.write(Array("head".utf8))
      try output.write(tiled)
      try output.write(Array("middle".utf8))
      var noted = 0
      try output.write(tiled) { noted += $1.count }
      try output.write(tiled.base) { noted += $1.count }
      try output.write(Array("tail".utf8))
      try output.publish()
      #expect(noted == 2 * bytes.count)
      let transposed = try tiled.readAll()
      let expected =
        Array("head".utf8) + transposed + Array("middle".utf8) + transposed + bytes
        + Array("tail".utf8)
      let found = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/out.bin")))
      #expect(found == expected)
    }
  }

  @Test("Sources of any size are appended, and bytes replaced in the buffer and in the file")
  func sourcesAndReplacements() throws {
    try withTemporaryFolder { directory in
      let large = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
      try Data(large).write(to: URL(fileURLWithPath: directory + "/in.bin"))
      let input = try InputFile(path: directory + "/in.bin")
      let output = try OutputFile(path: directory + "/out.bin", overwrite: false)
      try output.write(Array("head".utf8))
      try output.replace(at: 1, with: [0x2B])
      // Inside the kernel, where there is such a call; a window on it; too small for that.
      try output.write(input)
      try output.write(WindowSource(input, offset: 17, count: 1_000_000))
      try output.write(WindowSource(input, offset: 3, count: 5))
      try output.write(MemorySource(large))
      try output.replace(at: 0, with: [0x48])
      try output.replace(at: 4 + 3_000_001, with: [1, 2, 3])
      try output.write(Array("tail".utf8))
      try output.publish()
      var expected = Array("H+ad".utf8) + large + [1, 2, 3] + large[20..<1_000_017]
      expected += large[3..<8] + large + Array("tail".utf8)
      let found = [UInt8](try Data(contentsOf: URL(fileURLWithPath: directory + "/out.bin")))
      #expect(found == expected)
    }
  }

  @Test func nothingIsVisibleBeforePublication() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/out.bin"
      let output = try OutputFile(path: path, overwrite: false)
      let large = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 7) }
      try output.reserve(large.count)
      try output.write([1, 2, 3])
      try output.write(large)
      try output.write([4])
      try output.finishWriting()
      #expect(!FileManager.default.fileExists(atPath: path))
      #expect(try mode(output.temporaryPath) == 0o600)
      #expect(try output.temporaryPath.hasPrefix(directory + "/.out.bin.rnn-"))
      try output.publish(checking: [])
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data([1, 2, 3] + large + [4]))
      #expect(try files(directory) == ["out.bin"])
      #expect(try mode(path).map { $0 & 0o600 } == 0o600)
    }
  }

  @Test func discardingLeavesNothing() throws {
    try withTemporaryFolder { directory in
      do {
        let output = try OutputFile(path: directory + "/a", overwrite: false)
        try output.write([1])
        #expect(FileManager.default.fileExists(atPath: output.readingPath))
      }
      #expect(try files(directory).isEmpty)
      do {
        let output = try OutputFile(path: directory + "/a", overwrite: false)
        let scratch = try output.scratch()
        let names = try [output.temporaryPath, scratch.temporaryPath, output.temporaryPath]
        #expect(Set(names).count == 2)
        #expect(try files(directory).count == 2)
      }
      #expect(try files(directory).isEmpty)
    }
  }

  @Test func anExistingFileStaysWithoutOverwrite() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/old"
      try write("old", to: path)
      #expect(
        reason { _ = try OutputFile(path: path, overwrite: false) } == "output output.exists")
      let late = directory + "/late"
      let output = try OutputFile(path: late, overwrite: false)
      try output.write([9])
      try write("other", to: late)
      #expect(reason { try output.publish() } == "output output.exists")
      output.discard()
      #expect(try contents(late) == "other")
      #expect(try files(directory) == ["late", "old"])
    }
  }

  @Test func overwritingKeepsModeAndLink() throws {
    try withTemporaryFolder { directory in
      let real = directory + "/real"
      try write("old", to: real)
      try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: real)
      let link = directory + "/link"
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "real")
      let output = try OutputFile(path: link, overwrite: true)
      try output.write(Array("new".utf8))
      #expect(try contents(real) == "old")
      try output.publish()
      #expect(try contents(real) == "new")
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "real")
      #expect(try mode(real) == 0o640)
      #expect(try files(directory) == ["link", "real"])
    }
  }

  /// Both ways of publishing, with and without a visible temporary file.
  @Test(arguments: [false, true]) func aNameDoesNotChangeTheResult(isNamed: Bool) throws {
    try withTemporaryFolder { directory in
      for (overwrite, name) in [(false, "new"), (true, "old"), (true, "newer")] {
        let path = directory + "/" + name
        if name == "old" { try write("old and much longer than what comes", to: path) }
        let output = try OutputFile(path: path, overwrite: overwrite)
        if isNamed { _ = try output.temporaryPath }
        try output.reserve(1 << 20)
        try output.write(Array("bytes".utf8))
        try output.finishWriting()
        #expect(try contents(output.readingPath) == "bytes")
        try output.publish()
        #expect(try contents(path) == "bytes")
      }
      #expect(try files(directory) == ["new", "newer", "old"])
      let late = try OutputFile(path: directory + "/late", overwrite: false)
      if isNamed { _ = try late.temporaryPath }
      try write("other", to: directory + "/late")
      #expect(reason { try late.publish() } == "output output.exists")
      late.discard()
      #expect(try contents(directory + "/late") == "other")
      #expect(try files(directory) == ["late", "new", "newer", "old"])
    }
  }

  @Test func blocksThatAreNotThereAreMissedAtOnce() throws {
    try withTemporaryFolder { directory in
      let output = try OutputFile(path: directory + "/a", overwrite: false)
      #expect(reason { try output.reserve(1 << 60) } == "inputOutput file.full")
      try output.reserve(0)
      try output.reserve(-1)
      try output.reserve(3 << 20)
      try output.write([1, 2, 3])
      try output.publish()
      var status = stat()
      #expect(stat(directory + "/a", &status) == 0)
      #expect(status.st_size == 3 && status.st_blocks < 64)
    }
  }

  @Test func replacingKeepsTheModeAndOtherLinksKeepTheirBytes() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/a"
      try write("old", to: path)
      try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path)
      #expect(OutputFile.remarks(onReplacing: path).isEmpty)
      #expect(OutputFile.remarks(onReplacing: directory + "/none").isEmpty)
      #expect(OutputFile.remarks(onReplacing: directory).isEmpty)
      try FileManager.default.linkItem(atPath: path, toPath: directory + "/b")
      #expect(
        OutputFile.remarks(onReplacing: path).map(\.description) == [
          "the output had 2 hard links; the others keep the old contents"
        ])
      let output = try OutputFile(path: path, overwrite: true)
      try output.write(Array("new".utf8))
      try output.publish()
      #expect(try contents(path) == "new")
      #expect(try contents(directory + "/b") == "old")
      #expect(try mode(path) == 0o444)
    }
  }

  @Test func whatCannotBeCreatedIsRefusedAtOnce() throws {
    try withTemporaryFolder { directory in
      let fifo = directory + "/fifo"
      #expect(mkfifo(fifo, 0o600) == 0)
      try FileManager.default.createSymbolicLink(
        atPath: directory + "/dangling", withDestinationPath: "nowhere")
      for (name, expected) in [
        ("", "output output.not-regular"), ("/fifo", "output output.not-regular"),
        ("/dangling", "output output.dangling-link"), ("/none/file", "output output.directory"),
        ("/fifo/file", "output output.directory"), ("/none/", "output output.directory"),
      ] {
        #expect(
          reason { _ = try OutputFile(path: directory + name, overwrite: true) } == expected)
      }
      #expect(reason { _ = try OutputFile(path: "", overwrite: true) } == "output output.directory")
      #expect(try files(directory) == ["dangling", "fifo"])
    }
  }

  @Test func longNamesStillGetATemporary() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/" + String(repeating: "é", count: 127)
      let output = try OutputFile(path: path, overwrite: false)
      try output.publish()
      #expect(FileManager.default.fileExists(atPath: path))
    }
  }

  @Test func aChangedInputStopsPublication() throws {
    try withTemporaryFolder { directory in
      let source = directory + "/in"
      try write("input", to: source)
      let input = try InputFile(path: source)
      let output = try OutputFile(path: directory + "/out", overwrite: false)
      try write("changed and longer", to: source)
      // Replaced by rename: the open file lost its link, which its change time tells.
      #expect(reason { try output.publish(checking: [input]) } == "changed file.changed")
      output.discard()
      #expect(try files(directory) == ["in"])
    }
  }

  @Test func exactlyOneOfManyWritersWins() async throws {
    let directory = try newFolder()
    defer { remove(directory) }
    let path = directory + "/out"
    let winners = await withTaskGroup(of: Int?.self) { group in
      for writer in 0..<16 {
        group.addTask {
          do {
            let output = try OutputFile(path: path, overwrite: false)
            try output.write([UInt8](repeating: UInt8(writer), count: 100_000))
            try output.publish()
            return writer
          } catch { return (error as? RecurrentError)?.reason.code == "output.exists" ? nil : -1 }
        }
      }
      return await group.reduce(into: [Int]()) { if let writer = $1 { $0.append(writer) } }
    }
    #expect(winners.count == 1)
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(data == Data(repeating: UInt8(winners.first ?? 255), count: 100_000))
    #expect(try files(directory) == ["out"])
  }
}
