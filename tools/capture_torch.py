#!/usr/bin/env python3
"""Writes fixtures/torch: what PyTorch computes, for a grid of nn.RNN, nn.LSTM and nn.GRU configurations.

    $(tools/peers) tools/capture_torch.py [OUTPUT_DIRECTORY]

One row of a table is one fixture; a new cell is a new entry of CELLS and more rows. The bytes are
the same on every run with the same PyTorch and processor. Every size differs from every other.
tools/live-parity draws its own rows and captures them with the same code.
"""
import copy
import os
import sys
import warnings
import zlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from fixture_file import save

SOURCE = f"torch {torch.__version__}, numpy {np.__version__}"
T, N, D, H, C = 7, 3, 4, 6, 5
DTYPES = {"f32": torch.float32, "f64": torch.float64}


class ResetBeforeGRU(nn.GRU):
    """nn.GRU's parameters, with the reset gate applied before the recurrent product.

    PyTorch has no such cell (Keras and ONNX do), so its gradients come from autograd over this.
    """

    def step(self, x, h, suffix):
        weights = (getattr(self, f"weight_{side}_{suffix}").chunk(3) for side in ("ih", "hh"))
        biases = ([0] * 3, [0] * 3) if not self.bias else (
            getattr(self, f"bias_{side}_{suffix}").chunk(3) for side in ("ih", "hh"))
        (w_r, w_z, w_n), (u_r, u_z, u_n) = weights
        (b_r, b_z, b_n), (a_r, a_z, a_n) = biases
        r = torch.sigmoid(x @ w_r.t() + b_r + h @ u_r.t() + a_r)
        z = torch.sigmoid(x @ w_z.t() + b_z + h @ u_z.t() + a_z)
        n = torch.tanh(x @ w_n.t() + b_n + (r * h) @ u_n.t() + a_n)
        return (1 - z) * n + z * h

    def forward(self, x, h_0, lengths=None):
        batched, time_axis = x.dim() == 3, 1 if x.dim() == 3 and self.batch_first else 0
        steps = x.unbind(time_axis)
        directions, finals = 1 + self.bidirectional, []
        for layer in range(self.num_layers):
            halves = []
            for direction in range(directions):
                h, states = h_0[layer * directions + direction], [None] * len(steps)
                suffix = f"l{layer}" + ("_reverse" if direction else "")
                for t in (reversed if direction else iter)(range(len(steps))):
                    new = self.step(steps[t], h, suffix)
                    valid = (t < lengths)[:, None] if lengths is not None and batched else None
                    h = new if valid is None else torch.where(valid, new, h)
                    states[t] = h if valid is None else torch.where(valid, h, torch.zeros_like(h))
                finals.append(h)
                halves.append(states)
            steps = [torch.cat(parts, dim=-1) for parts in zip(*halves)]
        return torch.stack(steps, dim=time_axis), torch.stack(finals)


