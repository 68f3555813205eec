import Tensors
import Testing

@testable import Bytes

@Suite("Numbers convert exactly, or are counted as rounded")
struct NumericConversionTests {
  /// Patterns of one number in f64, f32, f16 and bf16: f32 and f16 from NumPy 2.4.6 (which rounds once), bf16
  /// from exact rational arithmetic (PyTorch rounds twice on the way from f64).
  static let goldens: [(UInt64, UInt32, UInt16, UInt16)] = [
    (0x3FF0100000000000, 0x3F808000, 0x3C04, 0x3F80),
    (0x3FF0300000000000, 0x3F818000, 0x3C0C, 0x3F82),
    (0x40EFFDFFDF3B645A, 0x477FEFFF, 0x7BFF, 0x4780),
    (0x40EFFE0000000000, 0x477FF000, 0x7C00, 0x4780),
    (0x40EFFDFFFFFFFFFF, 0x477FF000, 0x7BFF, 0x4780),
    (0x40EFFC0000000000, 0x477FE000, 0x7BFF, 0x4780),
    (0x3E6FFF5C939522DB, 0x337FFAE5, 0x0001, 0x3380),
    (0x3E5F237594C664EE, 0x32F91BAD, 0x0000, 0x32F9),
    (0x3E60000000000000, 0x33000000, 0x0000, 0x3300),
    (0x3E60000000000001, 0x33000000, 0x0001, 0x3300),
    (0x3E68000000000000, 0x33400000, 0x0001, 0x3340),
    (0x8000000000000000, 0x80000000, 0x8000, 0x8000),
    (0x47EFEDE32E4CA430, 0x7F7F6F19, 0x7C00, 0x7F7F),
    (0x47EFF933C78CDFAD, 0x7F7FC99E, 0x7C00, 0x7F80),
    (0x47EFF0000000005E, 0x7F7F8000, 0x7C00, 0x7F80),
    (0x47EFF0000000005D, 0x7F7F8000, 0x7C00, 0x7F80),
    (0x3FF0020000000000, 0x3F801000, 0x3C00, 0x3F80),
    (0x3FF0020000001000, 0x3F801000, 0x3C01, 0x3F80),
    (0x3FF005FFFFFFF000, 0x3F803000, 0x3C01, 0x3F80),
    (0x3FF0100000001000, 0x3F808000, 0x3C04, 0x3F81),
    (0x3FF02FFFFFFFF000, 0x3F818000, 0x3C0C, 0x3F81),
    (0x3FF00FFFFFFFFFFC, 0x3F808000, 0x3C04, 0x3F80),
    (0x3F10000000000000, 0x38800000, 0x0400, 0x3880),
    (0x3F0FFB480A5ACCD5, 0x387FDA40, 0x03FF, 0x3880),
    (0x3F0FFBFFDD73CDA8, 0x387FDFFF, 0x03FF, 0x3880),
    (0xBE7AD7F29ABCAF48, 0xB3D6BF95, 0x8002, 0xB3D7),
    (0x3696D601AD376AB9, 0x00000001, 0x0000, 0x0000),
    (0x37A16C262777579C, 0x000116C2, 0x0000, 0x0001),
    (0x379FFCD5693A5826, 0x0000FFE7, 0x0000, 0x0001),
    (0x378FFCD5693A5826, 0x00007FF3, 0x0000, 0x0000),
    (0xB79007564D44D5B9, 0x8000803B, 0x8000, 0x8001),
    (0x01A56E1FC2F8F359, 0x00000000, 0x0000, 0x0000),
    (0x0000000000000001, 0x00000000, 0x0000, 0x0000),
    (0x7E37E43C8800759C, 0x7F800000, 0x7C00, 0x7F80),
    (0xFE37E43C8800759C, 0xFF800000, 0xFC00, 0xFF80),
    (0x7FF0000000000000, 0x7F800000, 0x7C00, 0x7F80),
    (0xFFF0000000000000, 0xFF800000, 0xFC00, 0xFF80),
    (0x3FB999999999999A, 0x3DCCCCCD, 0x2E66, 0x3DCD),
    (0xBFD5555555555555, 0xBEAAAAAB, 0xB555, 0xBEAB),
    (0x40A0020000000000, 0x45001000, 0x6800, 0x4500),
    (0x40A0060000000000, 0x45003000, 0x6802, 0x4500),
    (0x3810000000000000, 0x00800000, 0x0000, 0x0080),
    (0x380FFF57AC297FDD, 0x007FFD5F, 0x0000, 0x0080),
  ]

  @Test func roundsOnceLikeThePeers() throws {
    let source = try Tensor.make(
      Self.goldens.map { Double(bitPattern: $0.0) }, shape: [Self.goldens.count])
    #expect(try source.converted(to: .f32).0.floats().map(\.bitPattern) == Self.goldens.map(\.1))
    #expect(try source.floats().map(\.bitPattern) == Self.goldens.map(\.1))
    for golden in Self.goldens {
      #expect(halfBits(Double(bitPattern: golden.0)) == golden.2)
      #expect(bfloat16Bits(Double(bitPattern: golden.0)) == golden.3)
    }
    #expect(try patterns(source.converted(to: .f16).0) == Self.goldens.map(\.2))
    #expect(try patterns(source.converted(to: .bf16).0) == Self.goldens.map(\.3))
  }

