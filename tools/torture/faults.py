"""F7 to F9 and F12: kills and faults at every system call, full disks, many writers, no other file."""
import collections
import multiprocessing
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from common import NETWORK, WRITTEN, Figures, run, seeds
from containers import LIBRARY_ONLY, REFUSED

SHARDED = "safetensors.index.json"
# Failures that a call can report; the others are only killed at.
FALLIBLE = ["write", "pwrite64", "fsync", "fallocate", "ftruncate", "linkat", "link", "rename",
            "renameat2", "fchmod", "fchown", "openat", "pread64", "read", "close", "unlink", "fcntl"]
TRANSFERS = ["write", "pwrite64"]
SIGNALS = {"SIGKILL": 9, "SIGTERM": 15, "SIGINT": 2}


def traced(command, errors):
    """(system call, how many-th of its name in its thread, line) after the input was opened."""
    log = errors + ".trace"
    run(["/usr/bin/env", "strace", "-f", "-qq", "-o", log, *command], errors)
    counts, calls, main, started = collections.Counter(), [], None, False
    with open(log, errors="replace") as lines:
        for line in lines:
            found = re.match(r"(\d+) +(\w+)\(", line)
            if not found:
                continue
            main = main or found[1]
            if found[1] != main:
                continue
            counts[found[2]] += 1
            started = started or str(command[-2]) in line and found[2] == "openat"
            if started and found[2] not in ("exit_group", "exit"):
                calls.append((found[2], counts[found[2]], line))
    return calls


class Scene:
    """One writer in a folder of its own, with or without a file to replace."""
    def __init__(self, tool, kind, source, replaces):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rnn-faults-"))
        self.errors = str(self.folder / "errors")
        self.kind, self.replaces = kind, replaces
        self.out = self.folder / "out"
        self.out.mkdir()
        self.target = self.out / f"x.{kind}"
        options = ["--force"] if replaces else []
        self.command = [tool, "--quiet", *options, str(source), str(self.target)]
        self.reset()
        status = run(self.command, self.errors).status
        self.new = self.target.read_bytes() if self.target.exists() else None
        self.is_sound = status == 0 and self.new is not None
        self.meaning = self.read() if self.is_sound else None
        self.reset()

    def read(self):
        """What the output means, or None when it cannot be read."""
        again = self.folder / "again.safetensors"
        status = run([self.command[0], "--quiet", "--force", str(self.target), str(again)],
                     self.errors).status
        return again.read_bytes() if status == 0 else None

    def reset(self):
        shutil.rmtree(self.out)
        self.out.mkdir()
        if self.replaces:
            self.target.write_bytes(b"precious")

    def close(self):
        shutil.rmtree(self.folder)

    def judge(self, title, result, killed, figures, lies=False):
        """Old or new, success only with the new, nothing else in the folder."""
        figures.count += 1
        data = self.target.read_bytes() if self.target.exists() else None
        others = [p.name for p in self.out.iterdir() if p != self.target]
        if self.kind == SHARDED and (data == self.new or killed):
            others = [n for n in others if not re.fullmatch(r"x-\d{5}-of-\d{5}\.safetensors", n)]
        old = b"precious" if self.replaces else None
        if lies and result.status == 0 and data != self.new and self.read() == self.meaning:
            # libhdf5 writes indexes that no reading of all tensors needs.
            figures.note("lost writes outside the weights")
            data = self.new
        if data not in (old, self.new):
            figures.fail(f"{title}: the output is damaged, status {result.status}")
        elif result.status == 0 and data != self.new:
            figures.fail(f"{title}: success without the new file")
        elif result.status not in (0, 74) and data == self.new and not killed and old != self.new:
            figures.fail(f"{title}: failure {result.status} although the new file is there")
        elif others and not killed:
            figures.fail(f"{title}: left {others}, status {result.status}")
        elif not killed and (result.status < 0 or result.status >= 128):
            figures.fail(f"{title}: status {result.status} {result.message[-200:]!r}")
        if killed and others:
            figures.note("left-overs after SIGKILL")
        figures.note("new" if data == self.new else "old")
        if any(self.out.iterdir()):
            self.reset()


