import Tensors

/// An element type of safetensors; the order of the cases is the one by which the reference sorts.
package enum SafetensorsElement: String, CaseIterable {
  case bool = "BOOL"
  case f4 = "F4"
  case f6e2m3 = "F6_E2M3"
  case f6e3m2 = "F6_E3M2"
  case u8 = "U8"
  case i8 = "I8"
  case f8e5m2 = "F8_E5M2"
  case f8e4m3 = "F8_E4M3"
  case f8e8m0 = "F8_E8M0"
  case f8e4m3fnuz = "F8_E4M3FNUZ"
  case f8e5m2fnuz = "F8_E5M2FNUZ"
  case i16 = "I16"
  case u16 = "U16"
  case f16 = "F16"
  case bf16 = "BF16"
  case i32 = "I32"
  case u32 = "U32"
  case f32 = "F32"
  case c64 = "C64"
  case f64 = "F64"
  case i64 = "I64"
  case u64 = "U64"

  /// The type in memory; `nil` where Recurrent has none.
  package var dtype: DType? { DType(rawValue: rawValue.lowercased()) }

  /// Bits per element.
  package var bitCount: Int {
    switch self {
    case .f4: 4
    case .f6e2m3, .f6e3m2: 6
    case .c64: 64
    default: dtype.map { $0.byteCount * 8 } ?? 8
    }
  }

  package init?(_ dtype: DType) { self.init(rawValue: dtype.rawValue.uppercased()) }

  /// The position in the reference's order.
  package var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
