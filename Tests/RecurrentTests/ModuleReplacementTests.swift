import Foundation
import Recurrent
import TestSupport
import Testing

/// Modules by name, changed, and put back where they were.
@Suite("Trained modules go back into their file, with everything else that it holds")
struct ModuleReplacementTests {
  /// An encoder, a decoder's cell, an embedding, two heads, a normalisation and a counter.
  private func translator() throws -> StateDict {
    var state = StateDict()
    let tensors: [(String, [Int])] = [
      ("emb.weight", [11, 4]), ("encoder.rnn.weight_ih_l0", [18, 4]),
      ("encoder.rnn.weight_hh_l0", [18, 6]), ("encoder.rnn.bias_ih_l0", [18]),
      ("encoder.rnn.bias_hh_l0", [18]), ("norm.weight", [6]), ("norm.bias", [6]),
      ("decoder.weight_ih", [20, 3]), ("decoder.weight_hh", [20, 5]), ("decoder.bias_ih", [20]),
      ("decoder.bias_hh", [20]), ("fc.weight", [2, 5]), ("fc.bias", [2]), ("value.weight", [1, 5]),
      ("value.bias", [1]),
    ]
    for (number, (name, shape)) in tensors.enumerated() {
      let values = (0..<shape.reduce(1, *)).map {
        Float((Double($0 + 7 * number + 1) * 0.377).remainder(dividingBy: 1))
      }
      try state.append(Name(name), NDArray(shape: shape, elements: values).tensor)
    }
    try state.append("steps", NDArray([1 << 40]).tensor)
    state.metadata["author"] = "me"
    return state
  }

  private func write(_ state: StateDict, _ path: String) throws {
    try WeightFormat.forWriting(path: path).write(state, to: path) { _ in }
  }

  private func scaled<S>(_ parameters: Parameters<S>, by factor: S) throws -> Parameters<S> {
    var result = Parameters<S>()
    for (name, array) in parameters.entries { result.append(name, try array * factor) }
    return result
  }

  private func same<S>(_ one: Parameters<S>, _ other: Parameters<S>) -> Bool {
    one.names == other.names && zip(one.entries, other.entries).allSatisfy { $0.array == $1.array }
  }

