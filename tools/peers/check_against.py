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
    "torch": (6, ["ce-lstm", "train-*adam*", "embedding-lstm*", "lstm-2-layer-proj-3-unbatched-f32",
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
    wrong += scripts_that_compute_something_else(verify) + (not a_mistake_shrinks(verify))
    return 1 if wrong else 0


# Every form of the scripts that --shrink writes: cells, directions, projections, lengths, initial states.
SCRIPTS = ["gru-1-layer-bidirectional-batch-first-f32", "gru-before-1-layer-f64", "gru-before-2-layer-ragged-bidirectional-f32",
           "lstm-1-layer-proj-3-ragged-short-bidirectional-f32", "lstm-2-layer-batch-first-f64", "rnn-relu-3-layer-batch-first-f32",
           "rnn-tanh-1-layer-unbatched-f32"]


def scripts_that_compute_something_else(verify):
    """Fixtures with a wrong number shrink by themselves, and their scripts print the right ones."""
    wrong = 0
    for name in SCRIPTS:
        with tempfile.TemporaryDirectory() as folder:
            arrays = dict(np.load(os.path.join(FIXTURES, "torch", f"{name}.npz")))
            key = "outputs/output"
            right, spoiled = arrays[key], arrays[key].copy()
            spoiled.flat[0] += 0.5
            np.savez(os.path.join(folder, "bad.npz"), **{**arrays, key: spoiled})
            run = subprocess.run([verify, os.path.join(folder, "bad.npz"), "--shrink", os.path.join(folder, "small")],
                                 capture_output=True, text=True)
            script = subprocess.run([sys.executable, "bad.py"], cwd=os.path.join(folder, "small"), capture_output=True, text=True)
            printed = [line for line in script.stdout.splitlines() if line.startswith("right: output ")]
            if run.returncode != 1 or not printed:
                wrong += 1
                print(f"shrink {name}: status {run.returncode}: {run.stdout}{run.stderr}{script.stderr}")
                continue
            found = np.array(json.loads(printed[0].removeprefix("right: output ")))[:, 0]
            row = right if right.ndim == 2 else right[0] if "batch-first" in name else right[:, 0]
            if not np.allclose(found, row[:len(found)], rtol=1e-5, atol=1e-6):
                wrong += 1
                print(f"shrink {name}: the script prints something else")
    print(f"{len(SCRIPTS)} scripts of --shrink, {wrong} wrong")
    return wrong


MISTAKEN = """import json, sys
import numpy as np
given = np.load(sys.argv[1])
w, u, b, a = (given.get(f"weights/{key}_l0", 0) for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
x = given["inputs/x"].swapaxes(0, 1) if json.loads(bytes(given["config"])).get("batch_first") else given["inputs/x"]
h, output = np.zeros((x.shape[1], w.shape[0])), []
for step in x:
    # The mistake: the states of two units are exchanged on their way back.
    h = np.tanh(step @ w.T + b + np.concatenate([h[:, 1::-1], h[:, 2:]], 1) @ u.T + a)
    output.append(h)
output = np.stack(output, 1 if json.loads(bytes(given["config"])).get("batch_first") else 0)
np.savez(sys.argv[2], **{"outputs/output": output, "outputs/h_n": h[None]})
"""


def a_mistake_shrinks(verify):
    """Two units and two steps are needed to see the mistake, one row and one feature, and no more."""
    with tempfile.TemporaryDirectory() as folder:
        program, small = os.path.join(folder, "port.py"), os.path.join(folder, "small")
        with open(program, "w", encoding="utf-8") as file:
            file.write(MISTAKEN)
        name = "rnn-tanh-1-layer-batch-first-no-h0-f32"
        status, report = judged(verify, f"'{sys.executable}' '{program}'", [os.path.join(FIXTURES, "torch", f"{name}.npz")],
                                "--shrink", small)
        shrunk = report["shrunk"][0]
        after = {key: sizes[1] for key, sizes in shrunk["sizes"].items()}
        print(f"a mistake shrinks to {after} in {shrunk['runs']} runs, {shrunk['weights'][1]} weights")
        again, _ = judged(verify, f"'{sys.executable}' '{program}'", [shrunk["fixture"]])
        return status == 1 and again == 1 and after == {"T": 2, "N": 1, "D": 1, "H": 2, "layers": 1, "directions": 1}


if __name__ == "__main__":
    sys.exit(main())
