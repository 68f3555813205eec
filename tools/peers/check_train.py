#!/usr/bin/env python3
"""Trains small language models with rnn-train, ends it in every way, and asks PyTorch about the results.

    $(tools/peers/environment) tools/peers/check_train.py FOLDER_OF_THE_TOOLS      (needs PyTorch, safetensors, h5py)

The losses of the first steps are those of a PyTorch program with the same seed; trainings that were
interrupted, terminated and killed end in the bytes of one that was not; the files load with strict=True
and write the same text in PyTorch.
"""
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np
import torch
from safetensors.torch import load_file

TRAIN = os.path.join(os.path.abspath(sys.argv[1]), "rnn-train")
ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = ROOT / "README.md"
problems = []
count = 0
# Who starts this in the background may have told it to ignore Ctrl-C, and programs inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def check(what, holds, detail=""):
    global count
    count += 1
    if not holds:
        problems.append(f"{what}: {detail}")


def train(*arguments, **options):
    return subprocess.run([TRAIN, *map(str, arguments)], capture_output=True, timeout=300, **options)


def ok(what, *arguments):
    result = train(*arguments)
    check(what, result.returncode == 0, f"exit status {result.returncode}, {result.stderr.decode()[-400:]}")
    return result


def refused(what, status, reason, *arguments, **options):
    result = train(*arguments, **options)
    message = result.stderr.decode()
    check(what, result.returncode == status and f"error[{reason}]" in message, f"{result.returncode}: {message}")


class Net(torch.nn.Module):
    """The modules under the names that rnn-train writes."""

    def __init__(self, kind, tokens, hidden, layers, embedding, dropout=0.0):
        super().__init__()
        if embedding:
            self.embedding = torch.nn.Embedding(tokens, embedding)
        options = {"num_layers": layers, "dropout": dropout}
        if kind.startswith("rnn_"):
            kind, options["nonlinearity"] = "rnn", kind[4:]
        self.rnn = getattr(torch.nn, kind.upper())(embedding or tokens, hidden, **options)
        self.classifier = torch.nn.Linear(hidden, tokens)
        self.tokens = tokens

    def forward(self, ids, state=None):
        x = self.embedding(ids) if hasattr(self, "embedding") else torch.nn.functional.one_hot(ids, self.tokens).float()
        y, state = self.rnn(x, state)
        return self.classifier(y), state


def load(path):
    if path.endswith(".safetensors"):
        return load_file(path)
    if path.endswith(".pt"):
        return torch.load(path, weights_only=True)
    with h5py.File(path) as file:
        return {key: torch.from_numpy(file[key][...]) for key in file}


