"""What the parts of tools/torture share: running a tool fast, containers and their files, findings."""
import contextlib
import os
import pathlib
import signal
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "ci"))
from containers import CHECKED, GOLDEN, GOLDENS, ROOT, WRITTEN  # noqa: E402, F401

NETWORK = ROOT / "fixtures/checkpoints/char-rnn.pt"
TIME_LIMIT = 10  # seconds
MEMORY_LIMIT = 512  # MB of resident memory

UNCHECKED = {"nocrc.pt"}  # written without checksums


def seeds(group):
    """The golden files of a group, smallest first."""
    files = {p for pattern in GOLDENS[group] for p in GOLDEN.glob(pattern)}
    return sorted(files, key=lambda p: (p.stat().st_size, p.name))


def companions(path):
    """Files beside a seed that belong to it, by name; the seed itself is not among them."""
    if path.name.endswith(".index.json"):
        stem = path.name.split(".")[0]
        return [p for p in path.parent.iterdir() if p.name.startswith(stem + "-")]
    if path.suffix == ".index":
        return list(path.parent.glob(path.stem + ".data-*"))
    if path.suffix == ".onnx":
        return [p for p in path.parent.iterdir() if p.suffix in (".bin", ".data") and
                p.name.startswith(path.stem)]
    return []


class Result:
    def __init__(self, status, seconds, memory, message):
        self.status, self.seconds, self.memory, self.message = status, seconds, memory, message


def run(arguments, errors, environment=None, limit=TIME_LIMIT, output="/dev/null"):
    """Runs a command with its standard error in the file `errors`; only in a process's main thread."""
    actions = [(os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
               (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    start = time.monotonic()
    pid = os.posix_spawn(arguments[0], arguments, environment or os.environ, file_actions=actions)
    def stop(*_):
        with contextlib.suppress(ProcessLookupError):  # it may have ended this moment
            os.kill(pid, signal.SIGKILL)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    _, wait, usage = os.wait4(pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - start
    status = os.waitstatus_to_exitcode(wait)
    with open(errors, errors="replace") as text:
        return Result(status, seconds, usage.ru_maxrss // 1024, text.read())


class Figures:
    """One row of the table: how many, how many wrong, and the first things that went wrong."""
    def __init__(self, name):
        self.name, self.count, self.wrong, self.notes, self.first = name, 0, 0, {}, []
        self.samples = {}

    def fail(self, text):
        self.wrong += 1
        if len(self.first) < 12:
            self.first.append(text)

    def note(self, key, amount=1):
        self.notes[key] = self.notes.get(key, 0) + amount

    def most(self, key, value):
        self.notes[key] = max(self.notes.get(key, 0), value)

    def sample(self, key, value):
        self.samples.setdefault(key, []).append(value)

    def add(self, other):
        self.count += other.count
        self.wrong += other.wrong
        self.first = (self.first + other.first)[:12]
        for key, value in other.notes.items():
            if key.startswith("max"):
                self.most(key, value)
            else:
                self.note(key, value)
        for key, values in other.samples.items():
            self.samples.setdefault(key, []).extend(values)
        return self

    def row(self):
        notes = ", ".join(f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v:,}"
                          for k, v in sorted(self.notes.items()))
        notes += "".join(f", median {k} {statistics.median(v):.0f}" for k, v in sorted(self.samples.items()))
        return f"{self.name:<34} {self.count:>9,} {self.wrong:>7,}  {notes}"
