import Networks
import Tensors

/// How far a conversion has come; each phase reads every tensor that it concerns once.
public struct ConversionProgress: Sendable {
  /// What is being done.
  package enum Phase: String, Sendable {
    /// Finding out what a narrower type loses.
    case rounding
    /// Writing the output.
    case writing
    /// Comparing what was written with what was planned.
    case comparing
  }

  /// What is being done.
  package let phase: Phase
  /// What is being done, in a word: rounding, writing or comparing.
  public var activity: String { phase.rawValue }
  /// The bytes of this phase that are done.
  public let done: Int
  /// All bytes of this phase.
  public let total: Int
}

/// Counts the bytes of a phase, each once even if a container reads it twice.
///
/// A conversion reads its tensors on one thread, so nothing here is locked.
final class PhaseCounter: @unchecked Sendable {
  private let onProgress: @Sendable (ConversionProgress) -> Void
  private var phase = ConversionProgress.Phase.writing
  private var total = 0
  private var done = 0
  private var ends: [Int] = []
  private var positions: [Name: Int] = [:]

  init(_ onProgress: @escaping @Sendable (ConversionProgress) -> Void) {
    self.onProgress = onProgress
  }

  func begin(_ phase: ConversionProgress.Phase, _ state: StateDict) {
    self.phase = phase
    total = state.byteCount
    done = 0
    ends = Array(repeating: 0, count: state.count)
    positions = Dictionary(
      zip(state.names, 0..<state.count), uniquingKeysWith: { first, _ in first })
    onProgress(ConversionProgress(phase: phase, done: 0, total: total))
  }

  /// Counts further bytes of a tensor.
  func note(_ name: Name, _ count: Int) {
    guard let position = positions[name] else { return }
    note(position, 0..<ends[position] + count)
  }

  func note(_ position: Int, _ bytes: Range<Int>) {
    guard bytes.upperBound > ends[position] else { return }
    done += bytes.upperBound - ends[position]
    ends[position] = bytes.upperBound
    onProgress(ConversionProgress(phase: phase, done: done, total: total))
  }
}