def torch_losses(net, ids, rows, bptt, steps, lr, clip):
    """D2's and D3's order of blocks, with the state carried and the end wrapped around."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    stride = len(ids) // rows
    state, losses = None, []
    for block in range(steps):
        places = (torch.arange(bptt)[:, None] + block * bptt + torch.arange(rows)[None] * stride) % len(ids)
        logits, state = net(ids[places], state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[(places + 1) % len(ids)].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


def against_pytorch(work):
    text = TEXT.read_text(encoding="utf-8")
    symbols = sorted(set(text))
    ids = torch.tensor([symbols.index(c) for c in text])
    for kind, layers, embedding, container in [
        ("lstm", 2, 0, "h5"), ("gru", 1, 9, "safetensors"), ("rnn_tanh", 2, 5, "pt"), ("rnn_relu", 1, 0, "h5"),
    ]:
        model, log = f"{work}/{kind}.{container}", f"{work}/{kind}.jsonl"
        ok(f"{kind}: trains", TEXT, model, "--cell", kind, "--layers", layers, "--embedding", embedding, "--hidden", 24,
           "--batch", 6, "--bptt", 20, "--steps", 30, "--seed", 11, "--validation", 0, "--lr", 0.01, "--clip-norm", 0.25,
           "--log", log, "--quiet")
        ours = [json.loads(line) for line in open(log)]
        ours = [line["loss"] for line in ours if "loss" in line]
        torch.manual_seed(11)
        # Made in the order embedding, recurrent layers, head; equal seeds give equal weights.
        net = Net(kind, len(symbols), 24, layers, embedding)
        theirs = torch_losses(net, ids, 6, 20, 30, 0.01, 0.25)
        worst = max(abs(a - b) for a, b in zip(ours, theirs))
        check(f"{kind}: the losses are PyTorch's", len(ours) == 30 and worst < 2e-3, f"{worst}, {ours[:3]} {theirs[:3]}")
        check(f"{kind}: the first steps too", max(abs(a - b) for a, b in zip(ours[:5], theirs[:5])) < 1e-5)
        loaded = Net(kind, len(symbols), 24, layers, embedding)
        loaded.load_state_dict(load(model), strict=True)
        worst = max((a - b).abs().max().item() for a, b in zip(loaded.state_dict().values(), net.state_dict().values()))
        check(f"{kind}: the weights are PyTorch's", worst < 2e-2, f"{worst}")
        extra = ["--vocabulary", f"{model}.checkpoint"] if container == "pt" else []
        result = ok(f"{kind}: samples", "sample", model, "--prompt", "The ", "--length", 60, "--greedy", "--json", *extra)
        if result.returncode != 0:
            continue
        with torch.no_grad():
            logits, state = loaded(torch.tensor([[symbols.index(c)] for c in "The "]))
            said = ""
            for _ in range(60):
                said += symbols[int(logits[-1, 0].argmax())]
                logits, state = loaded(torch.tensor([[symbols.index(said[-1])]]), state)
        check(f"{kind}: PyTorch says the same", json.loads(result.stdout)["text"] == said, f"{result.stdout} {said}")


PLAN = ["--hidden", "40", "--layers", "2", "--dropout", "0.2", "--batch", "8", "--bptt", "25", "--validate-every", "9",
        "--schedule", "cosine", "--period", "300", "--seed", "5"]
# More than any machine makes before a signal reaches it: how far it came decides how long the others run.
ENDLESS = ["--steps", "100000000"]


def stopped_on_the_way(command, log, signalled, **options):
    """Starts a training without an end, calls signalled(process) after its first steps, and waits for its end.

    -> exit status, what it said, and the last line of its log.
    """
    process = subprocess.Popen([*command, *ENDLESS, "--log", str(log)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               **options)
    while process.poll() is None and (not log.exists() or log.read_bytes().count(b"\n") < 12):
        time.sleep(0.005)
    signalled(process)
    try:
        _, message = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, message, json.loads(log.read_text().splitlines()[-1])


def leftovers(work, name):
    """Files that are neither the log nor a finished checkpoint of this training."""
    return [f for f in os.listdir(work) if f.startswith(f"{name}.") and not f.endswith((".jsonl", ".h5.checkpoint"))]


def interrupted(work):
    for number, name in [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGKILL, "killed")]:
        model, log = f"{work}/{name}.h5", pathlib.Path(f"{work}/{name}.jsonl")
        status, message, last = stopped_on_the_way(
            [TRAIN, str(TEXT), model, *PLAN, "--checkpoint-every", "5"], log, lambda process: process.send_signal(number))
        check(f"{name}: ends by the signal", status == -number, f"{status} {message.decode()[-300:]}")
        check(f"{name}: no model yet", not os.path.exists(model))
        check(f"{name}: saved", os.path.exists(model + ".checkpoint"))
        if number != signal.SIGKILL:
            check(f"{name}: says how to go on", b"--resume" in message, message)
            left = leftovers(work, name)
            check(f"{name}: nothing is left behind", not left, str(left))
        refused(f"{name}: not by accident", 73, "output.exists", TEXT, model, *PLAN, *ENDLESS)
        steps = last["step"] + 40
        ok(f"{name}: goes on", TEXT, model, "--resume", "--steps", steps, "--quiet")
        ok(f"{name}: uninterrupted", TEXT, f"{work}/whole.h5", *PLAN, "--steps", steps, "--quiet", "--force")
        check(f"{name}: ends in the same bytes",
              pathlib.Path(model).read_bytes() == pathlib.Path(f"{work}/whole.h5").read_bytes())


def surface(work):
    empty, latin, text = (f"{work}/{name}.txt" for name in ("empty", "latin", "text"))
    pathlib.Path(empty).write_bytes(b"")
    pathlib.Path(latin).write_bytes("für Elise, façade ".encode("latin-1") * 60)
    pathlib.Path(text).write_bytes(TEXT.read_bytes()[:3000])
    small = ["--hidden", 6, "--batch", 4, "--bptt", 8, "--steps", 12]
    model = f"{work}/surface.h5"
    refused("empty text", 65, "train.empty-text", empty, model)
    refused("not UTF-8", 65, "train.not-utf8", latin, model)
    refused("no text", 66, "file.missing", f"{work}/none.txt", model)
    refused("a folder", 66, "file.not-regular", work, model)
    refused("no container", 64, "usage.extension", text, f"{work}/model.xyz")
    refused("no folder", 73, "output.directory", text, f"{work}/none/model.h5")
    refused("bad number", 64, "train.option", text, model, "--hidden", "many")
    refused("unknown flag", 64, "usage.arguments", text, model, "--hiden", 4)
    refused("steps and epochs", 64, "train.option", text, model, "--steps", 4, "--epochs", 4)
    refused("nothing to resume", 66, "file.missing", text, model, "--resume")
    for hint, arguments in [
        ("Did you mean lstm?", (text, model, "--cell", "ltsm")), ("Did you mean adam?", (text, model, "--optimizer", "adma")),
        ("Did you mean cosine?", (text, model, "--schedule", "cosin")), ("Did you mean '--hidden'?", (text, model, "--hiden", 4)),
        ("Did you mean rnn-train sample?", ("smaple", model)), (f"Did you mean {text}?", (text[:-1], model)),
        ("leave --resume out", (text, model, "--resume")), ("with cat", ("/dev/null", model)), ("model.h5, say", (text, f"{work}/model")),
        ("--greedy takes", ("sample", model, "--temperature", 0)),
    ]:
        message = train(*arguments).stderr.decode()
        check(f"hint: {hint}", hint in message, message)
    check("refusals write nothing", not os.path.exists(model) and not os.path.exists(model + ".checkpoint"))

    result = ok("json", text, model, *small, "--json")
    report = json.loads(result.stdout)
    check("json: fields", report["steps"] == 12 and report["stopped"] == "limit" and report["bits_per_character"] > 0)
    check("json: nothing else", result.stderr == b"" and result.stdout.count(b"\n") == 1)
    result = ok("quiet", text, model, *small, "--quiet", "--force")
    check("quiet: is quiet", result.stdout + result.stderr == b"")
    refused("another plan", 64, "train.resume-options", text, model, "--resume", "--hidden", 7)
    refused("another text", 65, "train.text-changed", TEXT, model, "--resume")
    refused("one file for two", 64, "usage.arguments", text, model, "--resume", "--checkpoint", model)
    refused("no checkpoint", 65, "train.checkpoint", text, model, "--resume", "--checkpoint",
            shutil.copy(model, f"{work}/no-checkpoint.h5"))
    result = ok("more steps", text, model, "--resume", "--steps", 20, "--json")
    check("more steps: made", json.loads(result.stdout)["steps"] == 20)

    plain = ok("plain lines", text, model, *small, "--force", "--print-every", 4).stderr.decode()
    check("plain lines: no control characters", "\r" not in plain and "\x1b" not in plain)
    check("plain lines: facts", all(w in plain for w in ("step 8 of 12", "bits/char", "chars/s", "left")), plain)
    leader, follower = pty.openpty()
    process = subprocess.Popen([TRAIN, text, model, *map(str, small), "--force"], stderr=follower, stdout=follower)
    process.wait(timeout=60)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 4096):
            shown += chunk
    except OSError:
        pass
    check("terminal: one live line", b"\r" in shown and b"of 12" in shown and b"\x1b[K" in shown, shown)

    ok("bytes", latin, f"{work}/bytes.npz", *small, "--level", "byte", "--quiet")
    result = ok("bytes: sample", "sample", f"{work}/bytes.npz", "--prompt", "f", "--length", 9, "--seed", 3, "--quiet")
    check("bytes: as many as asked for", len(result.stdout) == 10, str(result.stdout))
    ok("words", text, f"{work}/words.safetensors", *small, "--level", "word", "--embedding", 5, "--vocabulary-size", 40,
       "--quiet")
    result = ok("words: sample", "sample", f"{work}/words.safetensors", "--prompt", "the", "--length", 9, "--seed", 3)
    check("words: separated", result.stdout.startswith(b"the"), str(result.stdout))
    draws = [train("sample", model, "--seed", s, "--top-k", 9, "--top-p", 0.9, "--temperature", 1.2).stdout for s in (1, 1, 2)]
    check("sample: the seed decides", draws[0] == draws[1] != draws[2])
    refused("sample: unknown character", 64, "train.unknown-character", "sample", model, "--prompt", "Ж")
    refused("sample: no vocabulary", 65, "train.vocabulary", "sample", ROOT / "fixtures/checkpoints/char-rnn.pt")
    refused("sample: temperature", 64, "engine.sampling", "sample", model, "--temperature=-1")
    refused("sample: temperature 0", 64, "train.option", "sample", model, "--temperature", 0)
    refused("sample: contradiction", 64, "train.option", "sample", model, "--greedy", "--top-k", 3)
    refused("sample: no file", 66, "file.missing", "sample", f"{work}/none.h5")
    full = subprocess.run(f"'{TRAIN}' sample '{model}' > /dev/full", shell=True, capture_output=True)
    check("sample: full device", full.returncode == 74, str(full))


def children(parent):
    """The rnn-train processes that mpirun started."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            number, name, rest = re.fullmatch(r"(\d+) \((.*)\) (.*)", stat.read_text().strip()).groups()
        except OSError:
            continue  # it has ended
        if name == "rnn-train" and int(rest.split()[1]) == parent:
            found.append(int(number))
    return sorted(found)


