"""F3, F5, F6: mutants, truncations and flipped bits, each through rnn-convert as a stranger would.

The first of them get a process each. The others that are one file go through `rnn-convert --batch`,
many in a process, where start-up does not take most of the time; whatever ends a batch in any way but
its own is found by giving each of its files a process again.
"""
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import tempfile

from common import CHECKED, MEMORY_LIMIT, TIME_LIMIT, UNCHECKED, Figures, companions, run, seeds

BATCH = 200

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


class Trial:
    """A damaged file: what it is called, the bytes that stand in for those of named files beside it,
    and what it must not be taken for."""
    def __init__(self, title, seed, files, unmutated=None, must_refuse=False):
        self.title, self.seed, self.files = title, seed, files
        self.unmutated, self.must_refuse = unmutated, must_refuse

    def accepted_wrongly(self, output):
        if self.must_refuse:
            return "accepted"
        if self.unmutated is not None and output.read_bytes() != self.unmutated:
            return "accepted with another meaning than the file before"
        return None


class Place:
    """A folder of one worker's own; on memory where there is such a file system."""
    def __init__(self, tool, figures, keep=None):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.tool, self.figures, self.keep = tool, figures, keep
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rnn-torture-", dir=base))
        self.inputs, self.outputs = self.folder / "in", self.folder / "out"
        self.inputs.mkdir()
        self.outputs.mkdir()
        self.errors, self.report = str(self.folder / "errors"), str(self.folder / "report")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def empty(self):
        for folder in (self.inputs, self.outputs):
            for path in folder.iterdir():
                path.unlink()

    def converted(self, seed, files):
        """The seed and its companions, some replaced, through the tool: the result and the output."""
        self.empty()
        for name in [seed, *companions(seed)]:
            if name.name not in files:
                shutil.copy(name, self.inputs)
        for name, data in files.items():
            (self.inputs / name).write_bytes(data)
        out = self.outputs / "out.safetensors"
        return run([self.tool, "--quiet", str(self.inputs / seed.name), str(out)], self.errors), out

    def meaning(self, seed):
        """What the undamaged seed converts to, or None where it is refused."""
        _, out = self.converted(seed, {})
        return out.read_bytes() if out.exists() else None

    def count(self, trial, refused, problem, message=""):
        self.figures.count += 1
        self.figures.note("refused" if refused else "accepted")
        if problem:
            self.figures.fail(f"{trial.title}: {problem} {message[:200]!r}")
            if self.keep:
                folder = pathlib.Path(self.keep) / trial.title.replace("/", "-").replace(" ", "_")
                folder.mkdir(parents=True, exist_ok=True)
                for name, data in trial.files.items():
                    (folder / name).write_bytes(data)

    def alone(self, trial):
        """Converts one file and says everything that is wrong with how that went."""
        result, out = self.converted(trial.seed, trial.files)
        self.figures.most("max seconds", result.seconds)
        self.figures.most("max MB", result.memory)
        found = sorted(os.listdir(self.outputs))
        problem = None
        # A damaged index may name a file that is not there.
        absent = result.status == 66 and trial.seed.name.endswith((".index.json", ".index", ".onnx"))
        if result.status not in (0, 64, 65, 69) and not absent:
            problem = f"status {result.status}"
        elif result.seconds > TIME_LIMIT:
            problem = f"{result.seconds:.1f} s"
        elif result.memory > MEMORY_LIMIT:
            problem = f"{result.memory} MB"
        elif result.status == 0:
            problem = trial.accepted_wrongly(out) if found == [out.name] else f"left {found}"
        elif found:
            problem = f"refused, and left {found}"
        elif not (result.message.startswith("rnn-convert: error[") and
                  "Nothing was written." in result.message):
            problem = "refused without saying so"
        if result.status:
            self.figures.sample("characters of a refusal", len(result.message))
        self.count(trial, result.status, problem, result.message)

    def together(self, trials):
        """Converts many files in one process; one by one where that process does not end well."""
        self.empty()
        inputs = [self.inputs / f"{number}-{trial.seed.name}" for number, trial in enumerate(trials)]
        for path, trial in zip(inputs, trials):
            path.write_bytes(trial.files[trial.seed.name])
        result = run([self.tool, "--batch", *map(str, inputs), str(self.outputs), "--to", "safetensors",
                      "--json", "--jobs", "1"], self.errors, limit=6 * TIME_LIMIT, output=self.report)
        try:
            answers = json.loads(pathlib.Path(self.report).read_bytes())["files"]
            outputs = {a["input"]: a.get("output") for a in answers if a["written"]}
            said = all(a["written"] or a["error"]["reason"] for a in answers)
        except (ValueError, LookupError):
            answers, outputs, said = [], {}, False
        if (result.status not in (0, 64, 65, 69) or result.memory > MEMORY_LIMIT or not said
                or [a["input"] for a in answers] != [str(path) for path in inputs]
                or {str(path) for path in self.outputs.iterdir()} != set(outputs.values())):
            self.figures.note("batches looked into")
            for trial in trials:
                self.alone(trial)
            return
        self.figures.most("max MB", result.memory)
        for path, trial in zip(inputs, trials):
            output = outputs.get(str(path))
            self.count(trial, output is None, output and trial.accepted_wrongly(pathlib.Path(output)))

    def attack(self, trials, alone):
        """The first `alone` trials, and those of several files, by themselves; the others in batches."""
        waiting = []
        for number, trial in enumerate(trials):
            if number < alone or companions(trial.seed):
                self.alone(trial)
            else:
                waiting.append(trial)
            if len(waiting) == BATCH:
                self.together(waiting)
                waiting = []
        if waiting:
            self.together(waiting)


