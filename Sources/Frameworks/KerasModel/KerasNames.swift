// How Keras 3 names the objects that hold a model's variables in a file.
//
//   layers/lstm/cell/vars/0                          the first LSTM of the model, its kernel
//   layers/lstm_1/cell/vars/1                        the second LSTM, its recurrent kernel
//   layers/bidirectional/forward_layer/cell/vars/2   a bias
//   layers/sequential/layers/dense/vars/0            inside a nested model
//
// The pieces are classes in snake case, numbered in each container in the order of its layers; the
// layers' own names do not occur. All Keras files are read into these names, whatever their layout.

import Containers
import Tensors

/// Hands out the names of one container's objects.
struct KerasNumbering {
  private var counts: [String: Int] = [:]

  /// The next name of a class: `lstm`, then `lstm_1`.
  mutating func next(_ className: String) -> String {
    let name = kerasSnakeCase(className)
    let count = counts[name, default: 0]
    counts[name] = count + 1
    return count == 0 ? name : "\(name)_\(count)"
  }
}

/// A class name as Keras spells it in paths: `SimpleRNN` becomes `simple_rnn`.
func kerasSnakeCase(_ className: String) -> String {
  let letters = className.unicodeScalars.filter {
    $0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_"
  }
  func isUpper(_ scalar: Unicode.Scalar) -> Bool { ("A"..."Z").contains(scalar) }
  func isLower(_ scalar: Unicode.Scalar) -> Bool { ("a"..."z").contains(scalar) }
  var result = ""
  let scalars = Array(letters)
  for (index, scalar) in scalars.enumerated() {
    if index > 0, isUpper(scalar) {
      let beginsWord = index + 1 < scalars.count && isLower(scalars[index + 1])
      if beginsWord || isLower(scalars[index - 1]) { result += "_" }
    }
    result.unicodeScalars.append(scalar)
  }
  return result.lowercased()
}

/// Names of variables under a module's prefix.
package enum KerasNames {
  /// The prefixes of all groups of variables, in file order, with `#` for a variable's number or
  /// `*` for its word.
  package static func prefixes(in state: StateDict) -> [String] {
    var seen: Set<Name> = []
    return state.names.compactMap { name in
      var text = name.string
      let hasNumber = text.hasSuffix(":0")
      if hasNumber { text.removeLast(2) }
      guard let slash = text.lastIndex(of: "/") else { return nil }
      let word = text[text.index(after: slash)...]
      let stem = text[...slash]
      let prefix: String
      if stem.hasSuffix("/vars/"), Int(word) != nil {
        prefix = stem + "#"
      } else if ["kernel", "recurrent_kernel", "bias", "embeddings"].contains(word) {
        prefix = stem + "*" + (hasNumber ? ":0" : "")
      } else {
        return nil
      }
      return seen.insert(Name(prefix)).inserted ? prefix : nil
    }
  }

  /// The name of variable `index`: a `#` in the prefix stands for its number, a `*` for its word.
  static func variable(
    _ prefix: String, _ index: Int, words: [String] = ["kernel", "recurrent_kernel", "bias"]
  ) -> Name {
    var text = ""
    for character in prefix {
      switch character {
      case "#": text += String(index)
      case "*": text += words.indices.contains(index) ? words[index] : String(index)
      default: text.append(character)
      }
    }
    return Name(text)
  }
}
