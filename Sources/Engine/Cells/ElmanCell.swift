// The Elman cell, `nn.RNN`'s: a = W_ih x + b_ih + W_hh h + b_hh, h' = φ(a), and back
// dL/da = dL/dh' φ'(a). The derivative needs h' alone, so nothing but the output is kept for it.

/// An activation whose derivative can be had from its value.
protocol Activation: Sendable {
  static func value<S: Scalar>(_ a: S) -> S
  static func derivative<S: Scalar>(_ gradient: S, value: S) -> S
}

/// φ = tanh, φ' = 1 − φ².
enum TanhActivation: Activation {
  @inline(__always)
  static func value<S: Scalar>(_ a: S) -> S { S.tanh(a) }

  @inline(__always)
  static func derivative<S: Scalar>(_ gradient: S, value: S) -> S {
    gradient * (1 - value * value)
  }
}

/// φ = max(0, ·), written so that NaN propagates; the derivative at exactly 0 is 0.
enum ReluActivation: Activation {
  @inline(__always)
  static func value<S: Scalar>(_ a: S) -> S { a < 0 ? 0 : a }

  @inline(__always)
  static func derivative<S: Scalar>(_ gradient: S, value: S) -> S { value <= 0 ? 0 : gradient }
}

/// h' = φ(a).
enum ElmanStep<Phi: Activation>: CellStep {
  static var layout: CellLayout {
    CellLayout(
      gateCount: 1, blockCount: 1, inputGates: [0],
      phases: [RecurrentPhase(gates: 0..<1, block: 0)], keepsTrace: false)
  }

  @_specialize(where Phi == TanhActivation, S == Float)
  @_specialize(where Phi == TanhActivation, S == Double)
  @_specialize(where Phi == ReluActivation, S == Float)
  @_specialize(where Phi == ReluActivation, S == Double)
  static func forward<S: Scalar>(_ phase: Int, _ rows: ForwardRows<S>) {
    for row in 0..<rows.count {
      let a = rows.trace + row &* rows.traceStride
      let state = rows.state + row &* rows.stateStride
      var i = 0
      while i < rows.hidden {
        state[i] = Phi.value(a[i])
        i &+= 1
      }
    }
  }

  @_specialize(where Phi == TanhActivation, S == Float)
  @_specialize(where Phi == TanhActivation, S == Double)
  @_specialize(where Phi == ReluActivation, S == Float)
  @_specialize(where Phi == ReluActivation, S == Double)
  static func backward<S: Scalar>(_ phase: Int, _ rows: BackwardRows<S>) {
    for row in 0..<rows.count {
      let state = rows.state + row &* rows.stateStride
      let gradient = rows.dState + row &* rows.hidden
      let a = rows.dTrace + row &* rows.traceStride
      var i = 0
      while i < rows.hidden {
        a[i] = Phi.derivative(gradient[i], value: state[i])
        i &+= 1
      }
    }
  }
}
