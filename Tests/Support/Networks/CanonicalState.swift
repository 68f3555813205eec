import Networks
import RNNEngine
import Tensors

/// Architectures whose sizes all differ, so that no transposition can hide.
package let architectures: [Architecture] = {
  var list: [Architecture] = []
  for cell in Cell.allCases {
    for layerCount in [1, 3] {
      for bidirectional in [false, true] {
        for bias in [true, false] {
          for head in [nil, Architecture.Head(classCount: 7, bias: bias)] {
            for projSize in cell.hasCellState ? [0, 2] : [0] {
              var architecture = Architecture(
                cell: cell, inputSize: 3, hiddenSize: 5, layerCount: layerCount,
                bidirectional: bidirectional, bias: bias, projSize: projSize, head: head)
              list.append(architecture)
              architecture.embedding = .init(tokenCount: 11)
              list.append(architecture)
              if cell == .gru {
                architecture.gruReset = .before
                list.append(architecture)
              }
            }
          }
        }
      }
    }
  }
  return list
}()

/// Conventions with the architectures that they have words for.
package let expressible: [(Convention, Architecture)] = Convention.all.flatMap { convention in
  architectures.compactMap { architecture in
    (try? convention.storedTensors(of: architecture)).map { _ in (convention, architecture) }
  }
}

/// The parameters that a convention has no place for; they must be zero in what it holds.
package func omitted(_ convention: Convention, _ architecture: Architecture) throws -> Set<Slot> {
  let tensors = try convention.storedTensors(of: architecture)
  return Set(Slot.all(in: architecture)).subtracting(
    tensors.flatMap { $0.placements.flatMap(\.slots) })
}

/// Weights in PyTorch's layout; every element is different, and only `zeros` are zero.
package func canonicalState(
  _ architecture: Architecture, dtype: DType = .f64, zeros: Set<Slot> = []
) throws -> StateDict {
  var state = StateDict()
  var next = 1.0
  for stored in try Network.parameterTensors(of: architecture) {
    let count = stored.shape.reduce(1, *)
    var values = (0..<count).map { _ -> Double in
      next += 1
      return (next * 0.618).truncatingRemainder(dividingBy: 1) + next * 1e-6 - 0.5
    }
    for placement in stored.placements where zeros.contains(placement.slots[0]) {
      for row in 0..<placement.slots[0].size(in: architecture).rows {
        values[placement.offset + row * placement.rowStride] = 0
      }
    }
    try state.append(
      stored.name, Tensor.make(values, shape: stored.shape).converted(to: dtype).0)
  }
  return state
}
