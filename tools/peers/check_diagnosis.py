#!/usr/bin/env python3
"""Wrong fixtures of known and of unknown kinds, made with PyTorch: is what rnn-verify calls the cause the cause?

    $(tools/peers/environment) tools/peers/check_diagnosis.py [--seed S] [--count N] [--others N] [--keep DIR] RNN_VERIFY

Of every kind of mistake, --count random networks: cell, sizes (all different), layers, directions, lengths, states,
head, type, half of them with gradients. The numbers come from the loops below (held against nn.RNN, nn.LSTM and
nn.GRU first) with the mistake in them. Then --others fixtures that are wrong in ways that are no known mistake: of
them none may get a cause. Prints a table; fails below 95 % right, for one wrong name, or for one cause invented.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
import torch

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


class Net:
    """A random network with an input: tensors under the fixture's names."""

    # Sizes of which each network gets five different ones.
    sizes = [3, 4, 5, 6, 7, 8, 9]

    def __init__(self, pick, cells=None, layers=None, both=None, ragged=None, states=None, head=None, biased=None, proj=None):
        def choose(given, options):
            return pick.choice(options) if given is None else given
        self.cell = pick.choice(cells or list(GATES))
        self.L = choose(layers, [1, 1, 2, 3])
        self.both = choose(both, [False, True])
        self.bias = choose(biased, [True] * 4 + [False])
        self.T, self.N, self.D, self.H, self.C = pick.sample(self.sizes, 5)
        self.P = pick.choice([p for p in (2, 3) if p < self.H]) if self.cell == "lstm" and choose(proj, [False] * 5 + [True]) else 0
        self.S, self.dirs, self.G = self.P or self.H, 2 if self.both else 1, GATES[self.cell]
        self.batch_first = pick.random() < 0.5
        self.dtype = pick.choice([torch.float32, torch.float64])
        self.reset = pick.choice(["after", "before"]) if self.cell == "gru" else "after"
        generator = torch.Generator().manual_seed(pick.randrange(1 << 40))
        def draw(*shape, scale=0.5):
            return (torch.randn(*shape, generator=generator, dtype=torch.float64) * scale).to(self.dtype)
        self.draw = draw
        self.w = {}
        for layer in range(self.L):
            for d in range(self.dirs):
                s = f"l{layer}" + ("_reverse" if d else "")
                width = self.D if layer == 0 else self.dirs * self.S
                self.w[f"weight_ih_{s}"] = draw(self.G * self.H, width, scale=1 / math.sqrt(width))
                self.w[f"weight_hh_{s}"] = draw(self.G * self.H, self.S, scale=1 / math.sqrt(self.S))
                if self.bias:
                    self.w[f"bias_ih_{s}"] = draw(self.G * self.H, scale=0.4)
                    self.w[f"bias_hh_{s}"] = draw(self.G * self.H, scale=0.4)
                if self.P:
                    self.w[f"weight_hr_{s}"] = draw(self.P, self.H, scale=0.7)
        self.reads = choose(head, [None, None, "sequence", "last", "final"])
        if self.reads:
            self.w["head.weight"] = draw(self.C, self.dirs * self.S, scale=0.6)
            self.w["head.bias"] = draw(self.C)
        self.x = draw(*((self.N, self.T) if self.batch_first else (self.T, self.N)), self.D, scale=1)
        self.h0 = self.c0 = self.lengths = None
        if choose(states, [False, True]):
            self.h0 = draw(self.L * self.dirs, self.N, self.S)
            if self.cell == "lstm":
                self.c0 = draw(self.L * self.dirs, self.N, self.H)
        if choose(ragged, [False, False, True]):
            self.lengths = [pick.randrange(1, self.T) for _ in range(self.N)]
            self.lengths[pick.randrange(self.N)] = self.T

    def suffixes(self):
        return [f"l{layer}" + ("_reverse" if d else "") for layer in range(self.L) for d in range(self.dirs)]


