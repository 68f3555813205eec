import Bytes
import Containers
import Networks
import RNNEngine
import Tensors

/// Numbers with axes, of which parts can be taken.
struct ShrinkArray: Sendable, Hashable {
  var shape: [Int]
  var values: [Double]

  /// The places `indices` of an axis.
  func keeping(_ indices: [Int], axis: Int) -> ShrinkArray {
    let inner = shape[(axis + 1)...].reduce(1, *)
    let outer = shape[..<axis].reduce(1, *)
    var kept: [Double] = []
    kept.reserveCapacity(outer * indices.count * inner)
    for block in 0..<outer {
      for index in indices {
        let start = (block * shape[axis] + index) * inner
        kept += values[start..<start + inner]
      }
    }
    var shape = shape
    shape[axis] = indices.count
    return ShrinkArray(shape: shape, values: kept)
  }
}

/// A stack of recurrent layers and its inputs, in PyTorch's layout and time first, of which parts can be left out.
struct ShrinkCase: Sendable, Hashable {
  let cell: Cell
  let gruReset: GRUReset
  let dtype: DType
  var hasBias: Bool
  var layers: Int
  var directions: Int
  var hidden: Int
  var proj: Int
  /// The parameters under PyTorch's names.
  var weights: [String: ShrinkArray]
  /// (T, N, D)
  var x: ShrinkArray
  /// (layers · directions, N, state)
  var h0: ShrinkArray?
  var c0: ShrinkArray?
  var lengths: [Int]?
  /// Whether gradients are expected too, of the sum of the outputs weighted by ±1.
  var expectsGradients = false

  var gates: Int { cell.gateNames.count }
  /// The width of one direction's output.
  var state: Int { proj > 0 ? proj : hidden }
  /// T, N, D, H and what else there is, for people.
  var sizes: [(name: String, value: Int)] {
    [
      ("T", x.shape[0]), ("N", x.shape[1]), ("D", x.shape[2]), ("H", hidden), ("layers", layers),
      ("directions", directions),
    ] + (proj > 0 ? [("P", proj)] : [])
  }

  static func suffix(_ layer: Int, _ direction: Int) -> String {
    "l\(layer)" + (direction == 1 ? "_reverse" : "")
  }

  /// The places of kept units in what the directions write side by side.
  private func sideBySide(_ units: [Int]) -> [Int] {
    (0..<directions).flatMap { direction in units.map { direction * state + $0 } }
  }

  private mutating func keep(_ indices: [Int], axis: Int, of role: String, layers range: Range<Int>)
  {
    for layer in range {
      for direction in 0..<directions {
        let name = "\(role)_\(Self.suffix(layer, direction))"
        weights[name] = weights[name]?.keeping(indices, axis: axis)
      }
    }
  }

  func keepingSteps(_ steps: [Int]) -> ShrinkCase? {
    var result = self
    result.x = x.keeping(steps, axis: 0)
    result.lengths = lengths?.map { length in steps.filter { $0 < length }.count }
    return result.lengths?.contains(0) == true ? nil : result
  }

  func keepingRows(_ rows: [Int]) -> ShrinkCase {
    var result = self
    result.x = x.keeping(rows, axis: 1)
    result.h0 = h0?.keeping(rows, axis: 1)
    result.c0 = c0?.keeping(rows, axis: 1)
    result.lengths = lengths.map { lengths in rows.map { lengths[$0] } }
    return result
  }

  func keepingFeatures(_ features: [Int]) -> ShrinkCase {
    var result = self
    result.x = x.keeping(features, axis: 2)
    result.keep(features, axis: 1, of: "weight_ih", layers: 0..<1)
    return result
  }

