import Foundation
import TestSupport

/// Numbers of PyTorch and NumPy in `fixtures/golden/engine`, as bit patterns; tools/goldens/engine_random.py
/// and engine_curves.py write them. What is not there is empty, which equals no result.
struct GoldenNumbers: Sendable {
  static let random = GoldenNumbers("random")
  static let curves = GoldenNumbers("curves")

  private struct File: Decodable {
    var arrays: [String: [String: [String]]]
  }

  private let arrays: [String: [String: [String]]]

  init(_ name: String) {
    let bytes = try? fileBytes(Checkout.golden("engine/\(name).json"))
    let file = bytes.flatMap { try? JSONDecoder().decode(File.self, from: Data($0)) }
    arrays = file?.arrays ?? [:]
  }

  var names: Set<String> { Set(arrays.keys) }

  func floats(_ name: String) -> [Float] {
    words(name, "f32").compactMap { UInt32($0, radix: 16).map(Float.init(bitPattern:)) }
  }

  func doubles(_ name: String) -> [Double] {
    words(name, "f64").compactMap { UInt64($0, radix: 16).map(Double.init(bitPattern:)) }
  }

  func integers(_ name: String) -> [Int] { words(name, "i64").compactMap { Int($0) } }

  /// The sum of many bit patterns.
  func sum(_ name: String) -> UInt64? { words(name, "u64").first.flatMap { UInt64($0) } }

  func bytes(_ name: String) -> [UInt8] {
    let digits = words(name, "bytes").joined().compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map {
      UInt8(16 * digits[$0] + digits[$0 + 1])
    }
  }

  private func words(_ name: String, _ type: String) -> [Substring] {
    (arrays[name]?[type] ?? []).flatMap { $0.split(separator: " ") }
  }
}