  func patterns(_ tensor: Tensor) throws -> [UInt16] {
    let bytes = try tensor.bytes()
    return stride(from: 0, to: bytes.count, by: 2).map {
      UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8
    }
  }

  func everyPattern(_ dtype: DType) throws -> Tensor {
    try Tensor(
      dtype: dtype, shape: [256, 256],
      bytes: (0..<65536).flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
  }

  func hash(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// FNV-1a of all 65,536 results; from NumPy (f16) and PyTorch (bf16).
  @Test(arguments: [
    (DType.f16, DType.f32, 0xB065_9868_EC05_3145 as UInt64),
    (.f16, .f64, 0x8F7E_F86D_4127_A125), (.bf16, .f32, 0x43A1_3836_C4CA_3B25),
  ])
  func everyNarrowPatternWidens(from: DType, to: DType, expected: UInt64) throws {
    let (wide, loss) = try everyPattern(from).converted(to: to)
    #expect(loss.isExact)
    #expect(hash(try wide.bytes()) == expected)
  }

  @Test(arguments: [DType.f16, .bf16], [DType.f32, .f64])
  func everyNarrowPatternComesBack(narrow: DType, wide: DType) throws {
    let source = try everyPattern(narrow)
    let back = try source.converted(to: wide).0.converted(to: narrow).0
    let (before, after) = (try patterns(source), try patterns(back))
    #expect(before == after)
  }

  @Test func nansStayNaNs() throws {
    let f32: [UInt32] = [0x7F80_0001, 0x7FC0_2000, 0xFFC0_0000, 0xFFA0_0001]
    let tensor = try Tensor.make(f32.map { Float(bitPattern: $0) }, shape: [2, 2])
    let (half, loss) = try tensor.converted(to: .f16)
    #expect(try patterns(half) == [0x7E00, 0x7E01, 0xFE00, 0xFF00])
    #expect(loss.changedNaNs == 2 && loss.inexact == 0)
    #expect(try patterns(tensor.converted(to: .bf16).0) == [0x7FC0, 0x7FC0, 0xFFC0, 0xFFE0])
  }

  @Test func lossIsReported() throws {
    let tensor =
      try Tensor.make([1, 1e6, -1e-9, 1.0005, 0.333, .infinity, -0.0], shape: [7])
      as Tensor
    let (half, loss) = try tensor.converted(to: .f16)
    #expect(half.dtype == .f16 && half.shape == [7])
    #expect(loss.overflows == 1 && loss.underflows == 1 && loss.inexact == 4)
    #expect(loss.firstOverflowIndex == 1)
    #expect(loss.largestRelativeChange == 1 && loss.largestRelativeChangeIndex == 2)
    let (_, small) = try Tensor.make([4.0, 1 + 0x1p-9, 3] as [Double], shape: [3]).converted(
      to: .bf16)
    #expect(small.inexact == 1 && small.largestRelativeChangeIndex == 1)
    #expect(small.largestRelativeChange == 0x1p-9 / (1 + 0x1p-9))
  }

  @Test(arguments: [DType.f64, .f32, .f16, .bf16]) func sameTypeSameBytes(dtype: DType) throws {
    let bytes =
      (0..<48).map { UInt8(truncatingIfNeeded: $0 * 37 + 11) } + [UInt8](repeating: 255, count: 8)
    let tensor = try Tensor(dtype: dtype, shape: [56 / dtype.byteCount], bytes: bytes)
    let (same, loss) = try tensor.converted(to: dtype)
    #expect(try same.bytes() == bytes)
    #expect(loss == ConversionLoss())
  }

  @Test func integersAreExactOrErrors() throws {
    let bytes: [UInt8] = [255, 255, 255, 255, 255, 255, 255, 127]
    let signed = try Tensor(dtype: .i64, shape: [], bytes: bytes)
    #expect(try signed.integers() == [Int.max])
    #expect(throws: RecurrentError.self) { try signed.doubles() }
    #expect(throws: RecurrentError.self) { try signed.converted(to: .f32) }
    #expect(try Tensor(dtype: .i16, shape: [4], bytes: bytes).integers() == [-1, -1, -1, 32767])
    #expect(try Tensor(dtype: .i8, shape: [8], bytes: bytes).doubles().suffix(2) == [-1, 127])
    #expect(
      try Tensor(dtype: .u32, shape: [2], bytes: bytes).integers() == [
        4_294_967_295, 2_147_483_647,
      ])
    #expect(throws: RecurrentError.self) {
      try Tensor(dtype: .u32, shape: [2], bytes: bytes).floats()
    }
    #expect(throws: RecurrentError.self) {
      try Tensor(dtype: .u64, shape: [], bytes: [0, 0, 0, 0, 0, 0, 0, 128]).integers()
    }
    #expect(throws: RecurrentError.self) { try Tensor.make([1.5] as [Float], shape: []).integers() }
    #expect(throws: RecurrentError.self) { try Tensor.make([1.5] as [Float], shape: [2]) }
  }
}
