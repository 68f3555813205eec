#!/usr/bin/env python3
"""Writes fixtures/golden/npy, npz and pt with NumPy and PyTorch themselves.

Each folder gets an expected.json that says, independently of any reader of ours, which tensors a file
holds: name, dtype, shape and the bytes in row-major little-endian order, in hex.

Run: python tools/goldens/make_torch.py   (torch 2.13, numpy 2.4)
"""
import collections, io, json, shutil, struct, zipfile
import numpy as np
import torch

from expectations import REFUSED, ROOT, numpy_entry, torch_entry

SPECIAL32 = np.array([0x7FC00000, 0x7FA00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000,
                      0xFF800000], np.uint32).view(np.float32)
SPECIAL16 = np.array([0x7E01, 0x7D01, 0x8000, 0x0001, 0xFC00], np.uint16).view(np.float16)
SPECIAL64 = np.array([0x7FF4000000000001, 0x8000000000000000, 1], np.uint64).view(np.float64)


def all_numpy_types():
    arrays = {}
    for i, code in enumerate("f8 f4 f2 i8 i4 i2 i1 u8 u4 u2 u1".split()):
        arrays["t." + code] = (np.arange(2 * (i + 3)).reshape(2, i + 3) * 3 + i).astype(code)
    arrays["t.b1"] = np.array([True, False, True])
    return arrays


def make_npz():
    folder = ROOT / "npz"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = {}

    def savez(name, arrays, compressed=False):
        (np.savez_compressed if compressed else np.savez)(folder / name, **arrays)
        files[name] = {"tensors": [numpy_entry(k, v) for k, v in arrays.items()]}

    savez("types.npz", all_numpy_types())
    savez("compressed.npz", {**all_numpy_types(), "long": np.arange(1500, dtype=np.int32) % 251},
          compressed=True)
    savez("special.npz", {"f4": SPECIAL32, "f2": SPECIAL16, "f8": SPECIAL64,
                          "scalar": np.float32(1.5).reshape(()), "empty": np.zeros((0, 5), np.int64),
                          "a/b": np.arange(3, dtype=np.int8), "größe": np.arange(4, dtype=np.uint16)})
    savez("layouts.npz", {
        "fortran": np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
        "big": (np.arange(6).reshape(3, 2) + 0.5).astype(">f4"),
        "both": np.asfortranarray(np.arange(10, dtype=">i8").reshape(5, 2)),
    })
    # A zip written to a pipe: data descriptors, no sizes in front.
    class Pipe(io.RawIOBase):
        def __init__(self): self.data = bytearray()
        def writable(self): return True
        def write(self, b): self.data += bytes(b); return len(b)
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as z:
        for k, v in {"p": np.arange(5, dtype=np.int16), "q": np.zeros((0,), np.float64)}.items():
            buffer = io.BytesIO()
            np.save(buffer, v)
            z.writestr(k + ".npy", buffer.getvalue())
    (folder / "piped.npz").write_bytes(pipe.data)
    files["piped.npz"] = {"tensors": [numpy_entry("p", np.arange(5, dtype=np.int16)),
                                      numpy_entry("q", np.zeros((0,), np.float64))]}
    (folder / "expected.json").write_text(json.dumps(files, indent=1) + "\n")


def make_npy():
    folder = ROOT / "npy"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = {}
    cells = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7.5
    for name, array, version in [
        ("matrix.npy", cells[0], (1, 0)), ("fortran.npy", np.asfortranarray(cells), (1, 0)),
        ("big.npy", np.asfortranarray(cells[1]).astype(">f8"), (2, 0)), ("special.npy", SPECIAL32, (3, 0)),
        ("scalar.npy", np.array(-3, ">i2"), (1, 0)), ("empty.npy", np.zeros((3, 0, 2), np.float16), (1, 0)),
        ("bool.npy", np.array([[True], [False]]), (1, 0)),
    ]:
        with open(folder / name, "wb") as file:
            np.lib.format.write_array(file, array, version=version)
        files[name] = {"tensors": [numpy_entry("array", array)]}
    (folder / "expected.json").write_text(json.dumps(files, indent=1) + "\n")


