#!/usr/bin/env python3
"""PyTorch for `rnn-verify --against`: outputs, losses, gradients and training by nn.RNN, nn.LSTM and nn.GRU."""
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from protocol import Unsupported, serve

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
              "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}


class Network(nn.Module):
    def __init__(self, f):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}.get(f.cell, nn.RNN)
        options = {"proj_size": f.proj} if f.proj else {}
        if kind is nn.RNN:
            options["nonlinearity"] = f.cell.removeprefix("rnn_")
        self.f = f
        self.rnn = kind(f.features, f.hidden, f.layers, bias=f.bias, batch_first=f.batch_first,
                        bidirectional=f.directions == 2, **options)
        self.named = {f"{f.prefix}{key}": p for key, p in self.rnn.named_parameters()}
        if f.embedding:
            table = f.weights[f"{f.embedding}.weight"]
            self.embedding = nn.Embedding(*table.shape, padding_idx=f.config.get("padding_idx"))
            self.named[f"{f.embedding}.weight"] = self.embedding.weight
        if f.head:
            weight, bias = f.head_arrays()
            self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
            self.named.update({f"{f.head}.{key}": p for key, p in self.head.named_parameters()})
        self.to(torch.from_numpy(f.rnn["weight_ih_l0"]).dtype)
        with torch.no_grad():
            for key, parameter in self.named.items():
                parameter.copy_(torch.from_numpy(f.weights[key]))

    def forward(self, x, h_0, c_0):
        f = self.f
        if f.embedding:
            x = self.embedding(x)
        state = None
        if h_0 is not None or c_0 is not None:
            rows = () if f.unbatched else (x.shape[0 if f.batch_first else 1],)
            count = f.layers * f.directions
            zeros = lambda size: x.new_zeros((count, *rows, size))
            h_0 = zeros(f.proj or f.hidden) if h_0 is None else h_0
            state = (h_0, zeros(f.hidden) if c_0 is None else c_0) if f.cell == "lstm" else h_0
        steps = x.shape[1 if f.batch_first and not f.unbatched else 0]
        if f.lengths is not None:
            x = pack_padded_sequence(x, torch.from_numpy(f.lengths), f.batch_first, enforce_sorted=False)
        output, final = self.rnn(x, state)
        if f.lengths is not None:
            output, _ = pad_packed_sequence(output, f.batch_first, total_length=steps)
        h_n, c_n = final if f.cell == "lstm" else (final, None)
        return output, h_n, c_n, self.head(self.read(output, h_n)) if f.head else None

    def read(self, output, h_n):
        f = self.f
        if f.reads == "final":
            return torch.cat(list(h_n[-f.directions:]), -1)
        if f.reads == "sequence" and f.steps != "last":
            return output
        rows = output if f.batch_first or f.unbatched else output.transpose(0, 1)
        if f.unbatched:
            return rows[-1]
        ends = [rows.shape[1]] * len(rows) if f.lengths is None else f.lengths
        return torch.stack([row[end - 1] for row, end in zip(rows, ends)])


def loss_of(f, inputs, output, h_n, c_n, logits):
    spec = f.config.get("loss", {"kind": "vjp"})
    if spec["kind"] == "vjp":
        pairs = (("grad_output", output), ("grad_h_n", h_n), ("grad_c_n", c_n))
        if not any(name in inputs for name, _ in pairs):
            return None
        return sum((value * inputs[name]).sum() for name, value in pairs if name in inputs)
    source, targets = output if logits is None else logits, inputs["targets"]
    if f.lengths is not None and f.steps != "last":
        at = [(row, t) for row, length in enumerate(f.lengths) for t in range(length)]
        at = tuple(zip(*at))[::1 if f.batch_first else -1]
        source, targets = source[at], targets[at]
    reduction = spec.get("reduction", "mean")
    options = {"reduction": "sum" if reduction == "mean_over_batch" else reduction}
    if spec["kind"] == "cross_entropy":
        options.update({k: spec[k] for k in ("ignore_index", "label_smoothing") if k in spec})
        source = source.reshape(-1, source.shape[-1])
        targets = targets.reshape(source.shape) if targets.is_floating_point() else targets.flatten()
        total = F.cross_entropy(source, targets, **options)
    else:
        function = F.mse_loss if spec["kind"] == "mse" else F.binary_cross_entropy_with_logits
        total = function(source, targets.to(source.dtype), **options)
    rows = 1 if f.unbatched else f.x.shape[0 if f.batch_first else 1]
    return total / rows if reduction == "mean_over_batch" else total


def compute(f):
    if f.reset_before:
        raise Unsupported("PyTorch's GRU resets after the product")
    network = Network(f)
    inputs = {k: torch.from_numpy(v) for k, v in f.inputs.items()}
    x, h_0, c_0 = inputs["x"], inputs.get("h_0"), inputs.get("c_0")
    leaves = dict(network.named)
    for key, value in (("x", x), ("h_0", h_0), ("c_0", c_0)):
        if value is not None and value.is_floating_point():
            leaves[key] = value.requires_grad_()
    if f.wants("grads/h_0") and h_0 is None or f.wants("grads/c_0") and c_0 is None:
        raise Unsupported("gradients of initial states that are not given")
    results = network(x, h_0, c_0)
    loss = loss_of(f, inputs, *results)
    output, h_n, c_n, logits = results
    found = {"outputs/output": output, "outputs/h_n": h_n, "outputs/c_n": c_n, "outputs/logits": logits,
             "outputs/loss": loss}
    if logits is not None:
        binary = f.config.get("loss", {}).get("kind") == "bce_with_logits"
        found["outputs/probabilities"] = logits.sigmoid() if binary else logits.softmax(-1)
    if loss is not None and any(name.startswith("grads/") for name in f.wanted):
        grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, retain_graph=True)
        found.update({f"grads/{key}": g for key, g in zip(leaves, grads)})
    if any(name.startswith("trained/") or name == "losses" for name in f.wanted):
        found.update(train(f, network, inputs))
    return {key: value.detach().numpy() for key, value in found.items() if value is not None}


def train(f, network, inputs):
    options = {k: v for k, v in f.config["optimizer"].items() if k not in ("kind", "steps")}
    parameters = list(network.named.values())
    optimizer, losses, clip = OPTIMIZERS[f.config["optimizer"]["kind"]](parameters, **options), [], f.config.get("clip")
    x, h_0, c_0 = (v if v is None else v.detach() for v in map(inputs.get, ("x", "h_0", "c_0")))
    for _ in range(f.config["optimizer"].get("steps", 1)):
        optimizer.zero_grad()
        loss = loss_of(f, inputs, *network(x, h_0, c_0))
        losses.append(loss.detach())
        loss.backward()
        if clip and clip["kind"] == "norm":
            nn.utils.clip_grad_norm_(parameters, clip["max"])
        elif clip:
            nn.utils.clip_grad_value_(parameters, clip["max"])
        optimizer.step()
    trained = {f"trained/{key}": p for key, p in network.named.items()}
    return {**trained, **({"losses": torch.stack(losses)} if losses else {})}


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(compute)
