"""Cases from Keras."""
import random

import numpy as np

from .cases import case, normal
from .judgement import Subject
from .truth import same


def judged(tools, name, model, inputs, plain=False, forms=("keras", "weights.h5", "h5"), freeze=None, expressible=True, seed=5):
    """Judges a Keras model in its containers."""
    from .keras_forms import KerasModel
    from .keras_source import KerasDraft
    draft = KerasDraft(seed, random.Random(seed), kind=name, plain=plain, model=model, inputs=inputs)
    made = KerasModel(draft)
    if freeze:
        freeze()
    for form in forms:
        path = made.save(form, tools.folder)
        tools.judge(Subject(name, name, form, path, made.truth, plain and made.is_one(form), form != "weights.h5", True, "." + form,
                            made.modules(), expressible, by_value=True))


def layers():
    import keras
    keras.backend.clear_session()
    return keras, keras.layers


@case
def frozen_layers_in_the_older_layout(tools):
    keras, L = layers()
    for which in (0, 1):
        pair = [L.LSTM(5, return_sequences=True, name="first"), L.LSTM(5, return_sequences=True, name="second")]
        inner = keras.Sequential([L.Input((None, 5)), *pair], name="inner")
        model = keras.Sequential([L.Input((None, 5)), inner, L.Dense(3)])
        judged(tools, f"frozen {pair[which].name}", model, [("steps", 5)], forms=("h5", "keras"),
               freeze=lambda: setattr(pair[which], "trainable", False))


@case
def a_frozen_direction(tools):
    keras, L = layers()
    for direction, cell in (("forward_layer", L.LSTM), ("backward_layer", L.GRU)):
        both = L.Bidirectional(cell(4, return_sequences=True))
        model = keras.Sequential([L.Input((None, 6)), both, L.Dense(3)])
        judged(tools, f"frozen {direction}", model, [("steps", 6)], plain=True,
               freeze=lambda: setattr(getattr(both, direction), "trainable", False))


@case
def a_frozen_embedding(tools):
    keras, L = layers()
    table = L.Embedding(9, 5)
    inner = keras.Sequential([L.Input((None,)), table, L.LSTM(4, return_sequences=True)], name="encoder")
    model = keras.Sequential([L.Input((None,), dtype="int32"), inner, L.Dense(3)])
    judged(tools, "frozen embedding", model, [("tokens", 9)], freeze=lambda: setattr(table, "trainable", False))


@case
def states_carried_to_the_next_layer(tools):
    keras, L = layers()
    for cell in ("LSTM", "GRU"):
        x = L.Input((None, 5))
        y, *states = getattr(L, cell)(6, return_sequences=True, return_state=True, name="a")(x)
        z = getattr(L, cell)(6, return_sequences=True, name="b")(y, initial_state=states if cell == "LSTM" else states[0])
        judged(tools, f"carried {cell}", keras.Model(x, L.Dense(3)(z)), [("steps", 5)])


@case
def weights_of_keras_before_2_3(tools):
    import h5py
    for version, number in ((b"2.2.0", 4), (b"2.1.6", 5)):
        with h5py.File(tools.path("old.h5"), "w") as file:
            file.attrs.update(keras_version=version, backend=b"tensorflow", layer_names=[b"lstm_1"])
            group = file.create_group("lstm_1")
            group.attrs["weight_names"] = [b"lstm_1/kernel:0", b"lstm_1/recurrent_kernel:0", b"lstm_1/bias:0"]
            for name, shape in (("kernel:0", (3, 4 * number)), ("recurrent_kernel:0", (number, 4 * number)), ("bias:0", (4 * number,))):
                group["lstm_1/" + name] = normal(number, *shape)
        done = tools.run("rnn-inspect", "old.h5")
        tools.expect("hard" in done.text, f"rnn-inspect does not speak of the hard sigmoid: {done.text[:300]}")
        done = tools.convert("old.h5", "old.npz", "--as", "torch")
        good = tools.honest_refusal(done, "old.npz") or (done.returncode == 0 and "hard" in done.text)
        tools.expect(good, f"rnn-convert: exit status {done.returncode}, without a word about the hard sigmoid")


