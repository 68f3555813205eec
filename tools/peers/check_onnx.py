#!/usr/bin/env python3
"""ONNX both ways, with PyTorch's two exporters, the ONNX checker, onnxruntime and the reference evaluator.

torch -> both exporters -> rnn-convert -> .pt and .h5    equals the original parameters, bit for bit
torch .pt -> rnn-convert -> .onnx                        passes onnx.checker (full), computes torch's numbers
.onnx that we wrote -> rnn-convert -> .pt                equals the original parameters, bit for bit

Usage: python tools/peers/check_onnx.py BIN_DIRECTORY [STRIDE]   (torch, onnx, onnxruntime, onnxscript, h5py)
STRIDE takes every n-th of the 192 networks; 1, the default, takes minutes. Exit status 1 on any difference.
"""
import itertools, logging, pathlib, subprocess, sys, tempfile, warnings

import h5py
import numpy as np
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "goldens"))
import onnx_models  # noqa: E402

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
onnxruntime.set_default_logger_severity(3)
BIN = pathlib.Path(sys.argv[1])
STRIDE = int(sys.argv[2]) if len(sys.argv) > 2 else 1
WORK = pathlib.Path(tempfile.mkdtemp())
VOCABULARY, INPUT, HIDDEN, CLASSES = 11, 3, 5, 4
failures = []
counts = {}


def note(kind, good, what):
    counts[kind] = counts.get(kind, 0) + 1
    if not good:
        failures.append(f"{kind}: {what}")


def convert(*arguments):
    return subprocess.run([BIN / "rnn-convert", "--quiet", "--force", *map(str, arguments)],
                          capture_output=True, text=True)


class Network(nn.Module):
    """An embedding, a recurrent module and a linear head under their customary names."""

    def __init__(self, cell, layers, bidirectional, bias, batch_first, head, embedding):
        super().__init__()
        kinds = {"rnn_tanh": (nn.RNN, {"nonlinearity": "tanh"}),
                 "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}), "lstm": (nn.LSTM, {}), "gru": (nn.GRU, {})}
        kind, extra = kinds[cell]
        if embedding:
            self.embedding = nn.Embedding(VOCABULARY, INPUT)
        self.rnn = kind(INPUT, HIDDEN, num_layers=layers, bidirectional=bidirectional, bias=bias,
                        batch_first=batch_first, **extra)
        if head:
            self.classifier = nn.Linear(HIDDEN * (2 if bidirectional else 1), CLASSES, bias=bias)

    def forward(self, x, *state):
        if hasattr(self, "embedding"):
            x = self.embedding(x)
        given = (state if len(state) > 1 else state[0]) if state else None
        output, final = self.rnn(x, given)
        final = final if isinstance(final, tuple) else (final,)
        logits = (self.classifier(output),) if hasattr(self, "classifier") else ()
        return (output, *final, *logits)


def steps(model, t, n, dtype=torch.float32):
    lead = (n, t) if model.rnn.batch_first else (t, n)
    if hasattr(model, "embedding"):
        return torch.randint(0, VOCABULARY, lead)
    return torch.randn(*lead, INPUT, dtype=dtype)


def saved_names(model):
    """A module keeps the name that its author gave it, alone or not."""
    return dict(model.state_dict())


def same(found, expected):
    return set(found) == set(expected) and all(
        found[k].dtype == v.dtype and torch.equal(found[k], v) for k, v in expected.items())


def check_export(model, what, path, **options):
    kind = "export " + ("dynamo" if options.get("dynamo") else "torchscript")
    try:
        torch.onnx.export(model, (steps(model, 6, 2),), str(path), verbose=False, **options)
    except Exception as error:  # the exporter's own fault is not ours
        note(kind + " refused by torch", True, str(error))
        return
    for extension in ("pt", "h5"):
        result = convert(path, WORK / f"read.{extension}")
        if result.returncode:
            note(kind, False, f"{what}: {result.stderr.strip()}")
            continue
        if extension == "pt":
            found = torch.load(WORK / "read.pt", weights_only=True)
        else:
            with h5py.File(WORK / "read.h5") as file:
                found = {k: torch.from_numpy(file[k][()]) for k in file}
                facts = (file.attrs["batch_first"] == "true", file.attrs["cell"])
            mode = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}.get(
                model.rnn.mode, model.rnn.mode.lower())
            note(kind + " facts", facts == (model.rnn.batch_first, mode), f"{what}: {facts}")
        note(kind, same(found, saved_names(model)), f"{what}: other parameters in .{extension}")


