"""Writes what your own model computes into one file, so that rnn-verify can say whether Swift agrees.

    from recurrent_capture import capture

    capture(model, x, "model.npz")                               # PyTorch: outputs and gradients
    capture(model, x, "model.npz", targets=y, loss="cross_entropy")
    capture(keras_model, x, "keras.npz")                         # Keras, on any backend
    capture("model.onnx", x, "onnx.npz")                         # ONNX Runtime: outputs

    rnn-verify model.npz

One file: copy it beside your code. It needs NumPy and the framework that made the model. The model may
be a recurrent layer (or a stack of them), with an embedding before it and a linear layer after it, or
without; anything else between input and output cannot be expressed in a fixture and is refused with a
CaptureError that says what to capture instead. Weights are written in PyTorch's layout whatever the
framework. The model itself is not changed.
"""
import copy
import json
import os
import sys
import time
import zipfile

import numpy as np

__all__ = ["CaptureError", "capture"]

LOSSES = ("cross_entropy", "mse", "bce_with_logits")
REDUCTIONS = ("mean", "sum")


class CaptureError(ValueError):
    """The model or its inputs cannot be expressed in a fixture."""


def capture(model, x, *more, path=None, lengths=None, targets=None, loss=None, reduction="mean",
            ignore_index=-100, gradients=None, seed=0, name=None, class_names=None, overwrite=False, double=False,
            advice=True):
    """Runs `model` on `x` and writes a fixture; returns its path.

    model: a PyTorch module, a Keras model or layer, an onnxruntime.InferenceSession made from a file, or
        the path of an ONNX file.
    x: the first input: features, or token ids for a model with an embedding.
    more: further inputs of the model's own call (initial states, say), and at the end the path.
    lengths: valid steps of each row (PyTorch layers alone; a model that packs says so itself).
    targets, loss: what gradients are of: "cross_entropy", "mse" or "bce_with_logits" of the linear
        layer's output (of the recurrent layer's without one), with `reduction` "mean" or "sum".
        Without targets, gradients are of sum(output * g) with a random g drawn from `seed`.
    gradients: False leaves them out; True insists. ONNX Runtime has none. A frozen parameter has none either,
        and rnn-verify counts it as absent.
    double: compute in double precision with a copy of a PyTorch model, so that rnn-verify notices changes
        that single precision hides.
    advice: of a PyTorch model, say in one line on stderr which weights could change by 1 % of the largest one
        without being noticed, and what to do about it; rnn-verify --power says it of every fixture.
    class_names: what the linear layer's outputs are called on the pages of rnn-verify --html, a text for each.
    """
    if path is None and more and isinstance(more[-1], (str, os.PathLike)):
        path, more = more[-1], more[:-1]
    if path is None:
        raise CaptureError("where to? capture(model, x, \"fixture.npz\")")
    path = os.fspath(path)
    if not path.endswith(".npz"):
        raise CaptureError(f"a fixture is an .npz file, not {path!r}")
    if os.path.exists(path) and not overwrite:
        raise CaptureError(f"{path} exists; pass overwrite=True to replace it")
    if (targets is None) != (loss is None):
        raise CaptureError("targets and loss go together")
    if loss is not None and loss not in LOSSES:
        raise CaptureError(f"loss {loss!r} is none of {', '.join(LOSSES)}")
    if reduction not in REDUCTIONS:
        raise CaptureError(f"reduction {reduction!r} is none of {', '.join(REDUCTIONS)}")
    wish = Wish(targets, loss, reduction, ignore_index, gradients, seed)
    kind = framework(model)
    if double:
        if kind != "torch":
            raise CaptureError("double= is for PyTorch models; build others in float64 themselves")
        model, x, more = in_double(model, x, more)
    if kind == "torch":
        config, tensors = capture_torch(model, x, more, lengths, wish)
    elif lengths is not None:
        raise CaptureError("lengths= is for PyTorch layers; give other models their own input for it")
    elif kind == "keras":
        config, tensors = capture_keras(model, x, more, wish)
    else:
        config, tensors = capture_onnx(model, x, more, wish)
    config = {"schema": 1, "name": name or os.path.basename(path)[:-4], **config}
    if class_names is not None:
        config["class_names"] = names_of_classes(class_names, tensors)
    write(path, config, tensors)
    if kind == "torch" and advice:
        def again(changed):
            fresh = Wish(targets, loss, reduction, ignore_index, gradients, seed)
            return capture_torch(changed, x, more, lengths, fresh)[1]
        blind = unnoticed(model, tensors, again)
        if blind:
            ways = advised(model, tensors)
            print(f"{os.path.basename(path)}: a change of 1 % of the largest weight could go unnoticed in "
                  f"{', '.join(blind)}; {ways} would show it", file=sys.stderr)
    return path


class Wish:
    """What gradients are asked for."""

    def __init__(self, targets, loss, reduction, ignore_index, gradients, seed):
        self.targets = None if targets is None else array(targets, "targets")
        self.loss, self.reduction, self.ignore_index = loss, reduction, ignore_index
        self.gradients = gradients is not False
        self.insists = gradients is True or targets is not None
        self.random = np.random.default_rng(seed)

    def upstream(self, shape, dtype):
        return self.random.standard_normal(shape).astype(dtype)

    def config(self):
        if self.loss is None:
            return {"kind": "vjp"}
        said = {"kind": self.loss, "reduction": self.reduction}
        return {**said, "ignore_index": self.ignore_index} if self.loss == "cross_entropy" else said


def framework(model):
    if isinstance(model, (str, os.PathLike)):
        return "onnx"
    modules = [cls.__module__.split(".")[0] for cls in type(model).__mro__]
    for word, kind in (("keras", "keras"), ("tf_keras", "keras"), ("torch", "torch"),
                       ("onnxruntime", "onnx"), ("onnx", "onnx")):
        if word in modules:
            return kind
    raise CaptureError(f"{type(model).__name__} is no PyTorch module, Keras model or ONNX model")