def fault_points(job):
    tool, kind, source, replaces, every, part, parts = job
    figures = Figures(kind)
    scene = Scene(tool, kind, source, replaces)
    try:
        if not scene.is_sound:
            figures.fail(f"{kind}: the undisturbed run fails")
            return figures
        calls = traced(scene.command, scene.errors)
        scene.reset()
        points = []
        for call, number, line in calls:
            points += [(call, number, f"signal={name}") for name in SIGNALS]
            if call in FALLIBLE:
                points += [(call, number, f"error={code}") for code in ("EIO", "ENOSPC", "EINTR")]
            size = re.search(r", (\d+)(?:, \d+)?\) += (\d+)", line)
            if call in TRANSFERS and size and size[1] == size[2]:
                # A disk that says it wrote: only reading back can tell.
                points.append((call, number, f"retval={size[1]}"))
        # Loops of reads teach little after the first: all points of rare calls, every n-th of the rest.
        seen = collections.Counter()
        chosen = []
        for call, number, action in points:
            seen[call, action] += 1
            if seen[call, action] <= 12 or seen[call, action] % every == 0:
                chosen.append((call, number, action))
        for call, number, action in chosen[part::parts]:
            result = run(["/usr/bin/env", "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                          "-e", f"inject={call}:{action}:when={number}", *scene.command],
                         scene.errors, limit=60)
            killed = "SIGKILL" in action or result.status == -9
            # Where removing itself fails there is nothing left to try.
            lenient = killed or (call == "unlink" and action.startswith("error"))
            title = f"{kind} {'over a file' if replaces else 'new'}: {call} {number} {action}"
            signal = SIGNALS.get(action.removeprefix("signal="), 0)
            if signal and result.status in (-signal, 128 + signal):
                result.status = 74
            if action.startswith("retval") and call == "write" and result.status < 0:
                result.status = 74
            scene.judge(title, result, lenient, figures, lies=action.startswith("retval"))
    finally:
        scene.close()
    return figures


def fault_figures(tool, source, every, jobs, writers=tuple(WRITTEN)):
    work = [(tool, kind, source, replaces, every, part, 8)
            for kind in writers for replaces in (False, True) for part in range(8)]
    row, parts = None, 0
    with multiprocessing.Pool(jobs) as pool:
        for figures in pool.imap(fault_points, work):
            row = (row or Figures(f"F7 kills and faults, {figures.name}")).add(figures)
            parts += 1
            if parts == len(work) // len(writers):
                yield row
                row, parts = None, 0


def full_disk_figures(tool, source, step):
    """A disk that is full after n bytes: a small tmpfs where we may mount, a file size limit always."""
    rows = []
    for kind in WRITTEN:
        figures = Figures(f"F8 size limit, {kind}")
        for replaces in (False, True):
            scene = Scene(tool, kind, source, replaces)
            for limit in range(0, max(len(scene.new or b""), 49_152) + step, step):
                command = ["/usr/bin/prlimit", f"--fsize={limit}", *scene.command]
                result = run(command, scene.errors)
                scene.judge(f"{kind} limited to {limit} bytes", result, False, figures)
                if result.status not in (0, 74):
                    figures.fail(f"{kind} limited to {limit} bytes: status {result.status}")
            scene.close()
        rows.append(figures)
    mount = pathlib.Path(tempfile.mkdtemp(prefix="rnn-disk-"))
    probe = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], capture_output=True)
    if probe.returncode:
        print("torture: mounting a small tmpfs is not permitted here; the disk-full sweep is left out")
        mount.rmdir()
        return rows
    subprocess.run(["umount", mount], check=True)
    for kind in WRITTEN:
        figures = Figures(f"F8 full disk, {kind}")
        for replaces in (False, True):
            for size in range(4096, 196_608, step):
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", mount], check=True)
                try:
                    disk_full(tool, kind, source, mount, replaces, size, figures)
                finally:
                    subprocess.run(["umount", mount], check=True)
        rows.append(figures)
    mount.rmdir()
    return rows


