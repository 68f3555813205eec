#!/usr/bin/env python3
"""Writes fixtures/golden/hdf5-layouts: every way in which HDF5 stores groups, attributes and chunks.

usage: make_hdf5_layouts.py [DIRECTORY [DIRECTORY_OF_THE_OTHERS]]     (needs h5py; made with h5py 3.16, HDF5 2.0)

One file per set of objects and per `libver`, named SET-LIBVER.h5, and expected.json as
make_hdf5.py writes it. check_hdf5_reader.py takes its files from here too.
"""
import json
import os
import sys

import h5py
import numpy

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BOUNDS = ("earliest", "v108", "v110", "v112", "latest")
# What is kept as golden files; the others store things alike.
GOLDENS = {"indexes": ("earliest", "latest"), "shrunk": ("earliest", "latest"),
           "many": ("latest",), "filters": ("latest",), "groups": ("earliest", "v108", "latest"),
           "attributes": ("earliest", "latest"), "levels": ("earliest",),
           "odd": ("earliest", "v110")}


def values(shape, dtype, seed=1):
    count = int(numpy.prod(shape, dtype=int))
    return (numpy.arange(count) * 37 % 251 + seed).astype(dtype).reshape(shape)


def chunked(file, name, data, chunks, maxshape=None, written=None, early=False, fill=None,
            **options):
    """A chunked dataset; h5py's high-level interface has no word for early allocation."""
    if not early:
        dataset = file.create_dataset(name, data.shape, data.dtype, chunks=chunks,
                                      maxshape=maxshape, fillvalue=fill, **options)
    else:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk(chunks)
        creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        limits = tuple(h5py.h5s.UNLIMITED if m is None else m for m in maxshape or data.shape)
        space = h5py.h5s.create_simple(data.shape, limits)
        dataset = h5py.Dataset(h5py.h5d.create(
            file.id, name.encode(), h5py.h5t.py_create(data.dtype), space, creation))
    for part in written or (slice(None),):
        dataset[part] = data[part]
    return dataset


def indexes(file):
    """Every chunk index: single, implicit, fixed array, extensible array, B-tree."""
    data = values((7, 10), "<f4")
    chunked(file, "single", data, (7, 10))
    chunked(file, "single.gzip", data, (7, 10), compression="gzip", shuffle=True)
    chunked(file, "single.large", values((3, 4), "<i4"), (5, 6), maxshape=(5, 6))
    chunked(file, "implicit", data, (3, 4), early=True)
    chunked(file, "implicit.room", data, (3, 4), maxshape=(11, 21), early=True)
    chunked(file, "fixed", data, (3, 4))
    chunked(file, "fixed.room", data, (3, 4), maxshape=(11, 21))
    chunked(file, "fixed.gzip", data, (3, 4), maxshape=(8, 30), compression="gzip")
    chunked(file, "fixed.holes", data, (2, 3), written=[(slice(2, 4), slice(3, 6)), (6, 9)],
            fill=2.5)
    for name, limits in (("first", (None, 10)), ("last", (7, None)), ("room", (9, None)),
                         ("both", (None, None))):
        chunked(file, f"grows.{name}", data, (2, 3), maxshape=limits)
        chunked(file, f"grows.{name}.gzip", data, (2, 3), maxshape=limits, compression="gzip",
                fletcher32=True)
    chunked(file, "grows.holes", values((5, 6, 4), "<i2"), (2, 3, 1), maxshape=(9, None, 4),
            written=[(slice(0, 1), slice(0, 2), 0), (4, slice(3, 6), slice(2, 4))], fill=-3)


def shrunk(file):
    dataset = chunked(file, "shrunk", values((40,), "<f8"), (3,), maxshape=(None,))
    dataset.resize((23,))
    dataset = chunked(file, "grown", values((4, 5), "<f8"), (2, 2), maxshape=(None, 9), fill=7)
    dataset.resize((9, 8))


