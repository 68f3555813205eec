"""One model's files through rnn-convert: every target, with and without --module, each outcome with its reason."""
import os
import re
from collections import Counter
from dataclasses import dataclass, field

from . import reference
from .converter import connections, flags, parsed, strings
from .truth import same
from .verdict import (ASSUMED_WRONG, BAD_HINT, CRASH, HINT, REFUSED, RIGHT, RIGHT_ASSUMED, SILENT, compare_tensors,
                      connection_is_true, find)
from .written import open_network, open_tensors, run_copy


@dataclass
class Outcome:
    """What became of one conversion."""
    what: str
    reason: str = ""
    said: object = None
    whole: bool = False


@dataclass
class Subject:
    """One file of a model, and what the contract may demand of it."""
    name: str                 # torch-17
    kind: str
    form: str
    path: str
    truth: object
    plain: bool               # must convert whole
    states: bool              # the file states its connections
    keeps_names: bool         # parameters are found by their own names
    suffix: str               # the container
    modules: list = field(default_factory=list)   # what --module is tried with
    expressible: bool = True  # in ONNX and Keras, as far as is known
    by_value: bool = False    # judge tensor files by running them


def merged(options, more):
    """Options with others in place of those of the same name."""
    kept = [o for pair in zip(options[::2], options[1::2]) if pair[0] not in more[::2] for o in pair]
    pairs = list(zip((kept + more)[::2], (kept + more)[1::2]))
    if ("--head", "none") in pairs:  # what no head reads is nothing to say
        pairs = [pair for pair in pairs if pair[0] != "--head-reads"]
    return [o for pair in pairs for o in pair]


