import Recurrent

// One tensor that differs between two files: `rnn-inspect A --diff B` and `rnn-verify --same A B` say it alike.

/// `f32 | f16, 3 of 96 elements differ, at most by 0.001 (relative 0.002) at row 8, column 1 (gate f, unit 2): 0.5 | 0.501`.
package func words(
  _ deviation: FileDifference.Deviation, elements: Int, at place: ElementPlace?
) -> String {
  var parts: [String] = []
  let (one, other) = deviation.types
  if one != other { parts.append("\(one.rawValue) | \(other.rawValue)") }
  guard let place else {
    parts.append(
      one == other
        ? "equal values, other bits (signs of zero or payloads of NaN)" : "equal values")
    return parts.joined(separator: ", ")
  }
  parts.append(
    "\(grouped(deviation.count)) of \(counted(elements, "element"))"
      + (deviation.count == 1 ? " differs" : " differ"))
  parts.append(
    (deviation.count == 1 ? "by" : "at most by")
      + " \(short(deviation.absolute)) (relative \(short(deviation.relative))) at \(place.words):"
      + " \(deviation.values.0) | \(deviation.values.1)")
  return parts.joined(separator: ", ")
}

extension FileDifference.Deviation {
  /// The same for `--json`.
  package func members(elements: Int, at place: ElementPlace?) -> [JSON.Member] {
    [
      .init(key: "dtypes", value: .strings([types.0.rawValue, types.1.rawValue])),
      .init(key: "count", value: .number(count)),
      .init(key: "elements", value: .number(elements)),
      .init(key: "max_absolute", value: .number(absolute)),
      .init(key: "max_relative", value: .number(relative)),
      .init(key: "index", value: place.map { .shape($0.index) } ?? .null),
      .init(key: "gate", value: place?.gate.map { .string($0) } ?? .null),
      .init(key: "unit", value: place?.unit.map { .number($0) } ?? .null),
    ]
  }
}
