import Recurrent

extension Cell {
  /// Parses `--cell`; throws `.usage` with the list of cells.
  public static func argument(_ text: String) throws -> Cell {
    guard let cell = Cell(rawValue: text) else {
      throw RecurrentError(
        .usageCell, at: "--cell", found: "\"\(text)\"",
        expected: "one of " + Cell.allCases.map(\.rawValue).joined(separator: ", "),
        hint: nearest(to: text, among: Cell.allCases.map(\.rawValue)).map { "Did you mean \($0)?" })
    }
    return cell
  }
}

extension GRUReset {
  /// Parses `--gru-reset`; throws `.usage` with the two forms.
  public static func argument(_ text: String) throws -> GRUReset {
    guard let reset = GRUReset(rawValue: text) else {
      throw RecurrentError(
        .usageGRUReset, at: "--gru-reset", found: "\"\(text)\"",
        expected: "after or before",
        hint: nearest(to: text, among: ["after", "before"]).map { "Did you mean \($0)?" })
    }
    return reset
  }
}

extension DType {
  /// Parses `--dtype`; throws `.usage` for anything but a floating-point type.
  public static func argument(_ text: String) throws -> DType {
    guard let dtype = DType(rawValue: text), dtype.isFloatingPoint else {
      throw RecurrentError(
        .usageDType, at: "--dtype", found: "\"\(text)\"",
        expected: "f64, f32, f16 or bf16",
        hint: (frameworkNames[text.lowercased()]
          ?? nearest(to: text, among: ["f64", "f32", "f16", "bf16"])).map { "Did you mean \($0)?" })
    }
    return dtype
  }

  private static let frameworkNames = [
    "float64": "f64", "double": "f64", "fp64": "f64", "float32": "f32", "float": "f32",
    "single": "f32", "fp32": "f32", "float16": "f16", "half": "f16", "fp16": "f16",
    "bfloat16": "bf16",
  ]
}

extension WeightFormat {
  /// Parses `--to`; throws `.usage` with the containers that can be written, for one that is only read too.
  public static func writable(_ text: String) throws -> WeightFormat {
    let targets = all.filter(\.isWritable).map(\.name)
    let words = "one of " + targets.joined(separator: ", ")
    let format: WeightFormat
    do {
      format = try named(text)
    } catch var error as RecurrentError where error.reason == .usageFormat {
      error.place = "--to"
      error.expected = words
      // What is near may be a container that is only read.
      if let near = all.first(where: { error.advice == "Did you mean \($0.name)?" }),
        !near.isWritable
      {
        error.advice = near.wayOut
      }
      throw error
    }
    guard format.isWritable else {
      throw RecurrentError(
        .usageReadOnly, at: "--to",
        found: "container \(format.name), which is only read",
        expected: words, hint: format.wayOut)
    }
    return format
  }

  /// What to write instead of a container that is only read.
  private var wayOut: Advice {
    name == WeightFormat.tensorFlowCheckpoint.name
      ? "TensorFlow's checkpoints (tf) are only read; its Keras loads keras, keras-weights and keras-h5."
      : "\(name) is only read; npz holds the same arrays by name."
  }
}

/// The list of containers for help texts.
public let formatList = WeightFormat.all.map(\.name).joined(separator: ", ")
/// The list of conventions for help texts.
public let conventionList = Convention.all.map(\.name).joined(separator: ", ")
