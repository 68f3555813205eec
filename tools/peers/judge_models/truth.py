"""What a model computes at every point, by its own library, and who reads whom.

Arrays of steps are kept time first, (T, N, F). Connections are found by comparing numbers: a layer reads a
stack's last step if that is what it got. Nothing here knows how the model was written.
"""
from dataclasses import dataclass, field, replace

import numpy as np

TOLERANCE = 5e-5


def same(a, b):
    """Whether two arrays hold the same numbers, to what float32 allows."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    if a.size == 0:
        return True
    bound = TOLERANCE * (1 + float(np.max(np.abs(b))))
    return bool(np.all(np.isfinite(a)) and np.max(np.abs(a.astype("d") - b)) <= bound)


def same_steps(a, b):
    """The same, with time and batch in either order."""
    return same(a, b) or (np.ndim(a) >= 2 and np.ndim(b) == np.ndim(a) and same(np.swapaxes(a, 0, 1), b))


@dataclass
class Recurrent:
    """A recurrent module, what it got and what it gave."""
    name: str
    cell: str
    x: np.ndarray                 # (T, N, D)
    output: np.ndarray            # (T, N, H * directions)
    h_n: np.ndarray               # (L * directions, N, H)
    c_n: np.ndarray | None
    batch_first: bool
    tensors: dict                 # by parameter name in PyTorch's convention
    from_zeros: tuple | None = None   # (output, h_n, c_n) from zeros, where the model starts from something else
    stored_state: bool = False        # that something is a parameter of the model
    source: str = "other"         # "input", "embedding" or "other"
    ids: np.ndarray | None = None     # (T, N) what its embedding got
    embedding: str = ""
    last: np.ndarray | None = None    # (N, H * directions) the output's last step
    final: np.ndarray | None = None   # (N, H * directions) the top layer's h_n
    layers: list = field(default_factory=list)  # names that may stand for it
    expressible: bool = True      # in PyTorch's convention, as forward stacks of common cells

    def reading(self, how):
        return {"sequence": self.output, "last": self.last, "final": self.final}[how]


@dataclass
class Linear:
    """A linear layer; `reads` says how it reads which recurrent module, if it reads one and nothing else."""
    name: str
    x: np.ndarray
    output: np.ndarray
    tensors: dict
    reads: dict = field(default_factory=dict)
    activated: np.ndarray | None = None  # behind the layer's own activation


@dataclass
class Embedding:
    name: str
    ids: np.ndarray
    output: np.ndarray
    tensors: dict


@dataclass
class Truth:
    """Everything known about one model."""
    inputs: list
    outputs: list                 # every array the model returns
    batch_first: bool             # of the model's inputs and outputs
    recurrent: list = field(default_factory=list)
    linear: list = field(default_factory=list)
    embeddings: list = field(default_factory=list)
    cells: dict = field(default_factory=dict)      # name -> tensors
    cell_runs: list = field(default_factory=list)  # a cell run over a sequence, as a Recurrent
    tensors: dict = field(default_factory=dict)    # all of the file's, by name
    between: list = field(default_factory=list)    # names of what has parameters and is none of these

    def connect(self):
        """Finds who reads whom from the numbers."""
        for r in self.recurrent:
            if any(same_steps(r.x, i) for i in self.inputs if np.ndim(i) == 3):
                r.source = "input"
            for e in self.embeddings:
                if same_steps(r.x, e.output) and any(same_steps(e.ids, i) for i in self.inputs):
                    r.source, r.embedding = "embedding", e.name
                    r.ids = e.ids if same(r.x, e.output) else np.swapaxes(e.ids, 0, 1)
            for n in self.linear:
                for how in ("sequence", "last", "final"):
                    if same_steps(n.x, r.reading(how)):
                        n.reads.setdefault(r.name, how)
        return self

    def renamed(self, names):
        """The same with the recurrent modules under other names: {old: new}."""
        recurrent = [replace(r, name=names.get(r.name, r.name)) for r in self.recurrent]
        linear = [replace(n, reads={names.get(k, k): v for k, v in n.reads.items()}) for n in self.linear]
        return replace(self, recurrent=recurrent, linear=linear)

    @property
    def is_network(self):
        """Whether the model is embedding? -> stack -> head?, and nothing else, whatever its text looks like."""
        if self.cells or self.between or len(self.embeddings) > 1 or len(self.linear) > 1:
            return False
        parts = {n for r in self.recurrent for n in (r.layers or [r.name])}
        for r in self.recurrent:
            if set(r.layers or [r.name]) == parts and r.source != "other" and (r.from_zeros is None or r.stored_state):
                heads = [a for n in self.linear if r.name in n.reads for a in (n.output, n.activated)]
                arrays = [r.output, r.h_n, r.c_n, r.final, r.last, *heads]
                return len(heads) == 2 * len(self.linear) and all(
                    any(a is not None and same_steps(o, a) for a in arrays) for o in self.outputs)
        return False
