"""docs/zoo.md: what examples/zoo/results.json says about the lowerings of real models. Needs no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

RESULTS = Path(__file__).resolve().parents[1] / "examples" / "zoo" / "results.json"
#: The layout of the file that this page is made for (zoo.results.VERSION).
VERSION = 1
#: Outcomes of a lowering that cannot be trusted.
BAD = ("wrong", "crash", "undefined", "runtime_fault")
GOOD = ("exact", "bounded")
#: Effects that a finding announces -> the outcomes that they mean.
_ANNOUNCED = {
    "wrong": ("wrong",), "crash": ("crash",), "undefined": ("undefined", "wrong"), "runtime_fault": ("runtime_fault",),
}  # fmt: skip
#: Heads of the columns that _place fills.
_PLACE = ("program", "quantization", "target", "release")
_WAYS = ("unguarded", "guarded", "repaired")

Row: TypeAlias = Mapping[str, Any]

_INTRODUCTION = """# Real models

`examples/zoo/` holds {programs} programs: networks of torchvision, timm, transformers, segmentation-models-pytorch and
facenet-pytorch, and networks that are written with torch alone. {trained} have trained weights. Batch norms have the
statistics of photographs, and every program is calibrated on several inputs. The networks are smaller than those that
people ship, so that lowering one takes seconds, or a few minutes.