def make_pt():
    folder = ROOT / "pt"
    shutil.rmtree(folder, ignore_errors=True)
    refused_folder = REFUSED / "pt"
    shutil.rmtree(refused_folder, ignore_errors=True)
    folder.mkdir(parents=True)
    refused_folder.mkdir(parents=True)
    files = {}

    def save(name, value, tensors, ties={}, skipped=[], key=None, **kw):
        torch.save(value, (refused_folder if key else folder) / name, **kw)
        files[name] = {"tensors": [torch_entry(k, v) for k, v in tensors.items()], "ties": ties,
                       "skipped": skipped, "key": key}

    torch.manual_seed(7)
    types = {}
    for i, d in enumerate(["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16",
                           "int8", "uint64", "uint32", "uint16", "uint8"]):
        types["t." + d] = (torch.arange(3 * (i + 2)) * 5 + i).reshape(3, i + 2).to(getattr(torch, d))
    types["t.bool"] = torch.tensor([True, False, True, True])
    save("types.pt", types, types)
    save("protocol4.pt", types, types, pickle_protocol=4)

    special = {"f32": torch.from_numpy(SPECIAL32.copy()), "f16": torch.from_numpy(SPECIAL16.copy()),
               "f64": torch.from_numpy(SPECIAL64.copy()),
               "bf16": torch.tensor([0x7FC1, 0x7F81, -0x8000, 1], dtype=torch.int16).view(torch.bfloat16),
               "scalar": torch.tensor(2.25), "empty": torch.zeros(0, 5), "größe": torch.arange(4)}
    save("special.pt", special, special)

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    short = torch.arange(3, dtype=torch.int16)
    wide = torch.arange(12, dtype=torch.int32).to(torch.uint32).reshape(3, 4)
    views = {"base": base, "transposed": base.t(), "column": base[:, 2], "rows": base[1:3],
             "block": base[1:3, 1:4], "step": base[::2, ::3], "expanded": short.expand(2, 3),
             "permuted": torch.arange(24, dtype=torch.float64).reshape(2, 3, 4).permute(2, 0, 1),
             "v3": wide.t(), "ones": base[:1, 3:4].t()}
    save("views.pt", views, views)

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(7, 3)
            self.rnn = torch.nn.GRU(3, 5, num_layers=2, bidirectional=True)
            self.decoder = torch.nn.Linear(3, 7, bias=False)
            self.decoder.weight = self.embedding.weight
            self.norm = torch.nn.BatchNorm1d(10)
    model = Tied().half()
    state = model.state_dict()
    save("tied.pt", state, state, ties={"decoder.weight": "embedding.weight"})
    save("parameters.pt", dict(model.named_parameters(remove_duplicate=False)),
         dict(model.named_parameters(remove_duplicate=False)),
         ties={"decoder.weight": "embedding.weight"})

    lstm = torch.nn.LSTM(3, 4, num_layers=2, proj_size=2)
    optimizer = torch.optim.Adam(lstm.parameters())
    lstm(torch.randn(5, 2, 3))[0].sum().backward()
    optimizer.step()
    save("checkpoint.pt",
         {"epoch": 12, "loss": 0.125, "model_state_dict": lstm.state_dict(), "args": {"lr": 1e-3},
          "optimizer_state_dict": optimizer.state_dict(), "best": None, "tag": "run 7"},
         lstm.state_dict(), skipped=["epoch = 12", "loss = 0.125", "tag = \"run 7\""])
    two = {"generator": {"w": torch.arange(3.)}, "critic": {"w": torch.arange(4.)}}
    save("two.pt", two, two["critic"], key="critic")
    lightning = {"state_dict": {"net.w": torch.arange(6.).reshape(2, 3)}, "epoch": 3,
                 "hyper_parameters": collections.OrderedDict(hidden=8)}
    save("lightning.ckpt", lightning, lightning["state_dict"], skipped=["epoch = 3"])

    torch.serialization.set_crc32_options(False)
    save("nocrc.pt", {"w": base}, {"w": base})
    torch.serialization.set_crc32_options(True)
    # Big-endian storages, as an s390x writes them.
    buffer = io.BytesIO()
    torch.save({"w": base, "c": torch.arange(5, dtype=torch.int64), "u": wide}, buffer)
    source = zipfile.ZipFile(buffer)
    with zipfile.ZipFile(folder / "bigendian.pt", "w") as z:
        width = {"data/0": 4, "data/1": 8, "data/2": 4}
        for info in source.infolist():
            data = source.read(info)
            short_name = info.filename.split("/", 1)[1]
            if short_name == "byteorder": data = b"big"
            if short_name in width:
                data = np.frombuffer(data, f"<u{width[short_name]}").astype(
                    f">u{width[short_name]}").tobytes()
            z.writestr(zipfile.ZipInfo("archive/" + short_name), data)
    files["bigendian.pt"] = {"tensors": [torch_entry(k, v) for k, v in
        {"w": base, "c": torch.arange(5), "u": wide}.items()], "ties": {}, "skipped": [], "key": None}

    refused = {}
    def refuse(name, value, reason, **kw):
        torch.save(value, refused_folder / name, **kw)
        refused[name] = reason
    refuse("complex.pt", {"w": torch.zeros(2, dtype=torch.complex64)}, "pt.dtype")
    refuse("sparse.pt", {"w": torch.eye(3).to_sparse()}, "pt.tensor-kind")
    refuse("quantised.pt", {"w": torch.quantize_per_tensor(torch.eye(3), .1, 0, torch.qint8)},
           "pt.tensor-kind")
    refuse("meta.pt", {"w": torch.zeros(2, 3, device="meta")}, "pt.tensor-kind")
    refuse("numpy.pt", {"w": np.array(["a", "b"])}, "pt.numpy")
    refuse("bare.pt", short, "pt.root")
    refuse("ask.pt", {"a": {"b.c": torch.arange(3.)}, "a.b": {"c": torch.arange(4.)}}, "pt.key")
    refuse("negative.pt", {"w": torch.ones(2, dtype=torch.complex64).conj().imag}, "pt.lazy")
    (folder / "expected.json").write_text(
        json.dumps({"files": files, "refused": refused}, indent=1) + "\n")


make_npz()
make_npy()
make_pt()
