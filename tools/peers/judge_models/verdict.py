"""What one written file claims, compared with the truth, and with what was said about it."""
from dataclasses import dataclass, field

import numpy as np

from . import reference
from .truth import same, same_steps

RIGHT, RIGHT_ASSUMED = "right", "right, assumption said"
ASSUMED_WRONG = "assumption said, wrong, its flag mends it"
HINT, REFUSED, BAD_HINT = "refused, hint works", "refused", "refused, hint does not work"
SILENT, CRASH = "SILENTLY WRONG", "CRASH"
OUTCOMES = [RIGHT, RIGHT_ASSUMED, ASSUMED_WRONG, HINT, REFUSED, BAD_HINT, SILENT, CRASH]


@dataclass
class Finding:
    """The comparison of a written network with one recurrent module of the model."""
    name: str = ""
    wrong: list = field(default_factory=list)      # the points that differ
    lost: list = field(default_factory=list)       # tensors of the file that are not in it
    whole: bool = False                            # everything that the model computes is in it
    head: str = ""
    from_zeros: bool = False


# Networks: ONNX and Keras files.

def find(truth, written, module=None, states=True):
    """The finding for the module asked for, or for the one that fits best.

    `states`: the source says what its layers do with their outputs; an activation that weights alone leave
    open cannot be missing."""
    candidates = [r for r in truth.recurrent + truth.cell_runs if module is None or r.name == module or module in r.layers]
    findings = [against(truth, written, r, states) for r in candidates]
    return min(findings, key=lambda f: (any("cannot" in w for w in f.wrong), len(f.wrong), not f.whole)) if findings else Finding(wrong=["no module"])


def against(truth, written, r, states):
    f = Finding(r.name)
    if written.tokens and r.ids is None:
        f.wrong = ["embedding"]
        return f
    try:
        got = written.run(r.ids if written.tokens else r.x)
    except Exception as error:
        f.wrong = ["cannot be run: " + " ".join(str(error).split())[:160]]
        return f
    variants = [(r.output, r.h_n, r.c_n, False)] + ([(*r.from_zeros, True)] if r.from_zeros else [])
    results = []
    for output, h_n, c_n, zeros in variants:
        heads = heads_of(truth, r, output, h_n, zeros)
        # A Keras model has one output: where that is the head's, only the head tells the variants apart.
        misses = sum(point in got and not any(z is not None and point_fits(point, got[point], n, z, truth) for n, z in heads)
                     for point in ("logits", "probabilities"))
        results.append((points_that_differ(got, r, output, h_n, c_n), heads, zeros, misses, output))
    wrong, heads, f.from_zeros, _, output = min(results, key=lambda v: (len(v[0]), v[3]))
    f.wrong = wrong + (["initial state"] if f.from_zeros else [])
    included = [r.tensors] + ([e.tensors for e in truth.embeddings if e.name == r.embedding] if written.tokens else [])
    activated = []
    for point in ("logits", "probabilities"):
        if point not in got:
            continue
        fits = [n for n, z in heads if z is not None and point_fits(point, got[point], n, z, truth)]
        if fits:
            f.head = fits[0].name
            if not states:
                activated.append(fits[0].activated)
            included.append(fits[0].tensors)
        else:
            f.wrong.append("head reads" if any(z is not None and fits_a_step(got[point], z) for _, z in heads) else "head")
    values = [v for tensors in included for v in tensors.values()]
    f.lost = [k for k, v in truth.tensors.items() if v.dtype.kind == "f" and not any(same_value(v, u) for u in values)]
    if r.stored_state and not f.from_zeros:
        f.lost = [k for k in f.lost if truth.tensors[k].ndim != 3]
    arrive = written.tokens or r.source == "input"
    arrays = list(got.values()) + activated + [r.last if same(got.get("output", 0), r.output) else None]
    if "logits" in got and f.head:  # the activation may be a word in the metadata
        word = next((v for k, v in written.metadata.items() if k.split(".")[-1] == "output_activation"), "none")
        arrays.append(bent_by(word, got["logits"]))
    outputs = truth.outputs if written.target == "onnx" else truth.outputs[:1]
    f.whole = not f.wrong and not f.lost and arrive and not sum(
        not any(a is not None and same_steps(o, a) for a in arrays) for o in outputs)
    return f


