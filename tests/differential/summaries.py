"""What the records of a campaign say: which ones are disagreements, and the table of all. Torch-free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

DISAGREEMENTS = ("miss", "false-alarm", "wrong-effect")
NO_PROGRAM = ("eager-fault", "quantizer-fault", "edit-fault")
#: Notes that tell of a fault of a rule or of the guard, or of a difference between lint and plug-in, begin like this.
FAULTY_NOTES = ("rule", "guard", "lint")


def is_settled(record: Mapping[str, Any]) -> bool:
    """Whether verdict and guard were right about a program, so that only other findings can change its record."""
    settled = ("agree-clean", "agree-broken", "not-reached", *NO_PROGRAM)
    faults = [note for note in record["notes"] if note.startswith(FAULTY_NOTES) or "isolated" in note]
    return record["verdict"] in settled and record["guard"] not in ("broken", "changed") and not faults


def disagreements(record: dict[str, Any]) -> list[str]:
    """What of a record verdict and judge, or lint and guard, do not agree on; nothing where all is well."""
    faults = [record["verdict"]] if record["verdict"] in (*DISAGREEMENTS, "eager-fault") else []
    faults += [f"guard {record['guard']}"] if record["guard"] in ("broken", "changed") else []
    return faults + [note for note in record["notes"] if note.startswith(FAULTY_NOTES)]


def signature(record: dict[str, Any]) -> tuple[Any, ...]:
    """What has to stay while a program is made smaller."""
    errors = ("crash", "wrong", "undefined", "runtime_fault")
    codes = sorted({item["code"] for item in record["findings"] if item["effect"] in errors})
    return record["verdict"], record["outcome"], record["guard"] == "broken", tuple(codes)


def summary(records: Sequence[dict[str, Any]]) -> str:
    """The result table and the count of every op kind."""
    verdicts = Counter(record["verdict"] for record in records)
    judged = [record for record in records if record["verdict"] not in (*NO_PROGRAM, "aborted", "harness-fault")]
    broken = [r for r in judged if r["outcome"] not in ("exact", "bounded", "not_judged")]
    guards = Counter(record["guard"] for record in judged)
    seconds = sum(record.get("seconds", 0.0) for record in records)
    differ = sum(any(note.startswith("lint and plug-in") for note in r["notes"]) for r in judged)
    rows = [
        ("programs judged", len(judged)),
        ("breakages", len(broken)),
        ("agree, clean", verdicts["agree-clean"]),
        ("agree, broken", verdicts["agree-broken"]),
        ("missed", verdicts["miss"]),
        ("false alarms", verdicts["false-alarm"]),
        ("wrong effect", verdicts["wrong-effect"]),
        ("announced wrong, not reached", verdicts["not-reached"]),
        ("guard broken", guards["broken"]),
        ("guard changed a clean program", guards["changed"]),
        ("guarded lowerings judged", guards["ok"] + guards["broken"] + guards["changed"]),
        ("lint and plug-in differ", differ),
        ("judged cell by cell and end to end", sum("end_to_end" in r for r in judged)),
        ("the two judges differ", sum(r.get("end_to_end", r["outcome"]) != r["outcome"] for r in judged)),
        ("a cell in doubt", sum(bool(r.get("doubtful")) for r in judged)),
        ("lowered, cannot be run", verdicts["not-judged"]),
        ("bounded, not announced", sum("bounded, not announced" in r["notes"] for r in judged)),
        *((f"not counted: {name}", verdicts[name]) for name in (*NO_PROGRAM, "aborted", "harness-fault")),
        ("hand-edited", sum(bool(r.get("edited")) for r in judged)),
        ("seconds per program", round(seconds / max(1, len(records)), 2)),
    ]
    kinds = Counter(kind for record in judged for kind in set(record["kinds"]))
    lines = [f"{name:32}{value:>8}" for name, value in rows]
    lines.append(f"\n{len(kinds)} op kinds, in so many programs:")
    lines.append(", ".join(f"{kind} {count}" for kind, count in kinds.most_common()))
    lines += _by_feature(records)
    found = Counter(f"{r['edit'] or 'unedited'}" for r in judged if r["verdict"] in DISAGREEMENTS)
    if found:
        lines.append("\ndisagreements by edit: " + ", ".join(f"{name} {count}" for name, count in found.most_common()))
    return "\n".join(lines)


def _by_feature(records: Sequence[dict[str, Any]]) -> list[str]:
    """Of each family of features (``state``, ``io``): programs, those that are none, and disagreements; then each."""
    rows: dict[str, Counter[str]] = {}
    for record in records:
        features = record.get("features", ())
        for name in {name.partition(":")[0] for name in features} | set(features):
            row = rows.setdefault(name, Counter())
            row["programs"] += 1
            row["none"] += record["verdict"] in NO_PROGRAM
            row["disagree"] += record["verdict"] in DISAGREEMENTS or record["guard"] in ("broken", "changed")
    if not rows:
        return []
    lines = [f"\n{'feature':44}{'programs':>10}{'refused':>10}{'disagree':>10}"]
    lines += [
        f"{'  ' * (':' in name) + name:44}{row['programs']:>10}{row['none']:>10}{row['disagree']:>10}"
        for name, row in sorted(rows.items())
    ]
    return lines
