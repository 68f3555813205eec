#!/usr/bin/env python3
"""Writes fixtures/torch: what PyTorch computes, for a grid of nn.RNN, nn.LSTM and nn.GRU configurations.

    $(tools/peers/environment) tools/goldens/capture_torch.py [OUTPUT_DIRECTORY]

One row of a table is one fixture (tools/goldens/torch_reference.py computes it); a new cell is a new entry of
CELLS there and more rows here. The bytes are the same on every run with the same PyTorch and processor.
Every size differs from every other.
"""
import os
import sys

from torch_reference import (
    BCE, CE, CELLS, DTYPES, MSE, SOURCE, capture, case, deterministic, draws_masks_from_its_generator)


def grid():
    """The modules alone, with the gradients of random upstream gradients (vjp)."""
    for cell in ("rnn_tanh", "rnn_relu"):
        for layers in (1, 2, 3):
            for bidirectional in (False, True):
                # The remaining options take turns, so that every pair of values occurs somewhere.
                turn = layers + 3 * bidirectional + 2 * (cell == "rnn_relu")
                yield dict(cell=cell, layers=layers, bidirectional=bidirectional,
                           dtype="f32" if turn % 2 else "f64", bias=turn % 3 != 0,
                           batch_first=turn % 4 in (1, 2), h_0=turn % 3 != 1)
    both = dict(layers=2, bidirectional=True)
    for dtype in DTYPES:
        yield dict(dtype=dtype, batched=False)
        yield dict(dtype=dtype, batched=False, batch_first=True, h_0=False, **both)
        yield dict(dtype=dtype, cell="rnn_relu", batch_first=True, **both)
        yield dict(dtype=dtype, bias=False, h_0=False, **both)
    yield dict(steps_T=1, **both)
    yield from gated()
    yield from ragged()


# Small enough that a file with 32 parameter tensors stays below 20 kB.
SMALL = dict(steps_T=6, rows=5, features=2, hidden=4)


def gated():
    """LSTM (with and without projection) and GRU (reset after and before)."""
    for cell in ("lstm", "gru"):
        for layers in (1, 2, 3):
            for bidirectional in (False, True):
                turn = layers + 3 * bidirectional + (cell == "gru")
                yield dict(SMALL, cell=cell, layers=layers, bidirectional=bidirectional,
                           hidden=3 if layers * (1 + bidirectional) > 3 else 4,
                           dtype="f32" if layers * (1 + bidirectional) > 2 or turn % 2 else "f64",
                           bias=layers * (1 + bidirectional) != 6 and turn % 3 != 0,
                           batch_first=turn % 4 in (1, 2), h_0=turn % 3 != 1)
        yield dict(SMALL, cell=cell, batched=False)
        yield dict(SMALL, cell=cell, batched=False, batch_first=True, dtype="f32", layers=2, h_0=False)
        yield dict(SMALL, cell=cell, layers=2, bidirectional=True, bias=False, hidden=3)
        yield dict(SMALL, cell=cell, layers=2) | dict(steps_T=1)
    yield dict(SMALL, cell="lstm", h_0=True, c_0=False)
    yield dict(SMALL, cell="lstm", h_0=False, c_0=True, bidirectional=True, dtype="f32")
    projected = dict(SMALL, cell="lstm", proj=3)
    yield projected
    yield dict(projected, layers=2, bidirectional=True, bias=False, batch_first=True, dtype="f32")
    yield dict(projected, layers=3, bias=False, h_0=False)
    yield dict(projected, layers=2, batched=False, dtype="f32")
    before = dict(SMALL, cell="gru_before")
    yield before
    yield dict(before, layers=2, bidirectional=True, batch_first=True, dtype="f32")
    yield dict(before, bidirectional=True, bias=False, h_0=False, batched=False)


def ragged():
    """Unsorted lengths; in `short` every row ends before T, so that the last step is all padding."""
    full, short = [4, 6, 1, 3, 5], [3, 4, 1, 4, 2]
    for cell in CELLS:
        turn = list(CELLS).index(cell) % 2
        yield dict(SMALL, cell=cell, lengths=full, layers=2, bidirectional=True, dtype="f32",
                   bias=cell != "lstm", batch_first=bool(turn))
        yield dict(SMALL, cell=cell, lengths=short, h_0=bool(turn), batch_first=not turn)
    yield dict(SMALL, cell="lstm", lengths=short, proj=3, bidirectional=True, dtype="f32")


