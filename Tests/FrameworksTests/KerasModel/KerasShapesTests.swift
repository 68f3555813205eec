import Bytes
import Foundation
import Tensors
import TestSupport
import Testing

@testable import Containers
@testable import Frameworks

/// Files of the older layout whose configuration is lost: arrays alone say what the layers are.
@Suite("Arrays alone say what Keras's layers are where the configuration is lost")
struct KerasShapesTests {
  private func tensor(_ shape: [Int], from start: Int = 1) throws -> Tensor {
    let count = shape.reduce(1, *)
    return try Tensor.make((0..<count).map { Float(start + $0) / 8 }, shape: shape)
  }

  /// A file of `layers`, each a name and its arrays with their names, and some arrays of nobody's.
  private func read(
    _ layers: [(name: String, arrays: [(String, [Int])])], config: String? = nil,
    strangers: [[Name]] = []
  ) throws -> StateDict {
    var objects = [
      HDF5Object(
        path: [], content: .group,
        attributes: [
          ("keras_version", .text("2.2.4")), ("layer_names", .texts(layers.map(\.name))),
        ] + (config.map { [("model_config", .text($0))] } ?? []))
    ]
    for layer in layers {
      objects.append(
        HDF5Object(
          path: [Name(layer.name)], content: .group,
          attributes: [("weight_names", .texts(layer.arrays.map(\.0)))]))
      for (index, array) in layer.arrays.enumerated() {
        objects.append(
          HDF5Object(
            path: [Name(layer.name), Name(array.0)],
            content: .dataset(try tensor(array.1, from: index * 10))))
      }
    }
    for path in strangers {
      objects.append(HDF5Object(path: path, content: .dataset(try tensor([2]))))
    }
    let path = newPath("")
    defer { remove(path) }
    try HDF5Writer(objects).write(toFileAt: path)
    return try HDF5.interpret(InputFile(path: path), as: KerasHDF5.legacy)
  }

  private let lstm: [(String, [Int])] = [
    ("kernel", [3, 20]), ("recurrent", [5, 20]), ("b", [20]),
  ]

