#!/usr/bin/env python3
"""Times one peer for tools/benchmark: `benchmark_peer.py torch|onnxruntime|numpy|torch-cell THREADS`.

Answers the requests of rnn-benchmark (see its Benchmark.swift), or `none` where it has no such thing.
"""
import os
import sys
import time

peer, threads = sys.argv[1], int(sys.argv[2])
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
os.environ["MKL_NUM_THREADS"] = str(threads)

import numpy as np  # noqa: E402  (after the number of threads)
import torch  # noqa: E402

torch.set_num_threads(threads)


class Point:
    def __init__(self, words):
        self.cell, self.type, self.kind = words[:3]
        self.batch, self.steps, self.input, self.hidden, self.layers, self.directions = map(
            int, words[3:])
        self.dtype = torch.float64 if self.type == "f64" else torch.float32
        self.steps_per_run = self.steps if self.kind in ("forward", "train") else 1

    def module(self):
        torch.manual_seed(7)
        kind, options = {
            "rnn_tanh": (torch.nn.RNN, {}),
            "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
            "lstm": (torch.nn.LSTM, {}),
            "gru": (torch.nn.GRU, {}),
        }[self.cell]
        return kind(self.input, self.hidden, self.layers, bidirectional=self.directions == 2,
                    dtype=self.dtype, **options)

    def array(self, *shape):
        count = int(np.prod(shape))
        values = (np.arange(count) * 7919 % 2003) / 1001 - 1
        return torch.tensor(values, dtype=self.dtype).reshape(shape)

    def x(self):
        return self.array(self.steps, self.batch, self.input)


