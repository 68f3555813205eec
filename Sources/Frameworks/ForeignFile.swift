import Containers
import Tensors

/// Files of a known kind that is not read: named as what they are, with what to do.
///
/// A table of signatures: the bytes at the beginning (or at an offset), the kind, and the way out.
package struct ForeignFile {
  package let error: RecurrentError

  private struct Signature {
    let offset: Int
    let bytes: [UInt8]
    let reason: RecurrentError.Reason
    let kind: String
    let hint: Advice

    init(
      _ offset: Int, _ bytes: [UInt8], _ reason: RecurrentError.Reason, _ kind: String,
      _ hint: Advice
    ) {
      (self.offset, self.bytes, self.reason, self.kind, self.hint) =
        (offset, bytes, reason, kind, hint)
    }

    init(
      _ offset: Int, _ text: String, _ reason: RecurrentError.Reason, _ kind: String, _ hint: Advice
    ) {
      self.init(offset, Array(text.utf8), reason, kind, hint)
    }
  }

  private static let signatures: [Signature] = [
    Signature(
      4, "TFL3", .fileTFLite, "a LiteRT (TensorFlow Lite) model",
      "Convert the model that it was made from: the .keras file or the SavedModel's checkpoint."),
    Signature(
      4, "ORTM", .fileORT, "a model in ONNX Runtime's own format",
      "Convert the .onnx file that it was made from."),
    Signature(
      0, "GGUF", .fileGGUF, "a GGUF file",
      "It holds language models of another kind; convert the original checkpoint."),
    Signature(
      0, [0x6c, 0x6d, 0x67, 0x67], .fileGGML, "a GGML file",
      "Convert the original checkpoint."),
    Signature(
      0, [0x74, 0x6a, 0x67, 0x67], .fileGGML, "a GGML file",
      "Convert the original checkpoint."),
    Signature(
      0, [0x00, 0x42, 0x3c], .fileKaldi, "a Kaldi model",
      "Export the weights as text or NumPy arrays (copy-matrix) and describe them in a names file."),
    Signature(
      0, "<Nnet", .fileKaldi, "a Kaldi model",
      "Export the weights as NumPy arrays and describe them in a names file."),
    Signature(
      0, [0x04, 0, 0, 0, 0x01, 0, 0, 0], .fileTorch7, "a Torch 7 file",
      "Load it with torchfile in Python and save a state dict with torch.save."),
  ]

  /// The kind that the first bytes say; `nil` for everything else.
  package init?(_ head: [UInt8], _ file: any ByteSource) {
    func error(_ reason: RecurrentError.Reason, _ kind: String, _ hint: Advice) -> RecurrentError {
      RecurrentError(
        reason, found: kind,
        expected: "one of " + WeightFormat.all.map(\.name).joined(separator: ", "), hint: hint)
    }
    if let known = Self.signatures.first(where: {
      head.count >= $0.offset + $0.bytes.count && head[$0.offset...].starts(with: $0.bytes)
    }) {
      self.error = error(known.reason, known.kind, known.hint)
    } else if Self.isRTNeural(head) {
      self.error = error(
        .fileRTNeural, "a model as JSON, as RTNeural and NAM have it",
        "Convert the Keras or PyTorch model that it was exported from.")
    } else if head.first == 0x80, head.count > 1, (2...5).contains(head[1]) {
      self.error = error(
        .filePickle, "a plain pickle, which could run code when it is loaded",
        "In Python, load it and save the arrays with torch.save(state_dict, …) or numpy.savez.")
    } else if Self.isSavedModel(head) {
      self.error = error(
        .fileSavedModel, "the graph of a TensorFlow SavedModel, or a frozen graph",
        "Its weights are in variables/: open variables/variables.index, or save the model as .keras."
      )
    } else if Self.isCoreML(head) {
      self.error = error(
        .fileCoreML, "a Core ML model",
        "Convert the PyTorch or Keras model that it was made from.")
    } else {
      return nil
    }
  }

  private static func isRTNeural(_ head: [UInt8]) -> Bool {
    guard head.first == UInt8(ascii: "{") else { return false }
    let text = String(decoding: head, as: UTF8.self)
    return text.contains("\"in_shape\"") || text.contains("\"layers\"") && text.contains("\"type\"")
      || text.contains("\"architecture\"") && text.contains("\"config\"")
  }

  /// Field 1 is saved_model_schema_version 1, field 2 a MetaGraphDef; a frozen graph begins with a node.
  private static func isSavedModel(_ head: [UInt8]) -> Bool {
    if head.starts(with: [0x08, 0x01, 0x12]) { return true }
    guard head.first == 0x0A, head.count > 3 else { return false }
    let text = String(decoding: head, as: UTF8.self)
    return text.contains("Placeholder") || text.contains("\u{12}\u{05}Const")
  }

  /// Field 1 is specificationVersion, field 2 a description whose inputs have names.
  private static func isCoreML(_ head: [UInt8]) -> Bool {
    head.count > 5 && head[0] == 0x08 && (1...12).contains(head[1]) && head[2] == 0x12
      && (head.contains(0x0A))
  }
}
