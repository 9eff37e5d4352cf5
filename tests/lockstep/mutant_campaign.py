"""Judges mutants of right lowerings. One JSON line for each.

    .venvs/1.5.1/bin/python tests/lockstep/mutant_campaign.py --out mutants.jsonl
    .venvs/1.5.1/bin/python tests/lockstep/mutant_campaign.py --out mutants.jsonl --summary
    .venvs/1.5.1/bin/python tests/lockstep/mutant_campaign.py --out mutants.jsonl --again

Five networks are lowered once each, and get an equal share of the mutants. What was judged already is not judged
again, so that a run may be interrupted. ``--again``: what is wrong with the judge by the records (``faults``) is judged
again, after the judge has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuseguard_testkit.mutant_judge import Subject
from fuseguard_testkit.mutating import Network, Residual, mutants

#: What is lowered, by name.
SUBJECTS: dict[str, Callable[[], Subject]] = {
    "network 0": lambda: Subject.of(Network(0), 0),
    "residual 0": lambda: Subject.of(Residual(0), 0),
    "network 1": lambda: Subject.of(Network(1), 1),
    "residual 1": lambda: Subject.of(Residual(1), 1),
    "network 2": lambda: Subject.of(Network(2), 2),
}
#: Mutants between two collections of garbage.
_TIDY = 25


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--mutants", type=int, default=500, help="how many (default %(default)s)")
    parser.add_argument("--again", action="store_true", help="judge faults again")
    parser.add_argument("--summary", action="store_true", help="print the table of --out and stop")
    options = parser.parse_args(argv)
    if not options.summary:
        campaign(options.out, options.mutants, again=options.again)
    found = records(options.out)
    print(table(found))
    for record in survivors(found):
        print(f"{record['outcome']}: {record['subject']}: {record['mutant']}: {record['reason']}")
    for record in faults(found):
        print(f"FAULT OF THE JUDGE: {json.dumps(record)}")
    return int(bool(faults(found)))


def campaign(out: Path, count: int, *, again: bool = False) -> None:
    """Judges the first ``count`` mutants of all subjects together, but for those that ``out`` has."""
    from fuseguard.executorch.hurry import hurry_alone, tidy

    hurry_alone()
    known = records(out)
    done = {key(record) for record in known} - ({key(record) for record in faults(known)} if again else set())
    for place, (name, make) in enumerate(SUBJECTS.items()):
        share = count // len(SUBJECTS) + (place < count % len(SUBJECTS))
        if all((name, number) in done for number in range(share)):
            continue
        subject = make()
        assert {cell.status for cell in subject.right.cells} == {"proved"}, (name, subject.right.remaining)
        for number, mutant in enumerate(islice(mutants(subject.lowering, place), share)):
            if (name, number) in done:
                continue
            verdict = subject.judge(mutant, briefly=True)
            record = {"subject": name, "number": number, "kind": mutant.kind, "mutant": str(mutant), **asdict(verdict)}
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            if number % _TIDY == 0:
                tidy()


def key(record: dict[str, Any]) -> tuple[str, int]:
    return record["subject"], record["number"]


def records(path: Path) -> list[dict[str, Any]]:
    """The last record of each mutant; a line that was cut off is left out."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[key(record)] = record
    return list(found.values())


def survivors(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for record in found if record["outcome"] in ("proved", "sampled")]


def faults(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mutants that change the results and are not refuted, or that are refuted elsewhere alone."""
    return [
        record for record in found
        if not record["placed"] or (record["outcome"] in ("proved", "sampled") and "results" in record["reason"])
    ]  # fmt: skip


def table(found: Sequence[dict[str, Any]]) -> str:
    """By kind, the mutants and what became of them, as Markdown."""
    columns = ("refuted", "in the right cell", "refused", "sampled", "proved")
    counts: dict[str, Counter[str]] = {}
    for record in found:
        for row in (record["kind"], "all"):
            counted = counts.setdefault(row, Counter())
            counted.update(("mutants", record["outcome"]))
            counted["in the right cell"] += record["outcome"] == "refuted" and record["placed"]
    lines = [f"| kind | mutants | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 2)}"]
    for row in sorted(counts, key=lambda name: (name == "all", name)):
        cells = " | ".join(str(counts[row][column]) for column in columns)
        lines.append(f"| {row} | {counts[row]['mutants']} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
