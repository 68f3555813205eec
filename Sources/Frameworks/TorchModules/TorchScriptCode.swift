// The code of a TorchScript archive: FOLDER/code/A/B.py holds the classes `A.B NAME`, as text that
// PyTorch wrote. What its methods compute is followed elsewhere (see Flow/TorchScriptRun.swift); of
// every class these lines say what it is:
//
//   class GRU(Module):
//     __parameters__ = ["weight_ih_l0", "weight_hh_l0", ]
//     __buffers__ = []
//     num_layers : Final[int] = 2

import Containers
import Tensors

/// What the code of a TorchScript archive says about its classes; read once, never run.
struct TorchScriptCode {
  /// What is known about one class.
  struct Body {
    var parameters: [[UInt8]]?
    var buffers: [[UInt8]]?
    /// What is fixed for the class.
    var finals: [String: JSON] = [:]
    /// The methods, from the line of their `def` on.
    var methods: [String: ArraySlice<UInt8>] = [:]
  }

  private var bodies: [String: Body] = [:]
  /// The functions outside of classes, under `A.B.NAME`.
  private(set) var functions: [String: ArraySlice<UInt8>] = [:]
  /// The names of attributes that some method changes.
  private(set) var changedAttributes: Set<String> = []
  private static let maximumLength = 16 << 20

  /// Reads the code that an archive has; throws `zip.…`, and `pt.torchscript` when it is too long.
  init(_ archive: ZipArchive, folder: String) throws {
    let start = "\(folder)/code/"
    var length = 0
    for entry in archive.entries {
      let name = entry.name.string
      guard name.hasPrefix(start), name.hasSuffix(".py") else { continue }
      let (sum, overflow) = length.addingReportingOverflow(entry.size)
      guard !overflow, sum <= Self.maximumLength else {
        throw RecurrentError(
          .ptTorchScript, at: "entry \"\(name)\"", found: "more than 16 MiB of code",
          expected: "less")
      }
      length = sum
      let module = name.dropFirst(start.count).dropLast(3).split(separator: "/")
        .joined(separator: ".")
      let text = try archive.source(of: entry, acceptsMissingChecksums: true).readAll()
      read(text, module: module)
    }
  }

  /// What is known about `MODULE NAME`.
  func body(of name: String) -> Body? { bodies[name] }

  private mutating func read(_ text: [UInt8], module: String) {
    var name: String?
    var lines = ClassLines()
    var rest = text[...]
    while !rest.isEmpty {
      let line = rest.prefix { $0 != 0x0A }
      rest = rest[line.endIndex...].dropFirst()
      if line.first != 0x20 {
        if let name { bodies["\(module) \(name)"] = lines.body }
        name = Self.className(line)
        lines = ClassLines()
        if let function = Self.definition(line) {
          functions["\(module).\(function)"] = text[line.startIndex...]
        }
      } else if name != nil {
        lines.add(line)
        if line.starts(with: "  def ".utf8), let method = Self.definition(line.dropFirst(2)) {
          lines.addMethod(method, text[line.startIndex...])
        }
      }
      if let attribute = Self.changedAttribute(line) { changedAttributes.insert(attribute) }
    }
    if let name { bodies["\(module) \(name)"] = lines.body }
  }

  /// `NAME` of `def NAME(…`.
  private static func definition(_ line: ArraySlice<UInt8>) -> String? {
    guard line.starts(with: "def ".utf8),
      let end = line.prefix(4096).firstIndex(of: UInt8(ascii: "("))
    else { return nil }
    return String(decoding: line[(line.startIndex + 4)..<end], as: UTF8.self)
  }

  /// `NAME` of `self.NAME = …`.
  private static func changedAttribute(_ line: ArraySlice<UInt8>) -> String? {
    let text = line.drop { $0 == 0x20 }.prefix(1024)
    guard let space = text.firstIndex(of: 0x20), text[space...].starts(with: " = ".utf8),
      let dot = text[..<space].lastIndex(of: UInt8(ascii: "."))
    else { return nil }
    return String(decoding: text[(dot + 1)..<space], as: UTF8.self)
  }

  private static func className(_ line: ArraySlice<UInt8>) -> String? {
    guard line.starts(with: "class ".utf8), line.count < 4096,
      let end = line.firstIndex(of: UInt8(ascii: "("))
    else { return nil }
    return String(decoding: line[(line.startIndex + 6)..<end], as: UTF8.self)
  }
}

/// The telling lines of a class.
private struct ClassLines {
  private(set) var body = TorchScriptCode.Body()

  mutating func addMethod(_ name: String, _ text: ArraySlice<UInt8>) {
    if body.methods[name] == nil { body.methods[name] = text }
  }

  mutating func add(_ line: ArraySlice<UInt8>) {
    guard line.count < 1 << 20 else { return }
    let text = line.drop { $0 == 0x20 }
    if text.starts(with: "__parameters__ = ".utf8) {
      body.parameters = Self.strings(text)
    } else if text.starts(with: "__buffers__ = ".utf8) {
      body.buffers = Self.strings(text)
    } else if line.count < 4096, Self.first(" : Final[", in: text) != nil {
      addFinal(String(decoding: text, as: UTF8.self))
    }
  }

  /// The items of `["a", "b", ]`.
  private static func strings(_ text: ArraySlice<UInt8>) -> [[UInt8]] {
    text.split(separator: UInt8(ascii: "\""), omittingEmptySubsequences: false).enumerated()
      .filter { $0.offset % 2 == 1 }.map { Array($0.element) }
  }

  private mutating func addFinal(_ line: String) {
    let parts = line.split(separator: " ", maxSplits: 4)
    guard parts.count == 5, parts[1] == ":", parts[3] == "=" else { return }
    body.finals[String(parts[0])] = Self.literal(parts[4])
  }

  /// `True`, `2`, `0.5` or `"GRU"`.
  private static func literal(_ text: Substring) -> JSON? {
    if text == "True" || text == "False" { return .bool(text == "True") }
    if let number = Int(text) { return .number(number) }
    if let number = Double(text.hasSuffix(".") ? text + "0" : text), number.isFinite {
      return .number(number)
    }
    guard text.count >= 2, text.first == "\"", text.last == "\"", !text.contains("\\") else {
      return nil
    }
    return .string(String(text.dropFirst().dropLast()))
  }

  /// Where a text first occurs.
  private static func first(_ text: String, in line: ArraySlice<UInt8>) -> Int? {
    let wanted = Array(text.utf8)
    return line.indices.first {
      line[$0] == wanted[0] && line[$0...].starts(with: wanted)
    }
  }
}
