#!/usr/bin/env python3
"""Writes fixtures/golden/onnx with PyTorch's two exporters and the onnx package.

expected.json says, independently of any reader of ours, which tensors a file holds after reading (name,
dtype, shape, bytes in hex; W, R and B stacked here from PyTorch's parameters) and what its graph says
("modules", the text of the metadata pair onnx.modules). Tests/Support/Refused/onnx/expected.json has reason codes: of the
reader, or for "choosing" of whoever wants the module.

Run: python tools/goldens/make_onnx.py   (torch 2.13, onnx 1.23, onnxscript 0.7)
"""
import json, logging, pathlib, shutil, warnings

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROOT = CHECKOUT / "fixtures/golden/onnx"
REFUSED = CHECKOUT / "Tests/Support/Refused/onnx"
GATES = {"RNN": [0], "LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}
NAMES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "int64": "i64",
         "int32": "i32", "int16": "i16", "int8": "i8", "uint64": "u64", "uint32": "u32",
         "uint16": "u16", "uint8": "u8", "bool": "bool"}


def entry(name, a):
    a = np.ascontiguousarray(a)
    return [name, NAMES[a.dtype.name], list(a.shape), a.tobytes().hex()]


def stacked(rnn, op, prefix):
    """W, R and B of every layer, in ONNX's order of gates."""
    def part(name):
        value = getattr(rnn, name).detach().numpy()
        return np.split(value, len(GATES[op]))

    rows = []
    for layer in range(rnn.num_layers):
        ends = [f"_l{layer}"] + ([f"_l{layer}_reverse"] if rnn.bidirectional else [])
        def stack(*roles):
            return np.stack([np.concatenate([part(role + end)[g] for role in roles for g in GATES[op]])
                             for end in ends])
        rows += [entry(f"{prefix}W_l{layer}", stack("weight_ih")),
                 entry(f"{prefix}R_l{layer}", stack("weight_hh"))]
        if rnn.bias:
            rows.append(entry(f"{prefix}B_l{layer}", stack("bias_ih", "bias_hh")))
    return rows


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(5, 2)
        self.lstm = nn.LSTM(2, 3, num_layers=2, bidirectional=True, batch_first=True)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.lstm(self.emb(x))[0])


