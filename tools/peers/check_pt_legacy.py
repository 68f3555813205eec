#!/usr/bin/env python3
"""Checks rnn-convert against PyTorch on every kind of file that PyTorch writes or wrote.

usage: check_pt_legacy.py BIN-FOLDER

PyTorch writes the files, rnn-convert reads them and writes .safetensors, .npz, .pt and sharded
safetensors, and the libraries that own those formats compare the tensors bit for bit with what PyTorch
has in memory. Exits with 1 and one line per finding when something is wrong.
"""
import json, pathlib, subprocess, sys, tempfile, warnings
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

warnings.filterwarnings("ignore")


class Net(nn.Module):
    def __init__(self, kind=nn.LSTM, **options):
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.rnn = kind(3, 5, num_layers=2, bidirectional=True, **options)
        self.head = nn.Linear(10, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, tokens):
        return self.head(self.rnn(self.embedding(tokens))[0])


def bits(t):
    t = t.detach().contiguous()
    return str(t.dtype), list(t.shape), t.reshape(-1).view(torch.uint8).numpy().tobytes() if t.numel() else b""


def load(path):
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {k: torch.from_numpy(archive[k]) for k in archive.files if k != "__metadata__"}
    if path.suffix == ".pt":
        return torch.load(path, weights_only=True)
    if path.suffix == ".json":
        index = json.loads(path.read_text())
        state = {}
        for file in sorted(set(index["weight_map"].values())):
            with safe_open(path.parent / file, "pt") as f:
                assert f.metadata()["format"] == "pt"
            part = load_file(path.parent / file)
            assert all(index["weight_map"][k] == file for k in part)
            state.update(part)
        assert set(state) == set(index["weight_map"])
        assert index["metadata"]["total_size"] == sum(t.nbytes for t in state.values())
        return state
    return load_file(path)


