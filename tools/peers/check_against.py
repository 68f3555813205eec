#!/usr/bin/env python3
"""PyTorch, ONNX Runtime and Keras compute what fixtures expect, and rnn-verify --against judges them.

    $(tools/peers/environment) tools/peers/check_against.py RNN_VERIFY [--all] [ADAPTER...]

A choice of fixtures with every cell, direction, layout and loss; --all takes every one, which takes minutes. What a runtime
cannot express it skips, but it must not skip everything. A runtime with one weight changed must fail.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = os.path.join(HERE, "..", "..", "fixtures")
# The fewest that each must compute of the choice, so that skipping is noticed.
CHOICE = {
    "torch": (7, ["ce-lstm", "bce-last", "train-*adam*", "embedding-*", "lstm-2-layer-proj-3-unbatched-f32",
                  "gru-[0-9]*ragged*", "curve-sgd-rnn-tanh-f64"]),
    "onnxruntime": (6, ["ce-gru-bidirectional-f32", "ce-lstm-last-f32", "rnn-*f32", "lstm-[0-9]-layer-ragged*f32", "gru-before*f32",
                        "ce-sum-relu-f32"]),
    "keras": (4, ["ce-gru-bidirectional-f32", "ce-lstm-last-f32", "rnn-relu-2-layer-bid*f32", "gru-before*f32"]),
}


def chosen(patterns, everything):
    if everything:
        return [os.path.join(FIXTURES, "torch"), os.path.join(FIXTURES, "documents")]
    files = []
    for pattern in patterns:
        found = sorted(glob.glob(os.path.join(FIXTURES, "torch", f"{pattern}.npz")))
        assert found, f"no fixture {pattern}"
        files += [path for path in found if path not in files][:1]
    return files


def judged(verify, command, paths, *options):
    run = subprocess.run([verify, "--against", command, *paths, "--json", *options], capture_output=True, text=True)
    try:
        return run.returncode, json.loads(run.stdout)
    except ValueError:
        sys.exit(f"{command}: {run.stdout}{run.stderr}")


def main():
    verify, everything = os.path.abspath(sys.argv[1]), "--all" in sys.argv
    kinds = [word for word in sys.argv[2:] if word != "--all"] or list(CHOICE)
    wrong = 0
    for kind in kinds:
        least, patterns = CHOICE[kind]
        adapter = os.path.join(HERE, "adapters", f"{kind}_adapter.py")
        command = f"'{sys.executable}' -W ignore '{adapter}'"
        status, report = judged(verify, command, chosen(patterns, everything))
        for fixture in report["fixtures"]:
            if not fixture["passes"] and not fixture["skipped"]:
                wrong += 1
                bad = [f"{c['tensor']} {c['problem'] or c['tolerance_used']}" for c in fixture["checks"] if not c["passes"]]
                print(f"{kind}: {os.path.basename(fixture['file'])}: {bad or fixture['error']}")
        print(f"{kind}: {report['passed']} passed, {report['skipped']} skipped, {report['failed']} failed; "
              f"{sum(f['checked'] for f in report['fixtures'])} tensors, "
              f"{sum(f['seconds'] for f in report['fixtures']):.1f} s of programs")
        if report["passed"] < least or (status == 0) != (report["failed"] == 0):
            wrong += 1
            print(f"{kind}: only {report['passed']} passed, or status {status}")
        with tempfile.TemporaryDirectory() as folder:
            first = next(f["file"] for f in report["fixtures"] if f["passes"])
            arrays = dict(np.load(first))
            key = next(k for k in arrays if "weight_hh_l0" in k)
            arrays[key] = arrays[key].copy()
            arrays[key].flat[0] += 0.01
            path = os.path.join(folder, "changed.npz")
            np.savez(path, **arrays)
            status, report = judged(verify, command, [path])
            if status != 1 or report["failed"] != 1:
                wrong += 1
                print(f"{kind}: a changed weight is not noticed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
