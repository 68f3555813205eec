// What several tools say in JSON, in the same members.
import Recurrent

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
