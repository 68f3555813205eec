"""The tables at the end."""
from collections import Counter

from .verdict import CRASH, OUTCOMES, SILENT


def table(counts, by, title):
    """Outcomes in columns, what `by` picks from (form, kind, target, outcome) in rows."""
    rows = {}
    for key, n in counts.items():
        rows.setdefault(by(key), Counter())[key[3]] += n
    used = [o for o in OUTCOMES if any(r[o] for r in rows.values())]
    width = max([len(title)] + [len(r) for r in rows]) + 2
    heads = ["\n".join([]) or o for o in used]
    lines = [title.ljust(width) + "  ".join(h.rjust(8) for h in ["files"] + heads)]
    for row in sorted(rows):
        cells = [str(sum(rows[row].values())).rjust(8)] + [str(rows[row][o] or ".").rjust(max(8, len(o))) for o in used]
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
    kinds = Counter(f[3] for f in failures)
    for what in sorted(kinds):
        chosen = [f for f in failures if f[3] == what]
        lines = [f"{what}: {len(chosen)}"]
        for name, form, kind, _, reason, command, said in chosen[:limit]:
            lines.append(f"  {name} {form} [{kind}] {reason}\n      {again(name, form)}")
        if len(chosen) > limit:
            lines.append(f"  … and {len(chosen) - limit} more (--failures N shows more, --log FILE has all)")
        parts.append("\n".join(lines))
    silent = sum(n for k, n in counts.items() if k[3] == SILENT)
    crashed = sum(n for k, n in counts.items() if k[3] == CRASH)
    parts.append(f"judge: {counted}; {sum(counts.values())} conversions judged: {silent} silently wrong, {crashed} crashed; "
                 f"{len(failures)} failures")
    return "\n\n".join(parts)


def again(name, form):
    return f"again: tools/judge --only {name} --form {form} --keep DIRECTORY BIN"
