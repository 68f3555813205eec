#!/usr/bin/env python3
"""Writes fixtures/golden/pt-legacy and fixtures/golden/sharded with PyTorch and safetensors themselves.

pt-legacy has the files that torch.save(state_dict) of today does not make: stacked pickles, tar
archives, TorchScript, whole models, exported programs, weight norm, NumPy in checkpoints. Each folder
gets an expected.json that says, independently of any reader of ours, what a file holds; for files that
PyTorch can load, what it says is what PyTorch loaded.

Run: python tools/goldens/make_torch_legacy.py   (torch 2.13, numpy 2.4, safetensors 0.8)
"""
import collections, io, json, pathlib, pickle, shutil, struct, sys, tarfile, zipfile
import numpy as np
import torch
from torch import nn

from expectations import NAMES, REFUSED, ROOT, torch_entry


def entries(state):
    native = {k: torch.from_numpy(np.ascontiguousarray(v).astype(v.dtype.newbyteorder("="))) if isinstance(v, np.ndarray) else v
              for k, v in state.items()}
    return [torch_entry(name, t) for name, t in native.items()]


class Model(nn.Module):
    """A GRU and a linear head, sizes all different; a buffer that state_dict leaves out."""
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(2, 3, num_layers=2, bidirectional=True, batch_first=True, dropout=0.25)
        self.head = nn.Linear(6, 4)
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("scratch", torch.ones(5), persistent=False)

    def forward(self, x):
        return self.norm(self.head(self.rnn(x)[0][:, -1]))


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.RNN(2, 3, nonlinearity="relu")
        self.second = nn.LSTM(3, 2, batch_first=True, bias=False, proj_size=1)

    def forward(self, x):
        return self.second(self.first(x)[0])[0]


# The classes must be importable for torch.save, under a name that is not __main__'s.
Model.__module__ = Two.__module__ = "golden_models"
module = type(sys)("golden_models")
module.Model, module.Two = Model, Two
sys.modules["golden_models"] = module
# Stacked pickles keep the source of classes; PyTorch's own has no place here.
torch.serialization.get_source_lines_and_file = lambda obj, *_: (["class: pass\n"], 1, "models.py")


