"""What a sweep came to: a table on the terminal, a JSON document and an HTML page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from json import loads
from pathlib import Path
from typing import Any, TypeAlias

from fuseguard.gate.exit_codes import CLEAN
from fuseguard.report.html import page
from fuseguard.report.json import dump, envelope
from fuseguard.report.lines import Line, table
from fuseguard.report.markdown_text import prose
from fuseguard.report.quoting import quoted
from fuseguard.sweep.items import STATUSES, Item, Outcome

Results: TypeAlias = Sequence[tuple[Item, Outcome]]

_SHOWN = 20  # items that broke, on the terminal
_IN_ISSUE = 100  # changes in the Markdown
_ON_PAGE = 2000  # items that are not clean, on the page
_SCRIPTS = ("common.js", "sweep.js")


def exit_code(results: Results) -> int:
    """The largest of all items."""
    return max((outcome.exit_code for _, outcome in results), default=CLEAN)


def lines(results: Results, changed: Sequence[Change] | None = None) -> Iterator[Line]:
    """The summary as text: one row for each step, target and release, what broke, and what changed."""
    rows = []
    for group in _groups(results):
        counts = ", ".join(f"{number} {name}" for name, number in group["counts"].items())
        rows.append((group["step"], group["target"], group["release"], counts))
    yield from table(rows, ("step", "target", "release", "outcomes"))
    broken = [(item, outcome) for item, outcome in results if outcome.status != "done"]
    for item, outcome in broken[:_SHOWN]:
        yield Line("")
        yield Line((f"{outcome.status}", "error"), f": {quoted(item.label)}")
        yield Line(f"  {quoted(outcome.message)}", hang=2)
        yield Line(("  command", "dim"), f"  {quoted(item.command)}", hang=11)
    if len(broken) > _SHOWN:
        yield Line(f"and {len(broken) - _SHOWN} more; --report json=PATH has all of them")
    for change in changed or ():
        yield Line(("changed", "strong"), f"  {quoted(change.text)}", hang=2)
    yield Line("")
    yield Line(f"{len(results)} items, {len(broken)} of them without a verdict; exit code {exit_code(results)}")


@dataclass(frozen=True, slots=True)
class Change:
    """An item whose verdict is another one than in an earlier summary. None: there was no such item, or is none now."""

    step: str
    model: str
    target: str
    release: str
    before: str | None
    after: str | None

    @property
    def text(self) -> str:
        """In a line."""
        place = f"{self.step} {self.model} {self.target} {self.release}"
        return f"{place}: {self.before or 'not there'} -> {self.after or 'not there'}"


class SummaryError(ValueError):
    """A file is not the JSON summary of a sweep; the text says why."""


def changes(results: Results, path: Path) -> list[Change]:
    """What differs from the JSON summary in a file. Raises SummaryError."""
    try:
        document = loads(path.read_text(encoding="utf-8"))
        before = {
            (item["step"], item["model"], item["target"], item["release"]): item["outcome"] or item["status"]
            for item in document["items"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise SummaryError(f"{str(path)!r} is not what --report json=PATH writes: {reason}.") from error
    after = {
        (item.step, quoted(item.model), item.target, item.release): outcome.outcome or outcome.status
        for item, outcome in results
    }
    keys = dict.fromkeys((*before, *after))
    return [Change(*key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def to_dict(results: Results, manifest: str, code: int, changed: Sequence[Change] | None = None) -> dict[str, Any]:
    """The summary as JSON-ready data; ``code`` is what the command is about to exit with."""
    return {
        **envelope(),
        "manifest": manifest,
        "exit_code": code,
        "statuses": dict(STATUSES),
        "groups": list(_groups(results)),
        "changes": None if changed is None else [asdict(change) for change in changed],
        "items": [_item(item, outcome) for item, outcome in results],
    }


def json(results: Results, manifest: str, code: int, changed: Sequence[Change] | None = None) -> str:
    """The JSON document."""
    return dump(to_dict(results, manifest, code, changed))


def markdown(results: Results, manifest: str, code: int, changed: Sequence[Change] | None = None) -> str:
    """What changed, and the outcomes; for the body of an issue."""
    parts = [f"# Sweep of {prose(manifest)}", ""]
    if changed is not None:
        parts += [f"{len(changed)} items changed:" if changed else "Nothing changed.", ""]
        parts += [f"- {prose(change.text)}" for change in changed[:_IN_ISSUE]]
        if len(changed) > _IN_ISSUE:
            parts.append(f"- and {len(changed) - _IN_ISSUE} more")
        parts.append("")
    parts += ["| step | target | release | outcomes |", "| --- | --- | --- | --- |"]
    for group in _groups(results):
        counts = ", ".join(f"{number} {name}" for name, number in group["counts"].items())
        parts.append(f"| {' | '.join(map(prose, (group['step'], group['target'], group['release'], counts)))} |")
    return "\n".join([*parts, "", f"{len(results)} items; exit code {code}", ""])


def html(results: Results, manifest: str, code: int, changed: Sequence[Change] | None = None) -> str:
    """The HTML page. It lists the items that are not clean, and no more than 2,000 of them."""
    notable = [(item, outcome) for item, outcome in results if outcome.exit_code != CLEAN]
    worst = sorted(notable, key=lambda pair: -pair[1].exit_code)[:_ON_PAGE]
    data = {
        **to_dict(worst, manifest, code, changed),
        "groups": list(_groups(results)),
        "total": len(results),
        "notable": len(notable),
        "kind": "sweep",
    }
    return page("fuseguard: sweep", data, _SCRIPTS)


def _groups(results: Results) -> Iterator[dict[str, Any]]:
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for item, outcome in results:
        group = counts.setdefault((item.step, item.target, item.release), Counter())
        group[outcome.outcome or outcome.status] += 1
    for (step, target, release), counter in counts.items():
        yield {"step": step, "target": target, "release": release, "counts": dict(counter.most_common())}


def _item(item: Item, outcome: Outcome) -> dict[str, Any]:
    return {
        "model": item.model,
        "digest": item.digest,
        "step": item.step,
        "release": item.release,
        "target": item.target,
        "status": outcome.status,
        "outcome": outcome.outcome,
        "message": outcome.message,
        "exit_code": outcome.exit_code,
        "seconds": round(outcome.seconds, 3),
        "memory_kib": outcome.memory_kib,
        "command": item.command,
    }
