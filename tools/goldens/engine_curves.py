#!/usr/bin/env python3
"""Writes fixtures/golden/engine/curves.json: the losses of 100 training steps of PyTorch. Everything else follows from
the seed: weights, input and targets.

    $(tools/peers/environment) tools/goldens/engine_curves.py
"""
import copy

import torch
from torch import nn

import numbers_file

torch.set_num_threads(2)  # the last bits of sums depend on how many share them
T, N, D, H, C, STEPS = 7, 3, 4, 6, 5, 100


def model(dtype, cell, options):
    torch.manual_seed(2026)
    rnn = getattr(nn, cell)(D, H, dtype=dtype, **options)
    width = (options.get("proj_size") or H) * (2 if options.get("bidirectional") else 1)
    return rnn, nn.Linear(width, C, dtype=dtype), torch.rand(T, N, D, dtype=dtype), torch.randint(0, C, (T, N))


def curve(rnn, head, x, y, optimizer, hyper, clip=None):
    parameters = [*rnn.parameters(), *head.parameters()]
    step = getattr(torch.optim, optimizer)(parameters, **hyper)
    losses = []
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(head(rnn(x)[0]).reshape(-1, C), y.reshape(-1))
        losses.append(loss.item())
        step.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(parameters, clip)
        step.step()
    return losses


def checked(dtype, cell, options, *training):
    rnn, head, x, y = model(dtype, cell, options)
    if dtype == torch.float32:
        state = torch.get_rng_state()
        precise = curve(copy.deepcopy(rnn).double(), copy.deepcopy(head).double(), x.double(), y, *training)
        torch.set_rng_state(state)
    losses = curve(rnn, head, x, y, *training)
    # Where rounding decides PyTorch's own curve, there is nothing to agree with.
    assert dtype == torch.float64 or max(abs(a - b) for a, b in zip(losses, precise)) < 1e-6
    return losses


CURVES = {
    "tanhSGD": ("RNN", {}, "SGD", dict(lr=0.1)),
    "reluNesterov": (
        "RNN", dict(nonlinearity="relu"), "SGD",
        dict(lr=0.03, momentum=0.9, nesterov=True, weight_decay=1e-3)),
    "lstmSGD": ("LSTM", dict(num_layers=2, bidirectional=True), "SGD", dict(lr=0.5), 1.0),
    "lstmAdam": ("LSTM", {}, "Adam", dict(lr=3e-3)),
    "projectedAdamW": ("LSTM", dict(proj_size=4, num_layers=2), "AdamW", dict(lr=3e-3)),
    "gruSGD": ("GRU", dict(num_layers=2), "SGD", dict(lr=0.2, momentum=0.5)),
    "gruRMSprop": ("GRU", dict(bidirectional=True), "RMSprop", dict(lr=1e-3)),
    "tanhAdagrad": ("RNN", dict(num_layers=2), "Adagrad", dict(lr=0.03)),
    "gruDropout": ("GRU", dict(num_layers=3, dropout=0.3), "Adam", dict(lr=3e-3)),
}

out = numbers_file.Arrays()
for kind, dtype in (("double", torch.float64), ("single", torch.float32)):
    for name, arguments in CURVES.items():
        out.f64(f"{kind}.{name}", checked(dtype, *arguments))
numbers_file.write("curves", {"arrays": out.arrays}, __file__, torch)
