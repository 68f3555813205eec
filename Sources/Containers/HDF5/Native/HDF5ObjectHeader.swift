import Tensors

/// The messages that describe one object, from all the pieces of its header.
package struct HDF5ObjectHeader {
  package struct Message {
    package let type: Int
    package let flags: Int
    package let creationOrder: Int
    package let body: HDF5Cursor

    /// Whether the body says where the message lies instead of being it.
    package var isShared: Bool { flags & 2 != 0 }
  }

  package private(set) var messages: [Message] = []
  package let address: Int
  /// Whether the order in which attributes were created is kept.
  package private(set) var tracksAttributeOrder = false

  package init(at address: Int, in image: HDF5Image) throws {
    self.address = address
    let head = try image.read(address, count: min(6, max(0, image.count - address)), "a header")
    var cursor = head
    if try cursor.take(4) == Array("OHDR".utf8) {
      try readVersion2(in: image)
    } else {
      try readVersion1(in: image)
    }
    for message in messages where message.flags & 0x80 != 0 && !Self.isKnown(message.type) {
      throw message.body.outside("a message of type \(message.type) that must be understood")
    }
  }

  /// The messages of one type.
  package func all(_ type: Int) -> [Message] { messages.filter { $0.type == type } }

  /// The message of a type that occurs at most once.
  package func only(_ type: Int) throws -> Message? {
    let found = all(type)
    guard found.count <= 1 else {
      throw found[1].body.damage("a second message of type \(type)", "one")
    }
    return found.first
  }

  /// Whether the object is a datatype that others refer to.
  package var isCommittedType: Bool {
    all(0x01).isEmpty && all(0x08).isEmpty && !all(0x03).isEmpty
  }

  private static func isKnown(_ type: Int) -> Bool { type <= 0x18 && type != 0x09 }

  // version 1 · 0 · u16 messages · u32 references · u32 size · 4 bytes of padding · messages
  private mutating func readVersion1(in image: HDF5Image) throws {
    var head = try image.read(address, count: 16, "an object header")
    try head.expect(version: 1, of: "an object header")
    try head.skip(1)
    let count = try head.u16()
    try head.skip(4)
    let size = try head.u32()
    try image.claim(address, count: 16, "an object header")
    var pieces = [(address: address + 16, size: size)]
    var next = 0
    var seen = 0
    while next < pieces.count {
      let piece = pieces[next]
      next += 1
      var cursor = try image.readOnce(piece.address, count: piece.size, "an object header")
      while cursor.count > 0 {
        try image.step()
        let type = try cursor.u16()
        let size = try cursor.u16()
        let flags = try cursor.u8()
        try cursor.skip(3)
        guard size % 8 == 0 else { throw cursor.damage("\(size) bytes", "a multiple of 8") }
        let body = try cursor.part(size)
        seen += 1
        guard seen <= count else { throw body.damage("another message", "\(count) messages") }
        try add(
          Message(type: type, flags: flags, creationOrder: seen, body: body), to: &pieces)
      }
    }
    guard seen == count else {
      throw head.damage("\(seen) messages", "\(count) as the header says")
    }
  }

  // "OHDR" · version 2 · flags · [4 times] · [2 limits] · size · messages · gap · checksum
  private mutating func readVersion2(in image: HDF5Image) throws {
    var head = try image.read(address, count: 6, "an object header")
    try head.skip(4)
    try head.expect(version: 2, of: "an object header")
    let flags = try head.u8()
    tracksAttributeOrder = flags & 4 != 0
    let extra = (flags & 0x20 != 0 ? 16 : 0) + (flags & 0x10 != 0 ? 4 : 0)
    let width = 1 << (flags & 3)
    head = try image.read(address, count: 6 + extra + width, "an object header")
    try head.skip(6 + extra)
    let size = try head.int(width)
    let (start, overflow) = size.addingReportingOverflow(6 + extra + width + 4)
    guard !overflow else { throw head.damage("a header of \(size) bytes", "a smaller one") }
    var pieces = [(address: address, size: start)]
    var next = 0
    var seen = 0
    while next < pieces.count {
      let piece = pieces[next]
      var cursor = try image.readOnce(piece.address, count: piece.size, "an object header")
      guard piece.size >= 8 else { throw cursor.damage("\(piece.size) bytes", "at least 8") }
      var sum = try cursor.moved(to: piece.size - 4)
      try sum.expectChecksum()
      var body = try cursor.part(piece.size - 4)
      if next == 0 {
        try body.skip(6 + extra + width)
      } else {
        try body.expect("OCHK")
      }
      next += 1
      let prefix = flags & 4 != 0 ? 6 : 4
      // What is too small for a message is a gap.
      while body.count >= prefix {
        try image.step()
        let type = try body.u8()
        let size = try body.u16()
        let messageFlags = try body.u8()
        let order = flags & 4 != 0 ? try body.u16() : seen
        seen += 1
        try add(
          Message(
            type: type, flags: messageFlags, creationOrder: order, body: try body.part(size)),
          to: &pieces)
      }
    }
  }

  private mutating func add(
    _ message: Message, to pieces: inout [(address: Int, size: Int)]
  ) throws {
    guard message.flags & 6 != 6 else {
      throw message.body.damage("a message that is shared and must not be", "one or the other")
    }
    guard message.type != 0 else { return }
    guard message.type == 0x10 else { return messages.append(message) }
    var body = message.body
    pieces.append((try body.requiredAddress("a continuation"), try body.length()))
    guard pieces.count <= HDF5Limit.headerChunks else {
      throw body.damage(
        "a header in more than \(HDF5Limit.headerChunks) pieces", "fewer pieces")
    }
  }
}
