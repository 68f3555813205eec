#!/usr/bin/env python3
"""Writes fixtures/golden/keras: files of several versions of Keras, and what they mean to PyTorch.

    make_keras.py keras3 3.15      under Keras 3 (KERAS_BACKEND=torch), any version
    make_keras.py structure        under Keras 3: fixtures/golden/keras-structure, whole models with
                                           the connections that check_keras_structure.py says they have
    make_keras.py tf 2.21          under tf_keras, which also judges the hand-made files

NAME.EXT comes with NAME.npz, the same weights under PyTorch's names, worked out from what Keras says
they are. Files under Tests/Support/Refused/keras must not convert; their reason is in refusals.json.

The files of Keras 1 and of Keras 2 with cuDNN: no wheel of theirs installs any more, so the former are
written with h5py as Keras 1 laid them out and the latter by tf_keras's own CuDNN layers; tf_keras
converts both when it loads them, and what it makes of them is what NAME.npz holds.
"""
import json
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "fixtures/golden/keras"
REFUSED = CHECKOUT / "Tests/Support/Refused/keras"
ORDER = {1: [0], 3: [1, 0, 2], 4: [0, 1, 2, 3]}
SEED = numpy.random.default_rng(2026)


def fill(model):
    model.set_weights(
        [SEED.uniform(-0.6, 0.6, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def torch_layer(arrays, layer, suffix=""):
    """Kernel, recurrent kernel and bias of Keras 2 and 3 as PyTorch has them."""
    kernel, recurrent = arrays[:2]
    gates = recurrent.shape[1] // recurrent.shape[0]

    def permuted(array):
        parts = numpy.split(array, gates, axis=-1)
        return numpy.concatenate([parts[i] for i in ORDER[gates]], axis=-1)

    result = {f"weight_ih_l{layer}{suffix}": permuted(kernel).T,
              f"weight_hh_l{layer}{suffix}": permuted(recurrent).T}
    if len(arrays) > 2:
        bias = permuted(arrays[2])
        two = bias if bias.ndim == 2 else [bias, numpy.zeros_like(bias)]
        result[f"bias_ih_l{layer}{suffix}"], result[f"bias_hh_l{layer}{suffix}"] = two
    return result


def expected(arrays, layers, directions=1, embedding=False, head=False, bias=True):
    """PyTorch's state dict of a model whose arrays are listed layer by layer."""
    arrays = list(arrays)
    each = 3 if bias else 2
    own = {}
    if embedding:
        own["embedding.weight"] = arrays.pop(0)
    prefix = "rnn." if embedding or head else ""
    for layer in range(layers):
        for suffix in ["", "_reverse"][:directions]:
            parts = torch_layer(arrays[:each], layer, suffix)
            own |= {prefix + key: value for key, value in parts.items()}
            del arrays[:each]
    if head:
        own["classifier.weight"], own["classifier.bias"] = arrays[0].T, arrays[1]
    return {key: numpy.ascontiguousarray(value) for key, value in own.items()}


def save(name, state):
    numpy.savez(FOLDER / f"{name}.npz", **state)


def keras3(version):
    import keras
    L = keras.layers
    tag = f"keras-{version}"
    model = fill(keras.Sequential([
        L.Input((None,), dtype="int32"), L.Embedding(7, 2, name="words"),
        L.Bidirectional(L.GRU(3, return_sequences=True), name="below"), L.Dropout(0.2),
        L.Bidirectional(L.GRU(3, return_sequences=True), name="above"),
        L.Dense(5, activation="softmax", name="tags")]))
    model.save(FOLDER / f"{tag}-tagger.keras")
    extensions = ["keras", "weights.h5"]
    if not version.startswith("3.0"):  # which cannot save this model so: two arrays get one name
        model.save(FOLDER / f"{tag}-tagger.h5")
        extensions.append("h5")
    model.save_weights(FOLDER / f"{tag}-tagger.weights.h5")
    for extension in extensions:
        save(f"{tag}-tagger.{extension}",
             expected(model.get_weights(), 2, 2, embedding=True, head=True))
    if not version.startswith("3.15"):
        return
    variants(keras, tag)
    refusals(keras)


def variants(keras, tag):
    L = keras.layers
    inner = keras.Sequential(
        [L.Input((None, 2)), L.LSTM(3, return_sequences=True), L.LSTM(3)], name="encoder")
    x = keras.Input((None, 2))
    nested = fill(keras.Model(x, L.Dense(4, name="out")(inner(x))))
    for extension in ("keras", "h5"):
        nested.save(FOLDER / f"nested.{extension}")
        save(f"nested.{extension}", expected(nested.get_weights(), 2, head=True))

    class Tagger(keras.Model):
        def __init__(self):
            super().__init__()
            self.rnn = L.LSTM(3, return_sequences=True)
            self.head = L.Dense(4)

        def call(self, x):
            return self.head(self.rnn(x))

    model = Tagger()
    model(numpy.zeros((1, 2, 2), "float32"))
    fill(model)
    model.save_weights(FOLDER / "subclassed.weights.h5")
    save("subclassed.weights.h5",
         expected(model.rnn.get_weights() + model.head.get_weights(), 1, head=True))

    cells = fill(keras.Sequential(
        [L.Input((None, 2)), L.RNN([L.GRUCell(3), L.GRUCell(3)], return_sequences=True)]))
    for extension in ("keras", "h5"):
        cells.save(FOLDER / f"cells.{extension}")
        save(f"cells.{extension}", expected(cells.get_weights(), 2))

    brain = fill(keras.Sequential(
        [L.Input((None, 2)), L.SimpleRNN(
            3, activation="relu", dtype="bfloat16", recurrent_initializer="glorot_uniform")]))
    for extension in ("keras", "h5"):
        brain.save(FOLDER / f"bfloat16.{extension}")
        wide = [numpy.asarray(w).astype("float32") for w in brain.get_weights()]
        save(f"bfloat16.{extension}", expected(wide, 1))

    mixed = fill(keras.Sequential(
        [L.Input((None, 2)), L.LSTM(3, dtype="mixed_bfloat16", use_bias=False)]))
    mixed.save(FOLDER / "mixed.keras")
    save("mixed.keras", expected(mixed.get_weights(), 1, bias=False))

    trained = fill(keras.Sequential([L.Input((None, 2)), L.LSTM(3, dropout=0.1), L.Dense(1)]))
    trained.compile("adam", "mse")
    trained.fit(numpy.ones((2, 3, 2)), numpy.ones((2, 1)), verbose=0)
    for extension in ("keras", "h5"):
        trained.save(FOLDER / f"trained.{extension}")
        save(f"trained.{extension}", expected(trained.get_weights(), 1, head=True))


def refusals(keras):
    L = keras.layers
    reasons = {}

    def refuse(name, reason, layer):
        fill(keras.Sequential([L.Input((None, 2)), layer])).save(REFUSED / name)
        reasons[name] = reason

    def both(**options):
        return L.Bidirectional(L.GRU(3, **options.pop("inner", {})), **options)

    refuse("sum.keras", "keras.merge-mode", both(merge_mode="sum"))
    refuse("mul.h5", "keras.merge-mode", both(merge_mode="mul"))
    refuse("ave.keras", "keras.merge-mode", both(merge_mode="ave"))
    refuse("hard.keras", "keras.activation", L.LSTM(3, recurrent_activation="hard_sigmoid"))
    refuse("selu.keras", "keras.activation", L.LSTM(3, activation="selu"))
    refuse("elu.keras", "keras.activation", L.SimpleRNN(3, activation="elu"))
    refuse("before.keras", "keras.gru-reset-before", L.GRU(3, reset_after=False))
    refuse("cells.keras", "keras.cell", L.RNN([L.LSTMCell(3), L.LSTMCell(2)]))
    refuse("unlike.keras", "keras.bidirectional", L.Bidirectional(
        L.LSTM(3), backward_layer=L.LSTM(3, activation="relu", go_backwards=True)))
    refuse("backwards.keras", "keras.go-backwards", L.Bidirectional(
        L.LSTM(3, go_backwards=True), backward_layer=L.LSTM(3)))
    (REFUSED / "refusals.json").write_text(json.dumps(reasons, indent=2) + "\n")


def structure(_):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
    import check_keras_structure as models
    folder = FOLDER.parent / "keras-structure"
    folder.mkdir(exist_ok=True)
    expected = {}
    for name in ("carried_states", "residual_around_the_second", "frozen_inner", "frozen_half_inside", "two_towers",
                 "bidirectional_final", "nested"):
        model, connections, obstacles = models.CASES[name]()
        for variable in model.variables:
            if variable.dtype == "float32":
                variable.assign(SEED.uniform(-0.6, 0.6, variable.shape).astype("float32"))
        for extension in ("keras", "h5", "weights.h5"):
            (model.save_weights if extension == "weights.h5" else model.save)(folder / f"{name}.{extension}")
        arrays = {}
        for path, layer in recurrent(model):
            cells = [models.arrays(cell)[0] for cell in models.cells(layer)[0]]
            arrays[path] = [float(kernel.ravel()[0]) for kernel in cells]
        expected[name] = {"connections": connections, "arrays": arrays,
                          "obstacles": [f"{module} {side}" for module, side, _, _ in obstacles]}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


def recurrent(model, prefix=""):
    """The recurrent layers of a model and of the models in it, by the names that `Structure` gives them."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from recurrent(layer, prefix + layer.name + ".")
        elif hasattr(layer, "cell") or hasattr(layer, "forward_layer"):
            yield prefix + layer.name, layer


def tf(version):
    import tf_keras as keras
    L = keras.layers
    tag = f"tf_keras-{version}"
    model = fill(keras.Sequential([
        L.InputLayer((None, 2)), L.LSTM(3, return_sequences=True, name="below"),
        L.LSTM(3, name="above"), L.Dense(4, name="out")]))
    model.save(FOLDER / f"{tag}.h5")
    model.save_weights(FOLDER / f"{tag}-weights-only.h5")
    for name in (f"{tag}.h5", f"{tag}-weights-only.h5"):
        save(name, expected(model.get_weights(), 2, head=True))
    if not version.startswith("2.21"):
        return
    model.save(FOLDER / f"{tag}.keras")
    save(f"{tag}.keras", expected(model.get_weights(), 2, head=True))
    cudnn(keras)
    keras1(keras)


def cudnn(keras):
    from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU
    from tf_keras.src.layers.rnn.cudnn_lstm import CuDNNLSTM
    L = keras.layers
    for kind, plain, name in ((CuDNNLSTM, L.LSTM, "lstm"), (CuDNNGRU, L.GRU, "gru")):
        # Their kernels need a GPU to run; building them and saving them does not.
        layer = kind(3, return_sequences=True)
        layer.build((None, None, 2))
        arrays = [SEED.uniform(-0.6, 0.6, w.shape).astype("float32") for w in layer.weights]
        layer.set_weights(arrays)
        model = keras.Sequential([L.InputLayer((None, 2)), plain(3, return_sequences=True)])
        for form in ("whole", "weights"):
            path = FOLDER / f"cudnn-{name}-{form}.h5"
            with h5py.File(path, "w") as file:
                group = file
                if form == "whole":
                    config = layer.get_config() | {"batch_input_shape": [None, None, 2]}
                    file.attrs["model_config"] = json.dumps(
                        {"class_name": "Sequential", "config": {"name": "s", "layers": [
                            {"class_name": kind.__name__, "config": config}]}})
                    file.attrs["keras_version"], file.attrs["backend"] = b"2.2.4", b"tensorflow"
                    group = file.create_group("model_weights")
                group.attrs["keras_version"], group.attrs["backend"] = b"2.2.4", b"tensorflow"
                group.attrs["layer_names"] = [layer.name.encode()]
                own = group.create_group(layer.name)
                own.attrs["weight_names"] = [w.name.encode() for w in layer.weights]
                for weight, array in zip(layer.weights, arrays):
                    own[weight.name] = array
            # Keras's own judgement: loading a cuDNN file into the ordinary layer converts it.
            model.load_weights(FOLDER / f"cudnn-{name}-{form}.h5") if form == "weights" else None
        for form in ("whole", "weights"):
            save(f"cudnn-{name}-{form}.h5", expected(model.get_weights(), 1))


def keras1(keras):
    L = keras.layers
    cases = {
        "lstm": (L.LSTM, "icfo", {"recurrent_activation": "sigmoid"}),
        "gru": (L.GRU, "zrh", {"recurrent_activation": "sigmoid", "reset_after": False}),
    }
    for name, (kind, gates, options) in cases.items():
        arrays = []
        for gate in gates:
            for role, shape in (("W", (2, 3)), ("U", (3, 3)), ("b", (3,))):
                arrays.append((f"{name}_1_{role}_{gate}", SEED.uniform(-0.6, 0.6, shape)))
        head = [("dense_1_W", SEED.uniform(-0.6, 0.6, (3, 4))),
                ("dense_1_b", SEED.uniform(-0.6, 0.6, 4))]
        config = [
            {"class_name": name.upper(), "config": {
                "name": f"{name}_1", "output_dim": 3, "inner_activation": "sigmoid",
                "activation": "tanh", "go_backwards": False, "stateful": False, "consume_less": "cpu",
                "batch_input_shape": [None, None, 2], "return_sequences": False}},
            {"class_name": "Dense", "config": {
                "name": "dense_1", "output_dim": 4, "activation": "linear", "bias": True}}]
        for form in ("whole", "weights"):
            with h5py.File(FOLDER / f"keras1-{name}-{form}.h5", "w") as file:
                group = file
                if form == "whole":
                    file.attrs["model_config"] = json.dumps(
                        {"class_name": "Sequential", "config": config}).encode()
                    group = file.create_group("model_weights")
                group.attrs["layer_names"] = [f"{name}_1".encode(), b"dense_1"]
                for layer, own in ((f"{name}_1", arrays), ("dense_1", head)):
                    parts = group.create_group(layer)
                    parts.attrs["weight_names"] = [key.encode() for key, _ in own]
                    for key, value in own:
                        parts[key] = value.astype("float32")
        model = keras.Sequential([L.InputLayer((None, 2)), kind(3, **options), L.Dense(4)])
        model.load_weights(FOLDER / f"keras1-{name}-weights.h5")
        for form in ("whole", "weights"):
            save(f"keras1-{name}-{form}.h5", expected(model.get_weights(), 1, head=True))


if __name__ == "__main__":
    REFUSED.mkdir(parents=True, exist_ok=True)
    makers = {"keras3": keras3, "tf": tf, "structure": structure}
    makers[sys.argv[1]](sys.argv[-1])
