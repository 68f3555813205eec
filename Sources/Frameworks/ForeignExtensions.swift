import Tensors

/// Names of kinds of files that people ask for and that are not written, with what to write instead.
package enum ForeignExtensions {
  /// What an extension, or the name of a format, stands for.
  package struct Kind {
    /// What such a file is.
    package let what: String
    /// The way there.
    package let hint: Advice
  }

  private static let kinds: [(names: [String], kind: Kind)] = [
    (
      ["tflite", "lite", "litert"],
      Kind(
        what: "a LiteRT (TensorFlow Lite) model",
        hint: "Write .keras, and convert that with TensorFlow's own converter.")
    ),
    (
      ["mlmodel", "mlpackage", "mlmodelc", "coreml"],
      Kind(
        what: "a Core ML model",
        hint: "Write .pt or .keras, and convert the model with coremltools.")
    ),
    (
      ["pb", "savedmodel"],
      Kind(
        what: "a TensorFlow graph",
        hint: "Write .keras: in Keras, model.export makes a SavedModel of it.")
    ),
    (
      ["ckpt", "index"],
      Kind(
        what: "a TensorFlow checkpoint",
        hint: "Write .keras or .weights.h5, which TensorFlow loads.")
    ),
    (
      ["ort"],
      Kind(
        what: "a model in ONNX Runtime's own format",
        hint: "Write .onnx, and convert that with onnxruntime.tools.convert_onnx_models_to_ort.")
    ),
    (
      ["engine", "plan", "trt", "tensorrt"],
      Kind(what: "a TensorRT engine", hint: "Write .onnx, which trtexec turns into an engine.")
    ),
    (
      ["gguf", "ggml"],
      Kind(what: "a file for language models of another kind", hint: "Write .safetensors or .pt.")
    ),
    (
      ["pkl", "pickle", "joblib"],
      Kind(
        what: "a plain pickle", hint: "Write .pt, .npz or .safetensors: no program has to run them."
      )
    ),
    (
      ["json", "rtneural"],
      Kind(
        what: "JSON, as RTNeural has it",
        hint: "Write .keras, and export that with RTNeural's own script.")
    ),
    (["mat", "matlab"], Kind(what: "a MATLAB file", hint: "Write .h5, which h5read opens.")),
    (["nnet", "mdl", "kaldi"], Kind(what: "a Kaldi model", hint: "Write .npz.")),
  ]

  /// The kind that a name or an extension without its dot stands for.
  package static func kind(_ name: String) -> Kind? {
    kinds.first { $0.names.contains(name.lowercased()) }?.kind
  }
}
