import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers

/// Damage that our own reader must refuse by name, in memory, so that a crash would be ours.
@Suite("Our HDF5 reader refuses damage by name")
struct NativeHostileTests {
  private static func bytes(_ name: String, in folder: String = "hdf5") throws -> [UInt8] {
    let url = HDF5Golden.directory.deletingLastPathComponent()
      .appendingPathComponent(folder).appendingPathComponent(name)
    return try Array(Data(contentsOf: url))
  }

  /// The reason for which a file is refused, after every element has been read; `nil` when it is not.
  private static func reason(_ bytes: [UInt8]) throws -> String? {
    do {
      for node in try HDF5Reader(source: MemorySource(bytes)).contents().nodes {
        if case .dataset(let dataset) = node.object { _ = try dataset.source?.readAll() }
      }
      return nil
    } catch let error as RecurrentError {
      #expect(error.kind == .damaged || error.kind == .unsupported, "\(error)")
      return error.reason.code
    }
  }

  /// Every byte of what describes a file is changed in two ways; nothing may crash or hang.
  @Test(arguments: [
    ("hdf5", "groups.h5"), ("hdf5", "gzip-earliest.h5"), ("hdf5", "bf16.h5"),
    ("hdf5-layouts", "shrunk-earliest.h5"), ("hdf5-layouts", "shrunk-latest.h5"),
    ("hdf5-layouts", "attributes-latest.h5"), ("hdf5-layouts", "odd-v110.h5"),
  ])
  func noChangedByteCrashes(_ folder: String, _ name: String) throws {
    let original = try Self.bytes(name, in: folder)
    var bytes = original
    var reasons: [String: Int] = [:]
    for index in stride(from: 0, to: bytes.count, by: 37) {
      for value in [original[index] ^ 0x80, 0xFF, original[index] &+ 1] {
        bytes[index] = value
        reasons[try Self.reason(bytes) ?? "accepted", default: 0] += 1
      }
      bytes[index] = original[index]
    }
    #expect(reasons.count > 3, "\(reasons)")
  }

  /// The same with every checksum made right again, so that the damage reaches what lies behind it.
  private static func reasonBehindChecksums(_ damaged: [UInt8]) throws -> String? {
    var bytes = damaged
    for _ in 0..<60 {
      do {
        for node in try HDF5Reader(source: MemorySource(bytes)).contents().nodes {
          if case .dataset(let dataset) = node.object { _ = try dataset.source?.readAll() }
        }
        return nil
      } catch let error as RecurrentError {
        guard error.reason.code == "h5.checksum",
          let offset = error.place?.components(separatedBy: "byte ").last.flatMap({ Int($0) }),
          let digits = error.expected?.prefix(while: { $0 != " " }),
          let sum = UInt32(digits, radix: 16)
        else { return error.reason.code }
        let repaired = withUnsafeBytes(of: sum.littleEndian, Array.init)
        bytes.replaceSubrange(offset..<offset + 4, with: repaired)
      }
    }
    return "h5.checksum"
  }

  @Test(arguments: [
    "shrunk-latest.h5", "attributes-latest.h5", "groups-v108.h5", "groups-latest.h5",
    "indexes-latest.h5", "many-latest.h5",
  ])
  func noChangeBehindAChecksumCrashes(_ name: String) throws {
    let original = try Self.bytes(name, in: "hdf5-layouts")
    var state: UInt64 = 7
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var reasons: [String: Int] = [:]
    for _ in 0..<150 {
      var bytes = original
      for _ in 0...random(2) {
        let place = random(bytes.count)
        bytes[place] = [0, 1, 0x7F, 0x80, 0xFF, bytes[place] ^ 1, bytes[place] &+ 1][random(7)]
      }
      reasons[try Self.reasonBehindChecksums(bytes) ?? "accepted", default: 0] += 1
    }
    #expect(reasons["h5.checksum"] == nil, "\(reasons)")
    #expect(reasons.count > 2, "\(reasons)")
  }

  @Test(arguments: ["indexes-latest.h5", "groups-v108.h5", "attributes-earliest.h5"])
  func everyTruncationIsRefused(_ name: String) throws {
    let original = try Self.bytes(name, in: "hdf5-layouts")
    for length in stride(from: 0, to: original.count, by: 97) {
      let part = Array(original.prefix(length))
      let expected = HDF5Golden.hasSignature(part) ? "h5.truncated" : "h5.signature"
      #expect(try Self.reason(part) == expected, "\(length)")
    }
  }

