#!/usr/bin/env python3
"""Runs what the README and the guides print: shell, Python and Swift, page by page, in scratch folders.

    $(tools/peers/environment) tools/ci/check_docs.py FOLDER_OF_THE_TOOLS [PART_OF_A_PAGE'S_NAME ...]

Then the examples of every --help. Blocks of a page run in its order, in one folder where `recurrent` is
this repository. Fences say what a block is:

    sh       commands; all must succeed
    console  lines after `$ ` are commands, the rest is what they print
    python   runs in one namespace per page
    swift    compiled against the library; `import Recurrent` begins a program, which ends with the last
             block before the next program, and runs there
    yaml     what `- run:` says, in a workflow
    output   what the Swift program, or the Python block before it, printed

In what is printed, a line … stands for any lines, and … within a line for any text. An HTML comment
right before a block makes an exception: `<!-- not run: WHY -->`, `<!-- printed by: COMMANDS -->`, or
`<!-- before: COMMANDS -->` for commands that readers need not see. Blocks of other kinds (formulas) are not
run; one without a kind must not look like commands. Tables headed `line | code` must name functions and
files that exist.
"""
import contextlib
import io
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import types

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else sys.exit(__doc__)
# The page of errata has a step of its own, which also counts them.
ELSEWHERE = {"Errata.md"}
FENCE = re.compile(r"(?:^<!-- (not run|before|printed by):((?:(?!-->).)*)-->\n\n?)?^```(\w*)\n(.*?)^```$", re.S | re.M)
LOOKS_RUN = re.compile(r"^(\$ )?(rnn-\w+ (?!\(|error)\S+ \S|tools/\w+ |pip |swift (run|build|test))", re.M)


class Wrong(Exception):
    """A page that does not say what happens."""


def shell(commands, folder):
    path = f"{BIN}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, capture_output=True, text=True, timeout=300,
        stdin=subprocess.DEVNULL, env=os.environ | {"PATH": path, "RECURRENT": str(ROOT), "COLUMNS": "100"})


def succeed(commands, folder):
    result = shell(commands, folder)
    if result.returncode != 0:
        raise Wrong(f"exit status {result.returncode}:\n{commands}\n{(result.stdout + result.stderr)[-2000:]}")
    return result.stdout


def compare(said, page):
    """Whether the page prints what was said."""
    parts = ["(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*") + "\n"
             for line in page.rstrip("\n").split("\n")]
    if not re.fullmatch("".join(parts), said.strip("\n") + "\n"):
        raise Wrong(f"the page prints\n{page[:1500]}\nbut it is\n{said[:3000]}")


def console(block, folder):
    commands = re.split(r"^\$ ", block, flags=re.M)
    if commands[0]:
        raise Wrong("a console begins with a command")
    for part in commands[1:]:
        command, _, printed = part.partition("\n")
        # Exit statuses other than 0 are what some of the pages show.
        result = shell(command, folder)
        compare(result.stderr + result.stdout, printed)


class Python:
    """A page's blocks, one after the other, with the line numbers of the page."""

    def __init__(self, page):
        self.page = page
        # A module, so that what it defines can be pickled.
        self.module = sys.modules["page"] = types.ModuleType("page")

    def run(self, block, line):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("\n" * line + block, str(self.page), "exec"), self.module.__dict__)
        return said.getvalue()


