#!/usr/bin/env python3
"""Captures models of PyTorch, Keras and ONNX Runtime as users would, and has rnn-verify judge them.

    PYTHON tools/capture/check_capture.py RNN_VERIFY

Whichever of the frameworks PYTHON has are tried; one that is missing is said, and PyTorch must be there.
Also makes sure that what cannot be expressed is refused, and that a captured file with one wrong weight
fails.
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "torch")
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurrent_capture import CaptureError, capture

refusals, captured = 0, 0
folder = None


def has(name):
    return importlib.util.find_spec(name) is not None


def take(name, *arguments, **options):
    global captured
    # test_capture.py looks at the advice, which runs a model many times.
    capture(*arguments, path=os.path.join(folder, f"{name}.npz"), advice=False, **options)
    captured += 1


def refused(words, *arguments, **options):
    global refusals
    path = os.path.join(folder, "refused.npz")
    try:
        capture(*arguments, path=path, **options)
    except CaptureError as error:
        assert words in str(error), f"refused with {error}, not with {words!r}"
        assert not os.path.exists(path)
        refusals += 1
    else:
        sys.exit(f"not refused: {words}")


class Tagger(nn.Module):
    """Ids, an embedding, packed rows, a linear layer."""

    def __init__(self, kind=nn.LSTM, batch_first=False, last=False, packs=True, scale=1, **options):
        super().__init__()
        self.embed = nn.Embedding(11, 4, padding_idx=0)
        self.encoder = kind(4, 6, batch_first=batch_first, **options)
        width = (options.get("proj_size") or 6) * (2 if options.get("bidirectional") else 1)
        self.out = nn.Linear(width, 5)
        self.last, self.packs, self.scale = last, packs, scale

    def forward(self, ids, lengths=None):
        first = self.encoder.batch_first
        vectors = self.embed(ids) * self.scale
        if self.packs:
            vectors = pack_padded_sequence(vectors, lengths, batch_first=first, enforce_sorted=False)
        y, _ = self.encoder(vectors)
        if self.packs:
            y, _ = pad_packed_sequence(y, first, total_length=ids.shape[1 if first else 0])
        return self.out((y[:, -1] if first else y[-1]) if self.last else y)


def with_torch():
    torch.manual_seed(1)
    cells = {"tanh": (nn.RNN, {}), "relu": (nn.RNN, {"nonlinearity": "relu"}), "lstm": (nn.LSTM, {}),
             "proj": (nn.LSTM, {"proj_size": 3}), "gru": (nn.GRU, {})}
    for turn, (name, (kind, options)) in enumerate(cells.items()):
        rnn = kind(3, 5, num_layers=2, bidirectional=turn % 2 == 0, batch_first=turn % 2 == 1, **options)
        x = torch.randn(4, 7, 3)
        take(f"torch-{name}", rnn, x)
        take(f"torch-{name}-f64", kind(3, 5, **options).double(), x.double())
        take(f"torch-{name}-unbatched", kind(3, 5, bias=False, **options), x[0])
        take(f"torch-{name}-ragged", kind(3, 5, bidirectional=True, **options), x, lengths=[2, 4, 1, 3, 4, 2, 1])
        size = (2 * (1 + (turn % 2 == 0)), 4 if rnn.batch_first else 7, rnn.proj_size or 5)
        h = torch.randn(size)
        state = (h, torch.randn(*size[:2], 5)) if kind is nn.LSTM else h
        take(f"torch-{name}-h0", rnn, x, state)
        ids, lengths = torch.randint(1, 11, (7, 3)), torch.tensor([4, 7, 2])
        tags = torch.randint(0, 5, (7, 3))
        for row, length in enumerate(lengths):
            tags[length:, row] = -100
        take(f"torch-{name}-tagger", Tagger(kind, bidirectional=True, **options), ids, lengths,
             targets=tags, loss="cross_entropy")
        take(f"torch-{name}-classifier", Tagger(kind, True, True, False, **options), ids.T,
             targets=tags[0], loss="cross_entropy", reduction="sum")
        take(f"torch-{name}-vjp", Tagger(kind, packs=False, **options), ids)
        take(f"torch-{name}-regression", Tagger(kind, packs=False, **options), ids,
             targets=torch.randn(7, 3, 5), loss="mse")
        take(f"torch-{name}-binary", Tagger(kind, packs=False, **options), ids,
             targets=torch.rand(7, 3, 5), loss="bce_with_logits")
    x = torch.randn(4, 2, 3)
    refused("one step", nn.LSTMCell(3, 5), x[0])
    refused("2 recurrent layers", nn.ModuleDict({"a": nn.GRU(3, 5), "b": nn.GRU(3, 5)}), x)
    refused("is changed before", Tagger(packs=False, scale=2), torch.randint(0, 11, (7, 3)))
    refused("call module.eval() first", nn.GRU(3, 5, 2, dropout=0.5), x)
    refused("belongs to no", nn.Sequential(nn.Conv1d(2, 2, 1), nn.GRU(3, 5)), x)
    refused("go together", nn.GRU(3, 5), x, loss="mse")
    partly = nn.GRU(3, 5)
    partly.weight_hh_l0.requires_grad_(False)
    take("torch-frozen-partly", partly, x)
    take("torch-frozen", nn.GRU(3, 5).requires_grad_(False), x)
    take("torch-double", nn.GRU(3, 5), x, double=True)
    refused("no PyTorch module", object(), x)


def with_keras():
    import keras
    from keras import layers
    keras.utils.set_random_seed(1)
    x, ids = np.random.randn(3, 7, 4).astype("f"), np.random.randint(0, 9, (3, 7))

    def shaken(model, value):
        model(value)
        model.set_weights([w + 0.3 * np.random.randn(*w.shape).astype("f") for w in model.get_weights()])
        return model
    cells = {"tanh": (layers.SimpleRNN, {}), "relu": (layers.SimpleRNN, {"activation": "relu"}),
             "lstm": (layers.LSTM, {}), "gru": (layers.GRU, {}), "gru-before": (layers.GRU, {"reset_after": False})}
    for name, (kind, options) in cells.items():
        def rnn(units=5, **more):
            return kind(units, **options, **more)
        take(f"keras-{name}-layer", shaken(rnn(return_sequences=True), x), x)
        take(f"keras-{name}-no-bias", shaken(rnn(use_bias=False), x), x)
        stack = keras.Sequential([layers.Bidirectional(rnn(return_sequences=True)), layers.Dropout(0.5),
                                  layers.Bidirectional(rnn(return_sequences=True)), layers.Dense(6)])
        take(f"keras-{name}-stack", shaken(stack, x), x, targets=np.random.randint(0, 6, (3, 7)),
             loss="cross_entropy")
        classifier = keras.Sequential([layers.Embedding(9, 4), rnn(),
                                       layers.Dense(6, activation="softmax")])
        take(f"keras-{name}-classifier", shaken(classifier, ids), ids,
             targets=np.random.randint(0, 6, 3), loss="cross_entropy")
        take(f"keras-{name}-vjp", classifier, ids)
    entry = keras.Input((7, 4))
    chain = layers.Dense(3)(layers.LSTM(5)(layers.LSTM(5, return_sequences=True)(entry)))
    take("keras-functional", shaken(keras.Model(entry, chain), x), x,
         targets=np.random.randn(3, 3).astype("f"), loss="mse")
    refused("masks zeros", shaken(keras.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.GRU(5)]), ids), ids)
    refused("only tanh", shaken(keras.Sequential([layers.LSTM(5, activation="relu")]), x), x)
    refused("merges by sum", shaken(keras.Sequential([layers.Bidirectional(layers.GRU(5), merge_mode="sum")]), x), x)
    refused("cannot be expressed", shaken(keras.Sequential([layers.Conv1D(4, 1), layers.GRU(5)]), x), x)


def with_onnx():
    import warnings
    import onnxruntime
    x, ids = torch.randn(7, 3, 4), torch.randint(0, 11, (7, 3))

    def export(name, module, *inputs, **options):
        path = os.path.join(folder, f"{name}.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module.eval(), inputs, path, dynamo=False, **options)
        return path
    for name, kind in (("tanh", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)):
        path = export(f"{name}", kind(4, 5, 2, bidirectional=True), x)
        take(f"onnx-{name}", path, x)
        session = onnxruntime.InferenceSession(export(f"{name}-tagger", Tagger(kind, packs=False), ids))
        take(f"onnx-{name}-tagger", session, ids)
        path = export(f"{name}-last", Tagger(kind, True, True, False), ids.T)
        take(f"onnx-{name}-last", path, ids.T)
    refused("no gradients", path, ids.T, gradients=True)
    refused("is changed before", export("scaled", Tagger(packs=False, scale=2), ids), ids)


def main(verifier):
    global folder
    with tempfile.TemporaryDirectory() as folder:
        with_torch()
        for name, part in (("keras", with_keras), ("onnxruntime", with_onnx)):
            part() if has(name) else print(f"{name} is not installed: not tried")
        path = os.path.join(folder, "torch-gru.npz")
        status = subprocess.run([verifier, folder]).returncode
        with np.load(path) as file:
            wrong = dict(file)
        wrong["weights/weight_hh_l1"][2, 1] += 1e-3
        np.savez(path, **wrong)
        spoiled = subprocess.run([verifier, path], stdout=subprocess.DEVNULL).returncode
        assert json.loads(bytes(wrong["config"]))["cell"] == "gru"
    print(f"{captured} models captured, {refusals} refused")
    sys.exit(0 if status == 0 and spoiled == 1 else 1)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1])) if len(sys.argv) == 2 else sys.exit(__doc__)
