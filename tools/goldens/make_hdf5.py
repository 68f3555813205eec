#!/usr/bin/env python3
"""Writes fixtures/golden/hdf5 and Tests/Support/Refused/hdf5: files as h5py's users make them, and what a reader must find.

usage: make_hdf5.py [DIRECTORY [DIRECTORY_OF_THE_REFUSED]]     (needs h5py; made with h5py 3.16, HDF5 2.0)

expected.json: "arrays": hex of little-endian bytes, each once; "files": name -> {"tensors": [[key,
dtype, shape, index into arrays], …] in order, "metadata": {…}, "ties": {later: first}, "skipped":
count} or {"error": reason}.
"""
import json
import os
import sys

import h5py
import numpy

root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
directory = sys.argv[1] if len(sys.argv) > 1 else os.path.join(root, "fixtures/golden/hdf5")
# What must be refused lies where rnn-verify does not look.
refused = sys.argv[2] if len(sys.argv) > 2 else os.path.join(root, "Tests/Support/Refused/hdf5")
for folder in (directory, refused):
    os.makedirs(folder, exist_ok=True)
random = numpy.random.default_rng(20)
expected = {}
arrays = {}
SHORT = {"float64": "f64", "float32": "f32", "float16": "f16", "bool": "bool"} | {
    f"{'u' if u else ''}int{b}": f"{'u' if u else 'i'}{b}" for u in (0, 1) for b in (8, 16, 32, 64)}


def entry(key, array, dtype=None):
    array = numpy.asarray(array)
    little = array.astype(array.dtype.newbyteorder("<"))
    return [key, dtype or SHORT[array.dtype.newbyteorder("=").name], list(array.shape),
            arrays.setdefault(little.tobytes().hex(), len(arrays))]


def lstm(prefix="rnn.", layers=2, dtype="<f4"):
    """A bidirectional LSTM in PyTorch's order: D=3, H=2, and a head; every size differs."""
    tensors = {}
    for layer in range(layers):
        for suffix in ("", "_reverse"):
            width = 3 if layer == 0 else 4
            for name, shape in (("weight_ih", (8, width)), ("weight_hh", (8, 2)),
                                ("bias_ih", (8,)), ("bias_hh", (8,))):
                key = f"{prefix}{name}_l{layer}{suffix}"
                tensors[key] = random.standard_normal(shape).astype(dtype)
    return tensors


def golden(name, write, tensors=None, error=None, metadata=None, ties=None, skipped=0, **options):
    folder = refused if error else directory
    with h5py.File(os.path.join(folder, name), "w", **options) as file:
        write(file)
    if error:
        expected[name] = {"error": error}
    else:
        expected[name] = {"tensors": [t if isinstance(t, list) else entry(*t) for t in tensors],
                          "metadata": metadata or {}, "ties": ties or {}, "skipped": skipped}


def flat(tensors, **options):
    def write(file):
        for key, value in tensors.items():
            file.create_dataset(key, data=value, **options)
    return write


def split(tensors, group=""):
    return flat({group + key.replace(".", "/"): value for key, value in tensors.items()})


weights = lstm() | {"zz.weight": random.standard_normal((5, 4)).astype("<f4")}
items = list(weights.items())
shuffled = dict(sorted(items))
small = {key: weights[key] for key in ("rnn.weight_hh_l0", "rnn.bias_ih_l0", "zz.weight")}
golden("flat.h5", flat(shuffled), items)
deep = {k: v for k, v in lstm("", 11).items() if "bias_ih" in k}
golden("layers11.h5", flat(dict(sorted(deep.items()))), list(deep.items()),
       libver=("v108", "v108"))
backwards = dict(reversed(items))
golden("tracked.h5", flat(backwards), list(backwards.items()), track_order=True)
for bound in ("v108", "v110", "v112", "v114", "latest"):
    # HDF5 2.0 writes the object headers of 1.12 and later as 1.10 reads them.
    golden(f"libver-{bound}.h5", flat(small), list(small.items()), libver=(bound, bound))
golden("big-endian.h5", flat({k: v.astype(">f4") for k, v in small.items()}), list(small.items()))
wide = {"m.a": random.standard_normal((17, 5)).astype("<f8"),
        "m.b": random.integers(-2**40, 2**40, (3, 5, 2)),
        "m.c": random.standard_normal(300).astype("<f2")}
for name, options in {
    "chunked": {"chunks": True}, "gzip": {"compression": "gzip"},
    "gzip-shuffle": {"compression": "gzip", "shuffle": True}, "fletcher32": {"fletcher32": True},
    "gzip-shuffle-fletcher32": {"compression": 9, "shuffle": True, "fletcher32": True},
}.items():
    golden(f"{name}.h5", flat(wide, **options), list(wide.items()), libver=("v110", "v110"))
