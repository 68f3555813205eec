import Tensors
import Testing

@testable import RNNEngine

@Suite("Clipping and SGD have PyTorch's bits")
struct OptimizationTests {
  private func pair(_ a: [Float], _ b: [Float]) throws -> Parameters<Float> {
    var parameters = Parameters<Float>()
    parameters.append("a", try NDArray(shape: [3], elements: a))
    parameters.append("b", try NDArray(shape: [2, 1], elements: b))
    return parameters
  }

  private func bits(_ parameters: Parameters<Float>) -> [[UInt32]] {
    parameters.entries.map { $0.array.elements.map(\.bitPattern) }
  }

  /// Bit patterns from torch 2.13: `clip_grad_norm_(1.0)`, then `SGD(lr=0.1).step()`.
  @Test func clippingAndStepHaveTorchsBits() throws {
    var parameters = try pair([0.1, -0.7, 0.3], [1.5, 2.25])
    var gradients = try pair([0.9, -1.1, 0.4], [-2.3, 0.7])
    let norm = gradients.clipByGlobalNorm(max: 1)
    #expect(norm.bitPattern == 0x4034_90F3)
    #expect(
      bits(gradients) == [[0x3EA3_5381, 0xBEC7_9EF3, 0x3E11_2DC8], [0xBF50_B1CF, 0x3E7E_101E]])
    var optimizer = SGD<Float>(learningRate: 0.1)
    try optimizer.step(&parameters, gradients: gradients)
    #expect(
      bits(parameters) == [[0x3D8B_7833, 0xBF29_380D, 0x3E92_5750], [0x3FCA_6F4A, 0x400E_6980]])
  }

  @Test func smallGradientsKeepTheirSize() throws {
    var gradients = try pair([0.1, 0, 0], [0, 0.1])
    let before = bits(gradients)
    gradients.clipByGlobalNorm(max: 5)
    #expect(bits(gradients) == before)
  }

  @Test func groupsShareOneNorm() throws {
    var together = try [pair([0.9, -1.1, 0.4], [0, 0]), pair([0, 0, 0], [-2.3, 0.7])]
    let norm = together.clipByGlobalNorm(max: 1)
    #expect(norm.bitPattern == 0x4034_90F3)
    #expect(together[1]["b"]?.elements[0].bitPattern == 0xBF50_B1CF)
  }

  @Test func notANumberSpreadsThroughTheNorm() throws {
    var gradients = try pair([.nan, 1, 2], [3, 4])
    let norm = gradients.clipByGlobalNorm(max: 1)
    #expect(norm.isNaN)
    #expect(gradients["b"]?.elements.allSatisfy(\.isNaN) == true)
  }

  @Test func valuesAreClipped() throws {
    var gradients = try pair([-7, 0.5, 7], [1, -1])
    gradients.clipByValue(max: 1)
    #expect(gradients["a"]?.elements == [-1, 0.5, 1])
    #expect(gradients["b"]?.elements == [1, -1])
  }

  @Test func stepNeedsMatchingGradients() throws {
    var parameters = try pair([1, 2, 3], [4, 5])
    let before = bits(parameters)
    var gradients = parameters
    gradients["b"] = nil
    var optimizer = SGD<Float>(learningRate: 1)
    let error = #expect(throws: RecurrentError.self) {
      try optimizer.step(&parameters, gradients: gradients)
    }
    #expect(error?.reason.code == "engine.missing-parameter")
    #expect(bits(parameters) == before)
  }
}
