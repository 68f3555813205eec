#!/usr/bin/env python3
"""Writes fixtures/golden/{mlx,flax,tensorflow} with the libraries themselves.

    PYTHON tools/goldens/make_others.py mlx flax tensorflow

Made with mlx 0.32.4, flax 0.12.8 (jax 0.10.2) and tensorflow 2.21.0 (keras 3.15.1, tf_keras 2.21). Each
folder has expected.json: for every file its tensors (name, dtype, shape, bytes in hexadecimal) taken from
the arrays that went in, and for networks an input x with the library's own output y.
"""
import json
import os
import pathlib
import sys

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROOT = CHECKOUT / "fixtures/golden"
REFUSED = CHECKOUT / "Tests/Support/Refused"
T, N, I, H, C, V = 5, 2, 3, 4, 6, 7
RNG = np.random.default_rng(20261121)
SHORT = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int64": "i64",
         "int32": "i32", "int16": "i16", "int8": "i8", "uint64": "u64", "uint32": "u32",
         "uint16": "u16", "uint8": "u8", "bool": "bool"}


def noise(shape, dtype="f4"):
    return (RNG.normal(size=shape) * 0.5).astype(dtype)


def record(tensors, x=None, y=None, skipped=None):
    rows = [[name, SHORT[str(a.dtype)], list(a.shape), np.ascontiguousarray(a).tobytes().hex()]
            for name, a in tensors]
    result = {"tensors": rows, "skipped": skipped or []}
    if x is not None:
        for key, value in (("x", x), ("y", y)):
            value = np.asarray(value, dtype="f4")
            result[key] = value.tobytes().hex()
            result[key + "_shape"] = list(value.shape)
    return result


