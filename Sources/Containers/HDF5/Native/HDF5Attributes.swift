import Tensors

/// Reads attribute messages, and what they say as text.
///
/// Version 1: 0 · u16 name, datatype, dataspace sizes · the three, each padded to 8 · data; version 2
/// has flags instead of the 0 and no padding; version 3 a character set before the name.
package struct HDF5AttributeReader {
  package let image: HDF5Image
  private var heaps: [Int: HDF5GlobalHeap] = [:]
  private var datatypes: [Int: HDF5Datatype] = [:]
  private var committed: [Int: HDF5ObjectHeader] = [:]
  private var count = 0

  package init(_ image: HDF5Image) { self.image = image }

  /// The attributes of an object, in creation order when it tracks that, by name otherwise.
  package mutating func attributes(of header: HDF5ObjectHeader) throws -> [HDF5Attribute] {
    var messages = header.all(0x0C).map { (order: $0.creationOrder, message: $0) }
    if let info = try header.only(0x15) { messages += try dense(info.body) }
    count += messages.count
    guard count <= HDF5Limit.attributes else {
      throw RecurrentError(
        .hdf5TooMany, found: "too many attributes",
        expected: "at most \(HDF5Limit.attributes)")
    }
    var attributes: [(order: Int, attribute: HDF5Attribute)] = []
    for (order, message) in messages {
      guard !message.isShared else { throw message.body.outside("a shared attribute") }
      attributes.append((order, try attribute(message.body)))
    }
    guard Set(attributes.map(\.attribute.name)).count == attributes.count else {
      throw RecurrentError(
        .hdf5Duplicate, found: "two attributes of one name",
        expected: "every name once")
    }
    let isOrdered = header.tracksAttributeOrder
    attributes.sort {
      isOrdered ? $0.order < $1.order : $0.attribute.name < $1.attribute.name
    }
    return attributes.map(\.attribute)
  }

  /// The header of an object; committed datatypes may be met any number of times.
  package mutating func header(at address: Int) throws -> HDF5ObjectHeader {
    if let known = committed[address] { return known }
    let header = try HDF5ObjectHeader(at: address, in: image)
    if header.isCommittedType { committed[address] = header }
    return header
  }

  /// A datatype message, which may stand elsewhere in the file.
  package mutating func datatype(_ message: HDF5Cursor, isShared: Bool) throws -> HDF5Datatype {
    var cursor = message
    guard isShared else { return try HDF5Datatype(&cursor) }
    // version · type · [version 1: 6 bytes] · address
    let version = try cursor.u8()
    let kind = try cursor.u8()
    guard (1...3).contains(version), kind != 1 || version < 3 else {
      throw cursor.outside("a message in a shared heap")
    }
    try cursor.skip(version == 1 ? 6 : 0)
    let address = try cursor.requiredAddress("a datatype")
    if let known = datatypes[address] { return known }
    let header = try header(at: address)
    guard let inner = try header.only(0x03), !inner.isShared else {
      throw cursor.damage("an object that is no datatype", "a committed datatype")
    }
    var body = inner.body
    let datatype = try HDF5Datatype(&body)
    datatypes[address] = datatype
    return datatype
  }

  // version 0 · flags · [u16 greatest order] · O heap · O tree of names · [O tree of the order]
  private func dense(
    _ message: HDF5Cursor
  ) throws -> [(order: Int, message: HDF5ObjectHeader.Message)] {
    var message = message
    try message.expect(version: 0, of: "attribute information")
    try message.skip(try message.u8() & 1 != 0 ? 2 : 0)
    guard let address = try message.address() else { return [] }
    let heap = try HDF5FractalHeap(at: address, in: image)
    let names = try message.requiredAddress("the names")
    return try HDF5BTree2.records(at: names, types: 8...8, in: image).records.map { record in
      var record = record
      let id = try record.part(heap.idSize)
      let flags = try record.u8()
      let order = try record.u32()
      guard flags & 2 == 0 else { throw record.outside("a shared attribute") }
      return (
        order,
        HDF5ObjectHeader.Message(
          type: 0x0C, flags: flags, creationOrder: order, body: try heap.object(id))
      )
    }
  }

  private mutating func attribute(_ message: HDF5Cursor) throws -> HDF5Attribute {
    var cursor = message
    let version = try cursor.u8()
    guard (1...3).contains(version) else {
      throw cursor.damage("version \(version) of an attribute", "version 1 to 3")
    }
    let flags = try cursor.u8()
    let (nameSize, typeSize, spaceSize) = (try cursor.u16(), try cursor.u16(), try cursor.u16())
    try cursor.skip(version == 3 ? 1 : 0)
    func padded(_ size: Int) -> Int { version == 1 ? (8 - size % 8) % 8 : 0 }
    let raw = try cursor.take(nameSize)
    try cursor.skip(padded(nameSize))
    guard let name = Name(validating: raw.prefix { $0 != 0 }) else {
      throw RecurrentError(
        .hdf5Name, at: message.place,
        found: "an attribute name that is not valid UTF-8", expected: "UTF-8")
    }
    do {
      let typeMessage = try cursor.part(typeSize)
      let type = try datatype(typeMessage, isShared: version > 1 && flags & 1 != 0)
      try cursor.skip(padded(typeSize))
      guard version == 1 || flags & 2 == 0 else { throw cursor.outside("a shared dataspace") }
      var spaceMessage = try cursor.part(spaceSize)
      let space = try HDF5Dataspace(&spaceMessage)
      try cursor.skip(padded(spaceSize))
      return HDF5Attribute(name: name, value: try value(of: cursor, type, space))
    } catch let error as RecurrentError {
      throw error.within("attribute \"\(name)\"")
    }
  }

  private mutating func texts(
    of data: HDF5Cursor, _ type: HDF5Datatype, _ text: HDF5Datatype.Text, count: Int
  ) throws -> HDF5Attribute.Value {
    guard count <= HDF5Limit.objects else {
      throw RecurrentError(
        .hdf5Attribute, at: data.place, found: "\(count) texts",
        expected: "at most \(HDF5Limit.objects)")
    }
    guard count <= data.count / type.size else {
      throw data.damage("\(count) texts in \(data.count) bytes", "as many as fit")
    }
    var data = data
    var texts: [String] = []
    var total = 0
    for _ in 0..<count {
      let place = data.place
      let bytes = try self.text(&data, type, text)
      total += bytes.count
      guard total <= HDF5Limit.attributeBytes else {
        throw RecurrentError(
          .hdf5Attribute, at: place, found: "\(total) bytes",
          expected: "at most \(HDF5Limit.attributeBytes)")
      }
      guard let name = Name(validating: bytes) else {
        return .other("\(count) elements, text that is not valid UTF-8")
      }
      texts.append(name.string)
    }
    return .texts(texts)
  }

  private mutating func value(
    of data: HDF5Cursor, _ type: HDF5Datatype, _ space: HDF5Dataspace
  ) throws -> HDF5Attribute.Value {
    let elements = space.shape == nil ? 0 : space.elementCount ?? Int.max
    if space.shape?.isEmpty == false {
      if elements == 0 { return .texts([]) }
      if elements > 1, let text = type.text {
        return try texts(of: data, type, text, count: elements)
      }
    }
    guard elements == 1 else {
      return .other("\(elements) elements, \(type.element.description)")
    }
    var data = data
    if let text = type.text {
      let bytes = try self.text(&data, type, text)
      guard let name = Name(validating: bytes) else {
        return .other("text that is not valid UTF-8")
      }
      return .text(name.string)
    }
    switch type.element {
    case .integer(let size, let isSigned, let isBigEndian) where size <= 8:
      let bits = try number(&data, size: size, isBigEndian: isBigEndian)
      let shift = UInt64(64 - 8 * size)
      return .text(isSigned ? String(Int64(bitPattern: bits << shift) >> shift) : String(bits))
    case .float(let size, let fields, let isBigEndian):
      guard let dtype = type.element.dtype(label: nil) else {
        return .other(type.element.description)
      }
      let bits = try number(&data, size: size, isBigEndian: isBigEndian)
      return .text(Self.text(bits, fields, dtype))
    case .boolean: return .text(try data.u8() == 0 ? "false" : "true")
    default: return .other(type.element.description)
    }
  }

  private func number(
    _ data: inout HDF5Cursor, size: Int, isBigEndian: Bool
  ) throws -> UInt64 {
    let value = try data.uint(size)
    return isBigEndian ? value.byteSwapped >> UInt64(64 - 8 * size) : value
  }

  // The shortest text that gives the stored number back.
  private static func text(
    _ bits: UInt64, _ fields: HDF5ElementType.FloatFields, _ dtype: DType
  ) -> String {
    switch dtype {
    case .f64: return String(Double(bitPattern: bits))
    case .f32: return String(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
    default:
      let mantissa = Double(bits & (1 << UInt64(fields.mantissaSize) - 1))
      let top = 1 << fields.exponentSize - 1
      let exponent = Int(bits >> UInt64(fields.exponentPosition)) & top
      let scale = Double(sign: .plus, exponent: -fields.mantissaSize, significand: 1)
      let size: Double
      switch exponent {
      case 0:
        size = Double(
          sign: .plus, exponent: 1 - fields.exponentBias, significand: mantissa * scale)
      case top: size = mantissa == 0 ? .infinity : .nan
      default:
        size = Double(
          sign: .plus, exponent: exponent - fields.exponentBias,
          significand: 1 + mantissa * scale)
      }
      return String(bits >> UInt64(fields.sign) & 1 == 1 ? -size : size)
    }
  }

  /// One text, by value or from a global heap.
  private mutating func text(
    _ data: inout HDF5Cursor, _ type: HDF5Datatype, _ text: HDF5Datatype.Text
  ) throws -> [UInt8] {
    switch text {
    case .fixed(let padding):
      var raw = try data.take(type.size)
      if padding == 2 {
        while raw.last == UInt8(ascii: " ") { raw.removeLast() }
      } else if let end = raw.firstIndex(of: 0) {
        raw.removeSubrange(end...)
      }
      return raw
    case .variable:
      let user = data
      let length = try data.u32()
      let address = try data.address()
      let index = try data.u32()
      guard length > 0 else { return [] }
      guard length <= HDF5Limit.attributeBytes else {
        throw RecurrentError(
          .hdf5Attribute, at: user.place, found: "\(length) bytes",
          expected: "at most \(HDF5Limit.attributeBytes)")
      }
      guard let address else { throw user.damage("text at no address", "a heap") }
      try image.charge(length)
      let heap = try heaps[address] ?? HDF5GlobalHeap(at: address, in: image)
      heaps[address] = heap
      let raw = try heap.bytes(of: index, count: length, for: user)
      return Array(raw.prefix { $0 != 0 })
    }
  }
}
