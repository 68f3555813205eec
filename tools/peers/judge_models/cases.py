"""What the cases share: the tools in a folder, and judging a model that is written down."""
import os
import random
import subprocess

import numpy as np

from .converter import Converter
from .judgement import Judge, Subject
from .torch_source import Draft

CASES = []


def case(function):
    """Registers a case under its function's name."""
    CASES.append((function.__name__.replace("_", " "), function))
    return function


class Tools:
    """The tools, run in a folder, and the complaints about them."""

    def __init__(self, bin, folder):
        self.bin, self.folder = bin, folder
        self.complaints, self.log = [], []
        self.environment = dict(os.environ, SWIFT_BACKTRACE="enable=no")

    def path(self, name):
        return os.path.join(self.folder, name)

    def complain(self, text):
        self.complaints.append(text)

    def expect(self, holds, text):
        if not holds:
            self.complain(text)
        return bool(holds)

    def run(self, tool, *arguments):
        """Runs a tool with file names of the folder; gives its result with `text`, both streams."""
        done = subprocess.run([os.path.join(self.bin, tool), *map(str, arguments)], cwd=self.folder, capture_output=True,
                              text=True, errors="replace", timeout=120, env=self.environment)
        done.text = done.stdout + done.stderr
        self.log.append(f"$ {tool} {' '.join(map(str, arguments))}  [{done.returncode}]\n{done.text}")
        if done.returncode < 0 or done.returncode > 128 or done.returncode == 70:
            self.complain(f"{tool} {' '.join(map(str, arguments))} crashed: exit status {done.returncode}")
        return done

    def convert(self, *arguments):
        return self.run("rnn-convert", *arguments, "--force")

    def refused(self, done, output=None):
        """Whether it is a refusal as the contract has it: 65 or 69, an error line, no output."""
        good = done.returncode in (65, 69) and "error" in done.text
        return good and not (output and os.path.exists(self.path(output)))

    def honest_refusal(self, done, output=None):
        """A refusal that says what to do next."""
        return self.refused(done, output) and "hint:" in done.text

    def judge(self, subject):
        """Judges a file as tools/peers/judge does, and takes over what it finds."""
        judge = Judge(Converter(self.folder, self.bin))
        judge.subject(subject)
        for failure in judge.failures:
            self.complain(f"{subject.name}, {subject.form}: {failure[3]}: {failure[4]}  $ {failure[5]}")
        return judge

    def torch_model(self, name, text, inputs, forms=("state", "whole", "script", "onnx"), plain=False, batch_first=False,
                    seed=7):
        """Judges a model that is written down; `inputs` as in Draft."""
        from . import torch_forms
        draft = WrittenDraft(seed, random.Random(seed), kind=name, plain=plain, inputs=inputs)
        draft.text, draft.batch_first = text, batch_first
        model = torch_forms.TorchModel(draft)
        for form in forms:
            path = model.save(form, self.folder)
            if path is None:
                continue
            truth = model.known(form, path)
            self.judge(Subject(name, name, form, path, truth, plain, form in ("script", "onnx"), form != "onnx",
                               os.path.splitext(path)[1], [r.name for r in truth.recurrent if r.name],
                               all(r.expressible for r in truth.recurrent)))
        model.close()
        return model


class WrittenDraft(Draft):
    """A draft whose text is there already."""

    def source(self):
        return "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n\n\n" + self.text


def net(parts, forward, arguments="x"):
    """The text of a model: {attribute: expression} and the lines of forward."""
    lines = ["class Net(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        self.{n} = {e}" for n, e in parts.items()] + ["", f"    def forward(self, {arguments}):"]
    return "\n".join(lines + [f"        {line}" for line in forward]) + "\n"


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")
