import Bytes
import Containers
import Networks
import RNNEngine
import Tensors

extension ShrinkCase {
  /// A fixture's recurrent layers and inputs; what stands before and behind them is left out, and so is its loss.
  init(_ fixture: Fixture) throws {
    let network = try fixture.network()
    let architecture = network.architecture
    cell = architecture.cell
    gruReset = architecture.gruReset
    dtype = network.weights.dtype == .f64 ? .f64 : .f32
    hasBias = architecture.bias
    layers = architecture.layerCount
    directions = architecture.directionCount
    hidden = architecture.hiddenSize
    proj = architecture.projSize
    weights = [:]
    var table: ShrinkArray?
    for entry in try network.weights.encoded(as: Network.parameterTensors(of: architecture)).entries
    {
      let name = entry.name.string
      let array = ShrinkArray(shape: entry.tensor.shape, values: try entry.tensor.doubles())
      if name == "embedding.weight" { table = array }
      if !name.contains(".") { weights[name] = array }
    }
    guard let input = fixture.inputs["x"] else {
      throw RecurrentError(.fixtureMissing, at: "tensor \"inputs/x\"", found: "no such tensor")
    }
    var x: ShrinkArray
    if let table, !input.dtype.isFloatingPoint {
      x = table.keeping(try input.integers(), axis: 0)
      x.shape = input.shape + [table.shape[1]]
    } else {
      x = ShrinkArray(shape: input.shape, values: try input.doubles())
    }
    let isUnbatched = x.shape.count == 2
    if isUnbatched { x.shape.insert(1, at: 1) }
    self.x = !isUnbatched && fixture.configuration.batchFirst ? x.exchangingFirstAxes() : x
    func state(_ name: Name) throws -> ShrinkArray? {
      try fixture.inputs[name].map { tensor in
        var array = ShrinkArray(shape: tensor.shape, values: try tensor.doubles())
        if isUnbatched { array.shape.insert(1, at: 1) }
        return array
      }
    }
    h0 = try state("h_0")
    c0 = try state("c_0")
    lengths = try fixture.inputs["lengths"].map { try $0.integers() }
  }

  /// The fixture of it; expected is what this library computes, unless it is given.
  func state(name: String, expecting given: [String: ShrinkArray]? = nil) throws -> StateDict {
    let (steps, rows) = (x.shape[0], x.shape[1])
    var state = StateDict()
    var config: [JSON.Member] = [
      .init(key: "schema", value: .number(1)), .init(key: "name", value: .string(name)),
      .init(key: "source", value: .string("a failing case made small by rnn-verify")),
      .init(key: "cell", value: .string(cell.rawValue)), .init(key: "head", value: .string("none")),
    ]
    if cell == .gru {
      config.append(.init(key: "gru_reset", value: .string(gruReset.rawValue)))
    }
    if expectsGradients {
      config.append(
        .init(
          key: "loss", value: .object([.init(key: "kind", value: .string("vjp"))])))
    }
    let text = Array(JSON.object(config).serialized().utf8)
    try state.append("config", Tensor(dtype: .u8, shape: [text.count], source: MemorySource(text)))
    func append(_ name: String, _ array: ShrinkArray) throws {
      try state.append(
        Name(name), Tensor.make(array.values, shape: array.shape).converted(to: dtype).0)
    }
    func zeros(_ shape: Int...) -> ShrinkArray {
      ShrinkArray(shape: shape, values: Array(repeating: 0, count: shape.reduce(1, *)))
    }
    let names = weights.keys.sorted()
    for key in names { try append("weights/\(key)", weights[key] ?? zeros(0)) }
    try append("inputs/x", x)
    if let h0 { try append("inputs/h_0", h0) }
    if let c0 { try append("inputs/c_0", c0) }
    if let lengths {
      try state.append("inputs/lengths", Tensor.make(lengths, shape: [lengths.count]))
    }
    if let given {
      for (key, array) in given.sorted(by: { $0.key < $1.key }) { try append(key, array) }
      return state
    }
    let width = directions * self.state
    var expected = [
      "outputs/output": zeros(steps, rows, width),
      "outputs/h_n": zeros(layers * directions, rows, self.state),
    ]
    if cell.hasCellState { expected["outputs/c_n"] = zeros(layers * directions, rows, hidden) }
    if expectsGradients {
      // Signs that repeat in no axis.
      let signs = (0..<steps * rows * width).map { ($0 * $0 + $0 / 3) % 5 < 2 ? -1.0 : 1.0 }
      try append(
        "inputs/grad_output", ShrinkArray(shape: [steps, rows, width], values: signs))
      for key in names { expected["grads/\(key)"] = weights[key] }
      expected["grads/x"] = x
    }
    var whole = state
    for (key, array) in expected.sorted(by: { $0.key < $1.key }) {
      try whole.append(
        Name(key), Tensor.make(array.values, shape: array.shape).converted(to: dtype).0)
    }
    for check in try Fixture(whole).comparison().checks.sorted(by: { $0.tensor < $1.tensor }) {
      guard let numbers = check.numbers else { continue }
      try append(check.tensor, ShrinkArray(shape: numbers.shape, values: numbers.computed))
    }
    return state
  }
}

extension ShrinkArray {
  func exchangingFirstAxes() -> ShrinkArray {
    let (rows, columns) = (shape[0], shape[1])
    let inner = shape[2...].reduce(1, *)
    var result = self
    result.shape.swapAt(0, 1)
    for row in 0..<rows {
      for column in 0..<columns {
        let (from, to) = ((row * columns + column) * inner, (column * rows + row) * inner)
        result.values.replaceSubrange(to..<to + inner, with: values[from..<from + inner])
      }
    }
    return result
  }
}
