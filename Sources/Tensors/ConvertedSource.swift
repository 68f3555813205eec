/// The elements of another source in another floating-point type, rounded when they are read.
///
/// Nothing is kept: memory does not grow with the tensor.
struct ConvertedSource: ByteSource {
  let count: Int
  private let base: any ByteSource
  private let from: DType
  private let to: DType
  private let rounding: Rounding

  /// How much is converted at once; a multiple of every element size.
  private static let pieceSize = 1 << 18

  /// Wraps elements of type `from`; both types are floating-point.
  init(_ base: any ByteSource, from: DType, to: DType, rounding: Rounding) throws {
    self.base = base
    self.from = from
    self.to = to
    self.rounding = rounding
    count = try byteCount(of: [base.count / from.byteCount], elementSize: to.byteCount)
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard !buffer.isEmpty else { return }
    let first = offset / to.byteCount
    let end = (offset + buffer.count + to.byteCount - 1) / to.byteCount
    let perPiece = Self.pieceSize / 8
    let length = min(perPiece, end - first)
    let old = UnsafeMutableRawBufferPointer.allocate(
      byteCount: length * from.byteCount, alignment: 64)
    let new = UnsafeMutableRawBufferPointer.allocate(
      byteCount: length * to.byteCount, alignment: 64)
    defer {
      old.deallocate()
      new.deallocate()
    }
    for start in stride(from: first, to: end, by: perPiece) {
      let elements = min(perPiece, end - start)
      let piece = UnsafeMutableRawBufferPointer(rebasing: old[0..<elements * from.byteCount])
      try base.read(at: start * from.byteCount, into: piece)
      rounding.convert(UnsafeRawBufferPointer(piece), into: new)
      // The first and the last element may be wanted in part.
      let low = max(start * to.byteCount, offset)
      let high = min((start + elements) * to.byteCount, offset + buffer.count)
      let wanted = low - start * to.byteCount..<high - start * to.byteCount
      UnsafeMutableRawBufferPointer(rebasing: buffer[low - offset..<high - offset])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: new[wanted]))
    }
  }
}

/// The conversion of runs of elements from one floating-point type to another.
///
/// The pairs that matter for gigabytes use the processor's own rounding, which is the same one; NaNs go
/// the long way, because their payloads are ours to keep.
struct Rounding: Sendable {
  private let from: DType
  private let to: DType
  private let source: FloatLayout
  private let target: FloatLayout

  /// Throws `tensor.not-floating` unless both types are floating-point.
  init(from: DType, to: DType) throws {
    guard let source = FloatLayout(from), let target = FloatLayout(to) else {
      throw RecurrentError(
        .unsupported, "tensor.not-floating", found: "\(from.rawValue) to \(to.rawValue)",
        expected: "two of f64, f32, f16, bf16")
    }
    self.from = from
    self.to = to
    self.source = source
    self.target = target
  }

  /// Converts whole elements; `new` has room for all of them, and both are aligned.
  func convert(_ old: UnsafeRawBufferPointer, into new: UnsafeMutableRawBufferPointer) {
    switch (from, to) {
    case (.f32, .bf16):
      map(old, new, UInt32.self, UInt16.self) { bits in
        guard bits & 0x7FFF_FFFF <= 0x7F80_0000 else { return nil }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
      }
    case (.f64, .f32):
      map(old, new, UInt64.self, UInt32.self) { bits in
        let value = Double(bitPattern: bits)
        return value.isNaN ? nil : Float(value).bitPattern
      }
    case (.f32, .f64):
      map(old, new, UInt32.self, UInt64.self) { bits in
        let value = Float(bitPattern: bits)
        return value.isNaN ? nil : Double(value).bitPattern
      }
    case (.bf16, .f32): map(old, new, UInt16.self, UInt32.self) { UInt32($0) << 16 }
    case (.f64, _): map(old, new, UInt64.self, UInt16.self) { _ in nil }
    case (.f32, _): map(old, new, UInt32.self, UInt16.self) { _ in nil }
    case (_, .f64): map(old, new, UInt16.self, UInt64.self) { _ in nil }
    case (_, .f32): map(old, new, UInt16.self, UInt32.self) { _ in nil }
    default: map(old, new, UInt16.self, UInt16.self) { _ in nil }
    }
  }

  /// The result of one element as a binary64 pattern, and the element as one.
  func round(_ pattern: UInt64) -> (old: UInt64, new: UInt64) {
    let old = source.widened(pattern)
    return (old, target.widened(target.narrowed(old)))
  }

  @inline(__always)
  private func map<Old: FixedWidthInteger & UnsignedInteger, New: FixedWidthInteger>(
    _ old: UnsafeRawBufferPointer, _ new: UnsafeMutableRawBufferPointer, _: Old.Type, _: New.Type,
    fast: (Old) -> New?
  ) {
    let (input, output) = (old.bindMemory(to: Old.self), new.bindMemory(to: New.self))
    for index in input.indices {
      let bits = Old(littleEndian: input[index])
      let result =
        fast(bits)
        ?? New(
          truncatingIfNeeded: target.narrowed(source.widened(UInt64(truncatingIfNeeded: bits))))
      output[index] = result.littleEndian
    }
  }
}
