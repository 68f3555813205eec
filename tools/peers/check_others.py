#!/usr/bin/env python3
"""Converts between PyTorch and MLX, Flax, Burn and TensorFlow with rnn-convert, and runs both sides.

    PYTHON tools/peers/check_others.py PATH/TO/rnn-convert [mlx] [flax] [nnx] [burn] [tensorflow]

PYTHON has torch, numpy and safetensors, and what the parts asked for need: mlx; flax and jax; tensorflow.
Each network goes from PyTorch to the peer and from the peer to PyTorch. Outputs must agree to 1e-6 in
float32, the weights that are only moved must agree bit for bit, and what cannot be said must be refused.
Burn has no Python: its formulas are written out here from its documentation.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
TOLERANCE = 1e-6
PROBLEMS = []
CHECKS = 0
T, N, I, H, C, V = 7, 3, 5, 4, 6, 11
KINDS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def problem(text):
    PROBLEMS.append(text)
    print(f"check_others: {text}", file=sys.stderr)


def close(where, found, expected):
    global CHECKS
    CHECKS += 1
    found, expected = np.asarray(found), np.asarray(expected)
    if found.shape != expected.shape:
        problem(f"{where}: shape {found.shape}, expected {expected.shape}")
    elif not np.abs(found - expected).max() <= TOLERANCE:
        problem(f"{where}: deviates by {np.abs(found - expected).max()}")


def same_bits(where, found, expected):
    global CHECKS
    CHECKS += 1
    if found.shape != expected.shape or found.tobytes() != np.ascontiguousarray(expected).tobytes():
        problem(f"{where}: bits differ")


def convert(source, target, *options):
    run = subprocess.run([COMMAND, source, target, *options], capture_output=True, text=True)
    if run.returncode:
        problem(f"{source} -> {target} {options}: {run.stderr.strip()}")
        return None
    return run.stdout


def refused(reason, source, target, *options):
    global CHECKS
    CHECKS += 1
    run = subprocess.run([COMMAND, source, target, *options], capture_output=True, text=True)
    if run.returncode != 65 and run.returncode != 69 or f".{reason}]" not in run.stderr:
        problem(f"{source} {options}: status {run.returncode}, {run.stderr.strip()}; expected {reason}")
    if os.path.exists(target):
        problem(f"{source} {options}: refused, but {target} exists")


class Network(torch.nn.Module):
    """Embedding and head are optional; the names are those that rnn-convert gives to networks."""

    def __init__(self, kind, layers=1, bidirectional=False, head=False, embedding=False, bias=True):
        super().__init__()
        if embedding:
            self.embedding = torch.nn.Embedding(V, I)
        self.rnn = KINDS[kind](I, H, layers, bidirectional=bidirectional, bias=bias, batch_first=True)
        if head:
            self.classifier = torch.nn.Linear(H * (2 if bidirectional else 1), C)

    def forward(self, x):
        if hasattr(self, "embedding"):
            x = self.embedding(x)
        y = self.rnn(x)[0]
        return self.classifier(y) if hasattr(self, "classifier") else y

    def load(self, path, rnn="rnn."):
        """Loads every tensor of a file whose author gave the recurrent module the name `rnn`: it keeps it."""
        state = {k: torch.from_numpy(v.copy()) for k, v in load_file(path).items()}
        names = {k: rnn + k.removeprefix("rnn.") if k.startswith("rnn.") else k for k in self.state_dict()}
        if set(names.values()) != set(state):
            raise RuntimeError(f"{path}: the names {sorted(state)}, expected {sorted(names.values())}")
        self.load_state_dict({k: state[stored] for k, stored in names.items()})
        return self

    def save(self, path):
        bare = not hasattr(self, "classifier") and not hasattr(self, "embedding")
        torch.save((self.rnn if bare else self).state_dict(), path)
        return self

    def outputs(self, x):
        with torch.no_grad():
            return self(torch.from_numpy(x)).numpy()


def cases():
    torch.manual_seed(41)
    for kind in KINDS:
        for layers in (1, 3):
            for bidirectional in (False, True):
                for full in (False, True):
                    yield f"{kind}-{layers}-{'bi' if bidirectional else 'uni'}{'-full' if full else ''}", dict(
                        kind=kind, layers=layers, bidirectional=bidirectional, head=full, embedding=full)


def probe(options):
    rng = np.random.default_rng(5)
    if options.get("embedding"):
        return rng.integers(0, V, (N, T))
    return rng.normal(size=(N, T, I)).astype("f4")


# --- MLX ------------------------------------------------------------------------------------------


def mlx_part(folder):
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.utils

    kinds = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}

    class Pair(nn.Module):
        def __init__(self, kind, inputs):
            super().__init__()
            self.forward, self.backward = kinds[kind](inputs, H), kinds[kind](inputs, H)

    class Stack(nn.Module):
        def __init__(self, kind, layers, bidirectional, head=False, embedding=False):
            super().__init__()
            width = H * (2 if bidirectional else 1)
            make = (lambda n: Pair(kind, n)) if bidirectional else (lambda n: kinds[kind](n, H))
            cells = [make(I if k == 0 else width) for k in range(layers)]
            name = "rnn" if head or embedding or layers == 1 else "layers"
            self.cells = name
            setattr(self, name, cells[0] if layers == 1 else cells)
            if embedding:
                self.embedding = nn.Embedding(V, I)
            if head:
                self.classifier = nn.Linear(width, C)

        def __call__(self, x):
            if "embedding" in self:
                x = self.embedding(x)
            cells = getattr(self, self.cells)

            def run(cell, x):
                y = cell(x)
                return y[0] if isinstance(y, tuple) else y
            for cell in cells if isinstance(cells, list) else [cells]:
                if isinstance(cell, Pair):
                    back = run(cell.backward, x[:, ::-1])[:, ::-1]
                    x = mx.concatenate([run(cell.forward, x), back], axis=-1)
                else:
                    x = run(cell, x)
            return self.classifier(x) if "classifier" in self else x

    for title, options in cases():
        x = probe(options)
        network = Network(**options)
        source, target, back = (os.path.join(folder, f"mlx-{title}{s}") for s in (
            ".pt", ".safetensors", "-back.safetensors"))
        network.save(source)
        model = Stack(**options)
        if convert(source, target, "--as", "mlx") is None:
            continue
        weights = mx.load(target)
        if options["layers"] == 1 and not options["head"]:
            weights = {f"rnn.{k}": v for k, v in weights.items()}
        model.load_weights(list(weights.items()), strict=True)
        close(f"{title}: torch -> mlx", np.array(model(mx.array(x))), network.outputs(x))
        # The other way, from a model that MLX initialised itself (its GRU has a bias bhn).
        fresh = Stack(**options)
        if options["kind"] == "gru":
            fresh.update(mlx.utils.tree_map_with_path(
                lambda k, v: mx.random.normal(v.shape) if k.endswith("bhn") else v, fresh.parameters()))
        fresh.save_weights(target)
        if convert(target, back, "--as", "torch") is None:
            continue
        expected = np.array(fresh(mx.array(x)))
        own = fresh.cells + "."
        close(f"{title}: mlx -> torch", Network(**options).load(back, own).outputs(x), expected)
        again = target.replace(".safetensors", "-again.npz")
        names = {k: np.array(v) for k, v in mlx.utils.tree_flatten(fresh.parameters())}
        np.savez(again, **names)
        if convert(again, back, "--as", "torch", "--force") is not None:
            close(f"{title}: mlx npz -> torch", Network(**options).load(back, own).outputs(x), expected)
            moved = load_file(back)
            for name, value in names.items():
                if name.endswith(("Wx", "Wh", "Wxh", "Whh")):
                    same = [v for v in moved.values() if v.tobytes() == value.tobytes()]
                    if not same:
                        problem(f"{title}: mlx {name} arrived with other bits")
    # Without biases; before 0.18; and what MLX cannot say.
    for kind in KINDS:
        x = probe({})
        path, target = os.path.join(folder, f"{kind}-nobias.pt"), os.path.join(folder, f"{kind}-nobias.npz")
        network = Network(kind, bias=False).save(path)
        convert(path, target, "--as", "mlx")
        cell = kinds[kind](I, H, bias=False)
        cell.load_weights(target, strict=False) if False else cell.update(
            {k: mx.array(v) for k, v in np.load(target).items() if not k.startswith("__")})
        y = cell(mx.array(x))
        close(f"{kind}: no bias", np.array(y[0] if isinstance(y, tuple) else y), network.outputs(x))
        fresh = kinds[kind](I, H)
        old = {f"rnn.{k}": np.ascontiguousarray(np.array(v).T) for k, v in fresh.parameters().items()}
        before, after = os.path.join(folder, f"{kind}-old.npz"), os.path.join(folder, f"{kind}-old.safetensors")
        np.savez(before, **old)
        convert(before, after, "--as", "torch")
        y = fresh(mx.array(x))
        close(f"{kind}: before 0.18", Network(kind).load(after).outputs(x),
              np.array(y[0] if isinstance(y, tuple) else y))
    torch.save(torch.nn.LSTM(I, H, proj_size=2).state_dict(), os.path.join(folder, "proj.pt"))
    refused("convention.inexpressible".split(".")[1], os.path.join(folder, "proj.pt"),
            os.path.join(folder, "proj.safetensors"), "--as", "mlx")


# --- Flax -----------------------------------------------------------------------------------------


def flax_part(folder):
    import flax.linen as nn
    import jax
    from flax import serialization

    kinds = {"rnn": nn.SimpleCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}

    class Layer(nn.Module):
        """One layer with two directions, each under its own name."""
        kind: str

        @nn.compact
        def __call__(self, x):
            cells = [kinds[self.kind](H, name=name) for name in ("forward", "backward")]
            return nn.Bidirectional(*[nn.RNN(cell) for cell in cells])(x)

    class Layers(nn.Module):
        """Several layers, numbered as in a list."""
        kind: str
        layers: int
        bidirectional: bool

        @nn.compact
        def __call__(self, x):
            for number in map(str, range(self.layers)):
                if self.bidirectional:
                    x = Layer(self.kind, name=number)(x)
                else:
                    x = nn.RNN(kinds[self.kind](H, name=number))(x)
            return x

    class Stack(nn.Module):
        """With a head the recurrent module has the name `rnn`, as in the PyTorch model; bare, Linen's own."""
        kind: str
        layers: int
        bidirectional: bool
        head: bool = False
        embedding: bool = False

        def named(self, x):
            if self.layers > 1:
                return Layers(self.kind, self.layers, self.bidirectional, name="rnn")(x)
            if self.bidirectional:
                return Layer(self.kind, name="rnn")(x)
            return nn.RNN(kinds[self.kind](H, name="rnn"))(x)

        @nn.compact
        def __call__(self, x):
            if self.embedding:
                x = nn.Embed(V, I, name="embedding")(x)
            if self.head:
                return nn.Dense(C, name="classifier")(self.named(x))
            for _ in range(self.layers):
                if self.bidirectional:
                    x = nn.Bidirectional(nn.RNN(kinds[self.kind](H)), nn.RNN(kinds[self.kind](H)))(x)
                else:
                    x = nn.RNN(kinds[self.kind](H))(x)
            return x

    def noisy(tree):
        leaves, definition = jax.tree_util.tree_flatten(tree)
        rng = np.random.default_rng(9)
        return definition.unflatten([rng.normal(size=l.shape).astype(l.dtype) * 0.4 for l in leaves])

    for title, options in cases():
        x = probe(options)
        network = Network(**options)
        source, target, back = (os.path.join(folder, f"flax-{title}{s}") for s in (
            ".pt", ".msgpack", "-back.safetensors"))
        network.save(source)
        model = Stack(**options)
        variables = noisy(model.init(jax.random.key(0), x))
        if convert(source, target) is None:
            continue
        with open(target, "rb") as file:
            restored = serialization.from_bytes(variables, file.read())
        close(f"{title}: torch -> flax", model.apply(restored, x), network.outputs(x))
        with open(target, "wb") as file:
            file.write(serialization.to_bytes(variables))
        if convert(target, back) is None:
            continue
        own = "rnn." if options["head"] else kinds[options["kind"]].__name__ + "_0."
        moved = Network(**options).load(back, own)
        close(f"{title}: flax -> torch", moved.outputs(x), model.apply(variables, x))
        if options["kind"] == "lstm" and options["layers"] == 1 and not options["bidirectional"]:
            cell = variables["params"][own.rstrip(".")]
            kernel = np.concatenate([np.asarray(cell[g]["kernel"]).T for g in ("ii", "if", "ig", "io")])
            same_bits(f"{title}: kernels", load_file(back)[own + "weight_ih_l0"], kernel)
            optimized = nn.RNN(nn.OptimizedLSTMCell(H))
            if not options["head"]:
                close("OptimizedLSTMCell", optimized.apply({"params": {"cell": cell}}, x), moved.outputs(x))
    for name, network in {"proj": torch.nn.LSTM(I, H, proj_size=2), "nobias": torch.nn.GRU(I, H, bias=False)}.items():
        torch.save(network.state_dict(), os.path.join(folder, f"{name}.pt"))
        refused("inexpressible", os.path.join(folder, f"{name}.pt"), os.path.join(folder, f"{name}.msgpack"))


