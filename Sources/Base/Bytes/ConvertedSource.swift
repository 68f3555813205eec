import CElements
import Tensors

/// The elements of another source in another floating-point type, rounded when they are read.
///
/// Nothing is kept: memory does not grow with the tensor.
struct ConvertedSource: ByteSource {
  let count: Int
  private let base: any ByteSource
  private let from: DType
  private let to: DType
  private let rounding: Rounding

  /// How much is converted at once, in the processor's cache; a multiple of every element size.
  private static let pieceSize = 1 << 16

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

  var isTiled: Bool { base.isTiled }

  func forEachRun(
    _ order: RunOrder, _ body: (Int, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let new = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.pieceSize / from.byteCount * to.byteCount, alignment: 64)
    defer { new.deallocate() }
    try base.forEachRun(order) { offset, run in
      for start in stride(from: 0, to: run.count, by: Self.pieceSize) {
        let piece = UnsafeRawBufferPointer(rebasing: run[start...].prefix(Self.pieceSize))
        rounding.convert(piece, into: new)
        let length = piece.count / from.byteCount * to.byteCount
        try body(
          (offset + start) / from.byteCount * to.byteCount,
          UnsafeRawBufferPointer(rebasing: new[..<length]))
      }
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
        .tensorNotFloating, found: "\(from.rawValue) to \(to.rawValue)",
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
    case (.f64, .f32):
      run(old, new, Double.self, Float.self, UInt64.self, UInt32.self, elements_f64_to_f32)
    case (.f32, .f64):
      run(old, new, Float.self, Double.self, UInt32.self, UInt64.self, elements_f32_to_f64)
    case (.f32, .bf16):
      run(old, new, UInt32.self, UInt16.self, UInt32.self, UInt16.self, elements_f32_to_bf16)
    case (.bf16, .f32):
      run(old, new, UInt16.self, UInt32.self, UInt16.self, UInt32.self, elements_bf16_to_f32)
    case (.f32, .f16):
      run(old, new, Float.self, UInt16.self, UInt32.self, UInt16.self, elements_f32_to_f16)
    case (.f16, .f32):
      run(old, new, UInt16.self, Float.self, UInt16.self, UInt32.self, elements_f16_to_f32)
    case (.f64, _): map(old, new, UInt64.self, UInt16.self)
    case (_, .f64): map(old, new, UInt16.self, UInt64.self)
    default: map(old, new, UInt16.self, UInt16.self)
    }
  }

  /// Converts with the processor up to the first NaN, 64 elements around it the long way, and so on.
  private func run<From, To, Old, New>(
    _ old: UnsafeRawBufferPointer, _ new: UnsafeMutableRawBufferPointer, _: From.Type, _: To.Type,
    _: Old.Type, _: New.Type, _ cast: (UnsafePointer<From>, UnsafeMutablePointer<To>, Int) -> Int
  ) where Old: FixedWidthInteger & UnsignedInteger, New: FixedWidthInteger {
    let count = old.count / MemoryLayout<Old>.size
    var done = 0
    while done < count {
      let input = UnsafeRawBufferPointer(rebasing: old[(done * MemoryLayout<Old>.size)...])
      let output = UnsafeMutableRawBufferPointer(rebasing: new[(done * MemoryLayout<New>.size)...])
      var fast = 0
      #if _endian(little)
        if let start = input.bindMemory(to: From.self).baseAddress,
          let target = output.bindMemory(to: To.self).baseAddress
        {
          fast = cast(start, target, count - done)
        }
      #endif
      let slow = fast..<min(count - done, fast + 64)
      map(
        UnsafeRawBufferPointer(
          rebasing: input[
            slow.lowerBound * MemoryLayout<Old>.size..<slow.upperBound * MemoryLayout<Old>.size]),
        UnsafeMutableRawBufferPointer(
          rebasing: output[(slow.lowerBound * MemoryLayout<New>.size)...]), Old.self, New.self)
      done += slow.upperBound
    }
  }

  private func map<Old: FixedWidthInteger & UnsignedInteger, New: FixedWidthInteger>(
    _ old: UnsafeRawBufferPointer, _ new: UnsafeMutableRawBufferPointer, _: Old.Type, _: New.Type
  ) {
    let (input, output) = (old.bindMemory(to: Old.self), new.bindMemory(to: New.self))
    for index in input.indices {
      let bits = UInt64(truncatingIfNeeded: Old(littleEndian: input[index]))
      output[index] = New(truncatingIfNeeded: target.narrowed(source.widened(bits))).littleEndian
    }
  }
}

/// Short runs of elements as binary64, which holds every number of the floating-point types.
final class Widening {
  private let dtype: DType
  private let steps: [Rounding]
  private let buffers: [UnsafeMutableRawBufferPointer]
  /// The most elements of a run.
  private static let capacity = 4096

  /// Throws `tensor.not-floating` for integers and `bool`.
  init(from dtype: DType) throws {
    self.dtype = dtype
    // The processor knows the way by binary32.
    let stops: [DType] =
      switch dtype {
      case .f64: [.f64]
      case .f32: [.f32, .f64]
      default: [dtype, .f32, .f64]
      }
    steps = try zip(stops, stops.dropFirst()).map { try Rounding(from: $0, to: $1) }
    buffers = steps.map { _ in
      UnsafeMutableRawBufferPointer.allocate(byteCount: 8 * Self.capacity, alignment: 64)
    }
  }

  deinit { for buffer in buffers { buffer.deallocate() } }

  /// At most 4096 elements; the result is overwritten by the next call.
  func doubles(_ bytes: UnsafeRawBufferPointer) -> UnsafeBufferPointer<Double> {
    let count = bytes.count / dtype.byteCount
    var current = bytes
    for (index, (step, buffer)) in zip(steps, buffers).enumerated() {
      step.convert(current, into: buffer)
      let width = index == steps.count - 1 ? 8 : 4
      current = UnsafeRawBufferPointer(rebasing: buffer[..<(count * width)])
    }
    return current.bindMemory(to: Double.self)
  }
}
