// Long short-term memory, `nn.LSTM`'s, with a = W_ih x + b_ih + W_hh h + b_hh in the blocks i, f, g, o:
//
//     i, f, o = σ(a)   g = tanh(a)   c' = f ⊙ c + i ⊙ g   m = o ⊙ tanh(c')
//
// h' = m, or W_hr m with a projection, which is the sweep's work. The trace is i, f, g, o, c' and the
// gradient of the trace is dL/da, with m in the last block for the gradient of W_hr.

enum LSTMStep: CellStep {
  /// The block of c' in the trace, and of m in its gradient.
  static let memory = 4

  static let layout = CellLayout(
    gateCount: 4, blockCount: 5, inputGates: [0, 1, 2, 3],
    phases: [RecurrentPhase(gates: 0..<4, block: 0)], hasCellState: true)

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func forward<S: Scalar>(_ phase: Int, _ rows: ForwardRows<S>) {
    let hidden = rows.hidden
    for row in 0..<rows.count {
      let (i, f, g, o) = rows.blocks(row)
      let (cell, memory) = (rows.cells + row &* hidden, o + hidden)
      let state = rows.states(row).next
      var u = 0
      while u < hidden {
        i[u] = sigmoid(i[u])
        f[u] = sigmoid(f[u])
        g[u] = S.tanh(g[u])
        o[u] = sigmoid(o[u])
        cell[u] = f[u] * cell[u] + i[u] * g[u]
        memory[u] = cell[u]
        state[u] = o[u] * S.tanh(cell[u])
        u &+= 1
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func backward<S: Scalar>(_ phase: Int, _ rows: BackwardRows<S>) {
    let hidden = rows.hidden
    for row in 0..<rows.count {
      let (i, f, g, o) = rows.blocks(row)
      let (di, df, dg, dO) = rows.gradientBlocks(row)
      let (before, after) = (rows.previousCells + row &* rows.previousCellsStride, o + hidden)
      let (dState, dCell) = (rows.states(row).gradient, rows.dCells + row &* hidden)
      let m = dO + hidden
      var u = 0
      while u < hidden {
        // All of them first: the gradient may take the place of the trace.
        let (input, forget, new, out) = (i[u], f[u], g[u], o[u])
        let squashed = S.tanh(after[u])
        let dc = dCell[u] + dState[u] * out * (1 - squashed * squashed)
        di[u] = dc * new * input * (1 - input)
        df[u] = dc * before[u] * forget * (1 - forget)
        dg[u] = dc * input * (1 - new * new)
        dO[u] = dState[u] * squashed * out * (1 - out)
        m[u] = out * squashed
        dCell[u] = dc * forget
        u &+= 1
      }
    }
  }
}