def interrupted_together(work, environment):
    """Ctrl-C reaches mpirun, which then ends its processes; or a signal reaches one of them: all save."""
    mpirun = ["mpirun", "--oversubscribe", "-n", "2", TRAIN, str(TEXT)]
    plan = [*PLAN, "--batch", "4", "--quiet"]

    def of_one_rank(process):
        ranks = children(process.pid)
        check("together by one: two processes", len(ranks) == 2, str(ranks))
        os.kill(ranks[-1], signal.SIGINT)

    def trained(what, model, *options):
        result = subprocess.run([*mpirun, model, *options, "--quiet"], env=environment, capture_output=True, timeout=300)
        check(what, result.returncode == 0, result.stderr.decode()[-300:])

    for name, signalled in [("together by mpirun", lambda process: process.send_signal(signal.SIGINT)),
                            ("together by one", of_one_rank)]:
        model, log = f"{work}/{name}.h5", pathlib.Path(f"{work}/{name}.jsonl")
        _, message, last = stopped_on_the_way(
            [*mpirun, model, *plan, "--checkpoint-every", "0"], log, signalled, env=environment)
        check(f"{name}: stops on the way", last["event"] == "signal", str(last))
        check(f"{name}: says how to go on", message.count(b"--resume") == 1 and b"Killed" not in message, message)
        check(f"{name}: saved, and nothing else", not os.path.exists(model) and os.path.exists(model + ".checkpoint")
              and not leftovers(work, name), str(os.listdir(work)))
        steps = str(last["step"] + 40)
        trained(f"{name}: goes on", model, "--resume", "--steps", steps)
        trained(f"{name}: uninterrupted", f"{work}/together.h5", *plan, "--steps", steps, "--force")
        check(f"{name}: ends in the same bytes", pathlib.Path(model).read_bytes() ==
              pathlib.Path(f"{work}/together.h5").read_bytes())


