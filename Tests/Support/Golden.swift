import Foundation
import Tensors

/// Files under `fixtures/golden` and what the scripts that made them say about them.
package enum Golden {
  /// What a script says about one file.
  package struct Expectation: Decodable {
    package var tensors: [[Field]]
    package var ties: [String: String]?
    package var skipped: [String]?
    package var key: String?

    package init(tensors: [[Field]]) { self.tensors = tensors }
  }

  /// A name, a dtype, a shape or bytes in hex.
  package enum Field: Decodable {
    case text(String)
    case shape([Int])

    package init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self = .text(text)
      } else {
        self = .shape(try container.decode([Int].self))
      }
    }
  }

  package static func bytes(_ path: String) throws -> [UInt8] {
    try fileBytes(Checkout.golden(path))
  }

  package static func decode<Value: Decodable>(
    _ type: Value.Type, _ path: String
  ) throws -> Value {
    try JSONDecoder().decode(
      type, from: Data(contentsOf: URL(fileURLWithPath: Checkout.golden(path))))
  }

  /// What differs in names, order, types, shapes or bytes.
  package static func differences(
    _ state: StateDict, from expected: Expectation
  ) throws -> [String] {
    guard state.count == expected.tensors.count else { return ["\(state.count) tensors"] }
    return try zip(state.entries, expected.tensors).compactMap { entry, fields in
      guard fields.count == 4, case .text(let name) = fields[0], case .text(let dtype) = fields[1],
        case .shape(let shape) = fields[2], case .text(let hex) = fields[3]
      else { return "the expectation is broken" }
      let tensor = entry.tensor
      if entry.name != Name(name) { return "\(entry.name) stands where \(name) should" }
      if tensor.dtype.rawValue != dtype { return "\(name) is \(tensor.dtype.rawValue)" }
      if tensor.shape != shape { return "\(name) has shape \(tensor.shape)" }
      let text = try tensor.bytes().map { String(format: "%02x", $0) }.joined()
      return text == hex ? nil : "\(name) has other bytes"
    }
  }
}
