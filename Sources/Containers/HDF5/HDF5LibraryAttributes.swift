// Attributes and element types, read with libhdf5.

import CHDF5
import Tensors

package enum HDF5LibraryAttributes {
  /// The attributes of an open object, in creation order when it tracks that.
  package static func read(of object: hid_t, properties: hid_t, at place: String) throws
    -> [HDF5Attribute]
  {
    var order: UInt32 = 0
    try HDF5Library.check(
      H5Pget_attr_creation_order(properties, &order), "read the attributes' order", at: place)
    let collected = Collected()
    let status = withExtendedLifetime(collected) {
      chdf5_iterate_attributes(
        object, order & 1 != 0 ? 1 : 0,
        { name, context in
          guard let name, let context else { return -1 }
          let collected = Unmanaged<Collected>.fromOpaque(context).takeUnretainedValue()
          collected.names.append(bytes(of: name))
          return collected.names.count > HDF5Limit.attributes ? 1 : 0
        }, Unmanaged.passUnretained(collected).toOpaque())
    }
    try HDF5Library.check(status, "list attributes", at: place)
    return try collected.names.map { raw in
      guard let name = Name(validating: raw) else {
        throw RecurrentError(
          .hdf5Name, at: place, found: "an attribute name that is not valid UTF-8",
          expected: "UTF-8")
      }
      return HDF5Attribute(name: name, value: try value(of: name, on: object, at: place))
    }
  }

  private final class Collected {
    var names: [[UInt8]] = []
  }

  /// The value of an attribute that exists.
  package static func value(
    of name: Name, on object: hid_t, at place: String
  ) throws -> HDF5Attribute.Value {
    let place = "\(place), attribute \(name)"
    let id = try HDF5Library.check(
      H5Aopen(object, name.string, chdf5_default()), "open an attribute", at: place)
    defer { H5Aclose(id) }
    let type = try HDF5Library.check(H5Aget_type(id), "read a type", at: place)
    defer { H5Tclose(type) }
    let space = try HDF5Library.check(H5Aget_space(id), "read a shape", at: place)
    defer { H5Sclose(space) }
    let elementType = try HDF5LibraryType.describe(type, at: place)
    let count = H5Sget_simple_extent_npoints(space)
    if H5Sget_simple_extent_type(space) == H5S_SIMPLE, count == 0 { return .texts([]) }
    if H5Sget_simple_extent_type(space) == H5S_SIMPLE, count > 1,
      H5Tget_class(type) == H5T_STRING
    {
      guard let list = try texts(of: id, type: type, count: Int(count), at: place) else {
        return .other("\(count) elements, text that is not valid UTF-8")
      }
      return .texts(list)
    }
    guard H5Sget_simple_extent_type(space) != H5S_NULL, count == 1 else {
      return .other("\(max(0, count)) elements, \(elementType.description)")
    }
    switch elementType {
    case .integer(_, let isSigned, _):
      if isSigned {
        var number: Int64 = 0
        try HDF5Library.check(H5Aread(id, chdf5_native_int64(), &number), "read it", at: place)
        return .text(String(number))
      }
      var number: UInt64 = 0
      try HDF5Library.check(H5Aread(id, chdf5_native_uint64(), &number), "read it", at: place)
      return .text(String(number))
    case .float(let size, _, _):
      var number = 0.0
      try HDF5Library.check(H5Aread(id, chdf5_native_double(), &number), "read it", at: place)
      // The shortest text that gives the stored number back.
      return .text(size == 4 ? String(Float(number)) : String(number))
    case .boolean:
      var byte: UInt8 = 0
      try HDF5Library.check(H5Aread(id, type, &byte), "read it", at: place)
      return .text(byte == 0 ? "false" : "true")
    default:
      guard H5Tget_class(type) == H5T_STRING else { return .other(elementType.description) }
      guard let text = try text(of: id, type: type, at: place) else {
        return .other("text that is not valid UTF-8")
      }
      return .text(text)
    }
  }

  /// A list of texts, fixed or variable in length; `nil` when one is not valid UTF-8.
  private static func texts(
    of id: hid_t, type: hid_t, count: Int, at place: String
  ) throws -> [String]? {
    guard count <= HDF5Limit.objects else {
      throw RecurrentError(
        .hdf5Attribute, at: place, found: "\(count) texts",
        expected: "at most \(HDF5Limit.objects)")
    }
    var result: [String] = []
    if H5Tis_variable_str(type) > 0 {
      let memory = try variableText(like: type, at: place)
      defer { H5Tclose(memory) }
      var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
      try HDF5Library.check(H5Aread(id, memory, &pointers), "read it", at: place)
      defer { for pointer in pointers where pointer != nil { H5free_memory(pointer) } }
      for pointer in pointers {
        guard let text = Name(validating: pointer.map { bytes(of: $0) } ?? []) else { return nil }
        result.append(text.string)
      }
      return result
    }
    let size = H5Tget_size(type)
    let (total, overflow) = size.multipliedReportingOverflow(by: count)
    guard !overflow, total <= 1 << 24 else {
      throw RecurrentError(
        .hdf5Attribute, at: place, found: "\(count) texts of \(size) bytes",
        expected: "at most 16 MiB")
    }
    var raw = [UInt8](repeating: 0, count: total)
    try HDF5Library.check(H5Aread(id, type, &raw), "read it", at: place)
    for start in stride(from: 0, to: total, by: max(1, size)) {
      var text = Array(raw[start..<start + size])
      cut(&text, type)
      guard let name = Name(validating: text) else { return nil }
      result.append(name.string)
    }
    return result
  }

  private static func variableText(like type: hid_t, at place: String) throws -> hid_t {
    let memory = try HDF5Library.check(H5Tcopy(chdf5_c_string()), "make a type", at: place)
    do {
      try HDF5Library.check(H5Tset_size(memory, chdf5_variable_length()), "size it", at: place)
      try HDF5Library.check(H5Tset_cset(memory, H5Tget_cset(type)), "name its text", at: place)
    } catch {
      H5Tclose(memory)
      throw error
    }
    return memory
  }

  private static func cut(_ text: inout [UInt8], _ type: hid_t) {
    if H5Tget_strpad(type) == H5T_STR_SPACEPAD {
      while text.last == UInt8(ascii: " ") { text.removeLast() }
    } else if let end = text.firstIndex(of: 0) {
      text.removeSubrange(end...)
    }
  }

  private static func text(of id: hid_t, type: hid_t, at place: String) throws -> String? {
    var raw: [UInt8]
    if H5Tis_variable_str(type) > 0 {
      let memory = try variableText(like: type, at: place)
      defer { H5Tclose(memory) }
      var pointer: UnsafeMutablePointer<CChar>?
      try HDF5Library.check(H5Aread(id, memory, &pointer), "read it", at: place)
      guard let pointer else { return "" }
      defer { H5free_memory(pointer) }
      raw = bytes(of: pointer)
    } else {
      let size = H5Tget_size(type)
      guard size <= 1 << 24 else {
        throw RecurrentError(
          .hdf5Attribute, at: place, found: "\(size) bytes", expected: "at most 16 MiB")
      }
      raw = [UInt8](repeating: 0, count: size)
      try HDF5Library.check(H5Aread(id, type, &raw), "read it", at: place)
      cut(&raw, type)
    }
    return Name(validating: raw)?.string
  }
}

