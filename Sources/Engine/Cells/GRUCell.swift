// The gated recurrent unit, `nn.GRU`'s, with a = W_ih x + b_ih and b = W_hh h + b_hh:
//
//     r = σ(a_r + b_r)   z = σ(a_z + b_z)   n = tanh(a_n + r ⊙ b_n)   h' = (h − n) ⊙ z + n
//
// The trace is n, r, z, b_n: the input's products add up in the first three blocks and the state's in the
// last three, each in one piece. So do the gradients dL/da in dn, dr, dz and dL/db in dr, dz, dn ⊙ r.

enum GRUStep: CellStep {
  static let layout = CellLayout(
    gateCount: 3, blockCount: 4, inputGates: [2, 0, 1],
    phases: [RecurrentPhase(gates: 0..<3, block: 1)])

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func forward<S: Scalar>(_ phase: Int, _ rows: ForwardRows<S>) {
    let hidden = rows.hidden
    for row in 0..<rows.count {
      let (n, r, z, b) = rows.blocks(row)
      let (h, state) = rows.states(row)
      var u = 0
      while u < hidden {
        r[u] = sigmoid(r[u])
        z[u] = sigmoid(z[u])
        n[u] = S.tanh(n[u] + b[u] * r[u])
        state[u] = (h[u] - n[u]) * z[u] + n[u]
        u &+= 1
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func backward<S: Scalar>(_ phase: Int, _ rows: BackwardRows<S>) {
    let hidden = rows.hidden
    for row in 0..<rows.count {
      let (n, r, z, b) = rows.blocks(row)
      let (dn, dr, dz, db) = rows.gradientBlocks(row)
      let (h, dState, carry) = rows.states(row)
      var u = 0
      while u < hidden {
        // All of them first: the gradient may take the place of the trace.
        let (new, reset, update, recurrent) = (n[u], r[u], z[u], b[u])
        let dNew = dState[u] * (1 - update) * (1 - new * new)
        dn[u] = dNew
        dz[u] = dState[u] * (h[u] - new) * update * (1 - update)
        dr[u] = dNew * recurrent * reset * (1 - reset)
        db[u] = dNew * reset
        carry[u] = carry[u] + dState[u] * update
        u &+= 1
      }
    }
  }
}
