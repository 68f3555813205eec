#!/usr/bin/env python3
"""Holds every committed fixture against PyTorch's autograd, by the contract of DESIGN.md, section 7.

    $(tools/peers) tools/peer_check_fixtures.py [FOLDER...]

The documents' fixtures come from hand-written NumPy; here PyTorch, which knows nothing of that code,
must arrive at the same losses, gradients and trained parameters. In float64: 1e-9.
"""
import glob
import json
import os
import sys

import numpy as np
import torch
from torch.nn import functional as F


def transpose(tensor):
    return tensor.t()


# A textbook name -> (state-dict name, how the tensor is turned); bias_hh stays at zero, untrained.
TEXTBOOK = {
    "Wxh": ("weight_ih_l0", None), "Wah": ("weight_hh_l0", None), "bh": ("bias_ih_l0", torch.flatten),
    "Wao": ("head.weight", None), "bo": ("head.bias", None)}
ROWS = {
    "Wxh": ("weight_ih_l0", transpose), "Whh": ("weight_hh_l0", transpose),
    "bh": ("bias_ih_l0", torch.flatten), "Why": ("head.weight", transpose), "by": ("head.bias", torch.flatten),
    "Wx": ("weight_ih_l0", transpose), "Wh": ("weight_hh_l0", transpose), "b": ("bias_ih_l0", None)}


def canonical(key, tensor, convention):
    """The parameter as nn.RNN uses it: a view, so that gradients arrive in the stored shape."""
    if convention == "torch":
        return key.removeprefix("rnn.").replace("classifier.", "head."), tensor
    name, turn = (TEXTBOOK if convention == "textbook-d0" else ROWS)[key]
    return name, turn(tensor) if turn else tensor


def cell_step(config, p, suffix, x, state):
    """The new (h, c) of one layer and direction from PyTorch's parameters; c is None but in LSTMs."""
    h, c = state
    ih = x @ p[f"weight_ih_{suffix}"].t() + p.get(f"bias_ih_{suffix}", 0)
    w_hh = p[f"weight_hh_{suffix}"]
    b_hh = p.get(f"bias_hh_{suffix}", w_hh.new_zeros(len(w_hh)))
    if config["cell"] == "lstm":
        i, f, g, o = (ih + h @ w_hh.t() + b_hh).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return h @ p[f"weight_hr_{suffix}"].t() if f"weight_hr_{suffix}" in p else h, c
    if config["cell"] == "gru":
        third = h.shape[-1]
        gates = ih[..., :2 * third] + h @ w_hh[:2 * third].t() + b_hh[:2 * third]
        r, z = gates.sigmoid().chunk(2, dim=-1)
        w_n, b_n = w_hh[2 * third:], b_hh[2 * third:]
        before = config.get("gru_reset", "after") == "before"
        n = (ih[..., 2 * third:] + ((r * h) @ w_n.t() + b_n if before else r * (h @ w_n.t() + b_n))).tanh()
        return (1 - z) * n + z * h, None
    h = ih + h @ w_hh.t() + b_hh
    return h.relu() if config["cell"] == "rnn_relu" else h.tanh(), None


def forward(config, stored, x, h_0, c_0=None, lengths=None):
    convention = config.get("convention", "torch")
    p = dict(canonical(key, tensor, convention) for key, tensor in stored.items())
    x_t = x.unsqueeze(1) if x.dim() == 2 else x.transpose(0, 1) if config.get("batch_first") else x
    h_0, c_0 = (s.unsqueeze(1) if s is not None and x.dim() == 2 else s for s in (h_0, c_0))
    two = 1 + ("weight_ih_l0_reverse" in p)
    finals = []
    for index in range(len(h_0)):
        suffix = f"l{index // two}" + ("_reverse" if index % two else "")
        state, states = (h_0[index], None if c_0 is None else c_0[index]), [None] * len(x_t)
        for t in range(len(x_t))[::-1 if index % two else 1]:
            new = cell_step(config, p, suffix, x_t[t], state)
            if lengths is None:
                state, states[t] = new, new[0]
            else:  # a row keeps its state where it has no step, and its output there is zero
                valid = (t < lengths)[:, None]
                state = tuple(n if n is None else torch.where(valid, n, s) for n, s in zip(new, state))
                states[t] = torch.where(valid, new[0], torch.zeros_like(new[0]))
        finals.append(state)
        halves = [torch.stack(states)] if not index % two else [*halves, torch.stack(states)]
        if len(halves) == two:
            x_t = torch.cat(halves, dim=2)
    output, h_n = x_t, torch.stack([h for h, _ in finals])
    c_n = None if c_0 is None else torch.stack([c for _, c in finals])
    if x.dim() == 2:
        output, h_n, c_n = (s if s is None else s.squeeze(1) for s in (output, h_n, c_n))
    last = config.get("loss", {}).get("steps") == "last"
    final = output[-1] if last else None
    if x.dim() == 3 and config.get("batch_first"):
        output = output.transpose(0, 1)
    features = final if last else output
    logits = F.linear(features, p["head.weight"], p.get("head.bias")) if "head.weight" in p else None
    return output, h_n, c_n, logits


