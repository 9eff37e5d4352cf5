"""Which ops stay on the CPU and why, as text and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fuseguard.engine.shown import counted, place_of
from fuseguard.report.json import envelope, source_dict
from fuseguard.report.lines import Line, Style, table
from fuseguard.report.quoting import name, quoted

if TYPE_CHECKING:  # its package imports torch
    from fuseguard.executorch.placements import LeftOut, Placement, Reason, VelaAnswer

_MOST_ROWS = 20
_LEADS = {
    "support": "Arm's check",
    "additional": "added check",
    "fuseguard": "fuseguard",
    "partition": "partitioner",
    "boundary": "at the edge",
    "unknown": "unknown",
    "vela": "Vela",
}


def render(placement: Placement, file: str, verbose: bool = False) -> Iterator[Line]:
    """The ops left outside by reason, each group with its places as a table; an op may be in several groups."""
    count = len(placement.ops)
    guarded = f", guarded (policy {placement.policy})" if placement.policy else ", without the guard"
    yield Line(
        (name(file), "strong"), f": {counted(count, 'op')} on the CPU, {counted(placement.delegated, 'op')} in "
        f"{counted(placement.partitions, 'delegate')}, for {placement.target}{guarded}", hang=2,
    )  # fmt: skip
    if not placement.left_out:
        yield Line(("  Every op is in a delegate.", "good"))
    for reason, items in placement.groups():
        yield Line()
        yield from _group(reason, items, verbose)
    several = [item for item in placement.ops if len(item.reasons) > 1]
    if several:
        yield Line()
        yield Line(f"  {counted(len(several), 'op')} with more than one reason, listed under each.", hang=2)
    if placement.vela is not None:
        yield Line()
        yield from _vela(placement.vela, verbose)
    for error in placement.errors:
        yield Line(("  not asked", "warning"), f": {quoted(error)}", hang=4)


def _vela(answer: VelaAnswer, verbose: bool) -> Iterator[Line]:
    """What Vela says of the delegates: one line, or a table for each of its reasons."""
    if answer.note:
        yield Line(("  Vela", "note"), f" was not asked: {quoted(answer.note)}", hang=4)
        return
    if not answer.refused and not answer.ops:
        yield Line((f"  {answer}.", "good"), hang=4)
        return
    groups: dict[str, list[LeftOut]] = {f"delegate {number}": [] for number, _ in answer.refused}
    for item in answer.ops:
        groups.setdefault(item.reasons[0].group, []).append(item)
    messages = {f"delegate {number}": text for number, text in answer.refused}
    for group, items in groups.items():
        refused = messages.get(group)
        text = f" leaves {counted(len(items), 'op')} to the CPU, and a delegate has no CPU part"
        if refused is not None:
            text = f" refuses {group}, so that lowering raises: {quoted(refused)}"
        yield Line((f"  Vela {answer.version}", "error"), text, hang=4)
        if refused is not None and len(items) > 1:
            yield Line(f"    Its message does not say which of these {len(items):,} ops:")
        shown = items if verbose else items[:_MOST_ROWS]
        if shown:
            rows = [(name(_module(item)), _line(item), name(item.op), name(_node(item))) for item in shown]
            yield from table(rows, ("module", "line", "TOSA op", "node"), indent=4)
        if len(items) > len(shown):
            yield Line(f"    and {len(items) - len(shown):,} more; --verbose shows all")


def _group(reason: Reason, items: Sequence[LeftOut], verbose: bool) -> Iterator[Line]:
    lead = _LEADS[reason.kind]
    computing = [item for item in items if not item.is_quantizer]
    quantizers = len(items) - len(computing)
    if reason.kind == "boundary":
        sides = ("reads", "read") if reason.group == "quantize" else ("is read as", "are read as")
        text = (
            f": {counted(len(items), f'{reason.group} op')} that {sides[len(items) != 1]} floats outside of the "
            f"delegates. Without float support, a delegate takes and returns codes."
        )
        yield Line((f"  {lead}", "dim"), text, hang=4)
    else:
        check = f" {reason.check}" if reason.check and reason.kind != "partition" else ""
        style: Style = "error" if reason.kind == "fuseguard" else "warning"
        yield Line((f"  {lead}{check}", style), f": {quoted(_common(reason, items))}", hang=4)
    listed = items if verbose else computing
    shown = listed if verbose else listed[:_MOST_ROWS]
    if shown:
        rows = [(name(_module(item)), _line(item), name(item.op), name(_node(item))) for item in shown]
        yield from table(rows, ("module", "line", "op", "node"), indent=4)
    if len(listed) > len(shown):
        yield Line(f"    and {len(listed) - len(shown):,} more; --verbose shows all")
    if quantizers and not verbose and reason.kind != "boundary":
        more = "and " if shown else ""
        yield Line((f"    {more}{counted(quantizers, 'quantize or dequantize op')}; --verbose shows all", "dim"))


def _common(reason: Reason, items: Sequence[LeftOut]) -> str:
    """What the check says; without the names of nodes where it says it of several."""
    if reason.kind == "fuseguard":
        texts = dict.fromkeys(
            other.text for item in items for other in item.reasons if other.check == reason.check and item.before
            and not other.text.startswith("refused together")
        )  # fmt: skip
        first = next(iter(texts), reason.text)
        return f"{reason.group}: {first}" if len(texts) < 2 else f"{reason.group}, {len(texts)} findings; one: {first}"
    own = reason.kind in ("support", "partition") and len({item.node for item in items}) > 1 and "..." in reason.group
    return reason.group if own else reason.text


def _module(item: LeftOut) -> str:
    return item.module or "-"


def _line(item: LeftOut) -> str:
    return name(place_of(item.source)) if item.source is not None else "-"


def _node(item: LeftOut) -> str:
    """The name that the user knows, with the body that it is in."""
    own = item.before or item.node
    return f"{own} in {item.graph}" if item.graph else own


def placement_dict(placement: Placement) -> dict[str, Any]:
    """A placement as JSON-ready data."""
    return {
        **envelope(),
        "target": placement.target,
        "policy": placement.policy,
        "delegated_ops": placement.delegated,
        "delegates": placement.partitions,
        "cpu_ops": len(placement.ops),
        "left_out": [_left_out_dict(item) for item in placement.left_out],
        "vela": None if placement.vela is None else _vela_dict(placement.vela),
        "errors": list(placement.errors),
    }


def _left_out_dict(item: LeftOut) -> dict[str, Any]:
    return {
        "node": item.node,
        "before": item.before,
        "op": item.op,
        "graph": item.graph,
        "module": item.module,
        "source": source_dict(item.source),
        "quantizer": item.is_quantizer,
        "reasons": [{"kind": reason.kind, "check": reason.check, "text": reason.text} for reason in item.reasons],
    }


def _vela_dict(answer: VelaAnswer) -> dict[str, Any]:
    return {
        "accelerator": answer.accelerator,
        "version": answer.version,
        "note": answer.note,
        "delegates": answer.delegates,
        "refused": [{"delegate": number, "message": text} for number, text in answer.refused],
        "ops": [_left_out_dict(item) for item in answer.ops],
    }


def to_dict(placement: Placement, file: str) -> dict[str, Any]:
    """The same with the name of the file."""
    return {**placement_dict(placement), "file": file}
