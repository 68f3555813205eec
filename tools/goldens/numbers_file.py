"""Numbers for the tests of the engine, kept in fixtures/golden/engine/NAME.json as bit patterns.

{"made by": text, "arrays": {NAME: {TYPE: [lines]}}}: of f32 and f64 the bits in hex, of i64 and u64 decimals, of bytes
hex; words are parted by spaces, and lines are short so that a change can be read.
"""
import json
import pathlib
import textwrap

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "fixtures/golden/engine"


def write(name, content, script, *libraries):
    """One file; `script` and the libraries' versions say how it was made."""
    versions = " and ".join(f"{library.__name__} {library.__version__}" for library in libraries)
    FOLDER.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"made by": f"tools/goldens/{pathlib.Path(script).name} with {versions}; do not edit"} | content, indent=1)
    (FOLDER / f"{name}.json").write_text(text + "\n")


class Arrays:
    """Arrays by name, in the order in which they are put in."""

    def __init__(self):
        self.arrays = {}

    def _put(self, name, kind, text):
        assert name not in self.arrays, name
        self.arrays[name] = {kind: textwrap.wrap(text, 96)}

    def f32(self, name, values):
        words = np.asarray(values, dtype=np.float32).reshape(-1).view(np.uint32)
        self._put(name, "f32", " ".join("%08x" % w for w in words))

    def f64(self, name, values):
        words = np.asarray(values, dtype=np.float64).reshape(-1).view(np.uint64)
        self._put(name, "f64", " ".join("%016x" % w for w in words))

    def ints(self, name, values):
        self._put(name, "i64", " ".join(str(int(v)) for v in np.asarray(values).reshape(-1)))

    def unsigned(self, name, value):
        self._put(name, "u64", str(int(value)))

    def bytes(self, name, values):
        self._put(name, "bytes", bytes(values).hex())
