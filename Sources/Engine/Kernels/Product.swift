// C += A · B, the one product behind everything.

/// Adds the product of A (m × k, any strides) and B (k × n, contiguous rows) to C (m × n).
///
/// Every element of C grows in ascending order of k, one multiplication and one addition at a time, so
/// that neither the blocking nor the number of rows shows in the result.
@inline(__always)
func addProduct<S: Scalar>(
  _ a: UnsafePointer<S>, rowStride: Int, columnStride: Int, _ b: UnsafePointer<S>,
  bStride: Int? = nil, into c: UnsafeMutablePointer<S>, stride: Int, m: Int, k: Int, n: Int
) {
  let bStride = bStride ?? n
  // As many rows of B as stay in the first-level cache while all rows of A pass by.
  let block = max(4, min(k, 4096 / max(n, 1)) & ~3)
  var start = 0
  while start < k {
    let end = min(start &+ block, k)
    var i = 0
    while i < m {
      addScaledRows(
        a + (i &* rowStride &+ start &* columnStride), columnStride, b + start &* bStride, bStride,
        c + i &* stride, count: end &- start, n)
      i &+= 1
    }
    start = end
  }
}

/// `c += Σ a[p] · b[p, :]` over `count` rows of b, four at a time.
@inline(__always)
private func addScaledRows<S: Scalar>(
  _ a: UnsafePointer<S>, _ aStride: Int, _ b: UnsafePointer<S>, _ bStride: Int,
  _ c: UnsafeMutablePointer<S>, count: Int, _ n: Int
) {
  var p = 0
  while p &+ 4 <= count {
    let (a0, a1) = (a[p &* aStride], a[(p &+ 1) &* aStride])
    let (a2, a3) = (a[(p &+ 2) &* aStride], a[(p &+ 3) &* aStride])
    let b0 = b + p &* bStride
    let (b1, b2, b3) = (b0 + bStride, b0 + 2 &* bStride, b0 + 3 &* bStride)
    var j = 0
    while j < n {
      c[j] = c[j] + a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
      j &+= 1
    }
    p &+= 4
  }
  while p < count {
    let (scale, row) = (a[p &* aStride], b + p &* bStride)
    var j = 0
    while j < n {
      c[j] = c[j] + scale * row[j]
      j &+= 1
    }
    p &+= 1
  }
}
