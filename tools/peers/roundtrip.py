#!/usr/bin/env python3
"""Sends weights through every container with rnn-convert and compares bit for bit in PyTorch.

    $(tools/peers/environment) tools/peers/roundtrip.py PATH/TO/rnn-convert

.pt -> .h5 -> .safetensors -> .npz -> .pt, every stop opened by the library that owns the format;
the same without .npz for bf16, which NumPy lacks; a nested checkpoint; and files that h5py, NumPy
and safetensors wrote, in layouts that we do not write ourselves.
"""
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

PROBLEMS = []
ROWS = []


def problem(text):
    PROBLEMS.append(text)
    print(f"roundtrip: {text}", file=sys.stderr)


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def compare(where, expected, found, ordered=True):
    """Names (in order), dtypes, shapes and every bit."""
    if ordered and list(found) != list(expected) or set(found) != set(expected):
        problem(f"{where}: names {list(found)}, expected {list(expected)}")
    for name in expected.keys() & found.keys():
        a, b = expected[name], found[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            problem(f"{where}: {name}: {b.dtype} {tuple(b.shape)}, expected {a.dtype} {tuple(a.shape)}")
        elif bits(a) != bits(b):
            problem(f"{where}: {name}: bits differ")


def check_h5(path, expected):
    """h5py's view of the layout, and the bytes at the offsets that it reports."""
    dump = subprocess.run(["h5dump", "-H", path], capture_output=True, text=True)
    if dump.returncode:
        problem(f"h5dump -H {path}: {dump.stderr.strip()}")
    with open(path, "rb") as raw, h5py.File(path, "r") as file:
        names = []
        file.id.links.iterate(names.append, idx_type=h5py.h5.INDEX_CRT_ORDER)
        names = [name.decode() for name in names]
        if names != list(expected):
            problem(f"{path}: creation order {names}, expected {list(expected)}")
        for name in expected.keys() & set(names):
            data, tensor = file[name], expected[name]
            offset = data.id.get_offset()
            if data.chunks is not None or data.shape != tuple(tensor.shape):
                problem(f"{path}: {name}: {data.shape}, chunks {data.chunks}")
            if data.dtype.newbyteorder("=") != data.dtype:
                problem(f"{path}: {name}: byte order of {data.dtype}")
            data[()]
            if tensor.numel() == 0:
                continue
            if offset is None or offset % 64:
                problem(f"{path}: {name}: offset {offset}, expected a multiple of 64")
                continue
            raw.seek(offset)
            if raw.read(len(bits(tensor))) != bits(tensor):
                problem(f"{path}: {name}: other bytes at its offset")
            if tensor.dtype == torch.bfloat16:
                same = np.array_equal(data[()].astype("f4"), tensor.float().numpy(), equal_nan=True)
            else:
                same = data[()].astype(tensor.numpy().dtype).tobytes() == bits(tensor)
            if not same:
                problem(f"{path}: {name}: h5py reads other values")


def read(path):
    kind = path.rsplit(".", 1)[1]
    if kind == "pt":
        return torch.load(path, weights_only=True), True
    if kind == "safetensors":
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        state = load_file(path)
        # A tied tensor is stored once; the metadata names the other key (safetensors.torch.load_model).
        state |= {k: state[v] for k, v in metadata.items() if k not in state and v in state}
        return state, False
    with np.load(path) as archive:
        return {k: torch.from_numpy(archive[k].copy()) for k in archive.files if k != "__metadata__"}, True


def convert(command, source, target):
    run = subprocess.run([command, source, target, "--quiet"], capture_output=True, text=True)
    if run.returncode or run.stdout:
        problem(f"{os.path.basename(source)} -> {os.path.basename(target)}: status "
                f"{run.returncode}\n{run.stdout}{run.stderr}")
    return os.path.exists(target)


def chain(command, folder, title, source, expected, kinds, in_order=True):
    before = len(PROBLEMS)
    for index, kind in enumerate(kinds):
        target = os.path.join(folder, f"{title}-{index}.{kind}".replace(" ", "-"))
        if not convert(command, source, target):
            problem(f"{title}: no {kind}")
            break
        try:
            if kind == "h5":
                check_h5(target, expected)
            else:
                found, ordered = read(target)
                compare(f"{title} .{kind}", expected, found, ordered and in_order)
        except Exception as error:  # a peer that cannot read our file is a finding, not a crash
            problem(f"{title}: reading {target}: {type(error).__name__}: {error}")
        source = target
    ROWS.append((title, len(expected), " -> ".join(kinds), len(PROBLEMS) - before))


def network(dtype):
    torch.manual_seed(11)
    model = torch.nn.Module()
    model.rnn = torch.nn.RNN(5, 7, num_layers=2, bidirectional=True)
    model.classifier = torch.nn.Linear(14, 3)
    return dict(model.to(dtype).state_dict())


def everything(floats, dtype=torch.float32):
    """A network, and beside it the tensors that converters get wrong."""
    state = network(dtype)
    base = torch.arange(24, dtype=torch.float64).reshape(4, 6) / 7
    for kind in floats:
        state[f"extra.{kind}".replace("torch.", "")] = (base - 1.5).to(kind)
    for kind in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8):
        state[f"extra.{kind}".replace("torch.", "")] = (base * 30).to(kind)
    state["extra.bool"] = base.to(torch.int64) % 2 == 0
    state["extra.transposed"] = base.float().t()
    state["extra.slice"] = base[1:3, ::2]
    state["extra.tied"] = state["classifier.weight"]
    state["extra.scalar"] = torch.tensor(41, dtype=torch.int64)
    state["extra.empty"] = torch.zeros(0, 3)
    payloads = [0x7FC00001, 0x7F800001, -0x3FFFFF, -0x80000000, 0x7F800000, 0x00000001]
    state["extra.payloads"] = torch.tensor(payloads, dtype=torch.int32).view(torch.float32)
    return state