DEFAULT = dict(sigmoid=torch.sigmoid, tanh=torch.tanh, memory=torch.tanh, state=None, reset=None, lengths="use",
               reads=None, reverse="backwards", last="valid", masks=None, axes=False, halves=False)


def forward(net, w, x, h0, c0, **options):
    """(output, h_n, c_n, logits) of the network, in the order of axes that the fixture has."""
    o = {**DEFAULT, **options}
    first = net.batch_first != o["axes"]
    x = x.transpose(0, 1) if first else x
    T, N = x.shape[:2]
    lengths = net.lengths if o["lengths"] != "ignored" and net.lengths else [T] * N
    phi = o["state"] or (torch.relu if net.cell == "rnn_relu" else torch.tanh)
    reset = o["reset"] or net.reset
    H, hs, cs = net.H, [], []
    for layer in range(net.L):
        ways = []
        for d in range(net.dirs):
            s, k = f"l{layer}" + ("_reverse" if d else ""), layer * net.dirs + d
            wi, wh = w[f"weight_ih_{s}"], w[f"weight_hh_{s}"]
            bi, bh = w.get(f"bias_ih_{s}", wi.new_zeros(len(wi))), w.get(f"bias_hh_{s}", wi.new_zeros(len(wi)))
            rows, hn, cn = [], [], []
            for n in range(N):
                length = lengths[n]
                run = T if o["lengths"] == "masked" or (o["lengths"] == "padding" and d) else length
                h = h0[k, n] if h0 is not None else x.new_zeros(net.S)
                c = c0[k, n] if c0 is not None else x.new_zeros(H)
                out = [x.new_zeros(net.S)] * T
                order = range(run - 1, -1, -1) if d and o["reverse"] != "forwards" else range(run)
                for place, t in enumerate(order):
                    a = wi @ x[t, n] + bi
                    if net.cell == "lstm":
                        i, f, g, q = (a + wh @ h + bh).chunk(4)
                        c = o["sigmoid"](f) * c + o["sigmoid"](i) * phi(g)
                        h = o["sigmoid"](q) * o["memory"](c)
                        h = w[f"weight_hr_{s}"] @ h if net.P else h
                    elif net.cell == "gru":
                        b = wh[:2 * H] @ h + bh[:2 * H]
                        r, z = o["sigmoid"](a[:H] + b[:H]), o["sigmoid"](a[H:2 * H] + b[H:])
                        wn, bn = wh[2 * H:], bh[2 * H:]
                        if reset == "after":
                            m = phi(a[2 * H:] + r * (wn @ h + bn))
                        elif reset == "before":
                            m = phi(a[2 * H:] + wn @ (r * h) + bn)
                        else:
                            m = phi(a[2 * H:] + bn + r * (wn @ h))
                        h = (1 - z) * m + z * h
                    else:
                        h = phi(a + wh @ h + bh)
                    at = place if o["reverse"] == "not turned" and d else t
                    if at < length:
                        out[at] = h
                rows.append(torch.stack(out)), hn.append(h), cn.append(c)
            ways.append(torch.stack(rows, 1)), hs.append(torch.stack(hn)), cs.append(torch.stack(cn))
        y = torch.cat(ways[::-1] if o["halves"] else ways, -1)
        if o["masks"] is not None and layer + 1 < net.L:
            y = y * o["masks"][layer]
        x = y
    hn, cn = torch.stack(hs), torch.stack(cs)
    logits = None
    reads = o["reads"] or net.reads
    if net.reads:
        last = {"valid": [n - 1 for n in lengths], "padded": [T - 1] * N, "first": [0] * N}[o["last"]]
        read = {"sequence": y, "last": torch.stack([y[last[n], n] for n in range(N)]),
                "final": torch.cat([hn[(net.L - 1) * net.dirs + d] for d in range(net.dirs)], -1)}[reads]
        logits = read @ w["head.weight"].t() + w["head.bias"]
        if reads == "sequence" and first:
            logits = logits.transpose(0, 1)
    return y.transpose(0, 1) if first else y, hn, cn if net.cell == "lstm" else None, logits


