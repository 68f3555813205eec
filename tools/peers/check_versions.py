#!/usr/bin/env python3
"""Opens the files that older versions of the libraries wrote, and compares every number.

usage: check_versions.py FOLDER_OF_THE_TOOLS      (needs NumPy; files: make_versions.py)

Weights must have the bits of the .npz beside each file. So must biases; where a format keeps one for
two, their sum.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "fixtures/golden/versions"
TOOL = pathlib.Path(sys.argv[1]).resolve() / "rnn-convert"
files = sorted(p.with_suffix("") for p in GOLDEN.glob("*.npz"))
wrong = 0
with tempfile.TemporaryDirectory() as folder:
    for path in files:
        out = pathlib.Path(folder) / f"{path.name}.out.npz"
        done = subprocess.run([TOOL, "--quiet", path, out, "--as", "torch"], capture_output=True, text=True)
        if done.returncode:
            print(f"{path.name}: status {done.returncode}: {done.stderr.strip()}")
            wrong += 1
            continue
        with np.load(out) as found, np.load(f"{path}.npz") as expected:
            names = [name for name in found.files if name != "__metadata__"]
            problems = set(names) ^ set(expected.files)
            for name in set(names) & set(expected.files):
                a, b = found[name], expected[name]
                if "bias" in name and path.suffix in (".msgpack", ".safetensors"):
                    twin = name.replace("_ih_", "_xx_").replace("_hh_", "_ih_").replace("_xx_", "_hh_")
                    a, b = a + found[twin], b + expected[twin]
                if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
                    problems.add(name)
            if problems:
                print(f"{path.name}: {sorted(problems)} differ")
                wrong += 1
print(f"{len(files)} files of older versions, {wrong} wrong")
sys.exit(1 if wrong or not files else 0)
