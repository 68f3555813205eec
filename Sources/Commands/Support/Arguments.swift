import Bytes
import Recurrent

extension Cell {
  /// Parses `--cell`; throws `.usage` with the list of cells.
  public static func argument(_ text: String) throws -> Cell {
    guard let cell = Cell(rawValue: text) else {
      throw RecurrentError(
        .usage, "usage.cell", found: "cell \"\(text)\"",
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
        .usage, "usage.gru-reset", found: "--gru-reset \(text)", expected: "after or before")
    }
    return reset
  }
}

extension DType {
  /// Parses `--dtype`; throws `.usage` for anything but a floating-point type.
  public static func argument(_ text: String) throws -> DType {
    guard let dtype = DType(rawValue: text), dtype.isFloatingPoint else {
      throw RecurrentError(
        .usage, "usage.dtype", found: "dtype \"\(text)\"", expected: "f64, f32, f16 or bf16",
        hint: nearest(to: text, among: ["f64", "f32", "f16", "bf16"]).map { "Did you mean \($0)?" })
    }
    return dtype
  }
}

/// The list of containers for help texts.
public let formatList = WeightFormat.all.map(\.name).joined(separator: ", ")
/// The list of conventions for help texts.
public let conventionList = Convention.all.map(\.name).joined(separator: ", ")