def main(folder):
    convert = str(pathlib.Path(folder) / "rnn-convert")
    findings, checks = [], 0
    torch.manual_seed(31)
    work = pathlib.Path(tempfile.mkdtemp())

    def check(source, state, tolerance=0.0, says=(), targets=("safetensors", "npz", "pt")):
        nonlocal checks
        for target in targets:
            out = work / f"{source.stem}-out.{target}"
            run = subprocess.run([convert, "--force", str(source), str(out)], capture_output=True, text=True)
            checks += 1
            if run.returncode:
                findings.append(f"{source.name} -> {target}: {run.stderr.strip()}")
                continue
            for text in says:
                if text not in run.stdout:
                    findings.append(f"{source.name}: the summary does not say \"{text}\"")
            got = load(out)
            # Writers drop one name of a tied pair; the values are there under the other.
            if set(got) != set(state):
                findings.append(f"{source.name} -> {target}: names {sorted(set(got) ^ set(state))}")
                continue
            for name, tensor in state.items():
                if tolerance == 0.0:
                    same = bits(got[name]) == bits(tensor)
                else:
                    same = torch.allclose(got[name].double(), tensor.double(), rtol=tolerance, atol=0)
                if not same:
                    findings.append(f"{source.name} -> {target}: {name} differs")

    for kind, options in [(nn.LSTM, {"batch_first": True}), (nn.GRU, {"dropout": 0.5}),
                          (nn.RNN, {"nonlinearity": "relu"})]:
        label = kind.__name__.lower()
        for dtype in [torch.float32, torch.float64, torch.float16]:
            net = Net(kind, **options).to(dtype)
            state = net.state_dict()
            stem = f"{label}-{str(dtype)[6:]}"
            for protocol in range(2, 6):
                path = work / f"{stem}-stacked{protocol}.pt"
                torch.save(state, path, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
                check(path, state, targets=["safetensors"])
                torch.save(state, work / f"{stem}-zip{protocol}.pt", pickle_protocol=protocol)
                check(work / f"{stem}-zip{protocol}.pt", state, targets=["npz"])
            torch.save(net, work / f"{stem}-module.pt")
            check(work / f"{stem}-module.pt", state)
            torch.save(net, work / f"{stem}-module-stacked.pt", _use_new_zipfile_serialization=False)
            check(work / f"{stem}-module-stacked.pt", state)
            torch.save(nn.DataParallel(net).state_dict(), work / f"{stem}-parallel.pt")
            check(work / f"{stem}-parallel.pt", nn.DataParallel(net).state_dict())
            torch.save(torch.compile(net).state_dict(), work / f"{stem}-compiled.pt")
            check(work / f"{stem}-compiled.pt", torch.compile(net).state_dict())
            optimizer = torch.optim.Adam(net.parameters())
            for p in net.parameters(): p.grad = torch.ones_like(p)
            optimizer.step()
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
            for zipped in [True, False]:
                path = work / f"{stem}-checkpoint{zipped}.pt"
                torch.save({"epoch": 4, "best": np.float64(0.5), "model": net.state_dict(),
                            "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()},
                           path, _use_new_zipfile_serialization=zipped)
                check(path, net.state_dict(), says=["optimizer = the state of an optimizer",
                                                    "best = 0.5"])
            if dtype == torch.float16: continue
            state = net.state_dict()
            tokens = torch.randint(7, (2, 3))
            torch.jit.script(net).save(str(work / f"{stem}-script.pt"))
            check(work / f"{stem}-script.pt", state)
            torch.jit.trace(net.eval(), tokens).save(str(work / f"{stem}-trace.pt"))
            check(work / f"{stem}-trace.pt", state)
            torch.export.save(torch.export.export(net, (tokens,)), work / f"{stem}.pt2")
            check(work / f"{stem}.pt2", state)
            # Shards, both ways, as transformers cuts them.
            half = len(state) // 2
            parts = [dict(list(state.items())[:half]), dict(list(state.items())[half:])]
            for suffix, save in [("safetensors", lambda t, p: save_file(t, p, {"format": "pt"})),
                                 ("bin", torch.save)]:
                files = [f"{stem}-{i + 1:05}-of-00002.{suffix}" for i in range(2)]
                for part, file in zip(parts, files): save(part, work / file)
                index = work / f"{stem}.{suffix}.index.json"
                index.write_text(json.dumps(
                    {"metadata": {"total_size": sum(t.nbytes for t in state.values())},
                     "weight_map": {k: f for part, f in zip(parts, files) for k in part}}, indent=2))
                check(index, state)
            out = work / f"{stem}-written.safetensors.index.json"
            subprocess.run([convert, "--quiet", str(work / f"{stem}-zip2.pt"), str(out)], check=False)
            checks += 1
            stored = torch.load(work / f"{stem}-zip2.pt", weights_only=True)
            if {k: bits(v) for k, v in load(out).items()} != {k: bits(v) for k, v in stored.items()}:
                findings.append(f"{out.name}: differs")

    for function, label in [(nn.utils.weight_norm, "old"), (nn.utils.parametrizations.weight_norm, "new")]:
        for dtype, tolerance in [(torch.float32, 3e-7), (torch.float64, 1e-15)]:
            net = Net(nn.LSTM).to(dtype)
            for layer in range(2):
                for end in ["", "_reverse"]: function(net.rnn, f"weight_hh_l{layer}{end}")
            function(net.head, "weight")
            with torch.no_grad():
                for name, p in net.named_parameters():
                    if name.endswith(("_g", "original0")): p.mul_(1.7)
            net(torch.randint(7, (3, 2)))
            torch.save(net.state_dict(), work / f"norm-{label}-{str(dtype)[6:]}.pt")
            plain = {n: t for n, t in net.state_dict().items()
                     if not n.endswith(("_g", "_v", "original0", "original1"))}
            plain["head.weight"] = net.head.weight
            for layer in range(2):
                for end in ["", "_reverse"]:
                    plain[f"rnn.weight_hh_l{layer}{end}"] = getattr(net.rnn, f"weight_hh_l{layer}{end}")
            check(work / f"norm-{label}-{str(dtype)[6:]}.pt", plain, tolerance,
                  says=["weight normalisation of rnn.weight_hh_l0, folded"])

    for finding in findings: print(finding)
    print(f"{checks} conversions, {len(findings)} findings")
    return 1 if findings or not checks else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