def save(folder, expected):
    (ROOT / folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def mlx():
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten, tree_map

    def randomised(model):
        model.update(tree_map(lambda v: mx.array(noise(v.shape)), model.parameters()))
        return model

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(V, I)
            self.layers = [nn.GRU(I, H), nn.GRU(H, H)]
            self.out = nn.Linear(H, C)

    x = noise((N, T, I))
    model = randomised(Model())
    model.save_weights(str(ROOT / "mlx/gru.safetensors"))
    flat = sorted((k, np.array(v)) for k, v in tree_flatten(model.parameters()))
    y = mx.array(x)
    for layer in model.layers:
        y = layer(y)
    expected = {"gru.safetensors": record(flat, x, model.out(y))}
    lstm = randomised(nn.LSTM(I, H))
    lstm.save_weights(str(ROOT / "mlx/lstm.npz"))
    flat = [(k, np.array(v)) for k, v in tree_flatten(lstm.parameters())]
    expected["lstm.npz"] = record(flat, x, lstm(mx.array(x))[0])
    rnn = randomised(nn.RNN(I, H, bias=False))
    rnn.save_weights(str(ROOT / "mlx/rnn-nobias.npz"))
    flat = [(k, np.array(v)) for k, v in tree_flatten(rnn.parameters())]
    expected["rnn-nobias.npz"] = record(flat, x, rnn(mx.array(x)))
    # What MLX before 0.18 wrote: the same matrices, transposed.
    gru = randomised(nn.GRU(I, H))
    flat = [(f"encoder.{k}", np.ascontiguousarray(np.array(v).T)) for k, v in tree_flatten(gru.parameters())]
    np.savez(ROOT / "mlx/gru-before-0.18.npz", **dict(flat))
    expected["gru-before-0.18.npz"] = record(flat, x, gru(mx.array(x)))
    save("mlx", expected)


def flax():
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import ml_dtypes
    from flax import nnx, serialization, traverse_util

    folder = ROOT / "flax"

    def randomised(tree):
        return jax.tree_util.tree_map(lambda v: noise(v.shape), tree)

    def flat(tree):
        """In the order in which the maps were written."""
        return [(".".join(map(str, k)), np.asarray(v)) for k, v in traverse_util.flatten_dict(tree).items()]

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(2):
                x = nn.Bidirectional(nn.RNN(nn.OptimizedLSTMCell(H)), nn.RNN(nn.OptimizedLSTMCell(H)))(x)
            return nn.Dense(C)(x)

    x = noise((N, T, I))
    expected = {}
    for name, model in {"linen-lstm": Model(), "linen-gru": nn.RNN(nn.GRUCell(H)),
                        "linen-rnn": nn.RNN(nn.SimpleCell(H))}.items():
        variables = randomised(model.init(jax.random.key(0), x))
        (folder / f"{name}.msgpack").write_bytes(serialization.to_bytes(variables))
        expected[f"{name}.msgpack"] = record(flat(variables), x, model.apply(variables, x))
    # A TrainState, as flax.training saves it: step and optimizer beside the parameters.
    params = variables["params"]
    state = {"step": 12, "params": params,
             "opt_state": {"0": {"count": np.int32(12), "mu": params, "nu": params}, "1": {}}}
    (folder / "train-state.msgpack").write_bytes(serialization.msgpack_serialize(state))
    expected["train-state.msgpack"] = record(
        flat({"params": params}), x, model.apply(variables, x),
        skipped=["step = 12", f"opt_state: {1 + 2 * len(flat(params))} tensors of an optimizer"])

    for name, cell in {"nnx-rnn": nnx.SimpleCell, "nnx-gru": nnx.GRUCell, "nnx-lstm": nnx.OptimizedLSTMCell,
                       "nnx-lstm-gates": nnx.LSTMCell}.items():
        model = nnx.RNN(cell(I, H, rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
        tree = randomised(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
        params = nnx.state(model, nnx.Param)
        nnx.replace_by_pure_dict(params, jax.tree_util.tree_map(jnp.asarray, tree))
        nnx.update(model, params)
        tree = {"rnn": tree}
        (folder / f"{name}.msgpack").write_bytes(serialization.msgpack_serialize(tree))
        expected[f"{name}.msgpack"] = record(flat(tree), x, model(x))

    values = {}
    for index, name in enumerate(SHORT):
        dtype = ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)
        if name == "bool":
            values[name] = np.array([True, False])
        elif "float" in name:
            values[name] = noise((2, 1 + index), "f8").astype(dtype)
        else:
            info = np.iinfo(dtype)
            values[name] = np.array([info.min, info.max, 1], dtype)
    values["scalar"] = np.float32(1.5)
    values["empty"] = np.zeros((0, 3), "f4")
    values["large"] = noise((40, 2, 3))
    serialization.MAX_CHUNK_SIZE = 128
    (folder / "dtypes.msgpack").write_bytes(serialization.msgpack_serialize({"deep": {"er": dict(values)}, "n": -7}))
    expected["dtypes.msgpack"] = record(
        [(f"deep.er.{k}", np.asarray(v)) for k, v in sorted(values.items())], skipped=["n = -7"])
    refused = REFUSED / "flax"
    refused.mkdir(parents=True, exist_ok=True)
    (refused / "complex.msgpack").write_bytes(serialization.msgpack_serialize({"a": np.array([1j])}))
    save("flax", expected)


def tensorflow():
    import keras
    import tensorflow as tf
    import tf_keras

    folder = ROOT / "tensorflow"
    expected = {}

    def write(name, model, checkpoint, x, keys):
        model.set_weights([noise(w.shape) for w in model.get_weights()])
        checkpoint.write(str(folder / name))
        rows = sorted((key, np.asarray(variable)) for key, variable in keys.items())
        return record(rows, x, model.predict(x, verbose=0))

    x = noise((N, T, I))
    model = keras.Sequential([
        keras.layers.Input((None, I)), keras.layers.Bidirectional(keras.layers.GRU(H, return_sequences=True), name="bi"),
        keras.layers.Dense(C, name="dense")])
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    base = "model._functional._operations"
    both, dense = model.layers
    keys = {f"{base}.1.{d}_layer.cell.{k}": getattr(getattr(both, f"{d}_layer").cell, k)
            for d in ("forward", "backward") for k in ("kernel", "recurrent_kernel", "bias")}
    keys |= {f"{base}.2._kernel": dense.kernel, f"{base}.2.bias": dense.bias}
    row = write("keras3", model, tf.train.Checkpoint(model=model, optimizer=optimizer), x, keys)
    count = sum(not k.startswith("model/") and k != "_CHECKPOINTABLE_OBJECT_GRAPH" for k in
                tf.train.load_checkpoint(str(folder / "keras3")).get_variable_to_shape_map()) - len(keys)
    row["skipped"] = [f"optimizer: {count} tensors of an optimizer"]
    expected["keras3.index"] = row

    model = tf_keras.Sequential([
        tf_keras.layers.Input((None, I)), tf_keras.layers.LSTM(H, return_sequences=True, name="one"),
        tf_keras.layers.LSTM(H, return_sequences=True, name="two")])
    # Keras 2's save_weights(PREFIX) writes this checkpoint.
    keys = {f"layer_with_weights-{n}.cell.{k}": getattr(layer.cell, k)
            for n, layer in enumerate(model.layers) for k in ("kernel", "recurrent_kernel", "bias")}
    expected["keras2.index"] = write("keras2", model, tf.train.Checkpoint(model), x, keys)

    v1 = tf.compat.v1
    kernel, bias = noise((I + H, 4 * H)), noise(4 * H)

    def session(name, make):
        with tf.Graph().as_default(), v1.Session() as current:
            make()
            current.run(v1.global_variables_initializer())
            v1.train.Saver().save(current, str(folder / name), write_meta_graph=False)

    def variables():
        v1.get_variable("rnn/basic_lstm_cell/bias", initializer=bias)
        v1.get_variable("rnn/basic_lstm_cell/bias/Adam", initializer=noise(bias.shape))
        v1.get_variable("rnn/basic_lstm_cell/kernel", initializer=kernel)
        v1.get_variable("step", initializer=np.int64(7))
    session("tf1", variables)
    h, c, y = np.zeros((N, H)), np.zeros((N, H)), np.zeros((N, T, H))
    for t in range(T):
        i, j, f, o = np.split(np.concatenate([x[:, t], h], 1) @ kernel + bias, 4, axis=1)
        c = c / (1 + np.exp(-f - 1)) + np.tanh(j) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        y[:, t] = h
    expected["tf1.index"] = record(
        [("rnn.basic_lstm_cell.bias", bias), ("rnn.basic_lstm_cell.kernel", kernel), ("step", np.int64(7))], x, y,
        skipped=["optimizer: 1 tensors of an optimizer"])

    def mixed():
        for dtype in (tf.float64, tf.float32, tf.float16, tf.bfloat16, tf.int64, tf.int32, tf.int16, tf.int8,
                      tf.uint8, tf.bool):
            v1.get_variable(dtype.name, initializer=tf.cast(values, dtype))
        v1.get_variable("text", initializer=tf.constant("hello"))
        v1.get_variable("text2", initializer=tf.constant(1j, tf.complex64))
    values = np.array([[0, 1, 2], [3, -4.5, 100.25]])
    values_u = np.abs(values)
    values = values_u
    session("dtypes", mixed)
    rows = [(name, tf.cast(values, dtype).numpy()) for name, dtype in sorted(
        (d.name, d) for d in (tf.float64, tf.float32, tf.float16, tf.bfloat16, tf.int64, tf.int32, tf.int16,
                              tf.int8, tf.uint8, tf.bool))]
    expected["dtypes.index"] = record(rows, skipped=["text: text", "text2: TensorFlow type 8"])

    refused = REFUSED / "tensorflow"
    refused.mkdir(parents=True, exist_ok=True)

    def partitioned():
        v1.get_variable("part", [7, 4], partitioner=v1.fixed_size_partitioner(2))
    session(refused / "partitioned", partitioned)
    for extra in (folder / "checkpoint", refused / "checkpoint"):
        extra.unlink(missing_ok=True)
    save("tensorflow", expected)


for part in sys.argv[1:] or sys.exit(__doc__):
    (ROOT / part).mkdir(parents=True, exist_ok=True)
    {"mlx": mlx, "flax": flax, "tensorflow": tensorflow}[part]()
