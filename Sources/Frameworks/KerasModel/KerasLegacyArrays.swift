// Arrays of older layers, rearranged as Keras 2's LSTM and GRU have them.
//
// Keras 1         LSTM 12 arrays: W U b of i, c, f, o;  GRU 9 arrays: W U b of z, r, h
// CuDNNLSTM       kernel and recurrent kernel per gate as cuDNN wants them, bias (8H): both halves
// CuDNNGRU        the same, bias (6H)
//
// cuDNN's matrices are (outputs, inputs) in rows: Keras gives the bytes of each gate's block the shape
// (inputs, outputs) without moving them for the kernel, and transposes the square recurrent blocks.

import Containers
import Tensors

enum KerasLegacyArrays {
  /// Kernel, recurrent kernel and bias of a recurrent layer, and a line for people if they moved.
  static func plain(
    _ arrays: [Tensor], isCuDNN: Bool
  ) throws -> (arrays: [Tensor], note: String?) {
    switch arrays.count {
    case 12:
      let order = [0, 2, 1, 3]
      return (
        try (0..<3).map { role in try beside(order.map { arrays[3 * $0 + role] }) },
        "twelve arrays of Keras 1 joined into three"
      )
    case 9:
      return (
        try (0..<3).map { role in try beside((0..<3).map { arrays[3 * $0 + role] }) },
        "nine arrays of Keras 1 joined into three"
      )
    default: break
    }
    guard arrays.count >= 2, let sizes = recurrentSizes(arrays[0], arrays[1]) else {
      throw RecurrentError(
        .kerasLegacy, found: "arrays of shapes \(arrays.map(\.shape))",
        expected: "a kernel and a recurrent kernel",
        hint: "Save the model again with a current version of Keras.")
    }
    let bias = arrays.count > 2 ? arrays[2] : nil
    let doubled = bias?.shape == [2 * sizes.gates * sizes.hidden]
    guard isCuDNN || doubled else { return (arrays, nil) }
    guard let bias, doubled, arrays.count == 3, sizes.gates > 1 else {
      throw RecurrentError(
        .kerasLegacy, found: "arrays of shapes \(arrays.map(\.shape))",
        expected: "those of a cuDNN layer, with a bias of \(2 * sizes.gates * sizes.hidden)")
    }
    var result = [
      try blocks(arrays[0], sizes.gates) { row, column, rows, columns in
        let position = row + rows * column
        return (position / columns, position % columns)
      },
      try blocks(arrays[1], sizes.gates) { row, column, _, _ in (column, row) },
    ]
    if sizes.gates == 3 {
      result.append(
        try Tensor(dtype: bias.dtype, shape: [2, 3 * sizes.hidden], source: bias.source))
      return (result, "cuDNN's arrays rearranged")
    }
    let count = bias.elementCount / 2
    let numbers = try bias.doubles()
    let sums = (0..<count).map { numbers[$0] + numbers[count + $0] }
    result.append(try Tensor.make(sums, shape: [count]).converted(to: bias.dtype).0)
    return (result, "cuDNN's arrays rearranged, the halves of the bias summed")
  }

  /// Gates and H of a recurrent layer's kernels (I, gates·H) and (H, gates·H); `nil` for others.
  static func recurrentSizes(_ kernel: Tensor, _ recurrent: Tensor) -> (gates: Int, hidden: Int)? {
    guard kernel.shape.count == 2, recurrent.shape.count == 2,
      kernel.shape[1] == recurrent.shape[1], recurrent.shape[0] > 0,
      recurrent.shape[1] % recurrent.shape[0] == 0
    else { return nil }
    let gates = recurrent.shape[1] / recurrent.shape[0]
    return [1, 3, 4].contains(gates) ? (gates, recurrent.shape[0]) : nil
  }

  /// Arrays side by side: matrices along their columns, vectors end to end.
  private static func beside(_ parts: [Tensor]) throws -> Tensor {
    let first = parts[0]
    guard parts.allSatisfy({ $0.shape == first.shape && $0.dtype == first.dtype }),
      (1...2).contains(first.shape.count)
    else {
      throw RecurrentError(
        .kerasLegacy, found: "arrays of shapes \(parts.map(\.shape))",
        expected: "the same shape and type for every gate")
    }
    let rows = first.shape.count == 2 ? first.shape[0] : 1
    let columns = first.shape[first.shape.count - 1]
    let width = columns * first.dtype.byteCount
    let contents = try parts.map { try $0.bytes() }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(rows * width * parts.count)
    for row in 0..<rows {
      for content in contents { bytes += content[row * width..<(row + 1) * width] }
    }
    let total = columns * parts.count
    return try Tensor(
      dtype: first.dtype, shape: first.shape.count == 2 ? [rows, total] : [total], bytes: bytes)
  }

  /// A matrix with the elements of every gate's block moved: `origin` says from where in the block.
  private static func blocks(
    _ matrix: Tensor, _ gates: Int,
    origin: (_ row: Int, _ column: Int, _ rows: Int, _ columns: Int) -> (row: Int, column: Int)
  ) throws -> Tensor {
    let (rows, all) = (matrix.shape[0], matrix.shape[1])
    let columns = all / gates
    let width = matrix.dtype.byteCount
    let old = try matrix.bytes()
    var new = [UInt8](repeating: 0, count: old.count)
    for gate in 0..<gates {
      for row in 0..<rows {
        for column in 0..<columns {
          let from = origin(row, column, rows, columns)
          let source = (from.row * all + gate * columns + from.column) * width
          let target = (row * all + gate * columns + column) * width
          for byte in 0..<width { new[target + byte] = old[source + byte] }
        }
      }
    }
    return try Tensor(dtype: matrix.dtype, shape: matrix.shape, bytes: new)
  }
}
