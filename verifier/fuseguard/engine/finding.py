"""Findings: what a rule says about a place in a graph."""

from __future__ import annotations

import enum
from datetime import date

from fuseguard.engine.rewrite import Rewrite
from fuseguard.ir.graph import SourceLine
from fuseguard.ir.source_lines import calling_line
from fuseguard.ir.value import Value

#: The label among ``Finding.details`` of what a finding costs, where that was asked for.
COST = "cost"


class Severity(str, enum.Enum):
    """The severity of an effect for the user.

    Attributes:
        ERROR: the lowering fails or its results are wrong.
        WARNING: the program loses accuracy, or something needs attention.
        NOTE: nothing breaks on this target.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for note, 1 for warning, 2 for error."""
        return ("note", "warning", "error").index(self.value)


class Effect(str, enum.Enum):
    """What the backend does with the place, on one target.

    Attributes:
        CRASH: lowering raises.
        WRONG: lowers, and silently computes something else.
        UNDEFINED: the result is TOSA_UNPREDICTABLE.
        RUNTIME_FAULT: lowers, and fails when run.
        QUALITY: lowers as written, but what is written loses accuracy.
        BOUNDED: differs from eager by no more than the stated steps, and only by saturation.
        CPU_FALLBACK: right, but left outside the delegate.
        EXACT: right on this target although the invariant is violated.
        UNJUDGED: not an effect of the backend. The program, or a part of it, is not what rules judge (PG codes).
        RUNS_CODE: not an effect of the backend. Loading the file with torch runs code from the file (AR codes).
        UPKEEP: not an effect of the backend. A suppression or a baseline is out of date (SU codes).
    """

    CRASH = "crash"
    WRONG = "wrong"
    UNDEFINED = "undefined"
    RUNTIME_FAULT = "runtime_fault"
    QUALITY = "quality"
    BOUNDED = "bounded"
    CPU_FALLBACK = "cpu_fallback"
    EXACT = "exact"
    UNJUDGED = "unjudged"
    RUNS_CODE = "runs_code"
    UPKEEP = "upkeep"

    @property
    def severity(self) -> Severity:
        if self in (Effect.CRASH, Effect.WRONG, Effect.UNDEFINED, Effect.RUNTIME_FAULT, Effect.RUNS_CODE):
            return Severity.ERROR
        return Severity.WARNING if self in (Effect.QUALITY, Effect.UNJUDGED, Effect.UPKEEP) else Severity.NOTE

    @property
    def of_backend(self) -> bool:
        """Whether the backend does it. The others have no target, no evidence and no repair."""
        return self not in (Effect.UNJUDGED, Effect.RUNS_CODE, Effect.UPKEEP)

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS: dict[Effect, str] = {
    Effect.CRASH: "lowering raises an exception",
    Effect.WRONG: "lowering succeeds and the result is silently wrong",
    Effect.UNDEFINED: "the result is undefined (TOSA_UNPREDICTABLE)",
    Effect.RUNTIME_FAULT: "lowering succeeds and the delegate fails when it is run",
    Effect.QUALITY: "the backend computes what the program says, and the program itself loses accuracy",
    Effect.BOUNDED: "the result differs by at most the stated number of steps, where a code saturates",
    Effect.CPU_FALLBACK: "the result is right; the backend leaves the nodes outside the delegate",
    Effect.EXACT: "the result is right on this target; other targets or releases break it",
    Effect.UNJUDGED: "unknown: the program, or a part of it, is not what the rules judge",
    Effect.RUNS_CODE: "torch.export.load, or the first use of what it returns, runs code from the file",
    Effect.UPKEEP: "none on the program: a suppression or a baseline is out of date",
}


class Evidence(str, enum.Enum):
    """How an effect is known. Recordings give the first three; a row of an effects table may state the others."""

    MEASURED = "measured"  # recorded on exactly this release
    INFERRED = "inferred"  # from another release: nobody measured it on this one
    ANNOUNCED = "announced"  # an upstream change says that this release will differ
    SOURCE_READ = "source-read"
    UPSTREAM_ISSUE = "upstream issue"


