import Bytes
import Tensors

// NumPy's scalars and arrays in a pickle:
//
//   numpy.core.multiarray scalar (dtype, bytes)
//   numpy.core.multiarray _reconstruct (numpy ndarray, (0,), b"b")
//     with the state (version, shape, dtype, is Fortran, bytes)
//   dtype = numpy dtype ("f4", False, True) with the state (3, "<", …)
//
// NumPy 2 says numpy._core. Before protocol 3 bytes are a call, _codecs encode (text, "latin1").
extension PickleGraph {
  private struct ArrayType {
    let dtype: DType
    let isBigEndian: Bool
  }

  /// What a NumPy scalar says, in a few words; `nil` for anything else.
  package func numPyScalar(_ value: PickleValue) -> String? {
    guard let call = call(value), Self.isNumPy(call.name, "scalar"), call.arguments.count == 2,
      let type = arrayType(call.arguments[0]),
      let bytes = byteString(call.arguments[1], limit: 8), bytes.count == type.dtype.byteCount,
      let tensor = try? Tensor(
        dtype: type.dtype, shape: [], bytes: type.isBigEndian ? bytes.reversed() : bytes)
    else { return nil }
    if type.dtype == .bool { return bytes[0] == 0 ? "False" : "True" }
    if type.dtype.isFloatingPoint { return (try? tensor.doubles())?.first.map { "\($0)" } }
    return (try? tensor.integers())?.first.map { "\($0)" }
  }

  /// A NumPy array as a tensor in memory; `nil` for anything else, such as arrays of text.
  package func numPyArray(_ value: PickleValue) throws -> Tensor? {
    guard let call = call(value), Self.isNumPy(call.name, "_reconstruct"),
      case .node(let index) = value, let state = states[index].flatMap({ tuple($0) }),
      state.count == 5, let axes = tuple(state[1]), axes.count <= 64, let type = arrayType(state[2])
    else { return nil }
    let shape = axes.compactMap { if case .int(let size) = $0, size >= 0 { size } else { nil } }
    guard shape.count == axes.count else { return nil }
    let count = try byteCount(of: shape, elementSize: type.dtype.byteCount)
    guard let bytes = byteString(state[4], limit: count), bytes.count == count else { return nil }
    var source: any ByteSource = MemorySource(bytes)
    if type.isBigEndian {
      source = ByteSwappedSource(source, elementSize: type.dtype.byteCount)
    }
    if case .bool(true) = state[3], count > 0 {
      // Fortran's order: the first axis is contiguous.
      var strides: [Int] = []
      var step = 1
      for size in shape {
        strides.append(step)
        step *= size
      }
      source = try StridedSource(
        source, elementSize: type.dtype.byteCount, shape: shape, strides: strides, offset: 0)
    }
    return try Tensor(dtype: type.dtype, shape: shape, source: source)
  }

  private static func isNumPy(_ name: String, _ function: String) -> Bool {
    ["numpy.core.multiarray \(function)", "numpy._core.multiarray \(function)"].contains(name)
  }

  private func arrayType(_ value: PickleValue) -> ArrayType? {
    guard let call = call(value), call.name == "numpy dtype", case .node(let index) = value,
      case .string(let code)? = call.arguments.first,
      let dtype = Self.arrayTypes[String(decoding: code.prefix(8), as: UTF8.self)],
      let state = states[index].flatMap({ tuple($0) }), state.count >= 2,
      case .string(let order) = state[1]
    else { return nil }
    return ArrayType(dtype: dtype, isBigEndian: order.elementsEqual(">".utf8))
  }

  private static let arrayTypes: [String: DType] = [
    "f8": .f64, "f4": .f32, "f2": .f16, "i8": .i64, "i4": .i32, "i2": .i16, "i1": .i8, "u8": .u64,
    "u4": .u32, "u2": .u16, "u1": .u8, "b1": .bool,
  ]

  /// The bytes of a byte string, however the protocol spells it; `nil` when there are more than `limit`.
  private func byteString(_ value: PickleValue, limit: Int) -> [UInt8]? {
    switch value {
    case .bytes(let range): return range.count <= limit ? Array(program[range]) : nil
    // Python 2's str.
    case .string(let bytes): return bytes.count <= limit ? bytes : nil
    default:
      // In UTF-8 a byte takes one or two.
      guard let call = call(value), call.name == "_codecs encode",
        case .string(let text)? = call.arguments.first, text.count / 2 <= limit
      else { return nil }
      var bytes: [UInt8] = []
      for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
        guard let byte = UInt8(exactly: scalar.value) else { return nil }
        bytes.append(byte)
      }
      return bytes
    }
  }
}