package enum HDF5LibraryType {
  /// Describes a file's type.
  package static func describe(_ type: hid_t, at place: String) throws -> HDF5ElementType {
    let size = H5Tget_size(type)
    switch H5Tget_class(type) {
    case H5T_INTEGER:
      guard let isBigEndian = byteOrder(of: type), H5Tget_precision(type) == size * 8,
        H5Tget_offset(type) == 0
      else { return .other("integer with padding") }
      return .integer(
        size: size, isSigned: H5Tget_sign(type) == H5T_SGN_2, isBigEndian: isBigEndian)
    case H5T_FLOAT:
      guard let isBigEndian = byteOrder(of: type), H5Tget_precision(type) == size * 8,
        H5Tget_offset(type) == 0
      else { return .other("floating point with padding") }
      var (sign, exponent, exponentSize, mantissa, mantissaSize) = (0, 0, 0, 0, 0)
      try HDF5Library.check(
        H5Tget_fields(type, &sign, &exponent, &exponentSize, &mantissa, &mantissaSize),
        "read a floating-point type", at: place)
      let fields = HDF5ElementType.FloatFields(
        sign: sign, exponentPosition: exponent, exponentSize: exponentSize,
        exponentBias: Int(clamping: H5Tget_ebias(type)), mantissaPosition: mantissa,
        mantissaSize: mantissaSize, hasImpliedOne: H5Tget_norm(type) == H5T_NORM_IMPLIED)
      return .float(size: size, fields: fields, isBigEndian: isBigEndian)
    case H5T_ENUM: return try isBoolean(type, at: place) ? .boolean : .other("enumeration")
    case H5T_OPAQUE: return .opaque(size: size)
    case H5T_STRING: return .other("text")
    case H5T_COMPOUND: return .other("compound")
    case H5T_REFERENCE: return .other("reference")
    case H5T_VLEN: return .other("variable-length list")
    case H5T_ARRAY: return .other("array type")
    case H5T_BITFIELD: return .other("bit field")
    case H5T_TIME: return .other("time")
    default: return .other("a type that is not known")
    }
  }

  private static func byteOrder(of type: hid_t) -> Bool? {
    switch H5Tget_order(type) {
    case H5T_ORDER_LE: false
    case H5T_ORDER_BE: true
    default: nil
    }
  }

  private static func isBoolean(_ type: hid_t, at place: String) throws -> Bool {
    guard H5Tget_size(type) == 1, H5Tget_nmembers(type) == 2 else { return false }
    for (name, value) in [("FALSE", Int8(0)), ("TRUE", 1)] {
      var found: Int8 = -1
      guard H5Tenum_valueof(type, name, &found) >= 0, found == value else { return false }
    }
    return true
  }
}
