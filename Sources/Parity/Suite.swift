import Containers
import Conversion
import Frameworks
import HostSystem
import Networks
import Tensors

/// What came of verifying one fixture file.
public struct FixtureResult: Sendable {
  /// The file.
  public let path: String
  /// The fixture's own name, if it gives one.
  public internal(set) var name: String?
  /// Every expected tensor against what was computed.
  public internal(set) var checks: [Check]
  /// What a reader should know about how they were made, one line each.
  public internal(set) var remarks: [String]
  /// Why the fixture could not be run, if it could not.
  public internal(set) var error: RecurrentError?
  /// What explains numbers that differ, best first; of a fixture that fails only.
  package internal(set) var causes: [Cause] = []
  /// The gradients that are not expected, and so not checked, although others are (`grads/KEY`): those of
  /// frozen parameters, say.
  public internal(set) var absent: [String] = []
  /// The seconds that it took.
  public internal(set) var seconds = 0.0
  /// Why another program was not judged by it: it cannot express the fixture.
  package internal(set) var skipped: String?
  /// The other program that computed, if it was not this library.
  package internal(set) var program: String?

  /// Whether it counts as a failure.
  package var fails: Bool { !passes && skipped == nil }
  /// Whether everything expected was found, within tolerance.
  public var passes: Bool { error == nil && !checks.isEmpty && checks.allSatisfy(\.passes) }

  /// One line: what passed, or what failed first and why.
  package var summary: String {
    if let error { return error.message }
    guard !passes else { return "\(checks.count) tensors agree" }
    let worst = worst.map { "\($0.tensor): \($0.summary)" } ?? "nothing compared"
    return worst + (causes.first.map { "; cause: \($0.summary)" } ?? "")
  }

  /// The check that used the largest share of its tolerance.
  public var worst: Check? {
    checks.first { $0.problem != nil } ?? checks.max { $0.toleranceUsed < $1.toleranceUsed }
  }
}

/// Verifies one fixture file; what goes wrong is part of the result.
///
/// ```swift
/// #expect(parity(of: "fixture.npz").passes)
/// ```
public func parity(of path: String, options: VerificationOptions = .init()) -> FixtureResult {
  let start = ContinuousClock.now
  var result = verified(path, options)
  result.seconds = start.secondsPassed
  return result
}

extension ContinuousClock.Instant {
  /// The seconds from then to now.
  package var secondsPassed: Double { duration(to: .now) / .seconds(1) }
}

private func verified(_ path: String, _ options: VerificationOptions) -> FixtureResult {
  var name: String?
  do {
    let file = try WeightFile(path: path)
    let fixture = try Fixture(file.state)
    name = fixture.configuration.name
    let start = ContinuousClock.now
    let (checks, remarks) = try fixture.examine(options: options)
    let time = ContinuousClock.now - start
    for input in file.files { try input.checkUnchanged() }
    var result = FixtureResult(
      path: path, name: name, checks: checks, remarks: remarks, error: nil,
      absent: try fixture.absentGradients())
    if !result.passes {
      result.causes = fixture.causes(of: checks, verification: time, options: options)
    }
    return result
  } catch let error as RecurrentError {
    return FixtureResult(
      path: path, name: name, checks: [], remarks: [], error: error.inFile(path))
  } catch {
    let fault = RecurrentError(.faultUnexpected, file: path, found: "\(error)")
    return FixtureResult(path: path, name: name, checks: [], remarks: [], error: fault)
  }
}

/// Finds the fixtures among files and directories.
package enum FixtureSearch {
  /// The fixture files of paths, directories searched recursively in the order of names.
  ///
  /// In a directory, files that are no container at all and containers without a `config` (plain
  /// weights) are left out; a damaged container stays in, because hiding it would hide a failure.
  /// Throws `fixture.none` when nothing is left.
  package static func files(in paths: [String]) throws -> [String] {
    var files: [String] = []
    for path in paths {
      guard let names = try directoryEntries(path) else {
        files.append(path)
        continue
      }
      let base = path.hasSuffix("/") && path.count > 1 ? String(path.dropLast()) : path
      var pending = names.map { "\(base)/\($0)" }.reversed() as [String]
      while let next = pending.popLast() {
        if let inner = try directoryEntries(next) {
          pending += inner.map { "\(next)/\($0)" }.reversed()
        } else if try isCandidate(next) {
          files.append(next)
        }
      }
    }
    guard !files.isEmpty else {
      throw RecurrentError(
        .fixtureNone, file: paths.first, found: "no fixtures",
        expected: "at least one file with a config tensor")
    }
    return files
  }

  private static func isCandidate(_ path: String) throws -> Bool {
    do {
      guard try WeightFile.isContainer(path: path) else { return false }
      return Fixture.isFixture(try WeightFile(path: path).state)
    } catch let error as RecurrentError {
      // Not a regular file (a socket, say) is no container; anything unreadable is a failure to show.
      return error.reason != .fileNotRegular
    }
  }

  /// The names in a directory, sorted by bytes, without dot files; `nil` when it is not a directory.
  ///
  /// A symbolic link inside a tree is not followed to a directory, so that no cycle can arise.
  private static func directoryEntries(_ path: String) throws -> [String]? {
    guard let directory = opendir(path) else {
      if errno == ENOTDIR { return nil }
      let code = errno
      throw RecurrentError(
        code == EACCES ? .filePermission : .fileMissing, file: path,
        found: systemMessage(code), expected: "a fixture file or directory")
    }
    defer { closedir(directory) }
    var names: [Name] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if !name.hasPrefix(".") { names.append(Name(name)) }
    }
    return names.sorted().map(\.string).filter { name in
      var status = stat()
      guard lstat("\(path)/\(name)", &status) == 0 else { return false }
      guard status.st_mode & S_IFMT == S_IFLNK else { return true }
      return stat("\(path)/\(name)", &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }
  }
}
