#!/usr/bin/env python3
"""Judges what Recurrent says that Keras files state, with Keras's own models.

    check_keras_structure.py [FOLDER]      (KERAS_BACKEND=torch, in the repository)

Models around recurrent layers are built, saved in Keras's three containers (and the older one
with the names that other versions gave arrays, and with names that say nothing), and read by the test
KerasStructureDump. Each says here which connections and obstacles it has; the arrays of every module must be
those of the layer that bears its name in the model that was saved.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
L = keras.layers
RANDOM = numpy.random.default_rng(2026)
CASES = {}


@keras.saving.register_keras_serializable("team")
class TeamLSTM(L.LSTM):
    pass


@keras.saving.register_keras_serializable("team2", name="LSTM")
class Disguised(L.LSTM):
    pass


@keras.saving.register_keras_serializable("team")
def shifted_tanh(x):
    return keras.ops.tanh(x) + 1


@keras.saving.register_keras_serializable("team")
class Wrapped(keras.Model):
    """A functional model whose call does more."""

    def call(self, x):
        return 2 * super().call(x)


def case(function):
    CASES[function.__name__] = function
    return function


def sequential(*layers, ids=False, features=5):
    return keras.Sequential([L.Input((None,), dtype="int32") if ids else L.Input((None, features)), *layers])


def x(features=5, name=None):
    return L.Input((None, features), name=name)


# A case gives the model, the connections, and the obstacles as (module, side, word, is branch).

@case
def tagger():
    return sequential(L.Embedding(7, 5, name="words"), L.LSTM(4, return_sequences=True, name="rnn"),
                      L.Dense(3, activation="softmax", name="tags"), ids=True), [
        "words -> rnn sequence", "rnn -> tags sequence"], []


@case
def last_step():
    return sequential(L.GRU(4, name="rnn"), L.Dense(3, name="out")), ["rnn -> out last"], []


@case
def stack_of_three():
    return sequential(*[L.GRU(4, return_sequences=True, name=n) for n in ("a", "b")], L.GRU(4, name="c"),
                      L.Dense(2, activation="sigmoid", name="d")), ["a -> d last"], []


@case
def stack_with_dropout():
    return sequential(L.LSTM(4, return_sequences=True, name="a"), L.Dropout(0.25),
                      L.LSTM(4, return_sequences=True, name="b"), L.Dropout(0.25), L.Dense(3, name="d")), [
        "a -> d sequence"], []


@case
def bidirectional_final():
    return sequential(L.Bidirectional(L.LSTM(4, return_sequences=True), name="a"),
                      L.Bidirectional(L.LSTM(4), name="b"), L.Dense(3, name="d")), ["a -> d final"], []


@case
def sizes_that_differ():
    return sequential(L.LSTM(4, return_sequences=True, name="a"), L.LSTM(6, name="b"), L.Dense(3, name="d")), [
        "a -> b sequence", "b -> d last"], []


@case
def projection_before():
    return sequential(L.Embedding(7, 3, name="e"), L.Dense(5, activation="relu", name="p"),
                      L.SimpleRNN(4, return_sequences=True, activation="relu", name="r"), ids=True), [
        "e -> p sequence", "p -> r sequence"], []


@case
def distributed_dense():
    return sequential(L.LSTM(4, return_sequences=True, name="r"),
                      L.TimeDistributed(L.Dense(3, activation="softmax"), name="d")), ["r -> d sequence"], []


@case
def activation_behind():
    return sequential(L.LSTM(4, name="r"), L.Dense(3, name="d"), L.Activation("softmax")), ["r -> d last"], []


@case
def normalisation_between():
    return sequential(L.LSTM(4, return_sequences=True, name="r"), L.LayerNormalization(name="n"),
                      L.Dense(3, name="d")), [], [
        ("r", "behind", "LayerNormalization", False), ("d", "before", "LayerNormalization", False)]


@case
def normalisation_in_the_stack():
    return sequential(L.LSTM(4, return_sequences=True, name="a"), L.BatchNormalization(name="n"),
                      L.LSTM(4, name="b"), L.Dense(3, name="d")), ["b -> d last"], [
        ("a", "behind", "BatchNormalization", False), ("b", "before", "BatchNormalization", False)]


@case
def pooling():
    return sequential(L.LSTM(4, return_sequences=True, name="r"), L.GlobalMaxPooling1D(), L.Dense(3, name="d")), [], [
        ("r", "behind", "GlobalMaxPooling1D", False), ("d", "before", "GlobalMaxPooling1D", False)]


@case
def masking():
    return sequential(L.Masking(), L.LSTM(4, return_sequences=True, name="r"), L.Dense(3, name="d")), [
        "r -> d sequence"], [("r", "before", "Masking", False)]


@case
def residual():
    i = x()
    a = L.LSTM(5, return_sequences=True, name="a")(i)
    s = L.Add()([a, i])
    b = L.LSTM(5, return_sequences=True, name="b")(s)
    return keras.Model(i, L.Dense(3, name="d")(b)), ["b -> d sequence"], [
        ("a", "behind", "Add", False), ("b", "before", "Add", False)]


@case
def residual_around_the_second():
    i = x()
    a = L.LSTM(5, return_sequences=True, name="a")(i)
    b = L.LSTM(5, return_sequences=True, name="b")(a)
    return keras.Model(i, L.Dense(3, name="d")(L.Add()([a, b]))), ["a -> b sequence"], [
        ("a", "behind", "Add", True), ("b", "behind", "Add", False), ("d", "before", "Add", False)]


@case
def attention():
    i = x()
    a = L.LSTM(5, return_sequences=True, name="a")(i)
    return keras.Model(i, L.Dense(3, name="d")(L.Attention()([a, a]))), [], [
        ("a", "behind", "Attention", False), ("d", "before", "Attention", False)]


@case
def scaled():
    i = x()
    a = L.LSTM(5, return_sequences=True, name="a")(i * 0.5)
    return keras.Model(i, L.Dense(3, name="d")(a)), ["a -> d sequence"], [("a", "before", "Multiply", False)]


@case
def last_by_slice():
    i = x()
    a = L.LSTM(5, return_sequences=True, name="a")(i)
    return keras.Model(i, L.Dense(3, name="d")(a[:, -1])), ["a -> d last"], []


@case
def carried_states():
    i = x()
    o, h, c = L.LSTM(6, return_sequences=True, return_state=True, name="a")(i)
    y = L.LSTM(6, return_sequences=True, name="b")(o, initial_state=[h, c])
    return keras.Model(i, L.Dense(3, name="d")(y)), ["a -> b sequence", "b -> d sequence"], [
        ("a", "behind", "initial state", True)]


@case
def encoder_decoder():
    i, j = x(name="i"), x(3, name="j")
    _, h, c = L.LSTM(6, return_state=True, name="encoder")(i)
    y = L.LSTM(6, return_sequences=True, name="decoder")(j, initial_state=[h, c])
    return keras.Model([i, j], L.Dense(3, name="d")(y)), ["decoder -> d sequence"], [
        ("encoder", "behind", "initial state", False)]


@case
def fed_states():
    i, h = x(name="i"), L.Input((6,), name="h")
    y, s = L.GRU(6, return_sequences=True, return_state=True, name="r")(i, initial_state=h)
    return keras.Model([i, h], [L.Dense(3, name="d")(y), s]), ["r -> d sequence"], [
        ("r", "behind", "result of the model", True)]


@case
def computed_state():
    i, k = x(name="i"), L.Input((2,), name="k")
    y = L.GRU(6, return_sequences=True, name="r")(i, initial_state=L.Dense(6, name="init")(k))
    return keras.Model([i, k], L.Dense(3, name="d")(y)), ["r -> d sequence"], [
        ("init", "behind", "initial state", False)]


@case
def head_on_the_state():
    i = x()
    _, h, c = L.LSTM(6, return_sequences=True, return_state=True, name="r")(i)
    return keras.Model(i, L.Dense(3, name="d")(h)), ["r -> d final"], []


@case
def head_on_the_cell_state():
    i = x()
    _, h, c = L.LSTM(6, return_sequences=True, return_state=True, name="r")(i)
    return keras.Model(i, L.Dense(3, name="d")(c)), [], [
        ("r", "behind", "Dense", False), ("d", "before", "state 1", False)]


@case
def two_heads():
    i = x()
    y = L.LSTM(6, return_sequences=True, name="r")(i)
    return keras.Model(i, [L.Dense(3, name="d")(y), L.Dense(2, name="e")(y)]), [
        "r -> d sequence", "r -> e sequence"], []


@case
def two_towers():
    i, j = x(name="i"), x(3, name="j")
    a, b = L.LSTM(4, name="lstm_1")(i), L.LSTM(4, name="lstm_2")(j)
    return keras.Model([i, j], L.Dense(2, name="d")(L.Concatenate()([a, b]))), [], [
        ("lstm_1", "behind", "Concatenate", False), ("lstm_2", "behind", "Concatenate", False),
        ("d", "before", "Concatenate", False)]


@case
def shared_layer():
    i, j, r = x(name="i"), x(name="j"), L.LSTM(4, name="r")
    return keras.Model([i, j], [L.Dense(2, name="d")(r(i)), L.Dense(2, name="e")(r(j))]), [], [
        ("r", "before", "2 uses", False), ("r", "behind", "2 uses", False),
        ("d", "before", "2 times", False), ("e", "before", "2 times", False)]


@case
def shared_model():
    k = L.Input((None,), dtype="int32")
    enc = keras.Model(k, L.LSTM(4, name="r")(L.Embedding(7, 3, name="e")(k)), name="enc")
    i, j = L.Input((None,), dtype="int32", name="i"), L.Input((None,), dtype="int32", name="j")
    return keras.Model([i, j], L.Dense(2, name="d")(L.Concatenate()([enc(i), enc(j)]))), [
        "enc.e -> enc.r sequence"], [
        ("enc.e", "before", "2 times", False), ("enc.r", "behind", "", False),
        ("d", "before", "Concatenate", False)]


@case
def nested():
    inner = keras.Sequential([x(), L.LSTM(4, return_sequences=True, name="lstm_1"), L.LSTM(4, name="lstm_2")],
                             name="encoder")
    i = x()
    return keras.Model(i, L.Dense(3, name="d")(inner(i))), ["encoder.lstm_1 -> d last"], []


@case
def twice_nested():
    k = x()
    inmost = keras.Model(k, L.LSTM(4, return_sequences=True, name="r")(k), name="inmost")
    inner = keras.Sequential([x(), inmost, L.LSTM(4, return_sequences=True, name="r")], name="inner")
    return sequential(inner, L.Dense(3, name="d")), ["inner.inmost.r -> d sequence"], []


@case
def two_nested_with_one_name():
    def model(name):
        return keras.Sequential([x(), L.Embedding(4, 2, name="unused") if False else L.LSTM(
            5, return_sequences=True, name="lstm_1"), L.LayerNormalization(name="n")], name=name)
    i = x()
    a, b = model("one"), model("two")
    model = keras.Model(i, L.Dense(3, name="d")(b(a(i))))
    a.get_layer("lstm_1").trainable = False
    return model, [], [
        ("one.lstm_1", "behind", "LayerNormalization", False), ("two.lstm_1", "before", "LayerNormalization", False),
        ("two.lstm_1", "behind", "LayerNormalization", False), ("d", "before", "LayerNormalization", False)]


@case
def frozen_inner():
    inner = keras.Sequential([x(), L.LSTM(5, return_sequences=True, name="first"),
                              L.BatchNormalization(name="bn"), L.LSTM(5, return_sequences=True, name="second")],
                             name="inner")
    inner.get_layer("first").trainable = False
    return sequential(inner, L.Dense(3, name="d")), ["inner.second -> d sequence"], [
        ("inner.first", "behind", "BatchNormalization", False),
        ("inner.second", "before", "BatchNormalization", False)]


@case
def frozen_outer():
    inner = keras.Sequential([x(), L.BatchNormalization(name="bn"), L.LSTM(5, return_sequences=True, name="first"),
                              L.LSTM(5, return_sequences=True, name="second")], name="inner")
    inner.trainable = False
    return sequential(inner, L.Dense(3, name="d")), ["inner.first -> d sequence"], [
        ("inner.first", "before", "BatchNormalization", False)]


@case
def frozen_embedding():
    inner = keras.Sequential([L.Input((None,), dtype="int32"), L.Embedding(9, 5, name="e"),
                              L.LSTM(4, return_sequences=True, name="r")], name="encoder")
    inner.get_layer("e").trainable = False
    return sequential(inner, L.Dense(3, name="d"), ids=True), [
        "encoder.e -> encoder.r sequence", "encoder.r -> d sequence"], []


@case
def frozen_half():
    b = L.Bidirectional(L.LSTM(4, return_sequences=True), name="b")
    model = sequential(b, L.Dense(3, name="d"))
    b.forward_layer.trainable = False
    return model, ["b -> d sequence"], []


@case
def frozen_half_inside():
    b = L.Bidirectional(L.GRU(4, return_sequences=True), name="b")
    inner = keras.Sequential([x(), L.GRU(5, return_sequences=True, name="a"), b], name="inner")
    model = sequential(inner, L.Dense(3, name="d"))
    b.forward_layer.trainable = False
    return model, ["inner.a -> inner.b sequence", "inner.b -> d sequence"], []


@case
def custom_class():
    return sequential(TeamLSTM(5, return_sequences=True, name="r"), L.Dense(3, name="d")), [], [
        ("d", "before", "TeamLSTM", False)]


@case
def custom_class_in_disguise():
    return sequential(Disguised(5, return_sequences=True, name="r"), L.Dense(3, name="d")), [], [
        ("d", "before", '"r"', False)]


@case
def custom_activation():
    return sequential(L.LSTM(5, return_sequences=True, name="r"), L.Dense(3, activation=shifted_tanh, name="p"),
                      L.Dense(2, name="d")), ["r -> p sequence"], [
        ("p", "behind", "shifted_tanh", False), ("p", "behind", "Dense", False), ("d", "before", "shifted_tanh", False)]


@case
def cells_alike():
    return sequential(L.RNN([L.GRUCell(4), L.GRUCell(4)], return_sequences=True, name="r"), L.Dense(3, name="d")), [
        "r -> d sequence"], []


@case
def cells_unlike():
    return sequential(L.RNN([L.LSTMCell(4, name="low"), L.LSTMCell(6, name="high")], return_sequences=True, name="r"),
                      L.Dense(3, name="d")), [], [("d", "before", "RNN", False)]


@case
def one_cell():
    return sequential(L.RNN(L.SimpleRNNCell(4), name="r"), L.Dense(3, name="d")), ["r -> d last"], []


@case
def backwards():
    return sequential(L.LSTM(4, go_backwards=True, name="r"), L.Dense(3, name="d")), [], [
        ("r", "behind", "Dense", False), ("d", "before", "go_backwards", False)]


@case
def summed():
    return sequential(L.Bidirectional(L.LSTM(4), merge_mode="sum", name="r"), L.Dense(3, name="d")), [], [
        ("r", "behind", "Dense", False), ("d", "before", "merge_mode", False)]


@case
def hard_gates():
    return sequential(L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True, name="a"),
                      L.LSTM(4, name="b"), L.Dense(3, name="d")), ["a -> b sequence", "b -> d last"], []


@case
def dropout_that_stays():
    i = x()
    y = L.LSTM(4, return_sequences=True, name="r")(i)
    return keras.Model(i, L.Dense(3, name="d")(L.Dropout(0.5)(y, training=True))), [], [
        ("r", "behind", "Dropout", False), ("d", "before", "Dropout", False)]


@case
def output_in_the_middle():
    i = x()
    a = L.LSTM(4, return_sequences=True, name="a")(i)
    b = L.LSTM(4, return_sequences=True, name="b")(a)
    return keras.Model(i, [a, L.Dense(3, name="d")(b)]), ["a -> b sequence", "b -> d sequence"], [
        ("a", "behind", "result of the model", True)]


@case
def masked_ids():
    return sequential(L.Embedding(7, 5, mask_zero=True, name="e"), L.LSTM(4, name="r"), L.Dense(3, name="d"),
                      ids=True), ["r -> d last"], [("r", "before", "the mask of Embedding", False), ("e", "behind", "LSTM", False)]


@case
def whole_class_of_their_own():
    i = x()
    return Wrapped(i, L.Dense(3, name="d")(L.LSTM(4, return_sequences=True, name="r")(i))), [], [
        (m, side, "Wrapped", False) for m in ("r", "d") for side in ("before", "behind")]


# What modules say beside their connections: (module, key, value).
SAYS = {
    "tagger": [("tags", "activation", "softmax")],
    "stack_of_three": [("a", "layers", 3), ("a", "layerNames", ["a", "b", "c"]), ("d", "activation", "sigmoid")],
    "stack_with_dropout": [("a", "layers", 2), ("a", "dropout", "0.25")],
    "bidirectional_final": [("a", "layers", 2), ("a", "direction", "both")],
    "projection_before": [("p", "activation", "relu"), ("r", "cell", "rnn_relu")],
    "distributed_dense": [("d", "activation", "softmax"), ("d", "kind", "linear")],
    "activation_behind": [("d", "activation", "softmax")],
    "carried_states": [("b", "state", 'computed("the final states of a")'), ("a", "state", "zeros")],
    "encoder_decoder": [("decoder", "state", 'computed("the final states of encoder")')],
    "fed_states": [("r", "state", "fed")],
    "computed_state": [("r", "state", 'computed("Dense \\"init\\"")')],
    "custom_class": [("r", "kind", "other"), ("r", "class", "TeamLSTM")],
    "custom_class_in_disguise": [("r", "kind", "other")],
    "cells_alike": [("r", "layers", 2), ("r", "kind", "recurrent")],
    "cells_unlike": [("r", "kind", "other"), ("r.low", "kind", "cell"), ("r.high", "hidden", 6)],
    "backwards": [("r", "direction", "reverse"), ("r", "refusal", "keras.go-backwards")],
    "summed": [("r", "refusal", "keras.merge-mode")],
    "hard_gates": [("a", "refusal", "keras.activation"), ("a", "activations", "hard_sigmoid(0.16666667,0.5) tanh tanh")],
    "nested": [("encoder.lstm_1", "layerNames", ["encoder.lstm_1", "encoder.lstm_2"])],
}
# Stacks that hold further layers, by the name of the first.
EMPTY = {"hard_gates"}


def find(model, name):
    layer = model
    for piece in name.split("."):
        if isinstance(layer, L.RNN):
            return next(cell for cell in layer.cell.cells if cell.name == piece)
        layer = layer.get_layer(piece)
    return layer.layer if isinstance(layer, L.TimeDistributed) else layer


def cells(layer):
    if isinstance(layer, L.Bidirectional):
        return [[layer.forward_layer.cell, layer.backward_layer.cell]]
    cell = getattr(layer, "cell", layer)
    return [[one] for one in getattr(cell, "cells", [cell])]


def arrays(layer):
    names = ("kernel", "recurrent_kernel", "bias") if hasattr(layer, "recurrent_kernel") else (
        "embeddings",) if isinstance(layer, L.Embedding) else ("kernel", "bias")
    found = [getattr(layer, name, None) for name in names]
    return [keras.ops.convert_to_numpy(v) for v in found if v is not None]


def compare(where, model, said, failures):
    """The arrays of every module against those of the layers that it is named after."""
    count = 0
    for module in said["modules"]:
        if module["kind"] not in ("recurrent", "cell", "linear", "embedding"):
            continue
        names = module["layerNames"] or [module["name"]]
        own = [row for name in names for row in (
            [[find(model, name)]] if module["kind"] in ("linear", "embedding") else cells(find(model, name)))]
        if [len(row) for row in own] != [len(row) for row in module["parts"]]:
            failures.append(f"{where}: parts of {module['name']} {module['parts']}")
            continue
        for row, prefixes in zip(own, module["parts"]):
            for layer, prefix in zip(row, prefixes):
                for index, array in enumerate(arrays(layer)):
                    shape, numbers = said["tensors"].get(prefix.replace("#", str(index)), [None, None])
                    if shape != list(array.shape) or not numpy.array_equal(
                            numpy.array(numbers, "float32").reshape(shape), array):
                        failures.append(f"{where}: {module['name']} variable {index} of {prefix}")
                    count += 1
    return count


def judge(name, container, model, connections, obstacles, failures):
    where = f"{name}.{container}"
    said = json.loads((FOLDER / f"{where}.json").read_text())
    if "error" in said and container == "bare.h5" and "keras.nested" in said["error"]:
        return 0
    if "error" in said:
        failures.append(f"{where}: {said['error']}")
        return 0
    states = container != "weights.h5"
    if said["statesConnections"] != states:
        failures.append(f"{where}: statesConnections {said['statesConnections']}")
    expected = sorted(connections) if states else []
    if sorted(said["connections"]) != expected:
        failures.append(f"{where}: connections {said['connections']}, expected {expected}")
    left = list(said["obstacles"])
    for module, side, word, is_branch in obstacles if states else []:
        match = next((o for o in left if o["module"] == module and o["side"] == side and o["isBranch"] == is_branch
                      and word in " ".join(o["operations"])), None)
        if match:
            left.remove(match)
        else:
            failures.append(f"{where}: no obstacle {(module, side, word, is_branch)} in {said['obstacles']}")
    if left:
        failures.append(f"{where}: obstacles {left}")
    if states:
        modules = {m["name"]: m for m in said["modules"]}
        for module, key, value in SAYS.get(name, []):
            if key == "activations" and container not in ("keras", "h5"):
                value = "hard_sigmoid tanh tanh"
            if modules.get(module, {}).get(key) != value:
                failures.append(f"{where}: {module} {key} {modules.get(module, {}).get(key)}, expected {value}")
        for module in said["modules"]:
            expected = [v for m, k, v in SAYS.get(name, []) if m == module["name"] and k == "refusal"]
            if module.get("refusal") != (expected[0] if expected else None) and name not in EMPTY:
                failures.append(f"{where}: {module['name']} refused {module.get('refusal')}")
    return compare(where, model, said, failures)


def leaves(model):
    for layer in model.layers:
        yield from leaves(layer) if hasattr(layer, "layers") else [layer]


def renamed(name, model, style):
    """The same .h5 with its arrays' names in the style of another version of Keras."""
    names = {}
    for layer in leaves(model):
        for variable in layer.weights:
            pieces = variable.path.split("/")
            if layer.name in pieces:
                pieces = pieces[len(pieces) - 1 - pieces[::-1].index(layer.name):]
            if style == "tf":
                pieces = [p + "_3" if p.endswith("_cell") else p for p in pieces]
            elif len(pieces) > 2 and style == "two" and not isinstance(layer, L.RNN):
                pieces = [p for p in pieces if not p.endswith("_cell")]
            names[variable.path] = "/".join(pieces) + ":0"
    with h5py.File(FOLDER / f"{name}.h5") as old, h5py.File(FOLDER / f"{name}.{style}.h5", "w") as new:
        new.attrs.update(old.attrs)
        new.attrs["keras_version"] = "2.15.0"
        group = new.create_group("model_weights")
        group.attrs.update(old["model_weights"].attrs)
        group.attrs["keras_version"] = "2.15.0"
        for layer, source in old["model_weights"].items():
            own = group.create_group(layer)
            listed = [n.decode() if isinstance(n, bytes) else n for n in source.attrs["weight_names"]]
            plain = [f"w{i}" if style == "bare" else names.get(n, n) for i, n in enumerate(listed)]
            if len(set(plain)) < len(plain):  # which that version of Keras could not have saved
                plain = [names.get(n, n) if style == "bare" else n for n in listed]
            own.attrs["weight_names"] = [n.encode() for n in plain]
            for n, p in zip(listed, plain):
                own[p] = source[n][()]