def heads_of(truth, r, output, h_n, zeros):
    """Every linear layer with what it gives behind these results."""
    heads = [(n, logits_of(n, r, output, h_n) if zeros else n.output) for n in truth.linear]
    heads += [(n, n.activated) for n in truth.linear if not zeros and n.activated is not None]
    # The function of a hidden layer, where the next layer really reads it.
    for n in truth.linear if not zeros else []:
        for word in ("relu", "tanh", "sigmoid"):
            bent = bent_by(word, n.output)
            if any(m is not n and m.x.shape == bent.shape and same(m.x, bent) for m in truth.linear):
                heads.append((n, bent))
    if r in truth.cell_runs:  # a head on every step of a cell
        heads += [(n, output @ n.tensors["weight"].T + n.tensors.get("bias", 0)) for n in truth.linear
                  if n.x.shape[-1] == output.shape[-1]]
    return heads


def points_that_differ(got, r, output, h_n, c_n):
    wrong = []
    if "output" in got:
        y = got["output"]
        if not (same(y, output) if y.ndim == 3 else same(y, r.final)):
            wrong.append("output")
    if "h_n" in got and not same(got["h_n"], h_n):
        wrong.append("h_n")
    if "c_n" in got and c_n is not None and not same(got["c_n"], c_n):
        wrong.append("c_n")
    return wrong


def logits_of(n, r, output, h_n):
    """What the layer would give for a stack that starts from zeros."""
    how = n.reads.get(r.name)
    directions = r.output.shape[-1] // r.h_n.shape[-1]
    read = {"sequence": output, "last": output[-1], "final": np.concatenate(list(h_n[-directions:]), 1)}.get(how)
    if read is None:
        return None
    return read @ n.tensors["weight"].T + n.tensors.get("bias", 0)


def point_fits(point, got, n, z, truth):
    if point == "logits":
        return same_steps(got, z)
    bent = [n.activated] if n.activated is not None else []
    bent += [bent_by(word, z) for word in ("softmax", "sigmoid", "relu", "tanh", "log_softmax")]
    # Of a head within a larger one, the next layer reads them.
    ends = list(truth.outputs) + [m.x for m in truth.linear if m is not n]
    return any(same_steps(got, b) for b in bent) and any(same_steps(got, o) for o in ends)


def bent_by(word, z):
    """The logits behind an activation."""
    shifted = np.exp(z - z.max(-1, keepdims=True))
    softmax = shifted / shifted.sum(-1, keepdims=True)
    return {"softmax": softmax, "sigmoid": reference.sigmoid(z), "relu": np.maximum(z, 0), "tanh": np.tanh(z),
            "log_softmax": np.log(softmax), "logsoftmax": np.log(softmax)}.get(word)


def fits_a_step(got, z):
    """Whether one of the two is the other at its last or first step."""
    a, b = (got, z) if got.ndim > z.ndim else (z, got)
    if a.ndim != 3 or b.ndim != 2:
        return got.shape == z.shape  # h_n for the last step
    return any(same(step, b) for step in (a[-1], a[0], a[:, -1], a[:, 0]))


def same_value(a, b):
    return a.size == b.size and (np.array_equal(a, b) or (a.ndim == 2 and a.T.shape == b.shape and np.array_equal(a.T, b)))


# Tensors: npz and pt in PyTorch's convention.

@dataclass
class Tensors:
    """The comparison of a file of tensors with the model's modules."""
    renamed: list = field(default_factory=list)
    missing: list = field(default_factory=list)    # modules that are not there
    differ: list = field(default_factory=list)
    lost: list = field(default_factory=list)       # other tensors that are not there
    false: list = field(default_factory=list)      # what the metadata says and is not so

    @property
    def complaints(self):
        return [f"{what}: {', '.join(map(str, items))}" for what, items in
                [("renamed", self.renamed), ("differs", self.differ), ("metadata", self.false)] if items]