  /// In PyTorch's layout and in Keras's, where matrices lie the other way round and the gates stand in another order.
  @Test(arguments: ["torch", "keras"], ["safetensors", "h5", "npz"])
  func changedModulesReplaceTheirOwn(_ convention: String, _ suffix: String) throws {
    // Keras's names have slashes, which names in HDF5 have not.
    guard convention == "torch" || suffix != "h5" else { return }
    try withTemporaryFolder { directory in
      let (first, source) = (directory + "/first.safetensors", directory + "/source." + suffix)
      try write(translator(), first)
      try WeightFile(path: first).write(toPath: source, convention: .named(convention))
      var file = try WeightFile(path: source)
      let original = file.state
      if convention == "keras" { #expect(original["encoder.rnn.weight_ih_l0"] == nil) }
      let encoder = try file.recurrent("encoder.rnn", as: Float.self)
      let cell = try file.cell("decoder", as: Float.self)
      let (fc, table) = try (
        file.linear("fc", as: Float.self), file.embedding("emb", as: Float.self)
      )
      // Powers of two leave no rounding where biases are summed.
      let newEncoder = try RNN(
        encoder.configuration, parameters: scaled(encoder.parameters, by: 2))
      let newCell = try RecurrentCell<Float>(
        .lstm, inputSize: 3, hiddenSize: 5, parameters: scaled(cell.parameters, by: -4))
      try file.replace("encoder.rnn", with: newEncoder)
      try file.replace("decoder", with: newCell)
      try file.replace("fc", with: Linear(parameters: scaled(fc.parameters, by: 0.5)))
      try file.replace("emb", with: Embedding(parameters: scaled(table.parameters, by: 8)))
      try file.replace("norm.bias", with: file.array("norm.bias", as: Float.self) + 1)
      // The file on the disk is as it was.
      #expect(
        try same(
          WeightFile(path: source).recurrent("encoder.rnn", as: Float.self).parameters,
          encoder.parameters))
      let output = directory + "/tuned." + suffix
      try file.write(toPath: output)
      let tuned = try WeightFile(path: output)
      #expect(tuned.state.names == original.names)
      for pair in original.metadata.pairs {
        #expect(tuned.state.metadata[pair.key] == pair.value, "\(pair.key)")
      }
      #expect(tuned.state.metadata["author"] == "me")
      let changed = ["emb", "encoder.rnn", "norm.bias", "decoder", "fc"]
      for entry in original.entries {
        let same = try tuned.state[entry.name]?.isIdentical(to: entry.tensor) == true
        let isChanged = changed.contains { entry.name.string.contains($0) }
        #expect(same == !isChanged, "\(entry.name)")
      }
      #expect(
        try same(
          tuned.recurrent("encoder.rnn", as: Float.self).parameters, newEncoder.parameters))
      #expect(try same(tuned.cell("decoder", as: Float.self).parameters, newCell.parameters))
      #expect(try tuned.linear("fc", as: Float.self).weight == fc.weight * 0.5)
      #expect(try tuned.embedding("emb", as: Float.self).weight == table.weight * 8)
      #expect(try tuned.linear("value", as: Float.self).weight.shape == [1, 5])
      // And from there into the other convention: the same numbers.
      let other = directory + "/other.safetensors"
      try file.write(toPath: other, convention: .named(convention == "keras" ? "torch" : "keras"))
      #expect(
        try same(
          WeightFile(path: other).recurrent("encoder.rnn", as: Float.self).parameters,
          newEncoder.parameters))
      #expect(reason { try file.write(toPath: output) } == "output.exists")
      try file.write(toPath: output, overwrite: true)
      // Containers of one network hold no file of more.
      #expect(
        ["conversion.not-one-network", "weights.ambiguous"].contains(
          reason { try file.write(toPath: directory + "/out.onnx") } ?? ""))
    }
  }

  @Test func aReplacementIsTheSameModule() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/in.safetensors"
      try write(translator(), path)
      var file = try WeightFile(path: path)
      let before = file.state
      var generator = TorchGenerator(seed: 1)
      func rnn(_ configuration: RecurrentConfiguration) throws -> RNN<Float> {
        try RNN(configuration, generator: &generator)
      }
      let gru = RecurrentConfiguration(cell: .gru, inputSize: 4, hiddenSize: 6)
      for change in [
        { $0.hiddenSize = 7 }, { $0.inputSize = 5 }, { $0.layerCount = 2 }, { $0.bias = false },
        { $0.bidirectional = true }, { $0.cell = .lstm }, { $0.gruReset = .before },
      ] as [(inout RecurrentConfiguration) -> Void] {
        var other = gru
        change(&other)
        let error = #expect(throws: RecurrentError.self) {
          try file.replace("encoder.rnn", with: rnn(other))
        }
        #expect(error?.reason.code == "model.changed" && error?.file == path)
      }
      var stacked = gru
      stacked.residual = true
      #expect(
        reason { try file.replace("encoder.rnn", with: rnn(stacked)) }
          == "convention.inexpressible")
      // What only training or the caller's arrays depend on may differ.
      var fed = gru
      (fed.batchFirst, fed.dropout) = (true, 0.5)
      var another = file
      try another.replace("encoder.rnn", with: rnn(fed))
      // Arrays that a program put in are checked although nothing ran.
      var damaged = try rnn(gru)
      damaged.parameters["bias_ih_l0"] = NDArray(zeros: [19])
      #expect(
        reason { try file.replace("encoder.rnn", with: damaged) } == "engine.parameter-shape")
      let wide = try NDArray<Float>(zeros: [2, 6])
      for body in [
        { try file.replace("fc", with: Linear(weight: wide, bias: NDArray(zeros: [2]))) },
        { try file.replace("fc", with: Linear(weight: NDArray<Float>(zeros: [2, 5]))) },
        { try file.replace("emb", with: Embedding(weight: NDArray<Float>(zeros: [12, 4]))) },
        { try file.replace("emb", with: Embedding(weight: NDArray<Float>(zeros: [11, 5]))) },
        {
          try file.replace(
            "decoder",
            with: RecurrentCell<Float>(.gru, inputSize: 3, hiddenSize: 5, generator: &generator))
        },
      ] as [() throws -> Void] {
        #expect(reason { try body() } == "model.changed")
      }
      #expect(
        reason { try file.replace("encoder", with: rnn(gru)) } == "weights.unrecognized")
      #expect(
        reason { try file.replace("decoder", with: rnn(gru)) } == "weights.unrecognized")
      #expect(
        reason { try file.replace("norm.scale", with: NDArray<Float>(zeros: [6])) }
          == "weights.no-tensor")
      for name in ["norm.bias", "steps"] {
        #expect(
          reason { try file.replace(name, with: NDArray<Float>(zeros: [5])) } == "weights.shape")
      }
      #expect(
        reason { try file.replace("steps", with: NDArray<Float>(zeros: [1])) } == "weights.shape")
      #expect(file.state.names == before.names)
      for entry in before.entries {
        #expect(try file.state[entry.name]?.isIdentical(to: entry.tensor) == true)
      }
    }
  }

  /// A tensor that two names share is two tensors once one of them has a module's new numbers.
  @Test func sharedTensorsPart() throws {
    try withTemporaryFolder { directory in
      var state = StateDict()
      let table = NDArray<Float>(repeating: 0.25, shape: [7, 6])
      for (name, shape) in [("rnn.weight_ih_l0", [18, 6]), ("rnn.weight_hh_l0", [18, 6])] {
        try state.append(Name(name), NDArray<Float>(repeating: 0.5, shape: shape).tensor)
      }
      try state.append("emb.weight", table.tensor)
      try state.append("fc.weight", table.tensor)
      state.ties["fc.weight"] = "emb.weight"
      let path = directory + "/tied.pt"
      try write(state, path)
      var file = try WeightFile(path: path)
      #expect(file.state.ties == ["fc.weight": "emb.weight"])
      try file.replace("fc", with: Linear(weight: table * 3))
      try file.write(toPath: directory + "/parted.pt")
      let parted = try WeightFile(path: directory + "/parted.pt")
      #expect(parted.state.ties.isEmpty)
      #expect(try parted.array("emb.weight") == table)
      #expect(try parted.array("fc.weight") == table * 3)
    }
  }

  /// Every module of every file that other libraries wrote, in its own container and convention.
  ///
  /// Files that their container cannot hold again are refused: two networks or none in an ONNX graph, weights of Keras 1
  /// that do not say their activation.
  @Test(arguments: [
    ("keras", 125, ["keras.activation", "keras.activation"]), ("keras-structure", 59, []),
    ("onnx", 21, ["conversion.not-one-network", "weights.ambiguous", "weights.unrecognized"]),
    ("flax", 9, []), ("mlx", 6, []), ("pt", 7, ["usage.extension"]), ("safetensors", 6, []),
  ])
  func modulesOfEveryFramework(_ folder: String, _ count: Int, _ refused: [String]) throws {
    let paths = try FileManager.default.contentsOfDirectory(atPath: Checkout.golden(folder))
    var (replaced, refusals) = (0, [String]())
    for name in paths.sorted() {
      guard var file = try? WeightFile(path: Checkout.golden(folder) + "/" + name) else { continue }
      let original = file.state
      for module in try ModuleList(file.state).modules where module.refusal == nil {
        switch module.kind {
        case .recurrent:
          let rnn = try file.recurrent(module.name, as: Double.self)
          let new = try RNN(rnn.configuration, parameters: scaled(rnn.parameters, by: 2))
          try file.replace(module.name, with: new)
          let found = try file.recurrent(module.name, as: Double.self).parameters
          #expect(same(found, new.parameters), "\(name) \(module.name)")
        case .linear:
          let linear = try file.linear(module.name, as: Double.self)
          let new = try Linear(parameters: scaled(linear.parameters, by: 2))
          try file.replace(module.name, with: new)
          #expect(try file.linear(module.name, as: Double.self).weight == new.weight)
        case .embedding:
          let table = try file.embedding(module.name, as: Double.self)
          try file.replace(module.name, with: Embedding(weight: table.weight * 2))
          #expect(try file.embedding(module.name, as: Double.self).weight == table.weight * 2)
        case .cell, .other: continue
        }
        replaced += 1
      }
      #expect(file.state.names == original.names)
      try withTemporaryFolder { directory in
        let path = directory + "/" + name
        do {
          // Plain HDF5 and Keras's have the same extension.
          try file.write(
            toPath: path, convention: file.format.name == "keras-h5" ? .named("keras") : nil)
        } catch let error as RecurrentError {
          refusals.append(error.reason.code)
          return
        }
        let again = try WeightFile(path: path)
        func bytes(_ state: StateDict) throws -> Set<[UInt8]> {
          try Set(state.entries.map { try $0.tensor.bytes() })
        }
        #expect(try bytes(again.state) == bytes(file.state), "\(name)")
      }
    }
    #expect(replaced == count)
    #expect(refusals.sorted() == refused)
  }

  /// A file whose cell is assumed is written with the cell that it was read with, or not at all.
  @Test func aCellIsWhatItWasReadAs() throws {
    try withTemporaryFolder { directory in
      let path = directory + "/in.safetensors"
      var state = StateDict()
      for (name, shape) in [
        ("rnn.weight_ih_l0", [6, 4]), ("rnn.weight_hh_l0", [6, 6]), ("rnn.bias_ih_l0", [6]),
        ("rnn.bias_hh_l0", [6]),
      ] {
        try state.append(Name(name), NDArray<Float>(zeros: shape).tensor)
      }
      try write(state, path)
      var file = try WeightFile(path: path)
      let options = ReadOptions(cell: .rnnRelu)
      let relu = try file.recurrent("rnn", as: Float.self, options: options)
      #expect(relu.configuration.cell == .rnnRelu)
      #expect(reason { try file.replace("rnn", with: relu) } == "model.changed")
      try file.replace("rnn", with: relu, options: options)
      try file.write(toPath: directory + "/out.safetensors")
    }
  }
}
