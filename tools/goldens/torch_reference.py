"""What PyTorch computes for one configuration: tools/goldens/capture_torch.py and tools/peers/live-parity ask here.

`case` is a configuration, `draw` makes a model and inputs from the seed that its name is, `compute` asks
PyTorch for outputs, gradients and trained parameters, `configuration` says it in a fixture's words.
"""
import copy
import os
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
CE, BCE, MSE = "cross_entropy", "bce_with_logits", "mse"


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

    def dropped(self, steps, lengths):
        """Dropout as nn.GRU has it: one mask for all valid steps, in the order of a packed sequence."""
        data = torch.stack(steps)
        if lengths is None or data.dim() == 2:
            return F.dropout(data, self.dropout, self.training).unbind(0)
        packed = pack_padded_sequence(data, lengths, enforce_sorted=False)
        packed = packed._replace(data=F.dropout(packed.data, self.dropout, self.training))
        return pad_packed_sequence(packed, total_length=len(steps))[0].unbind(0)

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
            if self.dropout and self.training and layer + 1 < self.num_layers:
                steps = self.dropped(steps, lengths)
        return torch.stack(steps, dim=time_axis), torch.stack(finals)


CELLS = {
    "rnn_tanh": lambda **options: nn.RNN(nonlinearity="tanh", **options),
    "rnn_relu": lambda **options: nn.RNN(nonlinearity="relu", **options),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "gru_before": ResetBeforeGRU,
}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
              "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}


def case(name, cell="rnn_tanh", dtype="f64", layers=1, bidirectional=False, bias=True,
         batch_first=False, batched=True, h_0=True, c_0=None, head=False, loss=None, clip=None,
         optimizer=None, classes=C, ignored=0, steps_T=T, rows=N, features=D, hidden=H, proj=0,
         lengths=None, vocabulary=0, padding_idx=None, dropout=0.0, training=False, seed=None,
         soft=False, padding=None, gain=1.0, states=False, trajectory=False, only=None, tolerance=None):
    """One configuration.

    c_0: as h_0, unless it says otherwise. lengths: valid steps of each row. vocabulary: token ids go
    through an embedding. soft: targets are probabilities. padding: what targets hold after a row's end
    (as drawn, or "ignore", or "rubbish"). gain: a factor of the recurrent weights. states, trajectory: also
    what a step by step comparison starts from. only: the expected groups to keep.
    """
    return {**locals(), "c_0": (h_0 if c_0 is None else c_0) and cell == "lstm"}


class Model(nn.Module):
    def __init__(self, c):
        super().__init__()
        if c["vocabulary"]:
            self.embedding = nn.Embedding(c["vocabulary"], c["features"], padding_idx=c["padding_idx"])
        self.rnn = CELLS[c["cell"]](
            input_size=c["features"], hidden_size=c["hidden"], num_layers=c["layers"], bias=c["bias"],
            batch_first=c["batch_first"], bidirectional=c["bidirectional"],
            **({"proj_size": c["proj"]} if c["proj"] else {}),
            **({"dropout": c["dropout"]} if c["dropout"] else {}))
        if c["loss"]["kind"] != "vjp":
            self.classifier = nn.Linear((c["proj"] or c["hidden"]) * (1 + c["bidirectional"]), c["classes"])

    def named(self, c):
        alone = c["loss"]["kind"] == "vjp" and not c["vocabulary"]
        return list((self.rnn if alone else self).named_parameters())


def arrays(named):
    return {key: value.detach().numpy().copy() for key, value in named}


def targets_for(c, shape):
    if c["loss"]["kind"] == MSE:
        return torch.randn(*shape, c["classes"])
    if c["loss"]["kind"] == BCE:
        return (torch.rand(*shape, c["classes"]) < 0.5).to(torch.get_default_dtype())
    if c["soft"]:
        return torch.randn(*shape, c["classes"]).softmax(-1)
    targets = torch.randint(0, c["classes"], shape)
    ignored = torch.randperm(targets.numel())[: c["ignored"]]
    targets.view(-1)[ignored] = c["loss"].get("ignore_index", -100)
    return targets


def valid_steps(c):
    """Which steps of a ragged batch exist: (T, N), or (N, T) if batch_first; None if all do."""
    if c["lengths"] is None:
        return None
    valid = torch.arange(c["steps_T"])[:, None] < torch.tensor(c["lengths"])
    return valid.t() if c["batch_first"] else valid


