"""Which ops of a program are left outside of the delegates, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fuseguard.engine.shown import Printed, data_of, end_of, one_line, page_of, place_of
from fuseguard.ir.graph import SourceLine

_MOST_LINES = 8
_PLACE = 40  # characters of a source line's path that a printed line has room for

#: Kinds of reasons, in the order in which they are reported.
KINDS: dict[str, str] = {
    "support": "one of Arm's support checks refuses it",
    "additional": "a check that was added to the partitioner refuses it",
    "fuseguard": "fuseguard's guard keeps it off the accelerator",
    "partition": "the partitioner takes it out of its partition again",
    "boundary": "a quantize or dequantize op at the edge of a delegate",
    "unknown": "the partitioner gives no reason",
    "vela": "Vela, which compiles the delegates of an Ethos-U, does not take it",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an op is left outside.

    ``kind`` is a key of ``KINDS``, ``check`` the class of the check or the code of the rule, ``text`` what it says.
    Ops with the same ``kind``, ``check`` and ``group`` are reported together; ``text`` may name the op.
    """

    kind: str
    check: str
    text: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An op outside of the delegates.

    ``node`` is its name in the edge program, ``before`` that of the op of the exported program that it was made from
    ("" if a pass made it), ``op`` its operator, ``graph`` the control-flow body that it is in ("" at the top).
    ``source`` is the model's line, or that of the nearest op which has one; ``module`` the submodule.
    """

    node: str
    before: str
    op: str
    graph: str
    module: str
    source: SourceLine | None
    reasons: tuple[Reason, ...]

    @property
    def is_quantizer(self) -> bool:
        """Whether it is a quantize or dequantize op, which computes nothing of the model's own."""
        return "quantize_per_" in self.op


@dataclass(frozen=True, slots=True)
class VelaAnswer:
    """What Vela, Arm's compiler for Ethos-U, says about the delegates of a placement.

    ``note`` says why it was not asked, "" if it was. ``version`` is Vela's, ``delegates`` counts those that it was
    given. ``refused`` are those that it does not compile, as (number, what it says). A refusal ends the lowering.
    ``ops`` are the ops of the program that this is about: the ones of the kinds that the message names, and those that
    Vela leaves to the CPU. Their ``op`` is TOSA's.
    """

    accelerator: str
    version: str = ""
    delegates: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    ops: tuple[LeftOut, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        """In one sentence."""
        if self.note:
            return f"Vela was not asked: {self.note}"
        count = f"{self.delegates} delegate{'' if self.delegates == 1 else 's'}"
        if self.refused:
            number, text = self.refused[0]
            return f"Vela {self.version} refuses {len(self.refused)} of {count}, first delegate {number}: {text}"
        left = f"leaves {len(self.ops) or 'no'} op{'s' if len(self.ops) > 1 else ''} to the CPU"
        return f"Vela {self.version} compiles {count} for {self.accelerator} and {left}"


@dataclass(frozen=True, repr=False)
class Placement(Printed):
    """Where a partitioner puts the ops of a program.

    ``policy`` is that of the guard, "" for a lowering without one. ``delegated`` counts the ops inside of
    ``partitions`` delegates, without Q and DQ. ``errors`` are checks that could not be asked, and internal errors of
    the guard. Getitems are left out: they are where their op is. ``vela`` is None for a target other than Ethos-U.
    """

    target: str
    policy: str
    left_out: tuple[LeftOut, ...]
    delegated: int
    partitions: int
    errors: tuple[str, ...] = ()
    vela: VelaAnswer | None = None

    @property
    def ops(self) -> tuple[LeftOut, ...]:
        """The ops left outside that are not quantize or dequantize ops."""
        return tuple(item for item in self.left_out if not item.is_quantizer)

    def groups(self) -> Iterator[tuple[Reason, tuple[LeftOut, ...]]]:
        """The ops left outside by reason, those of one kind together; an op with several reasons is in several."""
        found: dict[tuple[str, str, str], list[tuple[Reason, LeftOut]]] = {}
        for item in self.left_out:
            for reason in item.reasons:
                entry = found.setdefault((reason.kind, reason.check, reason.group), [])
                if not any(other is item for _, other in entry):
                    entry.append((reason, item))
        for kind in KINDS:
            for key, entries in found.items():
                if key[0] == kind:
                    entries.sort(key=lambda entry: entry[1].is_quantizer)
                    yield entries[0][0], tuple(item for _, item in entries)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: the ops left outside, each with all reasons (``fuseguard schema placement``)."""
        return data_of("placement", "placement_dict", self)

    def _repr_html_(self) -> str:
        """What a notebook shows: a table of the ops on the CPU, each with its source line and reasons."""
        return page_of("placement_html", self)

    def __str__(self) -> str:
        """In short: how many ops are left outside, and a line for each reason. The report has each op."""
        guarded = f", guarded ({self.policy})" if self.policy else ""
        delegated = f"{self.delegated} in {self.partitions} delegate{'' if self.partitions == 1 else 's'}"
        ops = f"{len(self.ops)} op{'' if len(self.ops) == 1 else 's'} on the CPU"
        head = f"{ops}, {delegated}: {self.target}{guarded}"
        groups = [(reason, items) for reason, items in self.groups() if reason.kind != "boundary"]
        lines = [head]
        for reason, items in groups[:_MOST_LINES]:
            first = items[0]
            where = end_of(place_of(first.source), _PLACE) if first.source is not None else first.node
            computing = sum(not item.is_quantizer for item in items)
            lines.append(f"  {computing or len(items)} by {reason.check or reason.kind} at {where}: {reason.text}")
        if len(groups) > _MOST_LINES:
            lines.append(f"  and {len(groups) - _MOST_LINES} more reasons")
        if self.vela is not None:
            lines.append(f"  {self.vela}")
        return "\n".join(map(one_line, lines))
