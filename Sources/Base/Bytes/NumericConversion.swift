import CElements
import Tensors

/// What a conversion between floating-point types changed.
package struct ConversionLoss: Sendable, Equatable {
  /// Finite numbers that became infinite.
  package var overflows = 0
  /// The first element that did; `nil` when none did.
  package var firstOverflowIndex: Int?
  /// Numbers other than zero that became zero.
  package var underflows = 0
  /// Finite numbers that changed at all, overflows and underflows included.
  package var inexact = 0
  /// NaNs whose sign or payload is no longer the same.
  package var changedNaNs = 0
  /// The largest |new - old| / |old| of the numbers that stayed finite.
  package var largestRelativeChange = 0.0
  /// The element with that change; `nil` when no finite number changed to another one.
  package var largestRelativeChangeIndex: Int?

  /// Creates the loss of a conversion that changes nothing.
  package init() {}

  /// Whether every element kept its value.
  package var isExact: Bool { inexact == 0 && changedNaNs == 0 }

  /// Compares two runs of numbers, the first of them the element at `index`.
  fileprivate mutating func record(
    before: UnsafeBufferPointer<Double>, after: UnsafeBufferPointer<Double>, at index: Int
  ) {
    guard let old = before.baseAddress, let new = after.baseAddress else { return }
    var done = 0
    while done < before.count {
      var (changed, vanished) = (0, 0)
      done += elements_count_changes(
        old + done, new + done, before.count - done, largestRelativeChange, &changed, &vanished)
      inexact += changed
      underflows += vanished
      for position in done..<min(before.count, done + 64) {
        let (one, other) = (old[position].bitPattern, new[position].bitPattern)
        if one != other { record(old: one, new: other, at: index + position) }
      }
      done = min(before.count, done + 64)
    }
  }

  private mutating func record(old: UInt64, new: UInt64, at index: Int) {
    let (before, after) = (Double(bitPattern: old), Double(bitPattern: new))
    if before.isNaN {
      changedNaNs += 1
      return
    }
    inexact += 1
    if after.isInfinite {
      overflows += 1
      firstOverflowIndex = firstOverflowIndex ?? index
      return
    }
    if after == 0 { underflows += 1 }
    let change = abs(after - before) / abs(before)
    if change > largestRelativeChange {
      largestRelativeChange = change
      largestRelativeChangeIndex = index
    }
  }
}

extension Tensor {
  /// The tensor in another floating-point type, every element rounded once, ties to even.
  ///
  /// The elements are rounded when they are read; here they are read once, to say what is lost. The
  /// same type gives the same bytes. Throws `tensor.not-floating` for integers and `bool`.
  package func converted(to target: DType) throws -> (Tensor, ConversionLoss) {
    let rounding = try Rounding(from: dtype, to: target)
    if dtype == target { return (self, ConversionLoss()) }
    // Widening changes no number, and every NaN fits.
    let loss = try target.holds(dtype) ? ConversionLoss() : loss(of: rounding, to: target)
    return (try rounded(to: target), loss)
  }

