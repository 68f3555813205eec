#!/usr/bin/env python3
"""Keeps the chapters on fixtures true: runs their Python and has rnn-verify judge what it writes.

    $(tools/peers/environment) tools/peers/check_chapter.py RNN_VERIFY

Also holds the tables of the first against the source: no key of the configuration and no tensor may be missing.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
parity = os.path.join(here, "..", "..", "Sources", "Parity")


def read(name):
    with open(os.path.join(parity, name), encoding="utf-8") as file:
        return file.read()


def main(verifier):
    chapter = read("Documentation.docc/MakingFixtures.md")
    tables = "".join(re.findall(r"^\|.*\n", chapter, re.MULTILINE))
    source = read("FixtureConfiguration.swift") + read("FixtureOptimizer.swift") + read("Fixture.swift")
    words = {word for line in re.findall(r'case ((?:"\w+"(?:, )?)+)', source) for word in re.findall(r'"(\w+)"', line)}
    names = re.findall(r'"(\w+)"', "".join(re.findall(r"static let \w+Names = \[(.*?)\]", source, re.DOTALL)))
    # These are arguments of PyTorch's, which the chapter leaves to PyTorch.
    missing = sorted(w for w in {*words, *names} - {"betas"} if w not in re.findall(r"\w+", tables))
    for word in missing:
        print(f"the chapter's tables do not mention {word}", file=sys.stderr)
    good = proven(verifier, chapter) and proven(verifier, read("Documentation.docc/ProvingAPort.md"))
    sys.exit(0 if good and not missing else 1)


def python_blocks(chapter):
    return re.findall(r"^```python\n(.*?)^```$", chapter, re.DOTALL | re.MULTILINE)


def proven(verifier, chapter):
    """Every block writes one fixture, and all of them pass."""
    blocks = python_blocks(chapter)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(here, "..", "capture", "recurrent_capture.py"), folder)
        with open(os.path.join(folder, "chapter.py"), "w", encoding="utf-8") as script:
            script.write("\n".join(blocks))
        subprocess.run([sys.executable, "chapter.py"], cwd=folder, check=True)
        written = sorted(glob.glob(os.path.join(folder, "*.npz")))
        print(f"{len(blocks)} blocks of Python wrote {len(written)} fixtures")
        status = subprocess.run([os.path.abspath(verifier), "--verbose", *written]).returncode
    return status == 0 and len(written) == len(blocks) > 0


if __name__ == "__main__":
    main(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
