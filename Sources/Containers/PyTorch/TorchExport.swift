// A file of torch.export.save (.pt2): a zip archive with one folder X.
//
//   X/archive_format                                "pt2"
//   X/archive_version                               "0"
//   X/byteorder                                     "little" or "big"; little when missing
//   X/data/weights/model_weights_config.json        {"config": {NAME: {"path_name": "weight_0",
//       "is_param": bool, "use_pickle": false, "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 3}],
//       "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}, …}}}}
//   X/data/weights/weight_0 …                       the bytes of each storage
//   X/models/model.json                             the graph; its recurrent nodes carry their
//                                                   hyper-parameters as arguments

import Bytes
import Tensors

/// Reads the weights of an exported program.
enum TorchExport {
  private static let maximumJSON = 64 << 20
  /// The codes of the schema; 0 is unknown, 9 to 11 are complex.
  private static let dtypes: [Int: DType] = [
    1: .u8, 2: .i8, 3: .i16, 4: .i32, 5: .i64, 6: .f16, 7: .f32, 8: .f64, 12: .bool, 13: .bf16,
    28: .u16,
  ]

  /// The folder of an exported program; `nil` for other archives.
  static func folder(of archive: ZipArchive) -> String? {
    let suffix = "/archive_format"
    let names = archive.entries.map(\.name.string).filter {
      $0.hasSuffix(suffix) && $0.utf8.count(where: { $0 == UInt8(ascii: "/") }) == 1
    }
    guard names.count == 1, let name = names.first, let entry = archive[Name(name)],
      entry.size < 16, let source = try? archive.source(of: entry, acceptsMissingChecksums: true),
      let text = try? source.readAll(), text.starts(with: "pt2".utf8)
    else { return nil }
    return String(name.dropLast(suffix.count))
  }

  /// The state dict of the program, and its graph; throws `pt.pt2`, `pt.dtype` or `json.…`.
  static func read(
    _ archive: ZipArchive, folder: String, isBigEndian: Bool, expansionLimit: Int
  ) throws -> (StateDict, graph: JSON?) {
    guard let json = try json(archive, "\(folder)/data/weights/model_weights_config.json"),
      let members = json["config"]?.objectValue
    else { throw malformed("no table of weights", "data/weights/model_weights_config.json") }
    var state = StateDict()
    var expanded = 0
    var views: [String: Name] = [:]
    for member in members {
      let place = "tensor \"\(member.key)\""
      do {
        let tensor = try tensor(member.value, archive, "\(folder)/data/weights/", isBigEndian)
        let (sum, overflow) = expanded.addingReportingOverflow(tensor.byteCount)
        guard !overflow, sum <= expansionLimit else {
          throw malformed(
            "views that repeat their elements", "at most \(expansionLimit) bytes in all")
        }
        expanded = sum
        try state.append(Name(member.key), tensor)
        let view =
          (member.value["path_name"]?.stringValue ?? "")
          + (member.value["tensor_meta"].map { meta in
            ["dtype", "sizes", "strides", "storage_offset"]
              .map { meta[$0]?.serialized() ?? "" }.joined(separator: " ")
          } ?? "")
        if tensor.byteCount > 0, let first = views[view] {
          state.ties[Name(member.key)] = first
        } else {
          views[view] = Name(member.key)
        }
      } catch let error as RecurrentError {
        throw error.reason == .nameDuplicate ? error : error.within(place)
      }
    }
    for entry in archive.entries
    where entry.name.utf8.starts(with: "\(folder)/data/constants/tensor_".utf8) {
      guard state.skipped.count < 1000 else { break }
      state.skipped.append("\(entry.name) = a constant of the program")
    }
    let models = archive.entries.map(\.name.string).filter {
      $0.hasPrefix("\(folder)/models/") && $0.hasSuffix(".json")
    }
    return (state, models.count == 1 ? try self.json(archive, models[0]) : nil)
  }

  private static func tensor(
    _ json: JSON, _ archive: ZipArchive, _ folder: String, _ isBigEndian: Bool
  ) throws -> Tensor {
    guard json["use_pickle"]?.boolValue == false, let meta = json["tensor_meta"] else {
      throw RecurrentError(
        .ptPT2Unsupported, found: "a tensor that is kept as a pickle", expected: "plain bytes")
    }
    guard let code = meta["dtype"]?.intValue, let dtype = dtypes[code] else {
      throw RecurrentError(
        .ptDTypeUnsupported, found: "element type \(meta["dtype"]?.serialized() ?? "none")",
        expected: "real numbers, integers or booleans")
    }
    let shape = integers(meta["sizes"])
    let strides = integers(meta["strides"])
    guard let path = json["path_name"]?.stringValue, let entry = archive[Name(folder + path)],
      let shape, let strides, shape.count == strides.count, shape.count <= 64,
      let offset = meta["storage_offset"]?["as_int"]?.intValue, offset >= 0
    else { throw malformed("no valid path, sizes, strides and offset", "all of them") }
    let width = dtype.byteCount
    guard entry.size % width == 0 else {
      throw malformed("\(entry.size) bytes", "a multiple of \(width)")
    }
    var storage = try archive.source(of: entry, acceptsMissingChecksums: true)
    if isBigEndian, width > 1 { storage = ByteSwappedSource(storage, elementSize: width) }
    let view = try StridedSource(
      storage, elementSize: width, shape: shape, strides: strides, offset: offset)
    if view.count == 0 { return try Tensor(dtype: dtype, shape: shape, bytes: []) }
    let isPlain = PyTorchTensorReader.isContiguous(shape: shape, strides: strides)
    return try Tensor(
      dtype: dtype, shape: shape,
      source: isPlain
        ? WindowSource(storage, offset: offset * width, count: view.count) : view)
  }

  private static func integers(_ json: JSON?) -> [Int]? {
    guard let items = json?.arrayValue else { return nil }
    let values = items.compactMap { $0["as_int"]?.intValue }.filter { $0 >= 0 }
    return values.count == items.count ? values : nil
  }

  private static func json(_ archive: ZipArchive, _ name: String) throws -> JSON? {
    guard let entry = archive[Name(name)] else { return nil }
    guard entry.size <= maximumJSON else {
      throw malformed("\(entry.size) bytes in \(name)", "at most \(maximumJSON)")
    }
    let text = try archive.source(of: entry, acceptsMissingChecksums: true).readAll()
    do {
      return try JSON.parse(text)
    } catch let error as RecurrentError {
      throw error.within("entry \"\(name)\"")
    }
  }

  private static func malformed(_ found: String, _ expected: String) -> RecurrentError {
    RecurrentError(.ptPT2, found: found, expected: expected)
  }
}
