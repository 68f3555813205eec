#!/usr/bin/env python3
"""Holds our HDF5 reader and h5py together on files of every kind and on generated damage.

usage: check_hdf5_reader.py FOLDER_OF_THE_TOOLS [--seed N] [--damage COUNT] [FILE.h5 ...]

Undamaged files (make_hdf5_layouts.py with every libver, and the FILEs) must be read as h5py
reads them. Of every file COUNT damaged versions are made: cut short, bytes flipped, set or copied,
most of them where the file describes itself. Each must be refused with status 65 or 69, or read as
h5py reads it; a crash, a hang (10 s) or other values are findings. h5py runs in a process of its own.
"""
import json
import multiprocessing
import os
import pathlib
import random
import resource
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "goldens"))
import make_hdf5_layouts as layouts  # noqa: E402


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


def ours(tool, path):
    """(status, message or tensors) of our reader."""
    output = path + ".safetensors"
    try:
        done = subprocess.run([tool, "--quiet", "--force", "--no-verify", "--from", "hdf5",
                               "--to", "safetensors", path, output], capture_output=True,
                              timeout=10, preexec_fn=limits)
    except subprocess.TimeoutExpired:
        return "hang", ""
    if done.returncode:
        return done.returncode, done.stderr.decode(errors="replace").strip()
    data = pathlib.Path(output).read_bytes()
    os.unlink(output)
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    aliases = header.pop("__metadata__", {})
    found = {}
    for key, entry in header.items():
        start, end = entry["data_offsets"]
        found[key] = (entry["dtype"].lower(), entry["shape"],
                      data[8 + size + start:8 + size + end])
    # Tied tensors are written once.
    for key, owner in aliases.items():
        if owner in found and key not in found:
            found[key] = found[owner]
    return 0, found


def serve(pipe):
    limits()
    while True:
        path = pipe.recv()
        try:
            pipe.send(layouts.read(path))
        except Exception as error:  # h5py refuses in many ways
            pipe.send(f"{type(error).__name__}: {error}"[:300])


class Peer:
    """h5py in a process that may die."""

    def __init__(self):
        self.process = None

    def read(self, path):
        if self.process is None:
            self.pipe, other = multiprocessing.Pipe()
            self.process = multiprocessing.Process(target=serve, args=(other,), daemon=True)
            self.process.start()
            other.close()
        try:
            self.pipe.send(path)
            if self.pipe.poll(20):
                return self.pipe.recv()
            answer = "hang"
        except (EOFError, OSError):
            answer = "crash"
        self.process.kill()
        self.process.join()
        self.process = None
        return answer


