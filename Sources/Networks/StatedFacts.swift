import Containers
import Frameworks
import RNNEngine
import Tensors

extension Candidate {
  /// Whether another module of single layers can be the next ones of this stack.
  func continues(with next: Candidate) -> Bool {
    var (one, other) = (architecture, next.architecture)
    guard kind == .recurrent, next.kind == .recurrent, refusal == nil, next.refusal == nil,
      !next.naming.layers.isEmpty, naming.spelling == next.naming.spelling,
      other.inputSize == one.outputSize
    else { return false }
    (one.inputSize, one.layerCount) = (0, 0)
    (other.inputSize, other.layerCount) = (0, 0)
    return one == other
  }

  /// Takes the layers of another module on top.
  mutating func append(_ next: Candidate) {
    if layerNames.isEmpty { layerNames = [name] }
    layerNames += next.layerNames.isEmpty ? [next.name] : next.layerNames
    architecture.layerCount += next.architecture.layerCount
    naming.layers += next.naming.layers
    for assumption in next.assumptions where !assumptions.contains(assumption) {
      assumptions.append(assumption)
    }
    for remark in next.remarks where !remarks.contains(remark) { remarks.append(remark) }
  }

  /// Takes over what the file states about the module.
  package mutating func adopt(_ module: Structure.Module) {
    if module.kind == .other, kind != .other {
      // A layer of PyTorch's own of another kind only looks like one; an author's class may be anything.
      guard module.className.contains(".") else {
        isRejected = true
        return
      }
      assumptions.append(
        .authorsClass(module: module.name, className: module.className, kind: kind))
    }
    layerNames = module.layerNames
    let facts = module.recurrent
    if let cell = facts.cell.flatMap(Cell.init(rawValue:)), architecture.layerCount > 0 {
      if cell.gateNames.count == architecture.cell.gateNames.count {
        architecture.cell = cell
        known.insert(.cell)
      } else {
        refusal = RecurrentError(
          .weightsShape, at: "module \"\(module.name)\"",
          found: "arrays with \(architecture.cell.gateNames.count) gates",
          expected: "\(cell.gateNames.count), as \(cell.rawValue) has")
      }
    }
    if let reset = facts.gruReset.flatMap(GRUReset.init(rawValue:)), architecture.cell == .gru {
      architecture.gruReset = reset
      known.insert(.gruReset)
    }
    if let batchFirst = facts.batchFirst {
      architecture.batchFirst = batchFirst
      known.insert(.batchFirst)
    }
    if let dropout = facts.dropout, (0...1).contains(dropout) { architecture.dropout = dropout }
    if let count = architecture.embedding?.tokenCount, let index = module.paddingIndex,
      (-count..<count).contains(index)
    {
      architecture.embedding?.paddingIndex = index < 0 ? index + count : index
    }
    if module.kind == .linear { architecture.head?.activation = module.activation }
    refusal = refusal ?? contradiction(module) ?? module.refusal
    remarks += module.remarks
  }
}

extension Candidate {
  /// Where the tensors are not of the sizes that the file states.
  private func contradiction(_ module: Structure.Module) -> RecurrentError? {
    func error(_ found: String, _ expected: String) -> RecurrentError {
      RecurrentError(
        .weightsShape, at: "module \"\(module.name)\"", found: found,
        expected: "\(expected), as the file says")
    }
    let facts = module.recurrent
    if let head = architecture.head, module.kind == .linear {
      if let size = module.outputSize, size != head.classCount {
        return error("weights of \(head.classCount) outputs", "\(size) outputs")
      }
      if let bias = facts.hasBias, bias != head.bias {
        return error(head.bias ? "a bias" : "no bias", bias ? "a bias" : "none")
      }
      return nil
    }
    if architecture.embedding != nil, module.kind == .embedding {
      guard let size = module.outputSize, size != architecture.inputSize else { return nil }
      return error("vectors of \(architecture.inputSize) features", "\(size) features")
    }
    guard module.kind.isRecurrent, architecture.layerCount > 0 else { return nil }
    for (what, stated, found) in [
      ("hidden size", facts.hiddenSize, architecture.hiddenSize),
      ("input size", facts.inputSize, architecture.inputSize),
      ("number of layers", facts.layerCount, architecture.layerCount),
      ("projection size", facts.projSize, architecture.projSize),
    ] {
      guard let stated, stated != found else { continue }
      return error("weights of \(what) \(found)", "\(what) \(stated)")
    }
    if let bias = facts.hasBias, bias != architecture.bias {
      return error(architecture.bias ? "biases" : "no biases", bias ? "biases" : "none")
    }
    if let direction = facts.direction, (direction == "both") != architecture.bidirectional {
      return error(
        "weights of \(architecture.bidirectional ? "two directions" : "one direction")",
        "direction \(direction)")
    }
    return nil
  }
}

extension Structure {
  /// The convention of the tensors that a structure speaks of.
  package var owner: String {
    if modules.contains(where: { $0.prefixes.contains { !$0.isEmpty } }) {
      return Convention.keras.name
    }
    return convention ?? Convention.torch.name
  }
}
