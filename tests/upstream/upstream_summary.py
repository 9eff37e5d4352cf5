"""What a campaign over Arm's own tests showed, as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

#: Effects that say "this breaks here". A finding with another one refuses for the sake of another target or release.
BREAKS = ("crash", "wrong", "undefined", "runtime_fault")


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Records by test id, the last one of each. A test that was started and never finished keeps ``started``."""
    records: dict[str, dict[str, Any]] = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            record = json.loads(line)
            records[record["test"]] = record
    return records


def compared(record: dict[str, Any]) -> bool:
    """Whether upstream compared numbers of a lowered, delegated program, and at least one of them."""
    return bool(record.get("delegate_runs")) and any(
        entry["elements"] and not entry["eager"] for entry in record.get("compared", ())
    )


def verdict(record: dict[str, Any]) -> str:
    """The judge's worst word about the test's programs; "" if it was not asked."""
    order = ("wrong", "undefined", "runtime_fault", "not judged", "bounded", "exact")
    words = {entry["outcome"] for entry in record.get("judged", ())}
    return next((word for word in order if word in words), "")


def lost_codes(record: dict[str, Any]) -> set[str]:
    """Codes of the rules that would take nodes from the accelerator."""
    return {code for low in record.get("lowerings", ()) for codes in low["lost"].values() for code in codes}


def effects(record: dict[str, Any]) -> set[tuple[str, str, bool]]:
    """(code, effect, preview) of the findings that name the lost nodes."""
    return {
        (finding["code"], finding["effect"], finding["preview"])
        for low in record.get("lowerings", ())
        for finding in low["findings"]
        if finding["refuse"] and any(finding["code"] in low["lost"].get(name, ()) for name in finding["cluster"])
    }


def kind_of(record: dict[str, Any]) -> str:
    """What a refusal in a test that passes and compares is: ``false alarm``, ``consistency`` (the rule itself says
    that nothing breaks on this target), ``loose`` (upstream passes, the judge says wrong), ``unjudged``; "" if none.
    """
    if record["outcome"] not in ("passed", "xpassed") or not compared(record) or not lost_codes(record):
        return ""
    word = verdict(record)
    if word in ("wrong", "undefined", "runtime_fault"):
        return "loose"
    if word not in ("exact", "bounded"):
        return "unjudged"
    return "false alarm" if any(effect in BREAKS for _, effect, _ in effects(record)) else "consistency"


def summarize(records: Iterable[dict[str, Any]]) -> str:
    return "\n".join(_lines(list(records)))


def _lines(records: list[dict[str, Any]]) -> Iterator[str]:
    outcomes = Counter(record["outcome"] for record in records)
    yield "outcomes: " + ", ".join(f"{name} {count}" for name, count in outcomes.most_common())
    passed = [record for record in records if record["outcome"] in ("passed", "xpassed")]
    numeric = [record for record in passed if compared(record)]
    elements = sum(e["elements"] for r in numeric for e in r["compared"] if not e["eager"])
    yield f"passed and compared numbers: {len(numeric)} tests, {elements} elements"
    yield "judge on these: " + ", ".join(f"{w or '-'} {c}" for w, c in Counter(map(verdict, numeric)).most_common())
    kinds = Counter(filter(None, map(kind_of, numeric)))
    yield "refused and passed: " + (", ".join(f"{name} {count}" for name, count in kinds.items()) or "none")
    table: Counter[tuple[str, ...]] = Counter()
    for record in numeric:
        for code, effect, preview in effects(record):
            table[(code, "preview" if preview else "stable", effect, kind_of(record), verdict(record))] += 1
    for key, count in sorted(table.items()):
        yield f"  {count:4d}  " + "  ".join(f"{part:12s}" for part in key)
    silent = [r for r in numeric if verdict(r) in ("wrong", "undefined", "runtime_fault") and not lost_codes(r)]
    yield f"upstream passes, judge says wrong, no rule refuses: {len(silent)}"
    for record in silent:
        yield f"  {record['test']}  {_figures(record)}"
    broken = [r for r in records if any(low["errors"] for low in r.get("lowerings", ()))]
    yield f"internal errors of rules: {len(broken)}"
    for name in ("failed", "aborted", "timeout", "not run"):
        for record in records:
            if record["outcome"] == name:
                yield f"  {name}: {record['test']}  {record['reason'][:120]}"
    for name in ("skipped", "xfailed", "not collected"):
        reasons = Counter(r["reason"][:100] for r in records if r["outcome"] == name)
        for reason, count in reasons.most_common(25):
            yield f"  {name} {count}: {reason}"


def _figures(record: dict[str, Any]) -> str:
    worst = max(record["judged"], key=lambda e: e.get("mismatches") or 0)
    return (
        f"{worst['outcome']} {worst.get('mismatches')}/{worst.get('elements')} elements, steps {worst.get('steps')}, "
        f"max error {worst.get('max_error')} {worst.get('detail', '')}"
    )
