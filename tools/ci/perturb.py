#!/usr/bin/env python3
"""Every fixture must be able to fail: damages each expected tensor in turn and runs rnn-verify.

    tools/ci/perturb.py PATH/TO/rnn-verify [FOLDER...]

Of every fixture there is a copy per expected tensor with one element moved (a different element each
time), one with a NaN, one without a parameter that the gradients name, one with a tensor too many. Where
there are token ids, lengths, targets, dropout or a padding index, there are copies with another of each.
All must be reported as failing, and the untouched fixtures pass.
"""
import glob
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

EXPECTED = ("outputs/", "grads/", "trained/", "losses", "states/", "trajectory/")


def write(path, tensors):
    """numpy.savez, without its check that no name is called `file`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in tensors.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array)
            archive.writestr(name + ".npy", data.getvalue())


def damaged_copies(tensors):
    """(what was done, tensor it concerns, tensors)"""
    expected = [name for name in tensors if name.startswith(EXPECTED)]
    config = json.loads(bytes(tensors["config"]))
    allowed = config.get("tolerance", {}).get("grads", {}).get("relative_to_max", 1e-5)
    for turn, name in enumerate(expected):
        changed = tensors[name].copy()
        flat = changed.reshape(-1)
        # Ten times the loosest of the tolerances that the tensor's dtype could be given.
        step = 1e-3 if changed.dtype == np.float32 else max(1e-8, 10 * allowed * (allowed != 1e-5))
        flat[(turn * 7 + 3) % flat.size] += step * max(1.0, float(np.max(np.abs(flat))))
        yield "moved", name, {**tensors, name: changed}
    name = expected[len(expected) // 2]
    changed = tensors[name].copy()
    changed.reshape(-1)[-1] = np.nan
    yield "nan", name, {**tensors, name: changed}
    weights = [name for name in tensors if name.startswith("weights/")]
    yield "missing", weights[-1], {k: v for k, v in tensors.items() if k != weights[-1]}
    for extra in ("weights/extra_l9", "grads/extra_l9", "outputs/extra"):
        yield "extra", extra, {**tensors, extra: np.ones(3)}
    yield from other_inputs(tensors, config)


def other_inputs(tensors, config):
    """Element 0 of any array belongs to the first step of the first row, which every ragged row has."""
    def changed(name, value):
        copy = tensors[name].copy()
        copy.flat[0] = value
        return {**tensors, name: copy}

    def configured(**keys):
        text = json.dumps({**config, **keys}).encode()
        return {**tensors, "config": np.frombuffer(text, dtype=np.uint8)}

    x, targets, head = (tensors.get(name) for name in ("inputs/x", "inputs/targets", "weights/classifier.weight"))
    if x.dtype.kind == "i":
        count = len(tensors["weights/embedding.weight"])
        yield "another id in", "inputs/x", changed("inputs/x", (x.flat[0] + 1) % count)
        yield "an id too large in", "inputs/x", changed("inputs/x", count)
        yield "a negative id in", "inputs/x", changed("inputs/x", -1)
        if x.flat[0] != config.get("padding_idx") and any(n.startswith(("grads/", "losses")) for n in tensors):
            yield "another padding_idx in", "config", configured(padding_idx=int(x.flat[0]))
    if "inputs/lengths" in tensors:
        lengths = tensors["inputs/lengths"].copy()
        row = np.argmax(lengths)
        step = (row, lengths[row] - 1) if config["batch_first"] else (lengths[row] - 1, row)
        lengths[row] -= 1
        # A last step where every relu is off might as well not be there.
        if "outputs/output" not in tensors or tensors["outputs/output"][step].any():
            yield "a shorter row in", "inputs/lengths", {**tensors, "inputs/lengths": lengths}
        yield "a length of zero in", "inputs/lengths", changed("inputs/lengths", 0)
    if targets is not None and head is not None and targets.flat[0] != config["loss"].get("ignore_index", -100):
        other = targets.flat[0] + 0.5 if targets.dtype.kind == "f" else (targets.flat[0] + 1) % len(head)
        yield "another target in", "inputs/targets", changed("inputs/targets", other)
    if 0 < config.get("dropout", 0) < 1:
        if config.get("training"):
            yield "another seed in", "config", configured(seed=config["seed"] + 1)
            yield "no seed in", "config", configured(seed=None)
        yield "the other mode in", "config", configured(training=not config.get("training"), seed=config.get("seed", 1))


def verify(command, *folders):
    result = subprocess.run([command, "--json", *folders], capture_output=True, text=True)
    if result.returncode not in (0, 1):
        sys.exit(f"perturb: {command} ended with {result.returncode}\n{result.stderr[-2000:]}")
    by_file = {os.path.basename(f["file"]): f for f in json.loads(result.stdout)["fixtures"]}
    return result.returncode, by_file


def main(command, folders):
    sources = [path for folder in folders for path in
               sorted(glob.glob(os.path.join(folder, "**", "*.npz"), recursive=True))]
    if not sources:
        sys.exit(f"perturb: no fixtures in {folders}")
    status, untouched = verify(command, *folders)
    wrong = [f"{name}: fails untouched" for name, f in untouched.items() if not f["passes"]]
    with tempfile.TemporaryDirectory() as folder:
        plan = {}
        for index, source in enumerate(sources):
            with np.load(source) as archive:
                tensors = {name: archive[name] for name in archive.files}
            for turn, (what, tensor, copy) in enumerate(damaged_copies(tensors)):
                name = f"{index:03}-{turn:02}.npz"
                plan[name] = f"{os.path.relpath(source)}: {what} {tensor}"
                write(os.path.join(folder, name), copy)
        status, results = verify(command, folder)
    for name, what in plan.items():
        if name not in results:
            wrong.append(f"{what}: not reported")
        elif results[name]["passes"]:
            wrong.append(f"{what}: passes")
    if status != 1:
        wrong.append(f"exit status {status}, expected 1")
    for line in wrong[:40]:
        print(f"perturb: {line}", file=sys.stderr)
    print(f"perturb: {len(plan)} damaged copies of {len(sources)} fixtures, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    here = os.path.dirname(os.path.abspath(__file__))
    fixtures = os.path.join(here, "..", "..", "fixtures")
    main(sys.argv[1], sys.argv[2:] or [os.path.join(fixtures, f) for f in ("documents", "torch")])