CELLS = {
    "rnn_tanh": lambda **options: nn.RNN(nonlinearity="tanh", **options),
    "rnn_relu": lambda **options: nn.RNN(nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "gru_before": ResetBeforeGRU,
}


def case(name, cell="rnn_tanh", dtype="f64", layers=1, bidirectional=False, bias=True,
         batch_first=False, batched=True, h_0=True, c_0=None, head=False, loss=None, clip=None,
         optimizer=None, classes=C, ignored=0, steps_T=T, rows=N, features=D, hidden=H, proj=0,
         lengths=None):
    """c_0: as h_0, unless it says otherwise. lengths: valid steps of each row."""
    return {**locals(), "c_0": (h_0 if c_0 is None else c_0) and cell == "lstm"}


def grid():
    """The modules alone, with the gradients of random upstream gradients (vjp)."""
    for cell in ("rnn_tanh", "rnn_relu"):
        for layers in (1, 2, 3):
            for bidirectional in (False, True):
                # The remaining options take turns, so that every pair of values occurs somewhere.
                turn = layers + 3 * bidirectional + 2 * (cell == "rnn_relu")
                yield dict(cell=cell, layers=layers, bidirectional=bidirectional,
                           dtype="f32" if turn % 2 else "f64", bias=turn % 3 != 0,
                           batch_first=turn % 4 in (1, 2), h_0=turn % 3 != 1)
    both = dict(layers=2, bidirectional=True)
    for dtype in DTYPES:
        yield dict(dtype=dtype, batched=False)
        yield dict(dtype=dtype, batched=False, batch_first=True, h_0=False, **both)
        yield dict(dtype=dtype, cell="rnn_relu", batch_first=True, **both)
        yield dict(dtype=dtype, bias=False, h_0=False, **both)
    yield dict(steps_T=1, **both)
    yield from gated()
    yield from ragged()


# Small enough that a file with 32 parameter tensors stays below 20 kB.
SMALL = dict(steps_T=6, rows=5, features=2, hidden=4)


def gated():
    """LSTM (with and without projection) and GRU (reset after and before)."""
    for cell in ("lstm", "gru"):
        for layers in (1, 2, 3):
            for bidirectional in (False, True):
                turn = layers + 3 * bidirectional + (cell == "gru")
                yield dict(SMALL, cell=cell, layers=layers, bidirectional=bidirectional,
                           hidden=3 if layers * (1 + bidirectional) > 3 else 4,
                           dtype="f32" if layers * (1 + bidirectional) > 2 or turn % 2 else "f64",
                           bias=layers * (1 + bidirectional) != 6 and turn % 3 != 0,
                           batch_first=turn % 4 in (1, 2), h_0=turn % 3 != 1)
        yield dict(SMALL, cell=cell, batched=False)
        yield dict(SMALL, cell=cell, batched=False, batch_first=True, dtype="f32", layers=2, h_0=False)
        yield dict(SMALL, cell=cell, layers=2, bidirectional=True, bias=False, hidden=3)
        yield dict(SMALL, cell=cell, layers=2) | dict(steps_T=1)
    yield dict(SMALL, cell="lstm", h_0=True, c_0=False)
    yield dict(SMALL, cell="lstm", h_0=False, c_0=True, bidirectional=True, dtype="f32")
    projected = dict(SMALL, cell="lstm", proj=3)
    yield projected
    yield dict(projected, layers=2, bidirectional=True, bias=False, batch_first=True, dtype="f32")
    yield dict(projected, layers=3, bias=False, h_0=False)
    yield dict(projected, layers=2, batched=False, dtype="f32")
    before = dict(SMALL, cell="gru_before")
    yield before
    yield dict(before, layers=2, bidirectional=True, batch_first=True, dtype="f32")
    yield dict(before, bidirectional=True, bias=False, h_0=False, batched=False)


def ragged():
    """Unsorted lengths; in `short` every row ends before T, so that the last step is all padding."""
    full, short = [4, 6, 1, 3, 5], [3, 4, 1, 4, 2]
    for cell in CELLS:
        turn = list(CELLS).index(cell) % 2
        yield dict(SMALL, cell=cell, lengths=full, layers=2, bidirectional=True, dtype="f32",
                   bias=cell != "lstm", batch_first=bool(turn))
        yield dict(SMALL, cell=cell, lengths=short, h_0=bool(turn), batch_first=not turn)
    yield dict(SMALL, cell="lstm", lengths=short, proj=3, bidirectional=True, dtype="f32")


def grid_name(options):
    words = [options.get("cell", "rnn_tanh").replace("_", "-"), f"{options.get('layers', 1)}-layer"]
    words += [f"proj-{options['proj']}"] if options.get("proj") else []
    if options.get("lengths"):
        words += ["ragged" if max(options["lengths"]) == options["steps_T"] else "ragged-short"]
    words += [word for key, value, word in (
        ("bidirectional", True, "bidirectional"), ("bias", False, "no-bias"),
        ("batch_first", True, "batch-first"), ("batched", False, "unbatched"), ("h_0", False, "no-h0"),
        ("c_0", True, "only-c0"), ("c_0", False, "no-c0"),
        ("steps_T", 1, "one-step")) if options.get(key) == value]
    return "-".join(words + [options.get("dtype", "f64")])


CE, BCE, MSE = "cross_entropy", "bce_with_logits", "mse"
SGD = {"kind": "sgd", "lr": 0.05, "steps": 10}
WITH_HEAD = [
    case("ce-mean", loss={"kind": CE, "reduction": "mean"}),
    case("ce-mean-f32", dtype="f32", layers=2, batch_first=True, loss={"kind": CE, "reduction": "mean"}),
    case("ce-sum-bidirectional", layers=2, bidirectional=True, loss={"kind": CE, "reduction": "sum"}),
    case("ce-sum-relu-f32", cell="rnn_relu", dtype="f32", loss={"kind": CE, "reduction": "sum"}),
    case("ce-mean-over-batch", batch_first=True, loss={"kind": CE, "reduction": "mean_over_batch"}),
    case("ce-unbatched", batched=False, loss={"kind": CE, "reduction": "mean"}),
    case("ce-ignore-index", ignored=5, loss={"kind": CE, "reduction": "mean", "ignore_index": -100}),
    case("ce-label-smoothing", ignored=4, batch_first=True,
         loss={"kind": CE, "reduction": "mean", "ignore_index": -1, "label_smoothing": 0.1}),
    case("ce-last-bidirectional", bidirectional=True, layers=2,
         loss={"kind": CE, "reduction": "mean", "steps": "last"}),
    case("bce-last", classes=1, loss={"kind": BCE, "reduction": "sum", "steps": "last"}),
    case("bce-mean-f32", dtype="f32", classes=2, loss={"kind": BCE, "reduction": "mean"}),
    case("mse-mean", layers=2, loss={"kind": MSE, "reduction": "mean"}),
    case("mse-sum-f32", dtype="f32", batch_first=True, loss={"kind": MSE, "reduction": "sum"}),
    case("train-sgd", loss={"kind": CE, "reduction": "mean"}, optimizer=SGD),
    case("train-sgd-clip-norm", layers=2, bidirectional=True, loss={"kind": CE, "reduction": "sum"},
         optimizer=SGD, clip={"kind": "norm", "max": 1.0}),
    case("train-sgd-clip-norm-f32", dtype="f32", layers=2, loss={"kind": CE, "reduction": "sum"},
         optimizer=SGD, clip={"kind": "norm", "max": 1.0}),
    case("train-sgd-clip-value", loss={"kind": CE, "reduction": "sum"}, optimizer=SGD,
         clip={"kind": "value", "max": 0.2}),
]
MEAN = {"kind": CE, "reduction": "mean"}
WITH_HEAD += [case(name, **{**SMALL, "classes": 3, **options}) for name, options in (
    ("ce-lstm", dict(cell="lstm", batch_first=True, loss=MEAN)),
    ("ce-lstm-bidirectional-f32", dict(cell="lstm", bidirectional=True, dtype="f32",
                                       loss={"kind": CE, "reduction": "sum"})),
    ("ce-lstm-proj", dict(cell="lstm", proj=3, classes=7, layers=2, bias=False, loss=MEAN)),
    ("ce-lstm-last-f32", dict(cell="lstm", dtype="f32", layers=2, loss={**MEAN, "steps": "last"})),
    ("ce-gru", dict(cell="gru", layers=2, loss=MEAN)),
    ("ce-gru-bidirectional-f32", dict(cell="gru", bidirectional=True, dtype="f32", loss=MEAN)),
    ("ce-gru-before", dict(cell="gru_before", batch_first=True, loss=MEAN)),
)]
# Adaptive steps divide by the gradient: in float32 eps must outweigh the rounding of small ones.
WITH_HEAD += [
    case(f"train-{name}", **{**SMALL, "classes": 3, "loss": MEAN, **options},
         optimizer={**optimizer, "steps": 10}) for name, options, optimizer in (
        ("sgd-momentum", dict(layers=2), dict(kind="sgd", lr=0.05, momentum=0.9)),
        ("sgd-momentum-f32", dict(dtype="f32"), dict(kind="sgd", lr=0.05, momentum=0.9)),
        ("sgd-nesterov-decay", dict(cell="rnn_relu"),
         dict(kind="sgd", lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.02)),
        ("sgd-decay-lstm", dict(cell="lstm"), dict(kind="sgd", lr=0.1, weight_decay=0.05)),
        ("sgd-momentum-clip-gru", dict(cell="gru", clip={"kind": "norm", "max": 0.3}),
         dict(kind="sgd", lr=0.1, momentum=0.9)),
        ("adam", dict(layers=2), dict(kind="adam", lr=0.01)),
        ("adam-decay-lstm", dict(cell="lstm"),
         dict(kind="adam", lr=0.02, betas=[0.8, 0.95], eps=1e-6, weight_decay=0.03)),
        ("adam-f32", dict(dtype="f32"), dict(kind="adam", lr=0.01, eps=0.01)),
        ("adamw", dict(layers=2), dict(kind="adamw", lr=0.01)),
        ("adamw-decay-gru", dict(cell="gru", clip={"kind": "value", "max": 0.05}),
         dict(kind="adamw", lr=0.02, betas=[0.7, 0.9], weight_decay=0.3)),
        ("rmsprop", {}, dict(kind="rmsprop", lr=0.01)),
        ("rmsprop-centered-momentum", dict(layers=2),
         dict(kind="rmsprop", lr=0.005, alpha=0.9, eps=1e-6, momentum=0.7, weight_decay=0.02,
              centered=True)),
        ("adagrad", {}, dict(kind="adagrad", lr=0.05)),
        ("adagrad-decay-lstm", dict(cell="lstm"),
         dict(kind="adagrad", lr=0.05, eps=1e-6, weight_decay=0.04)),
    )]
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
              "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}


def loss_of(logits, targets, spec, rows=N):
    kind, reduction = spec["kind"], spec["reduction"]
    if kind == BCE:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction=reduction)
    if kind == MSE:
        return F.mse_loss(logits, targets, reduction=reduction)
    options = {k: spec[k] for k in ("ignore_index", "label_smoothing") if k in spec}
    total = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1),
                            reduction="sum" if reduction == "mean_over_batch" else reduction, **options)
    return total / rows if reduction == "mean_over_batch" else total


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.rnn = CELLS[c["cell"]](
            input_size=c["features"], hidden_size=c["hidden"], num_layers=c["layers"], bias=c["bias"],
            batch_first=c["batch_first"], bidirectional=c["bidirectional"],
            **({"proj_size": c["proj"]} if c["proj"] else {}))
        if c["loss"]["kind"] != "vjp":
            self.classifier = nn.Linear((c["proj"] or c["hidden"]) * (1 + c["bidirectional"]), c["classes"])

    def named(self, c):
        return list((self.rnn if c["loss"]["kind"] == "vjp" else self).named_parameters())


