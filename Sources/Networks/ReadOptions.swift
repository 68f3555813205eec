import RNNEngine
import Tensors

/// What a caller knows about a file that its tensors do not say.
public struct ReadOptions: Sendable {
  /// Which module stands beside the recurrent one.
  public enum Neighbour: Sendable, Equatable {
    /// None does, whatever names and shapes suggest.
    case none
    /// The module with this name.
    case named(String)
  }

  /// The convention to read as; `nil` to recognise it.
  public var convention: Convention?
  /// The name of the recurrent module, when there are several.
  public var module: String?
  /// The linear layer behind it; `nil` to find out.
  public var head: Neighbour?
  /// Which of its results the head reads; `nil` for what the file says, or every step.
  public var headReads: HeadReads?
  /// A matrix to be read as a table, wherever it stands.
  package var table: String?
  /// The embedding before it; `nil` to find out.
  public var embedding: Neighbour?
  /// The cell, where shapes leave it open (tanh or relu).
  public var cell: Cell?
  /// Where a GRU applies its reset gate, which shapes never say.
  public var gruReset: GRUReset?
  /// Whether x and output are (N, T, ·), which weights never say.
  public var batchFirst: Bool?

  /// Creates options; everything is recognised by default.
  public init(
    convention: Convention? = nil, module: String? = nil, cell: Cell? = nil,
    gruReset: GRUReset? = nil, head: Neighbour? = nil, headReads: HeadReads? = nil,
    embedding: Neighbour? = nil, batchFirst: Bool? = nil
  ) {
    self.convention = convention
    self.module = module
    self.cell = cell
    self.gruReset = gruReset
    self.head = head
    self.headReads = headReads
    self.embedding = embedding
    self.batchFirst = batchFirst
  }
}
