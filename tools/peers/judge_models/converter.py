"""rnn-convert, and what it said, read as the page CommandLine describes it."""
import json
import os
import re
import subprocess
from dataclasses import dataclass

FLAG = re.compile(r"(--(?:module|head-reads|head|embedding|cell|batch-first|gru-reset|as|read-as|dtype|to))[ =]+"
                  r"[`'\"‘“]?([\w./|:-]+)")
ASSUMED = re.compile(r"\bassum", re.I)
LEFT = re.compile(r"left behind|left_behind|\bcarried\b", re.I)
AROUND = re.compile(r"left behind|\bbefore\b|\bbehind\b|\bunknown\b|stands? (?:in front|between|before)|not connected", re.I)


@dataclass
class Said:
    """One run of rnn-convert."""
    command: list
    code: int
    text: str
    json: dict | None = None

    @property
    def crashed(self):
        return self.code < 0 or self.code > 128 or self.code in (70, 124)

    @property
    def lines(self):
        return [line.strip() for line in self.text.splitlines() if line.strip()]

    @property
    def assumed(self):
        return [line for line in self.lines if ASSUMED.search(line)]

    @property
    def left(self):
        return [line for line in self.lines if LEFT.search(line)]

    @property
    def around(self):
        return [line for line in self.lines if AROUND.search(line)]

    @property
    def hint(self):
        return next((line for line in self.lines if "hint:" in line), "")

    @property
    def claims_network(self):
        return any("same network" in line for line in self.lines)

    @property
    def error(self):
        return next((line for line in self.lines if "error" in line), self.text[:300])


def flags(text):
    """The options that a line names, in order: [(flag, value)]."""
    found = []
    for flag, values in FLAG.findall(text):
        for value in values.rstrip(".:").split("|"):
            if (flag, value) not in found:
                found.append((flag, value))
    return found


class Converter:
    """Runs rnn-convert in a folder and counts."""

    def __init__(self, folder, binary):
        self.folder, self.count = folder, 0
        self.binary = binary if os.path.basename(binary) == "rnn-convert" else os.path.join(binary, "rnn-convert")
        self.environment = dict(os.environ, SWIFT_BACKTRACE="enable=no")

    def convert(self, source, target, *options, as_json=False):
        """Converts and gives (Said, path of what was written)."""
        self.count += 1
        written = os.path.join(self.folder, target)
        for stale in (written,):
            if os.path.exists(stale):
                os.remove(stale)
        command = [self.binary, source, written, "--force", *options] + (["--json"] if as_json else [])
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120,
                                  env=self.environment)
            code, text = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            code, text = 124, "took longer than two minutes"
        said = Said(command, code, text)
        if as_json and code == 0:
            try:
                said.json = json.loads(text)
            except ValueError:
                said.json = {}
        return said, written


def strings(value):
    """Every string inside a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in [k, *strings(v)]]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return []


def connections(report):
    """[(from, to, evidence, reads)] of a --json report, however its author spelt it."""
    found = []
    for c in (report or {}).get("connections") or []:
        if isinstance(c, dict):
            reads = c.get("reads") or c.get("head_reads") or ""
            found.append((str(c.get("from", "")), str(c.get("to", "")), str(c.get("evidence", "")), str(reads)))
        else:
            found += parsed(str(c))
    return found


def parsed(text):
    """The same from metadata: `embedding -> rnn (assumed); rnn -> fc (stated)`."""
    found = []
    for piece in text.split(";"):
        match = re.match(r"\s*(\S+)\s*->\s*(\S+?)\s*(?:\[?(sequence|last|final)\]?)?\s*(?:\((\w+).*\))?\s*$", piece)
        if match:
            found.append((match[1], match[2], match[4] or "stated", match[3] or ""))
    return found
