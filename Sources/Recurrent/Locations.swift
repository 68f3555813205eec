import Containers
import Conversion
import Frameworks
import HostFoundation
import LanguageModels
import Networks
import RNNEngine
import Tensors

extension Model {
  /// Opens any container in any convention; `url` is a file URL.
  ///
  /// Throws as ``init(path:options:)`` does, and `usage.url` for a URL of another kind.
  public init(contentsOf url: URL, options: ReadOptions = .init()) throws {
    try self.init(path: filePath(url), options: options)
  }

  /// Writes to a file URL, as ``write(toPath:convention:overwrite:)`` writes to a path.
  ///
  /// Throws as ``write(toPath:convention:overwrite:)``, and `usage.url` for a URL that names no file.
  public func write(
    to url: URL, convention: Convention? = nil, overwrite: Bool = false
  ) throws {
    try write(toPath: filePath(url), convention: convention, overwrite: overwrite)
  }
}

extension LanguageModel {
  /// Opens a model file; throws as ``init(path:vocabularyFile:)``, and `usage.url` for a URL that names no file.
  public init(contentsOf url: URL, vocabularyFile: URL? = nil) throws {
    try self.init(path: filePath(url), vocabularyFile: vocabularyFile.map(filePath))
  }

  /// Writes to a file URL, as ``write(toPath:overwrite:)`` writes to a path.
  ///
  /// Throws as ``write(toPath:overwrite:)``, and `usage.url` for a URL that names no file.
  public func write(to url: URL, overwrite: Bool = false) throws {
    try write(toPath: filePath(url), overwrite: overwrite)
  }
}

extension Convention {
  /// Reads a names file; throws as ``init(path:)``, and `usage.url` for a URL that names no file.
  public init(contentsOf url: URL) throws { try self.init(path: filePath(url)) }
}

extension WeightFile {
  /// Opens a file URL; throws as ``init(path:format:key:)``, and `usage.url` for a URL of another kind.
  public init(_ url: URL, format: WeightFormat? = nil) throws {
    try self.init(path: filePath(url), format: format)
  }

  /// Opens a file URL, as ``init(_:format:)`` does.
  public init(contentsOf url: URL, format: WeightFormat? = nil, key: String? = nil) throws {
    try self.init(path: filePath(url), format: format, key: key)
  }

  /// Writes to a file URL, as ``write(toPath:convention:options:overwrite:)`` writes to a path.
  public func write(
    to url: URL, convention: Convention? = nil, options: ReadOptions = .init(),
    overwrite: Bool = false
  ) throws {
    try write(
      toPath: filePath(url), convention: convention, options: options, overwrite: overwrite)
  }
}

/// The path of a file URL.
private func filePath(_ url: URL) throws -> String {
  guard url.isFileURL else {
    throw RecurrentError(
      .usageURL, found: "the URL \(url)", expected: "a file URL",
      hint: "Download it first.")
  }
  return url.path(percentEncoded: false)
}
