import Tensors

/// Names of modules, each used once.
struct ONNXNames {
  private var used: Set<Name> = []
  /// Where counting goes on, so that many modules of one name stay cheap.
  private var next: [Name: Int] = [:]

  func isUsed(_ name: String) -> Bool { used.contains(Name(name)) }

  /// The name, or the name and a number.
  mutating func unique(_ name: String) -> String {
    var candidate = name
    var number = next[Name(name)] ?? 1
    while !used.insert(Name(candidate)).inserted {
      candidate = "\(name)_\(number)"
      number += 1
    }
    next[Name(name)] = number
    return candidate
  }
}
