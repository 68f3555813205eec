import RNNEngine

/// Whether all bits are equal; unlike `==`, sees the sign of zero and finds NaN equal to itself.
func sameBits<S: Scalar>(_ a: [S], _ b: [S]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { orderedBits($0) == orderedBits($1) }
}

/// The largest distance in units in the last place, and the share of equal bits.
func distance<S: Scalar>(_ a: [S], _ b: [S]) -> (ulp: Int, equalShare: Double) {
  guard a.count == b.count, !a.isEmpty else { return (.max, 0) }
  let steps = zip(a, b).map { abs(orderedBits($0) - orderedBits($1)) }
  return (steps.reduce(0, max), Double(steps.count { $0 == 0 }) / Double(steps.count))
}

/// The bits as an integer that grows with the number.
private func orderedBits<S: Scalar>(_ x: S) -> Int {
  if S.significandBitCount == 23 {
    let bits = Int(Float(x).bitPattern)
    return bits >> 31 == 0 ? bits : -(bits & 0x7FFF_FFFF) - 1
  }
  let bits = Double(x).bitPattern
  return bits >> 63 == 0 ? Int(bits) : -Int(bits & (1 << 63 - 1)) - 1
}