def save(net, path, w, x, h0, c0, outputs, grads=None, upstream=None):
    config = {"schema": 1, "cell": net.cell, "batch_first": net.batch_first, "gru_reset": net.reset, "head": "linear" if net.reads else "none"}
    if net.reads:
        config["head_reads"] = net.reads
    arrays = {"inputs/x": x}
    arrays |= {"weights/" + (("rnn." + k) if net.reads and not k.startswith("head") else k): v for k, v in w.items()}
    if h0 is not None:
        arrays["inputs/h_0"] = h0
    if c0 is not None:
        arrays["inputs/c_0"] = c0
    arrays |= {f"outputs/{k}": v for k, v in outputs.items()}
    if grads:
        config["loss"] = {"kind": "vjp"}
        arrays |= {f"inputs/grad_{k}": v for k, v in upstream.items()}
        arrays |= {"grads/" + (("rnn." + k) if net.reads and k in w else k): v for k, v in grads.items()}
    arrays = {k: v.detach().numpy() for k, v in arrays.items()}
    if net.lengths:
        arrays["inputs/lengths"] = np.array(net.lengths)
    arrays["config"] = np.frombuffer(json.dumps(config).encode(), dtype=np.uint8)
    np.savez(path, **arrays)


def named(net, results, keep=None):
    names = dict(zip(("output", "h_n", "c_n", "logits"), results))
    return {k: v for k, v in names.items() if v is not None and (keep is None or k in keep)}


# --- the known mistakes: what is different from the fixture's weights, inputs, options

def each(net, w, change, roles=("weight_ih", "weight_hh", "bias_ih", "bias_hh"), suffixes=None):
    return {k: change(k, v) if any(k.startswith(r) for r in roles) and (suffixes is None or any(k.endswith("_" + s) for s in suffixes)) else v
            for k, v in w.items()}


def blocks(v, order):
    parts = v.chunk(len(order))
    return torch.cat([parts[i] for i in order])