  func keepingUnits(_ units: [Int]) -> ShrinkCase {
    var result = self
    let rows = (0..<gates).flatMap { gate in units.map { gate * hidden + $0 } }
    for role in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
      result.keep(rows, axis: 0, of: role, layers: 0..<layers)
    }
    result.c0 = c0?.keeping(units, axis: 2)
    if proj > 0 {
      result.keep(units, axis: 1, of: "weight_hr", layers: 0..<layers)
    } else {
      result.keep(units, axis: 1, of: "weight_hh", layers: 0..<layers)
      result.keep(sideBySide(units), axis: 1, of: "weight_ih", layers: 1..<max(1, layers))
      result.h0 = h0?.keeping(units, axis: 2)
    }
    result.hidden = units.count
    return result
  }

  func keepingProjections(_ units: [Int]) -> ShrinkCase {
    var result = self
    result.keep(units, axis: 0, of: "weight_hr", layers: 0..<layers)
    result.keep(units, axis: 1, of: "weight_hh", layers: 0..<layers)
    result.keep(sideBySide(units), axis: 1, of: "weight_ih", layers: 1..<max(1, layers))
    result.h0 = h0?.keeping(units, axis: 2)
    result.proj = units.count
    return result
  }

  /// Without one layer; without the first only where the second takes what the first does.
  func withoutLayer(_ removed: Int) -> ShrinkCase? {
    guard layers > 1, removed > 0 || x.shape[2] == directions * state else { return nil }
    var result = self
    result.layers -= 1
    result.weights = [:]
    for (name, array) in weights {
      let parts = name.components(around: "_l")
      let layer = Int(parts.after.prefix { $0.isNumber }) ?? 0
      guard layer != removed else { continue }
      let rest = parts.after.drop { $0.isNumber }
      result.weights["\(parts.before)_l\(layer > removed ? layer - 1 : layer)\(rest)"] = array
    }
    let kept = (0..<layers * directions).filter { $0 / directions != removed }
    result.h0 = h0?.keeping(kept, axis: 0)
    result.c0 = c0?.keeping(kept, axis: 0)
    return result
  }

  func forwardOnly() -> ShrinkCase? {
    guard directions == 2 else { return nil }
    var result = self
    result.directions = 1
    result.weights = weights.filter { !$0.key.hasSuffix("_reverse") }
    result.keep(Array(0..<state), axis: 1, of: "weight_ih", layers: 1..<max(1, layers))
    let kept = (0..<layers).map { $0 * 2 }
    result.h0 = h0?.keeping(kept, axis: 0)
    result.c0 = c0?.keeping(kept, axis: 0)
    return result
  }

  /// What is not needed to be a network, left out, one at a time.
  func simplified() -> [ShrinkCase] {
    var results: [ShrinkCase] = []
    func add(_ change: (inout ShrinkCase) -> Void) {
      var result = self
      change(&result)
      if result != self { results.append(result) }
    }
    add { $0.expectsGradients = false }
    add { $0.lengths = nil }
    add { $0.h0 = nil }
    add { $0.c0 = nil }
    add {
      $0.hasBias = false
      $0.weights = $0.weights.filter { !$0.key.hasPrefix("bias") }
    }
    return results
  }

  /// Every weight tensor, the input and the states as zeros, then every number of them; one at a time.
  func zeroed() -> [(inout ShrinkCase) -> Void] {
    func zero(_ array: inout ShrinkArray) {
      array.values = Array(repeating: 0, count: array.values.count)
    }
    var changes: [(inout ShrinkCase) -> Void] = []
    let names = weights.keys.sorted()
    for name in names {
      changes.append { result in
        if var array = result.weights[name] { zero(&array); result.weights[name] = array }
      }
    }
    // Single numbers only where few are left, for each costs a run.
    for name in names where weights[name]?.values.count ?? 0 <= 32 {
      for index in 0..<(weights[name]?.values.count ?? 0) {
        changes.append { $0.weights[name]?.values[index] = 0 }
      }
    }
    return changes
  }
}

extension String {
  /// The text before and after the last occurrence of a separator.
  fileprivate func components(around separator: String) -> (before: String, after: String) {
    var end = endIndex
    while end > startIndex {
      end = index(before: end)
      if self[end...].hasPrefix(separator) {
        return (String(self[..<end]), String(self[index(end, offsetBy: separator.count)...]))
      }
    }
    return (self, "")
  }
}
