#!/usr/bin/env python3
"""Writes fixtures/golden/onnx-structure: graphs around a recurrent layer, and what each of them states.

The models and the truth are those of onnx_models.py; expected.json has the truth by file name.
Run: python tools/goldens/make_onnx_structure.py   (torch 2.13, onnx 1.23, onnxscript 0.7)
"""
import json, pathlib, shutil

import torch

import onnx_models

ROOT = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "golden" / "onnx-structure"
DYNAMO = {"all-batch-first", "tagger", "last", "states-concatenated", "swapped", "learned", "around", "deep-head"}


def main():
    torch.manual_seed(3)
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir(parents=True)
    expected = {}

    def put(name, proto, truth):
        (ROOT / f"{name}.onnx").write_bytes(proto.SerializeToString())
        expected[f"{name}.onnx"] = truth

    for name, proto, truth in onnx_models.variants():
        put(name, proto, truth)
    for name, model, args, truth in onnx_models.torch_models():
        if name in DYNAMO:
            put(name + "-dynamo", onnx_models.export(model, args, dynamo=True), truth)
            if len(args) == 1:
                put(name + "-dynamic", onnx_models.export(model, args, dynamic={0: "a", 1: "b"}), truth)
    (ROOT / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")


main()
