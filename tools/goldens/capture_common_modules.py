#!/usr/bin/env python3
"""Writes fixtures/torch/common-modules: PyTorch's own test cases of its recurrent modules.

    PYTHONPATH=DIRECTORY_WITH_EXPECTTEST $(tools/peers/environment) tools/goldens/capture_common_modules.py [OUTPUT_DIRECTORY]

The cases are those of torch.testing._internal.common_modules, which imports the package `expecttest`
(`pip install --no-deps --target DIRECTORY expecttest==0.3.0`). Every module input becomes a fixture with
the gradients of random upstream gradients, half of them in float32 unless rounding decides the result. A cell is a sequence of one step with
`_l0` after its keys. Every error input becomes an entry of errors.json, with the text that PyTorch
raised just now. The bytes are the same on every run.
"""
import copy
import inspect
import json
import os
import re
import sys
import warnings
import zlib

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from torch_reference import DTYPES, SOURCE, arrays, deterministic, mover, within_a_quarter
from fixture_file import save

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_modules import ModuleErrorEnum, module_db
except ImportError as error:
    sys.exit(f"capture_common_modules: {error}\n{__doc__.split(chr(10) * 2)[2]}")

MODULES = (nn.RNN, nn.LSTM, nn.GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell)


def infos():
    found = {info.module_cls: info for info in module_db if info.module_cls in MODULES}
    return [found[module] for module in MODULES]


def cell_name(module):
    if isinstance(module, (nn.RNN, nn.RNNCell)):
        return f"rnn_{module.nonlinearity}"
    return "lstm" if isinstance(module, (nn.LSTM, nn.LSTMCell)) else "gru"


def called(cls, function_input):
    """The constructor call as one would write it."""
    parts = [repr(a) for a in function_input.args] + [f"{k}={v!r}" for k, v in function_input.kwargs.items()]
    return f"nn.{cls.__name__}({', '.join(parts)})"


def leaf(tensor):
    return tensor.detach().clone().requires_grad_()


def evaluate(module, args):
    """The named inputs, the leaves whose gradients are wanted, output and final states; padded."""
    is_cell, is_lstm = isinstance(module, nn.RNNCellBase), isinstance(module, (nn.LSTM, nn.LSTMCell))
    batch_first = not is_cell and module.batch_first
    x, extra = args[0], {}
    given = (args[1] if isinstance(args[1], tuple) else (args[1],)) if len(args) > 1 else ()
    inputs = dict(zip(("h_0", "c_0"), map(leaf, given)))
    states = tuple(inputs.values()) if is_lstm else inputs.get("h_0")
    if isinstance(x, PackedSequence):
        padded, lengths = pad_packed_sequence(x, batch_first=batch_first)
        inputs["x"], extra["lengths"] = leaf(padded), lengths
        x = nn.utils.rnn.pack_padded_sequence(inputs["x"], lengths, batch_first=batch_first)
    else:
        inputs["x"] = x = leaf(x)
    result = module(x, states or None) if not isinstance(states, torch.Tensor) else module(x, states)
    if is_cell:
        finals = list(result) if is_lstm else [result]
        output = finals[0]
    else:
        output, finals = result[0], list(result[1]) if is_lstm else [result[1]]
    if isinstance(output, PackedSequence):
        output, _ = pad_packed_sequence(output, batch_first=batch_first)
    return inputs, extra, output, finals


def draw(info, index, name, dtype):
    """The module and the arguments of its call."""
    torch.manual_seed(zlib.crc32(f"common-modules {info.module_cls.__name__}".encode()))
    sample = list(info.module_inputs_func(
        info, device="cpu", dtype=DTYPES[dtype], requires_grad=True, training=True,
        with_packed_sequence=True))[index]
    torch.manual_seed(zlib.crc32(name.encode()))
    constructor = sample.constructor_input
    module = info.module_cls(*constructor.args, **constructor.kwargs, dtype=DTYPES[dtype])
    assert not sample.forward_input.kwargs, name
    return module, sample.forward_input.args, called(info.module_cls, constructor)


def compute(module, args, upstream=None):
    """The groups of a fixture; a cell's vectors have a time or layer axis of one in front."""
    leaves, extra, output, finals = evaluate(module, args)
    values = dict(zip(("output", "h_n", "c_n"), (output, *finals)))
    if upstream is None:
        upstream = {f"grad_{k}": torch.randn(v.shape, dtype=v.dtype) for k, v in values.items()}
    module.zero_grad()
    sum((value * grad).sum() for value, grad in zip(values.values(), upstream.values())).backward()
    is_cell = isinstance(module, nn.RNNCellBase)

    def one_step(named):
        return {k: v[None] if is_cell else v for k, v in arrays(named.items()).items()}
    suffix = "_l0" if is_cell else ""
    parameters = dict(module.named_parameters())
    grads = {k + suffix: p.grad.numpy().copy() for k, p in parameters.items()}
    return upstream, dict(
        weights={k + suffix: v for k, v in arrays(parameters.items()).items()},
        inputs=one_step({"x": leaves["x"], **leaves, **upstream}) | arrays(extra.items()),
        outputs=one_step(values), grads=grads | one_step({k: v.grad for k, v in leaves.items()}))


