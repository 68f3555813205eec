import Containers
import Frameworks
import Networks
import Tensors

/// What a file would lose in each container and each convention.
package struct ConversionPreview: Sendable {
  /// A container, or a convention in a container that takes any.
  package enum Target: Sendable {
    /// A container, with the convention that a conversion chooses there.
    case container(WeightFormat)
    /// A convention.
    case convention(Convention)
  }

  /// Where to.
  package let target: Target
  /// What would be lost, one phrase each; empty when nothing would.
  package let losses: [String]
  /// Why it is impossible.
  package let refusal: RecurrentError?

  /// One line for people: `nothing`, `metadata source`, `refused: …`.
  package var summary: String {
    if let refusal {
      return "refused: \(refusal.found)" + (refusal.hint.map { " (\($0))" } ?? "")
    }
    return losses.isEmpty ? "nothing" : losses.joined(separator: "; ")
  }

  /// Plans a conversion of a file to every container and every other convention; writes nothing.
  ///
  /// Throws what reading the file throws.
  package static func all(
    of file: WeightFile, reading: ReadOptions = .init()
  ) throws -> [ConversionPreview] {
    var options = ConversionOptions()
    options.reading = reading
    // Every plan needs the same modules; one that cannot have them says why itself.
    let list = try? ModuleList(PlanDraft.described(file.state), options: reading)
    var previews: [ConversionPreview] = []
    var own: Convention?
    for format in WeightFormat.all where format.isWritable {
      options.outputFormat = format
      options.convention = nil
      let preview = try Self.preview(file, list, .container(format), options) {
        own = own ?? $0.modules.first?.module.convention
      }
      previews.append(preview)
    }
    guard let own else { return previews }
    options.outputFormat = .safetensors
    for convention in Convention.all where convention.name != own.name {
      options.convention = convention
      previews.append(try preview(file, list, .convention(convention), options) { _ in })
    }
    return previews
  }

  private static func preview(
    _ file: WeightFile, _ list: ModuleList?, _ target: Target, _ options: ConversionOptions,
    _ body: (ConversionPlan) -> Void
  ) throws -> ConversionPreview {
    do {
      let plan = try ConversionPlan(file, to: "", options: options, list: list, isPreview: true)
      body(plan)
      var losses: [String] = []
      if !plan.droppedMetadata.isEmpty {
        losses.append("metadata " + plan.droppedMetadata.joined(separator: ", "))
      }
      let modules = plan.modules.filter { $0.fate == .leftBehind }.map(\.module.name)
      if !modules.isEmpty { losses.append("modules " + modules.joined(separator: ", ")) }
      let skipped = Set(file.state.skipped)
      losses += plan.leftBehind.filter { !skipped.contains($0) && !$0.hasPrefix("metadata ") }
      if plan.roundsSums { losses.append("pairs of biases become their sums, rounded once") }
      return ConversionPreview(target: target, losses: losses, refusal: nil)
    } catch let error as RecurrentError {
      return ConversionPreview(target: target, losses: [], refusal: error)
    }
  }
}
