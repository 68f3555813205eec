import Containers
import Conversion
import Frameworks
import Networks
import RNNEngine
import Tensors

// A model and its file: opened, described, and written with everything else that the file holds.
//
//   let model = try Model<Float>(path: "char-rnn.pt")
//   try model.write(toPath: "char-rnn.h5")
//
// A file of several networks is opened with ReadOptions.module, or module by module (WeightFile).

/// The file that a model came from.
private struct ModelOrigin: Sendable {
  let file: WeightFile
  let options: ReadOptions
  let recognition: Recognition
  /// What the model was when it was opened.
  let opened: Architecture
}

extension Model {
  /// Opens any container in any convention; `path` names a file.
  ///
  /// Throws what the readers throw, `weights.ambiguous` for a file of several networks; `options` says what the
  /// file does not.
  public init(path: String, options: ReadOptions = .init()) throws {
    let file = try WeightFile(path: path)
    do {
      try self.init(file, options: options)
    } catch let error as RecurrentError {
      throw error.inFile(path)
    }
  }

  /// The network of an open file, with its stored initial state; what else the file holds is kept, and written again.
  public init(_ file: WeightFile, options: ReadOptions = .init()) throws {
    let network = try Network(file.state, options: options)
    self = try network.model()
    initialState = State(
      h: try network.initialState.h.map { try NDArray($0) },
      c: try network.initialState.c.map { try NDArray($0) })
    origin = ModelOrigin(
      file: file, options: options, recognition: network.recognition, opened: Architecture(self))
  }

  private var source: ModelOrigin? { origin as? ModelOrigin }

  /// What the file said about the network, and what was assumed; `nil` for one made from Swift.
  package var recognition: Recognition? { source?.recognition }

  /// What neither the file nor the caller said and was assumed.
  public var assumptions: [Assumption] { recognition?.assumptions ?? [] }

  /// What else a reader of the file should know, one line each; empty for a network made from Swift.
  public var remarks: [String] { recognition?.notes.map(\.description) ?? [] }

  /// The network's architecture, as files describe it.
  public var architecture: Architecture {
    let architecture = Architecture(self)
    guard let source, architecture.computes(as: source.opened) else { return architecture }
    return source.recognition.architecture
  }

  /// Writes the parameters to any container, and with them every other tensor and all metadata of the file that
  /// the model came from; read back and compared before the file appears.
  ///
  /// `convention` defaults to the container's, or else the one that was read. Parameters are written
  /// as f32 for `Float` and f64 for `Double`. Throws `output.exists` for a file that is there,
  /// `conversion.not-one-network` where the container holds one network and the file was more, `model.changed` where
  /// the model is no longer the network of its file: another cell, another size, another head.
  public func write(
    toPath path: String, convention: Convention? = nil, overwrite: Bool = false
  ) throws {
    // Parameters that a program replaced are checked where they are used, so here too.
    var model = self
    try model.setParameterGroups(parameterGroups)
    try rnn.configuration.checkIsPlain()
    guard let source else {
      let format = try WeightFormat.forWriting(path: path, as: convention)
      let target =
        try convention ?? format.expectedConvention.map(Convention.named) ?? .torch
      try format.check(holds: target)
      let state = try StateDict(
        network: parameterGroups, architecture, initialState: initialTensors(), as: target,
        in: format)
      return try format.write(proven: state, to: path, overwrite: overwrite)
    }
    var file = source.file
    file.state = try file.state.replacing(changed(since: source))
    try file.write(
      toPath: path, convention: convention, options: source.options, overwrite: overwrite)
  }

  /// The tensors of the file that hold the model's weights, with the numbers they have now.
  private func changed(since source: ModelOrigin) throws -> StateDict {
    let (recognition, now) = (source.recognition, Architecture(self))
    guard now.computes(as: source.opened) else {
      throw RecurrentError(
        .modelChanged, found: "another network: \(now.description)",
        expected: "the file's: \(source.opened.description)",
        hint: "Model(rnn:head:embedding:headReads:) makes a model without a file from these parts.")
    }
    var changed = try StateDict(
      canonical: parameterGroups, architecture: recognition.architecture,
      as: recognition.tensors)
    let (initial, names) = (try initialTensors(), recognition.recurrent.initialState)
    for (role, name) in [("h_0", names.h), ("c_0", names.c)] as [(Name, Name?)] {
      let tensor = name.flatMap { source.file.state[$0] }
      guard tensor?.shape == initial[role]?.shape else {
        throw RecurrentError(
          .modelChanged, at: "initial state \(role)",
          found: initial[role].map { "shape \($0.shape)" } ?? "none",
          expected: tensor.map { "shape \($0.shape), as in the file" } ?? "none, as in the file")
      }
      // An untouched one keeps its bytes.
      guard let name, let tensor, let now = initial[role],
        try NDArray<S>(tensor) != NDArray<S>(now)
      else { continue }
      try changed.append(name, now)
    }
    return changed
  }

  /// The initial state as `h_0` and `c_0`; throws `engine.state-shape` unless it fits.
  private func initialTensors() throws -> StateDict {
    let configuration = rnn.configuration
    let count = configuration.layerCount * configuration.directionCount
    var state = StateDict()
    for (name, array, width) in [
      ("h_0", initialState.h, configuration.stateSize),
      ("c_0", initialState.c, configuration.cell.hasCellState ? configuration.hiddenSize : 0),
    ] as [(Name, NDArray<S>?, Int)] {
      guard let array else { continue }
      guard array.rank == 3, array.shape[0] == count, array.shape[1] >= 1, array.shape[2] == width
      else {
        throw RecurrentError(
          .engineStateShape, at: "initial state \(name)",
          found: "shape \(array.shape)", expected: "(\(count), 1 or N, \(width))")
      }
      try state.append(name, array.tensor)
    }
    return state
  }
}

extension Architecture {
  fileprivate var description: String { summary + (batchFirst ? ", batch first" : "") }
}
