// Keras's two HDF5 layouts as containers, told apart by what the file holds.

import Tensors

/// HDF5 files as Keras writes them.
public enum KerasHDF5 {
  /// Whether an HDF5 file has Keras 3's object layout.
  public static func recognizesObjects(_ source: any ByteSource) -> Bool {
    guard let contents = peek(source) else { return false }
    return !KerasLegacy.recognizes(contents) && KerasObjects.recognizes(contents)
  }

  /// Whether an HDF5 file has the layout of Keras 1 and 2 (`layer_names`, `weight_names`).
  public static func recognizesLegacy(_ source: any ByteSource) -> Bool {
    peek(source).map(KerasLegacy.recognizes) ?? false
  }

  /// Reads `.weights.h5`; throws what the HDF5 reader throws.
  public static func readObjects(_ file: InputFile) throws -> StateDict {
    try read(file, KerasObjects.read)
  }

  /// Reads an `.h5` of Keras 1 or 2, or one that Keras 3 wrote in their layout; throws `keras.legacy`
  /// where names, arrays and configuration contradict each other.
  public static func readLegacy(_ file: InputFile) throws -> StateDict {
    try read(file, KerasLegacy.read)
  }

  /// Writes `.weights.h5`; throws `keras.name` for names that are no paths.
  public static func writeObjects(_ state: StateDict, toFileAt path: String) throws {
    try HDF5Writer(KerasObjects.objects(state)).write(toFileAt: path)
  }

  /// Writes an `.h5` in the layout that all versions of Keras load.
  public static func writeLegacy(_ state: StateDict, toFileAt path: String) throws {
    try HDF5Writer(KerasLegacyWriter(state).objects()).write(toFileAt: path)
  }

  private static func read(
    _ file: InputFile, _ interpret: (HDF5Contents) throws -> StateDict
  ) throws -> StateDict {
    do {
      let state = try interpret(HDF5.contents(of: file))
      try file.checkUnchanged()
      return state
    } catch let error as RecurrentError {
      throw error.inFile(file.path)
    }
  }

  private static func peek(_ source: any ByteSource) -> HDF5Contents? {
    guard HDF5.recognizes(source), source is InputFile else { return nil }
    return try? HDF5.contents(of: source)
  }
}
