import Containers
import Frameworks
import Networks
import RNNEngine
import Tensors

/// What a conversion should do.
public struct ConversionOptions: Sendable {
  /// The input's container; `nil` to recognise it by content.
  public var inputFormat: WeightFormat?
  /// The output's container; `nil` to choose it by extension.
  public var outputFormat: WeightFormat?
  /// What the caller knows about the input.
  public var reading = ReadOptions()
  /// The output's convention; `nil` for the container's, or else the input's.
  public var convention: Convention?
  /// The output's floating-point type; `nil` to keep every tensor's own.
  public var dtype: DType?
  /// Whether assumptions, roundings and things left behind are errors.
  public var isStrict = false
  /// Whether the output is proven equal before it appears.
  public var verifies = true
  /// The number of parameters up to which both networks are run to prove a change of convention.
  ///
  /// Running needs memory in proportion to the parameters; larger networks are proven by comparing
  /// parameter by parameter, which needs the same memory for any size.
  public var largestRun = 1 << 21
  /// Whether an existing output may be replaced.
  public var overwrites = false
  /// Called after every piece of work, on the thread that converts.
  public var progress: (@Sendable (ConversionProgress) -> Void)?

  /// Creates options that keep everything as it is.
  public init() {}

  /// The output's container: asked for, or by the extension of the path.
  func container(of outputPath: String) throws -> WeightFormat {
    try outputFormat?.holding(convention)
      ?? WeightFormat.forWriting(path: outputPath, as: convention)
  }

  /// Whether the caller asked for something that needs the meaning of the tensors.
  var needsMeaning: Bool {
    convention != nil || reading.convention != nil || reading.module != nil || reading.cell != nil
      || reading.head != nil || reading.embedding != nil
  }
}

extension WeightFormat {
  /// The container that a path's extension asks for, for weights in a convention; throws `.usage` for none.
  package static func forWriting(path: String, as convention: Convention?) throws -> WeightFormat {
    try forWriting(path: path).holding(convention)
  }

  /// Keras has an HDF5 layout of its own, and would not find plain datasets.
  fileprivate func holding(_ convention: Convention?) -> WeightFormat {
    name == WeightFormat.hdf5.name && convention?.name == Convention.keras.name
      ? .kerasLegacy : self
  }
}