def mistake(kind, pick):
    """(net, changed weights from weights, inputs from inputs, options)"""
    same = lambda net: (lambda w: w)
    table = {
        "gates-permuted": dict(cells=["lstm", "gru"]), "bias-doubled": dict(biased=True), "bias-missing": dict(biased=True),
        "bias-hh-missing": dict(biased=True), "batch-first": dict(states=False, ragged=False), "gru-reset": dict(cells=["gru"], biased=True),
        "directions-swapped": dict(both=True), "layers-swapped": dict(layers=pick.choice([2, 3])), "matrix-transposed": dict(proj=False),
        "lengths-ignored": dict(ragged=True), "last-step": dict(head=pick.choice(["last", "final"]), both=True),
        "time-reversed": {}, "activation": {}, "forget-bias": dict(cells=["lstm"], biased=True),
        "initial-state-ignored": dict(states=True), "weights-rounded": {}, "weight-differs": {},
        "dropout-active": dict(layers=2, both=False, ragged=False, proj=False, head=False),
    }
    net = Net(pick, **table[kind])
    net.reads = net.reads or None
    change, inputs, options = (lambda w: w), (lambda x, h, c: (x, h, c)), {}
    detail = ""
    if kind == "gates-permuted":
        order = list(range(net.G))
        while order == sorted(order):
            pick.shuffle(order)
        roles = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        change = lambda w: each(net, w, lambda k, v: blocks(v, order), roles)
        detail = str(order)
    elif kind == "bias-doubled":
        how = pick.choice(["twice", "half", "copy"])
        if how == "copy":
            change = lambda w: {k: (w[k.replace("bias_hh", "bias_ih")] if k.startswith("bias_hh") else v) for k, v in w.items()}
        else:
            change = lambda w: each(net, w, lambda k, v: v * (2 if how == "twice" else 0.5), ("bias_",))
        detail = how
    elif kind == "bias-missing":
        part = None if pick.random() < 0.6 else [pick.choice(net.suffixes())]
        change = lambda w: each(net, w, lambda k, v: v * 0, ("bias_",), part)
        detail = str(part)
    elif kind == "bias-hh-missing":
        change = lambda w: each(net, w, lambda k, v: v * 0, ("bias_hh",))
    elif kind == "batch-first":
        options = dict(axes=True)
    elif kind == "gru-reset":
        options = dict(reset=pick.choice(["outside" if net.reset == "after" else "after", "before" if net.reset == "after" else "after"]))
        detail = str(options)
    elif kind == "directions-swapped":
        how = pick.choice(["weights", "halves"])
        if how == "halves":
            options = dict(halves=True)
        else:
            change = lambda w: {k: (w[k.removesuffix("_reverse")] if k.endswith("_reverse") else w.get(k + "_reverse", v)) for k, v in w.items()}
        detail = how
    elif kind == "layers-swapped":
        a, b = pick.sample(range(net.L), 2)
        def swap(w):
            r = dict(w)
            for k in w:
                for p, q in ((a, b), (b, a)):
                    other = k.replace(f"_l{p}", f"_l{q}")
                    if f"_l{p}" in k and w[other].shape == w[k].shape:
                        r[k] = w[other]
            return r
        change = swap
    elif kind == "matrix-transposed":
        how = pick.choice(["hh gates", "ih memory", "hh memory" if net.G > 1 else "hh gates"])
        if how == "hh gates":
            change = lambda w: each(net, w, lambda k, v: torch.cat([p.t() for p in v.chunk(net.G)]), ("weight_hh",))
        else:
            change = lambda w: each(net, w, lambda k, v: v.reshape(v.shape[1], v.shape[0]).t(), ("weight_" + how[:2],))
        detail = how
    elif kind == "lengths-ignored":
        options = dict(lengths=pick.choice(["ignored", "masked"] + ["padding"] * net.both))
        detail = str(options)
    elif kind == "last-step":
        if net.reads == "last":
            options = dict(reads="final") if pick.random() < 0.5 or not net.lengths else dict(last="padded")
        else:
            options = dict(reads="last")
        detail = str(options)
    elif kind == "time-reversed":
        how = pick.choice(["input"] + ["forwards", "not turned"] * net.both)
        if how == "input":
            net.lengths = None
            inputs = lambda x, h, c: (x.flip(1 if net.batch_first else 0), h, c)
        else:
            options = dict(reverse=how)
        detail = how
    elif kind == "activation":
        # torch.nn.functional.hardsigmoid itself differentiates with 1 / 6 in single precision, also in float64.
        hard = lambda v: (0.2 * v + 0.5).clamp(0, 1)
        choices = [dict(state=f) for f in (torch.relu, torch.sigmoid, lambda v: v, torch.tanh) if f is not (torch.relu if net.cell == "rnn_relu" else torch.tanh)]
        if net.G > 1:
            choices += [dict(sigmoid=hard), dict(sigmoid=lambda v: (v / 6 + 0.5).clamp(0, 1)), dict(sigmoid=torch.tanh)]
        if net.cell == "lstm":
            choices += [dict(memory=torch.relu), dict(memory=lambda v: v)]
        options = pick.choice(choices)
    elif kind == "forget-bias":
        amount = pick.choice([1, -1])
        def forget(k, v):
            v = v.clone()
            v[net.H:2 * net.H] = v[net.H:2 * net.H] + amount
            return v
        change = lambda w: each(net, w, forget, ("bias_ih",))
    elif kind == "initial-state-ignored":
        how = pick.choice(["both"] + ["h", "c"] * (net.cell == "lstm"))
        inputs = lambda x, h, c: (x, None if how != "c" else h, None if how != "h" else c)
        detail = how
    elif kind == "weights-rounded":
        to = pick.choice([torch.float16, torch.bfloat16])
        change = lambda w: {k: v + (v.to(to).to(v.dtype) - v).detach() for k, v in w.items()}
        detail = str(to)
    elif kind == "weight-differs":
        key = pick.choice(sorted(net.w))
        how = pick.choice(["element", "zero tensor", "zero gate", "negated gate", "row", "scaled"])
        v = net.w[key]
        rows, g = len(v), pick.randrange(net.G)
        at = tuple(pick.randrange(s) for s in v.shape)
        span = slice(g * net.H, (g + 1) * net.H) if net.G > 1 and not key.startswith("head") and "_hr_" not in key else slice(0, rows)
        row, factor, delta = pick.randrange(rows), pick.uniform(0.3, 1.8), pick.choice([-1, 1]) * pick.uniform(0.05, 1)
        if v.dim() == 1 and how == "row":
            how = "element"
        if "bias" in key and how == "zero tensor":
            how = "element"  # that is bias-missing
        def differ(w):
            m, b = torch.ones_like(v), torch.zeros_like(v)
            if how == "element":
                b[at] = delta
            elif how == "zero tensor":
                m[:] = 0
            elif how == "zero gate":
                m[span if len(v) > span.stop - span.start else at] = 0
            elif how == "negated gate":
                m[span] = -1
            elif how == "row":
                m[row] = 0
            else:
                m[:] = factor
            return {**w, key: w[key] * m + b}
        change = differ
        detail = f"{how} {key}"
    elif kind == "dropout-active":
        p = pick.choice([0.2, 0.3, 0.5])
        keep = (torch.rand(net.T, net.N, net.S, generator=torch.Generator().manual_seed(pick.randrange(1 << 30))) > p).to(net.dtype)
        options = dict(masks=[keep / (1 - p)])
        detail = f"p {p}"
    return net, change, inputs, options, detail


