"""What rnn-convert wrote, opened and run by the library whose format it is."""
import json
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Written:
    """A network in a file: `run(x)` takes (T, N, D) or ids (T, N) and gives its points, time first."""
    target: str
    tokens: bool
    batch_first: bool
    runner: object
    metadata: dict = field(default_factory=dict)

    def run(self, x):
        return self.runner(x)


def swap(a):
    return np.swapaxes(a, 0, 1)


def open_onnx(path):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    batch_first = any(k.split(".")[-1] == "batch_first" and v == "true" for k, v in metadata.items())
    x_name = next((i.name for i in given if i.name == "x"), given[0].name)
    tokens = "int" in next(i.type for i in given if i.name == x_name)
    names = [o.name for o in session.get_outputs()]

    def run(x):
        fed = swap(x) if batch_first else x
        feeds = {x_name: fed.astype(np.int64 if tokens else np.float32)}
        for extra in given:
            if extra.name != x_name:  # states that must be fed start as zeros
                shape = [d if isinstance(d, int) else x.shape[1] for d in extra.shape]
                feeds[extra.name] = np.zeros(shape, np.float32)
        points = dict(zip(names, session.run(None, feeds)))
        for key in ("output", "logits", "probabilities"):
            if batch_first and key in points and points[key].ndim == 3:
                points[key] = swap(points[key])
        return points
    return Written("onnx", tokens, batch_first, run, metadata)


def open_keras(path):
    import keras
    model = keras.saving.load_model(path, compile=False)
    weighted = [layer for layer in model.layers if layer.weights]
    tokens = bool(weighted) and isinstance(weighted[0], keras.layers.Embedding)
    head = bool(weighted) and isinstance(weighted[-1], (keras.layers.Dense, keras.layers.TimeDistributed))
    bent = head and any(getattr(getattr(layer, "activation", None), "__name__", "linear") != "linear"
                        for layer in model.layers[-1:] if not hasattr(layer, "units") or layer is weighted[-1])

    def run(x):
        import torch
        with torch.no_grad():
            y = model(swap(x).astype("int32" if tokens else "float32"), training=False)
        y = (y[0] if isinstance(y, (list, tuple)) else y).detach().cpu().numpy()
        return {"probabilities" if bent else "logits" if head else "output": swap(y) if y.ndim == 3 else y}
    return Written("keras", tokens, True, run)


def open_tensors(path):
    """({name: array}, metadata) of a file in PyTorch's convention."""
    if path.endswith(".npz"):
        with np.load(path) as file:
            tensors = {k: file[k] for k in file.files}
        text = tensors.pop("__metadata__", None)
        return tensors, json.loads(bytes(text).decode()) if text is not None else {}
    import torch
    state = torch.load(path, weights_only=True)
    return {k: v.numpy() for k, v in state.items()}, {}


def run_copy(path, inputs):
    """What a file gives that may be the original itself, on the model's own inputs; None where it is not."""
    if path.endswith(".onnx"):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        if names != [f"x{i}" for i in range(len(inputs))]:
            return None
        return session.run(None, dict(zip(names, inputs)))
    import keras
    import torch
    model = keras.saving.load_model(path, compile=False)
    if len(model.inputs) != len(inputs) or any(len(i.shape) != np.ndim(x) for i, x in zip(model.inputs, inputs)):
        return None
    if any(i.shape[2:] != x.shape[2:] for i, x in zip(model.inputs, inputs)):
        return None
    with torch.no_grad():
        result = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    return [v.detach().cpu().numpy() for v in (result if isinstance(result, (list, tuple)) else [result])]


def open_network(path):
    return open_onnx(path) if path.endswith(".onnx") else open_keras(path)
