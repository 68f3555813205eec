#!/usr/bin/env python3
"""Writes fixtures/golden/engine/stacks.json: stacks that nn.RNN does not have, put together from one-layer modules and
nn.LayerNorm, with gradients by autograd.

    $(tools/peers/environment) tools/goldens/engine_stacks.py
"""
import torch

import numbers_file
from engine_cells import D, H, N, T, fill, read, record

L = 3


def recurrent(name, inputs):
    sizes = dict(input_size=inputs, hidden_size=H, bidirectional=True)
    match name:
        case "tanh" | "relu":
            return torch.nn.RNN(nonlinearity=name, **sizes)
        case "lstm":
            return torch.nn.LSTM(**sizes)
        case "projected":
            return torch.nn.LSTM(proj_size=H - 1, **sizes)
        case "gru":
            return torch.nn.GRU(**sizes)


def run(name, residual, layer_norm, lengths):
    size = H - 1 if name == "projected" else H
    layers = [recurrent(name, D if k == 0 else 2 * size) for k in range(L)]
    norms = [torch.nn.LayerNorm(2 * size) for _ in range(L - 1)] if layer_norm else []
    parameters = []
    for k, layer in enumerate(layers):
        parameters += list(layer.parameters())
        parameters += list(norms[k].parameters()) if k < len(norms) else []
    for p, factor in zip(parameters, range(5, 999, 2)):
        p.data = fill(p.shape, factor)
    x = fill((T, N, D), 7).requires_grad_()
    h0 = fill((2 * L, N, size), 13).requires_grad_()
    c0 = fill((2 * L, N, H), 17).requires_grad_()
    current, h, c = x, [], []
    for k, layer in enumerate(layers):
        rows = slice(2 * k, 2 * k + 2)
        is_lstm = isinstance(layer, torch.nn.LSTM)
        state = (h0[rows], c0[rows]) if is_lstm else h0[rows]
        y, last = read(layer, current, state, lengths)
        h.append(last[0] if is_lstm else last)
        c += [last[1]] if is_lstm else []
        y = y + current if residual and k > 0 else y
        current = norms[k](y) if k < len(norms) else y
    if lengths:
        valid = torch.arange(T)[:, None] < torch.tensor(lengths)[None, :]
        current = current * valid[:, :, None]
    last = [torch.cat(h)] + ([torch.cat(c)] if c else [])
    sum((t * fill(t.shape, 19)).sum() for t in (current, *last)).backward()
    values = [current, *last, x.grad, h0.grad] + ([c0.grad] if c else [])
    return record(name, lengths, values + [p.grad for p in parameters], residual, layer_norm)


cells = []
for name in ("tanh", "relu", "lstm", "projected", "gru"):
    cells += [run(name, True, True, None), run(name, True, True, [2, 4, 3])]
cells += [run("lstm", True, False, [2, 4, 3]), run("gru", False, True, [2, 4, 3])]

# nn.LayerNorm by itself.
w = torch.tensor([0.5, -2, 1.25], requires_grad=True)
b = torch.tensor([1.0, 0, -1], requires_grad=True)
x = torch.tensor([[1, 2, 4], [-3, 0.5, 0.25]], requires_grad=True)
y = torch.nn.functional.layer_norm(x, [3], w, b)
y.backward(torch.tensor([[1, -1, 0.5], [2, 0.25, -3]]))
norm = {"output": y, "x": x.grad, "weight": w.grad, "bias": b.grad}
numbers_file.write("stacks", {"cells": cells, "norm": {k: v.flatten().tolist() for k, v in norm.items()}}, __file__, torch)
