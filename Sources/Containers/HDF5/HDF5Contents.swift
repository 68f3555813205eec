// What an HDF5 file holds, free of any library's handles.

import Tensors

/// All objects of a file in the order in which a reader met them, groups before their members.
package struct HDF5Contents: Sendable {
  /// The objects; the first is the root group, whose path is empty.
  package var nodes: [HDF5Node] = []
}

/// One link of a file and the object behind it.
package struct HDF5Node: Sendable {
  package enum Object: Sendable {
    case group(HDF5Group)
    case dataset(HDF5Dataset)
    /// A path inside the same file, as the file spells it.
    case softLink(target: Name)
    /// Something that holds no data, in words.
    case other(String)
  }

  /// The names of the links from the root.
  package var path: [Name]
  package var object: Object

  /// The path as people write it, for messages.
  package var pathText: String { "/" + path.map(\.string).joined(separator: "/") }
}

package struct HDF5Group: Sendable {
  package var attributes: [HDF5Attribute] = []
  /// Whether members were met in the order in which they were created, rather than by name.
  package var isInCreationOrder: Bool
}

package struct HDF5Attribute: Sendable {
  package enum Value: Sendable {
    case text(String)
    /// A list of texts; an empty list of anything.
    case texts([String])
    /// A value that is neither a scalar of text or number nor a list of texts, in words.
    case other(String)
  }

  package var name: Name
  package var value: Value
}

package struct HDF5Dataset: Sendable {
  /// The same for two links to one dataset.
  package var identity: UInt64
  package var type: HDF5ElementType
  /// `nil` for a dataset without a value (a null dataspace).
  package var shape: [Int]?
  /// The value of an attribute `dtype`, which Keras uses to say what opaque bytes are.
  package var dtypeAttribute: String?
  /// The elements as stored, in the file's byte order; `nil` when the type is no tensor's.
  package var source: (any ByteSource)?

  /// The elements as a tensor of a type that is known from elsewhere, or of their own; `nil` for values
  /// that are no tensor's.
  package func tensor(of known: DType? = nil, at node: HDF5Node) throws -> Tensor? {
    guard let shape, let source, let dtype = known ?? type.dtype(label: dtypeAttribute)
    else { return nil }
    do {
      return try Tensor(
        dtype: dtype, shape: shape,
        source: type.isBigEndian
          ? ByteSwappedSource(source, elementSize: dtype.byteCount) : source)
    } catch let error as RecurrentError {
      throw error.within(node.pathText)
    }
  }
}

/// The type of the elements, as far as tensors are concerned.
package enum HDF5ElementType: Sendable, Equatable {
  case integer(size: Int, isSigned: Bool, isBigEndian: Bool)
  case float(size: Int, fields: FloatFields, isBigEndian: Bool)
  /// An 8-bit enumeration of FALSE = 0 and TRUE = 1.
  case boolean
  case opaque(size: Int)
  /// Anything else, in words.
  case other(String)

  /// Where sign, exponent and mantissa lie.
  package struct FloatFields: Sendable, Equatable {
    package var sign: Int
    package var exponentPosition: Int
    package var exponentSize: Int
    package var exponentBias: Int
    package var mantissaPosition: Int
    package var mantissaSize: Int
    /// Whether the mantissa's leading one is implied, as in IEEE 754.
    package var hasImpliedOne = true

    package static let f16 = FloatFields(
      sign: 15, exponentPosition: 10, exponentSize: 5, exponentBias: 15, mantissaPosition: 0,
      mantissaSize: 10)
    package static let bf16 = FloatFields(
      sign: 15, exponentPosition: 7, exponentSize: 8, exponentBias: 127, mantissaPosition: 0,
      mantissaSize: 7)
    package static let f32 = FloatFields(
      sign: 31, exponentPosition: 23, exponentSize: 8, exponentBias: 127, mantissaPosition: 0,
      mantissaSize: 23)
    package static let f64 = FloatFields(
      sign: 63, exponentPosition: 52, exponentSize: 11, exponentBias: 1023, mantissaPosition: 0,
      mantissaSize: 52)
  }

  /// The element type of a tensor, or `nil`; `label` is the dataset's `dtype` attribute.
  package func dtype(label: String?) -> DType? {
    switch self {
    case .integer(1, let isSigned, _): isSigned ? .i8 : .u8
    case .integer(2, let isSigned, _): isSigned ? .i16 : .u16
    case .integer(4, let isSigned, _): isSigned ? .i32 : .u32
    case .integer(8, let isSigned, _): isSigned ? .i64 : .u64
    case .float(2, .f16, _): .f16
    case .float(2, .bf16, _): .bf16
    case .float(4, .f32, _): .f32
    case .float(8, .f64, _): .f64
    case .boolean: .bool
    case .opaque(2) where label == "bfloat16": .bf16
    default: nil
    }
  }

  /// Whether the elements' bytes must be reversed.
  package var isBigEndian: Bool {
    switch self {
    case .integer(let size, _, let isBigEndian), .float(let size, _, let isBigEndian):
      isBigEndian && size > 1
    default: false
    }
  }

  /// The type in words, for the list of what was skipped.
  package var description: String {
    switch self {
    case .integer(let size, let isSigned, _):
      "\(isSigned ? "signed" : "unsigned") \(size * 8)-bit integer"
    case .float(let size, _, _): "\(size * 8)-bit floating point"
    case .boolean: "boolean"
    case .opaque(let size): "opaque, \(size) bytes"
    case .other(let words): words
    }
  }
}

/// One element's bytes repeated: a dataset that was declared but never written.
package struct HDF5FillSource: ByteSource {
  package let element: [UInt8]
  package let count: Int

  package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    for index in 0..<buffer.count {
      buffer[index] = element[(offset + index) % element.count]
    }
  }
}
