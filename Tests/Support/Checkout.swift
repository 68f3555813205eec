import Foundation

/// Places of the checkout that tests read from, as paths.
package enum Checkout {
  package static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// A file or folder below `fixtures`.
  package static func fixture(_ path: String) -> String { "\(root)/fixtures/\(path)" }

  /// A file or folder below `fixtures/golden`: what other libraries wrote.
  package static func golden(_ path: String) -> String { fixture("golden/\(path)") }

  /// A file or folder below `Tests/Support/Refused`: what must not be read. It lies apart from the
  /// fixtures because `rnn-verify fixtures` would take each of these files for a damaged one.
  package static func refused(_ path: String) -> String { "\(root)/Tests/Support/Refused/\(path)" }
}
