#!/usr/bin/env python3
"""Keras judges what we read and what we write.

    KERAS_BACKEND=torch check_keras.py BIN [--tf PYTHON]

For every cell, depth, direction, head, embedding and type: Keras 3 saves a model as .keras, .h5 and
.weights.h5; rnn-convert turns each into .pt, PyTorch runs it and must agree with Keras; every module has the
name that it has in Keras, a stack that of its first layer. Weights alone do not say that layers follow one
another: there each layer is a module. Then the .pt goes back into all three, Keras loads them and must agree again. With --tf, tf_keras (Keras 2) loads
the .h5 files too, and its own files are read.
"""
import argparse
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy

CELLS = ["rnn_tanh", "rnn_relu", "lstm", "gru"]
SIZES = {"D": 5, "H": 4, "V": 11, "C": 3, "T": 6, "N": 2}
BOUND = {"float32": 2e-6, "float64": 1e-12}


def build(keras, cell, layers, bidirectional, head, embedding, dtype, bias=True, reset_after=True):
    L = keras.layers
    kind = {"rnn_tanh": L.SimpleRNN, "rnn_relu": L.SimpleRNN, "lstm": L.LSTM, "gru": L.GRU}[cell]
    model = keras.Sequential()
    if embedding:
        model.add(L.Input((None,), dtype="int32"))
        model.add(L.Embedding(SIZES["V"], SIZES["D"], dtype=dtype))
    else:
        model.add(L.Input((None, SIZES["D"]), dtype=dtype))
    for index in range(layers):
        options = {"return_sequences": True, "use_bias": bias, "dtype": dtype}
        if cell == "rnn_relu":
            options["activation"] = "relu"
        if cell == "gru":
            options["reset_after"] = reset_after
        layer = kind(SIZES["H"], **options)
        model.add(L.Bidirectional(layer, dtype=dtype) if bidirectional else layer)
    if head:
        model.add(L.Dense(SIZES["C"], dtype=dtype))
    source = numpy.random.default_rng(7)
    model.set_weights(
        [source.uniform(-0.7, 0.7, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def inputs(embedding, dtype):
    source = numpy.random.default_rng(8)
    if embedding:
        return source.integers(0, SIZES["V"], (SIZES["N"], SIZES["T"])).astype("int32")
    return source.uniform(-1, 1, (SIZES["N"], SIZES["T"], SIZES["D"])).astype(dtype)


def torch_forward(path, x, model, cell, layers, bidirectional, head, embedding, bias=True, apart=False):
    """What PyTorch computes from the file, whose names must be those of the model's layers; `apart`: a module each."""
    import torch
    state = torch.load(path, weights_only=True)
    dtype = next(iter(state.values())).dtype
    options = {"bidirectional": bidirectional, "batch_first": True, "bias": bias}
    if cell.startswith("rnn"):
        options["nonlinearity"] = cell[4:]
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(cell, torch.nn.RNN)
    modules, names = torch.nn.ModuleDict(), [layer.name for layer in model.layers]
    if embedding:
        modules[names.pop(0)] = torch.nn.Embedding(SIZES["V"], SIZES["D"])
    if head:
        modules[names.pop()] = torch.nn.Linear(SIZES["H"] * (1 + bidirectional), SIZES["C"])
    assert len(names) == layers
    for index, name in enumerate(names if apart else names[:1]):
        width = SIZES["H"] * (1 + bidirectional) if index else SIZES["D"]
        modules[name] = kind(width, SIZES["H"], num_layers=1 if apart else layers, **options)
    modules = modules.to(dtype)
    modules.load_state_dict(state, strict=True)
    with torch.no_grad():
        y = torch.from_numpy(x)
        if embedding:
            y = modules[model.layers[0].name](y.long())
        for name in names if apart else names[:1]:
            y = modules[name](y)[0]
        if head:
            y = modules[model.layers[-1].name](y)
    return y.numpy()


def call(keras, model, x):
    # A NumPy array of float64 would be cast to Keras's default type.
    y = model(keras.ops.convert_to_tensor(x, dtype=str(x.dtype)) if hasattr(keras, "ops") else x)
    if hasattr(y, "detach"):
        return y.detach().cpu().numpy()
    return numpy.asarray(y)


class Check:
    def __init__(self, tool):
        self.tool = tool
        self.count = 0
        self.worst = {"float32": 0.0, "float64": 0.0}

    def convert(self, *arguments, status=0):
        done = subprocess.run(
            [self.tool, "--force", *map(str, arguments)], capture_output=True, text=True)
        if done.returncode != status:
            sys.exit(f"rnn-convert {arguments}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def same(self, what, found, expected, dtype):
        assert found.shape == expected.shape, (what, found.shape, expected.shape)
        scale = max(1.0, float(numpy.abs(expected).max()))
        deviation = float(numpy.abs(found - expected).max()) / scale
        self.worst[dtype] = max(self.worst[dtype], deviation)
        if not deviation <= BOUND[dtype]:
            sys.exit(f"{what}: deviates by {deviation}")
        self.count += 1


def matrix():
    for cell, layers, bidirectional, head, embedding, dtype in itertools.product(
            CELLS, (1, 2), (False, True), (False, True), (False, True), ("float32", "float64")):
        # One in two of the pairs of head and embedding is enough for the second type.
        if dtype == "float64" and head != embedding:
            continue
        yield cell, layers, bidirectional, head, embedding, dtype


def multiplies_doubles(keras):
    """Whether this Keras multiplies matrices of float64 in float64 (3.15 does it in float32)."""
    keras.config.set_floatx("float64")
    a = numpy.random.default_rng(9).uniform(-1, 1, (6, 6))
    tensor = keras.ops.convert_to_tensor(a, dtype="float64")
    product = keras.ops.convert_to_numpy(keras.ops.matmul(tensor, tensor))
    keras.config.set_floatx("float32")
    return float(numpy.abs(product - a @ a).max()) < 1e-14


def keras3(check, work, tf):
    import keras
    if not multiplies_doubles(keras):
        print(f"keras {keras.__version__} multiplies float64 in float32: weaker bound for float64")
        BOUND["float64"] = BOUND["float32"]
    pending = []
    for number, case in enumerate(matrix()):
        cell, layers, bidirectional, head, embedding, dtype = case
        # Layers of float64 still do parts of their work in Keras's default type.
        keras.config.set_floatx(dtype)
        model = build(keras, *case)
        x = inputs(embedding, dtype)
        expected = call(keras, model, x)
        stem = work / f"case{number}"
        model.save(f"{stem}.keras")
        model.save(f"{stem}.h5")
        model.save_weights(f"{stem}.weights.h5")
        options = ["--cell", cell] if cell == "rnn_relu" else []
        for kind in ("weights.h5", "h5", "keras"):
            apart = kind == "weights.h5" and layers > 1
            check.convert(f"{stem}.{kind}", f"{stem}.pt", *options)
            found = torch_forward(f"{stem}.pt", x, model, cell, layers, bidirectional, head, embedding, apart=apart)
            check.same(f"{case} from .{kind}", found, expected, dtype)
        back = f"{stem}-back"
        # Archives keep layers by name: a "dense" in front of its "lstm" is no head that may be assumed of a state dict.
        given = options + (["--head", model.layers[-1].name] if head else [])
        check.convert(f"{stem}.pt", f"{back}.keras", *given)
        check.convert(f"{stem}.pt", f"{back}.h5", "--as", "keras", *given)
        check.convert(f"{stem}.pt", f"{back}.weights.h5", *given)
        keras.config.set_floatx("float32")
        loaded = keras.models.load_model(f"{back}.keras")
        assert all(str(w.dtype) == dtype for w in loaded.weights), (case, "types of weights")
        keras.config.set_floatx(dtype)
        loaded = keras.models.load_model(f"{back}.keras")
        check.same(f"{case} to .keras", call(keras, loaded, x), expected, dtype)
        loaded.set_weights([0 * w for w in loaded.get_weights()])
        loaded.load_weights(f"{back}.weights.h5")
        check.same(f"{case} to .weights.h5", call(keras, loaded, x), expected, dtype)
        loaded = keras.models.load_model(f"{back}.h5", compile=False)
        check.same(f"{case} to .h5", call(keras, loaded, x), expected, dtype)
        # Between Keras's own containers, and through a neutral one.
        check.convert(f"{stem}.h5", f"{back}2.keras", *options)
        loaded = keras.models.load_model(f"{back}2.keras")
        check.same(f"{case} .h5 to .keras", call(keras, loaded, x), expected, dtype)
        check.convert(f"{stem}.keras", f"{back}3.h5", "--as", "keras", *options)
        loaded = keras.models.load_model(f"{back}3.h5", compile=False)
        check.same(f"{case} .keras to .h5", call(keras, loaded, x), expected, dtype)
        if layers > 1:
            said = check.convert(f"{stem}.weights.h5", f"{back}4.keras", *options, status=65)
            assert "weights.ambiguous" in said, said
        else:
            check.convert(f"{stem}.weights.h5", f"{back}4.keras", *options)
            loaded = keras.models.load_model(f"{back}4.keras")
            check.same(f"{case} .weights.h5 to .keras", call(keras, loaded, x), expected, dtype)
        if dtype == "float32":
            numpy.save(f"{stem}.x.npy", x)
            numpy.save(f"{stem}.y.npy", expected)
            pending.append(stem)
    keras.config.set_floatx("float32")
    if tf:
        done = subprocess.run([tf, __file__, check.tool, "--load", *map(str, pending)])
        if done.returncode != 0:
            sys.exit("tf_keras does not agree")


def reset_before(check, work):
    """GRUs of the other form go from Keras to Keras and are refused by PyTorch's files."""
    import keras
    case = ("gru", 2, True, True, True, "float32")
    model = build(keras, *case, reset_after=False)
    x = inputs(True, "float32")
    expected = call(keras, model, x)
    for kind in ("keras", "h5", "weights.h5"):
        path = work / f"before.{kind}"
        (model.save_weights if kind == "weights.h5" else model.save)(path)
        said = check.convert(path, work / "before.pt", status=65)
        assert "keras.gru-reset-before" in said, said
        check.convert(path, work / "before-neutral.h5")
        if kind == "weights.h5":  # two layers, and nothing says that one follows the other
            said = check.convert(work / "before-neutral.h5", work / "before-back.keras", status=65)
            assert "weights.ambiguous" in said, said
            continue
        check.convert(work / "before-neutral.h5", work / "before-back.keras")
        loaded = keras.models.load_model(work / "before-back.keras")
        check.same(f"reset_after=False from .{kind}", call(keras, loaded, x), expected, "float32")


def quantised(check, work):
    """Whole numbers in place of weights are no weights: refused, with what to do."""
    import keras
    model = build(keras, "lstm", 1, False, True, True, "float32")
    model.quantize("int8")
    model.save(work / "quantised.keras")
    said = check.convert(work / "quantised.keras", work / "quantised.onnx", status=65)
    assert "cannot be used (a kernel of i8)" in said, said
    said = check.convert(work / "quantised.keras", work / "quantised.onnx", "--head", model.layers[-1].name, status=69)
    assert "keras.quantised" in said and "before it was quantised" in said, said
    check.count += 1


def deep(check, work):
    """Keras tells layers apart by addresses while it loads: a file must load every time."""
    import keras
    model = build(keras, "gru", 4, True, True, False, "float32")
    model.save(work / "deep.keras")
    check.convert(work / "deep.keras", work / "deep.pt")
    check.convert(work / "deep.pt", work / "deep-back.keras", "--head", model.layers[-1].name)
    for _ in range(60):
        keras.models.load_model(work / "deep-back.keras")
    check.count += 60


def no_bias(check, work):
    import keras
    for cell, bidirectional in itertools.product(CELLS, (False, True)):
        case = (cell, 2, bidirectional, True, False, "float32")
        model = build(keras, *case, bias=False)
        x = inputs(False, "float32")
        expected = call(keras, model, x)
        model.save(work / "plain.keras")
        check.convert(work / "plain.keras", work / "plain.pt", "--cell", cell)
        found = torch_forward(work / "plain.pt", x, model, cell, 2, bidirectional, True, False, bias=False)
        check.same(f"{case} without biases", found, expected, "float32")
        check.convert(work / "plain.pt", work / "plain-back.keras", "--cell", cell, "--head", model.layers[-1].name)
        loaded = keras.models.load_model(work / "plain-back.keras")
        check.same(f"{case} without biases, back", call(keras, loaded, x), expected, "float32")


def tf_keras(check, stems):
    """Runs under TensorFlow: files written here load in Keras 2, and its files are read."""
    import tf_keras as keras
    for stem in stems:
        x, expected = numpy.load(f"{stem}.x.npy"), numpy.load(f"{stem}.y.npy")
        loaded = keras.models.load_model(f"{stem}-back.h5", compile=False)
        check.same(f"{stem} in tf_keras", call(keras, loaded, x), expected, "float32")
        loaded.set_weights([0 * w for w in loaded.get_weights()])
        loaded.load_weights(f"{stem}-back.weights.h5")
        check.same(f"{stem}.weights.h5 in tf_keras", call(keras, loaded, x), expected, "float32")
        # Keras 2 saves in its own spelling; what it saved says the same as before.
        loaded.save(f"{stem}-tf.h5")
        loaded.save_weights(f"{stem}-tf2.h5")
        loaded.save(f"{stem}-tf.keras")
        for source in ("tf.h5", "tf2.h5", "tf.keras"):
            cell = ["--cell", "rnn_relu"] if "relu" in loaded.to_json() else []
            check.convert(f"{stem}-{source}", f"{stem}-again.h5", "--as", "keras", *cell)
            loaded.set_weights([0 * w for w in loaded.get_weights()])
            loaded.load_weights(f"{stem}-again.h5")
            check.same(f"{stem} {source} again", call(keras, loaded, x), expected, "float32")
    print(f"tf_keras {keras.__version__}: {check.count} comparisons, worst {check.worst['float32']:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin", help="the folder of the tools, or rnn-convert itself")
    parser.add_argument("--tf", help="a Python with tensorflow and tf_keras")
    parser.add_argument("--load", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    tool = pathlib.Path(options.bin)
    check = Check(str(tool / "rnn-convert" if tool.is_dir() else tool))
    if options.load is not None:
        return tf_keras(check, options.load)
    import keras
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        reset_before(check, work)
        no_bias(check, work)
        quantised(check, work)
        deep(check, work)
        keras3(check, work, options.tf)
    print(f"keras {keras.__version__}: {check.count} comparisons, worst "
          f"{check.worst['float32']:.1e} in float32, {check.worst['float64']:.1e} in float64")


if __name__ == "__main__":
    main()
