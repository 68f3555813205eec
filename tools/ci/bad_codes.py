#!/usr/bin/env python3
"""One input for each reason code that nothing else reaches, through the tools, as a stranger would send it,
and what every golden file that must be refused is refused with (figure F13 of the project).

usage: bad_codes.py FOLDER_OF_THE_TOOLS      (needs NumPy; with strace also the failures of the system, with
                                              a C compiler those of other libraries)
"""
import io
import json
import os
import pathlib
import pickle
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib

import numpy as np

from containers import REFUSED, ROOT

BIN = os.path.abspath(sys.argv[1])
GOOD = ROOT / "fixtures/checkpoints/char-rnn.pt"
problems, count = [], 0


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **options)
    return buffer.getvalue()


def archive(*members, method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return bytearray(buffer.getvalue())


def edited(data, signature, offset, value, width=2):
    """A zip file with a field of its last record of a kind changed."""
    at = data.rindex(signature) + offset
    data[at:at + width] = value.to_bytes(width, "little")
    return bytes(data)


def torch(pickled=None, **extra):
    """A PyTorch archive with odd parts, `folder__name` for folder/name."""
    members = {"a/data.pkl": pickled or pickle.dumps({}, 2), "a/version": b"3\n", "a/byteorder": b"little"}
    members |= {k.replace("__", "/"): v for k, v in extra.items()}
    return bytes(archive(*members.items()))


def npz(metadata=None, **arrays):
    members = [(f"{k}.npy", npy(v)) for k, v in arrays.items()]
    if metadata is not None:
        members.append(("__metadata__.npy", npy(np.frombuffer(metadata.encode(), np.uint8))))
    return bytes(archive(*members))


def safetensors(tensors, **metadata):
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, array in tensors.items():
        array = np.asarray(array, "<f4")
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def network(kind=1, **extra):
    """A PyTorch network of `kind` gates, in safetensors."""
    rng = np.random.default_rng(8)
    shapes = {"rnn.weight_ih_l0": (kind * 5, 3), "rnn.weight_hh_l0": (kind * 5, 5),
              "rnn.bias_ih_l0": (kind * 5,), "rnn.bias_hh_l0": (kind * 5,)}
    return {n: rng.normal(size=s) for n, s in shapes.items()} | extra


def deflated_wrongly():
    data = bytearray(archive(("a.npy", npy(np.arange(999.0))), method=zipfile.ZIP_DEFLATED))
    data[45] ^= 0x55
    data[60:80] = bytes(20)
    return bytes(data)


def grows():
    """300 MB of zeros in a member that says so."""
    data = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = data.compress(bytes(300 << 20)) + data.flush()
    file = archive(("a.npy", packed))
    for signature, start in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        at = file.rindex(signature)
        file[at + start:at + start + 2] = b"\x08\0"
        field = at + start + 14
        file[field:field + 4] = (300 << 20).to_bytes(4, "little")
    return bytes(file)


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("notes.txt"))
    return buffer.getvalue()


def twice_extra():
    """A central entry that saturates its size and has two ZIP64 fields."""
    name, extra = b"a.npy", struct.pack("<HHQ", 1, 8, 7) * 2
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 7, 7, 5, 0) + name + b"content"
    central = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 7, 0xffffffff, 5, len(extra),
                          0, 0, 0, 0, 0) + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, len(central) + len(extra), len(local), 0)
    return {"zip.extra": local + central + extra + end,
            "zip.zip64": local + edited(bytearray(central), b"PK\1\2", 30, 0)
            + edited(bytearray(end), b"PK\5\6", 12, len(central), 4)}


