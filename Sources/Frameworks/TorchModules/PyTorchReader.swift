import Containers
import Tensors

extension PyTorchFile {
  /// Reads a state dict; nothing in the file is ever executed.
  ///
  /// Tensors are windows on the file, or strided views of it. In a checkpoint the state dict is
  /// found under its usual names, or under `key` (a dotted path; "" for the top level); everything
  /// else is listed in `skipped`. Whole models give their `state_dict()`, and the hyper-parameters of
  /// their recurrent modules as metadata. Throws `pt.…`, `pickle.…`, `tar.…` or `zip.…`;
  /// `.unsupported` names what is not read.
  package static func read(_ source: any ByteSource, key: String? = nil) throws -> StateDict {
    switch try contents(of: source) {
    case .objects(let graph, let storages, let program):
      var reader = PyTorchStateReader(
        graph: graph, storages: storages,
        code: try program.map { try TorchScriptCode($0.archive, folder: $0.folder) },
        expansionLimit: expansionLimit(source))
      return try reader.read(key: key)
    case .exported(var state, let graph):
      state.structure = graph.flatMap { TorchExportGraph.structure($0, state) }
      return state
    }
  }
}

extension WeightFormat {
  /// A file of `torch.save`, `torch.jit.save` or `torch.export.save`, written as `torch.save` does.
  public static let pytorch = WeightFormat(
    name: "pt", extensions: ["pt", "pth"], summary: "PyTorch file (torch.save); every kind is read",
    carriesMetadata: false, expectedConvention: "torch",
    recognizes: PyTorchFile.recognizes, readContents: { try PyTorchFile.read($0, key: $1) },
    writeContents: { try PyTorchFile.write($0, to: $1) })
}
