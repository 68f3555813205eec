// Goes on training a PyTorch checkpoint with other text, and hands it back as a PyTorch checkpoint.
//
//   swift run example-fine-tune fixtures/checkpoints/char-rnn.pt "so long lives this" 100 tuned.pt
//   python -c 'model.load_state_dict(torch.load("tuned.pt"), strict=True)'
import Recurrent

@main
struct FineTune {
  static let alphabet = Array("\n !',-.:;?ABILMNORSTWabcdefghiklmnoprstuvwxy")

  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 5, let steps = Int(arguments[3]), steps > 0 else {
      print("usage: example-fine-tune MODEL TEXT STEPS OUTPUT")
      return
    }
    var model = try Model<Float>(path: arguments[1])
    let tokens = try arguments[2].map { character -> Int in
      guard let token = alphabet.firstIndex(of: character) else {
        throw UnknownCharacter(character: character)
      }
      return token
    }
    guard tokens.count > 1 else {
      print("TEXT: at least two characters")
      return
    }
    // Every character predicts the next: x is (T, 1, D), the targets are (T, 1).
    let column = NDArray(tokens).insertingAxis(at: 1)
    let x = try NDArray<Float>(oneHot: column[..<(tokens.count - 1)], classes: alphabet.count)
    let targets = Targets<Float>.classes(column[1...])
    var optimizer = Adam<Float>(learningRate: 1e-3)
    for step in 1...steps {
      var gradients = try model.backward(x, targets: targets, loss: .crossEntropy())
      if step == 1 { print("loss before  \(gradients.loss)") }
      if step == steps { print("loss after   \(gradients.loss)") }
      gradients.clipByGlobalNorm(max: 1)
      try optimizer.step(&model, gradients: gradients)
    }
    // The same keys as before, read back before the file appears.
    try model.write(toPath: arguments[4], overwrite: true)
    print("wrote \(arguments[4])")
  }
}

/// A character that the model has not learned.
struct UnknownCharacter: Error, CustomStringConvertible {
  let character: Character

  var description: String { "The alphabet has no \"\(character)\"." }
}
