// The Elman cell, `nn.RNN`'s: a = W_ih x + b_ih + W_hh h + b_hh, h' = φ(a).
//
// A cell owns only what happens to one element after the products; the sweep calls it with all rows
// of one time step. The derivative needs h' alone, so nothing but the output is kept for it.

/// φ = tanh: h' = tanh a, and back dL/da = dL/dh' (1 − h'²).
enum TanhStep<S: Scalar> {
  @inline(__always)
  static func forward(_ a: S) -> S { S.tanh(a) }

  @inline(__always)
  static func backward(_ gradient: S, state: S) -> S { gradient * (1 - state * state) }
}

/// φ = max(0, ·), written so that NaN propagates; the derivative at exactly 0 is 0.
enum ReluStep<S: Scalar> {
  @inline(__always)
  static func forward(_ a: S) -> S { a < 0 ? 0 : a }

  @inline(__always)
  static func backward(_ gradient: S, state: S) -> S { state <= 0 ? 0 : gradient }
}
