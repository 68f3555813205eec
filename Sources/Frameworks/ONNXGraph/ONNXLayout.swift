// The layout of a value: which element of which module's output stands where. Axes are products of
// factors, row-major, so that what a Reshape joins it can also take apart again:
//
//   Y of a node, layout 0     [time] [directions] [batch] [features]
//   behind Transpose 0 2 1 3  [time] [batch] [directions] [features]
//   behind Reshape 0 0 -1     [time] [batch] [directions × features]
//   its last step             [batch] [directions × features], every part of step .last
import Containers
import Tensors

/// Where every element of a value comes from.
struct ONNXLayout: Equatable {
  /// An axis of which a module's output or a model's input consists.
  struct Lead: Hashable {
    /// The same for the same axis wherever it goes.
    var id: Int
    var size: ONNXSize
    /// The first position and the number of positions, where not all.
    var range: Range<Int>?
  }

  /// What a recurrent node puts out of one direction.
  struct Part: Hashable {
    enum Step: Hashable {
      case all, first, last, final, cell
      case other(Int)
    }

    /// The node, counted among the recurrent ones.
    var node: Int
    var direction: Int
    var step: Step
  }

  enum Factor: Hashable {
    case lead(Lead)
    case parts([Part])
    case feature(Int)

    var size: ONNXSize {
      switch self {
      case .lead(let lead): lead.range.map { ONNXSize($0.count) } ?? lead.size
      case .parts(let parts): ONNXSize(parts.count)
      case .feature(let size): ONNXSize(size)
      }
    }

    /// Whether it may be left out of an axis: an axis of the model of size one.
    var isUnitLead: Bool {
      if case .lead = self { return size.known == 1 }
      return false
    }
  }

  /// The axes; `nil` in front for any number of axes that nothing is known of.
  var axes: [[Factor]]
  /// Whether axes of any number and meaning stand before those listed.
  var hasUnknownAxes = false
  /// The part that all elements are of, where no axis counts parts.
  var fixed: Part?

  /// The size of an axis.
  func size(_ axis: Int) -> ONNXSize? {
    axes[axis].reduce(ONNXSize(1)) { $0?.times($1.size) }
  }

  /// Whether an axis is one lead and nothing else.
  func isLead(_ axis: Int, _ lead: Lead) -> Bool {
    let factors = axes[axis]
    if factors == [.lead(lead)] { return true }
    return lead.size.known == 1 && factors.isEmpty
  }

  /// The parts and features of the last axis, where it is made of these alone.
  var features: (parts: [Part], size: Int)? {
    guard let last = axes.last else { return nil }
    switch last.count {
    case 1:
      guard case .feature(let size) = last[0], let fixed else { return nil }
      return ([fixed], size)
    case 2:
      guard case .parts(let parts) = last[0], case .feature(let size) = last[1], fixed == nil else {
        return nil
      }
      return (parts, size)
    default: return nil
    }
  }

  /// All leads before the last axis, where there is nothing else.
  var leads: [Lead]? {
    var result: [Lead] = []
    for factor in axes.dropLast().joined() {
      guard case .lead(let lead) = factor else { return nil }
      result.append(lead)
    }
    return result
  }

  /// The same elements with another step of every part.
  func atStep(_ step: Part.Step) -> ONNXLayout {
    func changed(_ part: Part) -> Part {
      Part(node: part.node, direction: part.direction, step: step)
    }
    var result = self
    result.fixed = fixed.map(changed)
    for axis in axes.indices {
      result.axes[axis] = axes[axis].map { factor in
        if case .parts(let parts) = factor { return .parts(parts.map(changed)) }
        return factor
      }
    }
    return result
  }

  /// The parts, wherever they are.
  var parts: [Part] {
    if let fixed { return [fixed] }
    for factor in axes.joined() {
      if case .parts(let parts) = factor { return parts }
    }
    return []
  }
}