class Last(nn.Module):
    """A Gemm on the last state."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": nn.GRU(2, 3, bias=False)})
        self.out = nn.Linear(3, 4)

    def forward(self, x):
        return self.out(self.encoder["rnn"](x)[1][-1])


class Relu(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 3, nonlinearity="relu", bidirectional=True)

    def forward(self, x):
        return self.rnn(x)[0]


def export(model, x, name, **options):
    torch.onnx.export(model.eval(), (x,), str(ROOT / name), verbose=False, **options)


def linear(layer, prefix):
    return [entry(prefix + "weight", layer.weight.detach().numpy()),
            entry(prefix + "bias", layer.bias.detach().numpy())]


def torch_files(expected):
    torch.manual_seed(11)
    ids, steps = torch.randint(0, 5, (3, 4)), torch.randn(4, 3, 2)
    for name, options in (("torchscript-9", dict(dynamo=False, opset_version=9)),
                          ("torchscript-12-unfolded",
                           dict(dynamo=False, opset_version=12, do_constant_folding=False)),
                          ("torchscript-17", dict(dynamo=False, opset_version=17)),
                          ("dynamo-20", dict(dynamo=True))):
        model = Tagger()
        export(model, ids, name + ".onnx", **options)
        expected[name + ".onnx"] = {
            "tensors": [entry("emb.weight", model.emb.weight.detach().numpy())]
            + stacked(model.lstm, "LSTM", "lstm.") + linear(model.fc, "fc."),
            "modules": '[{"prefix":"lstm.","op":"LSTM","layers":2,"bidirectional":true,'
            '"batch_first":true,"head":"fc.","embedding":"emb."}]'}
    # The older exporter knows no modules that only hold others.
    for name, prefix, options in (("gemm-torchscript", "rnn.", dict(dynamo=False, opset_version=14)),
                                  ("gemm-dynamo", "encoder.rnn.", dict(dynamo=True))):
        model = Last()
        export(model, steps, name + ".onnx", **options)
        expected[name + ".onnx"] = {
            "tensors": stacked(model.encoder["rnn"], "GRU", prefix) + linear(model.out, "out."),
            "modules": f'[{{"prefix":"{prefix}","op":"GRU","bias":false,"linear_before_reset":true,'
            '"head":"out."}]'}
    model = Relu()
    export(model, steps, "relu.onnx", dynamo=False, opset_version=18)
    expected["relu.onnx"] = {
        "tensors": stacked(model.rnn, "RNN", "rnn."),
        "modules": '[{"prefix":"rnn.","op":"RNN","bidirectional":true,"activation":"relu"}]'}
    loaded = onnx.load(ROOT / "relu.onnx")
    onnx.save(loaded, ROOT / "external.onnx", save_as_external_data=True, location="external.bin",
              size_threshold=0)
    expected["external.onnx"] = expected["relu.onnx"]


def tensor(name, array):
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def save(nodes, initializers, path, inputs=("x",), opset=14, output="y"):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(i, TensorProto.FLOAT, None) for i in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def weights(gates, directions=1, bias=True, seed=3):
    rng = np.random.default_rng(seed)
    shapes = [("W", (directions, gates * 3, 2)), ("R", (directions, gates * 3, 3))]
    if bias:
        shapes.append(("B", (directions, 2 * gates * 3)))
    return {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes}


def typed_files(expected):
    """Every element type, in raw bytes and in typed fields."""
    rng = np.random.default_rng(5)
    initializers, rows = [], []
    for code, kind in ((1, np.float32), (11, np.float64), (10, np.float16), (16, ml_dtypes.bfloat16),
                       (7, np.int64), (6, np.int32), (5, np.int16), (3, np.int8), (13, np.uint64),
                       (12, np.uint32), (4, np.uint16), (2, np.uint8), (9, np.bool_)):
        values = (rng.standard_normal((2, 3)) * 40).astype(np.int64)
        if np.dtype(kind).kind == "u":
            values = np.abs(values)
        a = (rng.standard_normal((2, 3)).astype(kind) if code in (1, 11, 10, 16) else values.astype(kind))
        name = NAMES[np.dtype(kind).name]
        initializers.append(helper.make_tensor("raw." + name, code, a.shape, a.tobytes(), raw=True))
        typed = helper.make_tensor("typed." + name, code, a.shape, a.flatten().tolist())
        assert not typed.HasField("raw_data")
        initializers.append(typed)
        rows += [entry("raw." + name, a), entry("typed." + name, a)]
    save([helper.make_node("Identity", ["x"], ["y"])], initializers, ROOT / "types.onnx")
    expected["types.onnx"] = {"tensors": rows, "modules": None}


def layout_files(expected):
    """Batch before time in the operator itself, no bias, weights in Constant nodes behind Identity."""
    w = weights(4, bias=False)
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor("", w["W"])),
             helper.make_node("Identity", ["w"], ["w2"]),
             helper.make_node("LSTM", ["x", "w2", "R"], ["y"], hidden_size=3, layout=1)]
    save(nodes, [tensor("R", w["R"]), tensor("other", np.ones((2, 2), np.float32))],
         ROOT / "layout-1.onnx")
    expected["layout-1.onnx"] = {
        "tensors": [entry("rnn.W_l0", w["W"]), entry("rnn.R_l0", w["R"]),
                    entry("other", np.ones((2, 2), np.float32))],
        "modules": '[{"prefix":"rnn.","op":"LSTM","bias":false,"batch_first":true}]'}
    # Two modules, the second with lengths of sequences; the older reset form; a learned state.
    a, b = weights(3, seed=6), weights(1, 2, seed=7)
    nodes = [helper.make_node("GRU", ["x", "W", "R", "B", "", "h"], ["m"], hidden_size=3),
             helper.make_node("Relu", ["m"], ["n"]),
             helper.make_node("RNN", ["n", "W2", "R2", "B2", "lengths"], ["y"], hidden_size=3,
                              direction="bidirectional")]
    learned = np.full((1, 1, 3), 0.5, np.float32)
    save(nodes, [tensor(k, v) for k, v in a.items()] + [tensor(k + "2", v) for k, v in b.items()]
         + [tensor("h", learned)], ROOT / "two.onnx", inputs=("x", "lengths"))
    expected["two.onnx"] = {
        "tensors": [entry(f"rnn.{k}_l0", v) for k, v in a.items()] + [entry("rnn.h_0", learned)]
        + [entry(f"rnn_1.{k}_l0", v) for k, v in b.items()],
        "modules": '[{"prefix":"rnn.","op":"GRU"},{"prefix":"rnn_1.","op":"RNN",'
        '"bidirectional":true,"sequence_lens":true}]'}


def refused(expected):
    folder = REFUSED

    def one(name, reason, op, attributes=None, gates=4, inputs=None, extra=(), bidirectional=False):
        w = weights(gates, 2 if bidirectional else 1)
        node = helper.make_node(op, inputs or ["x", "W", "R", "B"], ["y"], **({"hidden_size": 3}
                                | (attributes or {})))
        save([*extra, node], [tensor(k, v) for k, v in w.items()], folder / f"{name}.onnx")
        expected[f"{name}.onnx"] = {"choosing": reason}

    one("clip", "onnx.clip", "LSTM", {"clip": 2.0})
    one("input-forget", "onnx.input-forget", "LSTM", {"input_forget": 1})
    one("reverse", "onnx.direction", "GRU", {"direction": "reverse"}, gates=3)
    one("hard-sigmoid", "onnx.activation", "LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]})
    one("mixed-activations", "onnx.activation", "RNN",
        {"activations": ["Tanh", "Relu"], "direction": "bidirectional"}, gates=1, bidirectional=True)
    one("hidden-size", "onnx.weights", "LSTM", {"hidden_size": 4})
    one("computed", "onnx.not-stored", "GRU", gates=3, inputs=["x", "w", "R", "B"],
        extra=[helper.make_node("Mul", ["W", "x"], ["w"])])
    one("weights-input", "onnx.not-stored", "GRU", gates=3, inputs=["x", "x", "R", "B"])
    one("strided", "onnx.not-stored", "GRU", gates=3, inputs=["x", "w", "R", "B"],
        extra=[helper.make_node("Constant", [], [n], value_ints=[v])
               for n, v in (("s", 0), ("e", 9), ("a", 1), ("t", 2))]
        + [helper.make_node("Slice", ["W", "s", "e", "a", "t"], ["w"])])
    one("squeeze", "onnx.rearrangement", "GRU", gates=3, inputs=["x", "w", "R", "B"],
        extra=[helper.make_node("Constant", [], ["a"], value_ints=[1]),
               helper.make_node("Squeeze", ["W", "a"], ["w"])])
    w = weights(4)
    node = helper.make_node("LSTM", ["x", "W", "R", "B", "", "", "", "P"], ["y"], hidden_size=3)
    save([node], [tensor(k, v) for k, v in w.items()] + [tensor("P", np.ones((1, 9), np.float32))],
         folder / "peepholes.onnx")
    expected["peepholes.onnx"] = {"choosing": "onnx.peepholes"}
    torch.manual_seed(12)
    model = Relu().eval()
    torch.onnx.export(model, (torch.randn(2, 1, 2),), str(folder / "unrolled.onnx"), dynamo=True,
                      verbose=False)
    loaded = onnx.load(folder / "unrolled.onnx")
    for node in loaded.graph.node:  # stack traces, by far the most of the file
        for i in reversed(range(len(node.metadata_props))):
            if "stack" in node.metadata_props[i].key or "fx_node" in node.metadata_props[i].key:
                del node.metadata_props[i]
    (folder / "unrolled.onnx").write_bytes(loaded.SerializeToString())
    (folder / "unrolled.onnx.data").unlink(missing_ok=True)
    expected["unrolled.onnx"] = {"choosing": "onnx.unrolled"}

    def model(name, reason, initializers, nodes=(), raw=None):
        nodes = list(nodes) or [helper.make_node("Identity", ["x"], ["y"])]
        save(nodes, initializers, folder / f"{name}.onnx")
        if raw:
            path = folder / f"{name}.onnx"
            path.write_bytes(raw(path.read_bytes()))
        expected[f"{name}.onnx"] = {"reading": reason}

    def external(location, **keys):
        t = TensorProto(name="t", data_type=1, dims=[2, 3], data_location=TensorProto.EXTERNAL)
        for key, value in ({"location": location} | keys).items():
            if value is not None:
                t.external_data.add(key=key, value=value)
        return [t]

    (folder / "24.bin").write_bytes(bytes(range(24)))
    model("external-parent", "onnx.external-path", external("../relu.onnx"))
    model("external-inner-parent", "onnx.external-path", external("a/../24.bin"))
    model("external-absolute", "onnx.external-path", external("/etc/hostname"))
    model("external-missing", "onnx.external-missing", external("nowhere.bin"))
    model("external-no-location", "onnx.external-data", external(None))
    model("external-offset", "onnx.external-data", external("24.bin", offset="-8"))
    model("external-beyond", "onnx.external-size", external("24.bin", offset="25"))
    model("external-short", "onnx.external-size", external("24.bin", offset="4"))
    model("external-length", "onnx.external-size", external("24.bin", length="20"))
    twenty = []
    for i in range(20):
        t = external("24.bin")[0]
        t.name = f"t{i}"
        twenty.append(t)
    model("external-bomb", "onnx.external-overlap", twenty)
    model("short-raw", "onnx.tensor-size", [TensorProto(name="t", data_type=1, dims=[2], raw_data=b"123")])
    model("short-typed", "onnx.tensor-size", [TensorProto(name="t", data_type=1, dims=[2], float_data=[1])])
    model("long-typed", "onnx.tensor-size", [TensorProto(name="t", data_type=7, dims=[1], int64_data=[1, 2])])
    model("wide-typed", "onnx.typed-data", [TensorProto(name="t", data_type=3, dims=[1], int32_data=[200])])
    model("negative-shape", "tensor.shape", [TensorProto(name="t", data_type=1, dims=[-1], raw_data=b"")])
    model("huge-shape", "tensor.shape",
          [TensorProto(name="t", data_type=1, dims=[1 << 40, 1 << 40], raw_data=b"")])
    model("rank", "onnx.rank", [TensorProto(name="t", data_type=1, dims=[1] * 33, raw_data=b"1234")])
    model("huge-typed", "onnx.typed-limit", [TensorProto(name="t", data_type=7, dims=[1 << 30])])
    model("two-tensors", "onnx.duplicate-value",
          [tensor("t", np.ones(2, np.float32)), tensor("t", np.ones(2, np.float32))])
    model("two-producers", "onnx.duplicate-value", [], [helper.make_node("Identity", ["x"], ["y"])] * 2)


def main():
    for folder in (ROOT, REFUSED):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    expected, bad = {}, {}
    torch_files(expected)
    typed_files(expected)
    layout_files(expected)
    refused(bad)
    for folder, content in ((ROOT, expected), (REFUSED, bad)):
        (folder / "expected.json").write_text(json.dumps(content, indent=0) + "\n")


main()
