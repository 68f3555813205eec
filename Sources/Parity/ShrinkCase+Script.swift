import RNNEngine
import Tensors

extension ShrinkCase {
  /// A script of NumPy that computes the case, for an issue: nothing but NumPy is needed to run it.
  ///
  /// Few numbers stand in it; many are read from the fixture beside it.
  func script(name: String, found: String, by command: String?) -> String {
    let sizes = sizes.map { "\($0.name)=\($0.value)" }.joined(separator: ", ")
    let names = weights.keys.sorted()
    let count = names.reduce(x.values.count) { $0 + (weights[$1]?.values.count ?? 0) }
    func plain(_ text: String) -> String {
      text.map { $0.isNewline ? " " : String($0) }.joined()
    }
    var lines = [
      "# \(plain(name)): \(cell.rawValue), \(sizes). Made small by rnn-verify.",
      "# \(plain(command ?? "expected in the fixture")): \(plain(found))", "import numpy as np",
    ]
    if count <= 200 {
      lines.append(
        "p = {"
          + names.map { name in "\"\(name)\": \(weights[name].map(literal) ?? "0")" }.joined(
            separator: ",\n     ")
          + "}")
      lines.append("x = \(literal(x))")
    } else {
      lines += [
        "given = np.load(\"\(name).npz\")",
        "p = {key[8:]: given[key] for key in given.files if key.startswith(\"weights/\")}",
        "x = given[\"inputs/x\"]",
      ]
    }
    let (rows, stacks) = (x.shape[1], layers * directions)
    lines.append("h_0 = \(h0.map(literal) ?? "np.zeros((\(stacks), \(rows), \(state)))")")
    if cell.hasCellState {
      lines.append("c_0 = \(c0.map(literal) ?? "np.zeros((\(stacks), \(rows), \(hidden)))")")
    }
    if let lengths { lines.append("lengths = np.array(\(lengths))") }
    if gates > 1 { lines.append("sigmoid = lambda v: 1 / (1 + np.exp(-v))") }
    lines += ["def step(x, h, c, s):"] + stepLines.map { "    \($0)" }
    let c = cell.hasCellState ? "c_0[k]" : "None"
    if layers == 1, directions == 1, lengths == nil {
      lines += [
        "h, c, y = h_0[0], \(cell.hasCellState ? "c_0[0]" : "None"), []", "for x_t in x:",
        "    h, c = step(x_t, h, c, \"l0\")", "    y.append(h)",
        "print(\"right: output\", np.stack(y).tolist())", "print(\"right: h_n\", h[None].tolist())",
      ]
      return lines.joined(separator: "\n") + "\n"
    }
    lines += [
      "finals = []", "for layer in range(\(layers)):", "    halves = []",
      "    for k in range(layer * \(directions), (layer + 1) * \(directions)):",
      "        h, c, y = h_0[k], \(c), np.zeros((*x.shape[:2], \(state)))",
      "        for t in range(len(x))[::-1 if k % \(directions) else 1]:",
      "            new_h, new_c = step(x[t], h, c, f\"l{layer}\" + \"_reverse\" * (k % \(directions)))",
    ]
    if lengths == nil {
      lines.append("            h, c = y[t], _ = new_h, new_c")
    } else {
      lines += [
        "            on = (t < lengths)[:, None]",
        "            h, c = np.where(on, new_h, h), \(cell.hasCellState ? "np.where(on, new_c, c)" : "None")",
        "            y[t] = np.where(on, h, 0)",
      ]
    }
    lines += [
      "        halves.append(y)", "        finals.append(h)", "    x = np.concatenate(halves, -1)",
      "print(\"right: output\", x.tolist())", "print(\"right: h_n\", np.stack(finals).tolist())",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  /// One step of the cell; `s` is the suffix of the layer and direction.
  private var stepLines: [String] {
    let products = [
      "a = x @ p[\"weight_ih_\" + s].T" + (hasBias ? " + p[\"bias_ih_\" + s]" : ""),
      "b = h @ p[\"weight_hh_\" + s].T" + (hasBias ? " + p[\"bias_hh_\" + s]" : ""),
    ]
    switch cell {
    case .rnnTanh: return products + ["return np.tanh(a + b), c"]
    case .rnnRelu: return products + ["return np.maximum(a + b, 0), c"]
    case .lstm:
      return products + [
        "i, f, g, o = np.split(a + b, 4, -1)", "c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)",
        "h = sigmoid(o) * np.tanh(c)",
        proj > 0 ? "return h @ p[\"weight_hr_\" + s].T, c" : "return h, c",
      ]
    case .gru:
      let after = [
        "(r, z, n), (u, v, w) = np.split(a, 3, -1), np.split(b, 3, -1)",
        "r, z = sigmoid(r + u), sigmoid(z + v)",
      ]
      let new =
        gruReset == .after
        ? ["n = np.tanh(n + r * w)"]
        : [
          "n = np.tanh(n + (r * h) @ p[\"weight_hh_\" + s][\(2 * hidden):].T"
            + (hasBias ? " + p[\"bias_hh_\" + s][\(2 * hidden):]" : "") + ")"
        ]
      return products + after + new + ["return (1 - z) * n + z * h, c"]
    }
  }

  /// An array as NumPy reads it, to the last bit.
  private func literal(_ array: ShrinkArray) -> String {
    func text(_ value: Double) -> String {
      guard value.isFinite else {
        return value.isNaN ? "np.nan" : value < 0 ? "-np.inf" : "np.inf"
      }
      return dtype == .f64 ? "\(value)" : "\(Float(value))"
    }
    func nested(_ shape: ArraySlice<Int>, _ values: ArraySlice<Double>) -> String {
      guard let count = shape.first else { return values.first.map(text) ?? "0" }
      let size = values.count / max(1, count)
      let parts = (0..<count).map { index in
        nested(
          shape.dropFirst(),
          values[values.startIndex + index * size..<values.startIndex + (index + 1) * size])
      }
      return "[" + parts.joined(separator: ", ") + "]"
    }
    let kind = dtype == .f64 ? "float64" : "float32"
    return "np.array(\(nested(array.shape[...], array.values[...])), \"\(kind)\")"
  }
}
