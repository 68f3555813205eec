#!/usr/bin/env python3
"""Hands the tools what users and strangers hand them by mistake, and checks status, message and leftovers.

usage: bad_input.py FOLDER_OF_THE_TOOLS      (needs NumPy)

Every refusal has its exit status (the page CommandLine) and reason code, and leaves nothing behind.
"""
import io
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

from containers import REFUSED, ROOT

BIN = os.path.abspath(sys.argv[1])
GOOD = ROOT / "fixtures/checkpoints/char-rnn.pt"
FIXTURE = ROOT / "fixtures/torch/rnn-tanh-2-layer-batch-first-f64.npz"
problems = []
count = 0


def network(**changes):
    """A textbook-d3 network as npz bytes."""
    rng = np.random.default_rng(3)
    arrays = {"Wx": rng.normal(size=(3, 5)), "Wh": rng.normal(size=(5, 5)), "b": rng.normal(size=5)}
    arrays |= changes
    buffer = io.BytesIO()
    np.savez(buffer, **{k: v for k, v in arrays.items() if v is not None})
    return buffer.getvalue()


def run(tool, *arguments, **options):
    # A crash must not fill the disk with a core file, nor an allocation bomb the memory.
    def limits():
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return subprocess.run([f"{BIN}/{tool}", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, preexec_fn=options.pop("limits", limits), **options)


def expect(title, status, reason, tool, *arguments, folder=None, **options):
    global count
    count += 1
    before = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()} if folder else {}
    result = run(tool, *arguments, **options)
    if result.returncode != status:
        problems.append(f"{title}: status {result.returncode}, expected {status}\n{result.stderr}")
    elif status and status != 1 and (f"error[{reason}]" not in result.stderr
                                     or not result.stderr.startswith(f"{tool}: error[")):
        problems.append(f"{title}: expected error[{reason}], got\n{result.stderr}")
    if folder and {p: p.read_bytes() for p in folder.iterdir() if p.is_file()} != before:
        problems.append(f"{title}: files in the folder changed: {sorted(map(str, folder.iterdir()))}")


def convert_cases(folder):
    """(title, bytes or None, status, reason)"""
    good = GOOD.read_bytes()
    flipped = bytearray(good)
    flipped[good.index(b"data/3") + 2000] ^= 1
    name = lambda text: json.dumps({"t": {"dtype": "F32", "shape": text, "data_offsets": [0, 8]}})
    def safetensors(header, data=b"\0" * 8):
        return len(header).to_bytes(8, "little") + header.encode() + data
    yield "empty file", b"", 65, "file.empty"
    yield "text file", b"hello, world\n", 65, "file.unrecognized"
    yield "web page", b"<!DOCTYPE html><html>", 65, "file.html"
    yield "LFS pointer", b"version https://git-lfs.github.com/spec/v1\n", 65, "file.lfs-pointer"
    yield "truncated zip", good[:-100], 65, "zip.end"
    yield "flipped bit", bytes(flipped), 65, "zip.crc"
    yield "lying shape", safetensors(name([3])), 65, "safetensors.size"
    yield "overflowing shape", safetensors(name([2 ** 62, 8])), 65, "tensor.shape"
    yield "header beyond the file", (2 ** 40).to_bytes(8, "little") + b"{}", 65, None
    yield "truncated HDF5", (ROOT / "fixtures/golden/hdf5/flat.h5").read_bytes()[:300], 65, None
    yield "missing tensor", network(Wh=None), 65, "weights.unrecognized"
    yield "missing bias", network(b=None), 65, "weights.missing"
    yield "wrong shape", network(b=np.zeros(4)), 65, "weights.shape"
    yield "object array", network(extra=np.array([{}], dtype=object)), 69, None
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("notes.txt", "no weights")
    yield "a zip of something else", buffer.getvalue(), 69, "zip.contents"


