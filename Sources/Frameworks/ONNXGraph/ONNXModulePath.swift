import Containers
import Tensors

extension ONNXNode {
  /// The module of PyTorch that the node comes from ("encoder.rnn"), as either exporter notes it.
  var modulePath: String? {
    if let scopes {
      // "['', 'encoder', 'encoder.rnn', 'lstm']": the last is the operation, the one before the module.
      let parts = scopes.split(separator: ",").map { part in
        String(part.filter { !" []'\"".contains($0) })
      }
      return parts.count >= 2 ? parts[parts.count - 2] : nil
    }
    guard name.hasPrefix("/") else { return nil }
    return name.split(separator: "/", omittingEmptySubsequences: false).dropFirst().dropLast()
      .joined(separator: ".")
  }
}