def disk_full(tool, kind, source, mount, replaces, size, figures):
    target = mount / f"x.{kind}"
    if replaces:
        target.write_bytes(b"precious")
    errors = tempfile.mktemp(prefix="rnn-errors-")
    result = run([tool, "--quiet", *(["--force"] if replaces else []), str(source), str(target)], errors)
    os.unlink(errors)
    figures.count += 1
    figures.note(f"status {result.status}")
    names = sorted(os.listdir(mount))
    title = f"{kind} on a disk of {size} bytes"
    if result.status not in (0, 73, 74):
        figures.fail(f"{title}: status {result.status} {result.message[-200:]!r}")
    elif result.status and names != ([target.name] if replaces else []):
        figures.fail(f"{title}: left {names}")
    elif result.status and replaces and target.read_bytes() != b"precious":
        figures.fail(f"{title}: the old file changed")
    elif not result.status and run([tool, "--quiet", str(target), "/dev/shm/rnn-again.safetensors",
                                    "--force"], "/dev/shm/rnn-errors").status:
        figures.fail(f"{title}: success, and the file cannot be read")


def many_writers_figures(tool, source, count):
    rows = []
    for force in (False, True):
        figures = Figures(f"F9 {count} writers {'with' if force else 'without'} --force")
        for kind in WRITTEN:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="rnn-race-"))
            target = folder / f"x.{kind}"
            command = [tool, "--quiet", *(["--force"] if force else []), str(source), str(target)]
            running = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(count)]
            statuses = [process.wait() for process in running]
            figures.count += count
            winners = statuses.count(0)
            names = [n for n in os.listdir(folder) if n != target.name and not
                     (kind == SHARDED and n.endswith(".safetensors"))]
            sound = subprocess.run([tool, "--quiet", target, folder / "again.npz"],
                                   capture_output=True).returncode == 0
            wanted = winners == 1 if not force or kind == SHARDED else winners == count
            if not wanted or names or not sound or set(statuses) - {0, 73}:
                figures.fail(f"{kind}: {winners} winners, statuses {sorted(set(statuses))}, left {names}, "
                             f"{'sound' if sound else 'NOT sound'}")
            shutil.rmtree(folder)
        rows.append(figures)
    return rows


def audit_figures(tool, files):
    """Which files and sockets a conversion touches, good files and hostile ones."""
    figures = Figures("F12 files and sockets")
    libraries = re.compile(r"/(lib|lib64|usr/lib|etc/ld\.so|proc/self/|sys/devices/system/cpu)|/dev/null$")
    runtime = {os.path.dirname(line.split("=>")[1].split("(")[0].strip())
               for line in subprocess.run(["ldd", tool], capture_output=True, text=True).stdout.splitlines()
               if "=> /" in line}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rnn-audit-"))
    for source in files:
        log = folder / "log"
        out = folder / "out" / "x.safetensors"
        out.parent.mkdir(exist_ok=True)
        subprocess.run(["strace", "-f", "-qq", "-o", log, "-e",
                        "trace=open,openat,openat2,creat,socket,connect,bind,execve,ptrace",
                        tool, "--quiet", source, out], capture_output=True, timeout=120)
        figures.count += 1
        for line in log.read_text(errors="replace").splitlines():
            if re.search(r" (socket|connect|bind|ptrace)\(", line):
                figures.fail(f"{source.name}: {line}")
            path = re.search(r'"([^"]*)"', line)
            if " = -1 " in line and "ENOENT" in line or not path:
                continue
            name = path[1]
            # Side files are named by the input: its own folder is as far as they reach.
            mine = os.path.dirname(os.path.abspath(name)) in (str(source.parent), str(out.parent)) or \
                name in (str(source.parent), str(out.parent), ".", tool)
            if not mine and not libraries.match(name) and os.path.dirname(name) not in runtime:
                figures.fail(f"{source.name}: {line}")
        shutil.rmtree(out.parent)
    shutil.rmtree(folder)
    return [figures]


def audited(short):
    good = [files[0] for files in map(seeds, ["hdf5", "keras", "pt", "npz", "safetensors", "sharded",
                                              "msgpack", "onnx", "tensorflow"]) if files]
    hostile = sorted([*REFUSED.glob("*/*"), *LIBRARY_ONLY.glob("*/*")])
    return good + (hostile[::6] if short else hostile) + [NETWORK]
