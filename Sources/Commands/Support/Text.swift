import Recurrent

/// `12,345,678`.
public func grouped(_ number: Int) -> String {
  var digits = Array(String(number.magnitude).reversed())
  var position = 3
  while position < digits.count {
    digits.insert(",", at: position)
    position += 4
  }
  return (number < 0 ? "-" : "") + String(digits.reversed())
}

/// `1 tensor`, `2 tensors`.
public func counted(_ number: Int, _ noun: String) -> String {
  "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
}

/// A number with three significant digits, for people.
public func short(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return "\(value)" }
  var mantissa = value.magnitude
  var exponent = 0
  if mantissa >= 1e-3, mantissa < 1e5 { return trimmed((value * 1e4).rounded() / 1e4) }
  while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
  while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
  return (value < 0 ? "-" : "") + trimmed((mantissa * 100).rounded() / 100) + "e\(exponent)"
}

private func trimmed(_ value: Double) -> String {
  let text = "\(value)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}

/// Text columns, padded to the widest cell of each; the last column is not padded.
public func table(_ rows: [[String]], indent: String = "  ") -> String {
  var widths: [Int] = []
  for row in rows {
    for (column, cell) in row.enumerated() {
      if column == widths.count { widths.append(0) }
      widths[column] = max(widths[column], cell.count)
    }
  }
  return rows.map { row -> String in
    let cells = row.enumerated().map { column, cell in
      column == row.count - 1
        ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
    }
    var line = indent + cells.joined(separator: "  ")
    while line.last == " " { line.removeLast() }
    return line
  }.joined(separator: "\n") + (rows.isEmpty ? "" : "\n")
}

extension JSON {
  /// An array of strings.
  package static func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }

  /// A shape as an array of numbers.
  package static func shape(_ shape: [Int]) -> JSON { .array(shape.map { .number($0) }) }

  /// Two modules and how their connection is known.
  package static func connection(_ connection: Connection) -> JSON {
    .object([
      .init(key: "from", value: .string(connection.from)),
      .init(key: "to", value: .string(connection.to)),
      .init(key: "reads", value: .string(connection.reads.rawValue)),
      .init(key: "evidence", value: .string(connection.evidence.rawValue)),
    ])
  }

  /// What was assumed, as a word for programs and a line for people.
  package static func assumption(_ assumption: Assumption) -> JSON {
    .object([
      .init(key: "code", value: .string(assumption.code)),
      .init(key: "text", value: .string(assumption.withFlags)),
    ])
  }

  /// An object of the architecture's fields.
  package static func architecture(_ architecture: Architecture) -> JSON {
    .object([
      .init(key: "cell", value: .string(architecture.cell.rawValue)),
      .init(key: "input_size", value: .number(architecture.inputSize)),
      .init(key: "hidden_size", value: .number(architecture.hiddenSize)),
      .init(key: "num_layers", value: .number(architecture.layerCount)),
      .init(key: "bidirectional", value: .bool(architecture.bidirectional)),
      .init(key: "proj_size", value: .number(architecture.projSize)),
      .init(
        key: "gru_reset",
        value: architecture.cell == .gru ? .string(architecture.gruReset.rawValue) : .null),
      .init(key: "bias", value: .bool(architecture.bias)),
      .init(key: "batch_first", value: .bool(architecture.batchFirst)),
      .init(key: "head", value: .string(architecture.head == nil ? "none" : "linear")),
      .init(
        key: "classes",
        value: architecture.head.map { .number($0.classCount) } ?? .null),
      .init(
        key: "head_reads", value: architecture.head.map { .string($0.reads.rawValue) } ?? .null),
      .init(
        key: "output_activation",
        value: architecture.head?.activation.map { .string($0) } ?? .null),
      .init(
        key: "embedding", value: architecture.embedding.map { .number($0.tokenCount) } ?? .null),
    ])
  }
}