def run_ours(path, feeds):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def open_quietly(path):
    """A session at the default severity, and what the runtime wrote to standard error while it opened."""
    import os
    onnxruntime.set_default_logger_severity(2)
    read, write = os.pipe()
    old = os.dup(2)
    os.dup2(write, 2)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    finally:
        os.dup2(old, 2)
        os.close(write)
        os.close(old)
        onnxruntime.set_default_logger_severity(3)
    os.set_blocking(read, False)
    try:
        text = os.read(read, 100_000).decode()
    except BlockingIOError:
        text = ""
    os.close(read)
    return session, text


def check_rewritten():
    """Graphs around a recurrent layer (onnx_models): what is converted whole computes the same, and opens
    without a warning; what is more than a network is refused or left out, never another network."""
    torch.manual_seed(3)
    for name, proto, truth in onnx_models.variants(full=STRIDE == 1):
        source, target = WORK / "source.onnx", WORK / "target.onnx"
        source.write_bytes(proto.SerializeToString())
        target.unlink(missing_ok=True)
        result = convert(source, target)
        states = truth.get("initial", "zeros")
        whole = truth.get("connections") and not any(
            "branch" not in o for o in truth.get("obstacles", [])) and states != "computed"
        if result.returncode:
            note("rewritten refused", True, name)
            continue
        onnx.checker.check_model(str(target), full_check=True)
        session, warning = open_quietly(target)
        note("rewritten without warning", not warning, f"{name}: {warning[:200]}")
        try:
            original = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"])
        except Exception:  # layout 1 is not for a CPU
            continue
        rng = np.random.default_rng(5)
        given = []
        for value in original.get_inputs():
            shape = [{"T": 6, "N": 2, "a": 6, "b": 2}.get(d, d) for d in value.shape]
            whole_numbers = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}.get(value.type)
            given.append(rng.integers(1, 7, shape).astype(whole_numbers) if whole_numbers else
                         rng.standard_normal(shape).astype(np.float32))
        expected = original.run(None, dict(zip((i.name for i in original.get_inputs()), given)))
        names = [o.name for o in session.get_outputs()]
        if not whole:
            note("rewritten parts have no logits", "logits" not in names or not truth.get("obstacles"),
                 f"{name}: logits of something else")
            continue
        found = session.run(None, dict(zip((i.name for i in session.get_inputs()), given)))
        note("rewritten networks", any(
            f.shape == expected[0].shape and np.abs(f - expected[0]).max() < 1e-5 for f in found),
            f"{name}: other numbers")


def compare(kind, what, found, expected, tolerance):
    worst = max(float(np.abs(np.asarray(f, np.float64) - e.double().numpy()).max())
                for f, e in zip(found, expected, strict=True))
    note(kind, worst <= tolerance, f"{what}: off by {worst}")


