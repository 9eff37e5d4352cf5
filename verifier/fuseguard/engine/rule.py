"""What a rule is. See docs/writing-a-rule.md for a walk through one."""

from __future__ import annotations

import abc
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from fuseguard.engine.effects import EffectsTable, is_in_force
from fuseguard.engine.evidence import grade
from fuseguard.engine.finding import Effect, Finding
from fuseguard.engine.place import made_together, placed_by
from fuseguard.engine.rewrite import Rewrite
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.view import Island, View
from fuseguard.measured import Recordings
from fuseguard.ranges import check_range
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: Version of the contract between engine and rule packs. A pack states the one it was written for.
INTERFACE = 1


@dataclass(frozen=True, slots=True)
class Example:
    """A program that a rule must report (bad) or accept (good).

    ``graph`` builds the small torch-free form. ``program`` builds a float module and its inputs for the
    Arm quantizer (imported late, so that rules need no torch); None where only hand-made Q/DQ shows the
    fault. ``companions`` are codes that a bad example raises instead of or beside the rule's own on some
    targets; ``only_on`` is the range of releases on which it is bad, "" for all. ``extensions`` are TOSA
    extensions that the example needs (``int16``); ``config`` is the quantizer configuration of ``program``
    (``int8-per-channel``, ``int8-per-tensor``, ``int8-narrow``, ``a16w8``) and ``unquantized`` names the
    submodules left in float.
    """

    title: str
    graph: Callable[[], Graph]
    program: Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]] | None = None
    companions: tuple[str, ...] = ()
    only_on: str = ""
    extensions: tuple[str, ...] = ()
    config: str = "int8-per-channel"
    unquantized: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises InvalidSpecifier for a bad range of releases, when the pack is loaded and not in a selftest."""
        if self.only_on:
            check_range(self.only_on)

    def is_bad_on(self, target: Target) -> bool:
        """Whether a bad example is one on the target's release (see ``only_on``)."""
        return is_in_force(self.only_on or "*", target)

    def spec(self, profile: str) -> str:
        """The TOSA specification to check the example for: ``profile`` plus the extensions it needs."""
        return "+".join((profile, *self.extensions))


class Rule(abc.ABC):
    """One invariant. Subclasses fill every class attribute and ``check``; they hold no state."""

    code: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    why: ClassVar[str]
    remedy: ClassVar[str]
    scope: ClassVar[str]  # node, edge, cluster, graph or boundary
    message: ClassVar[str]  # str.format template over the fields that check() passes
    effects: ClassVar[EffectsTable]
    bad: ClassVar[Sequence[Example]]
    good: ClassVar[Sequence[Example]]
    references: ClassVar[Sequence[str]] = ()
    #: Effects that make the consistent policy refuse the cluster: those that some target breaks on.
    refused: ClassVar[bool] = True
    #: The fault is in the quantized program itself: the eager program shows it too, and the delegate agrees with it.
    in_program: ClassVar[bool] = False
    #: A check of a partitioner comes too late: ``guard`` makes the repair itself, directly before partitioning.
    fixed_by_guard: ClassVar[bool] = False
    #: Codes whose findings at the same nodes explain this rule's: there it says ``caused_by``.
    follows_from: ClassVar[Sequence[str]] = ()
    #: The accelerator that the fault is one of, "" for all. Its examples are checked for it, and no selftest judges
    #: them: the TOSA reference model does not show what only the accelerator's own compiler does.
    accelerator: ClassVar[str] = ""
    #: Not yet judged on every measured release: runs only when selected by its full code or name.
    preview: ClassVar[bool] = False
    #: What grades the rows of ``effects``; None for the recordings that ship with fuseguard. A pack brings its own.
    recordings: ClassVar[Recordings | None] = None

    @abc.abstractmethod
    def check(self, view: View, target: Target) -> Iterator[Finding]:
        """Yield a finding for every violation. Must not raise, print or change anything."""

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Nodes that break only because other nodes are refused: such a node, and the refused one that exposes it.

        ``refused`` are the names of the nodes that are kept off the accelerator so far. The engine refuses the node
        together with the other one, and asks again until nothing more is exposed. The other one may be a node that
        was yielded before: a rule that follows a chain in one go spares the engine a round for each of its nodes.
        Must not raise or change anything.
        """
        del view, target, refused
        return iter(())

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """The rewrite that fixes ``finding``, or None where there is none. Must not raise or change anything.

        ``exact`` rewrites leave every result of the program as it is, to the bit.
        """
        del view, target, finding
        return None

    @property
    def exposes(self) -> bool:
        """Whether the rule says what refusing ops would break."""
        return type(self).exposed is not Rule.exposed

    def example_target(self, spec: str, executorch: str | None = None) -> Target:
        """The target that an example is checked for: of a TOSA specification, with the rule's accelerator."""
        target = Target.parse(spec, executorch)
        return replace(target, accelerator=self.accelerator) if self.accelerator else target

    @property
    def repairable(self) -> bool:
        """Whether the rule knows a repair for at least some of its findings."""
        return type(self).repair is not Rule.repair

    def finding(
        self,
        view: View,
        target: Target,
        nodes: Sequence[Node],
        *,
        case: str,
        island: Island | None = None,
        bound_steps: float | None = None,
        bound_value: float | None = None,
        qparams: Sequence[tuple[str, str]] = (),
        **fields: Any,
    ) -> Finding:
        """Build the finding for ``nodes``: effect from the table, evidence from the recordings, text from the template.

        Bounds are dropped where the effect is that nothing differs. A detail says what else the effect depends on.
        """
        row = self.effects.look_up(case, target)
        effect = row.effect_on(target)
        known = grade(self, case, row, view, target, nodes)
        differs = effect in (Effect.WRONG, Effect.BOUNDED)
        lead = nodes[0]
        placed = placed_by(view, nodes)
        inside = lead if lead.module or not made_together(lead, placed) else placed
        details = [("IR check", row.condition)] if row.condition else []
        if placed not in nodes:
            details.append(("line", f"that of {placed.name}; a pass of the quantizer made {lead.name}, which has none"))
        return Finding(
            code=self.code,
            name=self.name,
            effect=effect,
            severity=effect.severity,
            nodes=tuple(node.name for node in nodes),
            cluster=view.ordered_cluster(*nodes),
            message=self.message.format(**fields),
            remedy=self.remedy,
            evidence=known.evidence,
            evidence_note=known.note,
            evidence_release=known.release,
            case=case,
            source=placed.source,
            stack=placed.stack,
            module=inside.module,
            module_type=inside.module_type,
            island=island.name if island else lead.name,
            island_key=view.key(lead),
            qparams=tuple(qparams),
            bound_steps=bound_steps if differs else None,
            bound_value=bound_value if differs else None,
            graph=view.graph.name,
            target=str(target),
            details=tuple(details),
        )

    @classmethod
    def message_fields(cls) -> tuple[str, ...]:
        """The named fields of the message template."""
        return tuple(field for _, field, _, _ in string.Formatter().parse(cls.message) if field)