def cases():
    plain = lambda: archive(("a.npy", npy(np.arange(3.0))))
    yield "file.gzip", b"\x1f\x8b\x08" + bytes(40)
    yield "file.tar", tar()
    yield "zip.bomb", grows()
    yield "zip.deflate", deflated_wrongly()
    yield from twice_extra().items()
    end = bytes(plain())
    at = end.rindex(b"PK\5\6")
    yield "zip.locator", end[:at] + b"PK\6\7" + struct.pack("<IQI", 0, at, 1) + end[at:]
    yield "zip.multi-disk", edited(plain(), b"PK\5\6", 4, 3)
    yield "zip.truncated", edited(plain(), b"PK\1\2", 28, 0xfff0)
    yield "npy.magic", bytes(archive(("a.npy", b"no NumPy array here")))
    yield "npy.version", bytes(archive(("a.npy", npy(np.arange(3.0))[:6] + b"\x09" + npy(np.arange(3.0))[7:])))
    yield "npz.member", bytes(archive(("a.npy", npy(np.arange(3.0))), ("notes.txt", b"")))
    yield "npz.metadata", npz("[1]", a=np.arange(3.0))
    yield "pickle.protocol", torch(b"\x80\x09}.")
    yield "pt.byteorder", torch(a__byteorder=b"middle")
    yield "pt.layout", torch(b__more=b"")
    yield "pt.pickle-size", torch(bytes(65 << 20))
    yield "safetensors.name", safetensors({"n" * 5000: [1.0]})
    yield "metadata.batch_first", safetensors(network(), batch_first="perhaps")
    yield "metadata.gru_reset", safetensors(network(3), gru_reset="never")
    yield "metadata.head", safetensors(network(), head="tail")
    for code, value in (("metadata.cell", "neuron"), ("metadata.head_reads", "middle"), ("metadata.dropout", "much"),
                        ("metadata.initial_state", "random"), ("metadata.direction", "reverse"), ("metadata.clip", "3.5"),
                        ("metadata.activations", "softsign tanh"), ("metadata.input_forget", "1"),
                        ("metadata.connections", "rnn => fc")):
        head = {"fc.weight": np.ones((2, 5)), "fc.bias": np.ones(2)} if code == "metadata.head_reads" else {}
        yield code, safetensors(network(**head), **{code.split(".")[1]: value})
    yield "weights.none", torch()
    yield from foreign()


def foreign():
    """Files of known kinds that are not read are named as what they are."""
    yield "file.tflite", b"\x1c\0\0\0TFL3" + bytes(40)
    yield "file.ort", b"\x1c\0\0\0ORTM" + bytes(40)
    yield "file.gguf", b"GGUF\3\0\0\0" + bytes(40)
    yield "file.ggml", b"lmgg" + bytes(40)
    yield "file.kaldi", b"\0B<Nnet3> " + bytes(40)
    yield "file.torch7", struct.pack("<ii", 4, 1) + bytes(40)
    yield "file.rtneural", json.dumps({"in_shape": [None, None, 1], "layers": [{"type": "lstm"}]}).encode()
    yield "file.pickle", pickle.dumps({"weight": [1.0, 2.0]}, 4)
    # A SavedModel: its schema's version and a graph; a Core ML model: its version and a description.
    yield "file.saved-model", b"\x08\x01\x12\x06\x0a\x04\x0a\x02\x08\x01"
    yield "file.coreml", b"\x08\x04\x12\x08\x0a\x06\x0a\x04text"


def connected():
    """A network whose metadata states that its head reads the last step, and a layer that nobody reads."""
    head = {f"{name}.{part}": np.ones(shape) for name in ("fc", "more") for part, shape in (("weight", (2, 5)), ("bias", (2,)))}
    return safetensors(network(**head), cell="rnn_tanh", connections="rnn -> fc [last] (stated)")