def compiler():
    """How to compile one file against the library as it was built."""
    package = (ROOT / "Package.swift").read_text()
    targets = {
        name: ROOT / (re.search(r'path: "([^"]+)"', rest) or [None, f"Sources/{name}"])[1]
        for name, rest in re.findall(r'\.(?:target|systemLibrary)\(\s*name: "(\w+)"(.*?)(?=\n    [./])', package, re.S)
        if name != "CommandSupport"}
    # Those that the tools were linked of; what else lies there may be left from files that are gone.
    linked = shlex.split((BIN / "rnn-convert.product/Objects.LinkFileList").read_text())
    objects = [o for o in linked if any(f"/{name}.build/" in o for name in targets)]
    flags = ["-lz", *(["-ldl"] if sys.platform == "linux" else [])]
    for name, folder in targets.items():
        include = folder / "include"
        maps = [BIN / f"{name}.build/module.modulemap", include / "module.modulemap", include.parent / "module.modulemap"]
        flags += [f for m in [m for m in maps if m.exists()][:1] for f in ("-Xcc", f"-fmodule-map-file={m}")]
        flags += ["-I", str(include)] if include.exists() else []
    return ["swiftc", "-swift-version", "6", "-warnings-as-errors", "-I", str(BIN / "Modules"), *flags, *objects]


def swift(blocks, folder):
    """One program of all blocks; what is written as a test is called."""
    source = "\n".join(blocks).replace("import Testing\n", "")
    tests = re.findall(r"^@Test func (\w+)\(\) throws", source, re.M)
    source = re.sub(r"^@Test ", "", source, flags=re.M) + "".join(f"\ntry {name}()\n" for name in tests)
    with tempfile.TemporaryDirectory() as place:
        main = pathlib.Path(place, "main.swift")
        main.write_text(source, encoding="utf-8")
        built = subprocess.run([*compiler(), str(main), "-o", f"{place}/page"], capture_output=True, text=True)
        if built.returncode != 0:
            raise Wrong(f"does not compile:\n{built.stderr[-4000:]}")
        result = subprocess.run([f"{place}/page"], cwd=folder, capture_output=True, text=True, timeout=300)
    if result.returncode != 0:
        raise Wrong(f"the program ended with {result.returncode}:\n{(result.stdout + result.stderr)[-2000:]}")
    return result.stdout


def tables(text):
    """Functions and files that a derivation names."""
    sources = [p for folder in ("Engine", "C/CKernels") for p in (ROOT / "Sources" / folder).rglob("*.*")]
    words = {word for p in sources if p.suffix in (".swift", ".inc") for word in re.findall(r"\w+", p.read_text())}
    places = {str(p) for p in sources}
    for table in re.findall(r"^\| line \| code \|\n(?:\|.*\n)+", text, re.M):
        for row in table.splitlines()[2:]:
            code = row.rsplit("|", 2)[1]
            for name in re.findall(r"`([^`]+)`", code):
                if name.endswith(".swift") and not any(p.endswith("/" + name) for p in places):
                    raise Wrong(f"there is no file {name}")
                for word in re.findall(r"\b[A-Za-z]\w{3,}", "" if "." in name and name.endswith("swift") else name):
                    if word not in words:
                        raise Wrong(f"`{name}`: there is no {word} in the engine")


BEFORE_HELP = """
mkdir checkpoints
cp "$RECURRENT/fixtures/checkpoints/char-rnn.pt" model.pt
cp -r "$RECURRENT/fixtures/torch/common-modules" fixtures
for name in before.pt a.pt checkpoints/one.pt; do cp model.pt $name; done
cp "$RECURRENT/fixtures/torch/ce-lstm.npz" fixture.npz
echo 'exec python3 "$RECURRENT/tools/peers/adapters/torch_adapter.py" "$@"' >my_port
for name in after.h5 b.h5 model.onnx model.keras; do rnn-convert model.pt $name --quiet; done
for _ in {1..60}; do printf 'ROMEO:\nOnce But, soft! what light through yonder window breaks?\n'; done >shakespeare.txt
"""