def tar_file(path, state, kind="plain", model=None):
    """The layout of PyTorch 0.1.9, which no living version writes; torch.load still reads it."""
    storages, tensors = io.BytesIO(), io.BytesIO()
    keys = {}
    roots = list(dict.fromkeys(t.untyped_storage().data_ptr() for t in state.values()))
    pickle.dump(len(roots), storages, 2)
    for number, pointer in enumerate(roots):
        t = next(t for t in state.values() if t.untyped_storage().data_ptr() == pointer)
        whole = torch.empty(0, dtype=t.dtype).set_(t.untyped_storage())
        pickle.dump((1000 + number, "cpu", getattr(
            torch, {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}
            [str(t.dtype).split(".")[1]])), storages, 2)
        storages.write(struct.pack("<q", whole.numel()) + whole.detach().numpy().tobytes())
    views = []
    pickle_tensors = []
    for number, (name, t) in enumerate(state.items()):
        root = 1000 + roots.index(t.untyped_storage().data_ptr())
        offset = t.storage_offset()
        if kind == "views" and offset:
            view = 2000 + number
            views.append((view, root, offset, t.untyped_storage().nbytes() // t.element_size() - offset))
            root, offset = view, 0
        pickle_tensors.append((3000 + number, root, t, offset))
    pickle.dump(views, storages, 2)
    pickle.dump(len(pickle_tensors), tensors, 2)
    for key, root, t, offset in pickle_tensors:
        pickle.dump((key, root, torch.FloatTensor), tensors, 2)
        tensors.write(struct.pack("<iI", t.dim(), 0))
        tensors.write(struct.pack(f"<{t.dim()}q", *t.shape) + struct.pack(f"<{t.dim()}q", *t.stride()))
        tensors.write(struct.pack("<q", offset))

    known = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, torch.Tensor):
                return str(3000 + next(i for i, t in enumerate(state.values()) if t is obj))
            if obj is nn.Linear and not known:
                known.append(obj)
                return (obj, "models.py", "class Linear: pass")
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump(model or collections.OrderedDict(state))
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, data in [("storages", storages), ("tensors", tensors), ("pickle", buffer)]:
            info = tarfile.TarInfo(name)
            info.size = len(data.getvalue())
            tar.addfile(info, io.BytesIO(data.getvalue()))


def make_legacy():
    folder = ROOT / "pt-legacy"
    shutil.rmtree(folder, ignore_errors=True)
    refused_folder = REFUSED / "pt-legacy"
    shutil.rmtree(refused_folder, ignore_errors=True)
    folder.mkdir(parents=True)
    refused_folder.mkdir(parents=True)
    files = {}

    def expect(name, state, skipped=[], metadata={}, key=None, ties={}, tolerance=None):
        files[name] = {"tensors": entries(state), "skipped": skipped, "metadata": metadata,
                       "key": key, "ties": ties}

    def loaded(name):
        return torch.load(folder / name, weights_only=False)

    torch.manual_seed(11)
    kinds = {"t." + d: (torch.arange(2 * (i + 2)) * 5 + i).reshape(2, i + 2).to(getattr(torch, d))
             for i, d in enumerate(["float64", "float32", "float16", "bfloat16", "int64", "int32",
                                    "int16", "int8", "uint8"])}
    kinds["t.bool"] = torch.tensor([True, False, True])
    for protocol in [2, 3, 4, 5]:
        name = f"stacked-{protocol}.pt"
        torch.save(kinds, folder / name, _use_new_zipfile_serialization=False,
                   pickle_protocol=protocol)
        expect(name, loaded(name))
    torch.save(kinds, folder / "protocol-5.pt", pickle_protocol=5)
    expect("protocol-5.pt", loaded("protocol-5.pt"))

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    views = {"base": base, "t": base.t(), "row": base[1], "block": base[1:3, 1:4],
             "empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5)}
    torch.save(views, folder / "stacked-views.pt", _use_new_zipfile_serialization=False)
    expect("stacked-views.pt", loaded("stacked-views.pt"))
    # Writers before 0.4 made storages views of one another; (key, offset, size) is the sixth part.
    old = io.BytesIO()
    storage = torch.arange(10, dtype=torch.float32)

    class OldPickler(pickle.Pickler):
        def persistent_id(self, obj):
            if obj == "ROOT":
                return ("storage", torch.FloatStorage, "77", "cpu", 10, None)
            if obj == "VIEW":
                return ("storage", torch.FloatStorage, "77", "cpu", 10, ("78", 4, 5))

    class Rebuild:
        def __init__(self, *arguments): self.arguments = arguments
        def __reduce__(self): return (torch._utils._rebuild_tensor, self.arguments)
    for number in [0x1950A86A20F9469CFC6C, 1001,
                   {"protocol_version": 1001, "little_endian": False, "type_sizes": {}}]:
        pickle.dump(number, old, 2)
    OldPickler(old, 2).dump({"whole": Rebuild("ROOT", 0, (2, 5), (5, 1)),
                             "part": Rebuild("VIEW", 1, (2, 2), (2, 1))})
    pickle.dump(["77"], old, 2)
    old.write(struct.pack("<q", 10) + storage.numpy().tobytes())
    (folder / "storage-view.pt").write_bytes(old.getvalue())
    expect("storage-view.pt", loaded("storage-view.pt"))

    state = {"w": base, "n": torch.arange(5), "d": torch.arange(6, dtype=torch.float64).reshape(2, 3)}
    for kind, values in {"plain": state, "views": {**state, "rows": base[2:], "t": base.t()}}.items():
        name = f"tar-{kind}.pt"
        tar_file(folder / name, values, kind)
        expect(name, loaded(name))
    linear = nn.Linear(2, 3)
    with torch.no_grad():
        for p in linear.parameters(): p.requires_grad_(False)
    tar_file(folder / "tar-module.pt", dict(linear.named_parameters()), "plain", linear)
    expect("tar-module.pt", loaded("tar-module.pt").__dict__["_parameters"])

    model, two = Model(), Two()
    facts = {"cell": "gru", "batch_first": "true", "dropout": "0.25"}
    torch.save(model, folder / "module.pt")
    expect("module.pt", model.state_dict(), metadata=facts)
    torch.save(model, folder / "module-stacked.pt", _use_new_zipfile_serialization=False)
    expect("module-stacked.pt", model.state_dict(), metadata=facts)
    torch.save(nn.DataParallel(model), folder / "data-parallel.pt")
    expect("data-parallel.pt", nn.DataParallel(model).state_dict(), metadata=facts)
    torch.save({"model": two, "epoch": 3, "optimizer": torch.optim.SGD(two.parameters(), 0.1)},
               folder / "module-in-checkpoint.pt", pickle_protocol=4)
    expect("module-in-checkpoint.pt", two.state_dict(), skipped=["epoch = 3"],
           metadata={"torch.modules": json.dumps([
               {"prefix": "first.", "mode": "RNN_RELU", "input_size": 2, "hidden_size": 3,
                "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
                "bidirectional": False, "proj_size": 0},
               {"prefix": "second.", "mode": "LSTM", "input_size": 3, "hidden_size": 2,
                "num_layers": 1, "bias": False, "batch_first": True, "dropout": 0.0,
                "bidirectional": False, "proj_size": 1}], separators=(",", ":"))})
    padded = nn.Sequential(nn.Embedding(3, 2, padding_idx=1), nn.GRU(2, 2))
    facts_of_both = {"cell": "gru", "batch_first": "false", "torch.modules": json.dumps([
        {"prefix": "0.", "num_embeddings": 3, "embedding_dim": 2, "padding_idx": 1},
        {"prefix": "1.", "mode": "GRU", "input_size": 2, "hidden_size": 2, "num_layers": 1, "bias": True,
         "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0}],
        separators=(",", ":"))}
    torch.save(padded, folder / "embedding.pt")
    expect("embedding.pt", padded.state_dict(), metadata=facts_of_both)
    torch.jit.script(padded).save(str(folder / "embedding-script.pt"))
    expect("embedding-script.pt", padded.state_dict())

    torch.save(torch.compile(model).state_dict(), folder / "compiled.pt")
    expect("compiled.pt", loaded("compiled.pt"))

    torch.jit.script(model).save(str(folder / "scripted.pt"))
    scripted = torch.jit.load(str(folder / "scripted.pt"))
    # The archive does not say that a buffer is not persistent.
    expect("scripted.pt", scripted.state_dict(), metadata=facts)
    torch.jit.trace(model.eval(), torch.randn(3, 4, 2)).save(str(folder / "traced.pt"))
    expect("traced.pt", torch.jit.load(str(folder / "traced.pt")).state_dict(), metadata=facts)
    torch.jit.trace(two, torch.randn(4, 3, 2)).save(str(folder / "traced-two.pt"))
    expect("traced-two.pt", two.state_dict(), metadata={"dropout": "0.0"})
    program = torch.export.export(model, (torch.randn(3, 4, 2),))
    torch.export.save(program, folder / "exported.pt2")
    expect("exported.pt2", torch.export.load(folder / "exported.pt2").state_dict,
           metadata={**facts, "dropout": "0.25"})

    numpy_state = {"w": np.arange(6, dtype=np.float32).reshape(2, 3),
                   "f": np.asfortranarray(np.arange(6).reshape(3, 2)),
                   "b": np.arange(4, dtype=">f8"), "t": torch.arange(3.),
                   "best": np.float64(0.375), "steps": np.int64(-7), "done": np.bool_(True)}
    arrays = {k: v for k, v in numpy_state.items() if not isinstance(v, np.generic)}
    for protocol in [2, 4]:
        torch.save(numpy_state, folder / f"numpy-{protocol}.pt", pickle_protocol=protocol)
        expect(f"numpy-{protocol}.pt", arrays,
               skipped=["best = 0.375", "steps = -7", "done = True"])

    refused = {}
    good = (folder / "stacked-2.pt").read_bytes()
    for name, data, reason in [
            ("stacked-short.pt", good[:-1], "pt.legacy"), ("stacked-long.pt", good + b"\0", "pt.trailing-bytes"),
            ("stacked-version.pt", good.replace(b"M\xe9\x03.", b"M\xea\x03.", 1), "pt.legacy")]:
        (refused_folder / name).write_bytes(data)
        refused[name] = reason
    frozen = torch.jit.freeze(torch.jit.script(model.eval()))
    frozen.save(str(refused_folder / "frozen.pt"))
    refused["frozen.pt"] = "pt.torchscript"
    quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(2, 3)), {nn.LSTM})
    torch.jit.script(quantised).save(str(refused_folder / "quantised.pt"))
    refused["quantised.pt"] = "pt.object"
    torch.save({"w": torch.zeros(2, dtype=torch.complex64)}, refused_folder / "complex.pt",
               _use_new_zipfile_serialization=False)
    refused["complex.pt"] = "pt.dtype"
    (folder / "expected.json").write_text(
        json.dumps({"files": files, "refused": refused}, indent=1) + "\n")


def make_weight_norm():
    """g and v as both functions of PyTorch write them, and the weights that PyTorch makes of them."""
    folder = ROOT / "weight-norm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = {}
    torch.manual_seed(12)
    for kind, function in {"old": nn.utils.weight_norm,
                           "new": nn.utils.parametrizations.weight_norm}.items():
        for dtype in [torch.float32, torch.float64]:
            class Net(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.rnn = nn.LSTM(2, 3)
                    self.head = nn.Linear(3, 4)
                    self.columns = nn.Linear(2, 5)
                    self.whole = nn.Linear(3, 2)
            net = Net().to(dtype)
            with torch.no_grad():
                for p in net.parameters(): p.copy_(torch.randn_like(p))
            modules = [(net.rnn, "weight_hh_l0", 0), (net.rnn, "weight_ih_l0", 0), (net.head, "weight", 0),
                       (net.columns, "weight", 1), (net.whole, "weight", None)]
            for module, name, dim in modules:
                # The new function is flawed for dim=None on some versions; -1 says the same.
                function(module, name, dim=dim if dim is not None or kind == "old" else -1)
            with torch.no_grad():
                for k, p in net.named_parameters():
                    if k.endswith(("_g", "original0")): p.mul_(torch.rand_like(p) * 3)
            x = torch.randn(2, 1, 2, dtype=dtype)
            net.rnn(x); net.head(torch.randn(1, 3, dtype=dtype))
            net.columns(torch.randn(1, 2, dtype=dtype)); net.whole(torch.randn(1, 3, dtype=dtype))
            name = f"{kind}-{NAMES[str(dtype).split('.')[1]]}.pt"
            torch.save(net.state_dict(), folder / name)
            want = {"rnn.weight_hh_l0": net.rnn.weight_hh_l0, "rnn.weight_ih_l0": net.rnn.weight_ih_l0,
                    "head.weight": net.head.weight, "columns.weight": net.columns.weight,
                    "whole.weight": net.whole.weight, "head.bias": net.head.bias,
                    "rnn.bias_ih_l0": net.rnn.bias_ih_l0}
            files[name] = {k: [list(v.shape), v.detach().double().reshape(-1).tolist()]
                           for k, v in want.items()}
    (folder / "expected.json").write_text(json.dumps(files, indent=0) + "\n")


def make_sharded():
    from safetensors.torch import save_file
    folder = ROOT / "sharded"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    torch.manual_seed(13)
    state = Model().state_dict()
    files = {}

    def cut(parts, suffix):
        names = list(state)
        ends = [0, 8, 16, len(names)] if parts == 3 else [0, 11, len(names)]
        stem = "model" if suffix == "safetensors" else "pytorch_model"
        return {f"{stem}-{i + 1:05}-of-{parts:05}.{suffix}":
                {k: state[k] for k in names[ends[i]:ends[i + 1]]} for i in range(parts)}

    total = sum(t.numel() * t.element_size() for t in state.values())
    for suffix, parts in [("safetensors", 3), ("bin", 2)]:
        weight_map = {}
        for file, part in cut(parts, suffix).items():
            if suffix == "bin":
                torch.save(part, folder / file)
            else:
                save_file(part, folder / file, metadata={"format": "pt"})
            weight_map.update({k: file for k in part})
        name = ("model.safetensors" if suffix == "safetensors" else "pytorch_model.bin") + ".index.json"
        (folder / name).write_text(json.dumps(
            {"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2, sort_keys=True) + "\n")
        files[name] = {"tensors": entries(state), "skipped": [], "ties": {}, "key": None, "metadata": {}}
    (folder / "expected.json").write_text(json.dumps({"files": files, "refused": {}}, indent=1) + "\n")


if __name__ == "__main__":
    make_legacy()
    make_weight_norm()
    make_sharded()
