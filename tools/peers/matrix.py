#!/usr/bin/env python3
"""Every container x every convention x cells x layers x directions x dtypes: there and back.

usage: matrix.py FOLDER_OF_THE_TOOLS [--jobs N] [--every K]

A PyTorch network is converted into a container and a convention, the file is opened by the library
that owns the container, and converted back to a PyTorch file. Then every bit must be the network's
again; where the convention keeps one bias for two, their sum must be, rounded once. Every pair that is
impossible must be refused with the reason that stands in `impossible`, and leave no file behind.
"""
import argparse
import collections
import concurrent.futures
import itertools
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile

os.environ.setdefault("KERAS_BACKEND", "torch")

import h5py
import msgpack
import numpy as np
import onnx
import safetensors.torch
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "ci"))
from containers import WRITTEN, named_by  # noqa: E402

CELLS = ["rnn_tanh", "rnn_relu", "lstm", "gru"]
DTYPES = {"f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
# One bias where PyTorch has two: for all gates, or for those named.
ONE_BIAS = {
    "keras": {"rnn_tanh": [0], "rnn_relu": [0], "lstm": [0, 1, 2, 3], "gru": []},
    "mlx": {"rnn_tanh": [0], "rnn_relu": [0], "lstm": [0, 1, 2, 3], "gru": [0, 1]},
    "flax": {"rnn_tanh": [0], "rnn_relu": [0], "lstm": [0, 1, 2, 3], "gru": [0, 1]},
    "nnx": {"rnn_tanh": [0], "rnn_relu": [0], "lstm": [0, 1, 2, 3], "gru": [0, 1]},
    "burn": {"rnn_tanh": [], "rnn_relu": [], "lstm": [], "gru": []},
    "tensorflow": {"rnn_tanh": [0], "rnn_relu": [0], "lstm": [0, 1, 2, 3], "gru": []},
    "textbook-d0": {"rnn_tanh": [0], "rnn_relu": [0]},
    "textbook-d1": {"rnn_tanh": [0], "rnn_relu": [0]},
    "textbook-d3": {"rnn_tanh": [0], "rnn_relu": [0]},
}
D, H, C = 3, 5, 7
problems = []


def impossible(container, convention, cell, layers, directions, head, dtype):
    """The reason code of a refusal, or None."""
    own = WRITTEN[container].conventions
    if own and convention not in own:
        # Where the convention itself has no words for the network, that is said first.
        return ("usage.convention", "convention.inexpressible")
    if convention.startswith("textbook") and (
            layers > 1 or directions > 1 or cell not in ("rnn_tanh", "rnn_relu")):
        return ("convention.inexpressible",)
    if convention == "textbook-d3" and head:
        return ("convention.inexpressible",)
    if convention == "nnx" and cell == "gru":
        return ("convention.inexpressible",)  # its GRU has no bias in the recurrent product of n
    if dtype == "bf16" and not WRITTEN[container].has_bf16:
        return ("npy.bf16",)
    return None


def network(cell, layers, directions, head, dtype):
    torch.manual_seed(layers * 100 + directions * 10 + len(cell))
    kind = {"rnn_tanh": torch.nn.RNN, "rnn_relu": torch.nn.RNN, "lstm": torch.nn.LSTM,
            "gru": torch.nn.GRU}[cell]
    model = torch.nn.Module()
    model.rnn = kind(D, H, layers, bidirectional=directions == 2)
    if head:
        model.classifier = torch.nn.Linear(directions * H, C)
        return {k: v.to(DTYPES[dtype]) for k, v in model.state_dict().items()}
    return {k: v.to(DTYPES[dtype]) for k, v in model.rnn.state_dict().items()}


def owner_opens(path, container):
    """The number of tensors that the container's own library finds."""
    if container == "h5" or container == "weights.h5":
        found = []
        with h5py.File(path) as file:
            file.visititems(lambda name, item: found.append(item[()]) if isinstance(item, h5py.Dataset) else None)
        return len(found)
    if container == "safetensors":
        return len(safetensors.torch.load_file(path))
    if container == "safetensors.index.json":
        import json
        index = json.loads(pathlib.Path(path).read_text())
        return sum(len(safetensors.torch.load_file(pathlib.Path(path).parent / name))
                   for name in set(index["weight_map"].values()))
    if container == "npz":
        with np.load(path) as file:
            return len([name for name in file.files if name != "__metadata__"])
    if container == "pt":
        return len(torch.load(path, weights_only=True))
    if container == "keras":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return len(archive.namelist())
    if container == "onnx":
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        return len(model.graph.initializer)
    return len(msgpack.unpackb(pathlib.Path(path).read_bytes(), strict_map_key=False, ext_hook=lambda c, d: d))


# What a module without a name of its own, or of the customary one, is called by its framework.
CUSTOMARY = {"keras": "rnn|simple_rnn|lstm|gru|bidirectional", "flax": "(SimpleCell|LSTMCell|GRUCell)_0", "mlx": "rnn|layers",
             "burn": "rnn|lstm|gru"}


def under_names(original, found, convention):
    """The tensors found under the original's names: a bare module may have the framework's name for it, and Keras's
    names alone do not say that one layer follows another (NAME, NAME_1)."""
    own = "rnn." if any(k.startswith("rnn.") for k in original) else ""
    layers = 1 + max(int(k.split("_l")[1][0]) for k in original if "_l" in k)
    first = next((k for k in found if "weight_ih_l0" in k), "")
    name = first[:first.index("weight_ih_l0")] if first else ""
    roots = sorted({k[:k.index("weight_ih_l0")] for k in found if k.endswith("weight_ih_l0")})
    if convention == "keras" and len(roots) == layers > 1 and roots[1] == roots[0][:-1] + "_1.":
        moved = {k: v for k, v in found.items() if not k.startswith(tuple(roots))}
        for layer, root in enumerate(roots):
            moved |= {roots[0] + k[len(root):].replace("_l0", f"_l{layer}"): v for k, v in found.items() if k.startswith(root)}
        found, name = moved, roots[0]
    if name != own and re.fullmatch(f"({CUSTOMARY.get(convention, 'rnn')})\\.", name):
        found = {own + k[len(name):] if k.startswith(name) else k: v for k, v in found.items()}
    return found


def same(original, found, convention, cell):
    """What differs, in words; bits, or sums of biases rounded once."""
    found = under_names(original, found, convention)
    if set(original) != set(found):
        return f"names {sorted(set(original) ^ set(found))}"
    one = ONE_BIAS.get(convention, {}).get(cell, [])
    for name, tensor in original.items():
        other = found[name]
        if tensor.dtype != other.dtype or tensor.shape != other.shape:
            return f"{name}: {other.dtype} {tuple(other.shape)}"
        if one and "bias_ih" in name or one and "bias_hh" in name:
            if "bias_hh" in name:
                continue
            twin = name.replace("bias_ih", "bias_hh")
            rows = tensor.shape[0] // H
            for gate in range(rows):
                part = slice(gate * H, (gate + 1) * H)
                if gate in one:
                    wanted = (tensor[part].double() + original[twin][part].double()).to(tensor.dtype)
                    got = (other[part].double() + found[twin][part].double()).to(tensor.dtype)
                    if not torch.equal(wanted, got):
                        return f"{name} + {twin}, gate {gate}"
                elif not (torch.equal(tensor[part], other[part])
                          and torch.equal(original[twin][part], found[twin][part])):
                    return f"{name}, gate {gate}"
        elif not torch.equal(tensor.view(torch.uint8), other.contiguous().view(torch.uint8)):
            return f"{name}: other bits"
    return None


def one(tools, work, source, state, case, container, convention):
    cell, layers, directions, head, dtype = case
    title = f"{cell} {layers} layers, {directions} directions, head {head}, {dtype} -> {container} as {convention}"
    folder = work / f"{abs(hash((case, container, convention)))}"
    folder.mkdir()
    out = folder / f"out.{container}"

    def run(*arguments):
        return subprocess.run([tools / "rnn-convert", "--quiet", *map(str, arguments)],
                              capture_output=True, text=True, timeout=120)
    done = run(source, out, "--as", convention, "--cell", cell)
    reasons = impossible(container, convention, *case)
    if reasons:
        said = next((r for r in reasons if f"error[{r}]" in done.stderr), None)
        if said is None or done.returncode not in (64, 65):
            return title, f"status {done.returncode}, expected {reasons}: {done.stderr.strip()[:300]}"
        if list(folder.iterdir()):
            return title, f"refused, but left {list(folder.iterdir())}"
        return title, said
    if done.returncode:
        return title, f"status {done.returncode}: {done.stderr.strip()[:300]}"
    try:
        if owner_opens(out, container) == 0:
            return title, "the owner of the container finds nothing"
    except Exception as error:
        return title, f"the owner of the container: {type(error).__name__}: {error}"
    back = folder / "back.pt"
    options = [] if len(WRITTEN[container].conventions or ()) == 1 else ["--read-as", convention]
    done = run(out, back, "--as", "torch", *options, "--cell", cell)
    if done.returncode:
        return title, f"back: status {done.returncode}: {done.stderr.strip()[:300]}"
    difference = same(state, torch.load(back, weights_only=True), convention, cell)
    return title, f"differs: {difference}" if difference else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tools", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--every", type=int, default=1, help="only every K-th pair")
    options = parser.parse_args()
    tools = options.tools.resolve()
    conventions = named_by(tools / "rnn-convert", "--as")
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        work = pathlib.Path(folder)
        jobs = []
        for number, case in enumerate(itertools.product(CELLS, (1, 2), (1, 2), (False, True), DTYPES)):
            state = network(*case)
            source = work / f"source{number}.pt"
            torch.save(state, source)
            for pair in itertools.product(WRITTEN, conventions):
                jobs.append((source, state, case, *pair))
        for title, result in pool.map(lambda job: one(tools, work, *job), jobs[::options.every]):
            if result is None:
                counts["the same after the way back"] += 1
            elif " " not in result:
                counts[f"refused: {result}"] += 1
            else:
                problems.append(f"{title}: {result}")
    for name, count in counts.most_common():
        print(f"{count:6} {name}")
    for line in problems[:40]:
        print(line, file=sys.stderr)
    print(f"{sum(counts.values()) + len(problems)} pairs, {len(problems)} wrong")
    return 1 if problems else 0


sys.exit(main())
