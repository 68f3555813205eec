import RNNEngine
import Tensors

extension LanguageModel {
  /// Goes on from a prompt by `length` tokens, and hands over the bytes of each as it is chosen.
  ///
  /// The prompt itself is not handed over. Without one the model starts after a line break if it knows
  /// one, else after token 0. Throws what ``Vocabulary/encode(_:)-(String)`` throws of the prompt.
  public func generate(
    after prompt: [UInt8] = [], length: Int, choice: TokenChoice, seed: Int = 0,
    emit: ([UInt8]) throws -> Void
  ) throws {
    let stream = try network.stream()
    var generator = TorchGenerator(seed: seed)
    var input = [S](repeating: 0, count: network.embedding == nil ? vocabulary.count : 0)
    func read(_ token: Int) throws {
      guard network.embedding == nil else { return try stream.step(tokens: [token]) }
      input[token] = 1
      try stream.step(input)
      input[token] = 0
    }
    let given = try vocabulary.encode(prompt)
    var previous = given.last
    if given.isEmpty {
      let start = (try? vocabulary.encode("\n"))?.first ?? 0
      try read(start)
      previous = start
    }
    for token in given { try read(token) }
    for position in 0..<max(0, length) {
      let token = try choice(stream.logits, using: &generator)
      let isFirst = position == 0 && given.isEmpty
      try emit(vocabulary.bytes(of: token, after: isFirst ? nil : previous))
      previous = token
      if position < length - 1 { try read(token) }
    }
  }

  /// The text that follows a prompt; bytes that are no UTF-8 are replaced.
  ///
  /// Throws `train.unknown-character` for a prompt with characters that the vocabulary lacks.
  public func text(
    after prompt: String, length: Int, choice: TokenChoice, seed: Int = 0
  ) throws -> String {
    var bytes: [UInt8] = []
    try generate(after: Array(prompt.utf8), length: length, choice: choice, seed: seed) {
      bytes += $0
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
