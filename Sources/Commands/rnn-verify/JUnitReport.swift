import CommandSupport
import Parity
import Recurrent

/// Results in the XML that CI servers read.
enum JUnitReport {
  static func xml(_ results: [FixtureResult]) -> String {
    let failures = results.filter { $0.error == nil && !$0.passes }.count
    let errors = results.filter { $0.error != nil }.count
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    text +=
      "<testsuites>\n<testsuite name=\"rnn-verify\" tests=\"\(results.count)\""
      + " failures=\"\(failures)\" errors=\"\(errors)\">\n"
    for result in results {
      text += "<testcase classname=\"rnn-verify\" name=\"\(escaped(result.path))\""
      if let error = result.error {
        text +=
          ">\n<error type=\"\(escaped(error.reason.code))\" message=\"\(escaped(error.message))\"/>\n"
          + "</testcase>\n"
      } else if !result.passes {
        text += ">\n"
        for check in result.checks where !check.passes {
          let message =
            check.problem
            ?? "at \(check.index) expected \(check.expected), computed \(check.computed)"
          text +=
            "<failure type=\"difference\" message=\"\(escaped("\(check.tensor): \(message)"))\"/>\n"
        }
        text += "</testcase>\n"
      } else {
        text += "/>\n"
      }
    }
    return text + "</testsuite>\n</testsuites>\n"
  }

  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in escapedForTerminal(text, limit: 1000) {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.append(character)
      }
    }
    return result
  }
}