  /// Compares every element with its rounded self, both as binary64.
  private func loss(of rounding: Rounding, to target: DType) throws -> ConversionLoss {
    var loss = ConversionLoss()
    let (before, after) = try (Widening(from: dtype), Widening(from: target))
    // What stays in the processor's cache.
    let count = 4096
    let rounded = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 * count, alignment: 64)
    defer { rounded.deallocate() }
    var index = 0
    try source.forEachChunk { piece in
      for start in stride(from: 0, to: piece.count, by: count * dtype.byteCount) {
        let end = min(piece.count, start + count * dtype.byteCount)
        let old = UnsafeRawBufferPointer(rebasing: piece[start..<end])
        let elements = old.count / dtype.byteCount
        rounding.convert(old, into: rounded)
        let new = UnsafeRawBufferPointer(rebasing: rounded[..<(elements * target.byteCount)])
        loss.record(before: before.doubles(old), after: after.doubles(new), at: index)
        index += elements
      }
    }
    return loss
  }

  /// The same as ``converted(to:)`` without the pass that finds what is lost.
  package func rounded(to target: DType) throws -> Tensor {
    let rounding = try Rounding(from: dtype, to: target)
    if dtype == target { return self }
    return try Tensor(
      dtype: target, shape: shape,
      source: ConvertedSource(source, from: dtype, to: target, rounding: rounding))
  }

  /// Calls `body` with every element as binary64 and its index, reading in pieces.
  ///
  /// Integers of more than 53 bits are rounded.
  package func forEachNumber(_ body: (Int, Double) throws -> Void) throws {
    let layout = FloatLayout(dtype)
    let isSigned = [DType.i64, .i32, .i16, .i8].contains(dtype)
    var index = 0
    try forEachPattern { pattern in
      let value =
        try layout.map { Double(bitPattern: $0.widened(pattern)) }
        ?? (isSigned ? Double(integer(pattern)) : Double(pattern))
      try body(index, value)
      index += 1
    }
  }

  /// The elements as binary64, which is exact for every floating-point type.
  ///
  /// Throws `tensor.not-exact` for an integer that binary64 cannot hold.
  package func doubles() throws -> [Double] {
    try elements { layout, pattern in
      if let layout { return Double(bitPattern: layout.widened(pattern)) }
      return try exact(integer(pattern), Double.init(exactly:), "binary64")
    }
  }

  /// The elements as binary32; binary64 is rounded once, every other floating-point type is exact.
  ///
  /// Throws `tensor.not-exact` for an integer that binary32 cannot hold.
  package func floats() throws -> [Float] {
    try elements { layout, pattern in
      if let layout {
        return Float(bitPattern: UInt32(FloatLayout.f32.narrowed(layout.widened(pattern))))
      }
      return try exact(integer(pattern), Float.init(exactly:), "binary32")
    }
  }

  /// The elements of an integer or `bool` tensor.
  ///
  /// Throws `tensor.not-integer` for floating-point types, `tensor.not-exact` for a `u64` above 2^63 - 1.
  package func integers() throws -> [Int] {
    guard !dtype.isFloatingPoint else {
      throw RecurrentError(
        .tensorNotInteger, found: dtype.rawValue, expected: "an integer type")
    }
    return try elements { _, pattern in try integer(pattern) }
  }

  /// A binary32 tensor in memory.
  package static func make(_ values: [Float], shape: [Int]) throws -> Tensor {
    try make(patterns: values.map { UInt64($0.bitPattern) }, .f32, shape)
  }

  /// A binary64 tensor in memory.
  package static func make(_ values: [Double], shape: [Int]) throws -> Tensor {
    try make(patterns: values.map(\.bitPattern), .f64, shape)
  }

  /// An `i64` tensor in memory.
  package static func make(_ values: [Int], shape: [Int]) throws -> Tensor {
    try make(patterns: values.map { UInt64(bitPattern: Int64($0)) }, .i64, shape)
  }

  private static func make(
    patterns: [UInt64], _ dtype: DType, _ shape: [Int]
  ) throws -> Tensor {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(patterns.count * dtype.byteCount)
    for pattern in patterns {
      withUnsafeBytes(of: pattern.littleEndian) {
        bytes.append(contentsOf: $0.prefix(dtype.byteCount))
      }
    }
    return try Tensor(dtype: dtype, shape: shape, bytes: bytes)
  }

  private func elements<Value>(
    _ transform: (FloatLayout?, UInt64) throws -> Value
  ) throws -> [Value] {
    let layout = FloatLayout(dtype)
    var result: [Value] = []
    result.reserveCapacity(elementCount)
    try forEachPattern { result.append(try transform(layout, $0)) }
    return result
  }

  @inline(__always)
  private func forEachPattern(_ body: (UInt64) throws -> Void) throws {
    let size = dtype.byteCount
    // The piece size is a multiple of every element size, so no element is cut.
    try source.forEachChunk(of: 1 << 20) { piece in
      for start in stride(from: 0, to: piece.count, by: size) {
        let pattern: UInt64 =
          switch size {
          case 1: UInt64(piece[start])
          case 2:
            UInt64(
              UInt16(littleEndian: piece.loadUnaligned(fromByteOffset: start, as: UInt16.self)))
          case 4:
            UInt64(
              UInt32(littleEndian: piece.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
          default:
            UInt64(littleEndian: piece.loadUnaligned(fromByteOffset: start, as: UInt64.self))
          }
        try body(pattern)
      }
    }
  }

  private func integer(_ pattern: UInt64) throws -> Int {
    switch dtype {
    case .i64: Int(truncatingIfNeeded: pattern)
    case .i32: Int(Int32(truncatingIfNeeded: pattern))
    case .i16: Int(Int16(truncatingIfNeeded: pattern))
    case .i8: Int(Int8(truncatingIfNeeded: pattern))
    default: try exact(pattern, Int.init(exactly:), "63 bits")
    }
  }

  private func exact<From, To>(
    _ value: From, _ convert: (From) -> To?, _ target: String
  ) throws -> To {
    guard let result = convert(value) else {
      throw RecurrentError(
        .tensorNotExact, found: "\(dtype.rawValue) \(value)",
        expected: "a value that fits \(target)")
    }
    return result
  }
}
