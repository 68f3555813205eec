"""A recurrent module from tensors in PyTorch's convention, in NumPy: what the metadata says is what it does."""
import re

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "sigmoid": sigmoid, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "affine": lambda x, a=1.0, b=0.0: a * x + b,
    "hard_sigmoid": lambda x, a=0.2, b=0.5: np.clip(a * x + b, 0, 1), "elu": lambda x, a=1.0: np.where(x > 0, x, a * np.expm1(x)),
    "softsign": lambda x: x / (1 + np.abs(x)), "softplus": lambda x: np.log1p(np.exp(x)),
    "leaky_relu": lambda x, a=0.01: np.where(x > 0, x, a * x), "scaled_tanh": lambda x, a=1.0, b=1.0: a * np.tanh(b * x),
    "thresholded_relu": lambda x, a=1.0: np.where(x > a, x, 0),
}


def activation(word):
    match = re.fullmatch(r"(\w+?)(?:\(([^)]*)\))?", word)
    function = ACTIVATIONS[match[1]]
    numbers = [float(v) for v in (match[2] or "").split(",") if v.strip()]
    return lambda x: function(x, *numbers)


def prefixes(tensors):
    """The names of the recurrent modules in a file, each with a dot or empty."""
    return [k[:-len("weight_ih_l0")] for k in tensors if k.endswith("weight_ih_l0")]


def run(tensors, prefix, x, metadata):
    """{output, h_n, c_n} for x (T, N, D), from zeros or from the states stored beside it."""
    def said(key, default):
        return metadata.get(prefix + key, metadata.get(key, default))
    def get(name):
        value = tensors.get(prefix + name)
        return None if value is None else np.asarray(value, "d")
    cell = said("cell", "")
    layers = 1 + max(int(m[1]) for k in tensors if (m := re.fullmatch(re.escape(prefix) + r"weight_ih_l(\d+)(?:_reverse)?", k)))
    hidden = get("weight_hh_l0").shape[0] // {"lstm": 4, "gru": 3}.get(cell, 1)
    direction = said("direction", "")
    suffixes = ["", "_reverse"] if prefix + "weight_ih_l0_reverse" in tensors else [""]
    words = said("activations", "").replace(", ", ",").split()
    h0, c0 = get("h_0"), get("c_0")
    rows, h_n, c_n = x.shape[1], [], []
    x = np.asarray(x, "d")
    for layer in range(layers):
        outputs = []
        for index, suffix in enumerate(suffixes):
            w, r = get(f"weight_ih_l{layer}{suffix}"), get(f"weight_hh_l{layer}{suffix}")
            gates = w.shape[0]
            b = get(f"bias_ih_l{layer}{suffix}"), get(f"bias_hh_l{layer}{suffix}")
            b_ih, b_hh = (np.zeros(gates) if v is None else v for v in b)
            per = len(words) // len(suffixes)
            f = [activation(v) for v in words[index * per:(index + 1) * per]] or default_functions(cell)
            backwards = suffix == "_reverse" or direction == "reverse"
            at = layer * len(suffixes) + index
            h = np.broadcast_to(h0[at], (rows, h0.shape[2])) if h0 is not None else np.zeros((rows, r.shape[1]))
            c = np.broadcast_to(c0[at], (rows, hidden)) if c0 is not None else np.zeros((rows, hidden))
            steps = []
            for row in x[::-1] if backwards else x:
                h, c = step(cell, row @ w.T + b_ih, r, b_hh, h, c, f, said("gru_reset", "after"), get(f"weight_hr_l{layer}{suffix}"))
                steps.append(h)
            steps = np.stack(steps)
            outputs.append(steps[::-1] if backwards else steps)
            h_n.append(h)
            c_n.append(c)
        x = np.concatenate(outputs, 2)
    return {"output": x, "h_n": np.stack(h_n), "c_n": np.stack(c_n) if cell == "lstm" else None}


def default_functions(cell):
    return {"lstm": [sigmoid, np.tanh, np.tanh], "gru": [sigmoid, np.tanh], "rnn_relu": [ACTIVATIONS["relu"]]}.get(cell, [np.tanh])


def step(cell, a, r, b, h, c, f, reset, projection):
    if cell == "lstm":
        i, g_f, g, o = np.split(a + h @ r.T + b, 4, 1)
        c = f[0](g_f) * c + f[0](i) * f[1](g)
        h = f[0](o) * f[2](c)
        return (h if projection is None else h @ projection.T), c
    if cell == "gru":
        size = h.shape[1]
        ar, az, an = np.split(a, 3, 1)
        br, bz, bn = np.split(h @ r.T + b, 3, 1)
        gate, z = f[0](ar + br), f[0](az + bz)
        inner = gate * bn if reset == "after" else (gate * h) @ r[2 * size:].T + b[2 * size:]
        return (1 - z) * f[1](an + inner) + z * h, c
    return f[0](a + h @ r.T + b), c