def chosen(folder):
    """What the caller says must fit the file: connections, modules, a names file."""
    file, out = folder / "connected.safetensors", folder / "chosen.onnx"
    file.write_bytes(connected())
    for code, *options in (("network.head-reads", "--head-reads", "sequence"), ("network.neighbour", "--head", "tail"),
                           ("network.neighbour", "--embedding", "tail"), ("weights.kind", "--module", "fc"),
                           ("usage.head-reads", "--head-reads", "first"), ("usage.yes-no", "--batch-first", "perhaps"),
                           ("conversion.not-one-network",), ("conversion.strict", "--module", "rnn", "--strict")):
        expect(code, "rnn-convert", file, out, *options)
    narrow = folder / "narrow.safetensors"
    narrow.write_bytes(safetensors(network(**{"fc.weight": np.ones((2, 4))}), cell="rnn_tanh"))
    expect("network.sizes", "rnn-convert", narrow, out, "--head", "fc")
    names, module = folder / "names.json", {"cell": "gru", "gates": "r z n", "orientation": "rows"}
    tensors = {"weight_ih": "rnn.weight_ih_l0", "weight_hh": "rnn.weight_hh_l0"}
    for code, modules in (("names.shape", {"stack": module | {"tensors": tensors | {"weight_hh": "fc.bias"}}}),
                          ("names.missing", {"stack": {"cell": "rnn_tanh", "orientation": "rows", "tensors": tensors | {
                              "bias_ih": "rnn.bias_ih_l0", "bias_hh": "rnn.offset"}}}),
                          ("names.format", {"stack": module | {"gates": "r z", "tensors": tensors}})):
        names.write_text(json.dumps({"schema": 1, "modules": modules}))
        expect(code, "rnn-convert", file, folder / "chosen.safetensors", "--as", "torch", "--names", names)
    for path in (out, folder / "chosen.safetensors"):
        if path.exists():
            problems.append(f"{path.name}: something was written")


def expect(code, tool, *arguments, **options):
    global count
    count += 1
    run = subprocess.run([*options.pop("before", []), f"{BIN}/{tool}", *map(str, arguments)],
                         capture_output=True, text=True, timeout=60, **options)
    if f"error[{code}]" not in run.stderr or run.returncode not in range(64, 78):
        problems.append(f"{code}: status {run.returncode}, {run.stderr[:300]!r}")
    return run


def system_failures(folder):
    """What only a failing system call shows."""
    if not shutil.which("strace"):
        print("bad_codes: no strace, the failures of the system are left out")
        return
    def inject(call, error, number):
        return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                f"inject={call}:error={error}:when={number}"]
    out = folder / "out.npz"
    for code, call, number in (("file.sync", "fsync", 1), ("file.mode", "fchmod", 1),
                               ("file.full", "fallocate", 1), ("output.publish", "linkat", 1)):
        error = "ENOSPC" if call == "fallocate" else "EIO"
        run = expect(code, "rnn-convert", "--quiet", GOOD, out, before=inject(call, error, number))
        if out.exists() or "Nothing was written." not in run.stderr:
            problems.append(f"{code}: {run.stderr!r}, output {out.exists()}")
    run = expect("file.directory-sync", "rnn-convert", "--quiet", GOOD, out, before=inject("fsync", "EIO", 2))
    if not out.exists() or "Nothing was written." in run.stderr:
        problems.append(f"file.directory-sync: {run.stderr!r}, output {out.exists()}")
    out.unlink(missing_ok=True)
    run = expect("h5.write", "rnn-convert", "--quiet", GOOD, folder / "out.h5", before=inject("pwrite64", "EIO", 2))
    if (folder / "out.h5").exists() or "Nothing was written." not in run.stderr:
        problems.append(f"h5.write: {run.stderr!r}")


