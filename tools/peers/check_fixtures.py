#!/usr/bin/env python3
"""Holds every committed fixture against PyTorch's autograd, read as the page MakingFixtures describes them.

    $(tools/peers/environment) tools/peers/check_fixtures.py [FOLDER...]

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


def parameters(config, stored):
    convention = config.get("convention", "torch")
    return dict(canonical(key, tensor, convention) for key, tensor in stored.items())


def layer_suffixes(p):
    """One per layer and direction, in PyTorch's order."""
    two = 1 + ("weight_ih_l0_reverse" in p)
    count = sum(key.startswith("weight_ih") for key in p)
    return [f"l{index // two}" + "_reverse" * (index % two) for index in range(count)]


def time_major(config, p, x, *states):
    """(T, N, D) whatever came in, token ids too, and the initial states with their batch axis."""
    unbatched = x.dim() == 1 + x.is_floating_point()
    if "embedding.weight" in p:
        x = F.embedding(x, p["embedding.weight"], padding_idx=config.get("padding_idx"))
    x = x.unsqueeze(1) if unbatched else x.transpose(0, 1) if config.get("batch_first") else x
    return unbatched, x, *(s.unsqueeze(1) if s is not None and unbatched else s for s in states)


def dropped(x_t, probability, lengths):
    """What nn.RNN does between layers: one mask for all valid steps, the longest row first."""
    rows = range(x_t.shape[1])
    if lengths is not None:
        rows = sorted(rows, key=lambda row: -lengths[row])
    places = [(t, row) for t in range(len(x_t)) for row in rows if lengths is None or t < lengths[row]]
    kept = torch.zeros_like(x_t)
    if probability < 1:
        drawn = torch.rand(len(places), x_t.shape[2], dtype=torch.float64) < 1 - probability
        kept[tuple(zip(*places))] = drawn.to(x_t.dtype)
    return x_t * kept / (1 - probability if probability < 1 else 1)


def forward(config, stored, x, h_0, c_0=None, lengths=None):
    p = parameters(config, stored)
    unbatched, x_t, h_0, c_0 = time_major(config, p, x, h_0, c_0)
    suffixes = layer_suffixes(p)
    two, finals = 1 + any("reverse" in suffix for suffix in suffixes), []
    for index, suffix in enumerate(suffixes):
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
            if config.get("training") and config.get("dropout") and index + 1 < len(suffixes):
                x_t = dropped(x_t, config["dropout"], lengths)
    output, h_n = x_t, torch.stack([h for h, _ in finals])
    c_n = None if c_0 is None else torch.stack([c for _, c in finals])
    last = config.get("loss", {}).get("steps") == "last"
    features = output
    if last:
        steps = torch.full([output.shape[1]], len(output)) if lengths is None else lengths
        features = output[steps - 1, torch.arange(output.shape[1])]
    if unbatched:
        output, h_n, c_n = (s if s is None else s.squeeze(1) for s in (output, h_n, c_n))
        features = features.squeeze(0 if last else 1)
    elif config.get("batch_first"):
        output = output.transpose(0, 1)
        features = features if last else output
    logits = F.linear(features, p["head.weight"], p.get("head.bias")) if "head.weight" in p else None
    return output, h_n, c_n, logits


def single_steps(config, stored, x, h_0, c_0, lengths, given):
    """states/h and states/c, every step from the given state before it, on given states of the layer below."""
    p = parameters(config, stored)
    unbatched, x_t, h_0, c_0 = time_major(config, p, x, h_0, c_0)
    given = {k: v.unsqueeze(2) if unbatched else v for k, v in given.items()}
    found = {k: torch.zeros_like(v) for k, v in given.items()}
    suffixes, initial = layer_suffixes(p), {"h": h_0, "c": c_0}
    two = 1 + any("reverse" in suffix for suffix in suffixes)
    for index, suffix in enumerate(suffixes):
        for t in range(len(x_t)):
            for row in range(x_t.shape[1]):
                end = len(x_t) if lengths is None else int(lengths[row])
                before = t + 1 if index % two else t - 1
                if t >= end:
                    continue
                state = [(v[before, index, row] if 0 <= before < end else initial[k][index, row])[None]
                         for k, v in given.items()]
                new = cell_step(config, p, suffix, x_t[t, row][None], (*state, None)[:2])
                for name, value in zip(given, new):
                    found[name][t, index, row] = value.detach()[0]
        if (index + 1) % two == 0:
            x_t = torch.cat([given["h"][:, k] for k in range(index + 1 - two, index + 1)], dim=2)
    return {k: v.squeeze(2) if unbatched else v for k, v in found.items()}


def loss_of(config, inputs, output, h_n, c_n, logits):
    spec = config.get("loss", {"kind": "vjp"})
    if spec["kind"] == "vjp":
        upstream = (("grad_output", output), ("grad_h_n", h_n), ("grad_c_n", c_n))
        return sum((value * inputs[name]).sum() for name, value in upstream if name in inputs)
    targets, lengths = inputs["targets"], inputs.get("lengths")
    if lengths is not None and spec.get("steps") != "last":
        rows = [(row, t) for row, length in enumerate(lengths) for t in range(length)]
        at = tuple(zip(*rows))[::1 if config.get("batch_first") else -1]
        logits, targets = logits[at], targets[at]
    average = spec["reduction"] == "mean_over_batch"
    options = {"reduction": "sum" if average else spec["reduction"]}
    function = {"mse": F.mse_loss, "bce_with_logits": F.binary_cross_entropy_with_logits,
                "cross_entropy": F.cross_entropy}[spec["kind"]]
    if spec["kind"] == "cross_entropy":
        options.update({k: spec[k] for k in ("ignore_index", "label_smoothing") if k in spec})
        logits = logits.reshape(-1, logits.shape[-1])
        targets = targets.flatten() if targets.dtype == torch.int64 else targets.reshape(logits.shape)
    total = function(logits, targets, **options)
    x = inputs["x"]
    batched = x.dim() == 2 + x.is_floating_point()
    rows = x.shape[0 if config.get("batch_first") else 1] if batched else 1
    return total / rows if average else total


OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
              "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}


def train(config, weights, inputs, h_0, c_0, given=None):
    """Trained parameters, losses, and the parameters before each update.

    Those given take the place of the parameters before each update.
    """
    weights = {k: v.detach().clone().requires_grad_() for k, v in weights.items()}
    options = {k: v for k, v in config["optimizer"].items() if k not in ("kind", "steps")}
    optimizer = OPTIMIZERS[config["optimizer"]["kind"]](weights.values(), **options)
    x, h_0, c_0 = (v if v is None else v.detach() for v in (inputs["x"], h_0, c_0))
    losses, before, clip = [], {k: [] for k in weights}, config.get("clip")
    if config.get("training"):
        torch.manual_seed(config["seed"])
    for update in range(config["optimizer"]["steps"]):
        for key, value in weights.items():
            before[key].append(value.detach().clone())
            if given:
                value.data.copy_(given[key][update])
        optimizer.zero_grad()
        loss = loss_of(config, inputs, *forward(config, weights, x, h_0, c_0, inputs.get("lengths")))
        losses.append(loss.detach())
        loss.backward()
        if clip and clip["kind"] == "norm":
            torch.nn.utils.clip_grad_norm_(weights.values(), clip["max"])
        elif clip:
            torch.nn.utils.clip_grad_value_(weights.values(), clip["max"])
        optimizer.step()
    return weights, torch.stack(losses), {k: torch.stack(v) for k, v in before.items()}


GROUPS = ("weights", "inputs", "outputs", "grads", "trained", "states", "trajectory")
EXPECTED = ("outputs/", "grads/", "trained/", "losses", "states/", "trajectory/")


def check(path):
    """Yields (tensor, deviation relative to its largest magnitude, tolerance)."""
    with np.load(path) as archive:
        tensors = {k: torch.from_numpy(archive[k].copy()) for k in archive.files}
    config = json.loads(bytes(tensors.pop("config").numpy()))
    group = {g: {k[len(g) + 1:]: v for k, v in tensors.items() if k.startswith(g + "/")} for g in GROUPS}
    weights, inputs = group["weights"], group["inputs"]
    p, x = parameters(config, weights), inputs["x"]
    single = p["weight_hh_l0"].dtype == torch.float32
    tolerance = max(2e-5 if single else 1e-9,
                    config.get("tolerance", {}).get("grads", {}).get("relative_to_max", 0))
    rows = () if x.dim() == 1 + x.is_floating_point() else (x.shape[0 if config.get("batch_first") else 1],)

    def initial(name, size):
        zeros = torch.zeros((len(layer_suffixes(p)), *rows, size), dtype=p["weight_hh_l0"].dtype)
        return inputs.get(name, zeros).requires_grad_()
    h_0, c_0, lengths = initial("h_0", p["weight_hh_l0"].shape[1]), None, inputs.get("lengths")
    if config["cell"] == "lstm":
        c_0 = initial("c_0", len(p["weight_hh_l0"]) // 4)
    leaves = {**weights, **({"x": x} if x.is_floating_point() else {}), "h_0": h_0}
    for tensor in leaves.values():
        tensor.requires_grad_()
    if config.get("training"):
        torch.manual_seed(config["seed"])
    output, h_n, c_n, logits = forward(config, weights, x, h_0, c_0, lengths)
    loss = loss_of(config, inputs, output, h_n, c_n, logits) if has_loss(config, inputs) else None
    found = {"outputs/output": output, "outputs/h_n": h_n, "outputs/c_n": c_n, "outputs/loss": loss}
    if logits is not None:
        found.update({"outputs/logits": logits, "outputs/probabilities": logits.softmax(-1)})
    if loss is not None:
        loss.backward()
        found.update({f"grads/{k}": v.grad for k, v in leaves.items()})
        found["grads/c_0"] = None if c_0 is None else c_0.grad
    if group["states"]:
        given = single_steps(config, weights, x, h_0, c_0, lengths, group["states"])
        found.update({f"states/{k}": v for k, v in given.items()})
    if "optimizer" in config:
        trained, found["losses"], before = train(config, weights, inputs, h_0, c_0, group["trajectory"])
        found.update({f"trained/{k}": v for k, v in trained.items()})
        found.update({f"trajectory/{k}": v for k, v in before.items()})
    for name in [k for k in tensors if k.startswith(EXPECTED)]:
        expected, value = tensors[name], found[name].detach()
        if expected.shape != value.shape or expected.dtype != value.dtype:
            yield name, float("inf"), tolerance
        else:
            yield name, float((value - expected).abs().max() / expected.abs().max().clamp(min=1e-12)), tolerance


def has_loss(config, inputs):
    """A comparison of single steps in time needs no upstream gradients."""
    spec = config.get("loss")
    return spec is not None and (spec["kind"] != "vjp" or any(name.startswith("grad_") for name in inputs))


if __name__ == "__main__":
    torch.set_num_threads(1)
    fixtures = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures")
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