  /// With the end of the file moved, so that the superblock says nothing.
  @Test func everyMissingPieceIsNoticed() throws {
    let original = try Self.bytes("indexes-earliest.h5", in: "hdf5-layouts")
    for length in stride(from: 200, to: original.count - 6000, by: 1999) {
      var bytes = Array(original.prefix(length))
      let end = withUnsafeBytes(of: UInt64(length).littleEndian, Array.init)
      bytes.replaceSubrange(40..<48, with: end)
      let reason = try Self.reason(bytes)
      #expect(reason == "h5.address", "\(length): \(reason ?? "accepted")")
    }
  }

  @Test func checksumsAreVerified() throws {
    let original = try Self.bytes("indexes-latest.h5", in: "hdf5-layouts")
    // In each structure the place of a byte that nothing else would find wrong.
    for (signature, place) in [
      ("OHDR", 8), ("FAHD", 24), ("FADB", 14), ("EAHD", 12), ("EAIB", 14), ("BTHD", 14),
      ("BTLF", 6), ("FRHP", 5), ("FHDB", 40),
    ] {
      let start = try #require(
        original.indices.first { original[$0...].starts(with: signature.utf8) }, "\(signature)")
      var bytes = original
      bytes[start + place] ^= 0x40
      #expect(try Self.reason(bytes) == "h5.checksum", "\(signature)")
      // The type, or the owner, of a structure is looked at before its checksum.
      bytes = original
      bytes[start + 5] ^= 0x40
      let isChecksum = ["OHDR", "FRHP"].contains(signature)
      #expect(try Self.reason(bytes) == (isChecksum ? "h5.checksum" : "h5.structure"))
    }
    var superblock = original
    superblock[44] ^= 1
    #expect(try Self.reason(superblock) == "h5.checksum")
  }

  @Test func chunksAreChecked() throws {
    let fletcher = try Self.bytes("fletcher32.h5")
    let wanted = try #require(HDF5Golden.all.first { $0.name == "fletcher32.h5" }).tensors[2].bytes
    var bytes = fletcher
    let start = try #require(
      fletcher.indices.first { fletcher[$0...].starts(with: wanted.prefix(16)) })
    bytes[start + 5] ^= 0x10
    #expect(try Self.reason(bytes) == "h5.fletcher32")

    bytes = try Self.bytes("gzip-earliest.h5")
    let deflated = try #require(
      bytes.indices.first {
        bytes[$0...].starts(with: [0x78, 0x5E]) || bytes[$0...].starts(with: [0x78, 0x9C])
      })
    bytes[deflated + 9] ^= 0x7F
    #expect(try Self.reason(bytes) == "h5.deflate")
  }

  @Test func addressesOutsideTheFileAndInEachOtherAreRefused() throws {
    var bytes = try Self.bytes("flat.h5")
    // The driver information block, and the root group's address.
    bytes.replaceSubrange(48..<56, with: [UInt8](repeating: 0, count: 8))
    #expect(try Self.reason(bytes) == "h5.driver")
    bytes = try Self.bytes("flat.h5")
    bytes[70] = 0x7F
    #expect(try Self.reason(bytes) == "h5.address")
    bytes[64] = 0
    bytes.replaceSubrange(64..<72, with: [0, 0, 0, 0, 0, 0, 0, 0])
    #expect(try Self.reason(bytes) == "h5.structure")
    bytes[13] = 3
    #expect(try Self.reason(bytes) == "h5.outside-subset")

    let fletcher = try Self.bytes("shrunk-latest.h5", in: "hdf5-layouts")
    let image = Self.image(fletcher)
    _ = try image.readOnce(0, count: 20, "a thing")
    try image.checkOverlaps()
    image.claimData(19, count: 4)
    #expect(throws: RecurrentError.self) { try image.checkOverlaps() }
    let error = #expect(throws: RecurrentError.self) { try image.readOnce(0, count: 4, "another") }
    #expect(error?.reason.code == "h5.overlap")
  }

  @Test func theCostOfReadingIsBounded() throws {
    let source = HDF5FillSource(element: [0], count: 1 << 30)
    let image = HDF5Image(source, base: 0, count: 1 << 30, offsetSize: 8, lengthSize: 8)
    let error = #expect(throws: RecurrentError.self) {
      _ = try image.read(0, count: 257 << 20, "much")
    }
    #expect(error?.reason.code == "h5.too-many")
    try image.charge(100 << 20)
    try image.charge(100 << 20)
    let shared = #expect(throws: RecurrentError.self) { try image.charge(100 << 20) }
    #expect(shared?.reason.code == "h5.too-many")
    let steps = #expect(throws: RecurrentError.self) { while true { try image.step() } }
    #expect(steps?.reason.code == "h5.too-many")
  }

  private static func image(_ bytes: [UInt8]) -> HDF5Image {
    HDF5Image(
      MemorySource(bytes), base: 0, count: bytes.count, offsetSize: 8, lengthSize: 8)
  }

  /// A version 1 object header with these messages at address 0.
  private static func header(
    _ messages: [(type: UInt8, flags: UInt8, body: [UInt8])]
  ) throws -> (HDF5ObjectHeader, HDF5Image) {
    var body: [UInt8] = []
    for message in messages {
      let padded = message.body + [UInt8](repeating: 0, count: (8 - message.body.count % 8) % 8)
      body += [message.type, 0, UInt8(padded.count), 0, message.flags, 0, 0, 0] + padded
    }
    let size = UInt8(body.count)
    let image = image(
      [1, 0, UInt8(messages.count), 0, 1, 0, 0, 0, size, 0, 0, 0, 0, 0, 0, 0] + body)
    return (try HDF5ObjectHeader(at: 0, in: image), image)
  }

  private static func expect(_ reason: String, _ body: () throws -> Void) {
    let error = #expect(throws: RecurrentError.self) { try body() }
    #expect(error?.reason.code == reason, "\(String(describing: error))")
  }

  @Test func linksAreChecked() throws {
    let hard: [UInt8] = [1, 0, 1, UInt8(ascii: "a"), 0, 1, 0, 0, 0, 0, 0, 0]
    func links(_ bodies: [[UInt8]]) throws {
      let (header, image) = try Self.header(bodies.map { (6, 0, $0) })
      _ = try HDF5Links(of: header, in: image)
    }
    try links([hard])
    Self.expect("h5.duplicate") { try links([hard, hard]) }
    let tail: [UInt8] = [1, UInt8(ascii: "a"), 2, 0, 0, 0]
    Self.expect("h5.user-link") { try links([[1, 8, 65] + tail]) }
    Self.expect("h5.external-link") { try links([[1, 8, 64] + tail]) }
    Self.expect("h5.name") { try links([[1, 0, 1, 0x2F] + [UInt8](repeating: 0, count: 8)]) }
    Self.expect("h5.name") { try links([[1, 8, 1, 1, UInt8(ascii: "a"), 1, 0, 0xFF]]) }
    Self.expect("h5.address") {
      try links([[1, 0, 1, UInt8(ascii: "a")] + [UInt8](repeating: 255, count: 8)])
    }
    Self.expect("h5.outside-subset") { _ = try Self.header([(0x19, 0x80, [])]) }
  }

  private static let f32: [UInt8] = [
    0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0,
  ]

  private func dataset(
    type: [UInt8] = f32, space: [UInt8] = [2, 1, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0],
    layout: [UInt8] = [3, 0, 12, 0] + [UInt8](repeating: 7, count: 12),
    more: [(type: UInt8, flags: UInt8, body: [UInt8])] = []
  ) throws -> HDF5Dataset {
    let (header, image) = try Self.header([(1, 0, space), (3, 0, type), (8, 0, layout)] + more)
    var attributes = HDF5AttributeReader(image)
    return try HDF5DatasetReader(image: image).dataset(header, &attributes, name: "x")
  }

  @Test func datasetsAreChecked() throws {
    #expect(try dataset().source?.readAll() == [UInt8](repeating: 7, count: 12))
    #expect(try dataset().shape == [3])
    Self.expect("h5.size") { _ = try dataset(layout: [3, 0, 1, 0, 7]) }
    Self.expect("h5.structure") { _ = try dataset(layout: [3, 0, 99, 0, 7]) }
    Self.expect("h5.virtual") { _ = try dataset(layout: [4, 3, 0, 0]) }
    Self.expect("h5.external-storage") { _ = try dataset(more: [(7, 0, [])]) }
    Self.expect("h5.rank") { _ = try dataset(space: [2, 33, 0, 1]) }
    Self.expect("tensor.shape") {
      _ = try dataset(space: [2, 1, 0, 1] + [UInt8](repeating: 255, count: 8))
    }
    Self.expect("h5.fill") {
      _ = try dataset(more: [(5, 0, [3, 0x20, 2, 0, 0, 0, 1, 1])])
    }
    Self.expect("h5.filter") { _ = try dataset(more: [(11, 0, [2, 1, 4, 0, 0, 0, 0, 0])]) }
    Self.expect("h5.outside-subset") { _ = try dataset(more: [(11, 2, [3, 1])]) }
    var overlapping = Self.f32
    overlapping[13] = 9
    Self.expect("h5.structure") { _ = try dataset(type: overlapping) }
    // Contiguous, but longer than the shape; chunks of another element size; a chunk of no size.
    let address = [UInt8](repeating: 0, count: 8)
    Self.expect("h5.size") {
      _ = try dataset(layout: [3, 1] + address + [13] + address.dropLast())
    }
    func chunks(_ size: UInt8, _ element: UInt8) -> [UInt8] {
      [3, 2, 2] + address + [size, 0, 0, 0, element, 0, 0, 0]
    }
    Self.expect("h5.chunk") { _ = try dataset(layout: chunks(2, 8)) }
    Self.expect("h5.chunk") { _ = try dataset(layout: chunks(0, 4)) }
    let undefined = [UInt8](repeating: 255, count: 8)
    let large: [UInt8] = [2, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0]
    Self.expect("h5.bomb") { _ = try dataset(space: large, layout: [3, 1] + undefined + address) }
  }

  @Test func attributesAreChecked() throws {
    // Version 3, a scalar of variable-length text of 17 MiB at address 0.
    let text: [UInt8] = [0x19, 1, 1, 0, 16, 0, 0, 0] + [0x13, 0, 0, 0, 1, 0, 0, 0]
    let start: [UInt8] = [3, 0, 2, 0, 16, 0, 4, 0, 0, UInt8(ascii: "a"), 0]
    func read(_ value: [UInt8], copies: Int = 1) throws -> [HDF5Attribute] {
      let body = start + text + [2, 0, 0, 0] + value + [UInt8](repeating: 0, count: 12)
      let (header, image) = try Self.header((0..<copies).map { _ in (12, 0, body) })
      var reader = HDF5AttributeReader(image)
      return try reader.attributes(of: header)
    }
    #expect(try read([0, 0, 0, 0]).map(\.name) == ["a"])
    Self.expect("h5.attribute") { _ = try read([0, 0, 16, 1]) }
    Self.expect("h5.structure") { _ = try read([1, 0, 0, 0]) }
    Self.expect("h5.duplicate") { _ = try read([0, 0, 0, 0], copies: 2) }
  }

  @Test func compressorsAreChecked() throws {
    func decode(_ ids: [UInt8], _ bytes: [UInt8], count: Int) throws -> [UInt8] {
      var body: [UInt8] = [1, UInt8(ids.count), 0, 0, 0, 0, 0, 0]
      for id in ids {
        body += id == 32 ? [0x00, 0x7D, 0, 0, 0, 0, 0, 0] : [id, 0, 0, 0, 0, 0, 0, 0]
      }
      let cursor = HDF5Cursor(body, at: 0, offsetSize: 8, lengthSize: 8)
      return try HDF5Filters(cursor, elementSize: 4).decode(bytes, mask: 0, count: count)
    }
    // Three literals, then seven bytes from two back.
    #expect(
      try decode([32], [2, 1, 2, 3, 0xA0, 1], count: 10) == [1, 2, 3, 2, 3, 2, 3, 2, 3, 2])
    for (bytes, count) in [
      ([2, 1, 2], 3), ([0x20, 1], 3), ([2, 1, 2, 3], 4), ([2, 1, 2, 3], 2), ([0xE0], 9), ([], 500),
    ] as [([UInt8], Int)] {
      Self.expect("h5.lzf") { _ = try decode([32], bytes, count: count) }
    }
    Self.expect("h5.deflate") { _ = try decode([1], [0x78, 0x9C, 1], count: 2000) }
    Self.expect("h5.deflate") { _ = try decode([1], [0x78], count: 1 << 30) }
    Self.expect("h5.fletcher32") { _ = try decode([3], [1, 2], count: 2) }
    Self.expect("h5.outside-subset") { _ = try decode([1, 1], [1, 2], count: 2) }
    Self.expect("h5.chunk") { _ = try decode([2], [1, 2], count: 3) }
    // Planes of a shuffle with a byte left over.
    #expect(try decode([2], [1, 3, 5, 7, 2, 4, 6, 8, 9], count: 9) == [1, 5, 2, 6, 3, 7, 4, 8, 9])
  }
}