def batch_cases(folder):
    """A batch refuses before it writes, and where one file fails the others are converted."""
    tree, out = folder / "tree", folder / "batch-out"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "good.pt").write_bytes(GOOD.read_bytes())
    (tree / "b.npz").write_bytes(network())
    (tree / "notes.txt").write_text("no weights")
    to = ["--to", "h5"]
    def refuse(title, status, reason, *arguments):
        expect(title, status, reason, "rnn-convert", "--batch", *arguments)
        if out.exists():
            problems.append(f"{title}: {out} was created")
    refuse("batch without --to", 64, "usage.arguments", tree, out)
    refuse("batch without an output", 64, "usage.arguments", tree, *to)
    refuse("batch with no jobs", 64, "usage.arguments", tree, out, *to, "--jobs", "0")
    refuse("batch into itself", 64, "batch.nested", tree, tree / "a" / "new", *to)
    refuse("batch with a collision", 64, "batch.collision", tree, tree / "b.npz", out, *to)
    refuse("batch over its input", 64, "batch.collision", tree / "b.npz", tree, "--to", "npz", "--force")
    refuse("batch into a file", 73, "output.not-directory", tree / "a", tree / "b.npz", *to)
    refuse("batch into a read-only container", 64, "usage.read-only", tree, out, "--to", "npy")
    (folder / "nothing").mkdir()
    refuse("batch of nothing", 66, "batch.none", folder / "nothing", out, *to)
    expect("three files without --batch", 64, "usage.arguments", "rnn-convert", GOOD, GOOD, out)
    expect("one file", 64, "usage.arguments", "rnn-convert", GOOD)
    expect("--jobs without --batch", 64, "usage.arguments", "rnn-convert", GOOD, out, "--jobs", "2")
    (tree / "damaged.pt").write_bytes(GOOD.read_bytes()[:-100])
    expect("batch with a damaged file", 65, "zip.end", "rnn-convert", "--batch", tree, out, *to)
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    if written != ["a/good.h5", "b.h5"]:
        problems.append(f"batch with a damaged file: wrote {written}")
    expect("batch again", 73, "output.exists", "rnn-convert", "--batch", tree, out, *to, folder=out)
    # The worst of several: a place that cannot be written to is worse than a damaged input.
    (out / "b.h5").unlink()
    (out / "b.h5").mkdir()
    result = run("rnn-convert", "--batch", tree, folder / "none.pt", out, *to, "--force", "--json")
    report = json.loads(result.stdout)
    errors = [f["error"]["reason"] for f in report["files"] if "error" in f]
    if (result.returncode, report["status"], report["converted"], report["failed"]) != (73, 73, 1, 3) or \
            errors != ["output.not-regular", "zip.end", "file.missing"]:
        problems.append(f"batch with several failures: status {result.returncode}\n{result.stdout}")
    if result.stderr.count("error[") != 3:
        problems.append(f"batch with several failures: messages\n{result.stderr}")


def diff_cases(folder):
    other = folder / "other.h5"
    run("rnn-convert", GOOD, other, "--dtype", "f64")
    expect("a file and itself", 0, None, "rnn-inspect", GOOD, "--diff", GOOD)
    expect("other types", 1, None, "rnn-inspect", GOOD, "--diff", other)
    expect("--diff of nothing", 66, "file.missing", "rnn-inspect", GOOD, "--diff", folder / "none.pt")
    expect("--diff and --stats", 64, "usage.arguments", "rnn-inspect", GOOD, "--diff", GOOD, "--stats")
    other.unlink()
    # Two modules in one file: both are listed, with what is assumed of each; choosing needs --module.
    rng = np.random.default_rng(5)
    arrays = {f"{prefix}.weight_{kind}_l0": rng.normal(size=(rows, columns))
              for prefix, rows, size in (("first", 7, 3), ("second.rnn", 20, 4))
              for kind, columns in (("ih", size), ("hh", 7 if rows == 7 else 5))}
    np.savez(folder / "two.npz", **arrays)
    report = json.loads(run("rnn-inspect", folder / "two.npz", "--json").stdout)
    found = [(m["prefix"], m["architecture"]["cell"], m["architecture"]["hidden_size"]) for m in report["modules"]]
    if found != [("first", "rnn_tanh", 7), ("second.rnn", "lstm", 5)]:
        problems.append(f"two modules: {found}")
    text = run("rnn-inspect", folder / "two.npz").stdout
    if "first: assumed nonlinearity tanh" not in text or "lstm, 1 layer, input 4, hidden 5" not in text:
        problems.append(f"two modules:\n{text}")
    expect("two modules, one wanted", 65, "weights.ambiguous", "rnn-convert", folder / "two.npz", folder / "two.onnx")
    # Both are wanted of a container of tensors; the first has no name in the textbook's words, and says so.
    expect("two modules, one without biases", 65, "convention.inexpressible", "rnn-convert", folder / "two.npz",
           folder / "two.h5", "--as", "textbook-d3")
    result = run("rnn-convert", folder / "two.npz", folder / "two.h5", "--as", "mlx", "--quiet")
    if result.returncode:
        problems.append(f"two modules, both wanted: {result.stderr}")
    (folder / "two.h5").unlink(missing_ok=True)
    (folder / "two.npz").unlink()


def permission_case(folder):
    """Runs as nobody where we are root, because root may read everything."""
    global count
    count += 1
    folder.chmod(0o755)
    tool = shutil.copy(f"{BIN}/rnn-inspect", folder / "rnn-inspect")
    secret = folder / "secret.pt"
    secret.write_bytes(GOOD.read_bytes())
    secret.chmod(0)
    other = (lambda: os.setuid(65534)) if os.geteuid() == 0 else None
    result = subprocess.run([tool, secret], capture_output=True, text=True, preexec_fn=other)
    if result.returncode != 77 or "error[file.permission]" not in result.stderr:
        problems.append(f"no permission: status {result.returncode}, expected 77\n{result.stderr}")
    os.remove(tool)


