#!/usr/bin/env python3
"""Keras 3 for `rnn-verify --against`: the outputs of SimpleRNN, LSTM and GRU layers, on whatever backend Keras has."""
import os

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np

from protocol import Unsupported, serve


def layer_of(f, index, suffix):
    """One layer and direction with PyTorch's weights in Keras's layout."""
    w, u = (f.rnn[f"weight_{side}_{suffix}"].T for side in ("ih", "hh"))
    zeros = np.zeros(f.gates * f.hidden, f.dtype)
    b, a = (f.rnn.get(f"bias_{side}_{suffix}", zeros) for side in ("ih", "hh"))
    options = {"use_bias": True, "return_sequences": True, "return_state": True, "dtype": str(f.dtype),
               "go_backwards": suffix.endswith("reverse")}
    if f.cell == "gru":
        # Keras's order is z r h.
        turned = [np.concatenate([np.split(v, 3, -1)[g] for g in (1, 0, 2)], -1) for v in (w, u, b, a)]
        w, u, b, a = turned
        layer = keras.layers.GRU(f.hidden, reset_after=not f.reset_before, **options)
        bias = b + a if f.reset_before else np.stack([b, a])
    elif f.cell == "lstm":
        layer, bias = keras.layers.LSTM(f.hidden, **options), b + a
    else:
        layer, bias = keras.layers.SimpleRNN(f.hidden, activation=f.cell.removeprefix("rnn_"), **options), b + a
    layer.build((None, None, w.shape[0]))
    layer.set_weights([w, u, bias])
    return layer


def compute(f):
    if f.proj:
        raise Unsupported("a projection")
    if f.lengths is not None:
        raise Unsupported("lengths: Keras's masks repeat the last state instead of zeros")
    if f.dtype != np.float32:
        # Found by this very check: keras.ops.matmul of two float64 arrays is off by 1e-7 (Keras 3.15.1 on PyTorch),
        # and with it Dense, SimpleRNN and GRU.
        raise Unsupported(f"Keras's products are made in float32, not {f.dtype}")
    x, h_0, c_0 = f.time_major()
    current, finals = keras.ops.convert_to_tensor(np.ascontiguousarray(x.swapaxes(0, 1))), []
    zeros = np.zeros((x.shape[1], f.hidden), f.dtype)
    for layer in range(f.layers):
        halves = []
        for direction in range(f.directions):
            index = layer * f.directions + direction
            state = [zeros if s is None else s[index] for s in ((h_0, c_0) if f.cell == "lstm" else (h_0,))]
            runner = layer_of(f, index, f"l{layer}" + "_reverse" * direction)
            output, *final = runner(current, initial_state=[keras.ops.convert_to_tensor(np.ascontiguousarray(s)) for s in state])
            halves.append(keras.ops.flip(output, 1) if direction else output)
            finals.append([keras.ops.convert_to_numpy(s) for s in final])
        current = keras.ops.concatenate(halves, -1)
    output = keras.ops.convert_to_numpy(current).swapaxes(0, 1)
    h_n = np.stack([final[0] for final in finals])
    c_n = np.stack([final[1] for final in finals]) if f.cell == "lstm" else None
    logits = None
    if f.head:
        weight, bias = f.head_arrays()
        dense = keras.layers.Dense(len(weight), use_bias=bias is not None, dtype=str(f.dtype))
        dense.build((None, weight.shape[1]))
        dense.set_weights([weight.T] + ([] if bias is None else [bias]))
        logits = keras.ops.convert_to_numpy(dense(np.ascontiguousarray(f.read_by_head(output, h_n))))
    return f.results(output, h_n, c_n, logits)


if __name__ == "__main__":
    serve(compute)
