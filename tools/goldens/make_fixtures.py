#!/usr/bin/env python3
"""Writes fixtures/documents: what the code and formulas of the documents D0 to D4 compute.

    tools/goldens/make_fixtures.py [OUTPUT_DIRECTORY]        NumPy only; the same bytes on every run

Each document has one class: its own code, corrected. A comment `erratum n` names the entry of
Sources/Engine/Documentation.docc/Errata.md that a correction answers. Gradients are checked here by central
differences, and known numbers by assertion, so wrong reference code writes nothing.
"""
import os
import sys

import numpy as np

from exact_math import dot, exp, log_softmax, tanh
from fixture_file import save

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "..", "fixtures", "documents")


def fixture(name, source, config, **groups):
    path = os.path.join(ROOT, *name.split("/")) + ".npz"
    save(path, {"name": f"documents/{name}", "source": source, **config}, **groups)


def close(found, expected, relative, what):
    error = np.max(np.abs(np.asarray(found) - expected)) / np.max(np.abs(expected))
    assert error <= relative, f"{what}: {found}, expected {expected} (off by {error:.2e})"


def check_gradients(loss, params, grads, what):
    """Central differences at the first, a middle and the last element of every tensor."""
    for key, grad in grads.items():
        flat, expected = params[key].reshape(-1), np.asarray(grad).reshape(-1)
        for i in sorted({0, flat.size // 2, flat.size - 1}):
            kept = flat[i]
            flat[i] = kept + 1e-5
            above = loss()
            flat[i] = kept - 1e-5
            below = loss()
            flat[i] = kept
            error = abs((above - below) / 2e-5 - expected[i])
            assert error <= 2e-8 * (1 + abs(expected[i])), f"{what} {key}[{i}]: off by {error:.2e}"


def one_hot(y, C):
    return np.eye(C)[y]


def clip_by_norm(grads, limit):
    norm = np.sqrt(sum(np.sum(g * g) for g in grads.values()))
    return {k: g * min(1.0, limit / (norm + 1e-6)) for k, g in grads.items()}, norm


def clip_by_value(grads, limit):
    return {k: np.clip(g, -limit, limit) for k, g in grads.items()}


# D0 -----------------------------------------------------------------------------------------------
class D0:
    """h_t = x Wxhᵀ + a Wahᵀ + bh; a_t = tanh(h_t); o_t = a_t Waoᵀ + bo (erratum 7: a_t is the state)."""

    def __init__(self, D, H, C, seed=42, scale=0.1, relu=False):
        rng = np.random.default_rng(seed)
        self.p = {
            "Wxh": rng.normal(0, scale, (H, D)),
            "Wah": rng.normal(0, scale, (H, H)),
            "bh": np.zeros((H,)),
            "Wao": rng.normal(0, scale, (C, H)),
            "bo": np.zeros((C,)),
        }
        self.relu = relu

    def forward(self, X, a_0=None):
        p, N = self.p, X[0].shape[0]  # errata 1 and 2: X is a list, the batch is in its elements
        a = [np.zeros((N, len(p["bh"]))) if a_0 is None else a_0]
        h_list, o_list = [], []
        for x_t in X:
            h_t = dot(x_t, p["Wxh"].T) + dot(a[-1], p["Wah"].T) + p["bh"]
            h_list.append(h_t)
            a.append(np.maximum(h_t, 0) if self.relu else tanh(h_t))
            o_list.append(dot(a[-1], p["Wao"].T) + p["bo"])
        return h_list, a, o_list

    def loss(self, o_list, Y):
        # Erratum 3: divided by N, not by a shape. Erratum 5: summed over time, mean over the batch.
        # Erratum 6: log-softmax; the document's log(ŷ + 1e-12) is not what its gradient derives.
        return sum(-np.sum(y * log_softmax(o)) / o.shape[0] for o, y in zip(o_list, Y))

    def bptt(self, X, Y, a_0=None):
        p = self.p
        h_list, a, o_list = self.forward(X, a_0)
        N = X[0].shape[0]
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dX = [None] * len(X)
        delta_next = np.zeros_like(a[0])
        for t in reversed(range(len(X))):
            # Erratum 8 (masking): a row of Y without a 1 is padding and carries no loss.
            counted = np.sum(Y[t], axis=1, keepdims=True)
            d_o = (exp(log_softmax(o_list[t])) * counted - Y[t]) / N
            g["Wao"] += dot(d_o.T, a[t + 1])
            g["bo"] += d_o.sum(axis=0)
            delta_a = dot(d_o, p["Wao"]) + dot(delta_next, p["Wah"])
            d_h = delta_a * ((h_list[t] > 0) if self.relu else (1.0 - a[t + 1] ** 2))
            g["Wxh"] += dot(d_h.T, X[t])
            g["Wah"] += dot(d_h.T, a[t])
            g["bh"] += d_h.sum(axis=0)
            dX[t] = dot(d_h, p["Wxh"])
            delta_next = d_h
        # Erratum 7: the gradient of a_0, which the document allows to be learned.
        return g, np.stack(dX), dot(delta_next, p["Wah"])

    def train(self, X, Y, steps, lr=5e-2, clip=None):
        # Erratum 4: the code clips elementwise, the text by the l2 norm; both are offered, by name.
        losses = []
        for _ in range(steps):
            losses.append(self.loss(self.forward(X)[2], Y))
            g, _, _ = self.bptt(X, Y)
            if clip and clip["kind"] == "value":
                g = clip_by_value(g, clip["max"])
            elif clip:
                g, _ = clip_by_norm(g, clip["max"])
            for k in self.p:
                self.p[k] = self.p[k] - lr * g[k]
        return np.array(losses)


def d0_toy():
    D, H, C, T, N = 16, 32, 5, 8, 4
    rng = np.random.default_rng(0)
    # The document draws float32 inputs for float64 weights: widened, which is exact.
    X = [rng.normal(size=(N, D)).astype(np.float32).astype(np.float64) for _ in range(T)]
    labels = np.stack([rng.integers(0, C, size=(N,)) for _ in range(T)])
    return X, labels, [one_hot(y, C) for y in labels]


def write_d0():
    source = "document D0, corrected NumPy code"
    base = {"convention": "textbook-d0", "cell": "rnn_tanh", "batch_first": False, "head": "linear"}
    ce = {"kind": "cross_entropy", "reduction": "mean_over_batch"}
    X, labels, Y = d0_toy()
    x = np.stack(X)
    close(x[0, 0, :3], [0.12573022, -0.13210486, 0.64042264], 1e-7, "D0 X")
    assert labels.tolist() == [[3, 2, 1, 3], [1, 3, 1, 1], [3, 3, 3, 2], [1, 4, 4, 3],
                               [1, 4, 2, 1], [3, 0, 2, 0], [0, 2, 2, 2], [0, 0, 0, 3]]

    def fresh():
        return D0(16, 32, 5)

    net = fresh()
    close(net.p["Wxh"][0, :3],
          [0.03047170797544314, -0.10399841062404956, 0.07504511958064573], 1e-15, "D0 Wxh")
    close(net.p["Wah"][0, 0], 0.009947747301573849, 1e-15, "D0 Wah")
    close(net.p["Wao"][0, 0], 0.07492229272008546, 1e-15, "D0 Wao")
    _, a, o_list = net.forward(X)
    o = np.stack(o_list)
    loss = net.loss(o_list, Y)
    grads, dx, da_0 = net.bptt(X, Y)
    close(loss, 12.737317832128072, 1e-11, "D0 loss")
    close(clip_by_norm(grads, 1.0)[1], 4.380459235181809, 1e-12, "D0 gradient norm")
    check_gradients(lambda: net.loss(net.forward(X)[2], Y), net.p, grads, "D0")
    inputs = {"x": x, "targets": labels}
    fixture("d0/forward", source, base, weights=net.p, inputs={"x": x},
            outputs={"output": np.stack(a[1:]), "h_n": a[-1][None], "logits": o,
                     "probabilities": exp(log_softmax(o))})
    fixture("d0/loss-gradients", source, {**base, "loss": ce}, weights=net.p, inputs=inputs,
            outputs={"loss": loss, "logits": o}, grads={**grads, "x": dx, "h_0": da_0[None]})

    # The loss after the given number of updates; the value clip of ±1 never fires here (erratum 4).
    after = {1: 11.817176663480385, 2: 11.005340826152862, 10: 5.711089941229164,
             25: 1.5060865873346037, 50: 0.36732929292547956}
    for steps, golden in after.items():
        net, clip = fresh(), {"kind": "value", "max": 1.0}
        losses = net.train(X, Y, steps, clip=clip)
        close(net.loss(net.forward(X)[2], Y), golden, 1e-10, f"D0 after {steps} steps")
        fixture(f"d0/sgd-{steps:02}-steps", source,
                {**base, "loss": ce, "clip": clip,
                 "optimizer": {"kind": "sgd", "lr": 5e-2, "steps": steps}},
                weights=fresh().p, inputs=inputs, trained=net.p, losses=losses)
    for kind, limit, steps in [("value", 0.05, 1), ("norm", 1.0, 1), ("norm", 1.0, 50)]:
        net, clip = fresh(), {"kind": kind, "max": limit}
        losses = net.train(X, Y, steps, clip=clip)
        if steps == 50:
            close(net.loss(net.forward(X)[2], Y), 3.84258, 2e-6, "D0 norm clip")
        fixture(f"d0/clip-{kind}-{steps:02}-steps", source,
                {**base, "loss": ce, "clip": clip,
                 "optimizer": {"kind": "sgd", "lr": 5e-2, "steps": steps}},
                weights=fresh().p, inputs=inputs, trained=net.p, losses=losses)

    # What the document's text allows beyond its code: a learned a_0, relu, masking, the last step.
    D, H, C, T, N = 4, 7, 5, 6, 3
    rng = np.random.default_rng(1)
    X = [rng.normal(size=(N, D)) for _ in range(T)]
    labels = rng.integers(0, C, size=(T, N))
    a_0 = rng.normal(size=(N, H)) * 0.5
    for name, relu, mask, steps in [("learned-a0", False, False, "all"), ("relu", True, False, "all"),
                                    ("masked", False, True, "all"), ("last-step", False, False, "last")]:
        net = D0(D, H, C, seed=2, scale=0.6, relu=relu)
        net.p["bh"], net.p["bo"] = rng.normal(size=H) * 0.3, rng.normal(size=C) * 0.3
        targets, Y = labels.copy(), [one_hot(y, C) for y in labels]
        if mask:
            targets[4:, 0] = targets[5:, 2] = -100
        for t, n in np.ndindex(T, N):
            if targets[t, n] < 0 or (steps == "last" and t < T - 1):
                Y[t][n] = 0
        config = {**base, "cell": "rnn_relu" if relu else "rnn_tanh", "loss": {**ce, "steps": steps}}
        if mask:
            config["loss"]["ignore_index"] = -100
        _, a, o_list = net.forward(X, a_0)
        grads, dx, da_0 = net.bptt(X, Y, a_0)
        check_gradients(lambda: net.loss(net.forward(X, a_0)[2], Y), {**net.p, "h_0": a_0},
                        {**grads, "h_0": da_0}, f"D0 {name}")
        last = steps == "last"
        o = o_list[-1] if last else np.stack(o_list)
        fixture(f"d0/{name}", source, config, weights=net.p,
                inputs={"x": np.stack(X), "h_0": a_0[None], "targets": targets[-1] if last else targets},
                outputs={"output": np.stack(a[1:]), "h_n": a[-1][None], "logits": o,
                         "loss": net.loss(o_list, Y)},
                grads={**grads, "x": dx, "h_0": da_0[None]})


# D1 -----------------------------------------------------------------------------------------------
class D1:
    """h = tanh(x Wxh + h Whh + bh), y = softmax(h Why + by), row form (erratum 14), no batch."""

    def __init__(self, n_x, n_h, n_y, lr=0.01, rng=None, scale=0.01):
        # Erratum 19: the generator is seeded and given. Erratum 9: numpy was never imported.
        rng = rng or np.random.RandomState(0)
        self.p = {
            "Wxh": rng.randn(n_x, n_h) * scale,
            "Whh": rng.randn(n_h, n_h) * scale,
            "Why": rng.randn(n_h, n_y) * scale,
            "bh": np.zeros((1, n_h)),
            "by": np.zeros((1, n_y)),
        }
        self.lr = lr

    def forward(self, X, h_0=None):
        p = self.p
        h = np.zeros((1, p["Whh"].shape[0])) if h_0 is None else h_0
        hs, zs = [h], []
        for x_t in X:
            h = tanh(dot(x_t[None], p["Wxh"]) + dot(h, p["Whh"]) + p["bh"])  # erratum 10: x_t is (1, n)
            hs.append(h)
            zs.append(dot(h, p["Why"]) + p["by"])
        # Erratum 11: (T, n_y), not (T, 1, n_y), which the loss would broadcast to T times too much.
        return hs, np.concatenate(zs)

    def loss(self, Y, zs, mean=False):
        # Erratum 12: the formula is the mean over T, the code the sum. Both, by name.
        return -np.sum(Y * log_softmax(zs)) / (len(zs) if mean else 1)

    def backward(self, X, Y, hs, zs, mean=False):
        p = self.p
        g = {k: np.zeros_like(v) for k, v in p.items()}
        dx = np.zeros_like(X)
        dh_next = np.zeros_like(hs[0])
        for t in reversed(range(len(X))):
            dy = (exp(log_softmax(zs[t : t + 1])) - Y[t]) / (len(X) if mean else 1)
            g["Why"] += dot(hs[t + 1].T, dy)
            g["by"] += dy
            dh = dot(dy, p["Why"].T) + dh_next
            dh_raw = (1 - hs[t + 1] ** 2) * dh  # erratum 13: f' at the pre-activation is 1 - h²
            g["bh"] += dh_raw
            g["Wxh"] += dot(X[t][:, None], dh_raw)
            g["Whh"] += dot(hs[t].T, dh_raw)  # erratum 18: also at t = 0, from the carried state
            dx[t] = dot(dh_raw, p["Wxh"].T)[0]
            dh_next = dot(dh_raw, p["Whh"].T)
        return g, dx, dh_next

    def train(self, X, Y, epochs, mean=False, only=None):
        losses = []
        for _ in range(epochs):
            hs, zs = self.forward(X)
            losses.append(self.loss(Y, zs, mean))
            g = clip_by_value(self.backward(X, Y, hs, zs, mean)[0], 5)
            for k in only or self.p:
                self.p[k] = self.p[k] - self.lr * g[k]
        return np.array(losses)


def write_d1():
    source = "document D1, corrected NumPy code"
    base = {"convention": "textbook-d1", "cell": "rnn_tanh", "batch_first": False, "head": "linear"}
    clip = {"kind": "value", "max": 5.0}
    T, n_x, n_h, n_y = 6, 4, 7, 5
    rng = np.random.RandomState(3)
    X, labels = rng.randn(T, n_x) * 3, rng.randint(0, n_y, T)
    h_0 = rng.randn(1, n_h) * 0.5
    Y = one_hot(labels, n_y)
    for name, mean in [("sum", False), ("mean", True)]:
        for carried in [False, True]:
            net = D1(n_x, n_h, n_y, rng=np.random.RandomState(4), scale=0.5)
            net.p["bh"], net.p["by"] = rng.randn(1, n_h) * 0.3, rng.randn(1, n_y) * 0.3
            start = h_0 if carried else np.zeros((1, n_h))
            hs, zs = net.forward(X, start)
            grads, dx, dh_0 = net.backward(X, Y, hs, zs, mean)
            check_gradients(lambda: net.loss(Y, net.forward(X, start)[1], mean),
                            {**net.p, "x": X, "h_0": start}, {**grads, "x": dx, "h_0": dh_0}, "D1")
            inputs = {"x": X, "targets": Y if carried else labels}
            fixture(f"d1/{name}-loss" + ("-carried-state" if carried else ""), source,
                    {**base, "loss": {"kind": "cross_entropy", "reduction": name}}, weights=net.p,
                    inputs={**inputs, "h_0": h_0} if carried else inputs,
                    outputs={"output": np.concatenate(hs[1:]), "h_n": hs[-1], "logits": zs,
                             "probabilities": exp(log_softmax(zs)), "loss": net.loss(Y, zs, mean)},
                    grads={**grads, "x": dx, "h_0": dh_0})
    for steps in [1, 3]:
        net = D1(n_x, n_h, n_y, lr=0.01, rng=np.random.RandomState(4), scale=0.5)
        net.p["Why"] = net.p["Why"] * 8
        initial = dict(net.p)
        g = net.backward(X, Y, *net.forward(X))[0]
        assert max(np.max(np.abs(v)) for v in g.values()) > 5, "the ±5 clip must fire here"
        losses = net.train(X, Y, steps)
        fixture(f"d1/clipped-update-{steps}", source,
                {**base, "loss": {"kind": "cross_entropy", "reduction": "sum"}, "clip": clip,
                 "optimizer": {"kind": "sgd", "lr": 0.01, "steps": steps}},
                weights=initial, inputs={"x": X, "targets": labels}, trained=net.p, losses=losses)

    # The example as printed has five distinct rows (erratum 16). Erratum 17 and the last losses of
    # section C3 say that it does not learn; those losses belong to a run that updates nothing but
    # by, which is asserted here to the last digit. With all five parameters updated, it learns.
    def write_run(name, X, Y, first, last_of_by_alone, last, guess):
        initial = dict(D1(5, 8, 5).p)
        alone = D1(5, 8, 5)
        alone.train(X, Y, 1000, only=("by",))
        close(alone.loss(Y, alone.forward(X)[1]), last_of_by_alone, 1e-13, f"D1 {name}, by alone")
        net = D1(5, 8, 5)
        losses = net.train(X, Y, 1000)
        zs = net.forward(X)[1]
        close(losses[0], first, 1e-13, f"D1 {name} first loss")
        close(net.loss(Y, zs), last, 1e-9, f"D1 {name} last loss")
        assert np.argmax(zs, axis=1).tolist() == guess, f"D1 {name}: {zs}"
        fixture(f"d1/{name}", source,
                {**base, "loss": {"kind": "cross_entropy", "reduction": "sum"}, "clip": clip,
                 "optimizer": {"kind": "sgd", "lr": 0.01, "steps": 1000}},
                weights=initial, inputs={"x": X, "targets": Y}, trained=net.p, losses=losses)

    X = np.eye(5)
    write_run("document-run", X, np.roll(X, -1, axis=0), 8.047197900586498, 8.047197852644729,
              0.1142141360242454, [1, 2, 3, 4, 0])
    index = {c: i for i, c in enumerate("helo ")}
    X = one_hot([index[c] for c in "hello"], 5)
    Y = one_hot([index[c] for c in "ello "], 5)
    write_run("hello", X, Y, 8.04703709751874, 6.738163126893344, 0.1515025189542901, [1, 2, 2, 3, 4])


# D2 -----------------------------------------------------------------------------------------------
class D2:
    """Z1 = X W1x + Hp W1h + b1, H = tanh(Z1), Z2 = H W2 + b2. Formulas only; X is (T, N, D)."""

    def __init__(self, D, H, C, rng, scale=0.4):
        self.p = {"W1x": rng.normal(0, scale, (D, H)), "W1h": rng.normal(0, scale, (H, H)),
                  "b1": rng.normal(0, scale, H), "W2": rng.normal(0, scale, (H, C)),
                  "b2": rng.normal(0, scale, C)}

    def states(self, X, h_0):
        p, hs = self.p, [h_0]
        for x_t in X:
            hs.append(tanh(dot(x_t, p["W1x"]) + dot(hs[-1], p["W1h"]) + p["b1"]))
        return hs

    def logits(self, h):
        return dot(h, self.p["W2"]) + self.p["b2"]

    def backward_through_states(self, X, hs, dhs):
        """Erratum 21: δ_t = (dh_t + δ_{t+1} W1hᵀ) ⊙ (1 - H_t²); H_p is no constant."""
        p = self.p
        g = {k: np.zeros_like(p[k]) for k in ("W1x", "W1h", "b1")}
        dX, dh = np.zeros_like(X), np.zeros_like(hs[0])
        for t in reversed(range(len(X))):
            delta = (dhs[t] + dh) * (1 - hs[t + 1] ** 2)
            g["W1x"] += dot(X[t].T, delta)
            g["W1h"] += dot(hs[t].T, delta)
            g["b1"] += delta.sum(axis=0)
            dX[t] = dot(delta, p["W1x"].T)
            dh = dot(delta, p["W1h"].T)
        return g, dX, dh

    def many_to_one(self, X, y, h_0):
        """Binary logistic loss at the last step, summed over the batch (erratum 22)."""
        hs = self.states(X, h_0)
        z = self.logits(hs[-1])
        loss = np.sum(np.maximum(z, 0) - z * y - log_softmax(np.stack([0 * z, -np.abs(z)], -1))[..., 0])
        a_2 = np.where(z >= 0, 1, exp(-np.abs(z))) / (1 + exp(-np.abs(z)))  # 0…1 (erratum 20)
        d_z = a_2 - y
        dhs = np.zeros((len(X), *h_0.shape))
        dhs[-1] = dot(d_z, self.p["W2"].T)
        g, dX, dh_0 = self.backward_through_states(X, hs, dhs)
        g.update(W2=dot(hs[-1].T, d_z), b2=d_z.sum(axis=0))
        return loss, z, hs, g, dX, dh_0

    def block(self, X, labels, h_0):
        """Softmax at every step, cross entropy summed: one block of truncated BPTT."""
        hs = self.states(X, h_0)
        z = np.stack([self.logits(h) for h in hs[1:]])
        Y = one_hot(labels, z.shape[-1])
        d_z = exp(log_softmax(z)) - Y
        g, dX, dh_0 = self.backward_through_states(
            X, hs, np.stack([dot(d, self.p["W2"].T) for d in d_z]))
        g["W2"] = sum(dot(h.T, d) for h, d in zip(hs[1:], d_z))
        g["b2"] = sum(d.sum(axis=0) for d in d_z)
        return -np.sum(Y * log_softmax(z)), z, hs, g, dX, dh_0


D2_ROW_NAMES = {"W1x": "Wxh", "W1h": "Whh", "b1": "bh", "W2": "Why", "b2": "by"}


def row_names(tensors):
    """As D1 stores them: the biases are rows of a matrix."""
    return {D2_ROW_NAMES[k]: v[None] if v.ndim == 1 else v for k, v in tensors.items()}


def torch_names(params, bias_hh, suffix=""):
    """The same cell in nn.RNN's layout: b1 is written as the sum of two biases."""
    return {f"weight_ih_l0{suffix}": params["W1x"].T, f"weight_hh_l0{suffix}": params["W1h"].T,
            f"bias_ih_l0{suffix}": params["b1"] - bias_hh, f"bias_hh_l0{suffix}": bias_hh}


def torch_gradients(g, suffix=""):
    return {f"weight_ih_l0{suffix}": g["W1x"].T, f"weight_hh_l0{suffix}": g["W1h"].T,
            f"bias_ih_l0{suffix}": g["b1"], f"bias_hh_l0{suffix}": g["b1"]}


def write_d2():
    source = "document D2, formulas in NumPy"
    rng = np.random.default_rng(5)
    base = {"convention": "torch", "cell": "rnn_tanh", "batch_first": False}

    # Many to one. The second form leaves the recurrent bias out, as the general form of the text.
    T, N, D, H = 6, 3, 4, 7
    X, h_0 = rng.normal(size=(T, N, D)), rng.normal(size=(1, N, H))[0] * 0.5
    y = np.array([[1.0], [0.0], [1.0]])
    for name, biased in [("many-to-one", True), ("many-to-one-without-recurrent-bias", False)]:
        net = D2(D, H, 1, rng)
        net.p["b1"] = net.p["b1"] if biased else np.zeros(H)
        loss, z, hs, g, dX, dh_0 = net.many_to_one(X, y, h_0)
        check_gradients(lambda: net.many_to_one(X, y, h_0)[0], {**net.p, "x": X, "h_0": h_0},
                        {**g, "x": dX, "h_0": dh_0}, "D2 many to one")
        weights, grads = torch_names(net.p, net.p["b1"] * 0.25), torch_gradients(g)
        if not biased:
            weights = {k: v for k, v in weights.items() if "bias" not in k}
            grads = {k: v for k, v in grads.items() if "bias" not in k}
        fixture(f"d2/{name}", source,
                {**base, "head": "linear",
                 "loss": {"kind": "bce_with_logits", "reduction": "sum", "steps": "last"}},
                weights={**{f"rnn.{k}": v for k, v in weights.items()},
                         "classifier.weight": net.p["W2"].T, "classifier.bias": net.p["b2"]},
                inputs={"x": X, "h_0": h_0[None], "targets": y},
                outputs={"output": np.stack(hs[1:]), "h_n": hs[-1][None], "logits": z, "loss": loss},
                grads={**{f"rnn.{k}": v for k, v in grads.items()}, "classifier.weight": g["W2"].T,
                       "classifier.bias": g["b2"], "x": dX, "h_0": dh_0[None]})

    # Truncated BPTT: a series of 1000, blocks of 10 steps, 2 rows that start at 0 and at 500.
    length, T, N, D, H, C = 1000, 10, 2, 3, 6, 4
    series, following = rng.normal(size=(length, D)), rng.integers(0, C, size=length)
    offsets = [row * (length // N) for row in range(N)]
    net, lr, h = D2(D, H, C, rng), 0.01, np.zeros((N, H))
    for block in range(51):
        rows = np.array([[(o + block * T + t) % length for o in offsets] for t in range(T)])
        if block == 49:
            assert rows[[0, -1]].tolist() == [[490, 990], [499, 999]]
        if block == 50:
            assert rows[0].tolist() == [500, 0]
        X, labels = series[rows], following[rows]
        initial = dict(net.p)
        loss, z, hs, g, dX, dh_0 = net.block(X, labels, h)
        for k in net.p:
            net.p[k] = net.p[k] - lr * g[k]
        if block in (0, 1, 49, 50):
            where = "block {}: rows {}-{} and {}-{}".format(block, *rows[[0, -1]].T.reshape(-1))
            fixture(f"d2/truncated-bptt-block-{block:02}", f"{source}; {where}",
                    {**base, "convention": "textbook-d1", "head": "linear",
                     "loss": {"kind": "cross_entropy", "reduction": "sum"},
                     "optimizer": {"kind": "sgd", "lr": lr, "steps": 1}},
                    weights=row_names(initial),
                    inputs={"x": X, "h_0": h[None], "targets": labels},
                    outputs={"output": np.stack(hs[1:]), "h_n": hs[-1][None], "logits": z,
                             "loss": loss},
                    grads={**row_names(g), "x": dX, "h_0": dh_0[None]},
                    trained=row_names(net.p), losses=np.array([loss]))
        h = hs[-1]  # the state goes on, the gradient does not

    # Bidirectional: the second network reads from the last token to the first.
    T, N, D, H, C = 6, 2, 4, 5, 3
    X, labels = rng.normal(size=(T, N, D)), rng.integers(0, C, size=(T, N))
    nets = [D2(D, H, C, rng), D2(D, H, C, rng)]
    h_0 = rng.normal(size=(2, N, H)) * 0.5
    W2, b2 = rng.normal(0, 0.4, (2 * H, C)), rng.normal(0, 0.4, C)

    def both_ways():
        forward, backward = nets[0].states(X, h_0[0]), nets[1].states(X[::-1], h_0[1])
        return forward, backward, np.concatenate([np.stack(forward[1:]),
                                                  np.stack(backward[1:])[::-1]], axis=2)

    def gradients(d_output, d_h_n):
        forward, backward, _ = both_ways()
        d_forward, d_backward = d_output[:, :, :H].copy(), d_output[::-1, :, H:].copy()
        d_forward[-1] += d_h_n[0]
        d_backward[-1] += d_h_n[1]
        g, dX, dh = nets[0].backward_through_states(X, forward, d_forward)
        g_r, dX_r, dh_r = nets[1].backward_through_states(X[::-1], backward, d_backward)
        return g, g_r, dX + dX_r[::-1], np.stack([dh, dh_r])

    def checked(loss, g, g_r, dX, dh_0, what):
        for net, grads in zip(nets, (g, g_r)):
            check_gradients(loss, net.p, grads, what)
        check_gradients(loss, {"x": X, "h_0": h_0}, {"x": dX, "h_0": dh_0}, what)

    forward, backward, output = both_ways()
    h_n = np.stack([forward[-1], backward[-1]])
    d_output, d_h_n = rng.normal(size=output.shape), rng.normal(size=h_n.shape)
    g, g_r, dX, dh_0 = gradients(d_output, d_h_n)

    def vjp():
        forward, backward, output = both_ways()
        return np.sum(output * d_output) + np.sum(np.stack([forward[-1], backward[-1]]) * d_h_n)

    checked(vjp, g, g_r, dX, dh_0, "D2 bidirectional")
    weights = {**torch_names(nets[0].p, nets[0].p["b1"] * 0.25),
               **torch_names(nets[1].p, nets[1].p["b1"] * 0.75, "_reverse")}
    fixture("d2/bidirectional", source, {**base, "head": "none", "loss": {"kind": "vjp"}},
            weights=weights,
            inputs={"x": X, "h_0": h_0, "grad_output": d_output, "grad_h_n": d_h_n},
            outputs={"output": output, "h_n": h_n},
            grads={**torch_gradients(g), **torch_gradients(g_r, "_reverse"), "x": dX, "h_0": dh_0})

    def logits():
        return np.stack([dot(h, W2) + b2 for h in both_ways()[2]])

    Y = one_hot(labels, C)
    d_z = exp(log_softmax(logits())) - Y
    g, g_r, dX, dh_0 = gradients(np.stack([dot(d, W2.T) for d in d_z]), np.zeros_like(h_0))
    checked(lambda: -np.sum(Y * log_softmax(logits())), g, g_r, dX, dh_0, "D2 bidirectional head")
    grads = {**torch_gradients(g), **torch_gradients(g_r, "_reverse")}
    fixture("d2/bidirectional-softmax", source,
            {**base, "head": "linear", "loss": {"kind": "cross_entropy", "reduction": "sum"}},
            weights={**{f"rnn.{k}": v for k, v in weights.items()},
                     "classifier.weight": W2.T, "classifier.bias": b2},
            inputs={"x": X, "h_0": h_0, "targets": labels},
            outputs={"output": output, "h_n": h_n, "logits": logits(),
                     "probabilities": exp(log_softmax(logits())),
                     "loss": -np.sum(Y * log_softmax(logits()))},
            grads={**{f"rnn.{k}": v for k, v in grads.items()},
                   "classifier.weight": sum(dot(h.T, d) for h, d in zip(output, d_z)).T,
                   "classifier.bias": sum(d.sum(axis=0) for d in d_z), "x": dX, "h_0": dh_0})


# D3 -----------------------------------------------------------------------------------------------
class D3:
    """One cell: h_next = tanh(h_prev Wh + x Wx + b). Erratum 23: one class, not two."""

    def __init__(self, Wx, Wh, b):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.cache = None

    def forward(self, x, h_prev):
        Wx, Wh, b = self.params
        h_next = tanh(dot(h_prev, Wh) + dot(x, Wx) + b)
        self.cache = (x, h_prev, h_next)
        return h_next

    def backward(self, dh_next):
        Wx, Wh, b = self.params
        x, h_prev, h_next = self.cache
        dt = dh_next * (1 - h_next**2)
        self.grads[0][...] = dot(x.T, dt)
        self.grads[1][...] = dot(h_prev.T, dt)
        self.grads[2][...] = np.sum(dt, axis=0)
        return dot(dt, Wx.T), dot(dt, Wh.T)


def write_d3():
    rng = np.random.default_rng(6)
    N, D, H = 3, 4, 5
    W = {"Wx": rng.normal(0, 0.6, (D, H)), "Wh": rng.normal(0, 0.6, (H, H)), "b": rng.normal(0, 0.6, H)}
    x, h_prev, dh_next = (rng.normal(size=s) for s in ((N, D), (N, H), (N, H)))
    cell = D3(*W.values())
    h_next = cell.forward(x, h_prev)
    dx, dh_prev = cell.backward(dh_next)
    grads = dict(zip(W, cell.grads))
    check_gradients(lambda: np.sum(D3(*W.values()).forward(x, h_prev) * dh_next),
                    {**W, "x": x, "h_prev": h_prev}, {**grads, "x": dx, "h_prev": dh_prev}, "D3")
    fixture("d3/cell", "document D3, corrected NumPy code",
            {"convention": "textbook-d3", "cell": "rnn_tanh", "batch_first": False, "head": "none",
             "loss": {"kind": "vjp"}},
            weights=W, inputs={"x": x[None], "h_0": h_prev[None], "grad_h_n": dh_next[None]},
            outputs={"output": h_next[None], "h_n": h_next[None]},
            grads={**grads, "x": dx[None], "h_0": dh_prev[None]})


# D4 -----------------------------------------------------------------------------------------------
class D4:
    """TimeRNN over (N, T, D). Erratum 25: one dtype, where the document mixed float32 buffers in."""

    def __init__(self, Wx, Wh, b, stateful=False):
        self.params = [Wx, Wh, b]
        self.grads = [np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(b)]
        self.layers = None
        self.h, self.dh = None, None
        self.stateful = stateful

    def set_state(self, h):
        assert self.stateful, "erratum 26: without stateful the state would be ignored"
        self.h = h

    def reset_state(self):
        self.h = None

    def forward(self, xs):
        Wx, Wh, b = self.params
        N, T, D = xs.shape
        D, H = Wx.shape
        self.layers = []
        hs = np.empty((N, T, H))
        if not self.stateful or self.h is None:
            self.h = np.zeros((N, H))
        assert self.h.shape == (N, H), "erratum 26: the batch changed under a carried state"
        for t in range(T):
            layer = D3(*self.params)
            self.h = layer.forward(xs[:, t, :], self.h)
            hs[:, t, :] = self.h
            self.layers.append(layer)
        return hs

    def backward(self, dhs):
        N, T, H = dhs.shape
        dxs = np.empty((N, T, self.params[0].shape[0]))
        dh = 0
        grads = [0, 0, 0]
        for t in reversed(range(T)):
            layer = self.layers[t]
            dx, dh = layer.backward(dhs[:, t, :] + dh)
            dxs[:, t, :] = dx
            for i, grad in enumerate(layer.grads):  # erratum 24: `layers.grads` was a NameError
                grads[i] = grads[i] + grad
        for i, grad in enumerate(grads):
            self.grads[i][...] = grad
        self.dh = dh
        return dxs


def write_d4():
    source = "document D4, corrected NumPy code"
    base = {"convention": "textbook-d3", "cell": "rnn_tanh", "head": "none", "loss": {"kind": "vjp"}}
    rng = np.random.default_rng(7)
    N, T, D, H = 2, 6, 4, 5
    W = {"Wx": rng.normal(0, 0.5, (D, H)), "Wh": rng.normal(0, 0.5, (H, H)), "b": rng.normal(0, 0.5, H)}
    chosen = rng.normal(size=(N, H))
    layer = D4(*W.values(), stateful=True)
    one = D4(*W.values(), stateful=False)
    # (fixture, layer, what happens to the state before the block)
    plan = [("stateful-block-1", layer, None), ("stateful-block-2", layer, None),
            ("stateful-block-3", layer, None), ("set-state", layer, "set"), ("reset-state", layer, "reset"),
            ("stateless-block-1", one, None), ("stateless-block-2", one, None)]
    for name, net, action in plan:
        if action == "set":
            net.set_state(chosen)
        if action == "reset":
            net.reset_state()
        h_0 = net.h if net.stateful and net.h is not None else np.zeros((N, H))
        xs, dhs = rng.normal(size=(N, T, D)), rng.normal(size=(N, T, H))
        hs = net.forward(xs)
        h_n = net.h
        dxs = net.backward(dhs)
        grads = dict(zip(W, net.grads))

        def loss():
            again = D4(*W.values(), stateful=True)
            again.set_state(h_0)
            return np.sum(again.forward(xs) * dhs)

        check_gradients(loss, {**W, "x": xs, "h_0": h_0}, {**grads, "x": dxs, "h_0": net.dh}, name)
        inputs = {"x": xs, "grad_output": dhs}
        if name not in ("reset-state", "stateless-block-1", "stateless-block-2", "stateful-block-1"):
            inputs["h_0"] = h_0[None]
        fixture(f"d4/{name}", source, {**base, "batch_first": True}, weights=W, inputs=inputs,
                outputs={"output": hs, "h_n": h_n[None]},
                grads={**grads, "x": dxs, "h_0": net.dh[None]})
    write_explosion(base)


def write_explosion(base):
    """dh ← dh Whᵀ, twenty times, as the backward pass of a relu network whose every derivative is 1.

    With Wx = 1, h_0 = 1 and x_t = 1 - h_{t-1} Wh each pre-activation is 1. Wh is rounded to multiples
    of 2⁻⁴⁰ (5e-13, far below its eight printed decimals), so that this holds exactly, in any order
    of summation.
    """
    N, H, T = 2, 3, 20
    printed = np.array([[-0.68153985, -1.93970896, 0.67076229],
                        [-1.46036714, 0.391873, 0.91808671],
                        [0.36187896, 0.73361743, -0.69306025]])
    printed_last = np.array([16765466.71501118, 11720113.66583842, -8676609.12453001])
    printed_first = np.array([[-1.95048652, -0.15040744, 0.40243614], [1.89101993, 3.15895708, -1.09509405],
                              [-8.15081059, -2.52906469, 3.76075245], [12.9833226, 14.36480065, -7.41140086],
                              [-41.68347253, -20.13554885, 20.37320676],
                              [81.13163104, 71.68696606, -43.97602119],
                              [-223.84374699, -130.76358237, 112.42867045]])
    norms = [1.41226324, 2.71608147, 6.59451059, 14.66020158, 35.76324737, 82.62945250, 199.80658370,
             469.27948281, 1127.09975772, 2666.70410584, 6379.49392890, 15145.7881293, 36156.2186358,
             85982.2743545, 205033.442217, 487982.526928, 1162996.55154, 2769065.91132, 6597593.76391,
             15711865.8429]

    def run(Wh):
        dh, passed = np.ones((N, H)), []
        for _ in range(T):
            passed.append(dh)
            dh = dot(dh, Wh.T)
        return passed, dh

    def write(name, what, Wh, tolerance, **expected):
        x = np.broadcast_to(1 - Wh.sum(axis=0), (T, N, H))
        fixture(f"d4/{name}", what, {**base, "cell": "rnn_relu", "batch_first": False, **tolerance},
                weights={"Wx": np.eye(H), "Wh": Wh, "b": np.zeros(H)},
                inputs={"x": x, "h_0": np.ones((1, N, H)), "grad_h_n": np.ones((1, N, H))},
                outputs={"output": np.ones((T, N, H)), "h_n": np.ones((1, N, H))}, **expected)

    exact = np.round(printed * 2.0**40) / 2.0**40
    passed, dh = run(exact)
    close(dh[0], printed_last, 1e-7, "D4 dh after 20 steps")
    for step, row in enumerate(printed_first):
        close((passed + [dh])[step + 1][0], row, 3e-8, f"D4 dh after {step + 1} steps")
    found = [np.sqrt(np.sum(d * d)) / N for d in passed[1:] + [dh]]
    for step in range(T):
        close(found[step], norms[step], 2e-9, f"D4 norm {step + 1}")
    write("explosion-printed", "document D4, the numbers it prints", exact,
          {"tolerance": {"grads": {"relative_to_max": 1e-7}}},
          grads={"h_0": np.tile(printed_last, (1, N, 1))})
    # Every h_{t-1} and x_t is known, so the sums over time are plain sums of what is passed back.
    for name, Wh in [("explosion", exact), ("vanishing", exact / 4)]:
        passed, dh = run(Wh)
        x_t, total = 1 - Wh.sum(axis=0), sum(d.sum(axis=0) for d in passed)
        write(name, "document D4, its experiment in NumPy", Wh, {},
              grads={"Wx": np.outer(x_t, total), "Wh": np.outer(np.ones(H), total), "b": total,
                     "x": np.stack(passed[::-1]), "h_0": dh[None]})


if __name__ == "__main__":
    for write_document in (write_d0, write_d1, write_d2, write_d3, write_d4):
        write_document()