class Outcome(Value, frozen=True):
    """The effect of a finding's place on one of several targets. ``effect`` is None if the rule finds nothing there.

    The fields are those of the :class:`Finding` for this target.
    """

    target: str
    effect: Effect | None = None
    severity: Severity | None = None
    evidence: Evidence | None = None
    evidence_note: str = ""
    refuse: bool = False
    bound_steps: float | None = None
    bound_value: float | None = None
    evidence_release: str = ""


class SuppressionKind(str, enum.Enum):
    """Why a finding is not reported."""

    IGNORE = "ignore"  # reviewed, and to stay
    FIXME = "fixme"  # to be fixed later
    BASELINE = "baseline"  # already known


class Suppression(Value, frozen=True):
    """What keeps a finding from being reported. ``until`` is the last day on which it does; None for ever.

    ``scope`` is what it holds for, in words; ``origin`` is the line of the configuration or baseline that says so.
    """

    kind: SuppressionKind
    reason: str = ""
    until: date | None = None
    scope: str = ""
    origin: SourceLine | None = None


class Finding(Value, frozen=True):
    """One violation of one invariant, for one target.

    In a check for several targets, ``effect`` and what goes with it are those of the worst one, and ``refuse`` holds if
    it does on any. A finding about a suppression or a baseline (SU codes) has no nodes and no evidence.

    Attributes:
        code: the code of the rule.
        name: the name of the rule.
        effect: what the backend does with the place.
        severity: how bad that is.
        nodes: the offending nodes.
        cluster: the closed cluster that must be refused or rewritten together; a superset of ``nodes``.
        message: what is wrong here.
        remedy: what to do.
        evidence: how the effect is known.
        evidence_note: the source of this knowledge, such as a pass of the backend.
        evidence_release: the measured release that showed the effect, "" if none did.
        case: the case of the rule's effects table that applies.
        source: the line of the model that made the first node, or the nearest node that has a line.
        stack: all lines recorded of that node, outermost first.
        module: the path of the module that made the node.
        module_type: the class of that module.
        island: the island that the nodes belong to, for people.
        island_key: the same, for the fingerprint.
        qparams: pairs of a label and readable qparams.
        bound_steps: the exact worst error at the cluster's output, in steps of its own scale. None if no bound exists
            or nothing goes wrong.
        bound_value: the same in real units.
        rewrite: the repair that the rule plans, None if none is known.
        refuse: whether the guard keeps the cluster off the accelerator under the policy in force.
        graph: the path of the control-flow body that the nodes are in, "" at the top.
        target: what the program was checked for.
        caused_by: the code of the finding that this one only follows from.
        file: the file, "" for a live program.
        details: more for people, as pairs of a label and a text.
        fingerprint: names the finding across exports (see :mod:`fuseguard.engine.fingerprint`).
        outcomes: the effect on each target, in their order, in a check for several.
        suppression: what keeps the finding from being reported, if anything does.
    """

    code: str
    name: str
    effect: Effect
    severity: Severity
    nodes: tuple[str, ...]
    cluster: tuple[str, ...]
    message: str
    remedy: str
    evidence: Evidence | None = None
    evidence_note: str = ""
    evidence_release: str = ""
    case: str = ""
    source: SourceLine | None = None
    stack: tuple[SourceLine, ...] = ()
    module: str = ""
    module_type: str = ""
    island: str = ""
    island_key: str = ""
    qparams: tuple[tuple[str, str], ...] = ()
    bound_steps: float | None = None
    bound_value: float | None = None
    rewrite: Rewrite | None = None
    refuse: bool = False
    graph: str = ""
    target: str = ""
    caused_by: str | None = None
    file: str = ""
    details: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    outcomes: tuple[Outcome, ...] = ()
    suppression: Suppression | None = None

    @property
    def called_from(self) -> SourceLine | None:
        """The line of the user's own code that led to ``source``, where that is a line of an installed package."""
        return calling_line(self.stack)

    @property
    def repairable(self) -> bool:
        """Whether an exact repair is known."""
        return self.rewrite is not None and self.rewrite.exact

    @property
    def unsafe_repair(self) -> bool:
        """Whether only a repair that changes the program's results is known."""
        return self.rewrite is not None and not self.rewrite.exact