def known(kind, pick, path):
    for _ in range(100):
        net, change, inputs, options, detail = mistake(kind, pick)
        right = named(net, forward(net, net.w, net.x, net.h0, net.c0))
        w = {k: v.clone().requires_grad_() for k, v in net.w.items()}
        x = net.x.clone().requires_grad_()
        h0 = net.h0.clone().requires_grad_() if net.h0 is not None else None
        c0 = net.c0.clone().requires_grad_() if net.c0 is not None else None
        wrong = named(net, forward(net, change(w), *inputs(x, h0, c0), **options))
        # A mistake that changes nothing is none.
        if all(right[k].shape == wrong[k].shape and (right[k] - wrong[k]).abs().max() < 1e-3 * (1 if kind != "weights-rounded" else 0.03) for k in right):
            continue
        keep = pick.choice([None, None, ["output"], ["output", "h_n"]])
        if kind == "last-step":
            keep = pick.choice([["logits"], None])
        if kind in ("directions-swapped",) and keep:
            keep = None
        outputs = {k: v for k, v in wrong.items() if keep is None or k in keep}
        grads = upstream = None
        if pick.random() < 0.5 and kind not in ("dropout-active", "batch-first", "last-step") and not net.reads:
            upstream = {k: net.draw(*right[k].shape) for k in ("output", "h_n", "c_n") if k in right}
            loss = sum((wrong[k] * u).sum() for k, u in upstream.items())
            leaves = dict(w) | {"x": x} | ({"h_0": h0} if h0 is not None else {}) | ({"c_0": c0} if c0 is not None else {})
            found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            grads = {k: g if g is not None else torch.zeros_like(v) for (k, v), g in zip(leaves.items(), found)}
            detail += " grads"
        if all(k not in right or right[k].shape == v.shape and (right[k] - v).abs().max() < 1e-3 * (1 if kind != "weights-rounded" else 0.03) for k, v in outputs.items()):
            continue
        save(net, path, net.w, net.x, net.h0, net.c0, outputs, grads, upstream)
        return f"{net.cell} L{net.L}{' both' if net.both else ''}{' P' if net.P else ''} T{net.T} N{net.N} D{net.D} H{net.H} {'f32' if net.dtype == torch.float32 else 'f64'} {net.reset if net.cell == 'gru' else ''}{' ragged' if net.lengths else ''}{' states' if net.h0 is not None else ''}{' bias' if net.bias else ''} {net.reads} {sorted(outputs)}: {detail}"
    raise SystemExit(f"{kind}: no mistake that shows")


