import Bytes
import CommandSupport
import HostSystem
import Parity
import Recurrent

/// What `--shrink` made of one failing fixture.
struct ShrinkReport {
  let file: String
  let result: Result<Shrinking, RecurrentError>
  let paths: (fixture: String, script: String)?

  /// Shrinks every fixture that fails, and writes a fixture and a script for each.
  static func reports(
    _ results: [FixtureResult], into folder: String, against program: ForeignProgram?,
    options: VerificationOptions
  ) throws -> [ShrinkReport] {
    let failing = results.filter { $0.fails && (program != nil || $0.error == nil) }
    guard !failing.isEmpty else { return [] }
    if mkdir(folder, 0o777) != 0, errno != EEXIST {
      throw RecurrentError(
        .outputCreate, file: folder, found: systemMessage(), expected: "a folder")
    }
    var names: Set<String> = []
    return try failing.map { failure in
      let shrunk: Shrinking
      do {
        shrunk = try Shrinking(failure.path, against: program, options: options)
      } catch let error as RecurrentError {
        return ShrinkReport(file: failure.path, result: .failure(error), paths: nil)
      }
      // Fixtures of several folders may have one name.
      var (name, number) = (shrunk.name, 2)
      while !names.insert(name).inserted {
        (name, number) = ("\(shrunk.name)-\(number)", number + 1)
      }
      let paths = ("\(folder)/\(name).npz", "\(folder)/\(name).py")
      try WeightFormat.named("npz").write(shrunk.fixture, to: paths.0, overwrite: true) { _ in }
      try TextFile.write(shrunk.script, to: paths.1)
      return ShrinkReport(file: failure.path, result: .success(shrunk), paths: paths)
    }
  }

  var text: String {
    let name = escapedForTerminal(file)
    switch result {
    case .failure(let error):
      return "not shrunk: \(name): \(escapedForTerminal(error.found, limit: 300))\n"
    case .success(let shrunk):
      let sizes = shrunk.sizes.map {
        $0.before == $0.after ? "\($0.name) \($0.after)" : "\($0.name) \($0.before) -> \($0.after)"
      }.joined(separator: ", ")
      return "shrunk: \(name) to \(escapedForTerminal(paths?.fixture ?? "")) and .py: \(sizes);"
        + " \(grouped(shrunk.weights.before)) -> \(counted(shrunk.weights.after, "weight")) that"
        + " \(shrunk.weights.after == 1 ? "is" : "are") not zero (\(counted(shrunk.runs, "run")))\n"
    }
  }

  var json: JSON {
    var members = [JSON.Member(key: "file", value: .string(file))]
    switch result {
    case .failure(let error): members.append(.init(key: "error", value: error.json))
    case .success(let shrunk):
      members += [
        .init(key: "error", value: .null),
        .init(key: "fixture", value: .string(paths?.fixture ?? "")),
        .init(key: "script", value: .string(paths?.script ?? "")),
        .init(
          key: "sizes",
          value: .object(
            shrunk.sizes.map { .init(key: $0.name, value: .shape([$0.before, $0.after])) })),
        .init(key: "weights", value: .shape([shrunk.weights.before, shrunk.weights.after])),
        .init(key: "runs", value: .number(shrunk.runs)),
      ]
    }
    return .object(members)
  }
}
