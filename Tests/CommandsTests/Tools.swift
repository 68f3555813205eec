import Foundation
import TestSupport
import Testing

/// The programs beside the tests, run as a user runs them.
enum Tools {
  /// The folder of the programs.
  static let programs: String = {
    // The test runner lies beside the programs, unless it is SwiftPM's own helper.
    let own = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
    let candidates = CommandLine.arguments.map {
      URL(fileURLWithPath: $0).deletingLastPathComponent().path
    }
    return (candidates + [own, "\(Checkout.root)/.build/debug", "\(Checkout.root)/.build/release"])
      .first {
        FileManager.default.isExecutableFile(atPath: "\($0)/rnn-verify")
      } ?? own
  }()

  struct Result {
    let status: Int32
    let output: String
    let errors: String
  }

  static func run(
    _ name: String, _ arguments: String..., environment: [String: String] = [:]
  ) throws -> Result {
    try run(name, arguments: arguments, environment: environment)
  }

  /// Runs a program; `meanwhile` may watch it, and stop it.
  static func run(
    _ name: String, arguments: [String], environment: [String: String] = [:],
    meanwhile: (Process) -> Void = { _ in }
  ) throws -> Result {
    let process = Process()
    let isPath = name.hasPrefix("/")
    process.executableURL = URL(fileURLWithPath: isPath ? name : "\(programs)/\(name)")
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment
      .filter { $0.key != "GITHUB_ACTIONS" }.merging(environment) { $1 }
    let folder = try newFolder()
    defer { remove(folder) }
    let (output, errors) = ("\(folder)/out", "\(folder)/err")
    for path in [output, errors] {
      #expect(FileManager.default.createFile(atPath: path, contents: nil))
    }
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: errors))
    try process.run()
    meanwhile(process)
    process.waitUntilExit()
    return Result(
      status: process.terminationStatus,
      output: try String(contentsOfFile: output, encoding: .utf8),
      errors: try String(contentsOfFile: errors, encoding: .utf8))
  }
}
