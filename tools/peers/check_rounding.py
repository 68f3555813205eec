#!/usr/bin/env python3
"""Holds rnn-verify's rounding budget against real float32 implementations: right numbers pass, wrong ones fail.

usage: check_rounding.py [--count N] [--seed N] [--most-work N] FOLDER_OF_THE_TOOLS

Random networks as training leaves them (weights of scale 0.1 to 0.35, H to 512, T to 500, all cells, one or two layers, one or
two directions): what PyTorch (with its gradients), ONNX Runtime and plain NumPy compute in float32, and what PyTorch
computes in float64 of the same weights, must pass. One weight changed so that an output moves by ten times what
rounding explains must fail. Prints a table; exits with 1 unless all of it holds.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
from torch import nn

warnings.simplefilter("ignore")
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}


def sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(x.dtype)


def numpy_forward(cell, weights, x, layers, directions):
    """The cells written down as in a textbook, in the type of x."""
    for layer in range(layers):
        outputs = []
        for direction in range(directions):
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            w_ih, w_hh, b_ih, b_hh = (weights[n + suffix] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            size = w_hh.shape[1]
            h = np.zeros((x.shape[1], size), x.dtype)
            c = h.copy()
            steps = [None] * len(x)
            for t in reversed(range(len(x))) if direction else range(len(x)):
                if cell == "gru":
                    a, b = x[t] @ w_ih.T + b_ih, h @ w_hh.T + b_hh
                    r, z = sigmoid(a[:, :size] + b[:, :size]), sigmoid(a[:, size:2 * size] + b[:, size:2 * size])
                    n = np.tanh(a[:, 2 * size:] + r * b[:, 2 * size:])
                    h = (1 - z) * n + z * h
                elif cell == "lstm":
                    i, f, g, o = np.split(x[t] @ w_ih.T + h @ w_hh.T + (b_ih + b_hh), 4, axis=1)
                    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                    h = sigmoid(o) * np.tanh(c)
                else:
                    a = x[t] @ w_ih.T + h @ w_hh.T + (b_ih + b_hh)
                    h = np.tanh(a) if cell == "rnn_tanh" else np.maximum(a, 0)
                steps[t] = h
            outputs.append(np.stack(steps))
        x = np.concatenate(outputs, axis=2)
    return x


def onnx_forward(cell, net, x, folder):
    import onnxruntime
    onnxruntime.set_default_logger_severity(4)
    path = os.path.join(folder, "net.onnx")
    if not hasattr(onnx_forward, "builder"):
        from onnx import helper, numpy_helper, TensorProto, save
        onnx_forward.builder = (helper, numpy_helper, TensorProto, save)
    helper, numpy_helper, TensorProto, save = onnx_forward.builder
    nodes, initializers, source = [], [], "x"
    order = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}.get(cell, [0])
    state = {k: v.detach().numpy() for k, v in net.named_parameters()}
    directions = 2 if net.bidirectional else 1
    for layer in range(net.num_layers):
        def gates(name, d):
            array = state[f"{name}_l{layer}" + ("_reverse" if d else "")]
            blocks = np.split(array, len(order))
            return np.concatenate([blocks[k] for k in order])
        w = np.stack([gates("weight_ih", d) for d in range(directions)])
        r = np.stack([gates("weight_hh", d) for d in range(directions)])
        b = np.stack([np.concatenate([gates("bias_ih", d), gates("bias_hh", d)]) for d in range(directions)])
        for name, array in (("W", w), ("R", r), ("B", b)):
            initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), f"{name}{layer}"))
        extra = {"linear_before_reset": 1} if cell == "gru" else {}
        if cell.startswith("rnn"):
            extra["activations"] = [cell[4:].capitalize()] * directions
        nodes.append(helper.make_node({"lstm": "LSTM", "gru": "GRU"}.get(cell, "RNN"), [source, f"W{layer}", f"R{layer}", f"B{layer}"],
                                      [f"Y{layer}"], hidden_size=net.hidden_size,
                                      direction="bidirectional" if directions == 2 else "forward", **extra))
        nodes.append(helper.make_node("Transpose", [f"Y{layer}"], [f"P{layer}"], perm=[0, 2, 1, 3]))
        initializers.append(numpy_helper.from_array(np.array([0, 0, -1], np.int64), f"S{layer}"))
        nodes.append(helper.make_node("Reshape", [f"P{layer}", f"S{layer}"], [f"O{layer}"]))
        source = f"O{layer}"
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
                              [helper.make_tensor_value_info(source, TensorProto.FLOAT, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    save(model, path)
    return onnxruntime.InferenceSession(path).run(None, {"x": x})[0]


def run(net, x, v):
    net.zero_grad()
    y, state = net(x)
    (y * v).sum().backward()
    h, c = state if isinstance(state, tuple) else (state, None)
    numbers = {"outputs/output": y, "outputs/h_n": h} | ({"outputs/c_n": c} if c is not None else {})
    gradients = {f"grads/{k}": p.grad for k, p in net.named_parameters()}
    return {k: t.detach().numpy() for k, t in (numbers | gradients).items()}


def case(rng, folder, index, work):
    """Fixtures of one network: file name -> whether it must pass; and what is said of it."""
    cell = list(CELLS)[rng.integers(4)]
    while True:
        H, T = int(rng.choice([4, 9, 17, 33, 64, 100, 128, 200, 256, 384, 512])), int(rng.choice([3, 8, 20, 50, 100, 200, 300, 500]))
        N, D, L, two = int(rng.integers(1, 4)), int(rng.integers(2, 40)), int(rng.integers(1, 3)), bool(rng.integers(3) == 0)
        if T * N * L * (2 if two else 1) * H * H * {"lstm": 4, "gru": 3}.get(cell, 1) <= work:
            break
    scale = float(rng.uniform(.1, .35))
    torch.manual_seed(int(rng.integers(1 << 30)))
    extra = {"nonlinearity": cell[4:]} if cell.startswith("rnn") else {}
    net = CELLS[cell](D, H, L, bidirectional=two, **extra)
    for p in net.parameters():
        nn.init.normal_(p, 0, scale)
    x, v = torch.randn(T, N, D), torch.randn(T, N, H * (2 if two else 1))
    wide = CELLS[cell](D, H, L, bidirectional=two, **extra).double()
    wide.load_state_dict({k: p.double() for k, p in net.state_dict().items()})
    exact = run(wide, x.double(), v.double())
    if not all(np.isfinite(a.astype(np.float32)).all() for a in exact.values()):
        return {}, ""
    weights = {k: p.detach().numpy().copy() for k, p in net.named_parameters()}
    config = {"schema": 1, "cell": cell, "loss": {"kind": "vjp"}}
    base = {"config": np.frombuffer(json.dumps(config).encode(), np.uint8), "inputs/x": x.numpy(), "inputs/grad_output": v.numpy()}
    base |= {f"weights/{k}": a for k, a in weights.items()}
    right = run(net, x, v)
    # Exploding gradients overflow in float32 somewhere else in each implementation; a NaN never passes beside a number.
    if not all(np.isfinite(a).all() for a in right.values()):
        return {}, ""
    numbers = {"torch": right, "float64": {k: a.astype(np.float32) for k, a in exact.items()}}
    numbers["numpy"] = {"outputs/output": numpy_forward(cell, weights, x.numpy(), L, 2 if two else 1)}
    numbers["onnxruntime"] = {"outputs/output": onnx_forward(cell, net, x.numpy(), folder)}
    wanted = {}
    for name, expected in numbers.items():
        file = f"{index}-{name}.npz"
        np.savez(os.path.join(folder, file), **base, **expected)
        wanted[file] = True
    # What rounding explains at each step: how far the float32 implementations lie from float64.
    y = exact["outputs/output"]
    gate = 2e-6 + 1.3e-6 * np.abs(y).max(axis=(1, 2))
    explained = np.max([np.abs(numbers[n]["outputs/output"] - y).max(axis=(1, 2)) for n in ("torch", "numpy", "onnxruntime")], axis=0)
    explained = np.maximum(explained, gate)
    explained = np.array([explained[max(0, t - 2):t + 3].max() for t in range(T)])
    name = list(weights)[rng.integers(len(weights))]
    place = tuple(int(rng.integers(n)) for n in weights[name].shape)
    parameter = dict(wide.named_parameters())[name]
    before = parameter[place].item()

    def moved(delta):
        with torch.no_grad():
            parameter[place] = before + delta
            result = wide(x.double())[0].numpy()
            parameter[place] = before
        return (np.abs(result - y).max(axis=(1, 2)) / explained).max()
    delta = scale
    for _ in range(40):
        delta *= .5 if moved(delta) > 10 else 1
    low, high = delta / 2, delta * 2
    if moved(high) >= 10:
        for _ in range(30):
            delta = (low * high) ** .5
            low, high = (delta, high) if moved(delta) < 10 else (low, delta)
        with torch.no_grad():
            changed = dict(net.named_parameters())[name]
            changed[place] += high
        if abs(changed[place].item() - before) > 0 and moved(changed[place].item() - before) >= 9.9:
            file = f"{index}-changed.npz"
            np.savez(os.path.join(folder, file), **base, **run(net, x, v))
            wanted[file] = False
    return wanted, f"{cell} L{L}{' both' if two else ''} T{T} N{N} D{D} H{H} scale {scale:.2f}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-work", type=float, default=3e8, help="multiplications of one forward pass")
    parser.add_argument("tools")
    options = parser.parse_args()
    torch.set_num_threads(1)
    verify = os.path.abspath(os.path.join(options.tools, "rnn-verify"))
    rng = np.random.default_rng(options.seed)
    table, used, wrong = {}, {}, []
    for index in range(options.count):
        with tempfile.TemporaryDirectory() as folder:
            wanted, what = case(rng, folder, index, options.most_work)
            if not wanted:
                continue
            done = subprocess.run([verify, "--json", folder], capture_output=True, text=True)
            for fixture in json.loads(done.stdout)["fixtures"]:
                file = os.path.basename(fixture["file"])
                kind = file.split("-", 1)[1].removesuffix(".npz")
                row = table.setdefault(kind, [0, 0, 0])
                row[0] += 1
                row[1] += fixture["passes"] == wanted[file]
                row[2] += any(c["class"] == "amplified rounding" for c in fixture["checks"])
                worst = fixture["worst"] or {}
                used.setdefault(kind, []).append(float(worst.get("tolerance_used") or 0))
                if fixture["passes"] != wanted[file]:
                    wrong.append(f"{what}: {kind} {'passes' if fixture['passes'] else 'fails'}: {worst.get('tensor')} "
                                 f"{worst.get('tolerance_used')} times the tolerance")
    print(f"{'numbers of':14} {'networks':>8} {'judged right':>12} {'amplified':>9} {'most of its tolerance':>22}")
    for kind, (count, right, amplified) in table.items():
        print(f"{kind:14} {count:8} {right:12} {amplified:9} {max(used[kind]):22.3g}")
    for line in wrong:
        print("WRONG", line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
