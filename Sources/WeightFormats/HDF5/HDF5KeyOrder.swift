// The order of keys for files that do not say in which order their tensors were written.

import Tensors

/// PyTorch's order of an RNN's parameters; other names by name, with digits compared as numbers.
///
/// Within one module: layer by layer, forward before reverse, and weight_ih, weight_hh, bias_ih,
/// bias_hh, weight_hr (formats.md, 1.1).
struct HDF5KeyOrder: Comparable {
  private let module: [[UInt8]]
  private let isPlain: Bool
  private let layer: [UInt8]
  private let direction: Int
  private let role: Int
  private let leaf: [UInt8]

  private static let roles = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]

  init(_ name: Name) {
    let parts = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    module = parts.dropLast().map(Array.init)
    leaf = parts.last.map(Array.init) ?? []
    var text = String(decoding: leaf, as: UTF8.self)[...]
    let role = Self.roles.firstIndex { text.hasPrefix($0) }
    self.role = role ?? 0
    if let role { text = text.dropFirst(Self.roles[role].count) }
    direction = text.hasSuffix("_reverse") ? 1 : 0
    if direction == 1 { text = text.dropLast("_reverse".count) }
    let number = text.dropFirst(2)
    let isLayer = text.hasPrefix("_l") && !number.isEmpty && number.utf8.allSatisfy(isDigit)
    layer = isLayer ? Array(number.utf8) : []
    // A cell's parameters have no layer.
    isPlain = role == nil || !(isLayer || (text.isEmpty && direction == 0))
  }

  static func < (lhs: Self, rhs: Self) -> Bool {
    for (left, right) in zip(lhs.module, rhs.module) where left != right {
      return precedesNaturally(left, right)
    }
    if lhs.module.count != rhs.module.count { return lhs.module.count < rhs.module.count }
    if lhs.isPlain != rhs.isPlain { return rhs.isPlain }
    if lhs.isPlain { return precedesNaturally(lhs.leaf, rhs.leaf) }
    if lhs.layer != rhs.layer { return precedesNaturally(lhs.layer, rhs.layer) }
    return (lhs.direction, lhs.role) < (rhs.direction, rhs.role)
  }
}

private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= byte }

/// Compares bytes, but runs of digits as numbers of any length.
private func precedesNaturally(_ lhs: [UInt8], _ rhs: [UInt8]) -> Bool {
  var (left, right) = (lhs[...], rhs[...])
  while let a = left.first, let b = right.first {
    if isDigit(a), isDigit(b) {
      let x = left.prefix(while: isDigit)
      let y = right.prefix(while: isDigit)
      let (p, q) = (x.drop { $0 == UInt8(ascii: "0") }, y.drop { $0 == UInt8(ascii: "0") })
      if p.count != q.count { return p.count < q.count }
      if !p.elementsEqual(q) { return p.lexicographicallyPrecedes(q) }
      left = left.dropFirst(x.count)
      right = right.dropFirst(y.count)
    } else {
      if a != b { return a < b }
      left = left.dropFirst()
      right = right.dropFirst()
    }
  }
  // Equal as numbers but not as bytes ("01" and "1"): any fixed order will do.
  return left.isEmpty && right.isEmpty
    ? lhs.lexicographicallyPrecedes(rhs) : left.isEmpty
}
