import Tensors
import TestSupport
import Testing

@testable import Containers

/// The wire format by itself: every rule that a hostile file could break.
@Suite("The wire format keeps its rules, or the file is refused")
struct ProtobufTests {
  private func failure(_ bytes: [UInt8], allowance: Int = 1000) -> String? {
    do {
      var fields = ProtobufReader(ProtobufBytes(MemorySource(bytes), allowance: allowance))
      while try fields.next() != nil {}
      return nil
    } catch let error as RecurrentError {
      return error.reason.code
    } catch {
      return "\(error)"
    }
  }

  @Test func readsWhatIsWritten() throws {
    var inner = ProtobufMessage()
    inner.append(1, "größe")
    inner.append(2, -1)
    var message = ProtobufMessage()
    message.append(1, 300)
    message.append(536_870_911, inner)
    message.beginBytes(9, count: 2)
    message.append(raw: [7, 8])
    let bytes = ProtobufBytes(MemorySource(message.bytes))
    var fields = ProtobufReader(bytes)
    let first = try #require(try fields.next())
    #expect(first.number == 1)
    #expect(try first.integer() == 300)
    let second = try #require(try fields.next())
    #expect(second.number == 536_870_911)
    var nested = try second.message(bytes)
    #expect(try nested.next()?.text(bytes) == "größe")
    #expect(try nested.next()?.integer() == -1)
    #expect(try nested.next() == nil)
    let third = try #require(try fields.next())
    #expect(try bytes.bytes(third.range(), limit: 2) == [7, 8])
    #expect(try fields.next() == nil)
  }

  @Test func repeatedNumbersArePackedOrNot() throws {
    let bytes = ProtobufBytes(MemorySource([0x08, 0x05, 0x0A, 0x03, 0x06, 0xAC, 0x02]))
    var fields = ProtobufReader(bytes)
    var numbers: [Int] = []
    while let field = try fields.next() { try field.appendIntegers(to: &numbers, bytes) }
    #expect(numbers == [5, 6, 300])
  }

  @Test(
    arguments: [
      ([0x08], "protobuf.truncated"),
      ([0x08, 0x80], "protobuf.truncated"),
      ([0x09, 1, 2, 3], "protobuf.truncated"),
      ([0x0D, 1, 2, 3], "protobuf.truncated"),
      ([0x0A, 0x02, 0x00], "protobuf.truncated"),
      // A length of 2^63 must not become a negative number.
      (
        [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 0], "protobuf.truncated"
      ),
      ([0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02], "protobuf.varint"),
      (
        [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "protobuf.varint"
      ),
      ([0x00, 0x01], "protobuf.key"),
      ([0x80, 0x80, 0x80, 0x80, 0x10, 0x01], "protobuf.key"),
      ([0x0B], "protobuf.wire-type"),
      ([0x0C], "protobuf.wire-type"),
      ([0x0E], "protobuf.wire-type"),
    ] as [([UInt8], String)])
  func refuses(bytes: [UInt8], expected: String) { #expect(failure(bytes) == expected) }

  @Test func allOfSixtyFourBitsAreRead() throws {
    let bytes: [UInt8] = [0x08] + [UInt8](repeating: 0xFF, count: 9) + [0x01]
    var fields = ProtobufReader(ProtobufBytes(MemorySource(bytes)))
    #expect(try fields.next()?.unsigned() == .max)
  }

  @Test func anEndlessRowOfFieldsHasALimit() {
    let bytes = [[UInt8]](repeating: [0x08, 0x01], count: 100).flatMap { $0 }
    #expect(failure(bytes, allowance: 100) == nil)
    #expect(failure(bytes, allowance: 99) == "protobuf.limit")
  }

  @Test func wrongTypesAndTextAreRefused() throws {
    let bytes = ProtobufBytes(MemorySource([0x08, 0x01, 0x12, 0x02, 0xC3, 0x28]))
    var fields = ProtobufReader(bytes)
    let number = try #require(try fields.next())
    let text = try #require(try fields.next())
    #expect(reason { _ = try number.range() } == "protobuf.wire-type")
    #expect(reason { _ = try number.float(bytes) } == "protobuf.wire-type")
    #expect(reason { _ = try text.unsigned() } == "protobuf.wire-type")
    #expect(reason { _ = try text.name(bytes) } == "protobuf.utf8")
    #expect(reason { _ = try text.text(bytes) } == "protobuf.utf8")
    #expect(reason { _ = try text.text(bytes, limit: 1) } == "protobuf.limit")
  }
}