class Judge:
    """Judges subjects one after another and keeps count."""

    def __init__(self, converter):
        self.converter = converter
        self.counts = Counter()      # (form, kind, target, outcome)
        self.evidence = Counter()    # (form, evidence)
        self.failures = []           # (subject, kind of failure, reason, command)

    def fail(self, subject, what, reason, said):
        """Keeps a failure; the same one is kept once."""
        self.failures.append((subject.name, subject.form, subject.kind, what, reason, " ".join(said.command),
                              said.text[:1500]))

    def subject(self, s):
        """Everything that is done with one file."""
        targets = ["onnx", "tensors", "keras"]
        done = {t: self.conversion(s, t, None) for t in targets}
        self.reported(s)
        if done["onnx"].what in (RIGHT_ASSUMED, ASSUMED_WRONG):
            self.strict(s)
        for module in s.modules + (list(s.truth.cells) if s.keeps_names else []):
            for target in targets if module in s.modules else ["tensors"]:
                if len(s.modules) == 1 and done[target].what in (RIGHT, RIGHT_ASSUMED) and not s.plain and target == "keras":
                    continue  # nothing new
                outcome = self.conversion(s, target, module)
                if target == "keras" and self.no_sequential(s, outcome.said):
                    outcome = self.judged(s, target, module, ".keras", ["--module", module, "--head", "none"])
                refused = outcome.what in (REFUSED, BAD_HINT, HINT)
                if refused and self.must(s, module, target):
                    self.fail(s, "module not converted", f"--module {module} to {target}: {outcome.said.error}", outcome.said)
        if done["tensors"].what in (REFUSED, BAD_HINT, HINT) and (s.expressible or not s.by_value):
            self.fail(s, "module not converted", f"all, to tensors: {done['tensors'].said.error}", done["tensors"].said)
        if s.plain and s.expressible:
            for target in targets:
                if done[target].what in (REFUSED, BAD_HINT, HINT):
                    if not (target == "keras" and self.no_sequential(s, done[target].said)):
                        self.fail(s, "plain model refused", f"to {target}: {done[target].said.error}", done[target].said)
                elif done[target].what in (RIGHT, RIGHT_ASSUMED) and not done[target].whole and target != "tensors":
                    self.fail(s, "plain model not whole", f"to {target}", done[target].said)

    def no_sequential(self, s, said):
        """Whether the refusal is that no Sequential reads the last step of both directions, and the model does."""
        return "error[keras.sequential]" in said.error and any(
            n.reads.get(r.name) == "last" and r.output.shape[-1] == 2 * r.h_n.shape[-1]
            for r in s.truth.recurrent for n in s.truth.linear)

    def must(self, s, module, target):
        """Whether a module has to be expressible in a target."""
        r = next((r for r in s.truth.recurrent if r.name == module or module in r.layers), None)
        if target == "tensors" and not s.by_value:
            return True
        if r is None or not r.expressible:
            return False
        return not (target == "keras" and r.stored_state)

    def conversion(self, s, target, module):
        tensors = ".pt" if sum(map(ord, s.name)) % 3 == 0 and s.expressible else ".npz"
        extension = {"onnx": ".onnx", "keras": ".keras", "tensors": tensors}[target]
        options = (["--module", module] if module is not None else [])
        options += ["--as", "torch"] if target == "tensors" else []
        outcome = self.judged(s, target, module, extension, options)
        row = target + (", --module" if module is not None else "")
        self.counts[s.form, s.kind, row, outcome.what] += 1
        if outcome.what in (SILENT, CRASH):
            self.fail(s, outcome.what, outcome.reason, outcome.said)
        return outcome

    def judged(self, s, target, module, extension, options, follow=8):
        """One conversion; `follow` is how often lines that own up, or a hint, may still be acted on."""
        said, path = self.converter.convert(s.path, "out" + extension, *options)
        if said.crashed:
            return Outcome(CRASH, f"exit status {said.code}", said)
        if said.code != 0:
            if os.path.exists(path):
                return Outcome(SILENT, f"exit status {said.code}, and yet there is an output", said)
            return self.refusal(s, target, module, extension, options, said) if follow == 8 else Outcome(REFUSED, said.error, said)
        try:
            if target == "tensors":
                outcome = self.tensors(s, module, said, path)
                if outcome.what == SILENT and follow and "--gru-reset" in " ".join(said.assumed) and "--gru-reset" not in options:
                    mended = self.judged(s, target, module, extension, options + ["--gru-reset", "before"], follow - 1)
                    if mended.what in (RIGHT, RIGHT_ASSUMED):
                        return Outcome(ASSUMED_WRONG, outcome.reason, said)
                return outcome
            return self.network(s, target, module, extension, options, said, path, follow)
        except Exception as error:  # its own library does not take it
            return Outcome(SILENT, f"written, but cannot be opened: {type(error).__name__}: {str(error)[:200]}", said)

    def refusal(self, s, target, module, extension, options, said):
        """Follows the hint of a refusal."""
        if said.code not in (64, 65, 69):
            return Outcome(SILENT, f"exit status {said.code} for a valid file", said)
        hint = said.hint
        if not hint:
            return Outcome(REFUSED, said.error, said)
        ways = []
        for flag, value in flags(hint):
            if flag != "--module":
                ways.append([flag, value])
        if "--module" in hint:
            ways += [["--module", m] for m in [*s.modules, *s.truth.cells] if m in hint] or [["--module", m] for m in s.modules]
        for other in (".npz", ".safetensors", ".pt", ".h5"):
            if other in hint and other != extension and other in (".npz", ".pt"):
                ways.append(other)
        for way in ways:
            if isinstance(way, str):
                outcome = self.judged(s, "tensors", module, way, ["--as", "torch"] + (["--module", module] if module else []), 3)
            else:
                name = way[1] if way[0] == "--module" else module
                kept = [] if way[0] == "--module" and "--module" in options else options
                outcome = self.judged(s, target, name, extension, kept + way, 3)
            if outcome.what in (RIGHT, RIGHT_ASSUMED, ASSUMED_WRONG):
                return Outcome(HINT, hint, said)
            if outcome.what in (SILENT, CRASH):
                return outcome
        return Outcome(BAD_HINT if ways else REFUSED, hint, said)

    # What was written.

    def network(self, s, target, module, extension, options, said, path, follow):
        truth = s.truth
        if module is None and path.endswith(s.suffix):
            copied = run_copy(path, truth.inputs)
            if copied is not None and len(copied) == len(truth.outputs) and all(map(same, copied, truth.outputs)):
                return Outcome(RIGHT_ASSUMED if said.assumed else RIGHT, "a copy", said, True)
        written = open_network(path)
        f = find(truth, written, module, s.states)
        wrong = list(f.wrong)
        spoken = " ".join(said.lines[1:])  # the first line is the files' names
        if "initial state" in wrong and (not s.states or re.search(r"initial|\bstates?\b|\b[hc]_?0\b", spoken)):
            wrong.remove("initial state")
        if self.layout_differs(s, written, module, f) and not (
                s.states and re.search(r"batch.first|time.first|ranspos", spoken)):
            wrong.append("layout")
        f.whole = f.whole and not wrong
        if wrong:
            covering = self.cover(s, wrong, said.assumed, f)
            if covering is None or not follow:
                return Outcome(SILENT, f"{', '.join(wrong)} of {f.name or 'the model'}", said)
            if not covering:
                return Outcome(ASSUMED_WRONG, ", ".join(wrong), said)
            mended = self.judged(s, target, module, extension, merged(options, covering), min(follow, 7) - 1)
            sequential = target == "keras" and self.no_sequential(s, mended.said)  # the flag makes it a refusal, which is right
            if sequential or mended.what in (RIGHT, RIGHT_ASSUMED, ASSUMED_WRONG):
                return Outcome(ASSUMED_WRONG, ", ".join(wrong), said, mended.whole)
            return Outcome(SILENT, f"{', '.join(wrong)}; {' '.join(covering)} does not mend it: {mended.reason}", said)
        complaint = self.unsaid(s, said, f.lost, f.whole, module)
        if complaint:
            return Outcome(SILENT, complaint, said)
        if module is None and f.lost and s.keeps_names and s.form != "onnx" and not s.by_value:
            self.unlisted(s, extension, options, f.lost)
        return Outcome(RIGHT_ASSUMED if said.assumed else RIGHT, f.name, said, f.whole)

    def unlisted(self, s, extension, options, lost):
        """--json names everything that is not in the output."""
        said, _ = self.converter.convert(s.path, "out" + extension, *options, as_json=True)
        listed = strings((said.json or {}).get("left_behind")) + strings((said.json or {}).get("carried"))
        missing = [k for k in lost if not any(k == name or k.startswith(name.rstrip(".") + ".") for name in listed if name)
                   and not any(k in name for name in listed)]
        if missing:
            self.fail(s, "--json does not list what was left behind", ", ".join(missing[:4]), said)

    def strict(self, s):
        """--strict makes an error of what was assumed or left behind."""
        said, path = self.converter.convert(s.path, "out.onnx", "--strict")
        if said.code != 65 or os.path.exists(path):
            self.fail(s, "--strict accepts an assumption", f"exit status {said.code}", said)

    def layout_differs(self, s, written, module, f):
        """A batch-first model must not silently become a time-first one, nor the other way round."""
        r = next((r for r in s.truth.recurrent if r.name == f.name), None)
        if r is None or written.target == "keras" or "output" in f.wrong:
            return False
        if s.states:
            return module is None and r.source != "other" and written.batch_first != s.truth.batch_first
        return written.batch_first != r.batch_first

    def cover(self, s, wrong, lines, f):
        """The options named by the lines that own up to these points, or None."""
        text = " ".join(lines)
        named, options = dict(flags(text)), []
        for point in wrong:
            flag = {"head": "--head", "head reads": "--head", "probabilities": "--head", "embedding": "--embedding",
                    "layout": "--batch-first"}.get(point, "--cell")
            if s.form == "weights.h5" and point in ("output", "h_n", "c_n") and "activation" in text:
                continue  # no option gives a layer's activation back
            if point in ("output", "h_n", "c_n"):
                r = next((r for r in s.truth.recurrent if r.name == f.name), None)
                if r is not None and r.cell == "gru" and "--gru-reset" in text:
                    new = ["--gru-reset", "before"]
                elif r is None or not r.cell.startswith("rnn") or "--cell" not in text:
                    return None
                else:
                    new = ["--cell", r.cell]
            elif flag not in text:
                return None
            elif flag == "--batch-first":
                r = next(r for r in s.truth.recurrent if r.name == f.name)
                new = ["--batch-first", "yes" if r.batch_first else "no"]
            elif flag == "--head" and "--head-reads" in text and (how := self.true_reading(s, f)):
                new = ["--head-reads", how]
            else:
                new = [flag, named.get(flag, "none")]
            options += [] if new[0] in options else new
        return options

    def true_reading(self, s, f):
        return next((n.reads[f.name] for n in s.truth.linear if f.name in n.reads), None)

    def unsaid(self, s, said, lost, whole, module):
        """What a true file fails to say."""
        if lost and not said.left:
            return f"lost without a line: {', '.join(lost[:4])}"
        if s.states and module is None and not whole and not said.around:
            return "only a part of what the file states, without a line"
        if said.claims_network and not whole:
            return "called the same network, and is a part of it"
        return ""

    def tensors(self, s, module, said, path):
        tensors, metadata = open_tensors(path)
        truth = s.truth
        if s.by_value:
            return self.ran(s, module, said, tensors, metadata)
        t = compare_tensors(truth, tensors, metadata, module, s.keeps_names)
        complaints = t.complaints
        if metadata and complaints == [c for c in complaints if c.startswith("metadata")] and said.assumed:
            complaints = []
        if t.missing and not said.left:
            complaints.append(f"missing without a line: {', '.join(t.missing)}")
        if t.lost and not said.left and s.keeps_names:
            complaints.append(f"lost without a line: {', '.join(t.lost[:4])}")
        if said.claims_network and not truth.is_network:
            complaints.append("called the same network, and is not one")
        complaints += self.states_dropped(s, said, tensors, module)
        for key, text in metadata.items():
            if key.split(".")[-1] == "connections":
                complaints += self.false_connections(s, parsed(text), said)
        if complaints:
            return Outcome(SILENT, "; ".join(complaints), said)
        if t.missing and (module or any(r.name in t.missing for r in truth.recurrent)):
            self.fail(s, "module not converted", f"{', '.join(t.missing)} to tensors", said)
        return Outcome(RIGHT_ASSUMED if said.assumed else RIGHT, "", said, not t.missing)

    def states_dropped(self, s, said, tensors, module):
        """A stored initial state of a graph must be somewhere."""
        for r in s.truth.recurrent:
            if s.states and r.stored_state and (module is None or r.name == module):
                kept = any(v.ndim == 3 and v.shape[1] == 1 and v.shape[2] == r.h_n.shape[2] for v in tensors.values())
                if not kept and not any("state" in line for line in said.lines[1:]):
                    return [f"the stored initial state of {r.name} is gone"]
        return []

    def ran(self, s, module, said, tensors, metadata):
        """Tensors whose original is no state dict: each module is run, and must be one of the model's."""
        found, unknown = set(), []
        for prefix in reference.prefixes(tensors):
            fits = []
            for r in s.truth.recurrent:
                if module is not None and r.name != module and module not in r.layers:
                    continue
                if tensors[prefix + "weight_ih_l0"].shape[1] != r.x.shape[2]:
                    continue
                try:
                    got = reference.run(tensors, prefix, r.x, {"cell": r.cell} | metadata)
                except (ValueError, KeyError, IndexError):
                    continue
                if same(got["output"], r.output) or (r.from_zeros and same(got["output"], r.from_zeros[0])):
                    fits.append(r)
            if not fits:
                unknown.append(prefix.rstrip(".") or "(bare)")
            found |= {name for r in fits for name in [r.name, *r.layers]}
            name = prefix.rstrip(".").replace("/", ".").split(".")
            if fits and s.keeps_names and prefix and not any(set(name) & {r.name, *r.layers} for r in fits):
                unknown.append(f"{fits[0].name} is called {prefix}")
        # Weights alone do not say what a layer does with them; a line about that owns up to it.
        owned = [line for line in said.assumed if "activations" in line] if s.form == "weights.h5" else []
        unknown = [name for name in unknown if not any(f" {name} " in line for line in owned)]
        complaints = [f"is none of the model's modules, or renamed: {', '.join(unknown)}"] if unknown else []
        wanted = {r.name for r in s.truth.recurrent if module is None or r.name == module or module in r.layers}
        missing = sorted(name for name in wanted - found if not any(f" {name} " in line for line in owned))
        values = list(tensors.values())
        for n in s.truth.linear if module is None else []:
            if not any(v.shape == n.tensors["weight"].shape and same(v, n.tensors["weight"]) or
                       v.shape == n.tensors["weight"].T.shape and same(v, n.tensors["weight"].T) for v in values):
                missing.append(n.name)
        if missing and not said.left and not said.around:
            complaints.append(f"missing without a line: {', '.join(missing)}")
        if said.claims_network and not s.truth.is_network:
            complaints.append("called the same network, and is not one")
        for key, value in metadata.items():
            if key.split(".")[-1] == "head_reads" and not any(value in n.reads.values() or (
                    value in ("last", "final") and {"last", "final"} & set(n.reads.values())) for n in s.truth.linear):
                complaints.append(f"metadata: head_reads {value}")
            if key.split(".")[-1] == "head" and value == "linear" and not any(n.reads for n in s.truth.linear):
                complaints.append("metadata: head linear")
            if key.split(".")[-1] == "connections":
                complaints += self.false_connections(s, parsed(value), said)
        if complaints and not (said.assumed and all(c.startswith("metadata") for c in complaints)):
            return Outcome(SILENT, "; ".join(complaints), said)
        return Outcome(RIGHT_ASSUMED if said.assumed else RIGHT, "", said, not missing)

    # What --json says.

    def reported(self, s):
        """Takes the shares of evidence, and checks that nothing is stated that is not so."""
        said, _ = self.converter.convert(s.path, "out.npz", "--as", "torch", as_json=True)
        if said.code != 0 or said.json is None:
            return
        listed = connections(said.json)
        for _, _, evidence, _ in listed:
            self.evidence[s.form, evidence or "?"] += 1
        if not listed:
            self.evidence[s.form, "none listed"] += 1
        false = self.false_connections(s, listed, said)
        if false:
            self.counts[s.form, s.kind, "--json", SILENT] += 1
            self.fail(s, SILENT, "; ".join(false), said)
        if any(e == "assumed" for _, _, e, _ in listed) and not strings(said.json.get("assumptions")):
            self.fail(s, SILENT, "--json lists an assumed connection and no assumption", said)

    def false_connections(self, s, listed, said):
        complaints = []
        for one, other, evidence, reads in listed:
            true = connection_is_true(s.truth, one, other, reads)
            if true is False and evidence in ("stated", "given"):
                complaints.append(f"{evidence}: {one} -> {other} {reads}, which is not so")
            if true is False and evidence == "assumed" and not said.assumed and not said.json:
                complaints.append(f"assumed without a line: {one} -> {other}")
        return complaints