def array(value, what):
    """A NumPy array of whatever the framework calls an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    result = np.asarray(value)
    if result.dtype == object or result.dtype.kind not in "fiub":
        raise CaptureError(f"{what} holds {result.dtype}, not numbers")
    return result


def said_of_modules(recurrent, embedding, head, reads):
    """What the config says of the parts: their names under weights/, and what the head reads of the results."""
    names = {"recurrent": recurrent, "embedding": embedding, "head": head}
    said = {"head": "linear" if head else "none"}
    if reads:
        said["head_reads"] = reads
    if any(names.values()):
        said["modules"] = {key: name for key, name in names.items() if name}
    return said


def names_of_classes(names, tensors):
    """The names as a list of texts, one for each of the linear layer's outputs."""
    names = [names] if isinstance(names, str) else list(names)
    if not all(isinstance(name, str) for name in names):
        raise CaptureError("class_names holds something that is no text")
    logits = tensors.get("outputs/logits", tensors.get("outputs/probabilities"))
    if logits is None:
        raise CaptureError("class_names are for a model with a linear layer behind the recurrent one")
    if len(names) != logits.shape[-1]:
        raise CaptureError(f"{len(names)} class_names for {logits.shape[-1]} classes")
    return names


def same(a, b):
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def write(path, config, tensors):
    """Everything or nothing: a file beside the target, moved over it at the end."""
    text = json.dumps(config, ensure_ascii=False).encode("utf-8")
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with zipfile.ZipFile(temporary, "x") as archive:
            for key, value in {"config": np.frombuffer(text, dtype=np.uint8), **tensors}.items():
                with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.array(value, order="C"), allow_pickle=False)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


# ---- PyTorch -----------------------------------------------------------------------------------------


