import Foundation
import HostSystem
import TestSupport
import Testing

@testable import Bytes

// What a process has for itself is tried in a process of its own.
#if compiler(>=6.2) && (os(macOS) || os(Linux))
  @Suite("Files are written with the mode that the program's mask leaves, which stays as it is")
  struct GuestTests {
    @Test func newFilesHaveTheUsualMode() async {
      await #expect(processExitsWith: .success) {
        umask(0o027)
        try withTemporaryFolder { folder in
          let path = folder + "/a"
          let output = try OutputFile(path: path, overwrite: false)
          try output.write([1, 2, 3])
          try output.publish()
          let attributes = try FileManager.default.attributesOfItem(atPath: path)
          #expect(attributes[.posixPermissions] as? Int == 0o640)
        }
        #expect(umask(0) == 0o027)
      }
    }
  }
#endif
