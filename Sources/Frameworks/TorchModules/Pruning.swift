// torch.nn.utils.prune keeps a weight and a mask of the same shape, w = weight_orig · weight_mask:
//
//   weight_orig, weight_mask

import Bytes
import Containers
import Tensors

extension StateDict {
  /// The same tensors with every pruned weight multiplied by its mask.
  func foldingPruning() throws -> StateDict {
    var masks: [Name: (base: Name, mask: Tensor)] = [:]
    var maskNames: Set<Name> = []
    for entry in entries {
      let text = entry.name.string
      guard text.hasSuffix("_orig") else { continue }
      let base = Name(String(text.dropLast("_orig".count)))
      let maskName = Name(base.string + "_mask")
      guard self[base] == nil, let mask = self[maskName], mask.shape == entry.tensor.shape,
        mask.dtype == entry.tensor.dtype, mask.dtype.isFloatingPoint
      else { continue }
      masks[entry.name] = (base, mask)
      maskNames.insert(maskName)
    }
    if masks.isEmpty { return self }
    var result = emptied { masks[$0] == nil && !maskNames.contains($0) }
    for entry in entries where !maskNames.contains(entry.name) {
      guard let (base, mask) = masks[entry.name] else {
        try result.append(entry.name, entry.tensor)
        continue
      }
      let tensor = entry.tensor
      try result.append(
        base,
        Tensor(
          dtype: tensor.dtype, shape: tensor.shape,
          source: MaskedSource(weight: tensor, mask: mask)))
      result.skipped.append("pruning of \(base), worked out: weight_orig times weight_mask")
    }
    return result
  }
}

/// The product of a weight and its mask, computed when it is read.
private final class MaskedSource: ByteSource, @unchecked Sendable {
  let count: Int
  private let weight: Tensor
  private let mask: Tensor

  init(weight: Tensor, mask: Tensor) {
    self.weight = weight
    self.mask = mask
    count = weight.byteCount
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard !buffer.isEmpty else { return }
    let dtype = weight.dtype
    let width = dtype.byteCount
    let first = offset / width
    let end = (offset + buffer.count + width - 1) / width
    var bytes = try weight.source.read(first * width..<end * width)
    let factors = try Self.doubles(mask.source.read(first * width..<end * width), dtype)
    let values = try Self.doubles(bytes, dtype)
    for index in values.indices where factors[index] != 1 {
      // Exact in binary64 for the narrow types, so that it is rounded once.
      let product = values[index] * factors[index]
      let pattern: UInt64 =
        switch dtype {
        case .f64: product.bitPattern
        case .f32: UInt64(Float(product).bitPattern)
        case .f16: UInt64(halfBits(product))
        default: UInt64(bfloat16Bits(product))
        }
      withUnsafeBytes(of: pattern.littleEndian) {
        for byte in 0..<width { bytes[index * width + byte] = $0[byte] }
      }
    }
    let begin = offset - first * width
    bytes.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[begin..<begin + buffer.count]))
    }
  }

  private static func doubles(_ bytes: [UInt8], _ dtype: DType) throws -> [Double] {
    try Tensor(dtype: dtype, shape: [bytes.count / dtype.byteCount], bytes: bytes).doubles()
  }
}
