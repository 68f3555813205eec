"""What golden files hold, written down without any reader of ours: name, dtype, shape and the bytes in row-major
little-endian order, in hex."""
import pathlib

import numpy as np

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROOT = CHECKOUT / "fixtures/golden"
# What must be refused lies where rnn-verify does not look.
REFUSED = CHECKOUT / "Tests/Support/Refused"
NAMES = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "bool": "bool"} | {
    f"{sign}int{bits}": f"{sign or 'i'}{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def numpy_entry(name, a):
    little = np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<"), copy=False)
    return [name, NAMES[a.dtype.newbyteorder("=").name], list(a.shape), little.tobytes().hex()]


def torch_entry(name, t):
    import torch
    # A clone of a clone: a view of one element, or of one row, keeps its strides the first time.
    flat = t.detach().clone(memory_format=torch.contiguous_format).reshape(-1).clone()
    raw = flat.view(torch.uint8).numpy().tobytes() if t.numel() else b""
    return [name, NAMES[str(t.dtype).split(".")[1]], list(t.shape), raw.hex()]
