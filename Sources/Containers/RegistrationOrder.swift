import Tensors

/// Names in the order in which PyTorch registers them, for containers that forget the order.
///
/// Components between dots compare naturally ("layers.2" before "layers.10"); within a module come the
/// recurrent keys (layer, direction, then weight_ih, weight_hh, bias_ih, bias_hh, weight_hr), then
/// weight, bias and BatchNorm's statistics, then everything else with submodules among it.
package func registrationOrder(_ names: [Name]) -> [Name] {
  let keyed = names.enumerated().map { position, name in
    (
      name: name, position: position,
      key: name.utf8.split(
        separator: UInt8(ascii: "."), omittingEmptySubsequences: false
      ).map(OrderComponent.init)
    )
  }
  return keyed.sorted {
    for (one, other) in zip($0.key, $1.key) {
      let order = one.compare(to: other)
      if order != 0 { return order < 0 }
    }
    if $0.key.count != $1.key.count { return $0.key.count < $1.key.count }
    return $0.position < $1.position
  }.map(\.name)
}

/// One component of a dotted name, with the rank that a known parameter name has in its module.
private struct OrderComponent {
  let text: ArraySlice<UInt8>
  let rank: [Int]

  private static let roles = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
  private static let parameters = [
    "weight", "bias", "running_mean", "running_var", "num_batches_tracked",
  ]

  init(_ text: ArraySlice<UInt8>) {
    self.text = text
    let string = String(decoding: text, as: UTF8.self)
    if let role = Self.roles.firstIndex(where: { string.hasPrefix($0) }) {
      let rest = string.dropFirst(Self.roles[role].count)
      if let place = Self.layerAndDirection(rest) {
        rank = [0, place.layer, place.direction, role]
        return
      }
    }
    rank = Self.parameters.firstIndex(of: string).map { [1, $0] } ?? [2]
  }

  /// Reads `_l{k}` or `_l{k}_reverse`; the cells' keys have nothing there.
  private static func layerAndDirection(_ text: Substring) -> (layer: Int, direction: Int)? {
    if text.isEmpty { return (-1, 0) }
    guard text.hasPrefix("_l") else { return nil }
    let isReverse = text.hasSuffix("_reverse")
    let digits = text.dropFirst(2).dropLast(isReverse ? "_reverse".count : 0)
    guard let layer = Int(digits), String(layer) == digits, layer >= 0 else { return nil }
    return (layer, isReverse ? 1 : 0)
  }

  func compare(to other: OrderComponent) -> Int {
    if rank != other.rank { return rank.lexicographicallyPrecedes(other.rank) ? -1 : 1 }
    return naturalOrder(text, other.text)
  }
}

/// Compares runs of digits as numbers and everything else bytewise; total, zero only for equal bytes.
private func naturalOrder(_ one: ArraySlice<UInt8>, _ other: ArraySlice<UInt8>) -> Int {
  let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
  var (left, right) = (one, other)
  while let first = left.first, let second = right.first {
    if digits.contains(first), digits.contains(second) {
      let (a, b) = (left.prefix(while: digits.contains), right.prefix(while: digits.contains))
      let (x, y) = (a.drop { $0 == 0x30 }, b.drop { $0 == 0x30 })
      if x.count != y.count { return x.count < y.count ? -1 : 1 }
      if !x.elementsEqual(y) { return x.lexicographicallyPrecedes(y) ? -1 : 1 }
      left = left.dropFirst(a.count)
      right = right.dropFirst(b.count)
    } else if first != second {
      return first < second ? -1 : 1
    } else {
      left = left.dropFirst()
      right = right.dropFirst()
    }
  }
  if !left.isEmpty || !right.isEmpty { return left.isEmpty ? -1 : 1 }
  if one.elementsEqual(other) { return 0 }
  return one.lexicographicallyPrecedes(other) ? -1 : 1
}
