"""A drafted Keras model: run, and saved in three containers."""
import os
import warnings

import numpy as np

from .truth import Embedding, Linear, Recurrent, Truth, same

FORMS = ["keras", "weights.h5", "h5"]


class KerasModel:
    """A model with random weights, its inputs, and the truth about it."""

    def __init__(self, draft):
        self.draft, self.net = draft, draft.model
        source = np.random.default_rng(draft.seed)
        self.net.set_weights([weight(source, w) for w in self.net.get_weights()])
        shape = (draft.rows, draft.steps)
        self.inputs = [source.integers(0, n, shape).astype("int32") if kind == "tokens" else
                       source.normal(size=(*shape, n)).astype("float32") for kind, n in draft.inputs]
        self.truth = self.observe()

    @property
    def text(self):
        return "\n".join(f"{layer.name}: {type(layer).__name__} {layer.get_config()}"[:400] for layer in self.net.layers)

    def close(self):
        pass

    def observe(self):
        """Runs the model and looks at every layer's inputs and outputs."""
        import keras
        import torch
        L, calls = keras.layers, []
        original = keras.layers.Layer.__call__

        def watching(layer, *given, **keywords):
            result = original(layer, *given, **keywords)
            calls.append((layer, given, keywords, result))
            return result
        keras.layers.Layer.__call__ = watching
        try:
            with torch.no_grad():
                result = self.net(*self.inputs, training=False)
        finally:
            keras.layers.Layer.__call__ = original
        truth = Truth(self.inputs, [array(t) for t in (result if isinstance(result, (list, tuple)) else [result])], True)
        inner = {id(v) for layer, *_ in calls for v in (getattr(layer, "forward_layer", None),
                                                        getattr(layer, "backward_layer", None), getattr(layer, "layer", None))}
        for layer, given, keywords, result in calls:
            if id(layer) in inner:
                continue
            if isinstance(layer, (L.Bidirectional, L.RNN)):
                truth.recurrent.append(recurrent(layer, given, keywords))
            elif isinstance(layer, L.Embedding):
                truth.embeddings.append(Embedding(layer.name, first(array(given[0])), first(array(result)), raw(layer)))
            elif isinstance(layer, (L.Dense, L.TimeDistributed)):
                truth.linear.append(dense(layer, given, result))
            elif layer.weights and not hasattr(layer, "layers"):
                truth.between.append(layer.name)
        truth.tensors = {w.path: array(w.value) for w in self.net.weights}
        truth.recurrent += chains(truth.recurrent)
        return truth.connect()

    def save(self, form, folder):
        path = os.path.join(folder, f"model.{form}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (self.net.save_weights if form == "weights.h5" else self.net.save)(path)
        return path

    def is_one(self, form):
        """Whether the file may be read as one stack: weights alone do not say that layers continue one another."""
        return form != "weights.h5" or sum(len(r.layers) == 1 for r in self.truth.recurrent) < 2

    def modules(self):
        """The names of the stacks: of layers that continue one another, the first one's."""
        later = {n for r in self.truth.recurrent for n in r.layers[1:]}
        return [r.name for r in self.truth.recurrent if len(r.layers) == 1 and r.name not in later]


def weight(source, w):
    return source.uniform(0.2, 0.9, w.shape).astype("float32") if w.ndim == 1 and np.all(w == 1) else \
        source.normal(size=w.shape).astype("float32") * 0.4


def array(tensor):
    return tensor.detach().cpu().numpy().copy() if hasattr(tensor, "detach") else np.asarray(tensor)


def first(a):
    """Time first."""
    return np.swapaxes(a, 0, 1) if a.ndim >= 2 else a


def raw(layer):
    return {w.path: array(w.value) for w in layer.weights}


def run_layer(layer, x, state):
    """(output at its own time, states) of one direction from zeros or a state."""
    copy = type(layer).from_config(layer.get_config() | {"return_sequences": True, "return_state": True, "name": "copy"})
    copy.build(x.shape)
    copy.set_weights(layer.get_weights())
    y, *states = copy(x, initial_state=state) if state is not None else copy(x)
    y = array(y)
    return first(y[:, ::-1] if layer.go_backwards else y), [array(s) for s in states]


def recurrent(layer, given, keywords):
    import torch
    x, state = given[0], keywords.get("initial_state", given[1] if len(given) > 1 else None)
    if isinstance(x, (list, tuple)):
        x, state = x[0], list(x[1:])
    both = hasattr(layer, "forward_layer")
    directions = [layer.forward_layer, layer.backward_layer] if both else [layer]
    if state is not None and not isinstance(state, (list, tuple)):
        state = [state]

    def run(state):
        with torch.no_grad():
            parts = [run_layer(v, x, state) for v in directions]
        h = np.stack([s[0] for _, s in parts])
        c = np.stack([s[1] for _, s in parts]) if len(parts[0][1]) > 1 else None
        return np.concatenate([y for y, _ in parts], 2), h, c
    output, h_n, c_n = run(state)
    kind = directions[0]
    cell = {"LSTM": "lstm", "GRU": "gru"}.get(type(kind).__name__, "rnn_relu" if getattr(kind.activation, "__name__", "") == "relu" else "rnn_tanh")
    r = Recurrent(layer.name, cell, first(array(x)), output, h_n, c_n, True, raw(layer))
    r.layers = [layer.name]
    r.last, r.final = output[-1], np.concatenate(list(h_n), 1)
    r.from_zeros = run(None) if state is not None else None
    usual = {"lstm": "tanh", "gru": "tanh"}.get(cell)
    r.expressible = not (usual and (kind.activation.__name__ != usual or kind.recurrent_activation.__name__ != "sigmoid")) \
        and getattr(kind, "reset_after", True) and (layer.merge_mode == "concat" if both else not kind.go_backwards)
    return r


def chains(found):
    """Stacks: layers of one kind, each of which reads the one before."""
    result = []
    for start in range(len(found)):
        chain = [found[start]]
        for r in found[start + 1:]:
            top = chain[-1]
            if (r.cell, r.h_n.shape) != (top.cell, top.h_n.shape) or r.from_zeros or not same(r.x, top.output):
                break
            chain.append(r)
            c_n = np.concatenate([v.c_n for v in chain]) if r.c_n is not None else None
            whole = Recurrent(chain[0].name, r.cell, chain[0].x, r.output, np.concatenate([v.h_n for v in chain]), c_n, True,
                              {k: t for v in chain for k, t in v.tensors.items()})
            whole.layers = [n for v in chain for n in v.layers]
            whole.last, whole.final = r.last, r.final
            whole.expressible = all(v.expressible for v in chain)
            result.append(whole)
    return result


def dense(layer, given, result):
    inner = getattr(layer, "layer", layer)
    x, y = array(given[0]), array(result)
    x, y = (first(x), first(y)) if x.ndim == 3 else (x, y)
    own = {"weight": array(inner.kernel.value).T.copy()} if hasattr(inner, "kernel") else {}
    if getattr(inner, "bias", None) is not None:
        own["bias"] = array(inner.bias.value)
    z = x @ own["weight"].T + own.get("bias", 0) if own else y
    return Linear(layer.name, x, z, own, activated=None if same(z, y) else y)
