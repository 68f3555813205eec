#!/usr/bin/env python3
"""ONNX Runtime for `rnn-verify --against`: the outputs of RNN, LSTM and GRU nodes, one for each layer, in single precision."""
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from protocol import Unsupported, serve

# ONNX's order of gates: i o f c; z r h.
ORDER = {4: [0, 3, 1, 2], 3: [1, 0, 2], 1: [0]}


def turned(f, array):
    blocks = np.split(array, f.gates)
    return np.concatenate([blocks[gate] for gate in ORDER[f.gates]])


def compute(f):
    if f.dtype != np.float32:
        raise Unsupported(f"ONNX Runtime's recurrent nodes compute in float32, not {f.dtype}")
    if f.proj:
        raise Unsupported("a projection")
    x, h_0, c_0 = f.time_major()
    nodes, constants, feeds = [], [], {"x": x}
    two = ["", "_reverse"][:f.directions]
    operator = {"lstm": "LSTM", "gru": "GRU"}.get(f.cell, "RNN")

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name
    current = "x"
    lengths = "" if f.lengths is None else constant("lengths", f.lengths.astype(np.int32))
    for layer in range(f.layers):
        def stacked(kind):
            return np.stack([turned(f, f.rnn[f"{kind}_l{layer}{suffix}"]) for suffix in two])
        given = [current, constant(f"W{layer}", stacked("weight_ih")), constant(f"R{layer}", stacked("weight_hh"))]
        given.append(constant(f"B{layer}", np.concatenate([stacked("bias_ih"), stacked("bias_hh")], 1)) if f.bias else "")
        given.append(lengths)
        own = slice(layer * f.directions, (layer + 1) * f.directions)
        for name, state in (("h", h_0), ("c", c_0)):
            given.append("" if state is None else constant(f"{name}{layer}", state[own]))
        results = [f"Y{layer}", f"h_n{layer}"] + ([f"c_n{layer}"] if operator == "LSTM" else [])
        options = {"hidden_size": f.hidden, "direction": "bidirectional" if f.directions == 2 else "forward"}
        if operator == "GRU":
            options["linear_before_reset"] = int(not f.reset_before)
        if f.cell == "rnn_relu":
            options["activations"] = ["Relu"] * f.directions
        given = given if operator == "LSTM" else given[:6]
        nodes.append(helper.make_node(operator, given, results, **options))
        # (T, directions, N, H) as (T, N, directions · H).
        nodes.append(helper.make_node("Transpose", [f"Y{layer}"], [f"t{layer}"], perm=[0, 2, 1, 3]))
        shape = constant(f"s{layer}", np.array([0, 0, -1], np.int64))
        nodes.append(helper.make_node("Reshape", [f"t{layer}", shape], [f"y{layer}"]))
        current = f"y{layer}"
    names = [current] + [f"h_n{i}" for i in range(f.layers)]
    names += [f"c_n{i}" for i in range(f.layers)] if operator == "LSTM" else []
    found = dict(zip(names, run(nodes, constants, feeds, names)))
    h_n = np.concatenate([found[f"h_n{i}"] for i in range(f.layers)])
    c_n = np.concatenate([found[f"c_n{i}"] for i in range(f.layers)]) if operator == "LSTM" else None
    logits = None
    if f.head:
        weight, bias = f.head_arrays()
        constants = [numpy_helper.from_array(np.ascontiguousarray(weight.T), "weight")]
        nodes = [helper.make_node("MatMul", ["read", "weight"], ["product" if bias is not None else "logits"])]
        if bias is not None:
            constants.append(numpy_helper.from_array(bias, "bias"))
            nodes.append(helper.make_node("Add", ["product", "bias"], ["logits"]))
        logits, = run(nodes, constants, {"read": f.read_by_head(found[current], h_n)}, ["logits"])
    return f.results(found[current], h_n, c_n, logits)


def run(nodes, constants, feeds, names):
    graph = helper.make_graph(
        nodes, "fixture", [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in feeds.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(names, {key: np.ascontiguousarray(value) for key, value in feeds.items()})


if __name__ == "__main__":
    serve(compute)
