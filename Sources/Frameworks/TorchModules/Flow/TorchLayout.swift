import Containers
import Tensors

/// One layer in one direction.
struct TorchState: Equatable {
  let layer: Int
  let direction: Int
}

/// What an axis of a recurrent result runs over.
enum TorchAxis: Equatable {
  case time
  case batch
  /// One element only.
  case one
  /// The states of these layers and directions.
  case states([TorchState])
  /// The states by layer; the axis `columns` behind it counts the directions.
  case grid([TorchState])
  case columns
  /// The two axes before it in one, the first of them outside.
  case rows([TorchAxis])
  case feature
}

/// A run of features that belong together.
struct TorchPart: Equatable {
  enum Content: Equatable { case output, hidden, cell, features }
  enum Step: Equatable { case every, last, first }

  var content: Content
  var layer = 0
  var direction = 0
  var step = Step.every
  var size: Int?
}

/// How a value that comes from a recurrent module, or from a linear layer behind one, is laid out.
///
/// Operations that only move, select or join what is known change a layout; everything else ends it.
struct TorchLayout: Equatable {
  /// The axes in order; `feature` is one of them.
  var axes: [TorchAxis]
  /// What lies along the features; nothing while an axis of states is there.
  var parts: [TorchPart]
  /// The axes of the same result when nothing has moved.
  var canonical: [TorchAxis]
  /// The features of the same result when nothing has moved.
  var whole: [TorchPart]
  /// What the axis of states holds.
  var stateContent = TorchPart.Content.hidden
  /// The size of one state.
  var stateSize: Int?
  /// How many directions the module has.
  var directions = 1
  /// Whether rows of different lengths are padded, so that the last step of all is not everyone's last.
  var isPadded = false

  /// Whether nothing has moved.
  var isCanonical: Bool { axes == canonical && parts == whole }

  /// The place of an axis that may count from the end; `extra` for an axis that is yet to come.
  func axis(_ index: Int, extra: Int = 0) -> Int? {
    let count = axes.count + extra
    let place = index < 0 ? index + count : index
    return (0..<count).contains(place) ? place : nil
  }

  // MARK: What is read

  /// Which result of the recurrent module these are, if all of them in order and nothing else.
  func reads(layers: Int) -> (reads: HeadReads, canonical: [TorchAxis])? {
    let layout = withoutSingleStates()
    let lead = layout.axes.filter { $0 != .feature && $0 != .one }
    guard layout.parts.count == directions,
      layout.parts.enumerated().allSatisfy({ $0.offset == $0.element.direction })
    else { return nil }
    let parts = layout.parts
    if parts.allSatisfy({ $0.content == .output && $0.step == .every }) {
      if case .rows? = lead.first, lead.count == 1 { return (.sequence, canonical) }
      return lead == [.time, .batch] || lead == [.batch, .time] ? (.sequence, canonical) : nil
    }
    guard lead == [.batch] else { return nil }
    let vector: [TorchAxis] = [.batch, .feature]
    if parts.allSatisfy({ $0.content == .output && $0.step == .last }), !isPadded {
      return (.last, vector)
    }
    // Without padding, a direction's final state is its output at its own last step.
    let isFinal = parts.allSatisfy { part in
      switch part.content {
      case .hidden: part.layer == layers - 1
      case .output: !isPadded && part.step == (part.direction == 0 ? .last : .first)
      default: false
      }
    }
    return isFinal ? (.final, vector) : nil
  }

  /// The same with an axis of a single state taken as that state.
  private func withoutSingleStates() -> TorchLayout {
    var copy = self
    for (index, axis) in axes.enumerated() {
      guard case .states(let states) = axis, states.count == 1, let state = states.first else {
        continue
      }
      copy.axes[index] = .one
      copy.parts = [part(state)]
    }
    return copy
  }

  func part(_ state: TorchState) -> TorchPart {
    TorchPart(
      content: stateContent, layer: state.layer, direction: state.direction, size: stateSize)
  }
}
