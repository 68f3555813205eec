import Containers
import Tensors

/// A method or function of the code, ready to be followed.
struct TorchScriptMethod {
  struct Parameter {
    var name: String
    /// Whether its type admits `None`.
    var isOptional: Bool
    /// What it is when the caller gives nothing.
    var fallback: TorchValue?
  }

  var parameters: [Parameter]
  var statements: [TorchScriptStatement]
  private static let maximumStatements = 200_000

  /// Reads a method from the line of its `def` on; `nil` if that line is not understood.
  init?(_ text: ArraySlice<UInt8>) {
    var lines = TorchScriptLines(text)
    guard let header = lines.next(), let tokens = header.tokens,
      let parameters = Self.parameters(tokens)
    else { return nil }
    self.parameters = parameters
    statements = []
    while let line = lines.next(), line.indent > header.indent {
      guard statements.count < Self.maximumStatements else { return nil }
      statements.append(TorchScriptStatement(indent: line.indent, tokens: line.tokens))
    }
  }

  private static func parameters(_ tokens: [TorchScriptToken]) -> [Parameter]? {
    guard tokens.count > 4, tokens[0] == .name("def"), tokens[2] == .sign("(") else { return nil }
    var result: [Parameter] = []
    var depth = 0
    var current: [TorchScriptToken] = []
    for token in tokens[3...] {
      if case .sign(let sign) = token {
        switch sign {
        case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: ")") where depth == 0, UInt8(ascii: ",") where depth == 0:
          if !current.isEmpty {
            guard let parameter = parameter(current) else { return nil }
            result.append(parameter)
          }
          current = []
          if sign == UInt8(ascii: ")") { return result }
          continue
        case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
        default: break
        }
      }
      current.append(token)
    }
    return nil
  }

  private static func parameter(_ tokens: [TorchScriptToken]) -> Parameter? {
    guard case .name(let name)? = tokens.first else { return nil }
    var fallback: TorchValue?
    if let equals = tokens.firstIndex(of: .sign("=")) {
      fallback = .unknown
      let steps = TorchScriptExpression.steps(tokens[(equals + 1)...])
      if steps?.count == 1, case .value(let value)? = steps?.first { fallback = value }
    }
    return Parameter(
      name: name, isOptional: tokens.contains(.name("Optional")), fallback: fallback)
  }
}

extension TorchScriptCode {
  /// A class name without the parts that only tell copies apart (`torch.nn.modules.rnn.GRU`).
  static func plainClass(_ name: String) -> String {
    let parts = name.split(whereSeparator: { $0 == "." || $0 == " " }).filter {
      !$0.hasPrefix("___torch_mangle_") && $0 != "__torch__"
    }
    return parts.joined(separator: ".")
  }
}
