"""The tables at the end."""
import re
from collections import Counter

from .verdict import ASSUMED_WRONG, BAD_HINT, CRASH, HINT, OUTCOMES, REFUSED, RIGHT, RIGHT_ASSUMED, SILENT

SHORT = {RIGHT: "right", RIGHT_ASSUMED: "+assumed", ASSUMED_WRONG: "owned up", HINT: "hint", REFUSED: "refused",
         BAD_HINT: "bad hint", SILENT: "SILENT", CRASH: "CRASH"}
POINTS = ("output", "h_n", "c_n", "logits", "probabilities", "head", "embedding", "layout", "initial state", "cannot be run")


def table(counts, by, title):
    """Outcomes in columns, what `by` picks from (form, kind, target, outcome) in rows."""
    rows = {}
    for key, n in counts.items():
        rows.setdefault(by(key), Counter())[key[3]] += n
    rows["all"] = sum(rows.values(), Counter())
    used = [o for o in OUTCOMES if any(r[o] for r in rows.values())]
    width = max([len(title)] + [len(r) for r in rows]) + 2
    lines = [title.ljust(width) + "  ".join(SHORT.get(o, o).rjust(9) for o in ["judged"] + used)]
    for row in sorted(rows, key=lambda r: (r == "all", r)):
        cells = [str(sum(rows[row].values())).rjust(9)] + [str(rows[row][o] or ".").rjust(9) for o in used]
        lines.append(row.ljust(width) + "  ".join(cells))
    return "\n".join(lines)


def report(counts, evidence, failures, limit, counted):
    """The whole text; the failures are grouped by what they have in common."""
    parts = [table(counts, lambda k: f"{k[0]} -> {k[2]}", "by form and target"),
             table(counts, lambda k: k[1], "by kind of model")]
    forms = sorted({f for f, _ in evidence})
    if forms:
        parts.append("connections by evidence (--json)")
        for form in forms:
            total = sum(n for (f, _), n in evidence.items() if f == form)
            shares = ", ".join(f"{e} {n} ({100 * n / total:.0f} %)" for (f, e), n in sorted(evidence.items()) if f == form)
            parts[-1] += f"\n  {form:<12} {shares}"
    wrong = Counter(shape(f) for f in failures if f[3] == SILENT)
    if wrong:
        parts.append("silently wrong, by what is wrong\n" + "\n".join(f"  {n:>6}  {reason}" for reason, n in wrong.most_common(25)))
    kinds = Counter(f[3] for f in failures)
    for what in sorted(kinds):
        chosen = [f for f in failures if f[3] == what]
        lines = [f"{what}: {len(chosen)}"]
        shown = spread(chosen, limit)
        for name, form, kind, _, reason, command, said in shown:
            lines.append(f"  {name} {form} [{kind}] {reason[:260]}\n      {again(name, form)}")
        if len(chosen) > len(shown):
            lines.append(f"  … and {len(chosen) - len(shown)} more (--failures N shows more, --log FILE has all)")
        parts.append("\n".join(lines))
    first = Counter()
    for (form, _, target, outcome), n in counts.items():
        if target == "onnx":
            first[outcome == SILENT] += n
    numbers = {f[:2] for f in failures if f[3] == SILENT and f[4].startswith(POINTS) and ".onnx" in f[5].split(" --force")[0].split()[-1]
               and "--module" not in f[5]}
    parts.append(f"files whose ONNX is silently wrong: {first[True]} of {first[True] + first[False]}, {len(numbers)} of them in their numbers")
    silent = sum(n for k, n in counts.items() if k[3] == SILENT)
    crashed = sum(n for k, n in counts.items() if k[3] == CRASH)
    parts.append(f"judge: {counted}; {sum(counts.values())} conversions judged: {silent} silently wrong, {crashed} crashed; "
                 f"{len(failures)} failures")
    return "\n\n".join(parts)


def shape(failure):
    """A failure's reason without the names in it."""
    reason = re.sub(r"[\w.]*(?:weight|bias|kernel|embeddings|gamma|beta)\S*", "…", failure[4].split(";")[0])
    return re.sub(r" of .*|: .*", "", reason)


def spread(failures, limit):
    """Failures of different kinds first: one of each form, kind of model and reason."""
    seen, first, rest = set(), [], []
    for f in failures:
        key = f[1], f[2].split(":")[0], shape(f)
        (rest if key in seen else first).append(f)
        seen.add(key)
    return (first + rest)[:limit]


def again(name, form):
    return f"again: tools/peers/judge --only {name} --form {form} --keep DIRECTORY BIN"
