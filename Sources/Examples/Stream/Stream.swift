// Streams a character model token by token.
//
//   swift run example-stream fixtures/checkpoints/char-rnn.pt "Shall I " 60
import Recurrent

@main
struct Stream {
  /// The characters of the checkpoint in this repository, in the order of its inputs and outputs.
  static let alphabet = Array("\n !',-.:;?ABILMNORSTWabcdefghiklmnoprstuvwxy")

  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 4, let length = Int(arguments[3]), length >= 0 else {
      print("usage: example-stream MODEL PROMPT LENGTH")
      return
    }
    let model = try Model<Float>(path: arguments[1])
    // Prepared once; a step allocates nothing.
    let stream = try model.stream()
    var last = 0
    for character in arguments[2] {
      guard let token = alphabet.firstIndex(of: character) else {
        throw UnknownCharacter(character: character)
      }
      last = token
      try stream.step(oneHot(token))
    }
    print(arguments[2], terminator: "")
    for step in 0..<length {
      if step > 0 || arguments[2].isEmpty { try stream.step(oneHot(last)) }
      last = try NDArray(stream.logits).argmax()
      print(alphabet[last], terminator: "")
    }
    print()
  }

  static func oneHot(_ token: Int) -> [Float] {
    alphabet.indices.map { $0 == token ? 1 : 0 }
  }
}

/// A character that the model has not learned.
struct UnknownCharacter: Error, CustomStringConvertible {
  let character: Character

  var description: String { "The alphabet has no \"\(character)\"." }
}
