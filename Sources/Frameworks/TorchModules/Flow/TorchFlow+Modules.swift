import Containers
import Tensors

// Modules that are not recurrent, and cells.

extension TorchFlow {
  /// A linear layer whose weight and bias lie in the file; `nil` if they do not.
  mutating func linear(_ input: TorchValue, weight: String?, bias: TorchValue?) -> TorchValue? {
    guard let weight, let size = shape(weight), size.count == 2 else { return nil }
    let biasName = bias.flatMap { storedName($0) }
    if let bias, !bias.isNone, biasName == nil { return nil }
    let prefix: String
    if let biasName {
      // Tied weights may go by another module's name; the bias does not.
      guard biasName == "bias" || biasName.hasSuffix(".bias") else { return nil }
      prefix = String(biasName.dropLast("bias".count))
      guard shape(prefix + "weight") == size,
        weight == prefix + "weight" || isTied(weight, prefix + "weight")
      else { return nil }
    } else {
      guard weight == "weight" || weight.hasSuffix(".weight") else { return nil }
      let called = site.map { $0.path.isEmpty ? "" : $0.path + "." }
      // Of tied weights the program names one only; the call says whose they are.
      if site?.className == "Linear", let called, isTied(weight, called + "weight"),
        shape(called + "weight") == size
      {
        prefix = called
      } else {
        prefix = String(weight.dropLast("weight".count))
      }
      if prefix.isEmpty == false, shape(prefix + "bias") != nil { return nil }
    }
    let place = module(String(prefix.dropLast()), .linear, className: "Linear")
    guard modules[place].kind == .linear else { return nil }
    read(input, by: place, order: nil)
    if let index = input.tensor, case .module(let source) = tensors[index].origin,
      swapped.contains(source)
    {
      swapped.insert(place)
    }
    if let veil {
      obstruct(place, .before, [veil])
      obstruct(place, .behind, [veil])
    }
    return veiled(add(linearResult(place, input, size[0])))
  }

  func isTied(_ a: String, _ b: String) -> Bool { (ties[a] ?? a) == (ties[b] ?? b) }

  private func linearResult(_ place: Int, _ input: TorchValue, _ size: Int) -> TorchTensor {
    var result = TorchTensor(origin: .module(place))
    if let index = input.tensor {
      result.isSwapped = tensors[index].isSwapped
      result.isMatrix = tensors[index].isMatrix
    }
    guard let index = input.tensor, case .module(let source) = tensors[index].origin,
      var layout = tensors[index].layout, tensors[index].packed == nil,
      layout.axes.last == .feature
    else { return result }
    if let call = recurrents[source] {
      guard let (_, canonical) = layout.reads(layers: call.layers) else { return result }
      layout.canonical = canonical
    }
    for (place, axis) in layout.axes.enumerated() {
      if case .states = axis { layout.axes[place] = .one }
    }
    layout.parts = [TorchPart(content: .features, size: size)]
    layout.whole = layout.parts
    result.layout = layout
    result.operations = layout.isCanonical ? [] : tensors[index].operations
    if !layout.isCanonical, result.operations.isEmpty {
      result.operations = [
        swapped.contains(source)
          ? "time and batch in another order than in the input" : "an axis of one element"
      ]
    }
    return result
  }

  /// A table whose rows token ids choose; `nil` if it is not in the file.
  mutating func embedding(_ weight: TorchValue, _ ids: TorchValue, padding: TorchValue?)
    -> TorchValue?
  {
    guard let name = storedName(weight), name == "weight" || name.hasSuffix(".weight"),
      let size = shape(name), size.count == 2
    else { return nil }
    var path = String(name.dropLast("weight".count).dropLast())
    // Of tied weights the graph names one only; the call says whose table it is.
    if let site, site.className == "Embedding", site.path != path,
      isTied(name, (site.path.isEmpty ? "" : site.path + ".") + "weight")
    {
      path = site.path
    }
    let place = module(path, .embedding, className: "Embedding")
    guard modules[place].kind == .embedding else { return nil }
    if let index = padding?.int, index != -1 {
      modules[place].paddingIndex = index < 0 ? index + size[0] : index
    }
    read(ids, by: place, order: nil)
    if let veil {
      obstruct(place, .before, [veil])
      obstruct(place, .behind, [veil])
    }
    var result = TorchTensor(origin: .module(place))
    // Of ids every kind of exchange is one of time and batch.
    if let index = ids.tensor, case .argument = tensors[index].origin {
      result.isSwapped = tensors[index].isSwapped
    }
    return veiled(add(result))
  }

  /// One step of a cell; its results are not followed.
  mutating func step(_ cell: String?, _ name: String?, input: TorchValue, state: TorchValue)
    -> TorchValue
  {
    guard let name else {
      return derived("a cell with weights that are computed", from: [input, state])
    }
    let className = ["lstm": "LSTMCell", "gru": "GRUCell"][cell ?? ""] ?? "RNNCell"
    let place = module(name, .cell, className: className)
    if let cell { modules[place].recurrent.cell = cell }
    let prefix = name.isEmpty ? "" : name + "."
    if let weight = shape(prefix + "weight_hh"), weight.count == 2 {
      modules[place].recurrent.hiddenSize = weight[1]
    }
    if let weight = shape(prefix + "weight_ih"), weight.count == 2 {
      modules[place].recurrent.inputSize = weight[1]
    }
    modules[place].recurrent.hasBias = shape(prefix + "bias_ih") != nil
    if let index = input.tensor, case .module(let source) = tensors[index].origin,
      modules[source].kind != .cell, tensors[index].layout == nil,
      tensors[index].operations.isEmpty,
      tensors[index].activation == nil, !tensors[index].isSwapped
    {
      connect(source, place, .sequence)
    } else if let index = input.tensor {
      block(index, before: place)
    }
    if let veil {
      obstruct(place, .before, [veil])
      obstruct(place, .behind, [veil])
    }
    for index in tensorIndices(in: [state]) {
      for trail in trails(of: index) {
        if let source = trail.module, source != place {
          obstruct(source, .behind, trail.operations + ["the state of \(name)"])
        }
      }
    }
    var result = TorchTensor(origin: .derived)
    result.trails = [TorchTensor.Trail(module: place, operations: ["one step of \(name)"])]
    let value = add(result)
    return cell == "lstm" ? .list([value, value]) : value
  }
}