def sample(array):
    flat = np.asarray(array).reshape(-1)
    return flat[::max(1, flat.size // 61)].astype(float).tolist()


def torch_part(p):
    """The parts of a training step around the network."""
    if p.kind == "adam":
        net = p.module()
        adam = torch.optim.Adam(net.parameters())
        for w in net.parameters():
            w.grad = w.detach().clone()

        def numbers():
            adam.step()
            return sum((sample(w.detach()) for w in net.parameters()), [])

        return adam.step, numbers
    if p.kind == "clip":
        net = p.module()

        def clip(norm=1e6):
            torch.nn.utils.clip_grad_norm_(net.parameters(), norm)

        def numbers():
            for w in net.parameters():
                w.grad = w.detach().clone()
            clip(1.0)
            return sum((sample(w.grad) for w in net.parameters()), [])

        numbers()
        return clip, numbers
    count = p.steps * p.batch
    if p.kind == "loss":
        leaf = p.array(count, p.hidden).requires_grad_()
        targets = torch.arange(count) * 7919 % p.hidden

        def run():
            leaf.grad = None
            torch.nn.functional.cross_entropy(leaf, targets).backward()
    else:
        leaf, up = p.array(p.input, p.hidden).requires_grad_(), p.array(count, p.hidden)
        indices = torch.arange(count) * 7919 % p.input

        def run():
            leaf.grad = None
            torch.nn.functional.embedding(indices, leaf).backward(up)

    def numbers():
        run()
        return sample(leaf.grad)

    return run, numbers


def torch_run(p):
    if p.kind in ("adam", "clip", "loss", "embedding"):
        return torch_part(p)
    net, x = p.module(), p.x()
    if p.kind == "train":
        net.train()
        x.requires_grad_()
        up = p.array(p.steps, p.batch, p.hidden * p.directions)

        def run():
            x.grad = None
            for w in net.parameters():
                w.grad = None
            net(x)[0].backward(up)

        def numbers():
            run()
            return sum((sample(w.grad) for w in [*net.parameters(), x]), [])

        return run, numbers
    net.eval()
    if p.kind == "stream":
        first, state = x[:1].contiguous(), [None]

        def run():
            with torch.inference_mode():
                state[0] = net(first, state[0])[1]
    else:
        def run():
            with torch.inference_mode():
                return net(x)[0]

    def numbers():
        with torch.inference_mode():
            return sample(net(x)[0])

    return run, numbers


def cell_run(p):
    """`nn.LSTMCell` and its kind, the fastest way of PyTorch to make one step."""
    if p.kind != "stream" or p.layers > 1:
        return None
    net = p.module()
    kind = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}.get(p.cell, torch.nn.RNNCell)
    cell = kind(p.input, p.hidden, dtype=p.dtype)
    first, state = p.x()[0], [None]

    def run():
        with torch.inference_mode():
            state[0] = cell(first, state[0])

    def numbers():
        cell.load_state_dict({k[:-3]: v for k, v in net.state_dict().items()})
        out, h = [], None
        with torch.inference_mode():
            for row in p.x():
                h = cell(row, h)
                out.append((h[0] if p.cell == "lstm" else h).numpy())
        return sample(np.stack(out))

    return run, numbers


def onnx_run(p):
    if p.kind == "train" or p.type == "f64" or p.layers > 1 or p.directions > 1:
        return None
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
    w = {k: v.numpy() for k, v in p.module().state_dict().items()}
    order = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}.get(p.cell, [0])

    def gates(a):
        return np.concatenate([np.split(a, len(order))[i] for i in order])

    arrays = {"W": gates(w["weight_ih_l0"])[None], "R": gates(w["weight_hh_l0"])[None],
              "B": np.concatenate([gates(w["bias_ih_l0"]), gates(w["bias_hh_l0"])])[None]}
    options = {"gru": {"linear_before_reset": 1}, "rnn_relu": {"activations": ["Relu"]}}
    op = {"lstm": "LSTM", "gru": "GRU"}.get(p.cell, "RNN")
    lstm = op == "LSTM"
    node = helper.make_node(
        op, ["x", "W", "R", "B", "", "h0"] + (["c0"] if lstm else []),
        ["y", "h"] + (["c"] if lstm else []), hidden_size=p.hidden, **options.get(p.cell, {}))
    steps = p.steps_per_run

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = (1, p.batch, p.hidden)
    graph = helper.make_graph(
        [node], "g", [value("x", None, p.batch, p.input), value("h0", *state)]
        + ([value("c0", *state)] if lstm else []),
        [value("y", None, 1, p.batch, p.hidden), value("h", *state)]
        + ([value("c", *state)] if lstm else []),
        [numpy_helper.from_array(np.ascontiguousarray(a), n) for n, a in arrays.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    x = p.x().numpy()
    feed = {"x": x[:steps].copy(), "h0": np.zeros(state, np.float32)}
    if lstm:
        feed["c0"] = np.zeros(state, np.float32)
    if p.kind == "stream":
        def run():
            out = session.run(["h", "c"] if lstm else ["h"], feed)
            feed["h0"] = out[0]
            if lstm:
                feed["c0"] = out[1]
    else:
        def run():
            return session.run(["y", "h"], feed)

    def numbers():
        zeros = {k: np.zeros(state, np.float32) for k in feed if k != "x"}
        return sample(session.run(["y"], {"x": x, **zeros})[0])

    return run, numbers


def numpy_run(p):
    if p.kind == "train" or p.layers > 1 or p.directions > 1:
        return None
    w = [v.numpy() for v in p.module().state_dict().values()]
    wih, whh = np.ascontiguousarray(w[0].T), np.ascontiguousarray(w[1].T)
    bih, bhh = w[2], w[3]
    bias, n = bih + bhh, p.hidden
    x = p.x().numpy()

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def step(xt, state):
        h = state[0]
        if p.cell == "gru":
            i, r = xt @ wih + bih, h @ whh + bhh
            s = sigmoid(i[:, :2 * n] + r[:, :2 * n])
            new = np.tanh(i[:, 2 * n:] + s[:, :n] * r[:, 2 * n:])
            return (new + s[:, n:] * (h - new),)
        a = xt @ wih + h @ whh + bias
        if p.cell == "lstm":
            s = sigmoid(a)
            c = s[:, n:2 * n] * state[1] + s[:, :n] * np.tanh(a[:, 2 * n:3 * n])
            return s[:, 3 * n:] * np.tanh(c), c
        return (np.tanh(a) if p.cell == "rnn_tanh" else np.maximum(a, 0),)

    zeros = tuple(np.zeros((p.batch, n), x.dtype) for _ in range(2 if p.cell == "lstm" else 1))
    kept = [zeros]

    def sequence():
        state, out = zeros, []
        for xt in x:
            state = step(xt, state)
            out.append(state[0])
        return np.stack(out)

    if p.kind == "stream":
        def run():
            kept[0] = step(x[0], kept[0])
    else:
        run = sequence
    return run, lambda: sample(sequence())


makers = {"torch": torch_run, "torch-cell": cell_run, "onnxruntime": onnx_run, "numpy": numpy_run}


def best(run, budget):
    # With one thread the processor's clock, which stands still while other programs run.
    clock = time.process_time if threads == 1 else time.perf_counter
    shortest, repeats, end = float("inf"), 1, time.perf_counter() + budget
    while True:
        start = clock()
        for _ in range(repeats):
            run()
        elapsed = clock() - start
        shortest = min(shortest, elapsed / repeats)
        if elapsed < 0.0005:
            repeats *= 2
        if time.perf_counter() >= end:
            return shortest


prepared = (None, None, None)
print("ready", flush=True)
for line in sys.stdin:
    words = line.split()
    place = 2 if words[0] == "time" else 1
    key = " ".join(words[place:])
    if prepared[0] != key:
        point = Point(words[place:])
        prepared = (key, point, makers[peer](point))
        if prepared[2] and words[0] == "time":
            prepared[2][0]()
    if prepared[2] is None:
        print("none", flush=True)
    elif words[0] == "check":
        print(*prepared[2][1](), flush=True)
    else:
        print(best(prepared[2][0], float(words[1]) / 1000) * 1e6 / prepared[1].steps_per_run,
              flush=True)