def arrays(named):
    return {key: value.detach().numpy().copy() for key, value in named}


def targets_for(c, shape):
    if c["loss"]["kind"] == MSE:
        return torch.randn(*shape, c["classes"])
    if c["loss"]["kind"] == BCE:
        return (torch.rand(*shape, c["classes"]) < 0.5).to(torch.get_default_dtype())
    targets = torch.randint(0, c["classes"], shape)
    ignored = torch.randperm(targets.numel())[: c["ignored"]]
    targets.view(-1)[ignored] = c["loss"].get("ignore_index", -100)
    return targets


def run(rnn, c, x, states):
    """output, and the final states in a list."""
    lengths = c["lengths"] and torch.tensor(c["lengths"])
    states = tuple(states) if c["cell"] == "lstm" else states[0]
    if c["cell"] == "gru_before":
        output, finals = rnn(x, states, lengths)
    elif lengths is not None:
        packed = pack_padded_sequence(x, lengths, batch_first=c["batch_first"], enforce_sorted=False)
        output, finals = rnn(packed, states)
        output, _ = pad_packed_sequence(output, batch_first=c["batch_first"], total_length=c["steps_T"])
    else:
        output, finals = rnn(x, states)
    return output, list(finals) if c["cell"] == "lstm" else [finals]