def capture_torch(module, x, more, lengths, wish):
    import torch
    from torch import nn
    from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

    if isinstance(module, nn.RNNCellBase):
        raise CaptureError("a cell makes one step: copy its parameters into nn.RNN, nn.LSTM or nn.GRU")
    named = dict(module.named_modules())
    found = [(key, part) for key, part in named.items() if isinstance(part, nn.RNNBase)]
    if len(found) != 1:
        raise CaptureError(f"the module has {len(found)} recurrent layers (nn.RNN, nn.LSTM, nn.GRU); "
                           "a fixture has one: capture each alone")
    rnn = found[0][1]
    embeddings = [part for part in named.values() if isinstance(part, (nn.Embedding, nn.EmbeddingBag))]
    heads = [part for part in named.values() if isinstance(part, nn.Linear)]
    covered = {id(p) for part in (rnn, *embeddings[:1], *heads[:1]) for p in part.parameters()}
    alone = f'capture the recurrent layer alone: capture(model.{found[0][0] or "rnn"}, …)'
    for key, parameter in module.named_parameters():
        if id(parameter) not in covered:
            raise CaptureError(f"parameter {key} belongs to no single embedding, recurrent layer or "
                               f"linear layer; {alone}")
    if module.training and rnn.dropout:
        raise CaptureError("the module is in training mode with dropout; call module.eval() first")
    for key, part in named.items():
        if module.training and isinstance(part, nn.modules.dropout._DropoutNd) and part.p:
            raise CaptureError(f"{key} drops out in training mode; call module.eval() first")
    dtype = rnn.weight_ih_l0.dtype
    if dtype not in (torch.float32, torch.float64):
        raise CaptureError(f"weights of type {dtype}; call module.float() or module.double() first")

    seen = {}

    def remember(key):
        def hook(part, given, result):
            if key in seen:
                raise CaptureError(f"the {key} runs more than once in a call; {alone}")
            seen[key] = given, result
        return hook

    parts = {"recurrent layer": rnn, **dict(zip(("embedding",), embeddings)),
             **dict(zip(("linear layer",), heads))}
    hooks = [part.register_forward_hook(remember(key)) for key, part in parts.items()]
    leaf = x if isinstance(x, torch.Tensor) else torch.as_tensor(np.asarray(x))
    leaf = leaf.detach().clone()
    if leaf.is_floating_point():
        leaf.requires_grad_()
    try:
        given = leaf
        if lengths is not None:
            if module is not rnn:
                raise CaptureError("lengths= is for a recurrent layer alone; this module packs by itself")
            given = pack_padded_sequence(
                leaf, torch.as_tensor(np.asarray(lengths)), rnn.batch_first, enforce_sorted=False)
        with torch.enable_grad():
            fresh = [leaves(torch, value) for value in more]
            module(given, *fresh)
    finally:
        for hook in hooks:
            hook.remove()
    for key in parts:
        if key not in seen:
            raise CaptureError(f"the module did not use its {key}; {alone}")

    (read, *state), (output, final) = seen["recurrent layer"]
    h_n, c_n = final if isinstance(final, tuple) else (final, None)
    h_0, c_0 = (None, None) if not state or state[0] is None else (
        state[0] if isinstance(state[0], tuple) else (state[0], None))
    ids, vectors = None, None
    if embeddings:
        part = embeddings[0]
        if not isinstance(part, nn.Embedding) or part.max_norm is not None:
            raise CaptureError("only nn.Embedding without max_norm can be expressed")
        (ids,), vectors = seen["embedding"]
    valid, padded = None, read
    steps = (ids if ids is not None else leaf).shape
    steps = steps[1 if rnn.batch_first and len(steps) > 1 else 0]
    if isinstance(read, PackedSequence):
        padded, valid = pad_packed_sequence(read, rnn.batch_first, total_length=steps)
        output, _ = pad_packed_sequence(output, rnn.batch_first, total_length=steps)
        valid = valid.numpy()
    first = vectors if vectors is not None else leaf
    if not same_valid(array(padded, "x"), array(first, "x"), valid, rnn.batch_first):
        source = "the embedding writes" if vectors is not None else "the module is given"
        raise CaptureError(f"what {source} is changed before the recurrent layer reads it; {alone}")

    output_array = array(output, "output")
    logits, reads = None, None
    if heads:
        (read_by_head,), logits = seen["linear layer"]
        got, last = array(read_by_head, "head"), last_step(output_array, valid, rnn.batch_first)
        # The final states of the top layer, forward then backward; of one direction this is the last step.
        final = np.concatenate(list(array(h_n, "h_n")[-2 if rnn.bidirectional else -1:]), -1)
        if same_valid(got, output_array, valid, rnn.batch_first):
            reads = "sequence"
        elif same(got, last) or same(got, final):
            reads = "last" if same(got, last) else "final"
        else:
            raise CaptureError("what the recurrent layer writes is changed before the linear layer reads it "
                               f"(only all steps, each row's last, or the final states); {alone}")

    keys = {id(p): key for key, p in (rnn if module is rnn else module).named_parameters()}
    mode = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "LSTM": "lstm", "GRU": "gru"}[rnn.mode]
    config = {"source": f"torch {torch.__version__}", "cell": mode, "batch_first": rnn.batch_first,
              **said_of_modules(*(next((key for key, own in named.items() if own is part), "")
                                  for part in (rnn, *(embeddings[:1] or [None]), *(heads[:1] or [None]))),
                                reads)}
    if embeddings and embeddings[0].padding_idx is not None:
        config["padding_idx"] = embeddings[0].padding_idx
    parameters = {}
    for part in (*embeddings[:1], rnn, *heads[:1]):
        for parameter in part.parameters():
            parameters[keys[id(parameter)]] = parameter
    tensors = {f"weights/{key}": array(p, key) for key, p in parameters.items()}
    tensors["inputs/x"] = array(ids if ids is not None else leaf, "x")
    for key, value in (("h_0", h_0), ("c_0", c_0)):
        if value is not None:
            tensors[f"inputs/{key}"] = array(value, key)
    if valid is not None:
        tensors["inputs/lengths"] = valid.astype(np.int64)
    for key, value in (("output", output), ("h_n", h_n), ("c_n", c_n), ("logits", logits)):
        if value is not None:
            tensors[f"outputs/{key}"] = array(value, key)
    if not wish.gradients:
        return config, tensors

    # Sums and indices only, so that the framework differentiates its own model and nothing of ours.
    config["loss"] = wish.config()
    if wish.loss is None:
        total = 0
        for key, value in (("output", output), ("h_n", h_n), ("c_n", c_n)):
            if value is not None:
                upstream = wish.upstream(tuple(value.shape), tensors[f"outputs/{key}"].dtype)
                if key == "output" and valid is not None:
                    upstream = masked(upstream, valid, rnn.batch_first)
                tensors[f"inputs/grad_{key}"] = upstream
                total = total + (value * torch.from_numpy(upstream).to(value.device)).sum()
        wanted = {key: p for key, p in parameters.items()
                  if not any(p is q for part in heads for q in part.parameters())}
    else:
        source = logits if logits is not None else output
        config["loss"]["steps"] = steps_of(source, output)
        if config["loss"]["steps"] == "all" and valid is not None and wish.loss != "cross_entropy":
            raise CaptureError(f"{wish.loss} over padded steps: use cross_entropy with ignore_index")
        total = torch_loss(torch, source, wish)
        tensors["inputs/targets"] = wish.targets
        tensors["outputs/loss"] = array(total, "loss")
        wanted = parameters
    extra = {key: value for key, value in (("x", leaf), ("h_0", h_0), ("c_0", c_0))
             if value is not None and value.requires_grad}
    every = {**wanted, **extra}
    # A frozen parameter has no gradient; that is no mistake unless nothing else has one.
    every = {key: value for key, value in every.items() if value.requires_grad}
    if not every:
        if wish.insists:
            raise CaptureError("everything is frozen (requires_grad is False); capture with gradients=False, "
                               "or thaw something")
        return config, tensors
    results = torch.autograd.grad(total, list(every.values()), allow_unused=True)
    for (key, value), gradient in zip(every.items(), results):
        tensors[f"grads/{key}"] = array(torch.zeros_like(value) if gradient is None else gradient, key)
    return config, tensors


def in_double(module, x, more):
    """A copy of a module and its inputs in double precision; integers stay."""
    import torch

    def widened(value):
        if isinstance(value, (tuple, list)):
            return tuple(widened(part) for part in value)
        if not isinstance(value, (torch.Tensor, np.ndarray)):
            return value
        value = torch.as_tensor(value)
        return value.double() if value.is_floating_point() else value
    try:
        return copy.deepcopy(module).double(), widened(x), tuple(widened(value) for value in more)
    except Exception as error:
        raise CaptureError(f"the model cannot be copied ({error}); call model.double() yourself") from error


