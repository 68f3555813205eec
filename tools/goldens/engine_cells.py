#!/usr/bin/env python3
"""Writes fixtures/golden/engine/cells.json: of each array of each cell the sum of its elements times 1, 2, 3, …, in the
order output, final states, gradients of input, initial states and parameters.

    $(tools/peers/environment) tools/goldens/engine_cells.py
"""
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import numbers_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(2)  # the last bits of sums depend on how many share them
T, N, D, H = 4, 3, 3, 4


def fill(shape, factor):
    count = torch.Size(shape).numel()
    return torch.tensor([((i * factor) % 23 - 11) / 16 for i in range(count)]).reshape(shape)


def weighted(t):
    t = t.detach().flatten()
    return (t * torch.arange(1, t.numel() + 1)).sum().item()


def read(module, x, state, lengths):
    """The output and the last state of a module, over all steps or over the valid ones of each row."""
    if not lengths:
        return module(x, state)
    y, last = module(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), state)
    return pad_packed_sequence(y, total_length=T)[0], last


def run(name, module, lengths):
    for p, factor in zip(module.parameters(), range(5, 99, 2)):
        p.data = fill(p.shape, factor)
    is_lstm = isinstance(module, torch.nn.LSTM)
    size = module.proj_size or H
    x = fill((T, N, D), 7).requires_grad_()
    h0 = fill((4, N, size), 13).requires_grad_()
    c0 = fill((4, N, H), 17).requires_grad_()
    state = (h0, c0) if is_lstm else h0
    y, last = read(module, x, state, lengths)
    last = last if is_lstm else (last,)
    sum((t * fill(t.shape, 19)).sum() for t in (y, *last)).backward()
    values = [y, *last, x.grad, h0.grad] + ([c0.grad] if is_lstm else [])
    values += [p.grad for p in module.parameters()]
    return record(name, lengths, values)


def record(name, lengths, values, residual=False, layer_norm=False):
    return {"kind": name, "lengths": lengths, "residual": residual, "layerNorm": layer_norm,
            "values": [weighted(v) for v in values]}


if __name__ == "__main__":
    cells = []
    for lengths in (None, [2, 4, 3]):
        arguments = dict(num_layers=2, bidirectional=True)
        cells += [run("tanh", torch.nn.RNN(D, H, **arguments), lengths),
                  run("relu", torch.nn.RNN(D, H, nonlinearity="relu", **arguments), lengths),
                  run("lstm", torch.nn.LSTM(D, H, **arguments), lengths),
                  run("projected", torch.nn.LSTM(D, H, proj_size=H - 1, **arguments), lengths),
                  run("gru", torch.nn.GRU(D, H, **arguments), lengths)]
    numbers_file.write("cells", {"cells": cells}, __file__, torch)
