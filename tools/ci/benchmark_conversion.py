"""Section S7 of tools/benchmark: how fast files are converted, and how fast the programs start.

A conversion is timed against `cp` of the file that it writes, in turns, with everything in the page cache and
the output removed before each turn; the best of all turns counts. `cp` leaves its bytes in the cache while
rnn-convert brings them to the disk, so the bars are judged without fsync (a preloaded library makes it return
at once), and the ratio with it, against `cp` and fsync, stands beside them; so does the ratio of the processor's
seconds, which other programs on the machine disturb less.
"""
import array
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 1 << 20
no_sync_source = """
int fsync(int descriptor) { (void)descriptor; return 0; }
int fdatasync(int descriptor) { (void)descriptor; return 0; }
"""


def pieces(size):
    """Bytes of numbers, as f32 and as f64 neither huge nor NaN, in pieces of 4 MiB; no two are alike."""
    rng = random.Random(7)
    base = array.array("f", (rng.gauss(0, 1) for _ in range(1 << 20))).tobytes()
    for index, start in enumerate(range(0, size, 4 * MIB)):
        shift = index * 7919 * 8 % len(base)
        piece = base[shift:] + base[:shift]
        yield piece[:min(len(piece), size - start)]


def make(*arguments):
    """write_safetensors in another process: what this one holds would count as its children's memory."""
    process = os.fork()
    if process == 0:
        try:
            write_safetensors(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(process, 0)[1]:
        sys.exit(f"benchmark: cannot write {arguments[0]}")


def write_safetensors(path, dtype, width, shapes, metadata=None):
    header, position = {"__metadata__": metadata} if metadata else {}, 0
    for name, shape in shapes.items():
        size = width * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces(position):
            file.write(piece)


def matrices(size, width):
    """A state dict without a meaning: 64 square matrices."""
    side = int((size / 64 / width) ** 0.5)
    return {f"matrix.{i:02}": [side, side] for i in range(64)}


def network(size, width):
    """A recurrent network of two large matrices, which other conventions hold transposed."""
    hidden = int((size / 2 / width) ** 0.5)
    return {"weight_ih_l0": [hidden, hidden + 1], "weight_hh_l0": [hidden, hidden],
            "bias_ih_l0": [hidden], "bias_hh_l0": [hidden]}


def layers(size, width):
    """An LSTM of many layers of an ordinary size, two matrices of four gates in each."""
    hidden = 1024
    count = max(1, round(size / (2 * 4 * hidden * hidden * width)))
    return {name: shape for i in range(count) for name, shape in (
        (f"weight_ih_l{i}", [4 * hidden, hidden]), (f"weight_hh_l{i}", [4 * hidden, hidden]),
        (f"bias_ih_l{i}", [4 * hidden]), (f"bias_hh_l{i}", [4 * hidden]))}


def run(command, environment=None):
    """Seconds, seconds of the processor and peak resident MiB of a process that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    complaint = process.stderr.read().decode()
    process.stderr.close()
    if process.returncode:
        sys.exit(f"benchmark: {' '.join(map(str, command))}: {complaint}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1024 if sys.platform != "darwin" else MIB)


class Conversions:
    def __init__(self, binary, python, quick, rounds, scratch=None):
        self.binary, self.python, self.quick = binary, python, quick
        self.rounds = rounds or (2 if quick else 5)
        self.size = (128 if quick else 1024) * MIB
        self.folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=scratch))
        self.rows, self.unsynced = [], self.without_sync()

    def end(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def without_sync(self):
        """An environment in which fsync does nothing, or none where there is no C compiler."""
        source, library = self.folder / "no_sync.c", self.folder / "no_sync.so"
        source.write_text(no_sync_source)
        compiler = shutil.which("cc") or shutil.which("clang")
        if sys.platform == "darwin" or not compiler or subprocess.run(
                [compiler, "-shared", "-fPIC", "-O1", source, "-o", library]).returncode:
            return None
        return dict(os.environ, LD_PRELOAD=str(library))

    def row(self, name, source, target, options=(), bar=None, memory=32, proof_bar=None):
        """Times one conversion, with and without its proof, against cp of what it writes."""
        output, copy = self.folder / target, self.folder / "copy"
        command = [self.binary, "--quiet", source, output, *options]
        run(command)
        size = output.stat().st_size
        original = output.rename(self.folder / f"original-{target}")
        best, work, resident = {}, {}, 0.0

        def turn(kind, command, made, environment=None, sync=False):
            nonlocal resident
            made.unlink(missing_ok=True)
            seconds, processor, memory = run(command, environment)
            if sync:
                start = time.perf_counter()
                with open(made, "rb") as file:
                    os.fsync(file.fileno())
                seconds += time.perf_counter() - start
            if kind != "cp":
                resident = max(resident, memory)
            best[kind] = min(best.get(kind, math.inf), seconds)
            work[kind] = min(work.get(kind, math.inf), processor)

        for _ in range(self.rounds):
            turn("cp", ["cp", original, copy], copy)
            turn("bare", [*command, "--no-verify"], output, self.unsynced)
            turn("proven", command, output, self.unsynced)
        copy.unlink()
        output.unlink()
        for _ in range(1 if self.quick else 2):
            turn("cp+sync", ["cp", original, copy], copy, sync=True)
            copy.unlink()
            turn("synced", [*command, "--no-verify"], output)
            output.unlink()
        original.unlink()
        ratio, proven = best["bare"] / best["cp"], best["proven"] / best["cp"]
        synced = best["synced"] / best["cp+sync"]
        busy = work["bare"] / work["cp"], work["proven"] / work["cp"]
        verdict = "" if bar is None else " ok" if ratio <= bar else " above"
        second = "" if proof_bar is None else " ok" if proven <= proof_bar else " above"
        third = " ok" if resident <= memory else " above"
        self.rows.append({"section": "S7", "conversion": name, "bytes": size, "seconds": best,
                          "processor_seconds": work, "ratio_to_cp": ratio, "bar": bar, "proven_ratio": proven,
                          "proven_bar": proof_bar, "synced_ratio": synced,
                          "resident_mib": resident, "resident_bar": memory})
        print(f"S7  {name:28} {size / MIB:5.0f} MiB  cp {best['cp']:.2f} s  {ratio:5.2f}x"
              + (f" (bar {bar:g}x{verdict})" if bar else "")
              + f"  proven {proven:5.2f}x" + (f" (bar {proof_bar:g}x{second})" if proof_bar else "")
              + f"  both synced {synced:.2f}x  processor {busy[0]:.2f}x, {busy[1]:.2f}x  {resident:5.1f} MiB (bar {memory}{third})", flush=True)

    def conversions(self):
        folder, size = self.folder, self.size
        plain = folder / "plain.safetensors"
        make(plain, "F32", 4, matrices(size, 4))
        self.row("safetensors to safetensors", plain, "a.safetensors", bar=1.3, proof_bar=3)
        self.row("safetensors to .h5", plain, "a.h5", bar=1.3, proof_bar=3, memory=48)
        self.row("safetensors to .pt", plain, "a.pt", bar=1.6, proof_bar=3)
        self.row("safetensors to .npz", plain, "a.npz", bar=1.6, proof_bar=3)
        for kind in ("pt", "npz", "h5"):
            source = folder / f"source.{kind}"
            run([self.binary, "--quiet", "--no-verify", plain, source])
            self.row(f".{kind} to safetensors", source, "a.safetensors", proof_bar=3,
                     bar=1.3 if kind == "pt" else None)
            source.unlink()
        self.row("f32 to f64", plain, "a.safetensors", ["--dtype", "f64"], bar=2.2)
        self.row("f32 to bf16", plain, "a.safetensors", ["--dtype", "bf16"])
        plain.unlink()
        wide = folder / "wide.safetensors"
        make(wide, "F64", 8, matrices(size, 8))
        self.row("f64 to f32", wide, "a.safetensors", ["--dtype", "f32"], bar=2.2)
        wide.unlink()
        torch = folder / "torch.safetensors"
        make(torch, "F32", 4, network(size, 4), {"cell": "rnn_tanh"})
        self.row("torch to textbook-d3", torch, "a.safetensors", ["--as", "textbook-d3"], bar=2.2)
        self.row("torch to Keras", torch, "a.safetensors", ["--as", "keras"], bar=2.2)
        torch.unlink()
        make(torch, "F32", 4, layers(size, 4))
        self.row("torch to Keras, LSTM layers", torch, "a.safetensors", ["--as", "keras"], bar=2.2, proof_bar=3)
        torch.unlink()

    def memory(self):
        """Peak resident memory must not depend on the size."""
        for target in ("safetensors", "pt", "h5"):
            peaks = []
            for size in (256, 2048):
                plain = self.folder / "plain.safetensors"
                make(plain, "F32", 4, matrices(size * MIB, 4))
                output = self.folder / f"a.{target}"
                peaks.append(run([self.binary, "--quiet", plain, output], self.unsynced)[2])
                output.unlink()
                plain.unlink()
            grows = peaks[1] - peaks[0]
            self.rows.append({"section": "S7", "memory": target, "resident_mib": peaks, "bar": 2})
            print(f"S7  memory, safetensors to .{target}: {peaks[0]:.1f} MiB for 256 MiB, {peaks[1]:.1f} for"
                  f" 2 GiB: {grows:+.1f} (bar 2{' ok' if grows <= 2 else ' above'})", flush=True)

    def starts(self):
        """The whole life of a process that does little, against what Python takes to import."""
        small, output = self.folder / "small.safetensors", self.folder / "small.pt"
        make(small, "F32", 4, {"weight_ih_l0": [32, 40], "weight_hh_l0": [32, 32],
                                            "bias_ih_l0": [32], "bias_hh_l0": [32]},
                          {"cell": "rnn_tanh"})
        linked = subprocess.run(["ldd", self.binary], capture_output=True, text=True).stdout \
            if shutil.which("ldd") else ""
        is_dynamic = sys.platform == "darwin" or "libswiftCore" in linked
        bar = 6 if is_dynamic else 3
        commands = {"/bin/true": (["/bin/true"], None), "--version": ([self.binary, "--version"], None),
                    "--help": ([self.binary, "--help"], None),
                    "10 KB file": ([self.binary, "--quiet", small, output], self.unsynced),
                    "10 KB file, synced": ([self.binary, "--quiet", small, output], None)}
        best = dict.fromkeys(commands, math.inf)
        for _ in range(20 if self.quick else 100):
            for name, (command, environment) in commands.items():
                output.unlink(missing_ok=True)
                best[name] = min(best[name], run(command, environment)[0] * 1e3)
        imports = {}
        for module in ("torch", "safetensors.numpy") if self.python else ():
            command = [self.python, "-c", f"import {module}"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                imports[module] = min(run(command)[0] for _ in range(2)) * 1e3
        self.rows.append({"section": "S7", "start_ms": best, "import_ms": imports, "bar": bar})
        print(f"S7  start, {'dynamic' if is_dynamic else 'static'} Swift library (bar {bar} ms): "
              + ", ".join(f"{name} {ms:.1f} ms" for name, ms in best.items()), flush=True)
        for module, ms in imports.items():
            print(f"S7  import {module}: {ms:.0f} ms, {ms / best['--help']:.0f}x of --help (bar"
                  f" {300 if module == 'torch' else 20}x)", flush=True)

    def run(self):
        try:
            self.starts()
            self.conversions()
            if not self.quick:
                self.memory()
        finally:
            self.end()
        return self.rows
