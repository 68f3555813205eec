#!/usr/bin/env python3
"""Checks with h5py, h5dump and h5ls that an HDF5 file has the layout that the page Formats promises.

usage: check_hdf5.py FILE.h5 [EXPECTED.npz|EXPECTED.pt]

With a second file, every tensor must also agree bit for bit (for .pt also in order).
Exits with 1 and one line per finding when something is wrong.
"""
import subprocess
import sys

import h5py
import numpy


def raw(array):
    return numpy.ascontiguousarray(array).tobytes()


def expected_tensors(path):
    if path.endswith(".npz"):
        with numpy.load(path) as archive:
            return {k: (list(archive[k].shape), raw(archive[k])) for k in archive.files
                    if k != "__metadata__"}
    import torch
    state = torch.load(path, weights_only=True)
    result = {}
    for key, value in state.items():
        value = value.detach().contiguous()
        data = value.reshape(-1).view(torch.uint8) if value.numel() else value.reshape(-1)
        result[key] = (list(value.shape), data.numpy().tobytes())
    return result


def stored(path, dataset):
    """The bytes as they lie in the file, so that a type that NumPy lacks is compared exactly."""
    size = dataset.id.get_type().get_size() * int(numpy.prod(dataset.shape, dtype=object))
    if size == 0:
        return b""
    with open(path, "rb") as file:
        file.seek(dataset.id.get_offset())
        return file.read(size)


def main(path, expected=None):
    findings = []
    with h5py.File(path, "r") as file:
        for key, value in file.attrs.items():
            if not isinstance(value, str):
                findings.append(f"attribute {key} is {type(value).__name__}, not text")
        names = []
        try:
            file.id.links.iterate(
                lambda name: names.append(name.decode()), idx_type=h5py.h5.INDEX_CRT_ORDER)
        except RuntimeError as error:
            findings.append(str(error))
            names = list(file)
        bf16 = {}
        for name in names:
            dataset = file[name]
            if not isinstance(dataset, h5py.Dataset):
                findings.append(f"{name} is not a dataset at the root")
                continue
            creation = dataset.id.get_create_plist()
            if creation.get_layout() != h5py.h5d.CONTIGUOUS:
                findings.append(f"{name} is not contiguous")
                continue
            offset = dataset.id.get_offset()
            if dataset.size and (offset is None or offset % 64):
                findings.append(f"{name} begins at byte {offset}, not a multiple of 64")
            element = dataset.id.get_type()
            if element.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
                if element.get_size() > 1 and element.get_order() != h5py.h5t.ORDER_LE:
                    findings.append(f"{name} is not little-endian")
            if element.get_class() == h5py.h5t.FLOAT and element.get_size() == 2:
                fields = element.get_fields(), element.get_ebias()
                bf16[name] = fields == ((15, 7, 8, 0, 7), 127)
                if not bf16[name] and fields != ((15, 10, 5, 0, 10), 15):
                    findings.append(f"{name} is an unknown 16-bit float: {fields}")
            data = dataset[()]
            if not bf16.get(name) and raw(data) != stored(path, dataset):
                findings.append(f"{name}: h5py reads other bytes than are stored")
            if bf16.get(name):
                bits = numpy.frombuffer(stored(path, dataset), "<u2").astype("<u4") << 16
                wide = numpy.asarray(data, "<f4").reshape(-1)
                nan = numpy.isnan(wide) & numpy.isnan(bits.view("<f4"))
                same = (wide.view("<u4") == bits) | nan
                if not same.all():
                    findings.append(f"{name}: h5py reads other bf16 values than are stored")
        if expected:
            wanted = expected_tensors(expected)
            if set(wanted) != set(names):
                findings.append(f"keys differ: {sorted(set(wanted) ^ set(names))}")
            elif expected.endswith(".pt") and list(wanted) != names:
                findings.append(f"order differs: {names}")
            for name in wanted.keys() & set(names):
                shape, data = wanted[name]
                if list(file[name].shape) != shape:
                    findings.append(f"{name}: shape {file[name].shape}, expected {shape}")
                elif file[name].id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
                    continue
                elif stored(path, file[name]) != data:
                    findings.append(f"{name}: bytes differ")
    dump = subprocess.run(["h5dump", "-p", path], capture_output=True, text=True)
    if dump.returncode or "error" in dump.stderr.lower():
        findings.append(f"h5dump fails: {dump.stderr.strip()[:200]}")
    listing = subprocess.run(["h5ls", "-v", path], capture_output=True, text=True)
    if listing.returncode or "Modified:" in listing.stdout:
        findings.append("h5ls fails or finds a timestamp")
    for finding in findings:
        print(f"{path}: {finding}")
    if not findings:
        print(f"{path}: {len(names)} tensors as the contract says")
    return 1 if findings else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