`make zoo` builds and quantizes the programs with ExecuTorch 1.5.1. It checks each of them, lowers it unguarded, guarded
and repaired, runs every delegate in the TOSA reference model on three inputs, and compares each op with the quantized
program ([prove](prove.md)). The results are in `examples/zoo/results.json`, from which this page is made. The page says
what was run: an empty cell was not. Small programs come first. A lowering that exceeds its time limit is *too slow*,
and the other lowerings of that program are left for a later run.
"""


def zoo_page() -> str:
    """The page. Raises ValueError: the data have another layout."""
    return "\n".join(_page(json.loads(RESULTS.read_text(encoding="utf-8"))))


def _page(data: Mapping[str, Any]) -> Iterator[str]:
    if data["version"] != VERSION:
        raise ValueError(f"{RESULTS.name} has version {data['version']}, and this page is made for {VERSION}")
    programs: Sequence[Row] = data["programs"]
    items: Sequence[Row] = data["items"]
    trained = sum(entry["weights"] != "random" for entry in programs)
    yield _INTRODUCTION.format(programs=len(programs), trained=trained)
    yield from _coverage(programs, items)
    yield from _wrong(items)
    yield from _crashes(items)
    yield from _disagreements(items)
    yield from _remedies(items)
    yield from _scores(items)
    yield from _programs(programs)
    yield from _not_built(programs)


def _coverage(programs: Sequence[Row], items: Sequence[Row]) -> Iterator[str]:
    yield "## What was run\n"
    yield (
        "Programs by the outcome of their lowerings. *failed* and *too slow* are runs without a verdict. Only programs "
        "of which `check` refuses something are lowered guarded and repaired; the other programs stay as they are.\n"
    )
    rows = []
    for key, group in _grouped(items):
        not_lowered = sum(not _outcome(row["unguarded"]) for row in group)
        rows.append((*key, len(group), *(_spread(group, way) for way in _WAYS), not_lowered or ""))
    yield from _table(("release", "target", "quantization", "checked", *_WAYS, "not lowered"), rows)
    shown = {row["program"] for row in items} | {entry["name"] for entry in programs if entry["not_built"]}
    missing = [f"`{entry['name']}`" for entry in programs if entry["name"] not in shown]
    if missing:
        yield f"\nNothing was run yet of {len(missing)} programs: {', '.join(missing)}."


def _spread(rows: Iterable[Row], way: str) -> str:
    counts = Counter(_outcome(row[way]) for row in rows)
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()) if name) or "-"


def _grouped(items: Iterable[Row]) -> list[tuple[tuple[str, str, str], list[Row]]]:
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in items:
        groups.setdefault((row["release"], row["target"], row["config"]), []).append(row)
    return list(groups.items())


def _outcome(lowering: Row | None) -> str:
    """The outcome, or what happened to the run; "" if it was not run."""
    if lowering is None:
        return ""
    return str(lowering["outcome"] or lowering["status"])


def _wrong(items: Sequence[Row]) -> Iterator[str]:
    yield "\n## Silently wrong\n"
    found = [row for row in items if _outcome(row["unguarded"]) in ("wrong", "undefined")]
    if not found:
        yield "No lowering that was run is wrong."
        return
    yield (
        "These lowerings succeed without a warning. *steps* is the largest error of an output, *SQNR* the ratio of "
        "signal to error of the results, *wrong ops* how many places compute other codes from the codes that they "
        "read.\n"
    )
    rows = [
        (
            *_place(row), _number(row["unguarded"]["max_error_steps"]),
            _number(row["unguarded"]["sqnr_db"], " dB"), row["unguarded"]["wrong_cells"], _rules(row),
        )
        for row in found
    ]  # fmt: skip
    heads = (*_PLACE, "steps", "SQNR", "wrong ops", "rules that announce it")
    yield from _table(heads, rows)


def _crashes(items: Sequence[Row]) -> Iterator[str]:
    found = [row for row in items if _outcome(row["unguarded"]) in ("crash", "runtime_fault")]
    yield "\n## Crashes\n"
    if not found:
        yield "No lowering that was run raises."
        return
    rows = [
        (*_place(row), _code(row["unguarded"]["message"]), _rules(row))
        for row in found
    ]
    heads = (*_PLACE, "what is raised", "rules that announce it")
    yield from _table(heads, rows)


def announced(row: Row) -> set[str]:
    """The outcomes that the errors of the check announce."""
    effects = {key.partition(" ")[2] for key in row["check"]["findings"]}
    return {outcome for effect in effects for outcome in _ANNOUNCED.get(effect, ())}


def missed(row: Row) -> bool:
    """Whether the unguarded lowering is worse than the check says, or an op is wrong that no rule names."""
    lowering = row["unguarded"]
    if lowering is None or lowering["outcome"] not in BAD:
        return False
    return lowering["outcome"] not in announced(row) or bool(lowering.get("unpredicted_cells"))


def too_strict(row: Row) -> bool:
    """Whether the check announces an error, and the unguarded lowering is right on the inputs that were tried."""
    return _outcome(row["unguarded"]) in GOOD and bool(announced(row))


def _disagreements(items: Sequence[Row]) -> Iterator[str]:
    yield "\n## Where check and lowering disagree\n"
    heads = (*_PLACE, "the lowering", "findings")
    for title, found in (
        ("No rule announces the fault, or not all of it:", [row for row in items if missed(row)]),
        (
            "A rule announces a fault, and the lowering is right on the inputs that were tried. For the effect *wrong*,"
            " other inputs may show it:",
            [row for row in items if too_strict(row)],
        ),
        (
            "The guarded or the repaired lowering is wrong:",
            [row for row in items if any(_outcome(row[way]) in BAD for way in ("guarded", "repaired"))],
        ),
    ):
        yield f"{title}{'' if found else ' none.'}\n"
        if found:
            yield from _table(heads, [_disagreement(row) for row in found])
            yield ""


def _disagreement(row: Row) -> tuple[object, ...]:
    ways = ", ".join(f"{way} {_outcome(row[way])}" for way in _WAYS if row[way] is not None)
    findings = ", ".join(f"{key} x{number}" for key, number in row["check"]["findings"].items())
    return *_place(row), ways, findings or "none"


def _place(row: Row) -> tuple[str, str, str, str]:
    return f"`{row['program']}`", row["config"], row["target"], row["release"]


def _remedies(items: Sequence[Row]) -> Iterator[str]:
    found = [row for row in items if row["guarded"] is not None or row["repaired"] is not None]
    yield "\n## What the guard costs, and what the repair gives back\n"
    if not found:
        yield "Nothing was guarded or repaired."
        return
    yield (
        "Ops are counted without quantize and dequantize. Where `check` refuses nothing, the guarded and the repaired "
        "lowering are the unguarded one, and there is no row.\n"
    )
    yield from _moved(found)
    rows = [
        (
            *_place(row),
            *(_placed(row[way]) for way in _WAYS),
            _repairs(row["repaired"]),
        )
        for row in found
    ]
    heads = (*_PLACE, *(f"{way}: delegated + CPU" for way in _WAYS), "repairs")
    yield from _table(heads, rows)


def _moved(rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for each remedy: how many of the ops that the unguarded lowering delegates it leaves on the CPU."""
    for way in ("guarded", "repaired"):
        both = [row for row in rows if _outcome(row["unguarded"]) == "wrong" and _outcome(row[way]) in GOOD]
        if both:
            delegated = sum(row["unguarded"]["delegated_ops"] for row in both)
            on_cpu = sum(row[way]["cpu_ops"] - row["unguarded"]["cpu_ops"] for row in both)
            yield (
                f"{len(both)} lowerings that are silently wrong are right when they are {way}. Of the {delegated} ops "
                f"that they delegate unguarded, {on_cpu} are then on the CPU.\n"
            )


