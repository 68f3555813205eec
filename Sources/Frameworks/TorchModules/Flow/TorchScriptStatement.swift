import Containers
import Tensors

/// One statement, its expression in the order in which it is worked out.
struct TorchScriptStatement {
  enum Kind: Equatable {
    case assign([String])
    case attribute(String)
    case give
    case pass
    case when
    case otherwise
    /// A loop or another block that is not followed.
    case block(String)
    /// Something that is not understood; the names that it may change.
    case unclear([String])
  }

  /// One step of an expression, on a stack of values.
  enum Step {
    case name(String)
    case value(TorchValue)
    case attribute(String)
    case call(count: Int, names: [String?])
    case list(Int)
    case element
  }

  var indent: Int
  var kind: Kind
  var steps: [Step] = []
  /// Every name in it, for statements that are not understood.
  var names: [String] = []
}

extension TorchScriptStatement {
  /// Reads the tokens of a line.
  init(indent: Int, tokens: [TorchScriptToken]?) {
    self.indent = indent
    guard let tokens, let first = tokens.first else {
      kind = .unclear([])
      names = ["self"]
      return
    }
    names = tokens.compactMap { if case .name(let name) = $0 { name } else { nil } }
    if case .name(let word) = first {
      switch word {
      case "pass":
        kind = .pass
        return
      case "return":
        kind = .give
        if tokens.count == 1 {
          steps = [.value(.none)]
        } else {
          finish(tokens[1...])
        }
        return
      case "if":
        kind = .when
        guard tokens.last == .sign(":") else {
          kind = .block("a condition")
          return
        }
        finish(tokens[1..<(tokens.count - 1)])
        if case .unclear = kind {
          kind = .when
          steps = [.value(.unknown)]
        }
        return
      case "else":
        kind = .otherwise
        return
      case "elif":
        kind = .block("a condition")
        return
      case "for", "while":
        kind = .block("a loop")
        return
      case "with", "try", "def", "class":
        kind = .block("a block of code")
        return
      default: break
      }
    }
    guard let equals = Self.assignment(tokens) else {
      kind = .assign([])
      finish(tokens[...])
      return
    }
    let left = tokens[..<equals]
    guard let target = Self.target(left) else {
      kind = .unclear(Self.plainNames(left))
      return
    }
    kind = target
    finish(tokens[(equals + 1)...])
  }

  private mutating func finish(_ tokens: ArraySlice<TorchScriptToken>) {
    if let steps = TorchScriptExpression.steps(tokens) {
      self.steps = steps
    } else if case .assign(let targets) = kind {
      kind = .unclear(targets)
    } else {
      kind = .unclear(kind == .give ? ["return"] : [])
    }
  }

  /// Where the first `=` outside of brackets stands.
  private static func assignment(_ tokens: [TorchScriptToken]) -> Int? {
    var depth = 0
    for (index, token) in tokens.enumerated() {
      guard case .sign(let sign) = token else { continue }
      switch sign {
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: "=") where depth == 0: return index
      default: break
      }
    }
    return nil
  }

  private static func target(_ tokens: ArraySlice<TorchScriptToken>) -> Kind? {
    guard case .name(let first)? = tokens.first else { return nil }
    let rest = tokens.dropFirst()
    // `x : Type = …`
    if rest.isEmpty || rest.first == .sign(":") { return .assign([first]) }
    if rest.count == 2, rest.first == .sign("."), case .name(let attribute)? = rest.last {
      return .attribute(attribute)
    }
    var names: [String] = []
    var wantsName = true
    for token in tokens {
      switch token {
      case .name(let name) where wantsName: names.append(name)
      case .sign(UInt8(ascii: ",")) where !wantsName: break
      default: return nil
      }
      wantsName.toggle()
    }
    // One name with a comma behind it takes a list of one apart.
    return .assign(names.count == 1 ? names + [""] : names)
  }

  private static func plainNames(_ tokens: ArraySlice<TorchScriptToken>) -> [String] {
    tokens.compactMap { if case .name(let name) = $0 { name } else { nil } }
  }
}

