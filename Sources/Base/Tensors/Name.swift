/// The name of a tensor: a byte string that is valid UTF-8.
///
/// Swift's `String` treats NFC and NFD spellings as equal, file formats do not; with `String` keys one
/// of two tensors would be lost. Equality, order and hash are therefore those of the bytes.
public struct Name: Hashable, Sendable, Comparable, ExpressibleByStringInterpolation {
  /// The UTF-8 bytes.
  public let utf8: [UInt8]

  /// Creates a name from text.
  public init(_ string: String) { utf8 = Array(string.utf8) }

  /// Creates a name from a string literal.
  public init(stringLiteral value: String) { self.init(value) }

  /// Creates a name from bytes of a file; `nil` when they are not valid UTF-8.
  public init?(validating bytes: some Sequence<UInt8>) {
    let array = Array(bytes)
    // Decoding repairs invalid sequences, so only valid ones come back as they were.
    guard String(decoding: array, as: UTF8.self).utf8.elementsEqual(array) else { return nil }
    utf8 = array
  }

  /// The name as text, for pattern matching and printing; never use it as a key.
  public var string: String { String(decoding: utf8, as: UTF8.self) }

  /// Orders by bytes, as safetensors and HDF5 do.
  public static func < (lhs: Name, rhs: Name) -> Bool {
    lhs.utf8.lexicographicallyPrecedes(rhs.utf8)
  }
}

extension Name: CustomStringConvertible {
  /// The name as text.
  public var description: String { string }
}
