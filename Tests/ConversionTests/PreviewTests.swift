import Containers
import Conversion
import Foundation
import Frameworks
import Networks
import Tensors
import TestSupport
import Testing

/// What rnn-inspect says that a conversion would lose is what rnn-convert's plan says.
@Suite("What a preview says is lost is what the plan says")
struct PreviewTests {
  private static let golden = "\(Checkout.root)/fixtures/golden"

  static let folders = ((try? FileManager.default.contentsOfDirectory(atPath: golden)) ?? [])
    .filter { $0 != "engine" }  // numbers, no weights
    .sorted()

  @Test func theGoldensAreThere() { #expect(Self.folders.count >= 18) }

  @Test(arguments: folders) func previewAndPlanAreOneComputation(_ folder: String) throws {
    // What PyTorch cannot express is refused in one place as in the other.
    let paths = try [Self.golden, "\(Checkout.root)/Tests/Support/Refused"].flatMap { root in
      let place = "\(root)/\(folder)"
      guard FileManager.default.fileExists(atPath: place) else { return [String]() }
      return try FileManager.default.subpathsOfDirectory(atPath: place).sorted()
        .map { "\(place)/\($0)" }
    }
    var compared = 0
    for path in paths {
      var isDirectory: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
        !isDirectory.boolValue, !path.hasSuffix(".json"), let file = try? WeightFile(path: path)
      else { continue }
      for preview in try ConversionPreview.all(of: file) {
        var options = ConversionOptions()
        switch preview.target {
        case .container(let format): options.outputFormat = format
        case .convention(let convention):
          (options.outputFormat, options.convention) = (.safetensors, convention)
        }
        let target =
          "\(path) to \(options.convention?.name ?? options.outputFormat?.name ?? "")"
        let plan: ConversionPlan
        do {
          plan = try ConversionPlan(
            from: path, to: newPath("/never-written"), options: options)
        } catch let error as RecurrentError {
          #expect(preview.refusal?.reason.code == error.reason.code, "\(target)")
          #expect(preview.summary.hasPrefix("refused: \(error.found)"), "\(target)")
          continue
        }
        compared += 1
        #expect(preview.refusal == nil, "\(target): \(preview.summary)")
        var expected: [String] = []
        if !plan.droppedMetadata.isEmpty {
          expected.append("metadata " + plan.droppedMetadata.joined(separator: ", "))
        }
        let behind = plan.modules.filter { $0.fate == .leftBehind }.map(\.module.name)
        if !behind.isEmpty { expected.append("modules " + behind.joined(separator: ", ")) }
        for line in plan.leftBehind {
          let isMetadata = plan.droppedMetadata.contains { line.hasPrefix("metadata \($0) = ") }
          if !isMetadata, !file.state.skipped.contains(line) { expected.append(line) }
        }
        #expect(preview.losses.filter { !$0.contains("rounded once") } == expected, "\(target)")
        #expect(
          preview.losses.contains("pairs of biases become their sums, rounded once")
            == plan.roundsSums, "\(target)")
        // Every tensor is used, or something is said to be left behind.
        #expect(plan.unusedTensors.isEmpty || !preview.losses.isEmpty, "\(target)")
      }
    }
    // Files of single arrays and of TensorFlow's bookkeeping have nothing to compare.
    #expect(compared > 0 || folder == "npy", "\(folder)")
  }
}