def grid_name(options):
    words = [options.get("cell", "rnn_tanh").replace("_", "-"), f"{options.get('layers', 1)}-layer"]
    words += [f"proj-{options['proj']}"] if options.get("proj") else []
    if options.get("lengths"):
        words += ["ragged" if max(options["lengths"]) == options["steps_T"] else "ragged-short"]
    words += [word for key, value, word in (
        ("bidirectional", True, "bidirectional"), ("bias", False, "no-bias"),
        ("batch_first", True, "batch-first"), ("batched", False, "unbatched"), ("h_0", False, "no-h0"),
        ("c_0", True, "only-c0"), ("c_0", False, "no-c0"),
        ("steps_T", 1, "one-step")) if options.get(key) == value]
    return "-".join(words + [options.get("dtype", "f64")])


SGD = {"kind": "sgd", "lr": 0.05, "steps": 10}
WITH_HEAD = [
    case("ce-mean", loss={"kind": CE, "reduction": "mean"}),
    case("ce-mean-f32", dtype="f32", layers=2, batch_first=True, loss={"kind": CE, "reduction": "mean"}),
    case("ce-sum-bidirectional", layers=2, bidirectional=True, loss={"kind": CE, "reduction": "sum"}),
    case("ce-sum-relu-f32", cell="rnn_relu", dtype="f32", loss={"kind": CE, "reduction": "sum"}),
    case("ce-mean-over-batch", batch_first=True, loss={"kind": CE, "reduction": "mean_over_batch"}),
    case("ce-unbatched", batched=False, loss={"kind": CE, "reduction": "mean"}),
    case("ce-ignore-index", ignored=5, loss={"kind": CE, "reduction": "mean", "ignore_index": -100}),
    case("ce-label-smoothing", ignored=4, batch_first=True,
         loss={"kind": CE, "reduction": "mean", "ignore_index": -1, "label_smoothing": 0.1}),
    case("ce-last-bidirectional", bidirectional=True, layers=2,
         loss={"kind": CE, "reduction": "mean", "steps": "last"}),
    case("bce-last", classes=1, loss={"kind": BCE, "reduction": "sum", "steps": "last"}),
    case("bce-mean-f32", dtype="f32", classes=2, loss={"kind": BCE, "reduction": "mean"}),
    case("mse-mean", layers=2, loss={"kind": MSE, "reduction": "mean"}),
    case("mse-sum-f32", dtype="f32", batch_first=True, loss={"kind": MSE, "reduction": "sum"}),
    case("train-sgd", loss={"kind": CE, "reduction": "mean"}, optimizer=SGD),
    case("train-sgd-clip-norm", layers=2, bidirectional=True, loss={"kind": CE, "reduction": "sum"},
         optimizer=SGD, clip={"kind": "norm", "max": 1.0}),
    case("train-sgd-clip-norm-f32", dtype="f32", layers=2, loss={"kind": CE, "reduction": "sum"},
         optimizer=SGD, clip={"kind": "norm", "max": 1.0}),
    case("train-sgd-clip-value", loss={"kind": CE, "reduction": "sum"}, optimizer=SGD,
         clip={"kind": "value", "max": 0.2}),
]
MEAN = {"kind": CE, "reduction": "mean"}
WITH_HEAD += [case(name, **{**SMALL, "classes": 3, **options}) for name, options in (
    ("ce-lstm", dict(cell="lstm", batch_first=True, loss=MEAN)),
    ("ce-lstm-bidirectional-f32", dict(cell="lstm", bidirectional=True, dtype="f32",
                                       loss={"kind": CE, "reduction": "sum"})),
    ("ce-lstm-proj", dict(cell="lstm", proj=3, classes=7, layers=2, bias=False, loss=MEAN)),
    ("ce-lstm-last-f32", dict(cell="lstm", dtype="f32", layers=2, loss={**MEAN, "steps": "last"})),
    ("ce-gru", dict(cell="gru", layers=2, loss=MEAN)),
    ("ce-gru-bidirectional-f32", dict(cell="gru", bidirectional=True, dtype="f32", loss=MEAN)),
    ("ce-gru-before", dict(cell="gru_before", batch_first=True, loss=MEAN)),
)]
# Adaptive steps divide by the gradient: in float32 eps must outweigh the rounding of small ones.
WITH_HEAD += [
    case(f"train-{name}", **{**SMALL, "classes": 3, "loss": MEAN, **options},
         optimizer={**optimizer, "steps": 10}) for name, options, optimizer in (
        ("sgd-momentum", dict(layers=2), dict(kind="sgd", lr=0.05, momentum=0.9)),
        ("sgd-momentum-f32", dict(dtype="f32"), dict(kind="sgd", lr=0.05, momentum=0.9)),
        ("sgd-nesterov-decay", dict(cell="rnn_relu"),
         dict(kind="sgd", lr=0.05, momentum=0.8, nesterov=True, weight_decay=0.02)),
        ("sgd-decay-lstm", dict(cell="lstm"), dict(kind="sgd", lr=0.1, weight_decay=0.05)),
        ("sgd-momentum-clip-gru", dict(cell="gru", clip={"kind": "norm", "max": 0.3}),
         dict(kind="sgd", lr=0.1, momentum=0.9)),
        ("adam", dict(layers=2), dict(kind="adam", lr=0.01)),
        ("adam-decay-lstm", dict(cell="lstm"),
         dict(kind="adam", lr=0.02, betas=[0.8, 0.95], eps=1e-6, weight_decay=0.03)),
        ("adam-f32", dict(dtype="f32"), dict(kind="adam", lr=0.01, eps=0.01)),
        ("adamw", dict(layers=2), dict(kind="adamw", lr=0.01)),
        ("adamw-decay-gru", dict(cell="gru", clip={"kind": "value", "max": 0.05}),
         dict(kind="adamw", lr=0.02, betas=[0.7, 0.9], weight_decay=0.3)),
        ("rmsprop", {}, dict(kind="rmsprop", lr=0.01)),
        ("rmsprop-centered-momentum", dict(layers=2),
         dict(kind="rmsprop", lr=0.005, alpha=0.9, eps=1e-6, momentum=0.7, weight_decay=0.02,
              centered=True)),
        ("adagrad", {}, dict(kind="adagrad", lr=0.05)),
        ("adagrad-decay-lstm", dict(cell="lstm"),
         dict(kind="adagrad", lr=0.05, eps=1e-6, weight_decay=0.04)),
    )]

