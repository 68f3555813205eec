#!/usr/bin/env python3
"""Checks the reason codes, and that nothing which traps stands in the modules that read strangers' files.

usage: check_reasons.py [--write]

1. Every reason that a …Reasons.swift declares is thrown, is in the table of Documentation.docc/ReasonCodes.md (--write
   makes it) and is reached by a test, by its code; control flow compares reasons, not their text. Those that no test can reach stand in
   unreached_reasons.txt with why.
2. In the readers nothing traps on a number from a file, and nothing prints: force unwraps and `try!` are for `swift format lint`
   (NeverForceUnwrap, NeverUseForceTry); the few constructs that it has no rule for are looked for here.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
READERS = ["Base", "Containers", "Frameworks", "Networks", "Conversion"]
PAGE = ROOT / "Sources/Recurrent/Documentation.docc/ReasonCodes.md"
WAITING = ROOT / "tools/ci/unreached_reasons.txt"
NEVER = re.compile(r"\b(?:fatalError|precondition|preconditionFailure|assert|assertionFailure|print)\(|\bas!|\bunowned\b|"
                   r"\bunsafelyUnwrapped\b")

DECLARED = re.compile(r'static let (\w+) = Self\(\s*"([^"]+)", \.(\w+)\)')


def never():
    """Where a reader could end the process or print; comments and strings do not count."""
    for module in READERS:
        for path in sorted((ROOT / "Sources" / module).rglob("*.swift")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                code = re.sub(r'"(?:\\.|[^"\\])*"', '""', line).split("//")[0]
                if NEVER.search(code):
                    yield f"{path.relative_to(ROOT)}:{number}: {line.strip()} is not for readers"


def reason_codes(problems):
    """code -> (kinds, example of what was found, example of what was expected)"""
    sources = {p: p.read_text() for p in sorted((ROOT / "Sources").rglob("*.swift"))}
    names, codes = {}, {}
    for path, text in sources.items():
        for name, code, kind in DECLARED.findall(text):
            if not path.name.endswith("Reasons.swift"):
                problems.append(f"{path.relative_to(ROOT)}: {name} is declared outside the files called …Reasons.swift")
            if names.setdefault(name, code) != code:
                problems.append(f"{name} is declared twice")
            kinds, found, expected = codes.get(code, (set(), "", ""))
            codes[code] = (kinds | {kind}, found, expected)
    def phrase(label, rest):
        found = re.search(label + r':\s*"((?:\\\((?:[^()]|\([^()]*\))*\)|\\.|[^"\\])*)"', rest)
        if not found:
            return ""
        text = re.sub(r"\\\((?:[^()]|\([^()]*\))*\)", "…", found[1])
        return text.replace('\\"', '"').replace("|", "\\|").strip()
    used = set()
    for path, text in sources.items():
        for name in re.findall(r"\.([a-z]\w+)", text):
            used.add(name)
        for name, rest in re.findall(r'RecurrentError\(\s*\.(\w+)((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)', text):
            if name in names:
                kinds, found, expected = codes[names[name]]
                codes[names[name]] = (kinds, found or phrase("found", rest),
                                      expected or phrase("expected", rest) or phrase("asPyTorchSays", rest))
        if re.search(r"reason\.code\s*[!=]=", text):
            problems.append(f"{path.relative_to(ROOT)}: compares a reason's text; compare the reason")
    problems += [f"{name} is declared and never thrown" for name in sorted(set(names) - used)]
    codes.update({c: v for c, v in metadata_codes(sources).items() if c not in codes})
    for convention in ("keras", "onnx"):  # Reason.gruResetBefore(in:)
        codes[f"{convention}.gru-reset-before"] = ({"inexpressible"}, "a GRU that applies its reset gate before the recurrent product",
                                                   "one that applies it after, as PyTorch's does")
    return codes


def metadata_codes(sources):
    """Reason.metadata(_:_:) names its codes by the metadata's keys."""
    text = next(t for p, t in sources.items() if p.as_posix().endswith("Networks/Metadata.swift"))
    codes = {f"metadata.{key}": ({"damaged"}, '"…"', "true or false") for key in re.findall(r'flag\("(\w+)"\)', text)}
    for key, expected, rest in re.findall(r'malformed\(\s*"?(\w+)"?, \w+,\s*("[^"]*"|[\w.\\()"\s]+?)(, \.unsupported)?\)\n', text):
        kind = "unsupported" if rest else "damaged"
        loop = re.search(r"for key in (\[.*?\]) \{\n +guard let text = try value\(key\)", text)
        for name in re.findall(r'"(\w+)"', loop[1]) if key == "key" else [key]:
            kinds = codes.get(f"metadata.{name}", (set(),))[0]
            codes[f"metadata.{name}"] = kinds | {kind}, '"…"', re.sub(r"\\\([^)]*\)", "…", expected.strip('"')) if expected.startswith('"') else ""
    return codes


def page(codes):
    status = {kind: number
              for kinds, number in re.findall(r"case ([.\w, ]+): (\d+)", (ROOT / "Sources/Commands/Support/ExitStatus.swift").read_text())
              for kind in re.findall(r"\w+", kinds)}
    lines = ["# Reason codes", "", "Every refusal has a code that stays the same from release to release.", "",
             "## Overview", "",
             "The code stands in brackets in what the tools print (`error[zip.crc]`), as `reason` in `--json`, and in",
             "``RecurrentError/Reason``. The kind says who can act on it (``RecurrentError/Kind``), and the tools end with the",
             "status. What was found and expected are examples; … stands for names and numbers.",
             "Made by `tools/ci/check_reasons.py --write`.", ""]
    for family in sorted({c.split(".")[0] for c in codes}):
        lines += [f"### {family}", "", "| code | kind | status | found | expected |", "|---|---|---|---|---|"]
        for code in sorted(c for c in codes if c.split(".")[0] == family):
            kinds, found, expected = codes[code]
            numbers = ", ".join(sorted({status[k] for k in kinds}))
            lines.append(f"| `{code}` | {', '.join(sorted(kinds))} | {numbers} | {found} | {expected} |")
        lines.append("")
    return "\n".join(lines)


def unreached(codes):
    texts = [p.read_text(errors="replace") for pattern in ("Tests/**/*.swift", "Tests/**/*.json", "fixtures/**/*.json", "tools/**/*")
             for p in ROOT.glob(pattern) if p.is_file() and p not in (pathlib.Path(__file__).resolve(), WAITING) and p.suffix != ".xz"]
    everything = "\n".join(texts)
    return [c for c in sorted(codes) if not re.search(rf"(?<![\w.-]){re.escape(c)}(?![\w-])", everything)]


def main():
    problems = []
    codes = reason_codes(problems)
    text = page(codes)
    if "--write" in sys.argv:
        PAGE.write_text(text)
    problems += never()
    if not PAGE.exists() or PAGE.read_text() != text:
        problems.append(f"{PAGE.name} is not up to date: tools/ci/check_reasons.py --write")
    waiting = {code for line in WAITING.read_text().splitlines() if (code := line.split("#")[0].strip())}
    missing = set(unreached(codes))
    problems += [f"reason code {c} is reached by no test" for c in sorted(missing - waiting)]
    problems += [f"reason code {c} is reached now: take it off {WAITING.name}" for c in sorted(waiting - missing)]
    for problem in problems:
        print(f"check_reasons: {problem}", file=sys.stderr)
    print(f"check_reasons: {len(codes)} reason codes, {len(codes) - len(missing)} reached by tests, {len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
