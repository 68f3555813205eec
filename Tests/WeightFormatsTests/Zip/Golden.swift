import Foundation
import Testing

@testable import Containers
@testable import Frameworks
@testable import Tensors

/// The files under `fixtures/golden` that tools/make_goldens_torch.py wrote.
struct Golden {
  /// What the script says about one file.
  struct Expectation: Decodable {
    var tensors: [[Field]]
    var ties: [String: String]?
    var skipped: [String]?
    var key: String?
  }

  /// A name, a dtype, a shape or bytes in hex.
  enum Field: Decodable {
    case text(String)
    case shape([Int])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let text = try? container.decode(String.self) {
        self = .text(text)
      } else {
        self = .shape(try container.decode([Int].self))
      }
    }
  }

  static func url(_ path: String) -> URL {
    var folder = URL(fileURLWithPath: #filePath)
    for _ in 0..<4 { folder.deleteLastPathComponent() }
    return folder.appendingPathComponent("fixtures/golden/" + path)
  }

  static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: url(path))) }

  static func decode<Value: Decodable>(_ type: Value.Type, _ path: String) throws -> Value {
    try JSONDecoder().decode(type, from: Data(contentsOf: url(path)))
  }

  /// Compares names, order, types, shapes and every byte.
  static func check(_ state: StateDict, _ expected: Expectation, _ file: String) throws {
    #expect(state.count == expected.tensors.count, "\(file)")
    for (entry, fields) in zip(state.entries, expected.tensors) {
      guard fields.count == 4, case .text(let name) = fields[0], case .text(let dtype) = fields[1],
        case .shape(let shape) = fields[2], case .text(let hex) = fields[3]
      else {
        Issue.record("expected.json is broken for \(file)")
        return
      }
      #expect(entry.name == Name(name), "\(file)")
      #expect(entry.tensor.dtype.rawValue == dtype, "\(file): \(name)")
      #expect(entry.tensor.shape == shape, "\(file): \(name)")
      let text = try entry.tensor.bytes().map { String(format: "%02x", $0) }.joined()
      #expect(text == hex, "\(file): \(name)")
    }
  }
}

/// Every tensor with its bytes, for comparing two readings.
func contents(_ state: StateDict) throws -> [String] {
  try state.entries.map {
    "\($0.name) \($0.tensor.dtype) \($0.tensor.shape) \(try $0.tensor.bytes())"
  }
}

/// The reason of the error that `body` throws, or `nil`.
func reason(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch let error as RecurrentError {
    return error.reason
  } catch {
    return "foreign: \(error)"
  }
}

/// A state dict that uses every element type, sizes all different, and special bit patterns.
func sampleState(without omitted: Set<DType> = []) throws -> StateDict {
  var state = StateDict()
  for (index, dtype) in DType.allCases.enumerated() where !omitted.contains(dtype) {
    let shape = [index + 2, 3]
    let count = shape[0] * shape[1] * dtype.byteCount
    let bytes = (0..<count).map { UInt8(dtype == .bool ? $0 % 2 : ($0 * 37 + index * 11) % 256) }
    try state.append(Name("t.\(dtype.rawValue)"), Tensor(dtype: dtype, shape: shape, bytes: bytes))
  }
  try state.append(
    "nan", Tensor(dtype: .f32, shape: [2], bytes: [1, 0, 0xA0, 0x7F, 0, 0, 0, 0x80]))
  try state.append("scalar", Tensor(dtype: .f64, shape: [], bytes: [1, 2, 3, 4, 5, 6, 7, 8]))
  try state.append("empty", Tensor(dtype: .f32, shape: [0, 5], bytes: []))
  try state.append("größe/x", Tensor(dtype: .i16, shape: [1, 2, 1], bytes: [1, 2, 3, 4]))
  return state
}
