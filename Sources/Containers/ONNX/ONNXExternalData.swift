import Bytes
import HostSystem
import Tensors

/// Tensors in files beside the model, as torch.onnx and onnx.save write them.
///
/// A model names its data files, so a hostile one could name any file: only relative paths that stay,
/// with every symbolic link resolved, inside the model's directory are opened.
struct ONNXExternalData {
  private let modelPath: String?
  private(set) var files: [Name: InputFile] = [:]
  private var claimed: [Name: Int] = [:]
  private static let fileLimit = 1000

  /// Finds files beside a model; `nil` for a model that is not in a directory.
  init(modelPath: String?) { self.modelPath = modelPath }

  /// The window that a tensor's `external_data` describes.
  ///
  /// Throws `onnx.external-data` for keys that make no sense, `onnx.external-path` for a path that leaves
  /// the directory, `onnx.external-missing`, `onnx.external-size` and `onnx.external-overlap`.
  mutating func window(_ record: ONNXTensorRecord, count: Int) throws -> WindowSource {
    func value(_ key: String) throws -> String? {
      let values = record.external.filter { $0.key == key }.map(\.value)
      guard values.count <= 1 else {
        throw Self.error(.onnxExternalData, "the key \(key) twice", "every key once")
      }
      return values.first
    }
    func number(_ key: String) throws -> Int? {
      try value(key).map { text in
        guard let number = Int(text), number >= 0, text.allSatisfy(\.isNumber) else {
          throw Self.error(.onnxExternalData, "\(key) \"\(text)\"", "a number of bytes")
        }
        return number
      }
    }
    guard let location = try value("location") else {
      throw Self.error(.onnxExternalData, "no location", "the name of a file")
    }
    let file = try open(location)
    let offset = try number("offset") ?? 0
    guard offset <= file.count else {
      throw Self.error(
        .onnxExternalSize, "offset \(offset)", "at most the \(file.count) bytes of \(location)")
    }
    let length = try number("length") ?? (file.count - offset)
    guard length == count, length <= file.count - offset else {
      throw Self.error(
        .onnxExternalSize, "\(min(length, file.count - offset)) bytes in \(location)",
        "\(count)")
    }
    // Tied weights may share bytes; a thousand tensors over one gigabyte are a bomb.
    let (total, overflow) = claimed[Name(location), default: 0].addingReportingOverflow(length)
    guard !overflow, total / 16 <= file.count else {
      throw Self.error(
        .onnxExternalOverlap,
        "tensors of \(total) bytes over the \(file.count) bytes of "
          + location, "tensors that do not share their data")
    }
    claimed[Name(location)] = total
    return try WindowSource(file, offset: offset, count: length)
  }

  private mutating func open(_ location: String) throws -> InputFile {
    if let file = files[Name(location)] { return file }
    let parts = location.split(separator: "/", omittingEmptySubsequences: false)
    guard let modelPath, !location.utf8.contains(0), !location.utf8.contains(UInt8(ascii: "\\")),
      parts.allSatisfy({ !$0.isEmpty && $0 != ".." })
    else { throw Self.outside(location) }
    guard files.count < Self.fileLimit else {
      throw Self.error(
        .onnxExternalData, "more than \(Self.fileLimit) data files", "fewer")
    }
    let end = modelPath.lastIndex(of: "/")
    let directory = end.map { String(modelPath[...$0]) } ?? "./"
    guard let root = Self.resolved(directory) else { throw Self.outside(location) }
    guard let path = Self.resolved(directory + location) else {
      throw RecurrentError(
        .onnxExternalMissing, found: "no file \(location) beside the model",
        expected: "the file with the model's tensors",
        hint: "Copy it into the model's directory; the two belong together.")
    }
    guard path.utf8.starts(with: (root == "/" ? "/" : root + "/").utf8) else {
      throw Self.outside(location)
    }
    let file = try InputFile(path: path)
    files[Name(location)] = file
    return file
  }

  private static func resolved(_ path: String) -> String? {
    guard let pointer = realpath(path, nil) else { return nil }
    defer { free(pointer) }
    return String(cString: pointer)
  }

  private static func outside(_ location: String) -> RecurrentError {
    error(.onnxExternalPath, "\"\(location)\"", "a path that stays in the model's directory")
  }

  private static func error(
    _ reason: RecurrentError.Reason, _ found: String, _ expected: String
  ) -> RecurrentError {
    RecurrentError(reason, found: found, expected: expected)
  }
}