@case
def layers_by_the_names_of_their_author(tools):
    import torch
    keras, L = layers()
    for names, sizes in ((("lstm_1", "lstm_2"), (3, 5)), (("lstm_2", "lstm_1"), (4, 7)), (("words", "chars"), (6, 2))):
        ends = [L.Input((None, d)) for d in sizes]
        model = keras.Model(ends, [L.LSTM(4, name=n)(x) for n, x in zip(names, ends)])
        for file in ("two.h5", "two.keras", "two.weights.h5"):
            (model.save_weights if "weights" in file else model.save)(tools.path(file))
            for name, size in zip(names, sizes):
                done = tools.convert(file, "one.pt", "--module", name, "--as", "torch")
                if not tools.expect(done.returncode == 0, f"{file} --module {name}: {done.text[:200]}"):
                    continue
                state = torch.load(tools.path("one.pt"))
                key = f"{name}.weight_ih_l0"
                if tools.expect(key in state, f"{file} --module {name}: its tensors are {', '.join(state)}"):
                    kernel = np.asarray(model.get_layer(name).cell.kernel.value.detach())
                    tools.expect(same(state[key].numpy(), kernel.T), f"{file} --module {name}: another layer's weights")


@case
def a_class_of_ones_own(tools):
    keras, L = layers()

    @keras.saving.register_keras_serializable("judge")
    class TeamLSTM(L.LSTM):
        def call(self, sequences, initial_state=None, mask=None, training=False):
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training) * 2.0
    model = keras.Sequential([L.Input((None, 5)), TeamLSTM(4, return_sequences=True), L.Dense(3)])
    model.save(tools.path("own.keras"))
    model.save(tools.path("own.h5"))
    for file in ("own.keras", "own.h5"):
        done = tools.convert(file, "own.npz", "--as", "torch")
        said = "TeamLSTM" in done.text
        tools.expect(tools.refused(done, "own.npz") or (done.returncode == 0 and said),
                     f"{file}: exit status {done.returncode}, without a word about TeamLSTM: {done.text[:200]}")


@case
def cells_inside_an_rnn_layer(tools):
    import torch
    keras, L = layers()
    model = keras.Sequential([L.Input((None, 5)), L.RNN([L.LSTMCell(4), L.LSTMCell(6)], return_sequences=True, name="pile")])
    for file in ("pile.keras", "pile.weights.h5"):
        (model.save_weights if "weights" in file else model.save)(tools.path(file))
        done = tools.convert(file, "pile.pt", "--as", "torch")
        if done.returncode != 0:
            tools.expect(tools.honest_refusal(done, "pile.pt"), f"{file}: {done.text[:300]}")
            continue
        values = [v.numpy() for v in torch.load(tools.path("pile.pt")).values()]
        for cell in model.get_layer("pile").cell.cells:
            kernel = np.asarray(cell.kernel.value.detach()).T
            tools.expect(any(same(v, kernel) for v in values), f"{file}: {cell.name} is lost")


@case
def merge_modes(tools):
    keras, L = layers()
    for mode in ("sum", "ave", "mul"):
        model = keras.Sequential([L.Input((None, 5)), L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode=mode), L.Dense(3)])
        judged(tools, f"merge {mode}", model, [("steps", 5)], expressible=False)


@case
def what_a_head_ends_with(tools):
    keras, L = layers()
    for word in ("softmax", "sigmoid"):
        model = keras.Sequential([L.Input((None, 5)), L.LSTM(4), L.Dense(3, activation=word)])
        judged(tools, f"head {word}", model, [("steps", 5)], plain=True)


@case
def masks_are_no_detail(tools):
    keras, L = layers()
    masked = keras.Sequential([L.Input((None,)), L.Embedding(9, 4, mask_zero=True), L.LSTM(6, return_sequences=True, name="rnn"), L.Dense(3)])
    masking = keras.Sequential([L.Input((None, 4)), L.Masking(), L.Dense(4), L.GRU(6, name="rnn")])
    for model in (masked, masking):
        for file in ("mask.keras", "mask.h5"):
            model.save(tools.path(file))
            for output in ("mask.onnx", "again.onnx"):
                done = tools.convert(file if output == "mask.onnx" else "mask.npz", output)
                tools.expect(tools.honest_refusal(done), f"{file} -> {output}: exit status {done.returncode}: {done.text[:300]}")
                done = tools.convert(file, "mask.npz", "--as", "torch")
                tools.expect(done.returncode == 0 and "mask" in done.text and "left behind" in done.text, f"{file}: {done.text[:300]}")
            done = tools.convert(file, "mask.npz", "--as", "torch", "--strict")
            tools.expect(done.returncode == 65, f"{file} --strict: exit status {done.returncode}")
            done = tools.convert(file, "mask.onnx", "--module", "rnn")
            tools.expect(done.returncode == 0 and "mask" in done.text, f"{file} --module: {done.text[:300]}")