OTHERS = ["noise", "small noise", "two tensors", "another network", "another input", "one step", "one number", "two numbers",
          "two elements", "all weights", "an offset", "units permuted", "rows permuted", "outputs rounded", "one row's input", "scaled by step"]


def other(kind, pick, path):
    net = Net(pick)
    w, x, h0, c0 = dict(net.w), net.x, net.h0, net.c0
    def noise(v, scale):
        return v + net.draw(*v.shape, scale=scale)
    if kind in ("two tensors", "two elements"):
        while True:
            changes = {}
            for key in pick.sample(sorted(w), 2):
                changes[key] = noise(w[key], pick.choice([0.01, 0.1, 0.5]))
                if kind == "two elements":
                    changes[key] = w[key].clone()
                    changes[key].view(-1)[pick.randrange(w[key].numel())] += pick.uniform(0.1, 1)
            # Both must show, or it is one: behind a unit that a ReLU cuts off, for instance.
            both = named(net, forward(net, {**w, **changes}, x, h0, c0))
            alone = [named(net, forward(net, {**w, key: change}, x, h0, c0)) for key, change in changes.items()]
            if all(max((one[k] - both[k]).abs().max() for k in both) > 1e-3 for one in alone):
                break
        w |= changes
    elif kind == "another network":
        w = {k: net.draw(*v.shape) for k, v in w.items()}
    elif kind == "another input":
        x = net.draw(*x.shape, scale=1)
    elif kind == "all weights":
        w = {k: noise(v, pick.choice([1e-3, 1e-2, 0.1])) for k, v in w.items()}
    elif kind == "one row's input":
        row = pick.randrange(net.N)
        x = x.clone()
        at = (row,) if net.batch_first else (slice(None), row)
        x[at] = noise(x[at], 0.3)
    outputs = named(net, forward(net, w, x, h0, c0))
    name = pick.choice(sorted(outputs))
    v = outputs[name].contiguous().clone()
    if kind == "noise":
        v = noise(v, pick.choice([0.01, 0.1, 1]))
    elif kind == "small noise":
        v = noise(v, 3e-4)
    elif kind == "one step":
        v.view(-1)[: max(2, v.shape[-1])] += net.draw(max(2, v.shape[-1]))
    elif kind in ("one number", "two numbers"):
        for _ in range(1 + (kind == "two numbers")):
            v.view(-1)[pick.randrange(v.numel())] += pick.uniform(0.05, 1)
    elif kind == "an offset":
        v = v + pick.uniform(0.01, 0.5)
        if name == "logits":
            v = v ** 2
    elif kind == "units permuted":
        v = v[..., torch.tensor(pick.sample(range(v.shape[-1]), v.shape[-1]))].contiguous()
        v.view(-1)[0] += 0.1
    elif kind == "rows permuted":
        v = v.flip(-1) * 1.01
    elif kind == "outputs rounded":
        v = v.to(torch.float16).to(v.dtype)
    elif kind == "scaled by step":
        v = v * (1 + 0.1 * torch.arange(v.shape[0], dtype=v.dtype).reshape(-1, *[1] * (v.dim() - 1)) + 0.05)
    outputs[name] = v
    save(net, path, net.w, net.x, net.h0, net.c0, outputs)
    return f"{net.cell} L{net.L}{' both' if net.both else ''} {name} {net.dtype}"


def check_reference(pick):
    """The loops without a mistake are PyTorch's modules."""
    for cell in GATES:
        for both in (False, True):
            net = Net(pick, cells=[cell], both=both, ragged=False, states=True, head=False, biased=True)
            net.dtype, net.reset, net.reads = torch.float64, "after", None
            module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(cell, torch.nn.RNN)
            extra = {"nonlinearity": cell[4:]} if cell.startswith("rnn") else {"proj_size": net.P} if net.P else {}
            module = module(net.D, net.H, net.L, batch_first=net.batch_first, bidirectional=both, **extra).double()
            w = {k: v.double() for k, v in net.w.items()}
            module.load_state_dict(w)
            c0 = net.c0.double() if net.c0 is not None else None
            y, hn, *_ = forward(net, w, net.x.double(), net.h0.double(), c0)
            ref, state = module(net.x.double(), (net.h0.double(), c0) if cell == "lstm" else net.h0.double())
            state = state[0] if cell == "lstm" else state
            assert torch.allclose(y, ref, atol=1e-12) and torch.allclose(hn, state, atol=1e-12), cell