def compare_tensors(truth, tensors, metadata, module, named):
    """`named`: the source file holds the modules' own parameter names, so everything must be found by name."""
    t = Tensors()
    modules = [(r.name, r.tensors, "recurrent") for r in truth.recurrent if module is None or module == r.name]
    if module is None:
        modules += [(name, own, "cell") for name, own in truth.cells.items()]
        modules += [(n.name, n.tensors, "linear") for n in truth.linear]
        modules += [(e.name, e.tensors, "embedding") for e in truth.embeddings]
    elif module in truth.cells:
        modules = [(module, truth.cells[module], "cell")]
    for name, own, kind in modules:
        if not named and kind == "cell":
            continue  # an exporter writes its operations, not the cell
        compare_module(t, name, own, kind, tensors, named)
    values = list(tensors.values())
    for name, value in truth.tensors.items():
        if value.dtype.kind == "f" and not any(same_value(value, v) for v in values):
            t.lost.append(name)
    check_metadata(t, truth, metadata, module)
    return t


def compare_module(t, name, own, kind, tensors, named):
    prefix = f"{name}." if name else ""
    found = {k: tensors[prefix + k] for k in own if prefix + k in tensors}
    if not found:
        there = {k: [n for n, v in tensors.items() if same_value(own[k], v)] for k in own if k.startswith("weight")}
        if all(there.values()) and there:
            place = next(iter(there.values()))[0]
            # A bare module of a graph has no name of its own; a graph's linear layer may keep its tensors' names.
            if (named or kind == "recurrent") and name and not place.startswith(prefix):
                t.renamed.append(f"{name} is {place}")
        else:
            t.missing.append(name or "(the model)")
        return
    for key, value in own.items():
        if key not in found:
            if not named and any(same_value(value, v) for v in tensors.values()):
                continue  # a graph's own name for it
            if np.any(value):
                t.differ.append(f"{prefix}{key} is not there")
        elif found[key].shape != value.shape or not np.array_equal(found[key], value):
            t.differ.append(prefix + key)


def check_metadata(t, truth, metadata, module=None):
    """A head or a cell that the metadata states must be there."""
    for key, value in metadata.items():
        scope, _, word = key.rpartition(".")
        # Bare keys speak of the module that was chosen; a cell that never ran is in no list.
        if not scope and module and not any(r.name == module for r in truth.recurrent):
            continue
        rs = [r for r in truth.recurrent if not scope or r.name == scope]
        if word == "cell" and rs and value not in {r.cell for r in rs} and value in ("rnn_tanh", "rnn_relu", "lstm", "gru"):
            t.false.append(f"cell {value}")
        if word == "head" and value == "linear" and not any(n.reads for n in truth.linear):
            t.false.append("head linear")
        if word == "head_reads" and rs and not any(reads_so(n, r, value) for n in truth.linear for r in rs):
            t.false.append(f"head_reads {value}")


def reads_so(n, r, how):
    read = n.reads.get(r.name)
    return read == how or (read is not None and how in ("last", "final") and same(r.last, r.final) and read != "sequence")


def connection_is_true(truth, one, other, reads):
    """Whether what a connection says holds of the model."""
    one, other = one.rstrip("."), other.rstrip(".")
    outputs = {e.name: [e.output] for e in truth.embeddings}
    for n in truth.linear:
        outputs[n.name] = [n.output] + ([n.activated] if n.activated is not None else [])
    for r in truth.recurrent:
        for name in [r.name, *r.layers]:
            outputs.setdefault(name, []).extend([r.reading(reads)] if reads in ("sequence", "last", "final") else
                                                [r.output, r.last, r.final])
    inputs = {n.name: [n.x] for n in truth.linear}
    for r in truth.recurrent:
        for name in [r.name, *r.layers]:
            inputs.setdefault(name, []).append(r.x)
    if one not in outputs or other not in inputs:
        return None
    return any(same_steps(a, b) for a in outputs[one] for b in inputs[other])