def unnoticed(module, tensors, again, seconds=1.0, each=3):
    """The weights of which a change of 1 % of the largest one would stay within tolerance, as far as a few
    elements of each show in a second: the model is run once more for each, on a copy. Of an embedding only
    the vectors of ids that occur are looked at."""
    import torch
    ids = tensors["inputs/x"]
    end = time.monotonic() + seconds
    try:
        twin = copy.deepcopy(module)
    except Exception:  # what cannot be copied gets no advice; it must not be changed
        return []
    parameters, found = dict(twin.named_parameters()), []
    tables = {id(part.weight): part.padding_idx for part in twin.modules() if isinstance(part, torch.nn.Embedding)}
    for key in (name.removeprefix("weights/") for name in tensors if name.startswith("weights/")):
        parameter = parameters[key]
        flat = parameter.data.view(-1) if parameter.data.is_contiguous() else parameter.data.reshape(-1)
        change = 0.01 * flat.abs().max()
        if not change or flat.data_ptr() != parameter.data_ptr():
            continue
        places = range(len(flat))
        if id(parameter) in tables and ids.dtype.kind in "iu":
            width = parameter.shape[1]
            places = [row * width + i for row in np.unique(ids) if row != tables[id(parameter)] for i in range(width)]
        for index in sorted({places[(2 * i + 1) * len(places) // (2 * each)] for i in range(each)} if places else ()):
            if time.monotonic() > end:
                return found
            before = flat[index].clone()
            with torch.no_grad():
                flat[index] += change
            same = within_tolerance(tensors, again(twin))
            with torch.no_grad():
                flat[index] = before
            if same:
                found.append(key)
                break
    return found


def within_tolerance(expected, computed):
    """Whether rnn-verify's tolerances of these element types let the one pass for the other."""
    for name, wanted in expected.items():
        if not name.startswith(("outputs/", "grads/")):
            continue
        wanted, got = np.asarray(wanted), np.asarray(computed[name])
        double = expected[next(n for n in expected if n.startswith("weights/"))].dtype == np.float64
        if name.startswith("grads/"):
            allowed = (1e-11 if double else 1e-5) * np.max(np.abs(wanted), initial=0)
        else:
            allowed = (1e-12 if double else 2e-6) + (1e-10 if double else 1.3e-6) * np.abs(wanted)
        if np.any(np.abs(got - wanted) > allowed):
            return False
    return True


def advised(module, tensors):
    """What would make a fixture of the same model notice more."""
    ways = []
    if next(v for n, v in tensors.items() if n.startswith("weights/")).dtype != np.float64:
        ways.append("double=True")
    if not any(name.startswith("grads/") for name in tensors):
        ways.append("gradients")
    return ", ".join(ways + ["more or other inputs"]).replace(", more or", " or more or")


def leaves(torch, value):
    if isinstance(value, (tuple, list)):
        return tuple(leaves(torch, part) for part in value)
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.detach().clone().requires_grad_()
    return value


def torch_loss(torch, source, wish):
    from torch.nn import functional as F
    targets = torch.from_numpy(np.ascontiguousarray(wish.targets)).to(source.device)
    if wish.loss == "cross_entropy":
        if targets.is_floating_point():
            return F.cross_entropy(source.reshape(-1, source.shape[-1]),
                                   targets.reshape(-1, source.shape[-1]), reduction=wish.reduction)
        return F.cross_entropy(source.reshape(-1, source.shape[-1]), targets.reshape(-1),
                               ignore_index=wish.ignore_index, reduction=wish.reduction)
    if tuple(targets.shape) != tuple(source.shape):
        raise CaptureError(f"targets {tuple(targets.shape)} for outputs {tuple(source.shape)}")
    function = F.mse_loss if wish.loss == "mse" else F.binary_cross_entropy_with_logits
    return function(source, targets.to(source.dtype), reduction=wish.reduction)


def steps_of(source, output):
    return "all" if len(source.shape) == len(output.shape) else "last"


def masked(values, valid, batch_first):
    rows = np.arange(values.shape[1 if batch_first else 0])
    keep = rows[None, :] < valid[:, None]
    return values * (keep if batch_first else keep.T)[..., None].astype(values.dtype)


def same_valid(a, b, valid, batch_first):
    if a.shape != b.shape:
        return False
    return same(a, b) if valid is None else same(masked(a, valid, batch_first),
                                                 masked(b, valid, batch_first))


def last_step(output, valid, batch_first):
    if output.ndim == 2:
        return output[-1]
    rows = output if batch_first else output.swapaxes(0, 1)
    ends = [rows.shape[1]] * len(rows) if valid is None else valid
    return np.stack([row[end - 1] for row, end in zip(rows, ends)])


# ---- Keras -------------------------------------------------------------------------------------------


def capture_keras(model, x, more, wish):
    import importlib
    keras = importlib.import_module(
        "tf_keras" if any(c.__module__.startswith("tf_keras") for c in type(model).__mro__) else "keras")
    if not hasattr(keras, "StatelessScope"):
        raise CaptureError("Keras 2 cannot be captured; load the model with Keras 3")
    if more:
        raise CaptureError("a Keras model is captured from its one input, without initial states")
    x = array(x, "x")
    chain = keras_chain(keras, model)
    ids, recurrent, head = keras_parts(keras, chain)
    layers = [keras_layer(keras, layer) for layer in recurrent]
    first = layers[0]
    for layer in layers[1:]:
        if (layer["cell"], layer["reset"], layer["units"], len(layer["halves"]), layer["bias"]) != (
                first["cell"], first["reset"], first["units"], len(first["halves"]), first["bias"]):
            raise CaptureError("recurrent layers of different kinds or sizes are no single stack; "
                               "capture each alone")
    config = {"source": f"keras {keras.__version__} on {keras.backend.backend()}",
              "cell": first["cell"], "batch_first": True,
              **said_of_modules("rnn", "embedding" if ids else "", "classifier" if head else "",
                                head and ("sequence" if returns_sequences(recurrent[-1]) else "final"))}
    if first["cell"] == "gru":
        config["gru_reset"] = first["reset"]

    # The user's layers, made to return what they usually throw away.
    twins = [keras_twin(keras, layer, x, i) for i, layer in enumerate(recurrent)]
    last_only = not returns_sequences(recurrent[-1])
    linear = head and head.activation.__name__

    def run(value):
        current = ids(value) if ids else value
        states = []
        for twin in twins:
            current, *final = twin(current)
            states.append(final)
        read = current
        if last_only:
            read = states_to_output(keras, states[-1], len(first["halves"]), first["cell"])
        logits = None
        if head:
            logits = keras.ops.matmul(read, head.kernel)
            if head.bias is not None:
                logits = logits + head.bias
        return current, states, read, logits

    run(x if ids else x.astype(keras_dtype(layers)))
    for twin, layer in zip(twins, recurrent):
        twin.set_weights(layer.get_weights())
    variables = []
    for part in ([ids] if ids else []) + twins + ([head] if head else []):
        variables += part.weights
    variables = [v for v in variables if "seed" not in v.path]
    if not ids:
        x = x.astype(keras_dtype(layers))
    current, states, read, logits = run(x)
    output = keras_array(keras, current)
    answer = logits if head else read
    if head and linear in ("softmax", "sigmoid"):
        answer = getattr(keras.activations, linear)(logits)
    elif head and linear != "linear":
        raise CaptureError(f"a Dense layer with activation {linear}; linear, softmax or sigmoid")
    own = model(x, training=False)
    own = keras_array(keras, own[0] if isinstance(own, (list, tuple)) else own)
    if own.shape != tuple(answer.shape) or not np.allclose(
            own, keras_array(keras, answer), rtol=1e-4, atol=1e-5):
        raise CaptureError("the model computes something else than its embedding, recurrent layers and "
                           "Dense layer one after the other; capture a layer alone")

    tensors = keras_weights(keras, layers, twins, ids, head, lambda v: keras_array(keras, v))
    tensors = {f"weights/{key}": value for key, value in tensors.items()}
    tensors["inputs/x"] = x
    tensors["outputs/output"] = output
    h_n, c_n = final_states(keras, states, first)
    tensors["outputs/h_n"] = h_n
    if c_n is not None:
        tensors["outputs/c_n"] = c_n
    if head:
        tensors["outputs/logits"] = keras_array(keras, logits)
    if head and linear == "softmax":
        tensors["outputs/probabilities"] = own
    if not wish.gradients:
        return config, tensors

    config["loss"] = wish.config()
    if wish.loss is None:
        upstream = wish.upstream(output.shape, output.dtype)
        tensors["inputs/grad_output"] = upstream

        def objective(value):
            return keras.ops.sum(run(value)[0] * keras.ops.convert_to_tensor(upstream))
    else:
        config["loss"]["steps"] = "last" if last_only else "all"
        tensors["inputs/targets"] = wish.targets
        objective = keras_loss(keras, wish, lambda value: run(value)[3 if head else 2])
    value, slopes, dx = keras_gradients(keras, objective, variables, x, differentiate_x=not ids)
    by_variable = {id(v): g for v, g in zip(variables, slopes)}
    if wish.loss is not None:
        tensors["outputs/loss"] = value
    named = keras_weights(keras, layers, twins, ids, head if wish.loss else None,
                          lambda v: by_variable[id(v)], gradients=True)
    tensors.update({f"grads/{key}": gradient for key, gradient in named.items()})
    if dx is not None:
        tensors["grads/x"] = dx
    return config, tensors


def keras_array(keras, value):
    return np.array(keras.ops.convert_to_numpy(value))


def keras_dtype(layers):
    return layers[0]["dtype"]


def returns_sequences(layer):
    return layer.return_sequences


def keras_chain(keras, model):
    """The layers that compute, in order; refuses a graph with branches."""
    if not isinstance(model, keras.Model):
        return [model]
    chain = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.Sequential):
            chain += keras_chain(keras, layer)
        else:
            chain.append(layer)
    return chain


def keras_parts(keras, chain):
    kinds = keras.layers
    ids, recurrent, head = None, [], None
    for layer in chain:
        inner = layer.layer if isinstance(layer, kinds.TimeDistributed) else layer
        if isinstance(layer, (kinds.Dropout, kinds.SpatialDropout1D, kinds.GaussianNoise)):
            continue  # nothing, outside training
        if isinstance(layer, kinds.Embedding) and not recurrent and ids is None:
            if layer.mask_zero:
                raise CaptureError(f"{layer.name} masks zeros, and Keras repeats states there; pass "
                                   "mask_zero=False, or rows of one length without padding")
            ids = layer
        elif isinstance(layer, (kinds.RNN, kinds.Bidirectional)) and head is None:
            recurrent.append(layer)
        elif isinstance(inner, kinds.Dense) and recurrent and head is None:
            head = inner
        elif isinstance(layer, kinds.Activation) and layer is chain[-1] and head is not None:
            raise CaptureError(f"give the activation of {layer.name} to the Dense layer itself")
        else:
            raise CaptureError(f"{layer.name} ({type(layer).__name__}) cannot be expressed: an "
                               "embedding, recurrent layers and one Dense layer can; capture a "
                               "recurrent layer alone")
    if not recurrent:
        raise CaptureError("the model has no SimpleRNN, LSTM or GRU")
    for layer in recurrent[:-1]:
        if not returns_sequences(layer):
            raise CaptureError(f"{layer.name} hands only its last step on; a stack needs "
                               "return_sequences=True")
    return ids, recurrent, head


def keras_layer(keras, layer):
    """What a layer is, in a fixture's words; refuses what a fixture has no word for."""
    kinds = keras.layers
    halves = [layer]
    if isinstance(layer, kinds.Bidirectional):
        if layer.merge_mode != "concat":
            raise CaptureError(f"{layer.name} merges by {layer.merge_mode}; only concat")
        halves = [layer.forward_layer, layer.backward_layer]
    half = halves[0]
    names = {kinds.SimpleRNN: "rnn", kinds.LSTM: "lstm", kinds.GRU: "gru"}
    cell = next((word for kind, word in names.items() if isinstance(half, kind)), None)
    if cell is None:
        raise CaptureError(f"{layer.name} is no SimpleRNN, LSTM or GRU")
    if len(halves) == 1 and half.go_backwards:
        raise CaptureError(f"{layer.name} goes backwards; only Bidirectional does")
    if half.stateful:
        raise CaptureError(f"{layer.name} is stateful, which hides its initial state")
    activation = half.activation.__name__
    reset = "after"
    if cell == "rnn":
        if activation not in ("tanh", "relu"):
            raise CaptureError(f"{layer.name} has activation {activation}; tanh or relu")
        cell = f"rnn_{activation}"
    else:
        if activation != "tanh" or half.recurrent_activation.__name__ != "sigmoid":
            raise CaptureError(f"{layer.name} has activations {activation} and "
                               f"{half.recurrent_activation.__name__}; only tanh and sigmoid")
        if cell == "gru" and not half.reset_after:
            reset = "before"
    return {"cell": cell, "reset": reset, "units": half.units, "halves": halves,
            "bias": half.use_bias, "dtype": half.variable_dtype, "layer": layer}


def keras_twin(keras, layer, x, position):
    config = layer.get_config()
    # A layer of its own with a name of its own; the weights are copied over.
    config["name"] = f"captured_{position}"
    if isinstance(layer, keras.layers.Bidirectional):
        for half in ("layer", "backward_layer"):
            if config.get(half):
                config[half]["config"].update(return_sequences=True, return_state=True, unroll=False)
    else:
        config.update(return_sequences=True, return_state=True)
    for key in ("dropout", "recurrent_dropout"):
        if key in config:
            config[key] = 0.0
    return type(layer).from_config(config)


def states_to_output(keras, final, halves, cell):
    width = len(final) // halves
    return keras.ops.concatenate([final[i * width] for i in range(halves)], axis=-1)


def final_states(keras, states, first):
    width = 2 if first["cell"] == "lstm" else 1
    arrays = [[keras_array(keras, part) for part in final] for final in states]
    h_n = np.stack([final[i] for final in arrays for i in range(0, len(final), width)])
    c_n = np.stack([final[i + 1] for final in arrays for i in range(0, len(final), 2)]) if width == 2 else None
    return h_n, c_n


def keras_weights(keras, layers, twins, ids, head, read, gradients=False):
    """PyTorch's keys and layout: (gates·H, in), gates i f g o, r z n; two biases."""
    result = {}
    prefix = "rnn."
    if ids:
        result["embedding.weight"] = np.array(read(ids.embeddings))
    for number, (layer, twin) in enumerate(zip(layers, twins)):
        halves = [twin.forward_layer, twin.backward_layer] if len(layer["halves"]) == 2 else [twin]
        for half, suffix in zip(halves, ("", "_reverse")):
            key = f"l{number}{suffix}"
            gates = {"lstm": 4, "gru": 3}.get(layer["cell"], 1)
            order = (1, 0, 2) if gates == 3 else range(gates)  # Keras has z r h

            def rows(matrix):
                blocks = np.split(np.array(matrix), gates, axis=-1)
                return np.concatenate([blocks[g] for g in order], axis=-1)
            result[f"{prefix}weight_ih_{key}"] = rows(read(half.cell.kernel)).T
            result[f"{prefix}weight_hh_{key}"] = rows(read(half.cell.recurrent_kernel)).T
            if layer["bias"]:
                bias = np.array(read(half.cell.bias))
                if bias.ndim == 2:
                    result[f"{prefix}bias_ih_{key}"] = rows(bias[0])
                    result[f"{prefix}bias_hh_{key}"] = rows(bias[1])
                else:
                    # Keras has their sum: the second is zero, and both have its gradient.
                    result[f"{prefix}bias_ih_{key}"] = rows(bias)
                    result[f"{prefix}bias_hh_{key}"] = rows(bias) if gradients else 0 * rows(bias)
    if head is not None:
        result["classifier.weight"] = np.array(read(head.kernel)).T
        if head.bias is not None:
            result["classifier.bias"] = np.array(read(head.bias))
    return result


def keras_loss(keras, wish, answer):
    targets, ops = wish.targets, keras.ops

    def objective(value):
        logits = answer(value)
        if wish.loss == "cross_entropy":
            size = logits.shape[-1]
            flat = ops.reshape(logits, (-1, size))
            scores = flat - ops.logsumexp(flat, axis=-1, keepdims=True)
            if targets.dtype.kind == "f":
                soft = ops.convert_to_tensor(targets.reshape(-1, size), dtype=logits.dtype)
                terms = -ops.sum(scores * soft, axis=-1)
                return ops.sum(terms) / (len(terms) if wish.reduction == "mean" else 1)
            labels = targets.reshape(-1)
            kept = labels != wish.ignore_index
            chosen = np.eye(size)[np.where(kept, labels, 0)] * kept[:, None]
            chosen = ops.convert_to_tensor(chosen, dtype=logits.dtype)
            total = -ops.sum(scores * chosen)
            return total / (int(kept.sum()) if wish.reduction == "mean" else 1)
        wanted = ops.convert_to_tensor(targets, dtype=logits.dtype)
        if wish.loss == "mse":
            terms = ops.square(logits - wanted)
        else:
            terms = ops.maximum(logits, 0) - logits * wanted + ops.log1p(ops.exp(-ops.abs(logits)))
        return ops.mean(terms) if wish.reduction == "mean" else ops.sum(terms)
    return objective


def keras_gradients(keras, objective, variables, x, differentiate_x):
    """The objective, its gradients by variables, and by x, with the backend's own differentiation."""
    backend = keras.backend.backend()

    def at(values, value):
        with keras.StatelessScope(state_mapping=list(zip(variables, values))):
            return objective(value)
    start = [keras_array(keras, v) for v in variables]
    if backend == "torch":
        import torch
        values = [torch.from_numpy(v).requires_grad_() for v in start]
        value = torch.from_numpy(np.array(x))
        if differentiate_x:
            value.requires_grad_()
        with torch.enable_grad():
            total = at(values, value)
        wanted = values + ([value] if differentiate_x else [])
        slopes = torch.autograd.grad(total, wanted, allow_unused=True)
        slopes = [torch.zeros_like(w) if s is None else s for w, s in zip(wanted, slopes)]
        total, slopes = total.detach().numpy(), [s.detach().numpy() for s in slopes]
    elif backend == "jax":
        import jax
        place = (0, 1) if differentiate_x else 0
        total, slopes = jax.value_and_grad(at, argnums=place)(start, x)
        slopes = [*slopes[0], slopes[1]] if differentiate_x else list(slopes)
    elif backend == "tensorflow":
        import tensorflow as tf
        values, value = [tf.constant(v) for v in start], tf.constant(x)
        wanted = values + ([value] if differentiate_x else [])
        with tf.GradientTape() as tape:
            for w in wanted:
                tape.watch(w)
            total = at(values, value)
        slopes = tape.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        slopes = [tf.convert_to_tensor(s).numpy() for s in slopes]
    else:
        raise CaptureError(f"no gradients on Keras's backend {backend}; pass gradients=False")
    slopes = [np.array(s) for s in slopes]
    dx = slopes.pop() if differentiate_x else None
    return np.array(total), slopes, dx


# ---- ONNX Runtime ------------------------------------------------------------------------------------


def capture_onnx(model, x, more, wish):
    try:
        import onnx
        import onnxruntime
        from onnx import numpy_helper
    except ImportError as error:
        raise CaptureError(f"an ONNX model needs the packages onnx and onnxruntime ({error})") from None
    if wish.insists:
        raise CaptureError("ONNX Runtime has no gradients; capture the model in the framework that "
                           "trained it")
    if isinstance(model, onnxruntime.InferenceSession):
        if not model._model_path:
            raise CaptureError("a session that was not made from a file; pass the file's path")
        model = model._model_path
    if not isinstance(model, onnx.ModelProto):
        model = onnx.load(os.fspath(model))
    graph = model.graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(
                next(a.t for a in node.attribute if a.name == "value"))
    inputs = [i.name for i in graph.input if i.name not in constants]
    if len(inputs) != 1 + len(more):
        raise CaptureError(f"the model has inputs {', '.join(inputs)}; give a value for each")
    feeds = dict(zip(inputs, (array(value, key) for key, value in zip(inputs, (x, *more)))))
    nodes = [node for node in graph.node if node.op_type in ("RNN", "LSTM", "GRU")]
    if not nodes:
        raise CaptureError("the graph has no RNN, LSTM or GRU node")

    # Every value of the graph becomes an output, so that what flows can be followed by its numbers.
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    own = [output.name for output in graph.output]
    names = list(dict.fromkeys(n for node in graph.node for n in node.output if n))
    probe.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in own)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [o.name for o in session.get_outputs()]
    values = {**constants, **feeds, **dict(zip(wanted, session.run(wanted, feeds)))}
    # Weights that the graph turns around before it uses them are as fixed as those that it stores.
    for node in graph.node:
        if node.op_type in ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Split",
                            "Concat", "Cast") and all(not i or i in constants for i in node.input):
            constants.update((o, values[o]) for o in node.output if o)

    layers = [onnx_layer(onnx, node, values) for node in nodes]
    first = layers[0]
    for layer in layers[1:]:
        if any(layer[k] != first[k] for k in ("cell", "reset", "H", "directions", "bias")):
            raise CaptureError("recurrent nodes of different kinds or sizes are no single stack")
    current = first["X"]
    for layer in layers:
        if not same(layer["X"], current):
            raise CaptureError(f"what {layer['name']} reads is not what the one before it writes")
        current = layer["output"]
    lengths = first["lengths"]
    if any((l["lengths"] is None) != (lengths is None) for l in layers):
        raise CaptureError("sequence_lens of some recurrent nodes only")

    tensors, read = {}, first["X"]
    batch_first, ids = False, None
    given = feeds[inputs[0]]
    tables = [node for node in graph.node if node.op_type == "Gather" and node.input[0] in constants
              and given.dtype.kind in "iu" and same(values[node.input[1]].ravel(), given.ravel())]
    if tables:
        table, given = constants[tables[0].input[0]], given
        looked = table[given]
        ids = given
    else:
        looked = given
    if looked.ndim == 3 and not same(looked, read) and same(looked.swapaxes(0, 1), read):
        batch_first = True
    elif not same(looked, read):
        raise CaptureError(f"what the model is given ({inputs[0]}) is changed before "
                           f"{first['name']} reads it")
    prefix = "rnn."
    if tables:
        tensors["weights/embedding.weight"] = table
    for number, layer in enumerate(layers):
        for key, value in layer["weights"].items():
            tensors[f"weights/{prefix}{key.format(number)}"] = value
    tensors["inputs/x"] = given if ids is None else ids.astype(np.int64)
    if lengths is not None:
        tensors["inputs/lengths"] = lengths.astype(np.int64)
    h_0 = [layer["h_0"] for layer in layers]
    if any(h is not None for h in h_0):
        shape = (first["directions"], read.shape[1], first["H"])
        tensors["inputs/h_0"] = np.concatenate(
            [np.zeros(shape, read.dtype) if h is None else h for h in h_0])
    if first["cell"] == "lstm" and any(l["c_0"] is not None for l in layers):
        shape = (first["directions"], read.shape[1], first["H"])
        tensors["inputs/c_0"] = np.concatenate(
            [np.zeros(shape, read.dtype) if l["c_0"] is None else l["c_0"] for l in layers])
    turn = (lambda a: a.swapaxes(0, 1)) if batch_first else (lambda a: a)
    expected = {"output": turn(current)}
    if all(l["h_n"] is not None for l in layers):
        expected["h_n"] = np.concatenate([l["h_n"] for l in layers])
    if first["cell"] == "lstm" and all(l["c_n"] is not None for l in layers):
        expected["c_n"] = np.concatenate([l["c_n"] for l in layers])

    head, reads = None, None
    last = last_step(turn(current), lengths, batch_first)
    # The final states of the top layer, forward then backward; of one direction this is the last step.
    final = None if layers[-1]["h_n"] is None else np.concatenate(list(layers[-1]["h_n"]), -1)
    for node in graph.node:
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
            continue
        if head is not None:
            raise CaptureError("more than one linear layer after the recurrent ones")
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        weight, bias, result = constants[node.input[1]], None, values[node.output[0]]
        if node.op_type == "MatMul":
            weight = weight.T
            adds = [n for n in graph.node if n.op_type == "Add" and node.output[0] in n.input]
            if adds:
                other = next(i for i in adds[0].input if i != node.output[0])
                if other in constants:
                    bias, result = constants[other], values[adds[0].output[0]]
        else:
            if attributes.get("alpha", 1) != 1 or attributes.get("beta", 1) != 1 or attributes.get("transA"):
                raise CaptureError(f"{node.name or 'Gemm'} scales or transposes its input")
            weight = weight if attributes.get("transB") else weight.T
            bias = constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        given_to_head = values[node.input[0]]
        flat = turn(current).reshape(-1, current.shape[-1])
        time_first = current.reshape(-1, current.shape[-1])
        if same(given_to_head, turn(current)) or same(given_to_head, flat):
            logits, reads = result.reshape(*turn(current).shape[:-1], -1), "sequence"
        elif same(given_to_head, current) or same(given_to_head, time_first):
            logits, reads = turn(result.reshape(*current.shape[:-1], -1)), "sequence"
        elif same(given_to_head.reshape(last.shape) if given_to_head.size == last.size else
                  given_to_head, last):
            logits, reads = result.reshape(*last.shape[:-1], -1), "last"
        elif final is not None and given_to_head.size == final.size and same(
                given_to_head.reshape(final.shape), final):
            logits, reads = result.reshape(*final.shape[:-1], -1), "final"
        else:
            raise CaptureError("what the recurrent layers write is changed before the linear layer "
                               "reads it (only all steps, each row's last, or the final states)")
        head = weight, bias
        expected["logits"] = logits
        tensors["weights/classifier.weight"] = weight
        if bias is not None:
            tensors["weights/classifier.bias"] = bias
    if head is not None:
        powers = np.exp(expected["logits"] - expected["logits"].max(-1, keepdims=True))
        softmax = powers / powers.sum(-1, keepdims=True)
    for name in own:
        value = values[name]
        known = [*expected.values(), current, last, *(l[k] for l in layers for k in ("h_n", "c_n")
                                                     if l[k] is not None)]
        if any(value.size == k.size and same(np.sort(value.ravel()), np.sort(k.ravel())) for k in known):
            continue
        if head is not None and value.size == softmax.size and np.allclose(
                value.reshape(softmax.shape), softmax, rtol=1e-4, atol=1e-6):
            expected["probabilities"] = value.reshape(softmax.shape)
            continue
        raise CaptureError(f"output {name} is computed by something else than the recurrent layers and "
                           "a linear layer (with softmax or without)")
    tensors.update({f"outputs/{key}": value for key, value in expected.items()})
    config = {"source": f"onnxruntime {onnxruntime.__version__}", "cell": first["cell"],
              "batch_first": batch_first,
              **said_of_modules("rnn", "embedding" if tables else "", "classifier" if head else "", reads)}
    if first["cell"] == "gru":
        config["gru_reset"] = first["reset"]
    return config, tensors