def peer_files(folder):
    """(title, path, expected) of files written by others; the expectation is in little-endian."""
    rng = np.random.default_rng(12)
    state = {k: v.numpy() for k, v in network(torch.float32).items()}
    expected = {k: torch.from_numpy(v) for k, v in state.items()}
    for name, options in {"gzip": dict(compression="gzip", shuffle=True), "fletcher32":
                          dict(fletcher32=True, chunks=True), "big-endian": dict(dtype=">f4")}.items():
        path = os.path.join(folder, f"h5py-{name}.h5")
        with h5py.File(path, "w", track_order=True) as file:
            for key, array in state.items():
                file.create_dataset(key, data=array, **options)
        yield f"h5py {name}", path, expected
    path = os.path.join(folder, "h5py-groups.h5")
    with h5py.File(path, "w", track_order=True) as file:
        for group in ("rnn", "classifier"):
            file.create_group(group, track_order=True)
        for key, array in state.items():
            file.create_dataset(key.replace(".", "/"), data=array)
    yield "h5py groups", path, expected
    path = os.path.join(folder, "numpy-plain.npz")
    half = rng.normal(size=(3, 4)).astype("f2")
    np.savez(path, **state, **{"extra.f2": half})
    yield "numpy savez", path, {**expected, "extra.f2": torch.from_numpy(half)}
    path = os.path.join(folder, "numpy-compressed.npz")
    np.savez_compressed(path, **{k: np.asfortranarray(v).astype(">f4") for k, v in state.items()})
    yield "numpy compressed, Fortran order, big-endian", path, expected
    path = os.path.join(folder, "peer.safetensors")
    save_file(expected, path, metadata={"format": "pt"})
    yield "safetensors", path, load_file(path)


def main(command):
    with tempfile.TemporaryDirectory() as folder:
        floats = [torch.float16, torch.float32, torch.float64]
        for title, state, kinds in (
            ("all types", everything(floats), ["h5", "safetensors", "npz", "pt"]),
            ("f64 network", network(torch.float64), ["npz", "h5", "pt", "safetensors", "pt"]),
            ("bf16 network", everything(floats + [torch.bfloat16], torch.bfloat16),
             ["h5", "safetensors", "pt"]),
            ("f16 network", network(torch.float16), ["safetensors", "h5", "npz", "pt"]),
        ):
            path = os.path.join(folder, f"{title}.pt".replace(" ", "-"))
            torch.save(state, path)
            chain(command, folder, title, path, state, kinds)
        state = network(torch.float32)
        path = os.path.join(folder, "checkpoint.pt")
        torch.save({"epoch": 3, "model_state_dict": state, "optimizer_state_dict": {"state": {}},
                    "loss": 0.5}, path)
        chain(command, folder, "nested checkpoint", path, state, ["h5", "pt"])
        for title, path, expected in peer_files(folder):
            # safetensors sorts its tensors, so a file of its own library has no order to keep.
            chain(command, folder, title, path, expected, ["pt"], title != "safetensors")
    for title, count, kinds, wrong in ROWS:
        print(f"  {title:<44}{count:>3} tensors  {kinds:<40}{f'{wrong} WRONG' if wrong else 'same bits'}")
    sys.exit(1 if PROBLEMS else 0)


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