golden("odd-chunks.h5", lambda f: (
    f.create_dataset("m.a", data=wide["m.a"].astype(">f8"), chunks=(5, 3), compression="gzip"),
    f.create_dataset("m.b", data=wide["m.b"], chunks=(2, 3, 1), maxshape=(None, 9, None)),
    f.create_dataset("m.c", data=wide["m.c"], chunks=(299,))), list(wide.items()),
       libver=("v110", "v110"))
golden("gzip-earliest.h5", flat(wide, compression="gzip"), list(wide.items()), libver="earliest")
golden("gzip-latest.h5", flat(wide, compression="gzip"), list(wide.items()), libver="latest")
golden("lzf.h5", flat({"a": numpy.arange(40)}, compression="lzf"), [("a", numpy.arange(40))])
golden("scaleoffset.h5", flat({"a": numpy.arange(40)}, scaleoffset=0), error="h5.filter")

dtypes = {}
for code in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1"):
    if code[0] == "f":
        values = numpy.array([0.0, -0.0, 1.5, -2.25, numpy.inf, -numpy.inf, numpy.nan, 6e-5])
    else:
        limits = numpy.iinfo(code)
        values = numpy.array([limits.min, limits.max, 1, 0, limits.max // 3], dtype=code)
    dtypes[code] = values.astype(code)
dtypes["logical"] = numpy.array([[True, False, True], [False, False, True]])
names = sorted(dtypes, key=lambda k: (k[0], int(k[1:]) if k[1:].isdigit() else 0))
golden("dtypes.h5", flat(dtypes), [(k, dtypes[k]) for k in names])
golden("dtypes-big-endian.h5",
       flat({k: v.astype(v.dtype.newbyteorder(">")) for k, v in dtypes.items()}),
       [(k, dtypes[k]) for k in names])

golden("groups.h5", split(shuffled), items)
golden("groups-tracked.h5",
       lambda f: [f.create_group(g, track_order=True) for g in ("rnn", "zz")] and
       flat({k.replace(".", "/"): v for k, v in items})(f), items, track_order=True)
for group in ("state_dict", "model_state_dict", "model"):
    golden(f"checkpoint-{group}.h5", lambda f: (
        split(small, group + "/")(f), split({"state.0.exp_avg": numpy.ones(3)}, "optimizer/")(f),
        f.attrs.update(epoch=12, lr=0.125), f[group].attrs.update(cell="lstm")),
        list(small.items()), metadata={"epoch": "12", "lr": "0.125", "cell": "lstm"}, skipped=1,
        libver="earliest" if group == "model" else ("v110", "v110"))
golden("module-named-model.h5",
       split({"model.weight": numpy.ones(3), "head.weight": numpy.zeros(2)}),
       [("head.weight", numpy.zeros(2)), ("model.weight", numpy.ones(3))])


def attributes(file):
    flat({"a": numpy.arange(3)})(file)
    file.attrs["cell"] = "lstm"
    file.attrs["fixed"] = numpy.bytes_(b"fixed")
    file.attrs["one"] = numpy.array(["single"], dtype=h5py.string_dtype())
    file.attrs["utf8"] = "Zustände ∇"
    file.attrs["empty"] = ""
    file.attrs["batch_first"] = True
    file.attrs["hidden_size"] = 7
    file.attrs["unsigned"] = numpy.uint64(2**64 - 1)
    file.attrs["dropout"] = numpy.float32(0.1)
    file.attrs["long"] = "x" * 3000
    file.attrs["list"] = ["a", "b"]
    file.attrs["nothing"] = h5py.Empty("f4")
    for padding, text in ((h5py.h5t.STR_NULLTERM, b"term\0zzz"),
                          (h5py.h5t.STR_NULLPAD, b"pad\0\0\0\0\0"),
                          (h5py.h5t.STR_SPACEPAD, b"space   ")):
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(8)
        kind.set_strpad(padding)
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        name = b"padding%d" % padding
        h5py.h5a.create(file.id, name, kind, space).write(numpy.array(text, "S8"), mtype=kind)


golden("attributes.h5", attributes, [("a", numpy.arange(3))], skipped=2, metadata={
    "cell": "lstm", "fixed": "fixed", "one": "single", "utf8": "Zustände ∇", "empty": "",
    "batch_first": "true", "hidden_size": "7", "unsigned": str(2**64 - 1), "dropout": "0.1",
    "long": "x" * 3000, "padding0": "term", "padding1": "pad", "padding2": "space"})


def strange(file):
    flat({"scalar": numpy.float32(2.5), "none": numpy.zeros((3, 0, 2), "<f4")})(file)
    file["keys"] = ["scalar", "none"]
    file["complex"] = numpy.array([1 + 2j])
    file["null"] = h5py.Empty("f4")
    file["kind"] = numpy.dtype("f4")
    file["ref"] = numpy.array([file["scalar"].ref], h5py.ref_dtype)
    file.create_group("nothing")
    file.create_dataset("unwritten", (2, 3), "<i4", fillvalue=-7)
    file.create_dataset("unwritten.chunked", (5,), "<f4", chunks=(2,), fillvalue=1.5)
    file["tied"] = file["scalar"]
    file["soft"] = h5py.SoftLink("/scalar")
    file["dangling"] = h5py.SoftLink("nowhere")
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((3, 2))
    data = numpy.arange(6, dtype="<f8").reshape(3, 2)
    h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F64LE, space, creation).write(
        h5py.h5s.ALL, h5py.h5s.ALL, data)


golden("strange.h5", strange, [
    ("compact", numpy.arange(6, dtype="<f8").reshape(3, 2)),
    ("none", numpy.zeros((3, 0, 2), "<f4")), ("scalar", numpy.float32(2.5)),
    ("soft", numpy.float32(2.5)), ("tied", numpy.float32(2.5)),
    ("unwritten", numpy.full((2, 3), -7, "<i4")),
    ("unwritten.chunked", numpy.full(5, 1.5, "<f4"))],
    ties={"soft": "scalar", "tied": "scalar"}, skipped=6)


def bf16(file):
    bits = numpy.arange(0, 65536, 257, dtype="<u2")
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_fields(15, 7, 8, 0, 7)
    kind.set_size(2)
    kind.set_ebias(127)
    space = h5py.h5s.create_simple((256,))
    h5py.h5d.create(file.id, b"float", kind, space).write(
        h5py.h5s.ALL, h5py.h5s.ALL, bits, mtype=kind)
    file["opaque"] = bits.view("V2")
    file["opaque"].attrs["dtype"] = "bfloat16"
    file["unlabelled"] = bits.view("V2")


bits = numpy.arange(0, 65536, 257, dtype="<u2")
golden("bf16.h5", bf16, [entry("float", bits, "bf16"), entry("opaque", bits, "bf16")], skipped=1)
golden("userblock.h5", flat(small), list(small.items()), userblock_size=1024)

golden("collision.h5", flat({"a.b": numpy.ones(2), "a/b": numpy.zeros(2)}),
       error="h5.name-collision")
golden("keras.h5", lambda f: (flat({"model_weights/d/d/kernel": numpy.ones((2, 3))})(f),
                              f.attrs.update(keras_version="2.4.0")), error="h5.keras",
       libver="latest")
golden("keras3.h5", flat({"layers/lstm/cell/vars/0": numpy.ones((2, 3))}), error="h5.keras",
       libver="latest")


def hostile(write):
    return lambda file: (flat({"a": numpy.ones(3)})(file), write(file))


golden("external-link.h5", hostile(
    lambda f: f.__setitem__("b", h5py.ExternalLink("flat.h5", "/zz.weight"))),
    error="h5.external-link")
golden("external-storage.h5", hostile(
    lambda f: f.create_dataset("b", (4,), "u1", external=[("/etc/passwd", 0, 4)])),
    error="h5.external-storage")


def virtual(file):
    layout = h5py.VirtualLayout((3,), "<f8")
    layout[:] = h5py.VirtualSource(".", "a", (3,))
    file.create_virtual_dataset("b", layout)


golden("virtual.h5", hostile(virtual), error="h5.virtual", libver=("v110", "v110"))
golden("virtual-latest.h5", hostile(virtual), error="h5.virtual", libver="latest")
golden("cycle.h5", hostile(lambda f: f.create_group("g/h").__setitem__("up", f["g"])),
       error="h5.cycle")
golden("cycle-root.h5", hostile(lambda f: f.__setitem__("self", f["/"])), error="h5.cycle")
golden("shared-group.h5", hostile(
    lambda f: (f.create_group("g"), f.__setitem__("h", f["g"]))), error="h5.shared-group")
golden("soft-loop.h5", hostile(
    lambda f: (f.__setitem__("b", h5py.SoftLink("/c")), f.__setitem__("c", h5py.SoftLink("/b")))),
    error="h5.soft-link")
golden("soft-group.h5", hostile(
    lambda f: (f.create_group("g"), f.__setitem__("b", h5py.SoftLink("/g")))), error="h5.soft-link")
golden("deep.h5", hostile(lambda f: f.create_group("/".join("g" * 70))), error="h5.depth",
       libver="latest")
golden("bomb-unwritten.h5", hostile(lambda f: f.create_dataset("b", (2**40,), "<f4", chunks=(9,))),
       error="h5.bomb")


def bomb(file):
    dataset = file.create_dataset("b", (2**40,), "<f4", chunks=(2**20,), compression="gzip")
    dataset[:4] = 1


golden("bomb.h5", hostile(bomb), error="h5.bomb")
golden("bad-utf8.h5", hostile(lambda f: f.__setitem__(b"\xff\xfe", numpy.ones(2))), error="h5.name")

with open(os.path.join(directory, "expected.json"), "w") as file:
    json.dump({"arrays": list(arrays), "files": expected}, file, ensure_ascii=False, sort_keys=True)
print(sum(os.path.getsize(os.path.join(directory, n)) for n in os.listdir(directory)), "bytes")
