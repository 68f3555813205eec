import Tensors

/// Every tensor with its bytes, for comparing two readings.
package func contents(_ state: StateDict) throws -> [String] {
  try state.entries.map {
    "\($0.name) \($0.tensor.dtype) \($0.tensor.shape) \(try $0.tensor.bytes())"
  }
}

/// A state dict that uses every element type, sizes all different, and special bit patterns.
package func sampleState(without omitted: Set<DType> = []) throws -> StateDict {
  var state = StateDict()
  for (index, dtype) in DType.allCases.enumerated() where !omitted.contains(dtype) {
    let shape = [index + 2, 3]
    let count = shape[0] * shape[1] * dtype.byteCount
    let bytes = (0..<count).map { UInt8(dtype == .bool ? $0 % 2 : ($0 * 37 + index * 11) % 256) }
    try state.append(Name("t.\(dtype.rawValue)"), Tensor(dtype: dtype, shape: shape, bytes: bytes))
  }
  try state.append(
    "nan", Tensor(dtype: .f32, shape: [2], bytes: [1, 0, 0xA0, 0x7F, 0, 0, 0, 0x80]))
  try state.append("scalar", Tensor(dtype: .f64, shape: [], bytes: [1, 2, 3, 4, 5, 6, 7, 8]))
  try state.append("empty", Tensor(dtype: .f32, shape: [0, 5], bytes: []))
  try state.append("größe/x", Tensor(dtype: .i16, shape: [1, 2, 1], bytes: [1, 2, 3, 4]))
  return state
}
