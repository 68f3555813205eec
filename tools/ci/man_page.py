#!/usr/bin/env python3
"""Prints a manual page from what a tool says about itself.

    TOOL --experimental-dump-help | tools/ci/man_page.py > TOOL.1
    TOOL WORD --experimental-dump-help | tools/ci/man_page.py TOOL > TOOL-WORD.1
"""
import json
import sys


def text(value):
    """A line in roff: backslashes, and dots and quotes where they would be commands."""
    value = value.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + value if value[:1] in (".", "'") else value


def names(argument):
    words = ["--" + n["name"] if n["kind"] == "long" else "-" + n["name"] for n in argument.get("names", [])]
    value = argument.get("valueName", "value")
    if argument["kind"] == "positional":
        return f"\\fI{text(value)}\\fR" + (" ..." if argument.get("isRepeating") else "")
    shown = ", ".join(f"\\fB{text(word)}\\fR" for word in words)
    return shown + (f" \\fI{text(value)}\\fR" if argument["kind"] == "option" else "")


def paragraphs(discussion):
    """Indented lines are examples and stay as they are."""
    lines, example = [], False
    for line in discussion.splitlines():
        if line.startswith("  "):
            if not example:
                lines += [".PP", ".nf", ".RS 4"]
            example = True
            lines.append(text(line[2:]))
            continue
        if example:
            lines += [".RE", ".fi"]
            example = False
        lines.append(".PP" if not line.strip() else text(line))
    return lines + ([".RE", ".fi"] if example else [])


def page(command, parent=None):
    name = f"{parent}-{command['commandName']}" if parent else command["commandName"]
    arguments = [a for a in command.get("arguments", []) if a.get("shouldDisplay", True)]
    yield f'.TH "{name.upper()}" "1" "" "Recurrent" "Recurrent"'
    yield from (".SH NAME", f"{text(name)} \\- {text(command['abstract'].rstrip('.'))}")
    yield ".SH SYNOPSIS"
    positional = "".join(
        f" [{word}]" if a.get("isOptional") else f" {word}" for a in arguments if a["kind"] == "positional"
        for word in [a.get("valueName", "value").upper() + ("..." if a.get("isRepeating") else "")])
    spoken = f"{parent} {command['commandName']}" if parent else name
    for line in command.get("usage", "").splitlines() or [f"{spoken} [OPTIONS]{positional}"]:
        yield from (f".B {text(line.strip())}", ".br")
    yield ".SH DESCRIPTION"
    yield from paragraphs(command.get("discussion", ""))
    yield ".SH OPTIONS"
    for argument in arguments:
        yield from (".TP", names(argument), text(argument.get("abstract") or ""))
    yield ".SH EXIT STATUS"
    for status, meaning in STATUS:
        yield from (".TP", f"\\fB{status}\\fR", text(meaning))
    yield from (".SH ENVIRONMENT", ".TP", "\\fBNO_COLOR\\fR",
                "Nothing is coloured when this is set; colours are for terminals only.")
    others = [parent] if parent else {"rnn-train": ["rnn-train-sample", "rnn-train-plot"]}.get(name, [])
    if others:
        yield from (".SH SEE ALSO", ", ".join(f"\\fB{text(other)}\\fR(1)" for other in others))


STATUS = [
    (0, "success"), (1, "a difference was found"), (64, "the arguments make no sense"),
    (65, "the data is malformed, or cannot be expressed in the target"), (66, "no input"),
    (69, "valid, but not supported"), (70, "a fault of the tool; please report it"),
    (71, "no memory or process to be had"), (73, "the output cannot be created"),
    (74, "an input or output error"), (75, "the input changed while it was read"),
    (77, "no permission"),
]

if __name__ == "__main__":
    print("\n".join(page(json.load(sys.stdin)["command"], *sys.argv[1:2])))