def judge(binary, folder):
    done = subprocess.run([binary, "--json", folder], capture_output=True, text=True)
    return {pathlib.Path(f["file"]).name: f for f in json.loads(done.stdout)["fixtures"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--others", type=int, default=1000)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--sizes", help="five or more sizes to choose from, such as 3,8,17,30,41")
    parser.add_argument("--keep")
    parser.add_argument("binary")
    arguments = parser.parse_args()
    kinds = [k for k in ["gates-permuted", "bias-doubled", "bias-missing", "bias-hh-missing", "batch-first", "gru-reset", "directions-swapped",
             "layers-swapped", "matrix-transposed", "lengths-ignored", "last-step", "time-reversed", "dropout-active",
             "activation", "forget-bias", "initial-state-ignored", "weights-rounded", "weight-differs"] if not arguments.kinds or k in arguments.kinds.split(",")]
    if arguments.sizes:
        Net.sizes = [int(size) for size in arguments.sizes.split(",")]
    check_reference(random.Random(1))
    failures, right, total = [], 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(arguments.keep or scratch)
        (root / "known").mkdir(parents=True, exist_ok=True), (root / "others").mkdir(exist_ok=True)
        notes = {}
        for kind in kinds:
            for k in range(arguments.count):
                name = f"{kind}-{k:02}.npz"
                notes[name] = known(kind, random.Random(f"{arguments.seed} {kind} {k}"), root / "known" / name)
        found = judge(arguments.binary, root / "known")
        print(f"{'mistake':24}{'first':>6}{'listed':>8}{'unknown':>9}{'wrong':>7}")
        for kind in kinds:
            count = collections.Counter()
            for name in sorted(n for n in notes if n.startswith(kind + "-") and n[len(kind) + 1:-4].isdigit()):
                codes = [c["code"] for c in found[name].get("causes", [])]
                result = ("first" if codes[:1] == [kind] else "listed" if kind in codes else
                          "unknown" if codes in ([], ["unknown"]) else "wrong")
                count[result] += 1
                if result != "first":
                    failures.append((result, name, notes[name], found[name]))
            total += sum(count.values())
            right += count["first"]
            print(f"{kind:24}{count['first']:6}{count['listed']:8}{count['unknown']:9}{count['wrong']:7}")
        for result, name, note, fixture in failures:
            print(f"  {result}: {name}: {note}")
            for cause in fixture.get("causes", [])[:3] or [{"code": "none", "detail": fixture.get("error") or "passes" * fixture["passes"]}]:
                print(f"      {cause['code']}: {cause['detail']}")
        invented, passing = [], 0
        for k in range(arguments.others):
            kind = OTHERS[k % len(OTHERS)]
            name = f"{k:04}.npz"
            notes[name] = kind + ": " + other(kind, random.Random(f"{arguments.seed} {kind} {k}"), root / "others" / name)
        if arguments.others:
            found = judge(arguments.binary, root / "others")
            for name, fixture in sorted(found.items()):
                passing += fixture["passes"]
                if any(c["code"] != "unknown" for c in fixture.get("causes", [])):
                    invented.append((name, notes[name], fixture["causes"]))
            for name, note, causes in invented:
                print(f"  invented: {name}: {note}")
                for cause in causes[:3]:
                    print(f"      {cause['code']}: {cause['detail']} ({cause['deviation']})")
        wrong = sum(result == "wrong" for result, *_ in failures)
        print(f"{right} of {total} named right first ({100 * right / max(1, total):.1f} %), {wrong} wrongly; "
              f"{arguments.others - passing} other wrong fixtures, {len(invented)} with an invented cause")
        sys.exit(bool(right < 0.95 * total or wrong or invented))


if __name__ == "__main__":
    main()
