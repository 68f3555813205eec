/// The element type of a tensor, known at run time.
///
/// Raw values are the short names used on the command line and in reports.
public enum DType: String, Sendable, CaseIterable {
  /// IEEE 754 binary64.
  case f64
  /// IEEE 754 binary32.
  case f32
  /// IEEE 754 binary16.
  case f16
  /// The upper half of binary32: 1 sign, 8 exponent and 7 mantissa bits.
  case bf16
  /// Signed 64-bit integer.
  case i64
  /// Signed 32-bit integer.
  case i32
  /// Signed 16-bit integer.
  case i16
  /// Signed 8-bit integer.
  case i8
  /// Unsigned 64-bit integer.
  case u64
  /// Unsigned 32-bit integer.
  case u32
  /// Unsigned 16-bit integer.
  case u16
  /// Unsigned 8-bit integer.
  case u8
  /// One byte, 0 or 1.
  case bool

  /// Bytes per element.
  public var byteCount: Int {
    switch self {
    case .f64, .i64, .u64: 8
    case .f32, .i32, .u32: 4
    case .f16, .bf16, .i16, .u16: 2
    case .i8, .u8, .bool: 1
    }
  }

  /// Whether elements are binary floating-point numbers.
  public var isFloatingPoint: Bool {
    switch self {
    case .f64, .f32, .f16, .bf16: true
    default: false
    }
  }

  /// Whether every value of another floating-point type, NaN payloads included, is one of this type.
  public func holds(_ other: DType) -> Bool {
    switch (self, other) {
    case (.f64, .f64), (.f64, .f32), (.f64, .f16), (.f64, .bf16): true
    case (.f32, .f32), (.f32, .f16), (.f32, .bf16), (.f16, .f16), (.bf16, .bf16): true
    default: false
    }
  }
}
