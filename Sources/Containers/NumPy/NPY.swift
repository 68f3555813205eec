// An array file of NumPy.
//
//   93 "NUMPY" · u8 major · u8 minor · header length (version 1: u16; 2 and 3: u32), little-endian
//   header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } · spaces · line end
//   data: row-major, or column-major if fortran_order; nothing follows
//
// Writers pad the header so that the data begins at a multiple of 64 (16 in the past).

import Bytes
import Tensors

/// Reads and writes `.npy` files.
package enum NPY {
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// Whether the bytes begin like a `.npy` file.
  package static func recognizes(_ source: any ByteSource) -> Bool {
    source.count >= 10 && (try? source.read(0..<6)) == magic
  }

  /// Reads an array; its data stays where it is until asked for.
  ///
  /// Big-endian and Fortran-ordered data are put right on the way. Throws `npy.…`: `.malformed` for
  /// a broken header or a wrong size, `.unsupported` for anything that is not a number or boolean.
  package static func read(_ source: any ByteSource) throws -> Tensor {
    let (header, start) = try header(of: source)
    let count = try byteCount(of: header.shape, elementSize: header.dtype.byteCount)
    guard count == source.count - start else {
      throw RecurrentError(
        .npySize, at: "byte \(start)",
        found: "\(source.count - start) bytes of data",
        expected: "\(count) for \(header.dtype.rawValue) \(header.shape)")
    }
    var data: any ByteSource = try WindowSource(source, offset: start, count: count)
    if header.isBigEndian && header.dtype.byteCount > 1 {
      data = ByteSwappedSource(data, elementSize: header.dtype.byteCount)
    }
    if header.isFortranOrder && header.shape.count > 1 && count > 0 {
      var strides: [Int] = []
      var step = 1
      for size in header.shape {
        strides.append(step)
        step *= size
      }
      data = try StridedSource(
        data, elementSize: header.dtype.byteCount, shape: header.shape, strides: strides, offset: 0)
    }
    return try Tensor(dtype: header.dtype, shape: header.shape, source: data)
  }

  /// Writes an array as version 1.0, row-major and little-endian, with its data at byte 64·n.
  ///
  /// Throws `npy.bf16`: NumPy has no such type.
  package static func write(_ tensor: Tensor, to sink: any ByteSink) throws {
    try sink.write(prefix(of: tensor))
    try sink.write(tensor.source)
  }

  /// Everything that stands before the data.
  package static func prefix(of tensor: Tensor) throws -> [UInt8] {
    guard tensor.dtype != .bf16 else {
      throw RecurrentError(
        .npyBF16, found: "elements of type bf16", expected: "a type that NumPy has",
        hint: "Pass \(.word(.dtype, DType.f32)) (lossless), or write safetensors.")
    }
    guard tensor.shape.count <= 64 else {
      throw RecurrentError(
        .npyRank, found: "\(tensor.shape.count) axes", expected: "at most 64")
    }
    var text = Array(NPYHeader.text(dtype: tensor.dtype, shape: tensor.shape).utf8)
    let padding = 63 - (10 + text.count) % 64
    text += [UInt8](repeating: 0x20, count: padding) + [0x0A]
    return magic + [1, 0, UInt8(text.count & 0xFF), UInt8(text.count >> 8)] + text
  }

  private static func header(of source: any ByteSource) throws -> (NPYHeader, Int) {
    guard source.count >= 10, try source.read(0..<6) == magic else {
      throw RecurrentError(
        .npyMagic, at: "byte 0", found: "no NumPy file",
        expected: "93 4E 55 4D 50 59")
    }
    let version = try source.read(6..<8)
    guard [[1, 0], [2, 0], [3, 0]].contains(version) else {
      throw RecurrentError(
        .npyVersion, at: "byte 6", found: "version \(version[0]).\(version[1])",
        expected: "1.0, 2.0 or 3.0")
    }
    let width = version[0] == 1 ? 2 : 4
    let length = Int(UInt64(littleEndian: try source.read(8..<8 + width)))
    let start = 8 + width + length
    guard length <= 1 << 20, start <= source.count else {
      throw RecurrentError(
        .npyHeader, at: "byte 8", found: "a header of \(length) bytes",
        expected: "at most 1 MiB, inside the file")
    }
    return (try NPYHeader(source.read(8 + width..<start)), start)
  }
}

extension WeightFormat {
  /// A single NumPy array, read under the name `array`.
  public static let npy = WeightFormat(
    name: "npy", extensions: ["npy"], summary: "a single NumPy array (numpy.save); read only",
    carriesMetadata: false, expectedConvention: nil,
    recognizes: NPY.recognizes,
    readContents: { file, _ in
      var state = StateDict()
      try state.append("array", NPY.read(file))
      return state
    },
    writeContents: nil)
}
