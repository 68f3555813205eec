#!/usr/bin/env python3
"""The containers, said once for all scripts: names, extensions, what each holds, where its golden files are.

usage: containers.py FOLDER_OF_THE_TOOLS      holds this catalogue against what rnn-convert itself says

A script that needs them has tools/ci on its path: sys.path.insert(0, str(ROOT / "tools/ci")).
"""
import json
import os
import pathlib
import subprocess
import sys
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "fixtures/golden"
REFUSED = ROOT / "Tests/Support/Refused"
# What our own reader refuses and libhdf5 reads.
LIBRARY_ONLY = ROOT / "Tests/Support/LibraryOnly"


@dataclass(frozen=True)
class Container:
    """`extensions` that choose it for an output, the usual one first; none where it is only read, or only by --to."""
    name: str
    extensions: tuple = ()
    conventions: tuple | None = None        # those that its readers understand; None: tensors of any meaning
    has_bf16: bool = True
    is_checked: bool = False                # every stored byte is under a checksum
    is_written: bool = True
    golden: dict = field(default_factory=dict)  # group of files -> patterns below fixtures/golden


CATALOGUE = [
    Container("hdf5", ("h5", "hdf5"), golden={"hdf5": ["hdf5/*.h5", "hdf5-layouts/*.h5"]}),
    Container("safetensors", ("safetensors",),
              golden={"safetensors": ["safetensors/*.safetensors", "mlx/*.safetensors"]}),
    Container("pt", ("pt", "pth"), is_checked=True, golden={
        "pt": ["pt/*.pt", "weight-norm/*.pt"], "pt-legacy": ["pt-legacy/*.pt"]}),
    Container("npz", ("npz",), has_bf16=False, is_checked=True, golden={"npz": ["npz/*.npz", "mlx/*.npz"]}),
    Container("sharded", ("safetensors.index.json",), golden={"sharded": ["sharded/*.index.json"]}),
    Container("msgpack", ("msgpack",), ("flax", "nnx"), golden={"msgpack": ["flax/*.msgpack"]}),
    Container("onnx", ("onnx",), ("onnx",), golden={"onnx": ["onnx/*.onnx"]}),
    Container("keras", ("keras",), ("keras",), is_checked=True, golden={"keras": ["keras/*.keras"]}),
    Container("keras-weights", ("weights.h5",), ("keras",)),
    Container("keras-h5", golden={"keras-h5": ["keras/*.h5"]}),
    Container("npy", is_written=False, golden={"npy": ["npy/*.npy"]}),
    Container("tf", is_written=False, golden={"tensorflow": ["tensorflow/*.index"]}),
]
# The usual extension of each container that is written by one.
WRITTEN = {c.extensions[0]: c for c in CATALOGUE if c.extensions}
# Those that hold tensors of any meaning.
NEUTRAL = [extension for extension, c in WRITTEN.items() if c.conventions is None]
GOLDENS = {group: patterns for c in CATALOGUE for group, patterns in c.golden.items()}
# Groups in which every stored byte is under a checksum; PyTorch's older files have none.
CHECKED = {group for c in CATALOGUE if c.is_checked for group in c.golden} - {"pt-legacy"}


def named_by(tool, option):
    """The names that rnn-convert has for --from, --to or --as, in its own words."""
    done = subprocess.run([tool, "--json", "in.npz", "out.npz", option, "?"], capture_output=True, text=True)
    return json.loads(done.stdout)["error"]["expected"].removeprefix("one of ").split(", ")


def chosen_by(tool, extension):
    """The container that rnn-convert writes under an extension, or None."""
    source = ROOT / "fixtures/checkpoints/char-rnn.pt"
    done = subprocess.run([tool, "--plan", "--json", source, f"/nowhere/out.{extension}"], capture_output=True, text=True)
    return json.loads(done.stdout).get("to")


def main(tools):
    tool = os.path.join(os.path.abspath(tools), "rnn-convert")
    problems = []
    for option, known in (("--from", {c.name for c in CATALOGUE}), ("--to", {c.name for c in CATALOGUE if c.is_written})):
        if (said := set(named_by(tool, option))) != known:
            problems.append(f"rnn-convert and the catalogue differ in {sorted(said ^ known)} of {option}")
    conventions = set(named_by(tool, "--as"))
    for c in CATALOGUE:
        for extension in c.extensions:
            if (chosen := chosen_by(tool, extension)) != c.name:
                problems.append(f".{extension} is {chosen}, not {c.name}")
        if c.name in known and not c.extensions and chosen_by(tool, c.name):
            problems.append(f"{c.name} is written under its name")
        if not set(c.conventions or ()) <= conventions:
            problems.append(f"{c.name}: {sorted(set(c.conventions) - conventions)} are no conventions")
        for pattern in (p for patterns in c.golden.values() for p in patterns):
            if not list(GOLDEN.glob(pattern)):
                problems.append(f"{c.name}: nothing is at fixtures/golden/{pattern}")
    for problem in problems:
        print(f"containers: {problem}", file=sys.stderr)
    print(f"containers: {len(CATALOGUE)} containers, {len(conventions)} conventions, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