def in_double(value, move=lambda tensor: tensor):
    if isinstance(value, PackedSequence):
        return value._replace(data=in_double(value.data, move))
    if isinstance(value, torch.Tensor):
        return move(value.detach().double())
    return tuple(in_double(part, move) for part in value)


def well_conditioned(module, args, upstream, result):
    """Whether float32 decides the result: torch_reference.within_a_quarter, also of moved numbers."""
    exact = compute(copy.deepcopy(module).double(), in_double(args), {
        k: v.double() for k, v in upstream.items()})[1]
    results = [result]
    for turn in range(3):
        wide, move = copy.deepcopy(module).double(), mover(turn)
        with torch.no_grad():
            for parameter in wide.parameters():
                parameter.copy_(move(parameter))
        results.append(compute(wide, in_double(args, move), {
            k: move(v.double()) for k, v in upstream.items()})[1])
    expected = {k: exact[k] for k in ("outputs", "grads")}
    return all(within_a_quarter({k: r[k] for k in expected}, expected) for r in results)


def capture(info, index, folder, dtype):
    """Returns the dtype: float64 where the case is too ill-conditioned for float32."""
    name = f"{info.module_cls.__name__.lower()}-{index:02}"
    module, args, call = draw(info, index, name, dtype)
    upstream, groups = compute(module, args)
    if dtype == "f32" and not well_conditioned(module, args, upstream, groups):
        return capture(info, index, folder, "f64")
    is_cell = isinstance(module, nn.RNNCellBase)
    config = {"name": f"torch/common-modules/{name}", "source": SOURCE, "convention": "torch",
              "cell": cell_name(module), "batch_first": not is_cell and module.batch_first,
              "head": "none", "loss": {"kind": "vjp"}, "module": call}
    save(os.path.join(folder, name + ".npz"), config, **groups)
    return dtype


def plain(value):
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def error_entry(info, error):
    """What PyTorch is asked to do, and the text it refuses with; both as it is right now."""
    case = error.module_error_input
    constructor, forward = case.constructor_input, case.forward_input
    flat = [t for a in (forward.args if forward else ()) for t in (a if isinstance(a, tuple) else (a,))]
    try:
        module = info.module_cls(*constructor.args, **constructor.kwargs)
        if error.error_on == ModuleErrorEnum.FORWARD_ERROR:
            module(*forward.args)
        raise AssertionError(f"{called(info.module_cls, constructor)} is no error")
    except error.error_type as raised:
        text = str(raised)
    assert re.search(error.error_regex, text), (error.error_regex, text)
    bound = inspect.getfullargspec(info.module_cls.__init__).args[1:]
    is_cell = issubclass(info.module_cls, nn.RNNCellBase)
    names = bound if is_cell else ["input_size", "hidden_size", "num_layers"]
    arguments = {**dict(zip(names, constructor.args)), **constructor.kwargs}
    assert len(constructor.args) <= len(names)
    return {"module": info.module_cls.__name__, "call": called(info.module_cls, constructor),
            "arguments": {k: plain(v) for k, v in arguments.items()},
            "on": "forward" if error.error_on == ModuleErrorEnum.FORWARD_ERROR else "construction",
            "inputs": dict(zip(("x", "h_0", "c_0"), (list(t.shape) for t in flat))),
            "input_dtypes": dict(zip(("x", "h_0", "c_0"), (str(t.dtype) for t in flat))),
            "error": error.error_type.__name__, "regex": error.error_regex, "text": text}


def main(folder):
    deterministic()
    os.makedirs(folder, exist_ok=True)
    dtypes, errors = [], []
    for info in infos():
        arguments = dict(device="cpu", dtype=torch.float64, requires_grad=True, training=True,
                         with_packed_sequence=True)
        samples = len(list(info.module_inputs_func(info, **arguments)))
        for index in range(samples):
            # Thue and Morse's order: no option of the cases, which alternate, goes with one dtype.
            dtypes.append(capture(info, index, folder, "f32" if index.bit_count() % 2 else "f64"))
        errors += [error_entry(info, e) for e in info.module_error_inputs_func(
            info, **{**arguments, "dtype": torch.float32, "requires_grad": False})]
    with open(os.path.join(folder, "errors.json"), "w") as file:
        json.dump({"source": SOURCE, "errors": errors}, file, indent=1)
        file.write("\n")
    print(f"{len(dtypes)} fixtures ({dtypes.count('f32')} in float32) and {len(errors)} errors from {SOURCE}")


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    main(sys.argv[1] if len(sys.argv) > 1 else
         os.path.join(here, "..", "..", "fixtures", "torch", "common-modules"))
