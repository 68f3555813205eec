#!/usr/bin/env python3
"""Writes fixtures/golden/safetensors with the reference implementation (safetensors 0.8.0, torch).

Each NAME.safetensors comes with NAME.json: its tensors (dtype, shape, bytes in hexadecimal) and metadata as
Recurrent is to read them, taken from the arrays that went in, not from the file.
Run: python tools/goldens/make_safetensors.py
"""

import json
import pathlib

import numpy as np
import torch
from safetensors import serialize
from safetensors.torch import save_file, save_model

OUT = pathlib.Path(__file__).resolve().parents[2] / "fixtures/golden/safetensors"
NAMES = {
    torch.float64: "f64", torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16",
    torch.int64: "i64", torch.int32: "i32", torch.int16: "i16", torch.int8: "i8",
    torch.uint64: "u64", torch.uint32: "u32", torch.uint16: "u16", torch.uint8: "u8",
    torch.bool: "bool",
}


def payload(tensor):
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def manifest(name, tensors, metadata, ties=None):
    record = {
        "tensors": [
            {"name": key, "dtype": NAMES[t.dtype], "shape": list(t.shape), "hex": payload(t).hex()}
            for key, t in tensors.items()
        ],
        "metadata": metadata,
        "ties": ties or {},
    }
    (OUT / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def save(name, tensors, metadata=None):
    save_file(tensors, OUT / f"{name}.safetensors", metadata=metadata)
    manifest(name, tensors, metadata or {})


def every_dtype():
    values = {}
    for index, dtype in enumerate(NAMES):
        count = 3 + index
        if dtype == torch.bool:
            tensor = torch.tensor([True, False, True])
        elif dtype.is_floating_point:
            tensor = (torch.randn(count, dtype=torch.float64) * 3).to(dtype)
        else:
            info = torch.iinfo(dtype)
            tensor = torch.tensor([info.min, info.max, 1, 2][:3], dtype=dtype)
        values[f"v.{NAMES[dtype]}"] = tensor
    return values


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 3)
        self.rnn = torch.nn.GRU(3, 3)
        self.projection = torch.nn.Linear(3, 5, bias=False)
        self.projection.weight = self.embedding.weight


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(20260101)
    lstm = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    save("lstm", lstm.state_dict(), {"format": "pt"})
    gru = torch.nn.GRU(5, 2, num_layers=12)
    save("gru-f16", {f"encoder.rnn.{k}": v.half() for k, v in gru.state_dict().items()})
    rnn = torch.nn.RNN(2, 3, num_layers=2, bidirectional=True, bias=False)
    save("rnn-bf16", {k: v.bfloat16() for k, v in rnn.state_dict().items()}, {"format": "pt"})
    save("dtypes", every_dtype())
    strange = {
        "": torch.tensor(7.5),
        "empty.a": torch.zeros(0, 3),
        "empty.b": torch.zeros(2, 0, 3),
        "names.\"quoted\\\"\n\t\x01": torch.arange(3, dtype=torch.float64),
        "names.e\u0301": torch.tensor([[1.0, -0.0]]),
        "names.\u00e9": torch.tensor([float("nan"), float("inf")]),
        "names.\U0001f600": torch.tensor([5e-324], dtype=torch.float64),
    }
    save("strange", strange, {"k\u00e4y\n": "v\u00e4lue \"\\\x1f\x7f"})
    (OUT / "none.safetensors").write_bytes(serialize({}, None))
    manifest("none", {}, {})

    model = Tied()
    save_model(model, str(OUT / "tied.safetensors"))
    manifest("tied", model.state_dict(), {}, {"projection.weight": "embedding.weight"})


main()
