// A model is a computation, and weights have the names that its exporter gave to values. Reading
// therefore follows the values through the graph (ONNXFollower), finds the modules and how they are
// connected (ONNXStructure) and names their tensors by their prefix (rnn.W_l0, fc.weight); all other stored
// tensors keep their names.
import Bytes
import Containers
import Tensors

extension ONNX {
  /// Reads stored tensors and the structure of the recurrent modules; tensors stay windows on the model
  /// or on the external files in its directory.
  ///
  /// Throws `protobuf.…` and `onnx.…`, of kind `.malformed` for a file with faults.
  package static func read(_ file: InputFile) throws -> StateDict {
    try readWithData(file).0
  }

  /// Reads a model, and gives the files in its directory that hold tensors of it.
  static func readWithData(_ file: InputFile) throws -> (StateDict, [InputFile]) {
    let model = try ONNXModelReader(bytes: ProtobufBytes(file)).model()
    let reader = ONNXTensorReader(file, path: file.path)
    let state = try ONNXStateReader(model, reader)
    return (try state.state(), reader.files)
  }

  /// Reads a model in memory; `path` is where external files are looked for.
  static func read(_ source: any ByteSource, path: String?) throws -> StateDict {
    let model = try ONNXModelReader(bytes: ProtobufBytes(source)).model()
    let reader = ONNXTensorReader(source, path: path)
    let state = try ONNXStateReader(model, reader)
    return try state.state()
  }
}

extension WeightFormat {
  /// A model of the Open Neural Network Exchange, with its recurrent nodes.
  public static let onnx = WeightFormat(
    name: "onnx", extensions: ["onnx"], summary: "ONNX model with RNN, LSTM or GRU nodes",
    carriesMetadata: true, expectedConvention: "onnx",
    recognizes: ONNX.recognizes, readContents: { file, _ in try ONNX.read(file) },
    writeContents: { try ONNX.write($0, to: $1) },
    checkContents: { _ = try ONNXNetwork($0) },
    readSeveral: { try ONNX.readWithData($0) })
}
