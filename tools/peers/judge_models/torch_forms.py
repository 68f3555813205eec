"""A drafted PyTorch model: run, and saved in four forms."""
import linecache
import os
import random
import sys
import types
import warnings
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from .truth import Embedding, Linear, Recurrent, Truth

FORMS = ["state", "whole", "script", "onnx"]


class TorchModel:
    """A model from its draft, its inputs, and the truth about it."""

    def __init__(self, draft):
        self.draft, self.text = draft, draft.source()
        name = f"judge_net_{draft.seed}"
        scope = types.ModuleType(name)
        scope.__file__ = f"/judge/{name}.py"
        # TorchScript reads a class's text where tracebacks would.
        linecache.cache[scope.__file__] = (len(self.text), None, self.text.splitlines(True), scope.__file__)
        sys.modules[name] = scope
        exec(compile(self.text, scope.__file__, "exec"), scope.__dict__)
        torch.manual_seed(draft.seed)
        self.net = scope.Net().eval()
        with torch.no_grad():
            for module in self.net.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.running_mean.normal_()
                    module.running_var.uniform_(0.5, 2)
                if isinstance(module, nn.LayerNorm):
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.normal_()
        shape = (draft.rows, draft.steps) if draft.batch_first else (draft.steps, draft.rows)
        self.inputs = [torch.randint(0, n, shape) if kind == "tokens" else torch.randn(*shape, n)
                       for kind, n in draft.inputs]
        self.module_name = name
        self.truth = self.observe()

    def close(self):
        sys.modules.pop(self.module_name, None)
        linecache.cache.pop(f"/judge/{self.module_name}.py", None)

    def observe(self):
        """Runs the model and looks at every module's inputs and outputs."""
        calls, handles = {}, []
        watched = (nn.RNNBase, nn.Linear, nn.Embedding)
        def hook(name):
            def note(module, given, keywords, result):
                calls.setdefault(name, (given, keywords, result))
            return note
        for name, module in self.net.named_modules():
            if isinstance(module, watched):
                handles.append(module.register_forward_hook(hook(name), with_kwargs=True))
        with torch.no_grad():
            results = self.net(*self.inputs)
        for handle in handles:
            handle.remove()
        truth = Truth([array(x) for x in self.inputs], [array(t) for t in flat(results)], self.draft.batch_first)
        state = {k: array(v) for k, v in self.net.state_dict().items()}
        truth.tensors = state
        for name, module in self.net.named_modules():
            own = {k: array(v) for k, v in module.named_parameters(recurse=False)}
            if isinstance(module, nn.RNNCellBase):
                truth.cells[name] = own
                truth.cell_runs.append(cell_run(name, module, own, truth, len(self.inputs[0])))
            elif not isinstance(module, watched):
                truth.between += [name] if own else []
            elif name not in calls:
                truth.between.append(name)
            elif isinstance(module, nn.Linear):
                given, _, result = calls[name]
                truth.linear.append(Linear(name, array(given[0]), array(result), own))
            elif isinstance(module, nn.Embedding):
                given, _, result = calls[name]
                truth.embeddings.append(Embedding(name, array(given[0]), array(result), own))
            else:
                truth.recurrent.append(recurrent(name, module, calls[name], own, state))
        return truth.connect()

    def save(self, form, folder):
        """Writes one form and gives its path; None where PyTorch itself cannot."""
        pick = random.Random(f"{form} {self.draft.seed}").random()
        path = os.path.join(folder, f"{form}.pt")
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            if form == "state":
                return save_state(self.net.state_dict(), folder, pick)
            if form == "whole":
                torch.save(self.net, path)
            elif form == "script":
                try:
                    compiled = torch.jit.script(self.net) if pick < 0.6 else None
                except Exception:  # beyond its compiler
                    compiled = None
                compiled = compiled or torch.jit.trace(self.net, tuple(self.inputs), check_trace=False)
                self.saved = compiled.state_dict().keys()
                torch.jit.save(compiled, path)
            else:
                return self.export(folder)
        return path

    def known(self, form, path):
        """The truth as far as a form holds it: an exporter keeps what is used, and the names of what is called."""
        if form == "script":
            names = set(self.saved)
            return replace(self.truth, tensors={k: v for k, v in self.truth.tensors.items() if k in names})
        if form != "onnx":
            return self.truth
        import onnx
        from onnx import numpy_helper
        graph = onnx.load(path).graph
        held = [numpy_helper.to_array(t) for t in graph.initializer]
        held += [numpy_helper.to_array(a.t) for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t")]
        recurrent = {f"{r.name}.{k}".lstrip(".") for r in self.truth.recurrent for k in r.tensors}
        tensors = {k: v for k, v in self.truth.tensors.items() if k in recurrent or any(
            v.size == u.size and (np.array_equal(v.ravel(), u.ravel()) or v.ndim == 2 and np.array_equal(v.T.ravel(), u.ravel()))
            for u in held)}
        scopes = {n.name.rpartition("/")[0].strip("/").replace("/", ".") for n in graph.node if n.op_type in ("LSTM", "GRU", "RNN")}
        names = {}
        for r in self.truth.recurrent:
            parts = r.name.split(".")
            names[r.name] = next((s for s in (".".join(parts[i:]) for i in range(len(parts))) if s in scopes), "")
        taken = list(names.values())
        # A name that two would share is nobody's.
        return replace(self.truth, tensors=tensors).renamed({k: v if taken.count(v) == 1 else "" for k, v in names.items()})

    def export(self, folder):
        path = os.path.join(folder, "model.onnx")
        if "proj_size" in self.text:
            return None  # beyond its exporter
        axes = {0: "N", 1: "T"} if self.draft.batch_first else {0: "T", 1: "N"}
        names = [f"x{i}" for i in range(len(self.inputs))]
        try:
            torch.onnx.export(self.net, tuple(self.inputs), path, dynamo=False, input_names=names,
                              dynamic_axes={n: axes for n in names})
        except Exception:  # beyond its exporter
            return None
        return path


def recurrent(name, module, call, own, state):
    given, keywords, (output, final) = call
    first = (lambda a: np.swapaxes(a, 0, 1)) if module.batch_first else (lambda a: a)
    lstm = isinstance(module, nn.LSTM)
    h_n, c_n = final if lstm else (final, None)
    hx = given[1] if len(given) > 1 else keywords.get("hx")
    r = Recurrent(name, module.mode.lower(), first(array(given[0])), first(array(output)), array(h_n),
                  array(c_n) if lstm else None, module.batch_first, own)
    r.last = r.output[-1]
    directions = 2 if module.bidirectional else 1
    r.final = np.concatenate(list(r.h_n[-directions:]), 1)
    r.expressible = not module.proj_size
    if hx is not None:
        with torch.no_grad():
            y, zero = module(given[0])
        h, c = zero if lstm else (zero, None)
        r.from_zeros = first(array(y)), array(h), array(c) if lstm else None
        start = array(hx[0] if lstm else hx)
        r.stored_state = any(v.ndim == 3 and v.shape[1] == 1 and np.array_equal(
            np.broadcast_to(v, start.shape), start) for v in state.values() if v.shape[:1] == start.shape[:1]
            and v.shape[2:] == start.shape[2:])
    return r


def cell_run(name, module, own, truth, steps):
    """What a cell gives over a sequence: the first embedding's, where that is what it reads, or any other."""
    kind = {nn.LSTMCell: nn.LSTM, nn.GRUCell: nn.GRU}.get(type(module), nn.RNN)
    stack = kind(module.input_size, module.hidden_size, bias=module.bias)
    stack.load_state_dict({k + "_l0": v for k, v in module.state_dict().items()})
    fits = [e for e in truth.embeddings if e.output.shape[2] == module.input_size]
    x = fits[0].output if fits else np.random.default_rng(steps).normal(size=(5, 3, module.input_size)).astype("float32")
    with torch.no_grad():
        output, final = stack(torch.from_numpy(np.ascontiguousarray(x)))
    h_n, c_n = final if kind is nn.LSTM else (final, None)
    cell = {nn.LSTM: "lstm", nn.GRU: "gru"}.get(kind, "rnn_tanh")
    r = Recurrent(name, cell, x, array(output), array(h_n), array(c_n) if c_n is not None else None, False, own)
    r.ids, r.embedding = (fits[0].ids, fits[0].name) if fits else (None, "")
    r.last, r.final = r.output[-1], r.h_n[0]
    return r


def array(tensor):
    return tensor.detach().cpu().numpy().copy()


def flat(results):
    if isinstance(results, torch.Tensor):
        return [results]
    return [t for r in results for t in flat(r)]


def save_state(state, folder, pick):
    """A state dict in one of the containers that people use."""
    if pick < 0.55:
        path = os.path.join(folder, "state.pt")
        wrapped = {"epoch": 3, "model_state_dict": state} if pick < 0.1 else state
        torch.save(wrapped, path)
    elif pick < 0.7:
        from safetensors.torch import save_file
        path = os.path.join(folder, "state.safetensors")
        save_file({k: v.clone().contiguous() for k, v in state.items()}, path)
    elif pick < 0.85:
        import h5py
        path = os.path.join(folder, "state.h5")
        with h5py.File(path, "w", track_order=True) as file:
            for key, value in state.items():
                file[key] = value.numpy()
    else:
        path = os.path.join(folder, "state.npz")
        np.savez(path, **{k: v.numpy() for k, v in state.items()})
    return path