def judge_writing(name, model, failures):
    """What is one chain of modules is written without its configuration, and computes the same in Keras."""
    said = json.loads((FOLDER / f"{name}.keras.json").read_text())
    if said["written"] != "written":
        reasons = {r for m in said["modules"] if (r := m.get("refusal"))} | {"keras.sequential"}
        if said["written"] not in reasons or name in WRITTEN:
            failures.append(f"{name}: not written: {said['written']}")
        return 0
    if name not in WRITTEN:
        failures.append(f"{name}: written, but no Sequential")
        return 0
    shape = (2, 6) if name in IDS else (2, 6, 5)
    data = RANDOM.integers(1, 7, shape) if name in IDS else RANDOM.uniform(-1, 1, shape).astype("float32")
    expected = keras.ops.convert_to_numpy(model(data))
    back = keras.models.load_model(FOLDER / f"back-{name}.keras")
    old = keras.models.load_model(FOLDER / f"back-{name}.h5", compile=False)
    found = [back(data), old(data)]
    back.set_weights([0 * w for w in back.get_weights()])
    back.load_weights(FOLDER / f"back-{name}.weights.h5")
    found.append(back(data))
    for kind, y in zip(("keras", "h5", "weights.h5"), found):
        y = keras.ops.convert_to_numpy(y)
        if y.shape != expected.shape or not abs(y - expected).max() <= 2e-6:
            failures.append(f"{name}: written as .{kind} it computes something else")
    return 1