def mutants(job):
    tool, container, first, last, alone, keep = job
    figures, files, known = Figures(container), seeds(container), {}

    def trials(place):
        for number in range(first, last):
            rng = random.Random(f"{container} {number}")
            seed = rng.choice(files)
            if container in CHECKED and seed.name not in UNCHECKED and seed not in known:
                known[seed] = place.meaning(seed)
            target = rng.choice([seed] + sorted(companions(seed)))
            damaged = mutated(target.read_bytes(), rng.choice(files).read_bytes(), rng)
            yield Trial(f"{container} mutant {number} of {seed.name}", seed, {target.name: damaged},
                        unmutated=known.get(seed))

    with Place(tool, figures, keep) as place:
        place.attack(trials(place), alone)
    return figures


def sweep(job):
    """Every prefix, or every flipped bit, of one file between two positions."""
    tool, kind, container, seed, first, last, step, alone, keep = job
    figures, data = Figures(container), seed.read_bytes()

    def trials(unmutated):
        for at in range(first, min(last, len(data) * (8 if kind == "bits" else 1)), step):
            title = f"{container} {kind} {at} of {seed.name}"
            if kind == "prefixes":
                # A JSON text without its last line feed is whole, and must mean what it meant.
                whole = seed.suffix == ".json" and not data[at:].strip()
                yield Trial(title, seed, {seed.name: data[:at]}, unmutated=unmutated, must_refuse=not whole)
            else:
                copy = bytearray(data)
                copy[at // 8] ^= 1 << at % 8
                yield Trial(title, seed, {seed.name: bytes(copy)},
                            unmutated=None if seed.name in UNCHECKED else unmutated)

    with Place(tool, figures, keep) as place:
        unmutated = place.meaning(seed)
        if unmutated is not None:
            place.attack(trials(unmutated), alone)
    return figures


def rows(jobs, task, work, label):
    """One row for each container, as soon as all of its work is done."""
    with multiprocessing.Pool(jobs) as pool:
        done = pool.imap(task, work)
        for container, parts in itertools.groupby(done, key=lambda figures: figures.name):
            row = Figures(f"{label}, {container}")
            for figures in parts:
                row.add(figures)
            yield row


def mutant_figures(tool, count, jobs, keep, containers):
    """The first 2,000 of each container have a process each."""
    block = 1000
    work = [(tool, container, first, min(first + block, count), block if first < 2000 else 0, keep)
            for container in containers if seeds(container) for first in range(0, count, block)]
    return rows(jobs, mutants, work, "F3 mutants")


def sweep_figures(tool, kind, budget, jobs, keep, containers):
    """About `budget` files for each container, spread over its seeds; every twentieth alone."""
    work = []
    for container in containers:
        files = seeds(container)
        for seed in files:
            total = seed.stat().st_size * (8 if kind == "bits" else 1)
            step = max(1, total * len(files) // budget)
            block = step * 400
            work += [(tool, kind, container, seed, first, first + block, step, 20, keep)
                     for first in range(0, total, block)]
    return rows(jobs, sweep, work, "F5 flipped bits" if kind == "bits" else "F6 prefixes")