def _placed(lowering: Row | None) -> str:
    if lowering is None:
        return ""
    if lowering["outcome"] not in (*GOOD, "wrong", "undefined"):
        return _outcome(lowering)
    return f"{lowering['outcome']}, {lowering['delegated_ops']} + {lowering['cpu_ops']}"


def _repairs(lowering: Row | None) -> str:
    if lowering is None or "repairs" not in lowering:
        return ""
    made = ", ".join(f"{number} x {code}" for code, number in lowering["repairs"].items()) or "none"
    return made + (f"; {lowering['remaining']} remain" if lowering["remaining"] else "")


def _scores(items: Sequence[Row]) -> Iterator[str]:
    found = [row for row in items if row["scores"] is not None]
    yield "\n## Accuracy\n"
    if not found:
        yield "No accuracy was measured."
        return
    yield (
        "On test data that the training has not seen, with ExecuTorch 1.5.1: the share of right answers, and for "
        "`diabetes_regression` the explained share of the variance.\n"
    )
    ways = ("float", "quantized", "lowered", "guarded", "repaired")
    rows = [
        (
            f"`{row['program']}`", row["config"], row["target"], row["scores"]["samples"],
            *(_score(row["scores"]["programs"].get(way)) for way in ways),
        )
        for row in found
    ]  # fmt: skip
    yield from _table(("program", "quantization", "target", "samples", *ways), rows)


def _score(entry: Row | None) -> str:
    return "" if entry is None or entry["score"] is None else f"{entry['score']:.4f}"


def _programs(programs: Sequence[Row]) -> Iterator[str]:
    yield "\n## The programs\n"
    rows = [
        (f"`{entry['name']}`", *(entry[key] for key in ("source", "licence", "weights", "quantizer", "special")))
        for entry in programs
    ]
    yield from _table(("program", "code", "licence", "weights", "quantizer", "what is special"), rows)


def _not_built(programs: Sequence[Row]) -> Iterator[str]:
    rows = [
        (f"`{entry['name']}`", config, _code(message))
        for entry in programs
        for config, message in entry["not_built"].items()
    ]
    if rows:
        yield "\nThese could not be quantized or exported, so that no verdict is possible:\n"
        yield from _table(("program", "quantization", "what is raised"), rows)


def _rules(row: Row) -> str:
    """The rules that announce the outcome of the unguarded lowering."""
    outcome = _outcome(row["unguarded"])
    found = (key.partition(" ") for key in row["check"]["findings"])
    codes = sorted({code for code, _, effect in found if outcome in _ANNOUNCED.get(effect, ())})
    return ", ".join(f"[{code}](rules/{code}.md)" for code in codes) or "**none**"


def _number(value: float | str | None, unit: str = "") -> str:
    """Infinities are strings."""
    return "" if value is None else f"{value:.4g}{unit}" if isinstance(value, int | float) else value


def _code(message: str) -> str:
    return f"`{message.replace('`', chr(39)).replace('|', '/')}`" if message else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