  @Test func arraysSayWhatTheirLayerIs() throws {
    let state = try read([
      ("one", lstm), ("two", [("kernel", [5, 7]), ("bias", [7])]),
      ("embed", [("embeddings", [9, 4])]),
      ("conv1d_3", [("kernel", [3, 4, 5]), ("bias", [5])]), ("plain", [("x", [4])]),
      ("gru", [("kernel", [3, 12]), ("recurrent", [4, 12]), ("bias", [2, 12])]),
    ])
    #expect(
      state.names == [
        "layers/lstm/cell/vars/0", "layers/lstm/cell/vars/1", "layers/lstm/cell/vars/2",
        "layers/dense/vars/0", "layers/dense/vars/1", "layers/embedding/vars/0",
        "layers/conv1d/vars/0", "layers/conv1d/vars/1", "layers/plain/vars/0",
        "layers/gru/cell/vars/0", "layers/gru/cell/vars/1", "layers/gru/cell/vars/2",
      ])
    #expect(try state["layers/dense/vars/0"]?.floats().first == 0)
    #expect(try state["layers/dense/vars/1"]?.floats().first == 10 / 8.0)
  }

  @Test func twoDirectionsAreOneLayer() throws {
    let other = lstm.map { ("backward_" + $0.0, $0.1) }
    let state = try read([("both", lstm + other)])
    let both = ["forward_layer", "backward_layer"].flatMap { direction in
      (0..<3).map { Name("layers/bidirectional/\(direction)/cell/vars/\($0)") }
    }
    #expect(state.names == both)
    #expect(try state[both[4]]?.floats().first == 40 / 8.0)
    // The same shapes without a name that says so: inputs of 3 cannot come from a layer of 5.
    let unnamed = lstm.map { ("other_" + $0.0, $0.1) }
    #expect(try read([("both", lstm + unnamed)]).names == both)
    // A layer of 5 upon a layer of 5 is two layers.
    let square: [(String, [Int])] = [("k", [5, 20]), ("r", [5, 20]), ("b", [20])]
    let stacked = try read([("stack", square + square.map { ("up_" + $0.0, $0.1) })])
    #expect(
      stacked.names.prefix(4) == [
        "layers/sequential/layers/lstm/cell/vars/0", "layers/sequential/layers/lstm/cell/vars/1",
        "layers/sequential/layers/lstm/cell/vars/2",
        "layers/sequential/layers/lstm_1/cell/vars/0",
      ])
    let mixed = try read([("mixed", lstm + [("out", [5, 2]), ("bias", [2])])])
    #expect(mixed.names.last == "layers/sequential/layers/dense/vars/1")
  }

  @Test func strangersAreKeptOrNamed() throws {
    let state = try read(
      [("two", [("kernel", [5, 7]), ("bias", [7])])], strangers: [["lonely"], ["two", "spare"]])
    #expect(state.names == ["layers/dense/vars/0", "layers/dense/vars/1", "lonely"])
    #expect(state.skipped.contains("/two: 1 array(s) outside the layers"))
  }

  @Test func configurationsCountTheirArrays() throws {
    func counts(_ className: String, _ config: String) throws -> [Int?] {
      let holders = KerasVariables.holders(
        of: className, try JSON.parse(Array(config.utf8)), path: "layers/x")
      let known = holders.compactMap(\.trainable)
      return [
        known.count == holders.count ? known.reduce(0, +) : nil,
        holders.reduce(0) { $0 + $1.other },
      ]
    }
    #expect(try counts("LSTM", "{}") == [3, 0])
    #expect(try counts("GRU", #"{"use_bias": false}"#) == [2, 0])
    #expect(try counts("CuDNNLSTM", "{}") == [3, 0])
    #expect(try counts("BatchNormalization", #"{"scale": false}"#) == [1, 2])
    #expect(try counts("LayerNormalization", "{}") == [2, 0])
    #expect(try counts("Embedding", "{}") == [1, 0])
    #expect(
      try counts(
        "Bidirectional", #"{"layer": {"class_name": "LSTM", "config": {"use_bias": false}}}"#)
        == [4, 0])
    #expect(try counts("Bidirectional", "{}") == [nil, 0])
    #expect(
      try counts("Bidirectional", #"{"layer": {"class_name": "Bidirectional"}}"#) == [nil, 0])
    #expect(
      try counts("RNN", #"{"cell": {"class_name": "LSTMCell", "config": {"use_bias": false}}}"#)
        == [2, 0])
    #expect(
      try counts(
        "RNN", #"{"cell": [{"class_name": "GRUCell"}, {"class_name": "GRUCell", "config": {}}]}"#)
        == [6, 0])
    #expect(try counts("Unknown", "{}") == [nil, 0])
  }

  /// Names of layers are kept only where no configuration gives them and the layer is there.
  @Test func namesOfLayersThatAreNotThere() throws {
    var state = StateDict()
    try state.append("layers/dense/vars/0", tensor([2, 3]))
    KerasMetadata.set(
      names: [
        .init(key: "layers/dense", value: .string("kept")),
        .init(key: "layers/gone", value: .string("lost")),
      ], in: &state)
    #expect(KerasMetadata.names(KerasLegacyWriter.named(state).metadata).map(\.name) == ["kept"])
    #expect(KerasLegacyWriter.lacksOrder(state.metadata))
    state.metadata[KerasMetadata.config] = "{}"
    #expect(KerasMetadata.names(KerasLegacyWriter.named(state).metadata).isEmpty)
    #expect(!KerasLegacyWriter.lacksOrder(state.metadata))
  }

  @Test func anArrayOutsideEveryLayerIsWrittenBesideThem() throws {
    var state = StateDict()
    try state.append("layers/dense/vars/0", tensor([2, 3]))
    try state.append("step", tensor([1]))
    let path = newPath("")
    defer { remove(path) }
    try KerasHDF5.writeLegacy(state, toFileAt: path)
    #expect(
      try HDF5.interpret(InputFile(path: path), as: KerasHDF5.legacy).names == [
        "layers/dense/vars/0", "step",
      ])
  }
}