def main():
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        for title, data, status, reason in convert_cases(folder):
            source = folder / "input.bin"
            source.write_bytes(data)
            arguments = [source, folder / "out.h5"]
            if title in ("missing tensor",):
                arguments += ["--as", "torch"]
            result = run("rnn-convert", *arguments)
            reason = reason or result.stderr.partition("error[")[2].partition("]")[0]
            expect(title, status, reason, "rnn-convert", *arguments, folder=folder)
            if "Nothing was written." not in result.stderr:
                problems.append(f"{title}: does not say that nothing was written")
            source.unlink()
        refused = [p for p in sorted(REFUSED.glob("*/*")) if p.suffix not in (".json", ".bin")
                   # Two state dicts, and cells of different sizes: all of their modules are read without a choice.
                   and p.name not in ("two.pt", "cells.keras")]
        for source in refused:
            # To PyTorch: a GRU that resets before may well go elsewhere.
            result = run("rnn-convert", source, folder / "out.pt")
            count_up = result.returncode in (65, 66, 69) and "error[" in result.stderr
            if not count_up or (folder / "out.pt").exists():
                problems.append(f"{source.name}: status {result.returncode}\n{result.stdout}{result.stderr}")
            (folder / "out.pt").unlink(missing_ok=True)
        out = folder / "out.h5"
        expect("no such file", 66, "file.missing", "rnn-convert", folder / "none.pt", out)
        expect("a directory", 66, "file.not-regular", "rnn-convert", folder, out)
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        expect("a FIFO", 66, "file.not-regular", "rnn-convert", fifo, out)
        fifo.unlink()
        out.write_bytes(b"precious")
        expect("existing output", 73, "output.exists", "rnn-convert", GOOD, out, folder=folder)
        expect("output is a directory", 73, "output.not-regular", "rnn-convert", GOOD,
               folder, "--to", "h5", "--force", folder=folder)
        expect("unknown extension", 64, "usage.extension", "rnn-convert", GOOD, folder / "out.xyz")
        expect("unknown flag", 64, "usage.arguments", "rnn-convert", GOOD, out, "--frobnicate")
        expect("unknown convention", 64, "usage.convention", "rnn-convert", GOOD, out, "--as", "latin")
        expect("a convention in another framework's file", 64, "usage.convention", "rnn-convert", GOOD,
               folder / "x.keras", "--as", "mlx", folder=folder)
        expect("read-only container", 64, "usage.read-only", "rnn-convert", GOOD, folder / "x.npy",
               "--to", "npy")
        expect("inexpressible", 65, "convention.inexpressible", "rnn-convert", GOOD,
               folder / "x.npz", "--as", "textbook-d1", folder=folder)
        expect("bf16 in npz", 65, "npy.bf16", "rnn-convert", GOOD, folder / "x.npz", "--dtype", "bf16",
               folder=folder)
        small = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        expect("file too large", 74, "file.write", "rnn-convert", GOOD, folder / "x.npz",
               folder=folder, limits=small)
        with open("/dev/full", "w") as full:
            result = subprocess.run([f"{BIN}/rnn-inspect", GOOD], stdout=full, stderr=subprocess.PIPE)
            if result.returncode != 74:
                problems.append(f"full standard output: status {result.returncode}, expected 74")
        permission_case(folder)
        batch_cases(folder)
        diff_cases(folder)
        result = run("rnn-convert", folder / "none.pt", out, "--json")
        if json.loads(result.stdout)["error"]["reason"] != "file.missing":
            problems.append(f"--json of an error: {result.stdout}")
        (folder / "empty").mkdir()
        expect("no fixtures", 66, "fixture.none", "rnn-verify", folder / "empty")
        (folder / "empty" / "README.md").write_text("# nothing")
        expect("still no fixtures", 66, "fixture.none", "rnn-verify", folder / "empty")
        damaged = folder / "empty" / "damaged.npz"
        damaged.write_bytes(FIXTURE.read_bytes()[:-30])
        (folder / "empty" / "good.npz").write_bytes(FIXTURE.read_bytes())
        expect("a damaged fixture among good ones", 1, None, "rnn-verify", folder / "empty")
        expect("a damaged fixture", 65, "zip.end", "rnn-verify", damaged)
        expect("not a fixture", 65, "fixture.config", "rnn-verify", GOOD)
    for problem in problems:
        print(f"bad_input: {problem}", file=sys.stderr)
    print(f"bad_input: {count + len(refused)} cases, {len(problems)} wrong")
    sys.exit(1 if problems else 0)


main()