# The models that are one chain of modules.
WRITTEN = {
    "tagger", "last_step", "stack_of_three", "stack_with_dropout", "bidirectional_final", "sizes_that_differ",
    "projection_before", "distributed_dense", "activation_behind", "nested", "twice_nested", "frozen_embedding",
    "frozen_half", "frozen_half_inside", "cells_alike", "one_cell", "head_on_the_state"}
IDS = {"tagger", "projection_before", "frozen_embedding", "masked_ids"}
STYLES = ("tf", "two", "bare")


def main():
    global FOLDER
    folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    FOLDER = pathlib.Path(folder)
    FOLDER.mkdir(exist_ok=True, parents=True)
    models = {}
    for name, build in CASES.items():
        model, connections, obstacles = build()
        for variable in model.variables:
            if variable.dtype == "float32":
                variable.assign(RANDOM.uniform(-0.6, 0.6, variable.shape).astype("float32"))
        for container in ("keras", "h5", "weights.h5"):
            save = model.save_weights if container == "weights.h5" else model.save
            save(FOLDER / f"{name}.{container}")
        for style in STYLES:
            renamed(name, model, style)
        models[name] = (model, connections, obstacles)
    subprocess.run(["swift", "build", "--build-tests", "-j", "2"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(
        ["swift", "test", "-j", "2", "--skip-build", "--filter", "KerasStructureDump"], cwd=ROOT, check=True,
        env=os.environ | {"KERAS_STRUCTURE_FOLDER": str(FOLDER)}, capture_output=True)
    failures, count, written = [], 0, 0
    for name, (model, connections, obstacles) in models.items():
        for container in ("keras", "h5", "weights.h5", *(style + ".h5" for style in STYLES)):
            count += judge(name, container, model, connections, obstacles, failures)
        written += judge_writing(name, model, failures)
    print("\n".join(failures))
    print(f"keras {keras.__version__}: {len(models)} models in 3 containers, {count} arrays, {written} written, {len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