# Token ids, so that an embedding comes first; every size differs here too.
TOKENS = dict(SMALL, features=3, vocabulary=8, classes=7)
UNSORTED = [4, 6, 1, 3, 5]
VJP = {"kind": "vjp"}
WITH_EMBEDDING = [case(f"embedding-{name}", **{**TOKENS, **options}) for name, options in (
    ("rnn-tanh", dict(loss=MEAN)),
    ("rnn-relu-batch-first-f32", dict(cell="rnn_relu", batch_first=True, dtype="f32", loss=MEAN)),
    ("lstm-bidirectional", dict(cell="lstm", layers=2, bidirectional=True, bias=False, hidden=2, loss=MEAN)),
    ("gru-unbatched", dict(cell="gru", batched=False, loss={**MEAN, "reduction": "sum"})),
    ("gru-padding-f32", dict(cell="gru", dtype="f32", padding_idx=2, lengths=UNSORTED, padding="ignore",
                             loss={**MEAN, "ignore_index": -1})),
    ("gru-before-padding", dict(cell="gru_before", padding_idx=5, loss={**MEAN, "steps": "last"})),
    ("lstm-proj-padding-last-f32", dict(cell="lstm", proj=2, padding_idx=-1, dtype="f32", batch_first=True,
                                        lengths=UNSORTED, loss={**MEAN, "steps": "last"})),
    ("lstm-no-head", dict(cell="lstm", padding_idx=0, lengths=UNSORTED, loss=VJP)),
)]
# No loss looks at what lies after a row's end: targets there are a class that does not exist, or NaN.
SHORT = [3, 4, 1, 4, 2]
MASKED = [case(f"masked-{name}", **{**SMALL, "classes": 3, "padding": "rubbish", **options})
          for name, options in (
    ("ce-mean", dict(cell="gru", lengths=UNSORTED, loss=MEAN)),
    ("ce-sum-f32", dict(cell="lstm", lengths=SHORT, dtype="f32", loss={**MEAN, "reduction": "sum"})),
    ("ce-mean-over-batch", dict(lengths=SHORT, batch_first=True, loss={**MEAN, "reduction": "mean_over_batch"})),
    ("ce-ignore-index", dict(cell="gru_before", lengths=UNSORTED, padding="ignore", ignored=4, batch_first=True,
                             loss={**MEAN, "ignore_index": -1, "label_smoothing": 0.1})),
    ("ce-probabilities", dict(cell="lstm", lengths=UNSORTED, soft=True, loss={**MEAN, "label_smoothing": 0.2})),
    ("ce-last-bidirectional", dict(lengths=SHORT, layers=2, bidirectional=True, loss={**MEAN, "steps": "last"})),
    ("bce-mean-f32", dict(cell="gru", lengths=UNSORTED, dtype="f32", loss={"kind": BCE, "reduction": "mean"})),
    ("bce-sum", dict(cell="lstm", lengths=SHORT, batch_first=True, loss={"kind": BCE, "reduction": "sum"})),
    ("bce-mean-over-batch-last", dict(lengths=UNSORTED,
                                      loss={"kind": BCE, "reduction": "mean_over_batch", "steps": "last"})),
    ("mse-mean", dict(cell="rnn_relu", lengths=SHORT, bidirectional=True, loss={"kind": MSE, "reduction": "mean"})),
    ("mse-sum-last-f32", dict(cell="lstm", lengths=UNSORTED, dtype="f32", batch_first=True,
                              loss={"kind": MSE, "reduction": "sum", "steps": "last"})),
    ("mse-mean-over-batch", dict(cell="gru", lengths=UNSORTED, loss={"kind": MSE, "reduction": "mean_over_batch"})),
)]
# In training mode the seed makes the masks; in evaluation mode dropout does nothing.
ADAM = {"kind": "adam", "lr": 0.02, "eps": 0.01, "steps": 6}
TRAINING = dict(SMALL, layers=2, dropout=0.4, training=True)
WITH_DROPOUT = [case(f"dropout-{name}", **{**TRAINING, **options}) for name, options in (
    ("off-lstm", dict(cell="lstm", training=False, loss=VJP)),
    ("off-ce-f32", dict(cell="gru", training=False, classes=3, dtype="f32", loss=MEAN)),
    ("rnn-tanh", dict(seed=1, layers=3, loss=VJP)),
    ("rnn-relu-batch-first-f32", dict(cell="rnn_relu", seed=2, batch_first=True, dtype="f32", loss=VJP)),
    ("lstm-bidirectional", dict(cell="lstm", seed=3, hidden=3, bidirectional=True, loss=VJP)),
    ("lstm-unbatched-f32", dict(cell="lstm", seed=-4, batched=False, dtype="f32", loss=VJP)),
    ("gru-ragged-bidirectional-f32", dict(cell="gru", seed=5, hidden=3, lengths=UNSORTED, bidirectional=True,
                                          dtype="f32", loss=VJP)),
    ("gru-before-ragged-batch-first", dict(cell="gru_before", seed=6, lengths=SHORT, batch_first=True, loss=VJP)),
    ("lstm-proj-ragged", dict(cell="lstm", proj=3, seed=7, lengths=UNSORTED, batch_first=True, loss=VJP)),
    ("everything-off", dict(cell="gru", dropout=1.0, seed=8, loss=VJP)),
    ("ce-embedding-adam", dict(TOKENS, cell="lstm", seed=9, padding_idx=3, lengths=UNSORTED, padding="ignore",
                               loss=MEAN, optimizer=ADAM)),
    ("ce-gru-adam-f32", dict(cell="gru", seed=10, classes=3, dtype="f32", loss=MEAN, optimizer=ADAM)),
)]
# Hundred updates. Losses agree for that long, parameters only where a step is no quotient of small numbers
# (the page Guarantees, "Long training"), so that only gradient descent is held to them.
CURVE = dict(SMALL, classes=3, only=("losses",), loss=MEAN)
CURVES = [case(f"curve-{name}-{dtype}", **{**CURVE, **options}, dtype=dtype,
               optimizer={**optimizer, "steps": 100},
               tolerance={"losses": {"rtol": gates[dtype == "f64"]}})
          for name, options, optimizer, gates in (
    ("sgd-rnn-tanh", dict(only=("losses", "trained")), dict(kind="sgd", lr=0.1), (1e-6, 1e-12)),
    ("sgd-momentum-clip-gru", dict(cell="gru", lengths=UNSORTED, clip={"kind": "norm", "max": 0.5}),
     dict(kind="sgd", lr=0.1, momentum=0.9), (1e-5, 1e-10)),
    ("sgd-nesterov-lstm-proj", dict(cell="lstm", proj=3, clip={"kind": "value", "max": 0.1}),
     dict(kind="sgd", lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01), (1e-5, 1e-10)),
    ("adam-lstm-embedding", dict(TOKENS, cell="lstm", padding_idx=1, lengths=UNSORTED, padding="ignore"),
     dict(kind="adam", lr=0.01), (1e-5, 1e-10)),
    ("adamw-gru-bidirectional", dict(cell="gru", hidden=3, bidirectional=True),
     dict(kind="adamw", lr=0.01), (1e-5, 1e-10)),
    ("rmsprop-rnn-relu", dict(cell="rnn_relu", lengths=SHORT), dict(kind="rmsprop", lr=0.005), (1e-5, 1e-10)),
    ("adagrad-lstm-dropout", dict(cell="lstm", layers=2, hidden=3, dropout=0.3, training=True, seed=11),
     dict(kind="adagrad", lr=0.05), (1e-5, 1e-10)),
) for dtype in DTYPES]
# Where no two implementations stay together: recurrent weights so large that the network is chaotic, and
# training that divides by small gradients. Every step is compared from the reference's state before it.
CHAOTIC = dict(SMALL, steps_T=60, rows=2, hidden=7, states=True, only=("states",), loss=VJP)
STEPWISE = [case(f"stepwise-{name}", **options) for name, options in (
    ("rnn-tanh-f32", dict(CHAOTIC, gain=12.0, dtype="f32")),
    ("rnn-tanh-bidirectional", dict(CHAOTIC, gain=12.0, layers=2, bidirectional=True)),
    ("lstm-proj-ragged-f32", dict(CHAOTIC, cell="lstm", gain=40.0, proj=5, dtype="f32", lengths=[57, 41],
                                  batch_first=True)),
    ("gru-unbatched-f32", dict(CHAOTIC, cell="gru", gain=20.0, layers=2, batched=False, h_0=False, dtype="f32")),
    ("gru-before-embedding", dict(CHAOTIC, cell="gru_before", gain=20.0, vocabulary=8)),
    ("training-adam-lstm-f32", dict(SMALL, cell="lstm", classes=3, hidden=3, dtype="f32", loss=MEAN,
                                    trajectory=True, only=("trajectory", "trained", "losses"),
                                    optimizer={"kind": "adam", "lr": 0.1, "steps": 60})),
    ("training-sgd-momentum-gru", dict(TOKENS, cell="gru", features=2, classes=3, hidden=3, vocabulary=5,
                                       lengths=UNSORTED, padding="ignore", loss=MEAN,
                                       trajectory=True, only=("trajectory", "trained", "losses"),
                                       clip={"kind": "norm", "max": 0.3},
                                       optimizer={"kind": "sgd", "lr": 0.3, "momentum": 0.9, "steps": 20})),
)]


if __name__ == "__main__":
    deterministic()
    if not draws_masks_from_its_generator():
        sys.exit("capture_torch: PyTorch takes dropout masks from MKL on this processor; use another")
    fixtures = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fixtures", "torch")
    cases = [case(grid_name(o), **o, loss={"kind": "vjp"}) for o in grid()]
    cases += WITH_HEAD + WITH_EMBEDDING + MASKED + WITH_DROPOUT + CURVES + STEPWISE
    assert len({c["name"] for c in cases}) == len(cases), "two cases share a name"
    for c in cases:
        capture(c, sys.argv[1] if len(sys.argv) > 1 else fixtures)
    print(f"{len(cases)} fixtures from {SOURCE}")
