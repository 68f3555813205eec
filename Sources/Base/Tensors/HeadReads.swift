/// Which of a recurrent module's results a following module takes.
public enum HeadReads: String, Sendable, CaseIterable {
  /// The output of every step.
  case sequence
  /// The output of the last valid step: of both directions the step at the end of the sequence.
  case last
  /// The final states of the last layer, directions concatenated, forward first.
  case final
}
