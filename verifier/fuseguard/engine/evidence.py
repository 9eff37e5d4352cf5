"""How an effect is known for a release: recordings and announcements decide, not the author of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from packaging.version import Version

from fuseguard import measured
from fuseguard.engine.agreement import agrees
from fuseguard.engine.effects import ANNOUNCED_EFFECTS, EffectRow
from fuseguard.engine.finding import Effect, Evidence
from fuseguard.ir.graph import Node
from fuseguard.ir.value import Value
from fuseguard.ir.view import View
from fuseguard.ir.walks import beyond_quantizers
from fuseguard.measured import Recordings, nearest_first
from fuseguard.measured.announced import Announcement, Concern
from fuseguard.target import Target, spelled

if TYPE_CHECKING:
    from fuseguard.engine.rule import Rule


class Grade(Value, frozen=True):
    """How an effect is known.

    ``note`` names what it is known from. ``release`` is the recorded release that showed it, "" where none did.
    """

    evidence: Evidence
    note: str
    release: str = ""


def grade(rule: Rule, case: str, row: EffectRow, view: View, target: Target, nodes: Sequence[Node]) -> Grade:
    """How the effect of ``row`` is known for a finding of ``case`` at ``nodes``.

    A row that states its evidence keeps it. Otherwise, the effect is *measured* if the recording of exactly the
    target's release has an example of the rule, with this case and profile, that confirms it. It is *announced* if an
    upstream change concerns the finding, and *inferred* otherwise; the grade names the nearest recorded release that
    confirms it.
    """
    if row.evidence is not None:
        return Grade(row.evidence, row.reference)
    effect = row.effect_on(target)
    if effect is not row.effect:  # recordings are of ExecuTorch's default configuration
        return Grade(Evidence.INFERRED, row.reference)
    if row.engine != "tosa":
        return _by_engine(row, target)
    recordings = rule.recordings or measured.SHIPPED
    release = spelled(target.release)
    here, nearest = _shown(recordings, release, rule.code, rule.in_program, case, target.profile, effect)
    if here:
        return Grade(Evidence.MEASURED, row.reference, here)
    told = [
        (announcement, concern)
        for announcement, concern in ANNOUNCED_EFFECTS.look_up(rule.code, case, target)
        if not _is_measured(announcement, nearest) and _concerns(concern, view, nodes)
    ]
    if told:
        return Grade(Evidence.ANNOUNCED, _announced_note(told, nearest, row.reference), nearest)
    return Grade(Evidence.INFERRED, row.reference, nearest)


def _by_engine(row: EffectRow, target: Target) -> Grade:
    """How an effect is known that only another engine than the reference model shows."""
    note = f"{row.reference}; the engine {row.engine} shows it"
    if str(target.release) in row.measured_on:
        return Grade(Evidence.MEASURED, note, str(target.release))
    return Grade(Evidence.INFERRED, note, next(iter(nearest_first(target.release, row.measured_on)), ""))


def announced_of(code: str) -> tuple[tuple[Announcement, Concern], ...]:
    """The announced changes that concern a rule, without those that a recorded release has."""
    newest = (measured.SHIPPED.releases or ("",))[-1]
    return tuple(pair for pair in ANNOUNCED_EFFECTS.of_rule(code) if not _is_measured(pair[0], newest))


def _is_measured(announcement: Announcement, release: str) -> bool:
    """Whether a recorded release has the change, so that its recording shows whether the announcement came true."""
    return bool(release) and Version(release) >= Version(announcement.first)


@lru_cache(maxsize=4096)
def _shown(
    recordings: Recordings, release: str, code: str, in_program: bool, case: str, profile: str, effect: Effect
) -> tuple[str, str]:
    """The release, if its own recording confirms the effect, and the nearest other one that does; "" for none."""

    def bears_out(known: str) -> bool:
        return any(
            agrees(effect, item.seen, item.cpu, in_program=in_program)
            for item in recordings.seen(known, code, case, profile)
        )

    version = Version(release)
    own = recordings.of(version)
    if own and bears_out(own):
        return own, own
    others = [known for known in recordings.releases if known != own]
    return "", next(filter(bears_out, nearest_first(version, others)), "")


def _concerns(concern: Concern, view: View, nodes: Sequence[Node]) -> bool:
    """Whether the graph shows that the finding at ``nodes`` is one that the change concerns."""
    picked = [node for node in nodes if not concern.ops or node.kind in concern.ops]
    if not picked:
        return False
    if concern.beside and not any(other.kind in concern.beside for node in picked for other in _beside(view, node)):
        return False
    if concern.inside and not any(_is_inside(node, concern.inside) for node in picked):
        return False
    return not concern.dynamic or any(_is_dynamic(view, node) for node in picked)


def _beside(view: View, node: Node) -> Iterator[Node]:
    """The ops that ``node`` reads and that read it, through quantize and dequantize ops."""
    for step in (view.graph.users, view.graph.inputs):
        yield from beyond_quantizers(node, step)


def _is_inside(node: Node, function: str) -> bool:
    return any(function in line.code or function == line.function for line in node.stack)


def _is_dynamic(view: View, node: Node) -> bool:
    """Whether a dequantize op before ``node`` has a scale that is computed in the graph."""
    for source in view.graph.inputs(node):
        scale = view.graph.node_of(source.arg(1, "scale")) if view.is_dq(source) else None
        if scale is not None and scale.op == "call":
            return True
    return False


def _announced_note(told: Sequence[tuple[Announcement, Concern]], nearest: str, reference: str) -> str:
    announcement, concern = next((pair for pair in told if pair[1].basis == "text"), told[0])
    others = dict.fromkeys(item.pr for item, _ in told if item.pr != announcement.pr)
    parts = [
        announced_text(announcement, concern),
        f"the effect is that of {nearest}" if nearest else "no recording shows the effect",
        *([f"see {', '.join(others)} too"] if others else []),
        *([reference] if reference else []),
    ]
    return "; ".join(parts)


def announced_text(announcement: Announcement, concern: Concern) -> str:
    """An announced change in words: what it does, what to expect from it, and the source."""
    told = f"{announcement.pr} (of {announcement.date}, {announcement.state}) {announcement.change}"
    return f"{told}; {_expectation(concern)}"


def _expectation(concern: Concern) -> str:
    where = f" for {concern.condition}" if concern.condition else ""
    if concern.appears:
        return f"the rule does not look for {concern.condition} yet"
    if concern.basis == "mechanism":
        return f"that it concerns this case{where} is inferred from its mechanism, and the new effect is not known"
    if not concern.expected:
        return f"the new effect{where} is not known"
    return f"{concern.expected} is expected{where}"
