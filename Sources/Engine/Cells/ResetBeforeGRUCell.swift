// The gated recurrent unit with the reset gate inside the product, as ONNX's and Keras' other form:
//
//     r = σ(a_r)   z = σ(a_z)   q = r ⊙ h   n = tanh(W_in x + b_in + W_hn q + b_hn)
//     h' = (h − n) ⊙ z + n
//
// Two products follow each other in every step: the gates r and z from h, then n from q. The trace is
// n, r, z, q, and so is its gradient.

enum ResetBeforeGRUStep: CellStep {
  static let layout = CellLayout(
    gateCount: 3, blockCount: 4, inputGates: [2, 0, 1],
    phases: [
      RecurrentPhase(gates: 0..<2, block: 1), RecurrentPhase(gates: 2..<3, block: 0, operand: 3),
    ])

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func forward<S: Scalar>(_ phase: Int, _ rows: ForwardRows<S>) {
    let hidden = rows.hidden
    for row in 0..<rows.count {
      let (n, r, z, q) = rows.blocks(row)
      let (h, state) = rows.states(row)
      var u = 0
      if phase == 0 {
        while u < hidden {
          r[u] = sigmoid(r[u])
          z[u] = sigmoid(z[u])
          q[u] = r[u] * h[u]
          u &+= 1
        }
      } else {
        while u < hidden {
          n[u] = S.tanh(n[u])
          state[u] = (h[u] - n[u]) * z[u] + n[u]
          u &+= 1
        }
      }
    }
  }

  @_specialize(where S == Float)
  @_specialize(where S == Double)
  static func backward<S: Scalar>(_ phase: Int, _ rows: BackwardRows<S>) {
    let hidden = rows.hidden
    for row in 0..<rows.count {
      let (n, r, z, _) = rows.blocks(row)
      let (dn, dr, dz, dq) = rows.gradientBlocks(row)
      let (h, dState, carry) = rows.states(row)
      var u = 0
      if phase == 1 {
        while u < hidden {
          dn[u] = dState[u] * (1 - z[u]) * (1 - n[u] * n[u])
          dz[u] = dState[u] * (h[u] - n[u]) * z[u] * (1 - z[u])
          carry[u] = carry[u] + dState[u] * z[u]
          u &+= 1
        }
      } else {
        while u < hidden {
          dr[u] = dq[u] * h[u] * r[u] * (1 - r[u])
          carry[u] = carry[u] + dq[u] * r[u]
          u &+= 1
        }
      }
    }
  }
}
