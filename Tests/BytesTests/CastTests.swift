// The processor's casts against integer arithmetic, around block boundaries and NaNs.

import Testing

@testable import Bytes
@testable import Tensors

@Suite("Casts with vector instructions")
struct CastTests {
  struct Pair: Sendable, CustomTestStringConvertible {
    let from: DType
    let to: DType
    var testDescription: String { "\(from.rawValue) to \(to.rawValue)" }
  }

  static let pairs = [DType.f64, .f32, .f16, .bf16].flatMap { from in
    [DType.f64, .f32, .f16, .bf16].filter { $0 != from }.map { Pair(from: from, to: $0) }
  }

  /// Patterns of one type: ordinary numbers, and now and then anything at all, NaNs among them.
  private func patterns(_ dtype: DType, _ count: Int, wildEvery step: Int) -> [UInt64] {
    var state: UInt64 = 42
    return (0..<count).map { index in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let bits = state >> UInt64(64 - 8 * dtype.byteCount)
      guard index % step != step - 1, let layout = FloatLayout(dtype) else { return bits }
      let number = Double(Int64(bitPattern: state) >> 32) / 1_000_003_337
      return layout.narrowed(number.bitPattern)
    }
  }

  private func tensor(_ patterns: [UInt64], _ dtype: DType) throws -> Tensor {
    let bytes = patterns.flatMap { pattern in
      (0..<dtype.byteCount).map { UInt8(truncatingIfNeeded: pattern >> UInt64(8 * $0)) }
    }
    return try Tensor(dtype: dtype, shape: [patterns.count], bytes: bytes)
  }

  private func patterns(_ tensor: Tensor) throws -> [UInt64] {
    let bytes = try tensor.bytes()
    let width = tensor.dtype.byteCount
    return (0..<tensor.elementCount).map { index in
      (0..<width).reduce(0) { $0 | UInt64(bytes[index * width + $1]) << UInt64(8 * $1) }
    }
  }

  @Test(arguments: pairs, [1, 7, 63, 64, 65, 200, 9001])
  func sameAsIntegerArithmetic(_ pair: Pair, _ count: Int) throws {
    let source = try #require(FloatLayout(pair.from))
    let target = try #require(FloatLayout(pair.to))
    for step in [1, 5, 71, 1_000_000] {
      let old = patterns(pair.from, count, wildEvery: step)
      let (converted, loss) = try tensor(old, pair.from).converted(to: pair.to)
      let expected = old.map { target.narrowed(source.widened($0)) }
      #expect(try patterns(converted) == expected, "a wild pattern in \(step)")
      #expect(loss == self.loss(old.map(source.widened), expected.map(target.widened)))
    }
  }

  /// What the definition says, element by element.
  private func loss(_ before: [UInt64], _ after: [UInt64]) -> ConversionLoss {
    var loss = ConversionLoss()
    for (index, (old, new)) in zip(before, after).enumerated() where old != new {
      let (one, other) = (Double(bitPattern: old), Double(bitPattern: new))
      guard !one.isNaN else {
        loss.changedNaNs += 1
        continue
      }
      loss.inexact += 1
      guard !other.isInfinite else {
        loss.overflows += 1
        loss.firstOverflowIndex = loss.firstOverflowIndex ?? index
        continue
      }
      loss.underflows += other == 0 ? 1 : 0
      let change = abs(other - one) / abs(one)
      if change > loss.largestRelativeChange {
        (loss.largestRelativeChange, loss.largestRelativeChangeIndex) = (change, index)
      }
    }
    return loss
  }
}
