import CommandSupport
import HostSystem
import Parity
import Recurrent
import Reports

/// Failures in the form that GitHub shows beside a pull request's files:
/// `::error file=FILE,title=TITLE::MESSAGE`.
enum AnnotationReport {
  /// Whether this is a workflow of GitHub's, which sets `GITHUB_ACTIONS` to `true`.
  static var isWanted: Bool { getenv("GITHUB_ACTIONS").map { String(cString: $0) } == "true" }

  static func text(_ results: [FixtureResult]) -> String {
    var text = ""
    for result in results where result.fails {
      if let error = result.error {
        text += line(result.path, "rnn-verify: error[\(error.reason.code)]", error.message)
        continue
      }
      if let cause = result.causes.first, cause.isKnown {
        text += line(result.path, "rnn-verify: cause", cause.summary)
      }
      if result.checks.isEmpty { text += line(result.path, "rnn-verify", "nothing compared") }
      for check in result.checks where !check.passes {
        text += line(result.path, "rnn-verify: \(check.tensor) differs", check.summary)
      }
    }
    return text
  }

  private static func line(_ file: String, _ title: String, _ message: String) -> String {
    "::error file=\(property(file)),title=\(property(title))::\(escaped(message))\n"
  }

  // GitHub's own escapes; a message that could end its line could forge another command.
  private static func escaped(_ text: String) -> String {
    escapedForTerminal(text, limit: 1000).map { $0 == "%" ? "%25" : String($0) }.joined()
  }

  private static func property(_ text: String) -> String {
    escaped(text).map { $0 == ":" ? "%3A" : $0 == "," ? "%2C" : String($0) }.joined()
  }
}
