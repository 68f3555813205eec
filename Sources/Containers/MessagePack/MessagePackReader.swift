// MessagePack (github.com/msgpack/msgpack, spec.md): one header byte, a big-endian length, contents.
//
//   00-7f, e0-ff  small integers         cc-cf uint 8 16 32 64     d0-d3 int 8 16 32 64
//   80-8f, de df  map: pairs follow      90-9f, dc dd  array: elements follow
//   a0-bf, d9-db  string (UTF-8)         c4-c6 binary              ca cb  float 32 64
//   c0 nil        c1 never used          c2 c3 false, true
//   d4-d8  extension of 1 2 4 8 16 bytes, c7-c9 with a length; a signed type byte comes first

import Bytes
import Tensors

/// One header of a MessagePack stream; contents of strings, binaries and extensions are ranges.
package enum MessagePackToken {
  case null
  case bool(Bool)
  case integer(Int)
  case unsigned(UInt64)
  case float(Double)
  case string(Range<Int>)
  case binary(Range<Int>)
  case array(count: Int)
  case map(count: Int)
  case ext(type: Int8, Range<Int>)
}

/// Reads headers one after the other; contents are stepped over, never copied.
package struct MessagePackReader {
  package var source: any ByteSource { window.source }
  /// Where reading ends; contents must not reach past it.
  package let end: Int
  /// The next header.
  package private(set) var offset: Int
  private var window: SourceWindow

  package init(_ source: any ByteSource, range: Range<Int>? = nil) {
    // Headers lie together between the arrays: a small window serves many, a large one is waste.
    window = SourceWindow(source, size: 512)
    offset = range?.lowerBound ?? 0
    end = range?.upperBound ?? source.count
  }

  package var isAtEnd: Bool { offset >= end }

  /// The next header; throws `msgpack.truncated` and `msgpack.header`.
  package mutating func next() throws -> MessagePackToken {
    let start = offset
    let head = UInt8(try unsigned(1))
    switch head {
    case 0x00...0x7f: return .integer(Int(head))
    case 0x80...0x8f: return .map(count: Int(head & 15))
    case 0x90...0x9f: return .array(count: Int(head & 15))
    case 0xa0...0xbf: return .string(try contents(UInt64(head & 31)))
    case 0xc0: return .null
    case 0xc2, 0xc3: return .bool(head == 0xc3)
    case 0xc4...0xc6: return .binary(try contents(unsigned(1 << (head - 0xc4))))
    case 0xc7...0xc9: return try ext(unsigned(1 << (head - 0xc7)))
    case 0xca: return .float(Double(Float(bitPattern: UInt32(try unsigned(4)))))
    case 0xcb: return .float(Double(bitPattern: try unsigned(8)))
    case 0xcc...0xcf:
      let value = try unsigned(1 << (head - 0xcc))
      return Int(exactly: value).map { .integer($0) } ?? .unsigned(value)
    case 0xd0...0xd3:
      let size = 1 << (head - 0xd0)
      let shift = 64 - 8 * size
      return .integer(Int(Int64(bitPattern: try unsigned(size) << UInt64(shift)) >> Int64(shift)))
    case 0xd4...0xd8: return try ext(1 << UInt64(head - 0xd4))
    case 0xd9...0xdb: return .string(try contents(unsigned(1 << (head - 0xd9))))
    case 0xdc, 0xdd: return .array(count: Int(try unsigned(head == 0xdc ? 2 : 4)))
    case 0xde, 0xdf: return .map(count: Int(try unsigned(head == 0xde ? 2 : 4)))
    case 0xe0...0xff: return .integer(Int(Int8(bitPattern: head)))
    default:
      throw RecurrentError(
        .messagePackHeader, at: "byte \(start)",
        found: "the header c1, which never occurs",
        expected: "a MessagePack header")
    }
  }

  private mutating func ext(_ length: UInt64) throws -> MessagePackToken {
    let type = Int8(bitPattern: UInt8(try unsigned(1)))
    return .ext(type: type, try contents(length))
  }

  private mutating func contents(_ length: UInt64) throws -> Range<Int> {
    guard length <= UInt64(end - offset) else { throw truncated("contents of \(length) bytes") }
    let range = offset..<offset + Int(length)
    offset = range.upperBound
    return range
  }

  private mutating func unsigned(_ size: Int) throws -> UInt64 {
    guard size <= end - offset else { throw truncated("a header") }
    defer { offset += size }
    return UInt64(bigEndian: try window.bytes(offset..<offset + size))
  }

  private func truncated(_ what: String) -> RecurrentError {
    RecurrentError(
      .messagePackTruncated, at: "byte \(offset)",
      found: "\(what), but only \(end - offset) bytes are left", expected: "a complete file")
  }
}
