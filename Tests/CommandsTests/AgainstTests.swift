import Foundation
import Recurrent
import TestSupport
import Testing

/// Programs of the shell stand for other people's programs here; `tools/peers/check_against.py` runs real ones.
@Suite("Another program's numbers are judged")
struct AgainstTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A program that writes what a fixture expects, changed, into its second word.
  private func program(
    _ name: String = "answer", _ change: (String, inout Tensor?) throws -> Void = { _, _ in }
  ) throws -> String {
    var answer = StateDict()
    for entry in try WeightFile(path: CommandLineTests.good).state.entries {
      let key = entry.name.string
      guard key.hasPrefix("outputs/") || key.hasPrefix("grads/") else { continue }
      var tensor: Tensor? = entry.tensor
      try change(key, &tensor)
      if let tensor { try answer.append(entry.name, tensor) }
    }
    let path = folder.file("\(name).npz")
    try WeightFormat.named("npz").write(answer, to: path, overwrite: true) { _ in }
    return try script(name, "cp '\(path)' \"$2\"")
  }

  private func script(_ name: String, _ text: String) throws -> String {
    let path = folder.file("\(name).sh")
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    return "sh '\(path)'"
  }

  private func verify(_ command: String, _ more: String...) throws -> Tools.Result {
    try Tools.run(
      "rnn-verify", arguments: ["--against", command, CommandLineTests.good] + more,
      environment: ["TMPDIR": scratch()])
  }

  /// A folder of its own for temporary files, to see that none stays.
  private func scratch() throws -> String {
    let path = folder.file("tmp")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func theRightNumbersPassAndNothingIsLeft() throws {
    let result = try verify(program())
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    #expect(result.output.contains("1 fixture passed, "))
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch()).isEmpty)
  }

  @Test func theProgramGetsWeightsInputsAndNamesAndNoAnswers() throws {
    let copy = folder.file("seen.npz")
    _ = try verify(script("spy", "cp \"$1\" '\(copy)'; exit 3"))
    let seen = try WeightFile(path: copy).state
    let whole = try WeightFile(path: CommandLineTests.good).state
    #expect(
      !seen.names.contains { $0.string.hasPrefix("outputs/") || $0.string.hasPrefix("grads/") })
    for entry in whole.entries
    where ["weights/", "inputs/", "config"].contains(where: entry.name.string.hasPrefix) {
      #expect(try seen[entry.name]?.isIdentical(to: entry.tensor) == true, "\(entry.name)")
    }
    let wanted = try #require(seen["wanted"])
    let names = try JSONSerialization.jsonObject(with: Data(wanted.bytes())) as? [String]
    let expected = whole.names.map(\.string).filter {
      $0.hasPrefix("outputs/") || $0.hasPrefix("grads/")
    }
    #expect(names == expected)
  }

  @Test func wrongNumbersAreReportedAsEver() throws {
    let wrong = try program { name, tensor in
      guard name == "outputs/output", let whole = tensor else { return }
      var numbers = try whole.doubles()
      numbers[numbers.count - 1] += 0.25
      tensor = try Tensor.make(numbers, shape: whole.shape).converted(to: whole.dtype).0
    }
    let (report, page) = (folder.file("report.xml"), folder.file("page.html"))
    let result = try verify(wrong, "--junit", report, "--html", page)
    #expect(result.status == 1 && result.output.contains("FAIL outputs/output: at ["))
    #expect(result.output.contains("deviation 0.25") && result.output.contains("time step"))
    #expect(try String(contentsOfFile: report, encoding: .utf8).contains("<failure "))
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.contains("Computed by: sh ") && html.contains("expected beside computed"))
  }

  @Test func whatIsMissingFailsOrIsAbsent() throws {
    let inference = try program { name, tensor in
      if name.hasPrefix("grads/") || name == "outputs/loss" { tensor = nil }
    }
    let result = try verify(inference, "--verbose")
    #expect(result.status == 0 && result.output.contains(" tensors absent\n"), "\(result.output)")
    #expect(result.output.contains("  absent: outputs/loss\n"))
    let partial = try program("partial") { name, tensor in
      if name == "outputs/logits" { tensor = nil }
    }
    let missing = try verify(partial)
    #expect(missing.status == 1 && missing.output.contains("outputs/logits: not computed"))
    let nothing = try verify(script("nothing", "true"))
    #expect(nothing.status == 1 && nothing.output.contains("nothing written"))
  }

  @Test func aProgramMaySayThatItCannot() throws {
    let cannot = try script("cannot", "echo 'no such cell'; exit 69")
    let alone = try verify(cannot)
    #expect(alone.status == 65 && alone.errors.contains("1 fixture skipped (no such cell)"))
    // The first fixture is skipped, the second computed.
    let answer = try program()
    let some = try script("some", "case \"$RNN\" in \"\") exit 69;; esac; \(answer) \"$@\"")
    let other = folder.file("other.npz")
    try FileManager.default.copyItem(atPath: CommandLineTests.good, toPath: other)
    let mixed = try script(
      "mixed",
      "mkdir '\(folder.file("lock"))' 2>/dev/null && { echo later; exit 69; }; \(answer) \"$@\"")
    #expect(try verify(some).status == 65)
    let (report) = folder.file("report.xml")
    let result = try verify(mixed, other, "--jobs", "1", "--junit", report)
    #expect(result.status == 0, "\(result.output)")
    #expect(result.output.contains("skip") && result.output.contains(", 1 skipped\n"))
    let xml = try String(contentsOfFile: report, encoding: .utf8)
    #expect(xml.contains("<skipped message=\"later\"/>") && xml.contains("skipped=\"1\""))
  }

  @Test func aProgramThatFailsIsQuotedAndNoErrorOfTheFile() throws {
    let result = try verify(script("broken", "echo first; echo 'ValueError: no' >&2; exit 3"))
    #expect(result.status == 1 && result.errors.isEmpty)
    #expect(result.output.contains("error[against.program]"))
    #expect(result.output.contains("exit status 3: ValueError: no"), "\(result.output)")
    let object = try json(verify(script("killed", "kill -9 $$"), "--json").output)
    let fixture = try #require((object["fixtures"] as? [[String: Any]])?.first)
    let error = try #require(fixture["error"] as? [String: Any])
    #expect((error["found"] as? String)?.contains("signal 9") == true)
    let nowhere = try Tools.run(
      "rnn-verify", arguments: ["--against", "true", CommandLineTests.good, "--json"],
      environment: ["TMPDIR": "/no/such/folder"])
    #expect(nowhere.status == 1 || nowhere.status == 71)
    #expect(nowhere.output.contains("\"against.folder\""), "\(nowhere.output)")
    let absent = try verify("/no/such/program")
    #expect(absent.status == 1 && absent.output.contains("exit status 127"))
    let garbage = try verify(script("garbage", "echo no archive > \"$2\""))
    #expect(garbage.status == 1 && garbage.output.contains("an output that cannot be read"))
  }

  /// Time is limited, and what the program started ends with it.
  @Test func aProgramThatHangsIsEnded() throws {
    let pid = folder.file("pid")
    let hanging = try script("hanging", "sleep 600 & echo $! > '\(pid)'; wait")
    let start = Date()
    let result = try verify(hanging, "--timeout", "0.5")
    #expect(Date().timeIntervalSince(start) < 60)
    #expect(result.status == 1 && result.output.contains("no answer within 0.5 s"))
    let text = try String(contentsOfFile: pid, encoding: .utf8)
    let child = try #require(Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    // A zombie counts as ended; nobody may have waited for it yet.
    let state = try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)
    #expect(kill(child, 0) != 0 || state?.contains(") Z") == true)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch()).isEmpty)
  }

  @Test func namesThatNoFixtureHasAreMistakes() throws {
    let path = folder.file("odd.npz")
    var answer = StateDict()
    for entry in try WeightFile(path: CommandLineTests.good).state.entries
    where entry.name.string.hasPrefix("outputs/") {
      try answer.append(entry.name, entry.tensor)
    }
    try answer.append("outputs/outptu", Tensor.make([1.0], shape: [1]))
    try WeightFormat.named("npz").write(answer, to: path) { _ in }
    let result = try verify(script("odd", "cp '\(path)' \"$2\""))
    #expect(result.status == 1, "\(result.output)")
    #expect(result.output.contains("expects no such tensor; the nearest is outputs/output"))
  }

  @Test func aFailingCaseIsWrittenSmall() throws {
    let small = folder.file("small")
    let broken = try script("broken", "echo broken >&2; exit 3")
    let result = try verify(broken, "--shrink", small)
    #expect(result.status == 1)
    #expect(result.output.contains("shrunk: ") && result.output.contains("H 4 -> 1"))
    #expect(result.output.contains("-> 0 weights that are not zero"), "\(result.output)")
    let fixture = "\(small)/ce-lstm.npz"
    #expect(try Tools.run("rnn-verify", fixture).status == 0)
    #expect(try Tools.run("rnn-verify", "--against", broken, fixture).status == 1)
    let text = try String(contentsOfFile: "\(small)/ce-lstm.py", encoding: .utf8)
    #expect(text.contains("import numpy as np") && text.contains("broken"))
    #expect(text.split(separator: "\n").count <= 25, "\(text)")
    let object = try json(verify(broken, "--shrink", small, "--json").output)
    let shrunk = try #require((object["shrunk"] as? [[String: Any]])?.first)
    #expect((shrunk["sizes"] as? [String: [Int]])?["H"] == [4, 1])
    #expect(shrunk["fixture"] as? String == fixture)
    // Nothing fails, nothing is written.
    let none = folder.file("none")
    #expect(try verify(program(), "--shrink", none).status == 0)
    #expect(!FileManager.default.fileExists(atPath: none))
    let occupied = try verify(broken, "--shrink", "/dev/null/x")
    #expect(occupied.status == 73, "\(occupied.errors)")
  }
}