def damage(data, rng, hot):
    """A damaged copy; `hot` are the positions that describe the file rather than hold elements."""
    data = bytearray(data)
    kind = rng.choice(("cut", "flip", "flip", "byte", "byte", "field", "copy", "flips"))
    at = rng.choice(hot) if rng.random() < 0.85 else rng.randrange(len(data))
    if kind == "cut":
        return data[:rng.randrange(len(data))]
    if kind == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "flips":
        for _ in range(rng.randrange(2, 9)):
            data[rng.choice(hot)] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[at] = rng.choice((0, 1, 2, 3, 4, 8, 16, 127, 128, 254, 255))
    elif kind == "field":
        value = rng.choice((0, 1, 2**16, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, len(data),
                            rng.randrange(len(data))))
        width = rng.choice((2, 4, 8))
        data[at:at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    else:
        size, to = rng.choice((4, 8, 16, 64, 512)), rng.choice(hot)
        data[to:to + size] = data[at:at + size]
    return repair(data, rng) if rng.random() < 0.7 else data


def lookup3(data):
    rot = lambda v, k: (v << k | v >> 32 - k) & 0xFFFFFFFF
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    while len(data) > 12:
        x, y, z = struct.unpack("<3I", data[:12])
        a, b, c = a + x & 0xFFFFFFFF, b + y & 0xFFFFFFFF, c + z & 0xFFFFFFFF
        for k in (4, 6, 8, 16, 19, 4):
            a = (a - c & 0xFFFFFFFF) ^ rot(c, k)
            c = c + b & 0xFFFFFFFF
            a, b, c = b, c, a
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<3I", data.ljust(12, b"\0"))
    a, b, c = a + x & 0xFFFFFFFF, b + y & 0xFFFFFFFF, c + z & 0xFFFFFFFF
    for k in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - rot(b, k) & 0xFFFFFFFF
        a, b, c = b, c, a
    return b


def repair(data, rng):
    """Makes the checksums right again, so that damage reaches what lies behind them."""
    data = bytearray(data)

    def seal(start, end):
        if 0 < start < end <= len(data) - 4:
            data[end:end + 4] = lookup3(bytes(data[start:end])).to_bytes(4, "little")

    at = data.find(b"OHDR")
    while at >= 0:
        if at + 16 <= len(data):
            flags = data[at + 5]
            head = 6 + (16 if flags & 32 else 0) + (4 if flags & 16 else 0)
            width = 1 << (flags & 3)
            size = int.from_bytes(data[at + head:at + head + width], "little")
            seal(at, at + head + width + size)
        at = data.find(b"OHDR", at + 1)
    for mark, size in ((b"BTHD", 34), (b"FRHP", 138), (b"FAHD", 24), (b"EAHD", 68)):
        at = data.find(mark)
        while at >= 0:
            seal(at, at + size)
            at = data.find(mark, at + 1)
    return data


def hot_positions(data):
    """What lies within 600 bytes after a signature, and the first 200 bytes."""
    hot = set(range(min(200, len(data))))
    for mark in (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD",
                 b"BTLF", b"BTIN", b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EADB", b"EASB", b"GCOL",
                 b"\x01\x00\x06\x00\x01\x00\x00\x00", b"\x01\x00\x05\x00\x01\x00\x00\x00"):
        at = data.find(mark)
        while at >= 0:
            hot.update(range(at, min(at + 200, len(data))))
            at = data.find(mark, at + 1)
    return sorted(hot)


def main(arguments):
    tool = os.path.join(os.path.abspath(arguments.pop(0)), "rnn-convert")
    seed, count = 1, 40
    files = []
    while arguments:
        argument = arguments.pop(0)
        if argument == "--seed":
            seed = int(arguments.pop(0))
        elif argument == "--damage":
            count = int(arguments.pop(0))
        else:
            files.append(argument)
    rng = random.Random(seed)
    findings, tally, reasons = [], Counter(), Counter()
    peer = Peer()

    def compare(title, path, status, answer, must_read):
        if status == 0:
            theirs = peer.read(path)
            if theirs == answer:
                tally["read alike"] += 1
            elif isinstance(theirs, str):
                tally["read by us, refused by h5py"] += 1
                findings.append((must_read, f"{title}: we read it, h5py: {theirs}"))
            else:
                keys = [k for k in theirs.keys() | answer.keys() if theirs.get(k) != answer.get(k)]
                tally["read differently"] += 1
                findings.append((True, f"{title}: differs in {sorted(keys)[:5]}"))
        elif status in (65, 69):
            tally["refused"] += 1
            reasons[answer.partition("[")[2].partition("]")[0]] += 1
            if must_read:
                findings.append((True, f"{title}: refused: {answer}"))
        else:
            tally["crash or hang"] += 1
            findings.append((True, f"{title}: status {status}: {answer[-400:]}"))

    with tempfile.TemporaryDirectory() as work, ThreadPoolExecutor(2) as pool:
        for name in layouts.SETS:
            for bound in layouts.BOUNDS:
                path = os.path.join(work, f"{name}-{bound}.h5")
                layouts.write(path, name, bound)
                files.append(path)
        for path in files:
            status, answer = ours(tool, path)
            compare(path, path, status, answer, True)
        print(f"{len(files)} undamaged files: {dict(tally)}", flush=True)
        tally.clear(), reasons.clear()
        for path in files:
            data = pathlib.Path(path).read_bytes()
            hot = hot_positions(data)
            jobs = []
            for index in range(count):
                bad = os.path.join(work, f"bad-{index}.h5")
                pathlib.Path(bad).write_bytes(damage(data, rng, hot))
                jobs.append((bad, pool.submit(ours, tool, bad)))
            for bad, job in jobs:
                before = len(findings)
                compare(f"damage of {os.path.basename(path)}", bad, *job.result(), False)
                if len(findings) > before and os.environ.get("KEEP"):
                    keep = os.path.join(os.environ["KEEP"], f"{len(findings)}.h5")
                    os.makedirs(os.environ["KEEP"], exist_ok=True)
                    pathlib.Path(keep).write_bytes(pathlib.Path(bad).read_bytes())
                    findings[-1] = (findings[-1][0], f"{findings[-1][1]} ({keep})")
        print(f"{sum(tally.values())} damaged files: {dict(tally)}")
        print("refused for", dict(reasons.most_common()))
    for is_serious, finding in findings:
        print(("FINDING " if is_serious else "note ") + finding)
    return 1 if any(is_serious for is_serious, _ in findings) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
