"""BO606: two outputs of a delegate that are one value, of which a VGF on Vulkan writes the last alone."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.shared_outputs import first_with_value, shared_outputs
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, ReturnInstead, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.boundary.bo606")

_MERGED = "EnsureUniqueOutputNodesPass puts tosa.identity in front of both, and model-converter drops it"
_APART = "no FuseDuplicateUsersPass runs at the end, so that each of them keeps dequantize ops of its own"
_LISTED = "no EnsureUniqueOutputNodesPass copies outputs, so that a repeated value is one tensor in two places"
_BEFORE_1_5 = ("1.3.1", "1.4.0", "1.4.1")
_MEASURED = (*_BEFORE_1_5, "1.5.0", "1.5.1")
#: What 1.3.1 to 1.4.1 were seen to keep apart.
_MOVES = frozenset(("clone", "view", "squeeze", "unsqueeze", "permute"))


class OutputsShareValue(Rule):
    code = "BO606"
    name = "outputs-share-value"
    summary = "Two outputs of a VGF delegate are the same value, and only the last of them is written on Vulkan."
    why = (
        "An op that changes nothing (dropout in eval mode, clone, a view to the same shape) or that repeats another "
        "one gives a second name to a value. Where both leave the delegate, EnsureUniqueOutputNodesPass puts a "
        "tosa.identity in front of each, which the TOSA reference model runs as it should. model-converter drops "
        "these identities, so that the SPIR-V graph sets two outputs to one id. Arm's emulation layer then writes "
        "only the last of them, and the others hold zeros or whatever was in memory. Whether the converter or the "
        "layer is at fault is open. There is no warning. Returning one tensor twice, (y, y), is right: the delegate "
        "then has one output."
    )
    remedy = (
        "Return the same tensor in both places (repair), or let fuseguard keep the op that repeats it on the CPU "
        "(guard)."
    )
    scope = "boundary"
    message = "{value} and {first} leave the delegate as one value, and on Vulkan only the last of them is written"
    accelerator = "vgf"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference=_LISTED, engine="vgf", measured_on=("1.2.0",)),
            EffectRow(
                "moved", ">=1.3,<1.5", "*", Effect.EXACT, reference=_APART, engine="vgf", measured_on=_BEFORE_1_5
            ),
            EffectRow("*", "*", "*", Effect.WRONG, reference=_MERGED, engine="vgf", measured_on=_MEASURED),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's VGF engine",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.accelerator != self.accelerator:
            return
        for group in shared_outputs(view, target):
            first = group[0]
            for value in group[1:]:
                op = _repeating(view, value, first)
                case = "moved" if op.kind in _MOVES else "*"
                yield self.finding(view, target, (op, value), case=case, value=value.name, first=first.name)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """The program returns the first of them in both places, where it returns both."""
        value = view.graph[finding.nodes[-1]]
        first = first_with_value(view, target).get(value.name)
        if first is None or not all(_is_returned(view, node) for node in (value, first)):
            return None
        return Rewrite((ReturnInstead(value.name, first.name),))


def _repeating(view: View, value: Node, first: Node) -> Node:
    """The op that yields ``value``; itself if it is the same that yields ``first``."""
    op = view.maker(value)
    return value if op is None or op.op != "call" or op is view.maker(first) else op


def _is_returned(view: View, node: Node) -> bool:
    """Whether outputs of the program alone take it out of the delegate, and none of them is new state."""
    outside = [user for user in view.users(node) if user.op == "output"]
    return bool(outside) and node.name not in view.graph.mutations.values()