def nnx_part(folder):
    import jax
    import jax.numpy as jnp
    from flax import nnx, serialization, traverse_util

    def cell(kind, inputs, rngs, optimized):
        kinds = {"rnn": nnx.SimpleCell, "gru": nnx.GRUCell,
                 "lstm": nnx.OptimizedLSTMCell if optimized else nnx.LSTMCell}
        return kinds[kind](inputs, H, rngs=rngs)

    class Stack(nnx.Module):
        def __init__(self, kind, layers, bidirectional, head=False, embedding=False, optimized=True):
            rngs = nnx.Rngs(0)
            width = H * (2 if bidirectional else 1)

            def make(n):
                one = lambda: nnx.RNN(cell(kind, n, rngs, optimized), rngs=rngs)
                return nnx.Bidirectional(one(), one(), rngs=rngs) if bidirectional else one()
            cells = [make(I if k == 0 else width) for k in range(layers)]
            self.rnn = cells[0] if layers == 1 else nnx.List(cells)
            if embedding:
                self.embedding = nnx.Embed(V, I, rngs=rngs)
            if head:
                self.classifier = nnx.Linear(width, C, rngs=rngs)
            self.many = layers > 1

        def __call__(self, x):
            if hasattr(self, "embedding"):
                x = self.embedding(x)
            for layer in self.rnn if self.many else [self.rnn]:
                x = layer(x)
            return self.classifier(x) if hasattr(self, "classifier") else x

    def pure(model):
        state = nnx.to_pure_dict(nnx.state(model, nnx.Param))
        return jax.tree_util.tree_map(np.asarray, state)

    for title, options in cases():
        for optimized in (True, False) if options["kind"] == "lstm" else (True,):
            where = title + ("" if optimized else "-gates")
            x = probe(options)
            network = Network(**options)
            if options["kind"] == "gru":  # NNX's GRUCell has no recurrent bias
                for name, value in network.rnn.named_parameters():
                    if "bias_hh" in name:
                        value.data[2 * H:] = 0
            source, target, back = (os.path.join(folder, f"nnx-{where}{s}") for s in (
                ".pt", ".msgpack", "-back.safetensors"))
            network.save(source)
            model = Stack(**options, optimized=optimized)
            graph, state = nnx.split(model)
            if optimized and convert(source, target, "--as", "nnx") is not None:
                with open(target, "rb") as file:
                    restored = serialization.msgpack_restore(file.read())
                flat = traverse_util.flatten_dict(restored)
                if options["layers"] == 1 and not options["head"] or True:
                    flat = {tuple(int(p) if p.isdigit() else p for p in k): v for k, v in flat.items()}
                params = nnx.state(model, nnx.Param)
                own = set(traverse_util.flatten_dict(nnx.to_pure_dict(params)))
                if own != set(flat):
                    problem(f"{where}: names {set(flat) ^ own}")
                    continue
                nnx.replace_by_pure_dict(params, traverse_util.unflatten_dict(
                    {k: jnp.asarray(v) for k, v in flat.items()}))
                nnx.update(model, params)
                close(f"{where}: torch -> nnx", model(x), network.outputs(x))
            rng = np.random.default_rng(3)
            fresh = jax.tree_util.tree_map(
                lambda v: rng.normal(size=v.shape).astype(v.dtype) * 0.4, pure(model))
            params = nnx.state(model, nnx.Param)
            nnx.replace_by_pure_dict(params, jax.tree_util.tree_map(jnp.asarray, fresh))
            nnx.update(model, params)
            flat = traverse_util.flatten_dict(fresh)
            text = traverse_util.unflatten_dict({tuple(map(str, k)): v for k, v in flat.items()})
            with open(target, "wb") as file:
                file.write(serialization.msgpack_serialize(text))
            if convert(target, back) is not None:
                close(f"{where}: nnx -> torch", Network(**options).load(back).outputs(x), model(x))
    torch.save(torch.nn.GRU(I, H).state_dict(), os.path.join(folder, "gru-bhn.pt"))
    refused("inexpressible", os.path.join(folder, "gru-bhn.pt"), os.path.join(folder, "gru-bhn.msgpack"),
            "--as", "nnx")


