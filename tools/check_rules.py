#!/usr/bin/env python3
"""Checks rules that the compiler does not: constructs that stranger's files must not meet, and reason codes.

usage: check_rules.py [--write]

1. The modules that read files contain none of the banned constructs (a trap, a recursion, an allocation
   or an arithmetic that a number from a file could drive). Where one is safe, it is listed here with why;
   a new use makes this check fail until somebody has looked at it.
2. Every reason code of RecurrentError is in the table of Documentation.docc/ReasonCodes.md (--write makes
   it) and is reached by a test, by name.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
READERS = ["Containers", "Frameworks", "Networks", "Base", "Conversion"]
PAGE = ROOT / "Sources/Recurrent/Documentation.docc/ReasonCodes.md"

# Never, anywhere in the readers.
BANNED = {
    r"\bfatalError\(": "traps", r"\bprecondition(Failure)?\(": "traps",
    r"\bassert(ionFailure)?\(": "traps in debug builds", r"\btry!": "traps", r"\bas!": "traps",
    r"\bunowned\b": "traps", r"\bunsafelyUnwrapped\b": "is undefined for nil",
    r"\bimport Foundation\b": "brings lenient parsers", r"JSONSerialization|JSONDecoder": "accepts duplicates",
    r"mappedIfSafe": "dies with the file", r"FileManager": "replaces devices by files",
    r"\bprint\(": "a library is silent", r"\bdlopen\(|\bpopen\(|\bsystem\(|\bsocket\(": "reaches outside",
    r"[\w\)\]]!(?=[\s.,)\]]|$)(?!=)": "traps on nil",
}
# Only here, this many times in this file, because the number is none of the file's or was checked.
LISTED = {
    r"&[+*-]=? ": ("wraps silently", {
        "CRC32C.swift": (1, "the checksum is defined so"), "HDF5Checksum.swift": (33, "as above"),
        "ConvertedSource.swift": (2, "bits of one number"), "Probe.swift": (3, "a random generator"),
        "ONNXFollower.swift": (1, "lengths of at most 2^40, of a node's outputs")}),
    r"\breserveCapacity\(": ("allocates at once", {
        "WeightNorm.swift": (1, "elements that were read"), "HDF5Filters.swift": (1, "bounded by the chunk limit"),
        "KerasLegacyArrays.swift": (1, "elements that were read"), "OutputFile.swift": (1, "a constant"),
        "NumericConversion.swift": (2, "elements that are there"), "FileDifference.swift": (1, "a block")}),
    r"\brepeating:": ("allocates at once", {
        "ONNXNetworkGraph.swift": (2, "layers, directions"), "ONNX.swift": (1, "directions"),
        "ONNXFollower.swift": (1, "nodes that were read"), "ONNXInitialStates.swift": (1, "charged before"),
        "ONNXSizes.swift": (1, "at most the limit of lists"), "ONNXStateReader.swift": (1, "graphs that were read"),
        "ONNXStoredState.swift": (2, "ranks of at most 8"), "KerasFlow.swift": (3, "layers that were read"),
        "KerasStructure.swift": (1, "layers that were read"),
        "RearrangedSource.swift": (1, "a block"), "TensorStatistics.swift": (1, "bins"), "ONNXWriter.swift": (1, "padding"),
        "ONNXRearrangement.swift": (1, "a rank"), "ONNXRecurrentNode.swift": (1, "directions"),
        "ZipWriter.swift": (1, "padding"), "CheckedSource.swift": (1, "digits"),
        "TensorFlowCheckpoint.swift": (1, "digits"), "ShardWriter.swift": (1, "digits"),
        "SafetensorsWriter.swift": (1, "padding"), "NPY.swift": (1, "padding"),
        "HDF5Writer.swift": (1, "our own text"), "HDF5LibraryFile.swift": (1, "checked"),
        "HDF5DecodedSource.swift": (2, "a window of a chunk; a rank"), "HDF5Storage.swift": (1, "at most 16"),
        "HDF5LibraryAttributes.swift": (3, "checked against the limit of attributes"),
        "HDF5LibraryDataset.swift": (5, "ranks, a window, an element"), "HDF5Worker.swift": (1, "a path"),
        "JSONWriter.swift": (2, "indentation"), "KerasLegacyArrays.swift": (1, "as long as another"),
        "Suggestion.swift": (2, "names of at most 200 bytes"),
        "WeightNorm.swift": (1, "groups of a tensor that was read"), "ConversionProgress.swift": (1, "tensors"),
        "KerasFlow.swift": (3, "layers that were read"), "KerasStructure.swift": (1, "layers that were read"),
        "ONNXFollower.swift": (1, "nodes that were read"), "ONNXStateReader.swift": (1, "graphs that were read"),
        "ONNXInitialStates.swift": (1, "as long as a tensor that was charged"), "ONNXSizes.swift": (1, "at most its limit"),
        "ONNXStoredState.swift": (2, "at most 8 axes")}),
    r"\bmmap\(": ("dies with the file", {"Scratch.swift": (1, "anonymous memory")}),
    r"\bgetenv\(": ("listens to the environment", {"HDF5WorkerClient.swift": (1, "hands PATHs on")}),
    r"\bunsafeBitCast\(": ("believes", {"LiveTemporaries.swift": (3, "a signal handler")}),
    r"\b_?exit\(": ("ends the host", {"HDF5Worker.swift": (1, "the worker process"),
                                      "LiveTemporaries.swift": (1, "after a signal"),
                                      "Interruption.swift": (1, "after a signal, as asked")}),
}
# Functions that call themselves, and what bounds them.
RECURSIVE = {
    ("Appending.swift", "append"): "overloads", ("OutputFile.swift", "write"): "overloads",
    ("ByteSource.swift", "copy"): "a window's base, as read",
    ("ByteSource.swift", "forEachRun"): "a window's base, as read",
    ("ByteSink.swift", "write"): "overloads", ("HDF5ChunkIndex.swift", "add"): "overloads",
    ("HDF5WorkerWire.swift", "text"): "overloads", ("HDF5WorkerWire.swift", "encode"): "overloads",
    ("KerasConfiguration.swift", "setting"): "overloads", ("KerasLegacy.swift", "add"): "overloads",
    ("KerasVariables.swift", "counts"): "layers in layers, at most as deep as JSON may be",
    ("KerasVariables.swift", "guess"): "a function inside a function",
    ("KerasVariables.swift", "withoutCuDNN"): "at most as deep as JSON may be",
    ("KerasSequential.swift", "refuse"): "a function inside a function",
    ("ONNXFollower.swift", "impliedRank"): "counts its depth, one deep",
    ("ONNXGraphBuilder.swift", "constant"): "overloads",
    ("FlaxMessagePackWriter.swift", "write"): "overloads",
    ("KerasSequential.swift", "refuse"): "a function inside a function",
    ("ONNXFollower.swift", "impliedRank"): "counts its depth", ("ONNXGraphBuilder.swift", "constant"): "overloads",
    ("ONNXValues.swift", "tensor"): "counts its depth", ("ProtobufMessage.swift", "append"): "overloads",
    ("ShardedWeights.swift", "read"): "overloads", ("ByteSource.swift", "read"): "overloads",
    ("StridedAxis.swift", "move"): "by element size", ("StridedAxis.swift", "nest"): "axes, at most 64",
    ("StridedView.swift", "visit"): "axes, at most 64",
}
# Literals that look like reason codes.
NOT_CODES = set("""fixture.npz clip.kind clip.max loss.kind keras.names keras.note keras.version file.h5 onnx.data
    torch.cuda torch.storage weights.h5 metadata.json tensor.name""".split())
LITERAL = re.compile(r'"([a-z0-9]+(?:[-_][a-z0-9]+)*\.[a-z0-9]+(?:[-_][a-z0-9]+)*)"')
CALL = re.compile(r'RecurrentError\(\s*\.(\w+),\s*"([^"]+)"((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)')


def code_of(text):
    """The source without comments."""
    return re.sub(r"^\s*//.*$|\s//\s.*$", "", text, flags=re.M)


def without_strings(line):
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', line)


def banned_constructs():
    problems, seen = [], collections.Counter()
    for module in READERS:
        for path in sorted((ROOT / "Sources" / module).rglob("*.swift")):
            text = code_of(path.read_text())
            for number, line in enumerate(text.splitlines(), 1):
                bare = without_strings(line)
                for pattern, why in BANNED.items():
                    if re.search(pattern, bare):
                        problems.append(f"{path.name}:{number}: {line.strip()} ({why})")
                for pattern in LISTED:
                    seen[pattern, path.name] += len(re.findall(pattern, bare))
    for (pattern, name), count in sorted(seen.items()):
        why, allowed = LISTED[pattern]
        known = allowed.get(name, (0, ""))[0]
        if count > known:
            problems.append(f"{name}: {count} times {pattern}, which {why}; {known} are known to be safe")
    return problems


def recursions():
    """Functions of the readers that call themselves by name."""
    problems = []
    for module in READERS[:2]:
        for path in sorted((ROOT / "Sources" / module).rglob("*.swift")):
            text = "\n".join(map(without_strings, code_of(path.read_text()).splitlines()))
            for found in re.finditer(r"\bfunc (\w+)\s*(?:<[^>]*>)?\(([^)]*)\)", text):
                start = text.find("{", found.end())
                depth, at = 1, start + 1
                while depth and 0 < at < len(text):
                    depth += {"{": 1, "}": -1}.get(text[at], 0)
                    at += 1
                body = text[start:at]
                label = re.match(r"\s*(\w+)", found[2])
                label = label[1] if label and label[1] != "_" else None
                called = re.search(rf"(?<![.\w])(?:self\.|Self\.)?{found[1]}\((?:{label}:)" if label else
                                   rf"(?<![.\w])(?:self\.|Self\.)?{found[1]}\((?!\w+:)", body)
                if called and found[2].strip() and (path.name, found[1]) not in RECURSIVE:
                    problems.append(f"{path.name}: {found[1]} may call itself")
    return problems


def reason_codes():
    """code -> (kinds, example of what was found, example of what was expected)"""
    codes, families = {}, set()
    sources = {p: p.read_text() for p in sorted((ROOT / "Sources").rglob("*.swift"))}
    def phrase(label, rest):
        found = re.search(label + r':\s*"((?:\\\((?:[^()]|\([^()]*\))*\)|\\.|[^"\\])*)"', rest)
        if not found:
            return ""
        text = re.sub(r"\\\((?:[^()]|\([^()]*\))*\)", "…", found[1])
        return text.replace('\\"', '"').replace("|", "\\|").strip()
    for text in sources.values():
        for kind, code, rest in CALL.findall(text):
            if "\\(" in code:
                continue
            kinds, found, expected = codes.get(code, (set(), "", ""))
            codes[code] = (kinds | {kind}, found or phrase("found", rest), expected or phrase("expected", rest))
            families.add(code.split(".")[0])
    codes.update({c: v for c, v in metadata_codes(sources).items() if c not in codes})
    families -= {"model"}
    for text in sources.values():
        for code in LITERAL.findall(text):
            if code.split(".")[0] in families and code not in NOT_CODES and code not in codes:
                codes[code] = (set(), "", "")
    return {c: v for c, v in codes.items() if not c.endswith((".weight", ".bias", ".kernel"))}


def metadata_codes(sources):
    """The codec of the metadata names its codes by their keys."""
    text = next(t for p, t in sources.items() if p.as_posix().endswith("Networks/Metadata.swift"))
    codes = {f"metadata.{key}": ({"malformed"}, '"…"', "true or false") for key in re.findall(r'flag\("(\w+)"\)', text)}
    for key, expected, rest in re.findall(r'malformed\(\s*"?(\w+)"?, \w+,\s*("[^"]*"|[\w.\\()"\s]+?)(, \.unsupported)?\)\n', text):
        kind = "unsupported" if rest else "malformed"
        loop = re.search(r"for key in (\[.*?\]) \{\n +guard let text = try value\(key\)", text)
        for name in re.findall(r'"(\w+)"', loop[1]) if key == "key" else [key]:
            kinds = codes.get(f"metadata.{name}", (set(),))[0]
            codes[f"metadata.{name}"] = kinds | {kind}, '"…"', re.sub(r"\\\([^)]*\)", "…", expected.strip('"')) if expected.startswith('"') else ""
    return codes


def page(codes):
    status = dict(re.findall(r"case (\w+) = (\d+)",
                             (ROOT / "Sources/Base/Tensors/RecurrentError.swift").read_text()))
    lines = ["# Reason codes", "", "Every refusal has a code that stays the same from release to release.", "",
             "## Overview", "",
             "The code stands in brackets in what the tools print (`error[zip.crc]`), as `reason` in `--json` and in",
             "``RecurrentError``. The status is the exit status of the tools; where several are given, or none, it",
             "depends on the place. What was found and expected are examples; … stands for names and numbers.",
             "Made by `tools/check_rules.py --write`.", ""]
    for family in sorted({c.split(".")[0] for c in codes}):
        lines += [f"### {family}", "", "| code | status | found | expected |", "|---|---|---|---|"]
        for code in sorted(c for c in codes if c.split(".")[0] == family):
            kinds, found, expected = codes[code]
            numbers = ", ".join(sorted(status[k] for k in kinds if k in status))
            lines.append(f"| `{code}` | {numbers} | {found} | {expected} |")
        lines.append("")
    return "\n".join(lines)


def unreached(codes):
    texts = []
    for pattern in ("Tests/**/*.swift", "tools/*.py", "tools/live-parity", "fixtures/**/*.json",
                    "tools/check_memory"):
        texts += [p.read_text(errors="replace") for p in ROOT.glob(pattern) if p.name != "check_rules.py"]
    everything = "\n".join(texts)
    return [c for c in sorted(codes) if not re.search(rf"(?<![\w.-]){re.escape(c)}(?![\w-])", everything)]


def main():
    codes = reason_codes()
    text = page(codes)
    if "--write" in sys.argv:
        PAGE.write_text(text)
    problems = banned_constructs() + recursions()
    if not PAGE.exists() or PAGE.read_text() != text:
        problems.append(f"{PAGE.name} is not up to date: tools/check_rules.py --write")
    waiting = [line.split("#")[0].strip() for line in
               (ROOT / "tools/unreached_reasons.txt").read_text().splitlines()]
    waiting = [code for code in waiting if code]
    missing = unreached(codes)
    problems += [f"reason code {c} is reached by no test" for c in missing if c not in waiting]
    problems += [f"reason code {c} is reached now: take it off unreached_reasons.txt"
                 for c in waiting if c not in missing]
    for problem in problems:
        print(f"check_rules: {problem}", file=sys.stderr)
    print(f"check_rules: {len(codes)} reason codes, {len(codes) - len(missing)} reached by tests, "
          f"{len(problems)} problems")
    sys.exit(1 if problems else 0)


main()
