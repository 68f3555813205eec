// Tar, as Python's tarfile writes it: blocks of 512 bytes.
//
//   header   name[100] · mode[8] · owner[8] · group[8] · size[12] · time[12] · checksum[8]
//            kind[1] ("0" or NUL a file, "x" and "g" attributes of the next) · link[100] · "ustar" …
//   data     size bytes, padded with zeros to a block
//   end      zeros only
//
// Numbers are octal text. The checksum is the sum of the header's bytes with spaces in its place.

import Bytes
import Tensors

/// The files of a tar archive.
package struct TarArchive {
  /// The content of every file by its name, without a leading `./`.
  package let files: [Name: WindowSource]
  private static let block = 512
  private static let record = 20 * block
  private static let maximumFiles = 10_000

  /// Whether the bytes begin like a tar archive.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    source.count >= block && (try? source.read(257..<262)) == Array("ustar".utf8)
  }

  /// Reads the headers; throws `tar.…`.
  package init(_ source: any ByteSource) throws {
    var files: [Name: WindowSource] = [:]
    var position = 0
    // Python fills the last record with zeros; without them the end is missing.
    guard source.count.isMultiple(of: Self.record) else {
      throw Self.malformed(
        "\(source.count) bytes", "a multiple of \(Self.record)", at: source.count)
    }
    while position < source.count {
      guard source.count - position >= Self.block else {
        throw Self.malformed("\(source.count - position) bytes", "a block of 512", at: position)
      }
      let header = try source.read(position..<position + Self.block)
      if header.allSatisfy({ $0 == 0 }) { break }
      let size = try Self.size(of: header, at: position)
      guard size <= source.count - position - Self.block else {
        throw Self.malformed("a file of \(size) bytes", "at most those left", at: position)
      }
      switch header[156] {
      case 0, UInt8(ascii: "0"):
        var text = header[..<100].prefix { $0 != 0 }
        if text.starts(with: "./".utf8) { text = text.dropFirst(2) }
        guard let name = Name(validating: text), files[name] == nil,
          files.count < Self.maximumFiles
        else { throw Self.malformed("a name twice or not in UTF-8", "a new one", at: position) }
        files[name] = try WindowSource(source, offset: position + Self.block, count: size)
      case UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "5"): break
      case let kind:
        throw RecurrentError(
          .tarKind, at: "byte \(position)",
          found: "an entry of kind \(kind)", expected: "files")
      }
      let padded = (size + Self.block - 1) / Self.block * Self.block
      position += Self.block + min(padded, source.count - position - Self.block)
    }
    self.files = files
    if position < source.count {
      try WindowSource(source, offset: position, count: source.count - position).forEachChunk {
        guard $0.allSatisfy({ $0 == 0 }) else {
          throw Self.malformed("data after the end", "zeros", at: position)
        }
      }
    }
  }

  private static func size(of header: [UInt8], at position: Int) throws -> Int {
    let sum = header.enumerated().reduce(0) {
      $0 + ((148..<156).contains($1.offset) ? 0x20 : Int($1.element))
    }
    guard isRight(octal(header[148..<156]), for: sum) else {
      throw malformed("a wrong checksum", "\(sum)", at: position)
    }
    guard let size = octal(header[124..<136]) else {
      throw malformed("no size", "octal digits", at: position)
    }
    return size
  }

  private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
    let digits = field.prefix { $0 != 0 }.filter { $0 != 0x20 }
    return Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 >= 0 ? $0 : nil }
  }

  private static func malformed(
    _ found: String, _ expected: String, at position: Int
  ) -> RecurrentError {
    RecurrentError(
      .tarMalformed, at: "byte \(position)", found: found, expected: expected)
  }
}
