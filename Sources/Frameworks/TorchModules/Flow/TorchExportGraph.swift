// The graph of an exported program (models/model.json): nodes in the order of execution, whose
// arguments name earlier results, parameters, buffers and inputs.
//
//   {"graph_module": {
//     "graph": {"nodes": [{"target": "torch.ops.aten.select.int",
//                          "inputs": [{"name": "dim", "arg": {"as_int": 0}, "kind": 1}, …],
//                          "outputs": [{"as_tensor": {"name": "select"}}],
//                          "metadata": {"nn_module_stack": "KEY,PATH,CLASS;…", …}}, …], …},
//     "signature": {"input_specs": [{"parameter": {"arg": {"name": …}, "parameter_name": …}}, …],
//                   "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": …}}}}, …]}}}

import Containers
import Tensors

/// Follows the graph of an exported program.
struct TorchExportGraph {
  private var flow: TorchFlow
  private var values: [String: TorchValue] = [:]

  /// What a program states.
  static func structure(_ model: JSON, _ state: StateDict) -> Structure? {
    guard let module = model["graph_module"], let nodes = module["graph"]?["nodes"]?.arrayValue,
      let signature = module["signature"]
    else { return nil }
    var graph = TorchExportGraph(flow: TorchFlow(state))
    graph.addInputs(signature)
    for node in nodes {
      guard graph.flow.failure == nil else { break }
      graph.run(node)
    }
    graph.addOutputs(signature)
    return graph.flow.structure()
  }

  private init(flow: TorchFlow) { self.flow = flow }

  private mutating func addInputs(_ signature: JSON) {
    var changed: Set<String> = []
    for spec in signature["output_specs"]?.arrayValue ?? [] {
      for key in ["buffer_mutation", "parameter_mutation"] {
        if let name = spec[key]?["buffer_name"]?.stringValue
          ?? spec[key]?["parameter_name"]?.stringValue
        {
          changed.insert(name)
        }
      }
    }
    for spec in signature["input_specs"]?.arrayValue ?? [] {
      let kinds = [
        ("parameter", "parameter_name"), ("buffer", "buffer_name"),
        ("tensor_constant", "tensor_constant_name"),
      ]
      for (kind, key) in kinds {
        guard let argument = spec[kind]?["arg"]?["name"]?.stringValue,
          let name = spec[kind]?[key]?.stringValue
        else { continue }
        if changed.contains(name) {
          var tensor = TorchTensor(origin: .derived)
          tensor.trails = [
            TorchTensor.Trail(
              module: nil, operations: ["\(name), which is kept from call to call"])
          ]
          values[argument] = flow.add(tensor)
        } else {
          values[argument] =
            kind == "tensor_constant"
            ? flow.add(TorchTensor(origin: .constant)) : flow.stored(name)
        }
      }
      if let name = spec["user_input"]?["arg"]?["as_tensor"]?["name"]?.stringValue {
        values[name] = flow.argument(isOptional: false)
      }
    }
  }

  private mutating func addOutputs(_ signature: JSON) {
    var results: [TorchValue] = []
    for spec in signature["output_specs"]?.arrayValue ?? [] {
      // A buffer that is kept for the next call is a result as well.
      for kind in ["user_output", "buffer_mutation", "user_input_mutation"] {
        guard let argument = spec[kind]?["arg"] else { continue }
        let name = argument["as_tensor"]?["name"]?.stringValue ?? argument["name"]?.stringValue
        if let name, let value = values[name] { results.append(value) }
      }
    }
    flow.give(.list(results))
  }

  private mutating func run(_ node: JSON) {
    guard let target = node["target"]?.stringValue else { return }
    var call = TorchCall(operation: Self.operation(target), arguments: [])
    for input in node["inputs"]?.arrayValue ?? [] {
      let value = value(input["arg"])
      if input["kind"]?.intValue == 2, let name = input["name"]?.stringValue {
        call.named[name] = value
      } else {
        call.arguments.append(value)
      }
    }
    enter(node["metadata"]?["nn_module_stack"]?.stringValue)
    let result = flow.apply(call)
    let names = (node["outputs"]?.arrayValue ?? []).map { output -> [String] in
      if let name = output["as_tensor"]?["name"]?.stringValue { return [name] }
      return (output["as_tensors"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
    }.flatMap { $0 }
    if let items = result.list, items.count == names.count {
      for (name, item) in zip(names, items) { values[name] = item }
    } else {
      let single = result.list == nil ? result : flow.derived(call.operation, from: [result])
      for name in names { values[name] = single }
    }
  }

  /// `select` of `torch.ops.aten.select.int`.
  private static func operation(_ target: String) -> String {
    let parts = target.split(separator: ".", omittingEmptySubsequences: false)
    if target.hasPrefix("torch.ops."), parts.count >= 4 { return String(parts[3]) }
    return String(parts.last ?? "")
  }

  private func value(_ argument: JSON?) -> TorchValue {
    guard let argument, let member = argument.objectValue?.first else { return .unknown }
    let content = member.value
    switch member.key {
    case "as_tensor": return content["name"]?.stringValue.flatMap { values[$0] } ?? .unknown
    case "as_tensors":
      return .list(
        (content.arrayValue ?? []).map { item in
          item["name"]?.stringValue.flatMap { values[$0] } ?? .unknown
        })
    case "as_optional_tensors":
      return .list(
        (content.arrayValue ?? []).map { item in
          item["as_tensor"]?["name"]?.stringValue.flatMap { values[$0] } ?? .none
        })
    case "as_none": return .none
    case "as_int": return content.intValue.map { .int($0) } ?? .unknown
    case "as_bool": return content.boolValue.map { .bool($0) } ?? .unknown
    case "as_float": return content.doubleValue.map { .float($0) } ?? .unknown
    case "as_string": return content.stringValue.map { .text($0) } ?? .unknown
    case "as_ints":
      return .list(
        (content.arrayValue ?? []).map { item in item.intValue.map { .int($0) } ?? .unknown })
    case "as_sym_ints":
      return .list(
        (content.arrayValue ?? []).map { item in
          item["as_int"]?.intValue.map { .int($0) } ?? .unknown
        })
    default: return .unknown
    }
  }

  /// Notes the module that a node belongs to: the last of `KEY,PATH,CLASS;…`.
  private mutating func enter(_ stack: String?) {
    flow.site = nil
    guard let last = stack?.split(separator: ";").last else { return }
    let parts = last.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[2].hasPrefix("torch.nn."),
      !TorchClasses.isContainer(String(parts[2]))
    else { return }
    let className = parts[2].split(separator: ".").last.map(String.init) ?? ""
    let path = String(parts[1])
    flow.site = TorchFlow.Site(className: className, path: path)
    if TorchClasses.kind(String(parts[2])) == .other {
      _ = flow.module(path, .other, className: className)
    }
  }
}