# --- Burn -----------------------------------------------------------------------------------------


def burn_part(folder):
    gates = {"rnn": ["gate"], "lstm": ["input_gate", "forget_gate", "cell_gate", "output_gate"],
             "gru": ["update_gate", "reset_gate", "new_gate"]}

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    def forward(weights, kind, prefix, x, steps):
        def part(gate, transform, value):
            base = f"{prefix}{gate}.{transform}_transform."
            return value @ weights[base + "weight"] + weights[base + "bias"]
        h, c = np.zeros((N, H)), np.zeros((N, H))
        y = np.zeros((N, T, H))
        for t in steps:
            a = {g: part(g, "input", x[:, t]) for g in gates[kind]}
            b = {g: part(g, "hidden", h) for g in gates[kind]}
            if kind == "rnn":
                h = np.tanh(a["gate"] + b["gate"])
            elif kind == "lstm":
                i, f, o = (sigmoid(a[g] + b[g]) for g in ("input_gate", "forget_gate", "output_gate"))
                c = f * c + i * np.tanh(a["cell_gate"] + b["cell_gate"])
                h = o * np.tanh(c)
            else:
                z, r = (sigmoid(a[g] + b[g]) for g in ("update_gate", "reset_gate"))
                h = (1 - z) * np.tanh(a["new_gate"] + r * b["new_gate"]) + z * h
            y[:, t] = h
        return y

    def run(weights, options, x):
        weights = {k: v.astype("f8") for k, v in weights.items()}
        if options["embedding"]:
            x = weights["embedding.weight"][x]
        root = "rnn." if options["head"] else options["kind"] + "."
        for k in range(options["layers"]):
            prefix = root + (f"{k}." if options["layers"] > 1 else "")
            if options["bidirectional"]:
                x = np.concatenate([
                    forward(weights, options["kind"], prefix + "forward.", x, range(T)),
                    forward(weights, options["kind"], prefix + "reverse.", x, reversed(range(T)))], -1)
            else:
                x = forward(weights, options["kind"], prefix, x, range(T))
        return x @ weights["classifier.weight"] + weights["classifier.bias"] if options["head"] else x

    for title, options in cases():
        x = probe(options)
        network = Network(**options)
        source, target, back = (os.path.join(folder, f"burn-{title}{s}") for s in (
            ".pt", ".safetensors", "-back.safetensors"))
        network.save(source)
        if convert(source, target, "--as", "burn") is None:
            continue
        weights = load_file(target)
        close(f"{title}: torch -> burn", run(weights, options, x), network.outputs(x))
        rng = np.random.default_rng(8)
        save_file({k: rng.normal(size=v.shape).astype("f4") * 0.4 for k, v in weights.items()}, target)
        if convert(target, back, "--as", "torch") is not None:
            own = "rnn." if options["head"] else options["kind"] + "."
            close(f"{title}: burn -> torch", Network(**options).load(back, own).outputs(x),
                  run(load_file(target), options, x))


