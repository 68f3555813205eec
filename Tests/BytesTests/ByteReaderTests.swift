import Tensors
import Testing

@testable import Bytes

@Suite("Bytes of a file are read within their bounds, whatever they say")
struct ByteReaderTests {
  @Test func numbersAreLittleEndian() throws {
    var reader = ByteReader([0x01, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12, 0xFF, 0xFE, 0xFD])
    #expect(try reader.unsigned(1) == 1)
    #expect(try reader.unsigned(2) == 0x1234)
    #expect(try reader.unsigned(4) == 0x1234_5678)
    #expect(try reader.unsigned(3) == 0xFD_FEFF)
    #expect(reader.count == 0 && reader.position == 10)
    #expect(UInt64(bigEndian: [0x12, 0x34, 0x56] as [UInt8]) == 0x12_3456)
  }

  @Test func aReadThatDoesNotFitMovesNothing() throws {
    var reader = ByteReader([1, 2, 3, 4, 5][1...])
    #expect(try Array(reader.take(1)) == [2])
    for wanted in [4, Int.max, -1, Int.min] {
      let shortage = #expect(throws: ByteReader.Shortage.self) { try reader.take(wanted) }
      #expect(shortage?.wanted == wanted && shortage?.left == 3)
      #expect(reader.position == 1)
    }
    for place in [-1, 5, Int.max] {
      #expect(throws: ByteReader.Shortage.self) { try reader.move(to: place) }
    }
    try reader.move(to: 4)
    #expect(reader.count == 0)
    try reader.move(to: 0)
    #expect(try Array(reader.take(4)) == [2, 3, 4, 5])
    #expect(Array(reader.read(since: 2)) == [4, 5])
  }

  @Test func aPartEndsWhereItShould() throws {
    var reader = ByteReader([9, 1, 2, 3, 7])
    _ = try reader.take(1)
    var part = try reader.part(3)
    #expect(reader.position == 4 && part.position == 1 && part.count == 3)
    #expect(try part.unsigned(3) == 0x03_0201)
    #expect(throws: ByteReader.Shortage.self) { try part.take(1) }
    #expect(throws: ByteReader.Shortage.self) { try reader.part(2) }
    #expect(try reader.unsigned(1) == 7)
  }

  @Test func textEndsAtItsStop() throws {
    var reader = ByteReader([0x61, 0x62, 0x00, 0x63, 0x64, 0x65])
    #expect(reader.bytes(until: 0).map(Array.init) == [0x61, 0x62])
    #expect(reader.bytes(until: 0) == nil && reader.position == 3)
    #expect(reader.bytes(until: 0x65, limit: 2) == nil)
    #expect(reader.bytes(until: 0x65, limit: 3).map(Array.init) == [0x63, 0x64])
    #expect(reader.count == 0)
  }

  @Test(
    arguments: [
      ([0x00], 0), ([0x7F], 127), ([0x80, 0x01], 128), ([0xAC, 0x02], 300),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], UInt64.max),
    ] as [([UInt8], UInt64)])
  func varintsAreRead(_ bytes: [UInt8], _ value: UInt64) {
    var reader = ByteReader(bytes + [0x55])
    #expect(reader.varint() == value)
    #expect(reader.position == bytes.count)
  }

  @Test(
    arguments: [
      [], [0x80], [0xFF, 0xFF], [UInt8](repeating: 0x80, count: 10) + [0x01],
      [UInt8](repeating: 0xFF, count: 9) + [0x02],
    ] as [[UInt8]])
  func varintsThatAreCutOffOrTooLongAreNone(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes)
    #expect(reader.varint() == nil)
    #expect(reader.position == 0)
  }

  @Test(arguments: [1, 3, 7, 64])
  func aWindowShowsTheSource(_ size: Int) throws {
    let all = (0..<53).map { UInt8($0 * 5 % 256) }
    var window = SourceWindow(MemorySource(all), size: size)
    for offset in [0, 52, 17, 18, 16, 51] { #expect(try window.byte(at: offset) == all[offset]) }
    for range in [0..<0, 0..<53, 10..<12, 11..<31, 5..<6, 50..<53, 53..<53] {
      #expect(Array(try window.bytes(range)) == Array(all[range]))
    }
    #expect(throws: RecurrentError.self) { try window.bytes(50..<54) }
  }
}