def draw(c):
    """A model and its inputs, all from the seed that the name is; absent states are zeros."""
    torch.manual_seed(zlib.crc32(c["name"].encode()))
    torch.set_default_dtype(DTYPES[c["dtype"]])
    model, length, rows = Model(c), c["steps_T"], c["rows"]
    shape = (length,) if not c["batched"] else (rows, length) if c["batch_first"] else (length, rows)
    directions = c["layers"] * (1 + c["bidirectional"])
    x = torch.randn(*shape, c["features"])
    inputs, states = {"x": x}, []
    for name, size in (("h_0", c["proj"] or c["hidden"]), ("c_0", c["hidden"]))[:1 + (c["cell"] == "lstm")]:
        zero = torch.zeros((directions, rows, size) if c["batched"] else (directions, size))
        states.append(torch.randn_like(zero) * 0.5 if c[name] else zero)
        if c[name]:
            inputs[name] = states[-1]
    if c["lengths"]:
        inputs["lengths"] = torch.tensor(c["lengths"])
    if c["loss"]["kind"] == "vjp":
        with torch.no_grad():
            output, finals = run(model.rnn, c, x, states)
        for name, value in zip(("grad_output", "grad_h_n", "grad_c_n"), (output, *finals)):
            inputs[name] = torch.randn_like(value)
    else:
        last = c["loss"].get("steps") == "last"
        inputs["targets"] = targets_for(c, (() if not c["batched"] else (rows,)) if last else shape)
    return model, inputs, states


