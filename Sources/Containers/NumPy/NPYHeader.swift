import Tensors

/// The header of an array file: a Python dict literal, read with a grammar of its own.
///
/// NumPy evaluates the text as Python; here it is exactly the three keys, once each, and nothing is
/// evaluated.
package struct NPYHeader {
  package let dtype: DType
  package let isBigEndian: Bool
  package let isFortranOrder: Bool
  package let shape: [Int]

  package init(_ text: [UInt8]) throws {
    var scanner = NPYScanner(text)
    var descriptor: String?
    var fortran: Bool?
    var shape: [Int]?
    try scanner.expect("{")
    while !scanner.skip("}") {
      let key = try scanner.string()
      try scanner.expect(":")
      switch key {
      case "descr" where descriptor == nil: descriptor = try scanner.descriptor()
      case "fortran_order" where fortran == nil: fortran = try scanner.boolean()
      case "shape" where shape == nil: shape = try scanner.shape()
      default:
        throw scanner.failure("the key '\(key)'", "descr, fortran_order and shape, once each")
      }
      if !scanner.skip(",") {
        try scanner.expect("}")
        break
      }
    }
    try scanner.expectEnd()
    guard let descriptor, let fortran, let shape else {
      throw scanner.failure("a missing key", "descr, fortran_order and shape")
    }
    (dtype, isBigEndian) = try Self.dtype(descriptor)
    isFortranOrder = fortran
    self.shape = shape
  }

  private static func dtype(_ descriptor: String) throws -> (DType, Bool) {
    if descriptor == "?" { return (.bool, false) }
    let order = descriptor.first
    let code = String(descriptor.dropFirst())
    if let order, "<>|=".contains(order), let type = types[code] {
      // "|" says that byte order does not apply, which is true of single bytes only.
      if order != "|" || type.byteCount == 1 { return (type, order == ">") }
    }
    if code == "V2" {
      throw RecurrentError(
        .npyBF16Unsupported, at: "descr", found: "two-byte elements of unknown type '<V2'",
        expected: "a number type",
        hint: "NumPy files cannot say bfloat16; save as float32, or as safetensors.")
    }
    throw RecurrentError(
      .npyDType, at: "descr", found: "elements of type '\(descriptor)'",
      expected: "f2, f4, f8, i1 to i8, u1 to u8 or b1")
  }

  private static let types: [String: DType] = [
    "f8": .f64, "f4": .f32, "f2": .f16, "i8": .i64, "i4": .i32, "i2": .i16, "i1": .i8,
    "u8": .u64, "u4": .u32, "u2": .u16, "u1": .u8, "b1": .bool,
  ]

  /// The header text that NumPy would write, without its padding.
  package static func text(dtype: DType, shape: [Int]) -> String {
    let code = types.first { $0.value == dtype }?.key ?? ""
    let order = dtype.byteCount == 1 ? "|" : "<"
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    return "{'descr': '\(order)\(code)', 'fortran_order': False, 'shape': (\(sizes)), }"
  }
}

/// A cursor over the text of a header.
private struct NPYScanner {
  private let text: [UInt8]
  private var position = 0

  init(_ text: [UInt8]) { self.text = text }

  func failure(_ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(
      .npyHeader, at: "byte \(position) of the header", found: found,
      expected: expected)
  }

  private var next: UInt8? { position < text.count ? text[position] : nil }

  private mutating func skipSpace() {
    while let byte = next, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { position += 1 }
  }

  mutating func skip(_ token: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: token) else { return false }
    position += 1
    return true
  }

  mutating func expect(_ token: Unicode.Scalar) throws {
    guard skip(token) else { throw failure("no '\(token)'", "'\(token)'") }
  }

  mutating func expectEnd() throws {
    skipSpace()
    guard next == nil else { throw failure("text after the dict", "spaces and a line end") }
  }

  mutating func string() throws -> String {
    skipSpace()
    guard let quote = next, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
      throw failure("no string", "a quoted string")
    }
    let start = position + 1
    guard let end = text[start...].firstIndex(of: quote), end - start <= 64,
      text[start..<end].allSatisfy({ (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "\\") })
    else { throw failure("a string that does not end", "a short plain string") }
    position = end + 1
    return String(decoding: text[start..<end], as: UTF8.self)
  }

  mutating func descriptor() throws -> String {
    if skip("[") {
      throw RecurrentError(
        .npyStructured, at: "descr", found: "a structured element type",
        expected: "numbers")
    }
    return try string()
  }

  mutating func boolean() throws -> Bool {
    skipSpace()
    for (word, value) in [("True", true), ("False", false)]
    where text[position...].starts(with: word.utf8) {
      position += word.utf8.count
      return value
    }
    throw failure("no boolean", "True or False")
  }

  mutating func shape() throws -> [Int] {
    try expect("(")
    var sizes: [Int] = []
    while !skip(")") {
      sizes.append(try integer())
      guard sizes.count <= 64 else { throw failure("more than 64 axes", "at most 64") }
      if !skip(",") {
        try expect(")")
        // (3) is a number in Python, only (3,) is a tuple.
        guard sizes.count > 1 else { throw failure("a number in parentheses", "a tuple") }
        break
      }
    }
    return sizes
  }

  private mutating func integer() throws -> Int {
    skipSpace()
    let digits = text[position...].prefix { (0x30...0x39).contains($0) }
    guard let value = Int(String(decoding: digits, as: UTF8.self)),
      digits.count == 1 || digits.first != 0x30
    else { throw failure("no size", "a decimal number below 2^63") }
    position = digits.endIndex
    // Python 2 wrote long integers as 4L.
    if next == UInt8(ascii: "L") { position += 1 }
    return value
  }
}