@case
def weights_without_a_model_are_not_certain(tools):
    keras, L = layers()
    model = keras.Sequential([L.Input((None, 4)), L.LSTM(6, return_sequences=True, go_backwards=True, activation="relu"), L.Dense(3, activation="softmax")])
    model.save_weights(tools.path("w.weights.h5"))
    done = tools.convert("w.weights.h5", "w.npz", "--as", "torch")
    tools.expect("reads forwards" in done.text and "no activation" in done.text, done.text[:400])
    done = tools.convert("w.weights.h5", "w.npz", "--as", "torch", "--strict")
    tools.expect(done.returncode == 65, f"--strict: exit status {done.returncode}")


@case
def configurations_with_odd_values(tools):
    import json
    import zipfile
    keras, L = layers()
    model = keras.Sequential([L.Input((None, 4)), L.LSTM(6, return_sequences=True), L.Dense(3)])
    model.save(tools.path("m.keras"))
    for layer, key, value in ((1, "go_backwards", 1), (1, "return_sequences", "yes"), (1, "units", 7), (2, "units", 99),
                              (1, "use_bias", False), (2, "use_bias", False), (1, "units", "6")):
        with zipfile.ZipFile(tools.path("m.keras")) as old, zipfile.ZipFile(tools.path("odd.keras"), "w") as new:
            for name in old.namelist():
                text = old.read(name)
                if name == "config.json":
                    config = json.loads(text)
                    config["config"]["layers"][layer]["config"][key] = value
                    text = json.dumps(config).encode()
                new.writestr(name, text)
        done = tools.convert("odd.keras", "odd.onnx")
        tools.expect(tools.refused(done, "odd.onnx"), f"{key} {value!r} of layer {layer}: exit status {done.returncode}: {done.text[:300]}")


@case
def a_head_behind_what_is_picked(tools):
    keras, L = layers()
    entry = L.Input((None, 4))
    steps = L.GRU(6, return_sequences=True)(entry)
    both = L.Bidirectional(L.LSTM(5, return_sequences=True))(entry)
    states = L.Bidirectional(L.LSTM(5, return_state=True))(entry)
    gru = L.Bidirectional(L.GRU(5, return_sequences=True, return_state=True))(entry)
    for name, picked, reads in (("step", steps[:, -1, :], "last"), ("short", steps[:, -1], "last"),
                                ("both", both[:, -1, :], "last"), ("states", L.Concatenate()([states[1], states[3]]), "final"),
                                ("gru", L.Concatenate()([gru[1], gru[2]]), "final")):
        model = keras.Model(entry, L.Dense(3)(picked))
        model.save(tools.path("picked.keras"))
        done = tools.convert("picked.keras", "picked.onnx")
        if not tools.expect(done.returncode == 0 and f"[{reads}] (stated)" in done.text, f"{name}: {done.text[:300]}"):
            continue
        import onnxruntime
        session = onnxruntime.InferenceSession(tools.path("picked.onnx"))
        x = normal(7, 2, 6, 4)
        y = session.run(["logits"], {session.get_inputs()[0].name: x})[0]
        tools.expect(same(y, np.asarray(model(x).detach())), f"{name}: other numbers than Keras")
    for name, picked in (("first", steps[:, 0, :]), ("stride", steps[:, ::2, :][:, -1, :]), ("swapped", L.Concatenate()([states[3], states[1]])),
                         ("cells", L.Concatenate()([states[2], states[4]]))):
        keras.Model(entry, L.Dense(3)(picked)).save(tools.path("other.keras"))
        done = tools.convert("other.keras", "other.onnx")
        tools.expect(tools.honest_refusal(done, "other.onnx"), f"{name}: {done.text[:300]}")