def processes(work):
    """K processes are one with K times the rows; where there is no mpirun, that is said."""
    if not shutil.which("mpirun"):
        return print("no mpirun: training with several processes was not checked")
    plan = ["--hidden", 12, "--layers", 2, "--dropout", 0.2, "--embedding", 6, "--bptt", 10, "--steps", 40,
            "--validate-every", 9, "--dtype", "f64", "--quiet"]
    ok("one process", TEXT, f"{work}/one.npz", *plan, "--batch", 6)
    one = np.load(f"{work}/one.npz")
    allowed = os.environ | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    refused("processes without mpirun", 69, "train.mpi", TEXT, f"{work}/none.npz",
            env={k: v for k, v in os.environ.items() if not k.startswith("PMIX")} | {"OMPI_COMM_WORLD_SIZE": "2"})
    interrupted_together(work, allowed)
    for number in (2, 3):
        model = f"{work}/{number}.npz"
        command = ["mpirun", "--oversubscribe", "-n", str(number), TRAIN, str(TEXT), model, *map(str, plan)]
        command += ["--batch", str(6 // number)]
        result = subprocess.run(command, capture_output=True, timeout=120, env=allowed)
        check(f"{number} processes: train", result.returncode == 0, result.stderr.decode()[-300:])
        several = np.load(model)
        worst = max(np.abs(one[k] - several[k]).max() for k in one if one[k].dtype.kind == "f")
        check(f"{number} processes: the weights of one", worst < 1e-12, str(worst))
        refused(f"{number} processes: not resumed by one", 64, "train.processes", TEXT, model, "--resume")


with tempfile.TemporaryDirectory() as folder:
    against_pytorch(folder)
    interrupted(folder)
    surface(folder)
    processes(folder)
for problem in problems:
    print(problem)
print(f"{count - len(problems)} of {count} checks passed")
sys.exit(1 if problems or count < 80 else 0)