def loss_of(config, inputs, output, h_n, c_n, logits):
    spec = config.get("loss", {"kind": "vjp"})
    if spec["kind"] == "vjp":
        upstream = (("grad_output", output), ("grad_h_n", h_n), ("grad_c_n", c_n))
        return sum((value * inputs[name]).sum() for name, value in upstream if name in inputs)
    targets = inputs["targets"]
    if spec["kind"] != "cross_entropy":
        kind = F.mse_loss if spec["kind"] == "mse" else F.binary_cross_entropy_with_logits
        return kind(logits, targets, reduction=spec["reduction"])
    options = {k: spec[k] for k in ("ignore_index", "label_smoothing") if k in spec}
    logits = logits.reshape(-1, logits.shape[-1])
    targets = targets.flatten() if targets.dtype == torch.int64 else targets.reshape(logits.shape)
    average = spec["reduction"] == "mean_over_batch"
    total = F.cross_entropy(logits, targets,
                            reduction="sum" if average else spec["reduction"], **options)
    return total / inputs["x"].shape[0 if config.get("batch_first") else 1] if average else total


OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
              "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}


def train(config, weights, inputs, h_0, c_0):
    weights = {k: v.detach().clone().requires_grad_() for k, v in weights.items()}
    options = {k: v for k, v in config["optimizer"].items() if k not in ("kind", "steps")}
    optimizer = OPTIMIZERS[config["optimizer"]["kind"]](weights.values(), **options)
    x, h_0, c_0 = (v if v is None else v.detach() for v in (inputs["x"], h_0, c_0))
    losses, clip = [], config.get("clip")
    for _ in range(config["optimizer"]["steps"]):
        optimizer.zero_grad()
        loss = loss_of(config, inputs, *forward(config, weights, x, h_0, c_0, inputs.get("lengths")))
        losses.append(loss.detach())
        loss.backward()
        if clip and clip["kind"] == "norm":
            torch.nn.utils.clip_grad_norm_(weights.values(), clip["max"])
        elif clip:
            torch.nn.utils.clip_grad_value_(weights.values(), clip["max"])
        optimizer.step()
    return weights, torch.stack(losses)


def check(path):
    """Yields (tensor, deviation relative to its largest magnitude, tolerance)."""
    with np.load(path) as archive:
        tensors = {k: torch.from_numpy(archive[k].copy()) for k in archive.files}
    config = json.loads(bytes(tensors.pop("config").numpy()))
    group = {g: {k[len(g) + 1:]: v for k, v in tensors.items() if k.startswith(g + "/")}
             for g in ("weights", "inputs", "outputs", "grads", "trained")}
    weights, inputs = group["weights"], group["inputs"]
    single = next(iter(weights.values())).dtype == torch.float32
    tolerance = max(2e-5 if single else 1e-9,
                    config.get("tolerance", {}).get("grads", {}).get("relative_to_max", 0))
    shape = group["outputs"].get("h_n")
    if shape is None:  # every fixture without outputs has one layer in one direction
        bias = next(v for k, v in weights.items() if k in ("bh", "b", "rnn.bias_ih_l0"))
        shape = torch.zeros([1, bias.numel()] if inputs["x"].dim() == 2 else
                            [1, inputs["x"].shape[1], bias.numel()], dtype=bias.dtype)
    h_0, c_0 = inputs.get("h_0", torch.zeros_like(shape)).requires_grad_(), None
    if config["cell"] == "lstm":
        c_0 = inputs.get("c_0", torch.zeros_like(group["outputs"]["c_n"])).requires_grad_()
    for tensor in (*weights.values(), inputs["x"]):
        tensor.requires_grad_()
    output, h_n, c_n, logits = forward(config, weights, inputs["x"], h_0, c_0, inputs.get("lengths"))
    loss = loss_of(config, inputs, output, h_n, c_n, logits) if "loss" in config else None
    found = {"outputs/output": output, "outputs/h_n": h_n, "outputs/c_n": c_n, "outputs/loss": loss}
    if logits is not None:
        found.update({"outputs/logits": logits, "outputs/probabilities": logits.softmax(-1)})
    if loss is not None:
        loss.backward()
        found.update({f"grads/{k}": v.grad for k, v in {**weights, "x": inputs["x"], "h_0": h_0}.items()})
        found["grads/c_0"] = None if c_0 is None else c_0.grad
    if "optimizer" in config:
        trained, found["losses"] = train(config, weights, inputs, h_0, c_0)
        found.update({f"trained/{k}": v for k, v in trained.items()})
    for name in [k for k in tensors if k.startswith(("outputs/", "grads/", "trained/", "losses"))]:
        expected, value = tensors[name], found[name].detach()
        if expected.shape != value.shape or expected.dtype != value.dtype:
            yield name, float("inf"), tolerance
        else:
            yield name, float((value - expected).abs().max() / expected.abs().max().clamp(min=1e-12)), tolerance


if __name__ == "__main__":
    torch.set_num_threads(1)
    fixtures = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures")
    folders = sys.argv[1:] or [os.path.join(fixtures, kind) for kind in ("documents", "torch")]
    files = [path for folder in folders
             for path in sorted(glob.glob(os.path.join(folder, "**", "*.npz"), recursive=True))]
    wrong = count = 0
    worst = 0.0
    for path in files:
        for name, deviation, tolerance in check(path):
            count += 1
            worst = max(worst, deviation / tolerance)
            if not deviation <= tolerance:
                wrong += 1
                print(f"{os.path.relpath(path)}: {name}: off by {deviation:.2e}, allowed {tolerance:.0e}")
    print(f"{count} tensors of {len(files)} fixtures, {wrong} differ; worst used {worst:.0%} of its tolerance")
    sys.exit(1 if wrong or not files else 0)
