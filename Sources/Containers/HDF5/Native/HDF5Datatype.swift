import Tensors

/// A datatype message, as deep as tensors and attributes need it.
package struct HDF5Datatype {
  package enum Text {
    /// Fixed size; the padding is 0 (ends at a NUL), 1 (padded with NULs) or 2 (with spaces).
    case fixed(padding: Int)
    /// A length, an address of a global heap and an index in it.
    case variable
  }

  package let size: Int
  package let element: HDF5ElementType
  /// How text is stored, when the type is text.
  package let text: Text?

  // class and version · 3 bytes of bits · u32 size · properties
  package init(_ cursor: inout HDF5Cursor) throws {
    let first = try cursor.u8()
    let (version, kind) = (first >> 4, first & 15)
    guard (1...5).contains(version) else {
      throw cursor.damage("version \(version) of a datatype", "version 1 to 5")
    }
    let bits = Int(try cursor.uint(3))
    size = try cursor.u32()
    guard size > 0 else { throw cursor.damage("a datatype of 0 bytes", "a size") }
    var text: Text?
    switch kind {
    case 0: element = try Self.integer(&cursor, size: size, bits: bits)
    case 1: element = try Self.float(&cursor, size: size, bits: bits)
    case 2: element = .other("time")
    case 3:
      element = .other("text")
      text = .fixed(padding: bits & 15)
    case 4: element = .other("bit field")
    case 5: element = .opaque(size: size)
    case 6: element = .other("compound")
    case 7: element = .other("reference")
    case 8:
      element =
        try Self.isBoolean(&cursor, size: size, count: bits & 0xFFFF, version: version)
        ? .boolean : .other("enumeration")
    case 9:
      let isText = bits & 15 == 1
      element = .other(isText ? "text" : "variable-length list")
      text = isText ? .variable : nil
      guard !isText || size == 4 + cursor.offsetSize + 4 else {
        throw cursor.damage("text of \(size) bytes", "\(8 + cursor.offsetSize)")
      }
    case 10: element = .other("array type")
    case 11: element = .other("compound")
    default: throw cursor.damage("datatype class \(kind)", "class 0 to 11")
    }
    self.text = text
  }

  // u16 position of the first bit · u16 number of bits
  private static func checkBits(_ cursor: HDF5Cursor, size: Int) throws {
    var cursor = cursor
    let (offset, precision) = (try cursor.u16(), try cursor.u16())
    guard precision > 0, offset + precision <= size * 8 else {
      throw cursor.damage("\(precision) bits from bit \(offset) in \(size) bytes", "fewer")
    }
  }

  private static func integer(
    _ cursor: inout HDF5Cursor, size: Int, bits: Int
  ) throws -> HDF5ElementType {
    try checkBits(cursor, size: size)
    let (offset, precision) = (try cursor.u16(), try cursor.u16())
    guard offset == 0, precision == size * 8 else { return .other("integer with padding") }
    return .integer(size: size, isSigned: bits & 8 != 0, isBigEndian: bits & 1 != 0)
  }

  private static func float(
    _ cursor: inout HDF5Cursor, size: Int, bits: Int
  ) throws -> HDF5ElementType {
    try checkBits(cursor, size: size)
    let (offset, precision) = (try cursor.u16(), try cursor.u16())
    let (exponent, exponentSize) = (try cursor.u8(), try cursor.u8())
    let (mantissa, mantissaSize) = (try cursor.u8(), try cursor.u8())
    let bias = try cursor.u32()
    let sign = bits >> 8 & 0xFF
    guard exponentSize > 0, mantissaSize > 0, sign < precision,
      exponent + exponentSize <= precision, mantissa + mantissaSize <= precision,
      exponent >= mantissa + mantissaSize || mantissa >= exponent + exponentSize,
      !(exponent..<exponent + exponentSize).contains(sign),
      !(mantissa..<mantissa + mantissaSize).contains(sign)
    else { throw cursor.damage("a number whose parts overlap", "sign, exponent and mantissa") }
    // Bit 6 is the byte order of the VAX.
    guard offset == 0, precision == size * 8, bits & 0x40 == 0 else {
      return .other("floating point with padding")
    }
    let fields = HDF5ElementType.FloatFields(
      sign: sign, exponentPosition: exponent, exponentSize: exponentSize,
      exponentBias: bias, mantissaPosition: mantissa, mantissaSize: mantissaSize,
      hasImpliedOne: bits >> 4 & 3 == 2)
    return .float(size: size, fields: fields, isBigEndian: bits & 1 != 0)
  }

  private static func isBoolean(
    _ cursor: inout HDF5Cursor, size: Int, count: Int, version: Int
  ) throws -> Bool {
    let base = try cursor.u8()
    try cursor.skip(3)
    let baseSize = try cursor.u32()
    // An enumeration of other integers is no tensor; what follows is then of no interest.
    guard base & 15 == 0, baseSize == 1, size == 1, count == 2 else { return false }
    try cursor.skip(4)
    var names: [[UInt8]] = []
    for _ in 0..<2 {
      let name = try cursor.text("a name")
      names.append(name)
      if version < 3 { try cursor.skip((8 - (name.count + 1) % 8) % 8) }
    }
    let values = try cursor.take(2)
    let pairs = zip(names.map { String(decoding: $0, as: UTF8.self) }, values)
    return Dictionary(pairs, uniquingKeysWith: { $1 }) == ["FALSE": 0, "TRUE": 1]
  }
}

