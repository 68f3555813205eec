import CommandSupport
import Parity
import Recurrent

/// Results in the XML that CI servers read.
enum JUnitReport {
  static func xml(_ results: [FixtureResult]) -> String {
    let failures = results.filter { $0.error == nil && $0.fails }.count
    let errors = results.filter { $0.error != nil }.count
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    let seconds = time(results.reduce(0) { $0 + $1.seconds })
    text +=
      "<testsuites>\n<testsuite name=\"rnn-verify\" tests=\"\(results.count)\""
      + " failures=\"\(failures)\" errors=\"\(errors)\""
      + " skipped=\"\(results.filter { $0.skipped != nil }.count)\" time=\"\(seconds)\">\n"
    for result in results {
      text +=
        "<testcase classname=\"rnn-verify\" name=\"\(escaped(result.path))\""
        + " time=\"\(time(result.seconds))\""
      if let error = result.error {
        text +=
          ">\n<error type=\"\(escaped(error.reason.code))\" message=\"\(escaped(error.message))\"/>\n"
          + "</testcase>\n"
      } else if let headline = result.headline {
        text +=
          ">\n<failure type=\"difference\" message=\"\(escaped(headline))\">\n"
          + details(result) + "</failure>\n</testcase>\n"
      } else if let skipped = result.skipped {
        text += ">\n<skipped message=\"\(escaped(skipped))\"/>\n</testcase>\n"
      } else {
        text += "/>\n"
      }
    }
    return text + "</testsuite>\n</testsuites>\n"
  }

  /// Every tensor that differs, a line for each.
  private static func details(_ result: FixtureResult) -> String {
    result.checks.filter { !$0.passes }
      .map { "\(escaped("\($0.tensor): \($0.summary)"))\n" }.joined()
  }

  /// Seconds in thousandths, as CI servers read them.
  private static func time(_ seconds: Double) -> String {
    let thousandths = Int((max(0, min(seconds, 1e9)) * 1000).rounded())
    let digits = String(thousandths % 1000)
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits
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
