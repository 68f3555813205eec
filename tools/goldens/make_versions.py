#!/usr/bin/env python3
"""Writes golden files of the installed version of a library into fixtures/golden/versions.

usage: make_versions.py flax|mlx      (in an environment that has that version)

Beside every file NAME.EXT stands NAME.EXT.npz with what it holds, in PyTorch's names and layout, worked
out here from the library's own arrays; tools/peers/check_versions.py compares.
"""
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2] / "fixtures/golden/versions"
D, H = 3, 5


def by_flax():
    import flax
    import flax.linen as nn
    import jax
    x = jax.random.normal(jax.random.PRNGKey(1), (2, 4, D))
    for name, cell, order in (("lstm", nn.LSTMCell, "ifgo"), ("gru", nn.GRUCell, "rzn")):
        model = nn.RNN(cell(features=H))
        variables = model.init(jax.random.PRNGKey(7), x)
        # Biases begin as zeros, which would prove nothing.
        variables = jax.tree_util.tree_map(
            lambda a: a + 0.01 * np.arange(a.size, dtype="f4").reshape(a.shape), variables)
        path = ROOT / f"flax-{flax.__version__}-{name}.msgpack"
        path.write_bytes(flax.serialization.to_bytes(variables))
        (parts,) = variables["params"].values()

        def gates(prefix, key):
            found = [parts[prefix + g].get(key) for g in order]
            return [np.zeros(H, "f4") if a is None else np.asarray(a) for a in found]
        np.savez(f"{path}.npz", weight_ih_l0=np.concatenate([a.T for a in gates("i", "kernel")]),
                 weight_hh_l0=np.concatenate([a.T for a in gates("h", "kernel")]),
                 bias_ih_l0=np.concatenate(gates("i", "bias")),
                 bias_hh_l0=np.concatenate(gates("h", "bias")))


def by_mlx():
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    import importlib.metadata
    version = importlib.metadata.version("mlx")
    mx.random.seed(3)
    for name, model in (("rnn", nn.RNN(D, H)), ("lstm", nn.LSTM(D, H)), ("gru", nn.GRU(D, H))):
        parameters = {key: np.array(value) for key, value in tree_flatten(model.parameters())}
        path = ROOT / f"mlx-{version}-{name}.safetensors"
        model.save_weights(str(path))
        if name == "gru":
            hidden = np.zeros(3 * H, "f4")
            hidden[2 * H:] = parameters["bhn"]
            keys = {"weight_ih_l0": parameters["Wx"], "weight_hh_l0": parameters["Wh"],
                    "bias_ih_l0": parameters["b"], "bias_hh_l0": hidden}
        else:
            inputs, states = ("Wxh", "Whh") if name == "rnn" else ("Wx", "Wh")
            keys = {"weight_ih_l0": parameters[inputs], "weight_hh_l0": parameters[states],
                    "bias_ih_l0": parameters["bias"], "bias_hh_l0": np.zeros_like(parameters["bias"])}
        np.savez(f"{path}.npz", **keys)


ROOT.mkdir(parents=True, exist_ok=True)
{"flax": by_flax, "mlx": by_mlx}[sys.argv[1]]()
