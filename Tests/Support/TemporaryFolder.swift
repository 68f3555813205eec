import Foundation

/// A folder that is gone after the test.
package final class TemporaryFolder {
  package let path: String

  package init() throws { path = try newFolder() }

  deinit { remove(path) }

  /// A path in the folder.
  package func file(_ name: String) -> String { "\(path)/\(name)" }
}

/// Runs `body` with a folder of its own.
package func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = try newFolder()
  defer { remove(folder) }
  return try body(folder)
}

/// The path of a new folder, for tests that wait; it goes with `defer { remove(folder) }`.
package func newFolder() throws -> String {
  let path = newPath("")
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}

/// A path that nothing has, with this at its end.
package func newPath(_ suffix: String) -> String {
  FileManager.default.temporaryDirectory
    .appendingPathComponent("recurrent-tests-\(UUID().uuidString)\(suffix)").path
}

/// Removes a file or a folder, if it is there.
package func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

/// The bytes of a file.
package func fileBytes(_ path: String) throws -> [UInt8] {
  try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Makes or replaces a file.
package func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
  try Data(bytes).write(to: URL(fileURLWithPath: path))
}