def loss_of(logits, targets, c):
    """The loss as PyTorch defines it; steps after a row's end do not exist."""
    spec, valid = c["loss"], valid_steps(c)
    kind, reduction = spec["kind"], spec["reduction"]
    if valid is not None and spec.get("steps") != "last":
        logits, targets = logits[valid], targets[valid]
    average = reduction == "mean_over_batch"
    options = {"reduction": "sum" if average else reduction}
    if kind == CE:
        options.update({k: spec[k] for k in ("ignore_index", "label_smoothing") if k in spec})
        logits = logits.reshape(-1, logits.shape[-1])
        targets = targets.reshape(logits.shape if targets.is_floating_point() else -1)
    function = {CE: F.cross_entropy, BCE: F.binary_cross_entropy_with_logits, MSE: F.mse_loss}[kind]
    total = function(logits, targets, **options)
    return total / (c["rows"] if c["batched"] else 1) if average else total


def run(model, c, x, states):
    """output, and the final states in a list."""
    x = model.embedding(x) if c["vocabulary"] else x
    rnn, lengths = model.rnn, c["lengths"] and torch.tensor(c["lengths"])
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


def logits_of(model, c, output):
    """The head's output at every step, or at each row's last."""
    if c["loss"].get("steps") != "last":
        return model.classifier(output)
    time_axis = 1 if c["batch_first"] and c["batched"] else 0
    if c["lengths"] is None:
        return model.classifier(output.select(time_axis, -1))
    rows, last = torch.arange(c["rows"]), torch.tensor(c["lengths"]) - 1
    return model.classifier(output[(rows, last) if time_axis else (last, rows)])


def seeded(c):
    """Before a forward pass in training mode, which draws dropout masks."""
    if c["seed"] is not None:
        torch.manual_seed(c["seed"])


def draw(c):
    """A model and its inputs, all from the seed that the name is; absent states are zeros."""
    torch.manual_seed(zlib.crc32(c["name"].encode()))
    torch.set_default_dtype(DTYPES[c["dtype"]])
    model, length, rows = Model(c).train(c["training"]), c["steps_T"], c["rows"]
    if c["gain"] != 1:
        with torch.no_grad():
            for name, parameter in model.rnn.named_parameters():
                if name.startswith("weight_hh"):
                    parameter.mul_(c["gain"])
    shape = (length,) if not c["batched"] else (rows, length) if c["batch_first"] else (length, rows)
    directions = c["layers"] * (1 + c["bidirectional"])
    if c["vocabulary"]:
        x = torch.randint(0, c["vocabulary"], shape)
        if c["lengths"] and c["padding_idx"] is not None:
            x[~valid_steps(c)] = c["padding_idx"] % c["vocabulary"]
    else:
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
            output, finals = run(model, c, x, states)
        for name, value in zip(("grad_output", "grad_h_n", "grad_c_n"), (output, *finals)):
            inputs[name] = torch.randn_like(value)
    else:
        last = c["loss"].get("steps") == "last"
        targets = targets_for(c, (() if not c["batched"] else (rows,)) if last else shape)
        if c["lengths"] and c["padding"] and not last:
            # No loss may look at these: a class that does not exist, or not a number.
            rubbish = 10**6 if not targets.is_floating_point() else float("nan")
            ignore = c["loss"].get("ignore_index", -100)
            targets[~valid_steps(c)] = rubbish if c["padding"] == "rubbish" else ignore
        inputs["targets"] = targets
    return model, inputs, states


def compute(c, model, inputs, states):
    """outputs, grads, trained and losses, as NumPy arrays; trains the model in place."""
    spec, x = c["loss"], inputs["x"].clone()
    if not c["vocabulary"]:
        x.requires_grad_()
    states = [state.clone().requires_grad_() for state in states]
    seeded(c)
    output, finals = run(model, c, x, states)
    outputs = {"output": output, **dict(zip(("h_n", "c_n"), finals))}
    if spec["kind"] == "vjp":
        loss = (output * inputs["grad_output"]).sum() + (finals[0] * inputs["grad_h_n"]).sum()
        if "grad_c_n" in inputs:
            loss = loss + (finals[1] * inputs["grad_c_n"]).sum()
    else:
        logits = logits_of(model, c, output)
        loss = loss_of(logits, inputs["targets"], c)
        outputs.update(logits=logits, loss=loss)
        if spec["kind"] == CE:
            outputs["probabilities"] = logits.softmax(-1)
    loss.backward()
    named = model.named(c)
    result = {"outputs": arrays(outputs.items()),
              "grads": {**{key: p.grad.numpy().copy() for key, p in named},
                        **({} if c["vocabulary"] else {"x": x.grad.numpy().copy()}),
                        **{key: state.grad.numpy().copy() for key, state in zip(("h_0", "c_0"), states)}}}
    if c["states"]:
        result["states"] = layer_states(c, model, x.detach(), [state.detach() for state in states])
    if c["optimizer"]:
        result.update(train(c, model, x.detach(), inputs["targets"], [state.detach() for state in states]))
    return {k: v for k, v in result.items() if not c["only"] or k in c["only"]}