# Functions of the system and of libraries that fail when asked to: the failures that no file causes.
STAND_IN = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(const char *what) {
  const char *wish = getenv("STAND_IN");
  return wish && !strcmp(wish, what);
}
#ifdef HDF5
int H5get_libversion(unsigned *major, unsigned *minor, unsigned *release) {
  int (*real)(unsigned *, unsigned *, unsigned *) = dlsym(RTLD_NEXT, "H5get_libversion");
  int status = real(major, minor, release);
  if (fails("version")) *minor = 6;
  return status;
}
int H5PLset_loading_state(unsigned mask) {
  int (*real)(unsigned) = dlsym(RTLD_NEXT, "H5PLset_loading_state");
  return fails("setup") ? -1 : real(mask);
}
unsigned long H5Dget_offset(long id) {
  unsigned long (*real)(long) = dlsym(RTLD_NEXT, "H5Dget_offset");
  return real(id) + fails("offset");
}
#else
int inflateInit2_(void *stream, int bits, const char *version, int size) {
  int (*real)(void *, int, const char *, int) = dlsym(RTLD_NEXT, "inflateInit2_");
  return fails("memory") ? -4 : real(stream, bits, version, size);
}
int close(int file) {
  char link[64], path[4096] = "";
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  if (readlink(link, path, sizeof path - 1) < 0) path[0] = 0;
  int status = syscall(SYS_close, file);
  if (!fails("close") || !(strstr(path, ".rnn-") || strstr(path, "/#"))) return status;
  errno = EIO;
  return -1;
}
#endif
"""


def library_failures(folder):
    """Other libraries than we expect, without memory, and a close that fails."""
    compiler = shutil.which("cc") or shutil.which("clang") or shutil.which("gcc")
    if not sys.platform.startswith("linux") or not compiler:
        print("bad_codes: no C compiler, the failures of libraries are left out")
        return
    def build(output, *options, source=STAND_IN):
        subprocess.run([compiler, "-shared", "-fPIC", "-w", "-x", "c", "-", "-x", "none", "-o", folder / output,
                        *options, "-ldl"], input=source, text=True, check=True)
    def refused(code, wish, *arguments, tool="rnn-convert", **variables):
        run = expect(code, tool, *arguments, env=os.environ | {"STAND_IN": wish} | variables)
        left = [p.name for p in folder.iterdir() if p.name.startswith((".failed", "failed"))]
        if left or tool == "rnn-convert" and "Nothing was written." not in run.stderr:
            problems.append(f"{code}: {run.stderr!r}, left {left}")
    build("preloaded.so")
    preloaded = {"LD_PRELOAD": str(folder / "preloaded.so")}
    packed = folder / "packed.npz"
    packed.write_bytes(archive(("a.npy", npy(np.arange(999.0))), method=zipfile.ZIP_DEFLATED))
    refused("zip.inflate", "memory", packed, folder / "failed.safetensors", **preloaded)
    kept = folder / "kept-by-close.npz"
    kept.write_bytes(b"old")
    refused("file.close", "close", GOOD, kept, "--force", "--quiet", **preloaded)
    if kept.read_bytes() != b"old" or list(folder.glob(".kept*")):
        problems.append("file.close: the old file is not what it was")
    # Open MPI by name only.
    (folder / "mpi").mkdir()
    build("mpi/libmpi.so.40", source="int nothing;")
    words = folder / "words.txt"
    words.write_text("to be or not to be " * 99)
    expect("train.mpi", "rnn-train", words, folder / "trained.pt",
           env=os.environ | {"LD_LIBRARY_PATH": str(folder / "mpi"), "OMPI_COMM_WORLD_SIZE": "2"})
    # libhdf5 under another name, and before it our own with three functions of its own.
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    name = "libhdf5_serial.so.103"
    paths = [line.split("=> ")[1] for line in known.splitlines() if line.strip().startswith(name + " ")]
    if not paths:
        print(f"bad_codes: no {name}, its failures are left out")
        return
    (folder / "hdf5").mkdir()
    other = name.replace("serial", "standi")
    real = pathlib.Path(paths[0]).read_bytes().replace(name.encode() + b"\0", other.encode() + b"\0")
    (folder / "hdf5" / other).write_bytes(real)
    build(f"hdf5/{name}", "-DHDF5", "-Wl,--no-as-needed", folder / "hdf5" / other)
    found = {"LD_LIBRARY_PATH": str(folder / "hdf5")}
    run = subprocess.run([f"{BIN}/rnn-convert", "--quiet", GOOD, folder / "fine.h5"],
                         env=os.environ | found, capture_output=True, text=True)
    if run.returncode:
        problems.append(f"the stand-in that fails nothing: {run.stderr}")
    for code, wish in (("h5.library-version", "version"), ("h5.library-setup", "setup"), ("h5.layout", "offset")):
        refused(code, wish, GOOD, folder / "failed.h5", **found)


# Refusals of a file or its network as a whole; all others name the tensor, entry, key or byte.
WHOLE = {"h5.keras", "pt.key", "pt.legacy", "pt.root", "pt.torchscript", "weights.unrecognized"}


# Two state dicts, and cells of different sizes: refused as one network only.
CONVERTED = {"two.pt", "cells.keras"}


def messages(folder):
    """F13: every golden file that must be refused is refused with a code, a place, what was found and expected,
    and that nothing was written; half of the messages are shorter than 300 characters."""
    lengths, placed, hints, codes = [], 0, 0, set()
    for path in sorted(REFUSED.glob("*/*")):
        if path.suffix in (".json", ".bin") or ".data-" in path.name or path.name in CONVERTED:
            continue
        name = f"{path.parent.name}/{path.name}"
        # Sound files are refused for what PyTorch cannot express.
        for output in ("out.npz", "out.pt"):
            arguments = [f"{BIN}/rnn-convert", path, folder / output]
            text = subprocess.run(arguments, capture_output=True, text=True)
            if text.returncode:
                break
            (folder / output).unlink()
        else:
            problems.append(f"{name}: is not refused: {text.stdout!r}")
            continue
        said = subprocess.run([*arguments, "--json"], capture_output=True, text=True).stdout
        if text.returncode not in (65, 66, 69) or (folder / output).exists():
            problems.append(f"{name}: status {text.returncode}, written {(folder / output).exists()}")
            continue
        error = json.loads(said)["error"]
        message = text.stderr.replace(str(path), path.name)
        code = error["reason"]
        complete = (re.match(r"[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9-_]+$", code) and f"error[{code}]: {path.name}: " in message
                    and error["found"] and error["expected"] and "Nothing was written." in message)
        if not complete or not error["place"] and code not in WHOLE:
            problems.append(f"{name}: {message!r} {error}")
        codes.add(code)
        placed += bool(error["place"])
        hints += bool(error["hint"])
        lengths.append(len(message.strip()))
    median = statistics.median(lengths)
    if len(lengths) < 60 or median >= 300:
        problems.append(f"{len(lengths)} messages, median length {median}")
    print(f"F13: {len(lengths)} refused golden files, {len(codes)} codes: all say code, file, found, expected and "
          f"\"Nothing was written.\"; {placed} a place, the others are about the whole file or network; {hints} a hint; "
          f"length {median:g} (median), {max(lengths)} (longest)" if not problems else "F13: not reached")


def attributes(folder):
    """A replacement keeps mode and extended attributes, and says what became of other names."""
    out, other = folder / "kept.npz", folder / "other.npz"
    out.write_bytes(b"old")
    out.chmod(0o440)
    os.link(out, other)
    try:
        os.setxattr(out, "user.origin", b"here")
    except OSError:
        print("bad_codes: no extended attributes here, keeping them is not checked")
    names = os.listxattr(out)
    run = subprocess.run([f"{BIN}/rnn-convert", GOOD, out, "--force"], capture_output=True, text=True)
    if run.returncode or "had 2 hard links" not in run.stdout or other.read_bytes() != b"old" or \
            out.stat().st_mode & 0o777 != 0o440 or os.listxattr(out) != names:
        problems.append(f"replacing: {run.stdout} {run.stderr} {oct(out.stat().st_mode)} {os.listxattr(out)}")


def standard_output(folder):
    """A standard output that takes nothing is an error, closed, full or without a reader."""
    shell = f'"{BIN}/rnn-inspect" "{GOOD}"'
    for title, command in (("closed", f"{shell} >&-"), ("full", f"{shell} >/dev/full"),
                           ("all closed", f"{shell} <&- >&- 2>&-"),
                           ("no reader", f"({shell}; echo $? >'{folder}/status') | true; "
                                         f"sleep 0.3; exit $(cat '{folder}/status')")):
        run = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
        if run.returncode != 74:
            problems.append(f"standard output {title}: status {run.returncode} {run.stderr!r}")
    out = folder / "streams.npz"
    run = subprocess.run(["bash", "-c", f'"{BIN}/rnn-convert" "{GOOD}" "{out}" <&- >&- 2>&-'])
    again = folder / "again.npz"
    subprocess.run([f"{BIN}/rnn-convert", "--quiet", GOOD, again])
    if run.returncode != 74 or out.read_bytes() != again.read_bytes():
        problems.append(f"closed streams: status {run.returncode}, or text in the output")


def destinations(folder):
    """Reports obey the same protocol as weights; a folder that takes nothing is said at once."""
    fixture = ROOT / "fixtures/torch/rnn-tanh-2-layer-batch-first-f64.npz"
    link, real = folder / "link.xml", folder / "real.xml"
    real.write_text("old")
    link.symlink_to("real.xml")
    subprocess.run([f"{BIN}/rnn-verify", fixture, "--junit", link], capture_output=True)
    if not link.is_symlink() or "testsuite" not in real.read_text():
        problems.append("a report through a link")
    expect("output.not-regular", "rnn-verify", fixture, "--junit", "/dev/null")
    expect("output.not-regular", "rnn-convert", GOOD, "/dev/null", "--to", "npz", "--force")
    same = folder / "same.pt"
    shutil.copy(GOOD, same)
    run = subprocess.run([f"{BIN}/rnn-convert", "--quiet", same, same, "--force"], capture_output=True, text=True)
    if run.returncode or subprocess.run([f"{BIN}/rnn-verify", "--same", same, GOOD],
                                        capture_output=True).returncode:
        problems.append(f"a file onto itself: {run.stderr}")
    if os.geteuid() == 0:
        closed = folder / "closed"
        closed.mkdir(mode=0o755)
        folder.chmod(0o755)
        source, tool = folder / "readable.pt", folder / "rnn-convert"
        shutil.copy(GOOD, source)
        source.chmod(0o644)
        shutil.copy(f"{BIN}/rnn-convert", tool)
        run = subprocess.run([tool, source, closed / "out.npz"], capture_output=True, text=True,
                             preexec_fn=lambda: os.setuid(65534))
        if run.returncode != 73 or "error[output.create]" not in run.stderr:
            problems.append(f"output.create: status {run.returncode} {run.stderr}")


def main():
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        for code, data in cases():
            source = folder / "input.bin"
            source.write_bytes(data)
            # Recognition is by content: these two are no such file at all without being asked for.
            asked = {"npz.member": ["--from", "npz"], "pt.layout": ["--from", "pt"]}.get(code, [])
            expect(code, "rnn-convert", source, folder / "out.safetensors", *asked)
            if (folder / "out.safetensors").exists():
                problems.append(f"{code}: something was written")
                (folder / "out.safetensors").unlink()
        good = folder / "good.safetensors"
        good.write_bytes(safetensors(network()))
        expect("usage.format", "rnn-convert", good, folder / "x", "--to", "cuneiform")
        expect("usage.cell", "rnn-convert", good, folder / "x.h5", "--cell", "neuron")
        expect("usage.gru-reset", "rnn-convert", good, folder / "x.h5", "--gru-reset", "never")
        expect("usage.dtype", "rnn-convert", good, folder / "x.h5", "--dtype", "i8")
        chosen(folder)
        system_failures(folder)
        library_failures(folder)
        messages(folder)
        attributes(folder)
        standard_output(folder)
        destinations(folder)
    for problem in problems:
        print(f"bad_codes: {problem}", file=sys.stderr)
    print(f"bad_codes: {count} cases, {len(problems)} wrong")
    sys.exit(1 if problems else 0)


main()