def compute(c, model, inputs, states):
    """outputs, grads, trained and losses, as NumPy arrays; trains the model in place."""
    spec, x = c["loss"], inputs["x"].clone().requires_grad_()
    states = [state.clone().requires_grad_() for state in states]

    def logits_of(output):
        time_axis = 1 if c["batch_first"] and c["batched"] else 0
        last = spec.get("steps") == "last"
        return model.classifier(output.select(time_axis, -1) if last else output)

    output, finals = run(model.rnn, c, x, states)
    outputs = {"output": output, **dict(zip(("h_n", "c_n"), finals))}
    if spec["kind"] == "vjp":
        loss = (output * inputs["grad_output"]).sum() + (finals[0] * inputs["grad_h_n"]).sum()
        if "grad_c_n" in inputs:
            loss = loss + (finals[1] * inputs["grad_c_n"]).sum()
    else:
        logits = logits_of(output)
        loss = loss_of(logits, inputs["targets"], spec, c["rows"])
        outputs.update(logits=logits, loss=loss)
        if spec["kind"] == CE:
            outputs["probabilities"] = logits.softmax(-1)
    loss.backward()
    named = model.named(c)
    grads = {**{key: p.grad.numpy().copy() for key, p in named}, "x": x.grad.numpy().copy(),
             **{key: state.grad.numpy().copy() for key, state in zip(("h_0", "c_0"), states)}}
    trained, losses = None, None
    if c["optimizer"]:
        options = {k: v for k, v in c["optimizer"].items() if k not in ("kind", "steps")}
        optimizer, losses = OPTIMIZERS[c["optimizer"]["kind"]](model.parameters(), **options), []
        for _ in range(c["optimizer"]["steps"]):
            optimizer.zero_grad()
            output, _ = run(model.rnn, c, x.detach(), [state.detach() for state in states])
            loss = loss_of(logits_of(output), inputs["targets"], spec, c["rows"])
            losses.append(loss.item())
            loss.backward()
            if c["clip"] and c["clip"]["kind"] == "norm":
                nn.utils.clip_grad_norm_(model.parameters(), c["clip"]["max"])
            elif c["clip"]:
                nn.utils.clip_grad_value_(model.parameters(), c["clip"]["max"])
            optimizer.step()
        trained, losses = arrays(named), np.array(losses, dtype=outputs["loss"].detach().numpy().dtype)
    return dict(outputs=arrays(outputs.items()), grads=grads, trained=trained, losses=losses)


def in_double(model, inputs, states):
    """The same numbers with more digits to compute in."""
    def wide(tensor):
        return tensor.double() if tensor.is_floating_point() else tensor
    return copy.deepcopy(model).double(), {k: wide(v) for k, v in inputs.items()}, [s.double() for s in states]


# rnn-verify's tolerances: (relative, absolute) of outputs, and relative to the largest of gradients.
FORWARD = {"f32": (1.3e-6, 2e-6), "f64": (1e-10, 1e-12)}
GRADIENTS = {"f32": 1e-5, "f64": 1e-11}
LAST_PLACE = {"f32": 2**-23, "f64": 2**-52}


def flat(result):
    for group, content in result.items():
        if isinstance(content, dict):
            yield from ((f"{group}/{key}", array) for key, array in content.items())
        elif content is not None:
            yield group, content


def within_a_quarter(result, reference, dtype="f32"):
    """Whether every number lies within a quarter of its tolerance."""
    exact = dict(flat(reference))
    for name, found in flat(result):
        expected = exact[name]
        scale = np.abs(expected)
        relative, absolute = FORWARD[dtype]
        bound = GRADIENTS[dtype] * scale.max() if name.startswith("grads/") else absolute + relative * scale
        if not np.all(np.abs(found - expected) <= bound / 4):
            return False
    return True


def mover(turn, dtype="f32"):
    """A function that moves each number by up to one unit in the last place."""
    generator = torch.Generator().manual_seed(turn)

    def move(tensor):
        step = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * 2 - 1
        return tensor * (1 + step * LAST_PLACE[dtype])
    return move


def configuration(c):
    vjp = c["loss"]["kind"] == "vjp"
    config = {"name": f"torch/{c['name']}", "source": SOURCE, "convention": "torch",
              "cell": c["cell"].removesuffix("_before"),
              "batch_first": c["batch_first"], "head": "none" if vjp else "linear", "loss": c["loss"]}
    if c["cell"] == "gru_before":
        config["gru_reset"] = "before"
        config["source"] += "; hand-written cell, gradients by autograd"
    config.update({key: c[key] for key in ("clip", "optimizer") if c[key]})
    return config


def capture(c, folder):
    model, inputs, states = draw(c)
    weights = arrays(model.named(c))
    save(os.path.join(folder, c["name"] + ".npz"), configuration(c), weights=weights,
         inputs=arrays(inputs.items()), **compute(c, model, inputs, states))


def deterministic():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")


if __name__ == "__main__":
    deterministic()
    fixtures = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "torch")
    cases = [case(grid_name(o), **o, loss={"kind": "vjp"}) for o in grid()] + WITH_HEAD
    assert len({c["name"] for c in cases}) == len(cases), "two cases share a name"
    for c in cases:
        capture(c, sys.argv[1] if len(sys.argv) > 1 else fixtures)
    print(f"{len(cases)} fixtures from {SOURCE}")