def helps(folder):
    """Runs the examples of every --help; returns how many."""
    succeed(BEFORE_HELP, folder)
    count = 0
    for tool in ("rnn-convert", "rnn-inspect", "rnn-verify", "rnn-train", "rnn-train sample", "rnn-train plot"):
        text = succeed(f"{tool} --help", folder)
        examples = re.search(r"^Examples?:\n((?:.+\n)+)", text, re.M)
        if not examples:
            raise Wrong(f"{tool} --help has no example")
        for line in examples[1].splitlines():
            if not line.startswith("  rnn-") or len(line) > 80:
                raise Wrong(f"{tool} --help: an example is too long for one line: {line}")
            # The files are there from an example before.
            replaces = line.startswith("  rnn-convert ") or line.startswith("  rnn-train sh") and "resume" not in line
            succeed(line + (" --force" if replaces and "--plan" not in line else ""), folder)
            count += 1
    return count


def run(page, text, folder):
    """Runs a page; returns how many blocks ran."""
    os.symlink(ROOT, folder / "recurrent")
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    blocks = [(m, text[:m.start(4)].count("\n")) for m in FENCE.finditer(text)]
    programs = []
    for index, (match, _) in enumerate(blocks):
        if match[3] == "swift" and match[1] != "not run":
            if not programs or match[4].startswith("import Recurrent"):
                programs.append([])
            programs[-1].append(index)
    ends = {program[-1]: [blocks[i][0][4] for i in program] for program in programs}
    python, said, count = Python(page), None, 0
    for index, (match, line) in enumerate(blocks):
        directive, remark, kind, block = match.groups()
        try:
            if directive == "before":
                succeed(remark, folder)
            if directive == "not run":
                continue
            if directive == "printed by":
                compare(succeed(remark, folder), block)
            elif kind == "sh":
                succeed(block, folder)
            elif kind == "yaml":
                succeed("\n".join(re.findall(r"^ *- run: (.*)$", block, re.M)), folder)
            elif kind == "console":
                console(block, folder)
            elif kind == "python":
                said = python.run(block, line)
            elif kind == "swift":
                said = swift(ends[index], folder) if index in ends else None
            elif kind == "output":
                if said is None:
                    raise Wrong("nothing was printed before this")
                compare(said, block)
            elif kind == "" and LOOKS_RUN.search(block):
                raise Wrong(f"commands without a kind: call the block sh or console\n{block}")
            else:
                continue
            count += 1
        except Wrong as error:
            raise Wrong(f"{page}:{line}: {error}") from None
        except Exception:
            raise Wrong(f"{page}:{line}: {traceback.format_exc()[-2000:]}") from None
    return count


def main(wanted):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pages = [ROOT / "README.md", *sorted(ROOT.glob("Sources/**/Documentation.docc/*.md"))]
    pages = [p for p in pages if p.name not in ELSEWHERE and (not wanted or any(w in str(p) for w in wanted))]
    if not wanted or "--help" in wanted:
        pages.append(ROOT / "--help")
    total, failures = 0, 0
    for page in pages:
        text, start = "```" if page.name == "--help" else page.read_text(encoding="utf-8"), time.time()
        if not re.search(r"^```", text, re.M):
            continue
        # A process for each page: what one imports or sets is not there for the next.
        inner, outer = os.pipe()
        child = os.fork()
        if child == 0:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="docs-"))
            status = 1
            try:
                tables(text)
                count = helps(folder) if page.name == "--help" else run(page.relative_to(ROOT), text, folder)
                os.write(outer, str(count).encode())
                status = 0
            except Wrong as error:
                print(error, flush=True)
            finally:
                sys.stdout.flush()
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(status)
        os.close(outer)
        _, status = os.waitpid(child, 0)
        count = int(os.read(inner, 100) or 0)
        os.close(inner)
        total, failures = total + count, failures + (status != 0)
        print(f"{'ok  ' if status == 0 else 'FAIL'} {page.relative_to(ROOT)}: {count} blocks,"
              f" {time.time() - start:.1f} s", flush=True)
    print(f"{total} blocks ran, {failures} pages failed")
    sys.exit(1 if failures or not total else 0)


if __name__ == "__main__":
    main(sys.argv[2:])
