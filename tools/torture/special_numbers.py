"""F10: every pattern of the small floating-point types, and special ones of the large, keep their bits."""
import itertools
import json
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile

from common import WRITTEN, Figures
from containers import NEUTRAL


def tensors(random_count):
    rng = random.Random(10)
    f32 = [0, 1 << 31, 1, 0x7fffff, 0x800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
           0x7fa00001, 0xffbfffff, 0xffffffff, 0x3f800000]
    f64 = [0, 1 << 63, 1, 2 ** 52 - 1, 2 ** 52, 0x7fefffffffffffff, 0x7ff0000000000000,
           0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0x7ff4000000000001, 2 ** 64 - 1]
    every = struct.pack("<65536H", *range(65536))
    f32 += [rng.getrandbits(32) for _ in range(random_count)]
    f64 += [rng.getrandbits(64) for _ in range(random_count)]
    return {"half": ("F16", every), "brain": ("BF16", every),
            "single": ("F32", struct.pack(f"<{len(f32)}I", *f32)),
            "double": ("F64", struct.pack(f"<{len(f64)}Q", *f64))}


def pack(tensors):
    header, offset = {}, 0
    for name, (dtype, data) in tensors.items():
        size = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}[dtype]
        header[name] = {"dtype": dtype, "shape": [len(data) // size],
                        "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(d for _, d in tensors.values())


def unpack(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    body = data[8 + length:]
    return {name: (info["dtype"], body[slice(*info["data_offsets"])])
            for name, info in json.loads(data[8:8 + length]).items() if name != "__metadata__"}


def number_figures(tool, random_count):
    figures = Figures("F10 bits through pairs of containers")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rnn-bits-"))
    everything = tensors(random_count)
    for a, b in itertools.product(NEUTRAL, NEUTRAL):
        wanted = {n: t for n, t in everything.items() if t[0] != "BF16" or WRITTEN[a].has_bf16 and WRITTEN[b].has_bf16}
        work = folder / "work"
        work.mkdir()
        (work / "in.safetensors").write_bytes(pack(wanted))
        steps = ["in.safetensors", f"first.{a}", f"second.{b}", "out.safetensors"]
        for source, target in zip(steps, steps[1:]):
            done = subprocess.run([tool, "--quiet", work / source, work / target], capture_output=True,
                                  text=True)
            if done.returncode:
                figures.fail(f"{a} -> {b}: {source} -> {target}: {done.stderr}")
                break
        else:
            found = unpack(work / "out.safetensors")
            for name, tensor in wanted.items():
                figures.count += len(tensor[1]) // {"F16": 2, "BF16": 2, "F32": 4, "F64": 8}[tensor[0]]
                if found.get(name) != tensor:
                    figures.fail(f"{a} -> {b}: tensor {name} changed")
            figures.note("pairs")
        shutil.rmtree(work)
    shutil.rmtree(folder)
    return [figures]
