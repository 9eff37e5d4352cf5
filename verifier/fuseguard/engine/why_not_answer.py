"""The answer of :func:`fuseguard.engine.why_not.why_not`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from fuseguard.engine.finding import Finding
from fuseguard.engine.shown import Printed, data_of


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a condition that was evaluated: its text, whether it holds, and the values that it read."""

    text: str
    holds: bool
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A condition of the rule or of the backend model that it asks, as it was evaluated for the node.

    ``kind`` is ``condition``, ``result`` (of a function, where ``value`` is what it returned), ``loop`` (the node is
    not among what the rule looks at) or ``finding`` (what is found there is about other nodes). ``parts`` are evaluated
    up to the one that decided. ``comment`` and ``doc`` are those of the source, ``where`` says what variables stand
    for, ``change`` the change of the backend that was asked for.
    """

    kind: str
    text: str
    module: str
    line: int
    function: str
    holds: bool
    value: str = ""
    parts: tuple[Part, ...] = ()
    comment: str = ""
    doc: str = ""
    where: tuple[tuple[str, str], ...] = ()
    change: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class WhyNot(Printed):
    """The answer for one node.

    ``outcome`` is ``reported``, ``in-cluster`` (a finding at other nodes takes it in), ``condition`` (the last of
    ``steps`` evaluated for the node did not let it through), ``not-considered`` (the rule does not look at such nodes),
    ``not-applicable`` (it looks at nothing on this target or in this program), ``profile`` (the target has no INT
    profile), ``dead`` (nothing reads the node) or ``untraceable``. ``elsewhere`` are targets for which the rule reports
    the node. ``file`` is the path of the program, "" for a live one.
    """

    code: str
    name: str
    node: str
    op: str
    graph: str
    target: str
    outcome: str
    file: str = ""
    finding: Finding | None = None
    steps: tuple[Step, ...] = ()
    elsewhere: tuple[str, ...] = ()
    note: str = ""

    @property
    def reported(self) -> bool:
        """Whether the rule reports the node itself."""
        return self.outcome == "reported"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: one of the ``answers`` of ``fuseguard schema why-not``."""
        return data_of("why_not", "answer_dict", self)

    def __str__(self) -> str:
        """All of it, as ``fuseguard why-not`` prints it."""
        report = importlib.import_module("fuseguard.report.why_not")  # it is above the engine
        text: str = report.text_of(self)
        return text
