/// The candidate that a mistyped word was probably meant to be, if any is near enough.
///
/// Nearness counts letters that are missing, extra, wrong or exchanged with their neighbour; a third of
/// the word's length is near enough.
package func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
  // Names come from files: comparing very long ones would take time for a hint.
  guard word.utf8.count <= 200 else { return nil }
  let wanted = Array(word.lowercased().unicodeScalars)
  var best: (distance: Int, word: String)?
  for candidate in candidates.prefix(10_000) where candidate.utf8.count <= 200 {
    let letters = Array(candidate.lowercased().unicodeScalars)
    let limit = max(1, max(wanted.count, letters.count) / 3)
    guard abs(letters.count - wanted.count) <= limit else { continue }
    let distance = editDistance(wanted, letters)
    if distance <= limit, distance < best?.distance ?? .max { best = (distance, candidate) }
  }
  return best?.word
}

/// Damerau's distance, restricted to neighbours.
private func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
  var beforeLast = [Int](repeating: 0, count: b.count + 1)
  var last = Array(0...b.count)
  for i in a.indices {
    var row = [i + 1] + [Int](repeating: 0, count: b.count)
    for j in b.indices {
      row[j + 1] = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1)
      }
    }
    (beforeLast, last) = (last, row)
  }
  return last[b.count]
}
