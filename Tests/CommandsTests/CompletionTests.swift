import Foundation
import TestSupport
import Testing

/// What bash offers, asked as bash asks: the words of the line so far, and where the cursor is.
@Suite("Bash offers options and files at every place of a line") struct CompletionTests {
  private static let asking = """
    cd "$1"; source "$2"; shift 2
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
    read -r _ _ _ _ _ _ function _ < <(complete -p "$1")
    "$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    printf '%s\\n' "${COMPREPLY[@]}"
    """

  private let folder: TemporaryFolder
  /// Where the completion script lies, which must not be offered.
  private let scripts: TemporaryFolder

  init() throws {
    (folder, scripts) = (try TemporaryFolder(), try TemporaryFolder())
    for name in ["model.pt", "a b.pt", "names.json", "text.txt"] {
      try Data().write(to: URL(fileURLWithPath: folder.file(name)))
    }
    try FileManager.default.createDirectory(
      atPath: folder.file("more"), withIntermediateDirectories: false)
  }

  private func offers(_ line: String...) throws -> Set<String> {
    let script = scripts.file("completion")
    let made = try Tools.run(line[0], "--generate-completion-script", "bash")
    #expect(made.status == 0)
    try made.output.write(toFile: script, atomically: false, encoding: .utf8)
    let result = try Tools.run(
      "/bin/bash", arguments: ["-c", Self.asking, "ask", folder.path, script] + line)
    #expect(result.errors.isEmpty, "\(result.errors)")
    return Set(result.output.split(separator: "\n").map(String.init))
  }

  private static let files: Set<String> = ["model.pt", "a b.pt", "names.json", "text.txt", "more"]

  @Test func filesAreOfferedWhereFilesAreWanted() throws {
    #expect(try offers("rnn-inspect", "") == Self.files)
    #expect(try offers("rnn-inspect", "m") == ["model.pt", "more"])
    #expect(try offers("rnn-inspect", "--cell", "lstm", "a") == ["a b.pt"])
    #expect(try offers("rnn-convert", "model.pt", "mo") == ["model.pt", "more"])
    #expect(try offers("rnn-inspect", "model.pt", "--diff", "a") == ["a b.pt"])
    #expect(try offers("rnn-inspect", "model.pt", "--names", "") == ["names.json", "more"])
    #expect(try offers("rnn-convert", "--", "m") == ["model.pt", "more"])
  }

  @Test func optionsAreOfferedBehindTheFiles() throws {
    #expect(try offers("rnn-inspect", "model.pt", "--st") == ["--stats"])
    #expect(try offers("rnn-inspect", "model.pt", "--stats", "--js") == ["--json"])
    #expect(try offers("rnn-convert", "model.pt", "out.h5", "--dt") == ["--dtype"])
    #expect(try offers("rnn-verify", "a.npz", "b.npz", "--verb") == ["--verbose"])
    #expect(try offers("rnn-train", "text.txt", "m.h5", "--hid") == ["--hidden"])
    // Where no more files are wanted, options are all there is.
    let rest = try offers("rnn-inspect", "model.pt", "")
    #expect(rest.contains("--stats") && rest.isDisjoint(with: Self.files) && !rest.contains("help"))
    let both = try offers("rnn-convert", "model.pt", "out.h5", "")
    #expect(both.contains("--plan") && both.isSuperset(of: Self.files))
  }

  @Test func valuesAreOfferedBehindTheirOptions() throws {
    #expect(
      try offers("rnn-inspect", "model.pt", "--cell", "") == [
        "rnn_tanh", "rnn_relu", "lstm", "gru",
      ])
    #expect(try offers("rnn-convert", "a", "b", "--dtype", "b") == ["bf16"])
    // bash takes an equals sign for a word of its own.
    #expect(try offers("rnn-inspect", "model.pt", "--cell", "=", "ls") == ["lstm"])
    #expect(try offers("rnn-inspect", "model.pt", "--gru-reset", "=") == ["after", "before"])
    #expect(try offers("rnn-inspect", "--cell", "=", "lstm", "m") == ["model.pt", "more"])
    #expect(try offers("rnn-inspect", "--module", "m").isEmpty)
  }

  @Test func samplingIsACommandAndTrainingTakesAnyFile() throws {
    #expect(try offers("rnn-train", "") == Self.files.union(["plot", "sample"]))
    #expect(try offers("rnn-train", "s") == ["sample"])
    #expect(try offers("rnn-train", "text.txt", "") == Self.files)
    #expect(try offers("rnn-train", "sample", "m") == ["model.pt", "more"])
    #expect(try offers("rnn-train", "sample", "model.pt", "--temp") == ["--temperature"])
    #expect(try offers("rnn-train", "sample", "--hid").isEmpty)
  }
}
