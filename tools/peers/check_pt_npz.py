#!/usr/bin/env python3
"""Loads two weight files with PyTorch and NumPy and compares them bit for bit.

Run: python tools/peers/check_pt_npz.py A B    where A and B are .pt or .npz in any combination

.pt files are loaded twice, with and without mmap, both with weights_only=True; .npz without pickles.
bfloat16 has no NumPy type: compare such files as .pt with .pt. Exits with 1 at the first difference.
"""
import sys, zipfile
import numpy as np
import torch


def load(path):
    with zipfile.ZipFile(path) as z:
        assert z.testzip() is None, f"{path}: Python's zipfile finds a bad entry"
        is_npz = all(n.endswith(".npy") for n in z.namelist())
    if is_npz:
        with np.load(path, allow_pickle=False) as f:
            names = [n for n in f.files if n != "__metadata__"]
            return {n: (f[n].dtype.name, f[n].shape,
                        f[n].astype(f[n].dtype.newbyteorder("<")).tobytes()) for n in names}
    def flat(mmap):
        state = torch.load(path, weights_only=True, mmap=mmap)
        result = {}
        for name, t in state.items():
            raw = t.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
            data = raw.clone().view(torch.uint8).numpy().tobytes() if t.numel() else b""
            result[name] = (str(t.dtype).removeprefix("torch."), tuple(t.shape), data)
        return result
    plain, mapped = flat(False), flat(True)
    assert plain == mapped, f"{path}: mmap=True gives other values"
    return plain


def main(a, b):
    left, right = load(a), load(b)
    if list(left) != list(right):
        sys.exit(f"names differ: {list(left)} and {list(right)}")
    for name in left:
        if left[name] != right[name]:
            sys.exit(f"{name}: {left[name][:2]} and {right[name][:2]} differ in type, shape or bytes")
    print(f"{len(left)} tensors, {sum(len(v[2]) for v in left.values())} bytes: identical")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