/// Turns an expression into steps; without recursion, because code may be nested without end.
enum TorchScriptExpression {
  private struct Group {
    var opening: UInt8
    var isCall = false
    var isElement = false
    var count = 0
    var names: [String?] = []
    var hasComma = false
    var pendingName: String?
    var hasItem = false
  }
  private static let maximumDepth = 256

  /// The steps, or `nil` for anything that PyTorch's printer does not write.
  static func steps(_ tokens: ArraySlice<TorchScriptToken>) -> [TorchScriptStatement.Step]? {
    var steps: [TorchScriptStatement.Step] = []
    var groups = [Group(opening: 0)]
    // Whether a value has just ended.
    var hasValue = false
    var index = tokens.startIndex
    func endItem() -> Bool {
      guard hasValue else { return false }
      groups[groups.count - 1].count += 1
      groups[groups.count - 1].names.append(groups[groups.count - 1].pendingName)
      groups[groups.count - 1].pendingName = nil
      hasValue = false
      return true
    }
    while index < tokens.endIndex {
      let token = tokens[index]
      index += 1
      switch token {
      case .name(let name):
        guard !hasValue else { return nil }
        switch name {
        case "None": steps.append(.value(.none))
        case "True": steps.append(.value(.bool(true)))
        case "False": steps.append(.value(.bool(false)))
        case "if", "else", "for", "in", "not", "and", "or", "lambda", "is": return nil
        default: steps.append(.name(name))
        }
        hasValue = true
      case .number(let text):
        guard !hasValue, let value = number(text, isNegative: false) else { return nil }
        steps.append(.value(value))
        hasValue = true
      case .text(let text):
        guard !hasValue else { return nil }
        steps.append(.value(.text(text)))
        hasValue = true
      case .sign(let sign):
        switch sign {
        case UInt8(ascii: "-"):
          guard !hasValue, index < tokens.endIndex, case .number(let text) = tokens[index],
            let value = number(text, isNegative: true)
          else { return nil }
          index += 1
          steps.append(.value(value))
          hasValue = true
        case UInt8(ascii: "."):
          guard hasValue, index < tokens.endIndex, case .name(let name) = tokens[index] else {
            return nil
          }
          index += 1
          steps.append(.attribute(name))
        case UInt8(ascii: "("), UInt8(ascii: "["):
          guard groups.count < maximumDepth else { return nil }
          groups.append(
            Group(
              opening: sign, isCall: hasValue && sign == UInt8(ascii: "("),
              isElement: hasValue && sign == UInt8(ascii: "[")))
          hasValue = false
        case UInt8(ascii: "="):
          guard groups[groups.count - 1].isCall, hasValue,
            groups[groups.count - 1].pendingName == nil,
            case .name(let name)? = steps.popLast()
          else { return nil }
          groups[groups.count - 1].pendingName = name
          hasValue = false
        case UInt8(ascii: ","):
          guard endItem() else { return nil }
          groups[groups.count - 1].hasComma = true
        case UInt8(ascii: ")"), UInt8(ascii: "]"):
          _ = endItem()
          guard groups.count > 1, let group = groups.popLast(), group.pendingName == nil,
            group.opening == (sign == UInt8(ascii: ")") ? UInt8(ascii: "(") : UInt8(ascii: "["))
          else { return nil }
          if group.isCall {
            steps.append(.call(count: group.count, names: group.names))
          } else if group.isElement {
            if group.count != 1 { steps.append(.list(group.count)) }
            steps.append(.element)
          } else if sign == UInt8(ascii: "]") || group.hasComma || group.count == 0 {
            steps.append(.list(group.count))
          }
          hasValue = true
        default: return nil
        }
      }
    }
    _ = endItem()
    guard groups.count == 1, let top = groups.first, top.count > 0 else { return nil }
    if top.hasComma { steps.append(.list(top.count)) }
    return steps
  }

  private static func number(_ text: String, isNegative: Bool) -> TorchValue? {
    if let value = Int(text) { return .int(isNegative ? -value : value) }
    guard let value = Double(text.hasSuffix(".") ? text + "0" : text) else { return nil }
    return .float(isNegative ? -value : value)
  }
}
