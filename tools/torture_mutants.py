"""F3, F5, F6: mutants, truncations and flipped bits, each through rnn-convert as a stranger would."""
import multiprocessing
import os
import pathlib
import random
import shutil
import tempfile

from torture_common import (CHECKED, MEMORY_LIMIT, TIME_LIMIT, UNCHECKED, Figures, companions, run,
                            seeds)

INTERESTING = [0, 1, 2, 7, 8, 16, 64, 127, 128, 255, 256, 4096, 32767, 32768, 65535, 65536,
               2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 62, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1]


def mutated(data, other, rng):
    """A damaged copy: one to four edits of the kinds that break parsers."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if not data:
            break
        at = rng.randrange(len(data))
        # Headers are where parsers live: half of all edits hit the first or last part.
        if rng.random() < 0.5:
            at = min(at, rng.randrange(1, 256)) if rng.random() < 0.6 else \
                max(0, len(data) - rng.randrange(1, 256))
            at = min(at, len(data) - 1)
        length = rng.choice([1, 1, 2, 4, 8, 16, rng.randrange(1, 400)])
        kind = rng.randrange(9)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
        elif kind in (2, 3):
            width = rng.choice([1, 2, 4, 8])
            value = rng.choice(INTERESTING) + rng.choice([0, 0, 0, -1, 1])
            data[at:at + width] = (value % 2 ** (8 * width)).to_bytes(
                width, rng.choice(["little", "little", "big"]))
        elif kind == 4:
            del data[at:at + length]
        elif kind == 5:
            data[at:at] = data[at:at + length] * rng.choice([1, 2, 20])
        elif kind == 6:
            data[at:at] = rng.randbytes(length)
        elif kind == 7:
            start = rng.randrange(len(other) or 1)
            data[at:at + length] = other[start:start + length]
        else:
            del data[at:]
    return bytes(data)


class Place:
    """A folder of one worker's own; on memory where there is such a file system."""
    def __init__(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rnn-torture-", dir=base))
        self.inputs, self.outputs = self.folder / "in", self.folder / "out"
        self.inputs.mkdir()
        self.outputs.mkdir()
        self.errors = str(self.folder / "errors")

    def empty(self, folder):
        for path in folder.iterdir():
            path.unlink()

    def judge(self, tool, source, title, figures, unmutated=None, must_refuse=False, keep=None):
        """Converts one file and says everything that is wrong with how that went."""
        out = self.outputs / "out.safetensors"
        result = run([tool, "--quiet", str(source), str(out)], self.errors)
        figures.count += 1
        figures.most("max seconds", result.seconds)
        figures.most("max MB", result.memory)
        found = sorted(os.listdir(self.outputs))
        problem = None
        # A damaged index may name a file that is not there.
        absent = result.status == 66 and source.name.endswith((".index.json", ".index", ".onnx"))
        if result.status not in (0, 64, 65, 69) and not absent:
            problem = f"status {result.status}"
        elif result.seconds > TIME_LIMIT:
            problem = f"{result.seconds:.1f} s"
        elif result.memory > MEMORY_LIMIT:
            problem = f"{result.memory} MB"
        elif result.status == 0 and must_refuse:
            problem = "accepted"
        elif result.status == 0 and found != [out.name]:
            problem = f"left {found}"
        elif result.status == 0 and unmutated is not None and out.read_bytes() != unmutated:
            problem = "accepted with another meaning than the file before"
        elif result.status and found:
            problem = f"refused, and left {found}"
        elif result.status and not (result.message.startswith("rnn-convert: error[") and
                                    "Nothing was written." in result.message):
            problem = "refused without saying so"
        figures.note("refused" if result.status else "accepted")
        if problem:
            figures.fail(f"{title}: {problem} {result.message[:200]!r}")
            if keep:
                pathlib.Path(keep).mkdir(parents=True, exist_ok=True)
                shutil.copy(source, pathlib.Path(keep) / title.replace("/", "-").replace(" ", "_"))
        self.empty(self.outputs)


def prepare(place, seed):
    place.empty(place.inputs)
    for other in companions(seed):
        shutil.copy(other, place.inputs)
    return place.inputs / seed.name


def meaning(place, tool, seed):
    """What the undamaged seed converts to, or None where it is refused."""
    source = prepare(place, seed)
    shutil.copy(seed, source)
    out = place.outputs / "out.safetensors"
    run([tool, "--quiet", str(source), str(out)], place.errors)
    data = out.read_bytes() if out.exists() else None
    place.empty(place.outputs)
    return data


def mutants(job):
    tool, container, first, last, keep = job
    figures, place = Figures(container), Place()
    files = seeds(container)
    known = {}
    try:
        for number in range(first, last):
            rng = random.Random(f"{container} {number}")
            seed = rng.choice(files)
            if container in CHECKED and seed.name not in UNCHECKED and seed not in known:
                known[seed] = meaning(place, tool, seed)
            source = prepare(place, seed)
            targets = [seed] + sorted(companions(seed))
            target = rng.choice(targets)
            shutil.copy(seed, source)
            damaged = mutated(target.read_bytes(), rng.choice(files).read_bytes(), rng)
            (place.inputs / target.name).write_bytes(damaged)
            place.judge(tool, source, f"{container} mutant {number} of {seed.name}", figures,
                        unmutated=known.get(seed), keep=keep)
    finally:
        shutil.rmtree(place.folder)
    return figures


def sweep(job):
    """Every prefix, or every flipped bit, of one file between two positions."""
    tool, kind, container, seed, first, last, step, keep = job
    figures, place = Figures(container), Place()
    try:
        unmutated = meaning(place, tool, seed)
        if unmutated is None:
            return figures
        data = seed.read_bytes()
        source = prepare(place, seed)
        for at in range(first, min(last, len(data) * (8 if kind == "bits" else 1)), step):
            if kind == "bits":
                copy = bytearray(data)
                copy[at // 8] ^= 1 << at % 8
                source.write_bytes(copy)
            else:
                source.write_bytes(data[:at])
            place.judge(tool, source, f"{container} {kind} {at} of {seed.name}", figures,
                        unmutated=unmutated if kind == "bits" and seed.name not in UNCHECKED
                        else None,
                        must_refuse=kind == "prefixes", keep=keep)
    finally:
        shutil.rmtree(place.folder)
    return figures


def mutant_figures(tool, count, jobs, keep, containers):
    work = [(tool, container, first, min(first + 250, count), keep)
            for container in containers if seeds(container) for first in range(0, count, 250)]
    rows = {}
    with multiprocessing.Pool(jobs) as pool:
        for figures in pool.imap_unordered(mutants, work):
            rows.setdefault(figures.name, Figures(f"F3 mutants, {figures.name}")).add(figures)
    return [rows[name] for name in containers if name in rows]


def sweep_figures(tool, kind, budget, jobs, keep, containers):
    """About `budget` runs for each container, spread over its files."""
    work = []
    for container in containers:
        files = seeds(container)
        for seed in files:
            total = seed.stat().st_size * (8 if kind == "bits" else 1)
            step = max(1, total * len(files) // budget)
            block = step * 400
            work += [(tool, kind, container, seed, first, first + block, step, keep)
                     for first in range(0, total, block)]
    rows = {}
    label = "F5 flipped bits" if kind == "bits" else "F6 prefixes"
    with multiprocessing.Pool(jobs) as pool:
        for figures in pool.imap_unordered(sweep, work):
            rows.setdefault(figures.name, Figures(f"{label}, {figures.name}")).add(figures)
    return [rows[name] for name in containers if name in rows]
