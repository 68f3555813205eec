#!/usr/bin/env python3
"""Writes fixtures/torch: what PyTorch computes, for a grid of nn.RNN configurations.

    $(tools/peers) tools/capture_torch.py [OUTPUT_DIRECTORY]

One row of a table is one fixture; a new cell is a new entry of CELLS and more rows. The bytes are
the same on every run with the same PyTorch and processor. Every size differs from every other.
"""
import os
import sys
import zlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fixture_file import save

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "fixtures", "torch")
SOURCE = f"torch {torch.__version__}, numpy {np.__version__}"
CELLS = {
    "rnn_tanh": lambda **options: nn.RNN(nonlinearity="tanh", **options),
    "rnn_relu": lambda **options: nn.RNN(nonlinearity="relu", **options),
}
T, N, D, H, C = 7, 3, 4, 6, 5
DTYPES = {"f32": torch.float32, "f64": torch.float64}


def case(name, cell="rnn_tanh", dtype="f64", layers=1, bidirectional=False, bias=True,
         batch_first=False, batched=True, h_0=True, head=False, loss=None, clip=None, optimizer=None,
         classes=C, ignored=0, steps_T=T):
    return {**locals()}


def grid():
    """nn.RNN alone, with the gradients of random upstream gradients (vjp)."""
    for cell in CELLS:
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


def grid_name(options):
    words = [options.get("cell", "rnn_tanh").replace("_", "-"), f"{options.get('layers', 1)}-layer"]
    words += [word for key, value, word in (
        ("bidirectional", True, "bidirectional"), ("bias", False, "no-bias"),
        ("batch_first", True, "batch-first"), ("batched", False, "unbatched"), ("h_0", False, "no-h0"),
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


def loss_of(logits, targets, spec):
    kind, reduction = spec["kind"], spec["reduction"]
    if kind == BCE:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction=reduction)
    if kind == MSE:
        return F.mse_loss(logits, targets, reduction=reduction)
    options = {k: spec[k] for k in ("ignore_index", "label_smoothing") if k in spec}
    total = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1),
                            reduction="sum" if reduction == "mean_over_batch" else reduction, **options)
    return total / N if reduction == "mean_over_batch" else total


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.rnn = CELLS[c["cell"]](input_size=D, hidden_size=H, num_layers=c["layers"], bias=c["bias"],
                                    batch_first=c["batch_first"], bidirectional=c["bidirectional"])
        if c["loss"]["kind"] != "vjp":
            self.classifier = nn.Linear(H * (1 + c["bidirectional"]), c["classes"])


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


def capture(c):
    torch.manual_seed(zlib.crc32(c["name"].encode()))
    torch.set_default_dtype(DTYPES[c["dtype"]])
    model, spec, length = Model(c), c["loss"], c["steps_T"]
    vjp, last = spec["kind"] == "vjp", spec.get("steps") == "last"
    shape = (length,) if not c["batched"] else (N, length) if c["batch_first"] else (length, N)
    directions = c["layers"] * (1 + c["bidirectional"])
    x = torch.randn(*shape, D, requires_grad=True)
    zero = torch.zeros((directions, N, H) if c["batched"] else (directions, H))
    h_0 = (torch.randn_like(zero) * 0.5 if c["h_0"] else zero).requires_grad_()
    inputs = {"x": x, **({"h_0": h_0} if c["h_0"] else {})}
    output, h_n = model.rnn(x, h_0)
    outputs = {"output": output, "h_n": h_n}
    if vjp:
        inputs["grad_output"], inputs["grad_h_n"] = torch.randn_like(output), torch.randn_like(h_n)
        loss = (output * inputs["grad_output"]).sum() + (h_n * inputs["grad_h_n"]).sum()
        named = list(model.rnn.named_parameters())
    else:
        def logits_of(output):
            time_axis = 1 if c["batch_first"] and c["batched"] else 0
            return model.classifier(output.select(time_axis, -1) if last else output)

        logits = logits_of(output)
        inputs["targets"] = targets_for(c, (() if not c["batched"] else (N,)) if last else shape)
        loss = loss_of(logits, inputs["targets"], spec)
        outputs.update(logits=logits, loss=loss)
        if spec["kind"] == CE:
            outputs["probabilities"] = logits.softmax(-1)
        named = list(model.named_parameters())
    loss.backward()
    weights = arrays(named)
    grads = {**{key: p.grad.numpy().copy() for key, p in named}, "x": x.grad.numpy().copy(),
             "h_0": h_0.grad.numpy().copy()}
    trained, losses = None, None
    if c["optimizer"]:
        optimizer, losses = torch.optim.SGD(model.parameters(), lr=c["optimizer"]["lr"]), []
        for _ in range(c["optimizer"]["steps"]):
            optimizer.zero_grad()
            loss = loss_of(logits_of(model.rnn(x.detach(), h_0.detach())[0]), inputs["targets"], spec)
            losses.append(loss.item())
            loss.backward()
            if c["clip"] and c["clip"]["kind"] == "norm":
                nn.utils.clip_grad_norm_(model.parameters(), c["clip"]["max"])
            elif c["clip"]:
                nn.utils.clip_grad_value_(model.parameters(), c["clip"]["max"])
            optimizer.step()
        trained, losses = arrays(named), np.array(losses, dtype=weights[named[0][0]].dtype)
    config = {"name": f"torch/{c['name']}", "source": SOURCE, "convention": "torch", "cell": c["cell"],
              "batch_first": c["batch_first"], "head": "none" if vjp else "linear", "loss": spec}
    config.update({key: c[key] for key in ("clip", "optimizer") if c[key]})
    save(os.path.join(ROOT, c["name"] + ".npz"), config, weights=weights,
         inputs=arrays(inputs.items()), outputs=arrays(outputs.items()), grads=grads,
         trained=trained, losses=losses)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    cases = [case(grid_name(o), **o, loss={"kind": "vjp"}) for o in grid()] + WITH_HEAD
    assert len({c["name"] for c in cases}) == len(cases), "two cases share a name"
    for c in cases:
        capture(c)
    print(f"{len(cases)} fixtures from {SOURCE}")