def onnx_layer(onnx, node, values):
    """One recurrent node: its numbers, and its weights under PyTorch's keys."""
    name = node.name or node.op_type
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    given = [values[i] if i else None for i in node.input] + [None] * 8
    if attributes.get("layout", 0) or "clip" in attributes or attributes.get("input_forget", 0):
        raise CaptureError(f"{name} has layout, clip or input_forget, which no fixture expresses")
    direction = attributes.get("direction", b"forward").decode()
    if direction == "reverse":
        raise CaptureError(f"{name} runs in reverse only")
    directions = 2 if direction == "bidirectional" else 1
    defaults = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
    functions = [f.decode() for f in attributes.get("activations", [])] or \
        defaults[node.op_type] * directions
    cell = {"RNN": "rnn_tanh", "GRU": "gru", "LSTM": "lstm"}[node.op_type]
    if node.op_type == "RNN" and functions == ["Relu"] * directions:
        cell = "rnn_relu"
    elif functions != defaults[node.op_type] * directions:
        raise CaptureError(f"{name} has activations {', '.join(functions)}")
    if given[7] is not None and np.any(given[7]):
        raise CaptureError(f"{name} has peepholes, which PyTorch's LSTM has not")
    w, r, b = given[1:4]
    hidden, gates = r.shape[2], w.shape[1] // r.shape[2]
    # ONNX: i o f c; z r h.
    order = {1: [0], 3: [1, 0, 2], 4: [0, 2, 3, 1]}[gates]

    def rows(matrix):
        return np.concatenate([matrix[g * hidden:(g + 1) * hidden] for g in order])
    weights = {}
    for d in range(directions):
        suffix = "l{}" + ("_reverse" if d else "")
        weights[f"weight_ih_{suffix}"], weights[f"weight_hh_{suffix}"] = rows(w[d]), rows(r[d])
        if b is not None:
            weights[f"bias_ih_{suffix}"] = rows(b[d][:gates * hidden])
            weights[f"bias_hh_{suffix}"] = rows(b[d][gates * hidden:])
    outs = [values.get(o) if o else None for o in node.output] + [None] * 3
    if outs[0] is None:
        raise CaptureError(f"{name} does not write its sequence (Y)")
    steps, _, batch, _ = outs[0].shape
    lengths = given[4]
    if lengths is not None and np.all(lengths == steps):
        lengths = None
    return {"name": name, "cell": cell, "H": hidden, "directions": directions, "bias": b is not None,
            "reset": "after" if attributes.get("linear_before_reset", 0) else "before",
            "X": given[0], "lengths": lengths, "h_0": given[5], "c_0": given[6], "weights": weights,
            "output": outs[0].transpose(0, 2, 1, 3).reshape(steps, batch, -1),
            "h_n": outs[1], "c_n": outs[2]}