def train(c, model, x, targets, states):
    """trained and losses, and the parameters before each update if they are asked for."""
    options = {k: v for k, v in c["optimizer"].items() if k not in ("kind", "steps")}
    optimizer, losses, before = OPTIMIZERS[c["optimizer"]["kind"]](model.parameters(), **options), [], []
    seeded(c)
    for _ in range(c["optimizer"]["steps"]):
        before.append(arrays(model.named(c)))
        optimizer.zero_grad()
        output, _ = run(model, c, x, states)
        loss = loss_of(logits_of(model, c, output), targets, c)
        losses.append(loss.detach().numpy().copy())
        loss.backward()
        if c["clip"] and c["clip"]["kind"] == "norm":
            nn.utils.clip_grad_norm_(model.parameters(), c["clip"]["max"])
        elif c["clip"]:
            nn.utils.clip_grad_value_(model.parameters(), c["clip"]["max"])
        optimizer.step()
    path = {key: np.stack([step[key] for step in before]) for key in before[0]} if c["trajectory"] else None
    return dict(trained=arrays(model.named(c)), losses=np.stack(losses),
                **({"trajectory": path} if path else {}))


def layer_states(c, model, x, states):
    """Every layer and direction's state after each step: h (T, L·D, N, S), and an LSTM's c (T, L·D, N, H)."""
    x = model.embedding(x) if c["vocabulary"] else x
    x = (x.transpose(0, 1) if c["batch_first"] and c["batched"] else x).detach()
    names, directions, found = ("h", "c")[:len(states)], 1 + c["bidirectional"], []
    for index in range(c["layers"] * directions):
        layer, reverse = divmod(index, directions)
        suffix = f"_l{layer}" + "_reverse" * reverse
        cell = CELLS[c["cell"]](input_size=x.shape[-1], hidden_size=c["hidden"], bias=c["bias"],
                                **({"proj_size": c["proj"]} if c["proj"] else {})).to(x.dtype)
        cell.load_state_dict({f"{k.removesuffix(suffix)}_l0": v for k, v in model.rnn.state_dict().items()
                              if k.endswith(suffix)})
        state, steps = [s[index:index + 1] for s in states], [None] * len(x)
        for t in range(len(x))[::-1 if reverse else 1]:
            _, new = cell(x[t:t + 1], tuple(state) if len(state) == 2 else state[0])
            new = [s.detach() for s in (new if len(state) == 2 else [new])]
            if c["lengths"]:
                valid = (t < torch.tensor(c["lengths"]))[:, None]
                state = [torch.where(valid, n, s) for n, s in zip(new, state)]
                steps[t] = [torch.where(valid, n, torch.zeros_like(n)) for n in new]
            else:
                state = steps[t] = new
        found.append([torch.cat([step[k] for step in steps]) for k in range(len(names))])
        if reverse or directions == 1:
            x = torch.cat([layer_found[0] for layer_found in found[-directions:]], dim=-1)
    return {name: torch.stack([one[k] for one in found], dim=1).numpy() for k, name in enumerate(names)}


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


def within_a_quarter(result, reference, dtype="f32", tolerance=None):
    """Whether every number lies within a quarter of its tolerance; `tolerance` as in a fixture."""
    exact = dict(flat(reference))
    for name, found in flat(result):
        expected = exact[name]
        scale = np.abs(expected)
        relative, absolute = FORWARD[dtype]
        if tolerance and name in tolerance:
            relative, absolute = tolerance[name].get("rtol", 0), tolerance[name].get("atol", 0)
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
    """The fixture's `config`."""
    vjp = c["loss"]["kind"] == "vjp"
    config = {"name": f"torch/{c['name']}", "source": SOURCE, "convention": "torch",
              "cell": c["cell"].removesuffix("_before"),
              "batch_first": c["batch_first"], "head": "none" if vjp else "linear", "loss": c["loss"]}
    if c["cell"] == "gru_before":
        config["gru_reset"] = "before"
        config["source"] += "; hand-written cell, gradients by autograd"
    config.update({key: c[key] for key in ("clip", "optimizer", "dropout", "training", "tolerance") if c[key]})
    config.update({key: c[key] for key in ("padding_idx", "seed") if c[key] is not None})
    return config


def capture(c, folder):
    model, inputs, states = draw(c)
    weights = arrays(model.named(c))
    save(os.path.join(folder, c["name"] + ".npz"), configuration(c), weights=weights,
         inputs=arrays(inputs.items()), **compute(c, model, inputs, states))


def draws_masks_from_its_generator():
    """Whether dropout here takes its masks from torch's generator; with MKL on Intel's processors it does not."""
    torch.manual_seed(7)
    kept = F.dropout(torch.ones(1000), 0.4) != 0
    torch.manual_seed(7)
    return torch.equal(kept, torch.rand(1000, dtype=torch.float64) < 0.6)


def deterministic():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.filterwarnings("ignore", message="LSTM with projections is not supported with oneDNN")