def many(file):
    """Enough chunks for paged arrays, super blocks and B-trees of several levels."""
    chunked(file, "fixed", values((1400,), "<u1"), (1,))
    chunked(file, "fixed.gzip", values((1300,), "<u1"), (1,), compression="gzip",
            written=[slice(0, 40), slice(1200, 1300)])
    chunked(file, "grows", values((900,), "<u1"), (1,), maxshape=(None,))
    chunked(file, "tree", values((30, 25), "<u1"), (1, 1), maxshape=(None, None))


def levels(file):
    chunked(file, "levels", values((90,), "<u1"), (1,))


def filters(file):
    data = values((60,), "<i8")
    noise = numpy.random.default_rng(3).integers(0, 256, 256, "u1")
    for index, options in enumerate((
            {"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True},
            {"fletcher32": True}, {"compression": "lzf", "shuffle": True},
            {"compression": "lzf", "shuffle": True, "fletcher32": True},
            {"compression": 9, "shuffle": True, "fletcher32": True},
            {"shuffle": True, "fletcher32": True})):
        chunked(file, f"f{index}", data, (25,), **options)
        # LZF leaves what it cannot shrink as it is and says so in the mask.
        chunked(file, f"f{index}.noise", noise, (100,), **options)
        chunked(file, f"f{index}.odd", values((7,), "<u1"), (5,), **options)
    chunked(file, "zeros", numpy.zeros(3000, "<f4"), (3000,), compression="lzf")


def groups(file):
    """Links in headers, in symbol tables and in heaps, names of all lengths."""
    for index in range(45):
        file[f"dense/{'n' * (index % 30)}{index}"] = values((index % 4 + 1,), "<i2", index)
    tracked = file.create_group("tracked", track_order=True)
    for index in reversed(range(12)):
        tracked[f"z{index}"] = values((2,), "<u2", index)
    few = file.create_group("few", track_order=True)
    few["b"], few["a"] = values((3,), "<f8"), values((1,), "<f8")
    file["deep/a/b/c/d"] = numpy.float32(1.25)
    file["deep/a/é ∇/x"] = values((2, 2), "<f2")
    file["hard"] = file["deep/a/b/c/d"]
    file["deep/soft"] = h5py.SoftLink("a/b/c/d")
    file["absolute"] = h5py.SoftLink("/deep/a/b/c/d")
    file.create_group("empty")


def attributes(file):
    """Attributes in headers and heaps, on groups and datasets, and types that are shared."""
    file["a"] = values((3,), "<f4")
    for index in range(30):
        file.attrs[f"k{index}"] = "text %d " % index * (index % 5)
        file["a"].attrs[f"k{index}"] = index
    group = file.create_group("g", track_order=True)
    for index in range(15):
        group.attrs[f"z{(index * 7) % 15}"] = numpy.float64(index)
    file["kind"] = numpy.dtype(">f8")
    file.create_dataset("typed", data=values((4,), ">f8"), dtype=file["kind"])
    file["typed"].attrs.create("shared", 2.5, dtype=file["kind"])
    file.attrs.create("shared", 1.5, dtype=file["kind"])
    file.attrs["half"] = numpy.float16(-0.1)
    file.attrs["tiny"] = numpy.float16(6e-8)
    file.attrs["big"] = numpy.array(-7, ">i4")


def odd(file):
    """Attributes of fixed width, too large for a heap's blocks, and in other encodings than UTF-8."""
    file["a"] = values((3,), "<f4")
    for index in range(12):
        file.attrs[f"k{index}"] = index
    file.attrs.create("fixed", numpy.array([b"one", b"three", b""], "S5"))
    file.attrs["long"] = numpy.bytes_(b"0123456789" * 600)
    file.attrs["numbers"] = numpy.arange(700.0)
    file.attrs["latin"] = numpy.bytes_(b"\xe9t\xe9")
    file.attrs.create("latin.list", numpy.array([b"\xe9", b"b"], "S2"))
    variable = h5py.string_dtype("ascii")
    file.attrs.create("latin.variable", numpy.array([b"\xe9", b"b"], object), dtype=variable)
    file.attrs.create("latin.one", b"\xe9t\xe9", dtype=variable)


SETS = {f.__name__: f for f in (
    indexes, shrunk, many, levels, filters, groups, attributes, odd)}
SHORT = {"float64": "f64", "float32": "f32", "float16": "f16", "bool": "bool"} | {
    f"{'u' if u else ''}int{b}": f"{'u' if u else 'i'}{b}" for u in (0, 1) for b in (8, 16, 32, 64)}


def write(path, name, bound):
    with h5py.File(path, "w", libver=(bound, "latest") if bound == "earliest" else bound) as file:
        if bound == "earliest":
            assert file.libver[0] == "earliest"
        SETS[name](file)


def read(path):
    """Every dataset that is a tensor, by its path with dots, as (dtype, shape, little-endian bytes)."""
    found = {}

    def visit(group, path):
        for name in group:
            kind = group.get(name, getlink=True)
            if isinstance(kind, h5py.ExternalLink):
                continue
            try:
                value = group[name]
            except KeyError:
                if isinstance(kind, h5py.SoftLink):
                    continue
                raise
            if isinstance(value, h5py.Group):
                if not isinstance(kind, h5py.SoftLink):
                    visit(value, path + [name])
            elif isinstance(value, h5py.Dataset) and value.shape is not None:
                # NumPy's types are wider than HDF5's: what h5py would convert is no tensor.
                kind = value.id.get_type()
                native = value.dtype
                if native.name not in SHORT or not kind.equal(h5py.h5t.py_create(native)):
                    continue
                data = numpy.asarray(value[()], native)
                found[".".join(path + [name])] = (
                    SHORT[native.name], list(value.shape),
                    data.astype(native.newbyteorder("<")).tobytes())

    with h5py.File(path, "r") as file:
        visit(file, [])
    return found


def outside(directory):
    """Valid, but not in our own reader's subset: what libhdf5's worker must read."""
    os.makedirs(directory, exist_ok=True)
    with h5py.File(os.path.join(directory, "deflated-twice.h5"), "w", libver="v110") as file:
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((3, 4))
        creation.set_deflate(4)
        creation.set_deflate(9)
        dataset = h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE,
                                  h5py.h5s.create_simple((7, 10)), creation)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values((7, 10), "<f4"))
        file["b"] = values((5,), ">i2")
        file["c"] = h5py.SoftLink("a")
        file["d"] = numpy.bytes_("text")
        file.create_group("g").attrs["n"] = 7
        file["g"].attrs["list"] = ["one", "two"]
        file.create_dataset("e", (2, 2), "<f8", fillvalue=1.5)
        file["f"] = numpy.array([True, False])
        file["h"] = numpy.zeros(2, "V3")
        file["i"] = values((2,), "<f2")


def main(directory=f"{ROOT}/fixtures/golden/hdf5-layouts", beyond=f"{ROOT}/Tests/Support/LibraryOnly/hdf5"):
    os.makedirs(directory, exist_ok=True)
    arrays, files = {}, {}
    for name, bounds in GOLDENS.items():
        for bound in bounds:
            path = os.path.join(directory, f"{name}-{bound}.h5")
            write(path, name, bound)
            files[os.path.basename(path)] = {"tensors": [
                [key, dtype, shape, arrays.setdefault(data.hex(), len(arrays))]
                for key, (dtype, shape, data) in read(path).items()]}
    outside(beyond)
    with open(os.path.join(directory, "expected.json"), "w") as file:
        json.dump({"arrays": list(arrays), "files": files}, file, ensure_ascii=False,
                  sort_keys=True)
    print(sum(os.path.getsize(os.path.join(directory, n)) for n in os.listdir(directory)), "bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