def check_written(model, what, dtype):
    model = model.to(dtype)
    cell = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}.get(model.rnn.mode)
    torch.save(saved_names(model), WORK / "model.pt")
    flags = ["--cell", cell] if cell else []
    source = WORK / "model.pt"
    if model.rnn.batch_first:
        # A state dict does not say it; metadata does.
        if convert(source, WORK / "model.h5").returncode:
            return note("write", False, f"{what}: no .h5")
        with h5py.File(WORK / "model.h5", "a") as file:
            file.attrs["batch_first"] = "true"
        source = WORK / "model.h5"
    result = convert(source, WORK / "ours.onnx", *flags)
    if result.returncode:
        return note("write", False, f"{what}: {result.stderr.strip()}")
    onnx.checker.check_model(str(WORK / "ours.onnx"), full_check=True)
    note("checker", True, what)
    result = convert(WORK / "ours.onnx", WORK / "back.pt")
    note("read back", result.returncode == 0 and same(
        torch.load(WORK / "back.pt", weights_only=True), saved_names(model)),
        f"{what}: {result.stderr.strip()}")
    if dtype == torch.float32:
        session, warning = open_quietly(WORK / "ours.onnx")
        note("no warning", not warning, f"{what}: {warning[:200]}")
        note("inputs", [i.name for i in session.get_inputs()] == ["x"], what)
    for t, n in ((7, 3), (4, 1), (1, 2), (5, 4)):
        x = steps(model, t, n, dtype)
        with torch.no_grad():
            expected = model(x)
        feeds = {"x": x.numpy()}
        label = f"{what} T={t} N={n}"
        if dtype == torch.float32:
            compare("onnxruntime f32", label, run_ours(WORK / "ours.onnx", feeds), expected, 1e-6)
        else:
            # onnxruntime has no double kernels; the reference evaluator has no second direction, and
            # knows relu neither.
            if model.rnn.bidirectional or cell == "rnn_relu":
                continue
            reference = ReferenceEvaluator(str(WORK / "ours.onnx"))
            compare("reference f64", label, reference.run(None, feeds), expected, 1e-12)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def check_foreign_operator():
    """A recurrent operator of somebody else's is named, and is no network."""
    from onnx import TensorProto, helper
    weights = [helper.make_tensor(n, TensorProto.FLOAT, s, np.ones(s, np.float32).ravel())
               for n, s in (("W", (1, 20, 3)), ("R", (1, 20, 5)))]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in "xy"]
    node = helper.make_node("PackedLSTM", ["x", "W", "R"], ["y"], name="team", domain="com.team", hidden_size=5)
    graph = helper.make_graph([node], "g", value[:1], value[1:], weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.team", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), WORK / "foreign.onnx")
    result = subprocess.run([BIN / "rnn-inspect", WORK / "foreign.onnx", "--json"], capture_output=True, text=True)
    note("foreign operator", "onnx.operator" in result.stdout, result.stdout[:300] + result.stderr)
    result = convert(WORK / "foreign.onnx", WORK / "foreign.pt")
    note("foreign operator refused", result.returncode in (65, 69) and "PackedLSTM" in result.stderr, result.stderr)


def check_reset_before():
    """A GRU of the older form, which torch cannot run: against the equations."""
    torch.manual_seed(7)
    model = Network("gru", 2, False, True, False, False, False)
    torch.save(saved_names(model), WORK / "model.pt")
    result = convert(WORK / "model.pt", WORK / "ours.onnx", "--gru-reset", "before")
    if result.returncode:
        return note("reset before", False, result.stderr.strip())
    x = np.random.default_rng(1).standard_normal((6, 2, INPUT)).astype(np.float32)
    layer = x.astype(np.float64)
    for k in range(2):
        w, r, b, c = (getattr(model.rnn, f"{n}_l{k}").detach().double().numpy()
                      for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, rows = np.zeros((2, HIDDEN)), []
        for step in layer:
            a = step @ w.T + b
            reset, update = (sigmoid(a[:, s] + h @ r[s].T + c[s])
                             for s in (slice(0, 5), slice(5, 10)))
            new = np.tanh(a[:, 10:] + (reset * h) @ r[10:].T + c[10:])
            h = (1 - update) * new + update * h
            rows.append(h)
        layer = np.stack(rows)
    found = run_ours(WORK / "ours.onnx", {"x": x})
    compare("reset before", "gru", found[:1], [torch.from_numpy(layer)], 1e-6)


def check_external(model, what):
    """The same model with its tensors in a second file."""
    torch.onnx.export(model, (steps(model, 6, 2),), str(WORK / "plain.onnx"), dynamo=False, verbose=False)
    loaded = onnx.load(WORK / "plain.onnx")
    onnx.save(loaded, WORK / "external.onnx", save_as_external_data=True, location="external.bin",
              size_threshold=0)
    result = convert(WORK / "external.onnx", WORK / "read.pt")
    note("external data", result.returncode == 0 and same(
        torch.load(WORK / "read.pt", weights_only=True), saved_names(model)),
        f"{what}: {result.stderr.strip()}")


def main():
    number = 0
    for cell, layers, bidirectional, bias, batch_first, (head, embedding) in itertools.product(
            ("rnn_tanh", "rnn_relu", "lstm", "gru"), (1, 2), (False, True), (True, False),
            (False, True), ((False, False), (True, False), (True, True))):
        number += 1
        if number % STRIDE:
            continue
        torch.manual_seed(number)
        model = Network(cell, layers, bidirectional, bias, batch_first, head, embedding).eval()
        what = (f"{cell} L={layers} bidirectional={bidirectional} bias={bias} batch_first={batch_first}"
                f" head={head} embedding={embedding}")
        with torch.no_grad():
            check_export(model, what, WORK / "m.onnx", dynamo=False, opset_version=7 + number % 12,
                         do_constant_folding=number % 3 > 0, input_names=["x"])
            if cell in ("lstm", "gru") and number // STRIDE % 4 == 0:
                check_export(model, what, WORK / "m.onnx", dynamo=True)
            if number // STRIDE % 16 == 0:
                check_external(model, what)
        check_written(model, what, torch.float32)
        if number // STRIDE % 2:
            check_written(model, what, torch.float64)
    check_foreign_operator()
    check_reset_before()
    check_rewritten()
    for kind, count in sorted(counts.items()):
        print(f"{kind:28} {count:5} checks")
    print("\n".join(failures[:40]) or "no failures")
    return 1 if failures else 0


sys.exit(main())
