import Bytes
import Networks
import Tensors

extension ConversionLoss {
  /// What narrowing lost, one line each: the largest relative change, and every kind of exception.
  package static func report(_ losses: [(name: Name, loss: ConversionLoss)]) -> [String] {
    guard !losses.isEmpty else { return [] }
    var lines: [String] = []
    let worst = losses.max { $0.loss.largestRelativeChange < $1.loss.largestRelativeChange }
    if let worst, let index = worst.loss.largestRelativeChangeIndex,
      worst.loss.largestRelativeChange > 0
    {
      lines.append(
        "largest relative change \(worst.loss.largestRelativeChange) in \(worst.name) at element"
          + " \(index)")
    } else if losses.allSatisfy(\.loss.isExact) {
      lines.append("the change of type is exact: no number changed")
    }
    for (name, loss) in losses {
      if loss.overflows > 0 {
        let place = loss.firstOverflowIndex.map { ", the first at element \($0)" } ?? ""
        lines.append("\(name): \(loss.overflows) numbers OVERFLOWED to infinity\(place)")
      }
      if loss.underflows > 0 { lines.append("\(name): \(loss.underflows) numbers became zero") }
      if loss.changedNaNs > 0 { lines.append("\(name): \(loss.changedNaNs) NaN payloads changed") }
    }
    return lines
  }
}
