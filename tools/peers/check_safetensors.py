#!/usr/bin/env python3
"""Compares a safetensors file with a JSON manifest through the reference's own readers (numpy and torch).

Usage: python tools/peers/check_safetensors.py FILE.safetensors MANIFEST.json
The manifest is what tools/goldens/make_safetensors.py writes; exit status 1 on any difference.
"""

import json
import sys

import torch
from safetensors import safe_open
from safetensors.torch import load_file


def main(path, manifest):
    expected = json.load(open(manifest))
    tensors = load_file(path)
    with safe_open(path, "numpy") as reader:
        metadata = reader.metadata() or {}
    wrong = []
    for record in expected["tensors"]:
        tensor = tensors.get(metadata.get(record["name"], record["name"]))
        if tensor is None:
            wrong.append(f"{record['name']!r}: missing")
            continue
        flat = tensor.contiguous().reshape(-1)
        found = flat.view(torch.uint8).numpy().tobytes().hex() if flat.numel() else ""
        if list(tensor.shape) != record["shape"] or found != record["hex"]:
            wrong.append(f"{record['name']!r}: {list(tensor.shape)} {found[:32]}")
    print("\n".join(wrong) or f"{path}: {len(expected['tensors'])} tensors agree")
    return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