/// A dataspace message: the shape of a dataset or an attribute.
package struct HDF5Dataspace {
  /// `nil` when there is no value at all.
  package let shape: [Int]?
  /// The sizes up to which the axes may grow; `nil` where there is no limit.
  package let limits: [Int?]

  /// The number of elements; `nil` when there is no value, or more of them than numbers.
  package var elementCount: Int? { shape.flatMap { try? Tensors.elementCount(of: $0) } }

  // version 1: rank · flags · 5 bytes · sizes · [limits]; version 2: rank · flags · kind · sizes · …
  package init(_ cursor: inout HDF5Cursor) throws {
    let version = try cursor.u8()
    guard version == 1 || version == 2 else {
      throw cursor.damage("version \(version) of a dataspace", "version 1 or 2")
    }
    let rank = try cursor.u8()
    let flags = try cursor.u8()
    guard rank <= HDF5Limit.rank else {
      throw RecurrentError(
        .hdf5Rank, at: cursor.place, found: "\(rank) axes",
        expected: "at most \(HDF5Limit.rank)")
    }
    var isNull = false
    if version == 1 {
      try cursor.skip(5)
    } else {
      let kind = try cursor.u8()
      guard kind <= 2, kind == 1 || rank == 0 else {
        throw cursor.damage("dataspace type \(kind) with \(rank) axes", "0, 1 or 2")
      }
      isNull = kind == 2
    }
    var sizes: [Int] = []
    var limits: [Int?] = []
    for _ in 0..<rank {
      let place = cursor.place
      let size = try cursor.uint(cursor.lengthSize)
      guard let size = Int(exactly: size) else {
        throw RecurrentError(
          .tensorShape, at: place, found: "an axis of \(size)",
          expected: "sizes that fit in 63 bits")
      }
      sizes.append(size)
    }
    for axis in 0..<rank where flags & 1 != 0 {
      let limit = try cursor.uint(cursor.lengthSize)
      limits.append(Int(exactly: limit))
      guard limits[axis].map({ $0 >= sizes[axis] }) ?? true else {
        throw cursor.damage("an axis of \(sizes[axis]) that ends at \(limit)", "no more than that")
      }
    }
    shape = isNull ? nil : sizes
    self.limits = flags & 1 != 0 ? limits : sizes
  }
}
