"""What every adapter shares: the protocol of `rnn-verify --against` (the page AgainstAnything), and a fixture's parts.

    COMMAND INPUT.npz OUTPUT.npz
"""
import json
import re
import sys

import numpy as np


class Unsupported(Exception):
    """The fixture asks for something that the runtime does not have: exit status 69, which is no failure."""


class Fixture:
    """A fixture's network as a runtime needs it: one stack of PyTorch's parameters, an embedding, a head."""

    def __init__(self, path):
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        self.config = json.loads(bytes(arrays["config"]))
        self.wanted = json.loads(bytes(arrays["wanted"]))
        self.weights = {k.removeprefix("weights/"): v for k, v in arrays.items() if k.startswith("weights/")}
        self.inputs = {k.removeprefix("inputs/"): v for k, v in arrays.items() if k.startswith("inputs/")}
        config = self.config
        if config.get("convention", "torch") != "torch":
            raise Unsupported(f"weights in the convention {config['convention']}")
        if config.get("training") and config.get("dropout"):
            raise Unsupported("dropout in training")
        self.cell, self.batch_first = config["cell"], config.get("batch_first", False)
        self.reset_before = config.get("gru_reset") == "before"
        self.steps = config.get("loss", {}).get("steps", "all")
        self.reads = config.get("head_reads", "last" if self.steps == "last" else "sequence")
        names = config.get("modules", {})
        first = next(key for key in self.weights if key.endswith("weight_ih_l0"))
        self.prefix = first.removesuffix("weight_ih_l0")
        self.rnn = {k.removeprefix(self.prefix): v for k, v in self.weights.items()
                    if re.search(r"(weight|bias)_(ih|hh|hr)_l\d+(_reverse)?$", k)}
        self.layers = 1 + max(int(re.search(r"_l(\d+)", k)[1]) for k in self.rnn)
        self.directions = 1 + ("weight_ih_l0_reverse" in self.rnn)
        self.bias = "bias_ih_l0" in self.rnn
        self.proj = self.rnn["weight_hr_l0"].shape[0] if "weight_hr_l0" in self.rnn else 0
        self.gates = {"lstm": 4, "gru": 3}.get(self.cell, 1)
        self.hidden = self.rnn["weight_ih_l0"].shape[0] // self.gates
        self.features = self.rnn["weight_ih_l0"].shape[1]
        self.dtype = self.rnn["weight_ih_l0"].dtype
        self.x, self.lengths = self.inputs["x"], self.inputs.get("lengths")
        self.is_ids = self.x.dtype.kind in "iu"
        self.unbatched = self.x.ndim == (1 if self.is_ids else 2)
        others = [k.removesuffix(".weight") for k in self.weights
                  if k.endswith(".weight") and self.weights[k].ndim == 2]
        table = names.get("embedding") or next((k for k in others if k != names.get("head")
                                                and f"{k}.bias" not in self.weights), None)
        self.embedding = table if self.is_ids else None
        self.head = names.get("head") or next((k for k in others if k != self.embedding), None)
        if config.get("head") == "none":
            self.head = None

    def wants(self, name):
        return name in self.wanted

    def time_major(self):
        """x as (T, N, D), with the vectors of token ids, and the initial states as (L·directions, N, ·) or None."""
        x = self.weights[f"{self.embedding}.weight"][self.x] if self.embedding else self.x
        if self.unbatched:
            x = x[:, None]
        elif self.batch_first:
            x = x.swapaxes(0, 1)
        states = [self.inputs.get(key) for key in ("h_0", "c_0")]
        return (x, *(s[:, None] if s is not None and self.unbatched else s for s in states))

    def shaped(self, output):
        """(T, N, ·) as the fixture has it."""
        return output[:, 0] if self.unbatched else output.swapaxes(0, 1) if self.batch_first else output

    def read_by_head(self, output, h_n):
        """What the head reads of (T, N, ·) and the final states, time first."""
        if self.reads == "sequence" and self.steps != "last":
            return output
        if self.reads == "final":
            return np.concatenate(list(h_n[-self.directions:]), axis=-1)
        ends = [len(output)] * output.shape[1] if self.lengths is None else self.lengths
        return np.stack([output[end - 1, row] for row, end in enumerate(ends)])

    def head_arrays(self):
        return self.weights[f"{self.head}.weight"], self.weights.get(f"{self.head}.bias")

    def results(self, output, h_n, c_n, logits):
        """Every output that these arrays make, under the fixture's names and in its shapes; time first in, as NumPy arrays."""
        last = logits is not None and logits.ndim == 2
        found = {"outputs/output": self.shaped(output), "outputs/h_n": h_n[:, 0] if self.unbatched else h_n}
        if c_n is not None:
            found["outputs/c_n"] = c_n[:, 0] if self.unbatched else c_n
        if logits is not None:
            logits = (logits[0] if self.unbatched else logits) if last else self.shaped(logits)
            found["outputs/logits"] = logits
            if self.config.get("loss", {}).get("kind") == "bce_with_logits":
                found["outputs/probabilities"] = 1 / (1 + np.exp(-logits))
            else:
                powers = np.exp(logits - logits.max(-1, keepdims=True))
                found["outputs/probabilities"] = powers / powers.sum(-1, keepdims=True)
        return found


def serve(compute):
    """Calls `compute(fixture)` for the arrays by name, and writes those that are wanted."""
    try:
        fixture = Fixture(sys.argv[1])
        found = compute(fixture)
        if not any(name in found for name in fixture.wanted):
            raise Unsupported(f"nothing of {', '.join(fixture.wanted)}")
    except Unsupported as why:
        print(why)
        sys.exit(69)
    np.savez(sys.argv[2], **{name: np.asarray(found[name]) for name in fixture.wanted if name in found})