# --- TensorFlow -----------------------------------------------------------------------------------


def tensorflow_part(folder):
    import tensorflow as tf
    import keras

    kinds = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    for title, options in cases():
        x = probe(options)
        layers = [keras.layers.Input((None,) if options["embedding"] else (None, I))]
        if options["embedding"]:
            layers.append(keras.layers.Embedding(V, I))
        for _ in range(options["layers"]):
            cell = kinds[options["kind"]](H, return_sequences=True)
            layers.append(keras.layers.Bidirectional(cell) if options["bidirectional"] else cell)
        if options["head"]:
            layers.append(keras.layers.Dense(C))
        model = keras.Sequential(layers)
        rng = np.random.default_rng(2)
        model.set_weights([rng.normal(size=w.shape).astype("f4") * 0.4 for w in model.get_weights()])
        prefix = os.path.join(folder, f"tf-{title}")
        optimizer = keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)
        path = tf.train.Checkpoint(model=model, optimizer=optimizer).write(prefix)
        back = prefix + ".safetensors"
        if convert(path + ".index", back) is not None:
            close(f"{title}: tensorflow -> torch", Network(**options).load(back).outputs(x),
                  model.predict(x, verbose=0))
    # Name-based checkpoints of TensorFlow 1, with its formulas written out.
    v1 = tf.compat.v1
    rng = np.random.default_rng(6)

    def save(name, arrays):
        graph = tf.Graph()
        with graph.as_default():
            for key, value in arrays.items():
                v1.get_variable(key, initializer=value.astype("f4"))
            with v1.Session() as session:
                session.run(v1.global_variables_initializer())
                return v1.train.Saver().save(session, os.path.join(folder, name))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    x = probe({})
    kernel, bias = rng.normal(size=(I + H, 4 * H)) * 0.4, rng.normal(size=4 * H)
    h, c, y = np.zeros((N, H)), np.zeros((N, H)), np.zeros((N, T, H))
    for t in range(T):
        i, j, f, o = np.split(np.concatenate([x[:, t], h], 1) @ kernel + bias, 4, axis=1)
        c = c * sigmoid(f + 1.0) + sigmoid(i) * np.tanh(j)
        h = np.tanh(c) * sigmoid(o)
        y[:, t] = h
    path = save("basic", {"rnn/basic_lstm_cell/kernel": kernel, "rnn/basic_lstm_cell/bias": bias})
    back = os.path.join(folder, "basic.safetensors")
    if "forget_bias" not in (convert(path + ".index", back) or ""):
        problem("basic_lstm_cell: forget_bias is not announced")
    close("basic_lstm_cell -> torch", Network("lstm").load(back).outputs(x), y)
    kernel, bias = rng.normal(size=(I + H, H)) * 0.4, rng.normal(size=H)
    gates, gate_bias = rng.normal(size=(I + H, 2 * H)) * 0.4, rng.normal(size=2 * H)
    path = save("gru", {
        "rnn/gru_cell/gates/kernel": gates, "rnn/gru_cell/gates/bias": gate_bias,
        "rnn/gru_cell/candidate/kernel": kernel, "rnn/gru_cell/candidate/bias": bias})
    refused("inexpressible", path + ".index", os.path.join(folder, "gru-tf1.npz"), "--as", "mlx")
    h = np.zeros((N, H))
    for t in range(T):
        h = np.tanh(np.concatenate([x[:, t], h], 1) @ kernel + bias)
        y[:, t] = h
    path = save("rnn", {"rnn/basic_rnn_cell/kernel": kernel, "rnn/basic_rnn_cell/bias": bias})
    back = os.path.join(folder, "rnn.safetensors")
    convert(path + ".index", back)
    close("basic_rnn_cell -> torch", Network("rnn").load(back).outputs(x), y)


PARTS = {"mlx": mlx_part, "flax": flax_part, "nnx": nnx_part, "burn": burn_part, "tensorflow": tensorflow_part}

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    COMMAND = sys.argv[1]
    for part in sys.argv[2:] or PARTS:
        before = CHECKS
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](folder)
        print(f"  {part:<12}{CHECKS - before:>4} checks")
    if PROBLEMS:
        print(f"{len(PROBLEMS)} problems", file=sys.stderr)
    sys.exit(1 if PROBLEMS or not CHECKS else 0)
