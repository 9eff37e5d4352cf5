"""Which results of an INT delegate are an input of it, unchanged: nothing in its TOSA writes them.

Source: ``RemoveNoopPass``, which drops what changes nothing, ``FuseViewCopyTransformPass`` and
``CanonicalizeViewCopyPermutePass``, which merge views and permutes that cancel out, and the test for no-ops of
``TOSAPartitioner``, which drops a partition of these alone (ExecuTorch 1.5.1). A no-op beside an op that computes stays
in the partition. Vela 5.1.0 refuses the TOSA: "Output tensor ... does not have any writers".

Rules that depend on it: OP724.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fuseguard.backend.partition import computes_beside, computes_nothing, is_delegated, stays_on_cpu
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.proper_quantization import is_annotated
from fuseguard.backend.shared_outputs import leaving_nodes, value_numbers
from fuseguard.ir import Node, View
from fuseguard.target import Target


@once_per_view
def passed_on_inputs(view: View, target: Target) -> tuple[tuple[Node, Node, tuple[Node, ...]], ...]:
    """A value that leaves a delegate, the same value where it enters, and the ops between them, the first one first."""
    return tuple(_passed_on(view, target))


@once_per_view
def entering_values(view: View, target: Target) -> Mapping[str, Node]:
    """By the name of a value that leaves a delegate, the same value where it enters."""
    return {value.name: entering for value, entering, _ in passed_on_inputs(view, target)}


def _passed_on(view: View, target: Target) -> Iterator[tuple[Node, Node, tuple[Node, ...]]]:
    numbers = value_numbers(view, target)
    for node in leaving_nodes(view, target):
        between, entering = _between(view, node, numbers[node.name], target)
        if entering is None or not between or not _are_codes(view, entering) or _shared_dq(view, node, target):
            continue
        cancels = not all(computes_nothing(view, op, target) for op in between)
        if cancels or computes_beside(view, between[-1], target, frozenset(op.name for op in between)):
            yield node, entering, between


def _between(view: View, node: Node, number: int, target: Target) -> tuple[tuple[Node, ...], Node | None]:
    """The ops in front of ``node`` up to the value that it is and that enters the delegate; None if it is not there."""
    numbers = value_numbers(view, target)
    ops: list[Node] = []
    entering = None
    current = node
    while True:
        inputs = view.graph.inputs(current)
        if len(inputs) != 1:
            return (), None
        if is_delegated(view, current, target) and current.kind != "slice":  # to_edge drops a slice of all
            ops.append(current)
        current = inputs[0]
        if numbers.get(current.name) == number:
            entering = current
        quantizes = current.op == "call" and (view.is_q(current) or view.is_dq(current))
        if not quantizes and not is_delegated(view, current, target):
            if current.op == "call" and is_annotated(view, current) and not stays_on_cpu(view, current, target):
                return (), None  # a constant, or an op of integers or bools: the delegate has them without annotation
            return tuple(reversed(ops)), entering if _enters(view, current, entering) else None


def _enters(view: View, source: Node, entering: Node | None) -> bool:
    """Whether nothing but Q and DQ is between ``source``, which is outside of the delegate, and ``entering``."""
    current = entering
    while current is not None and current is not source:
        if not (view.is_q(current) or view.is_dq(current)):
            return False
        inputs = view.graph.inputs(current)
        current = inputs[0] if inputs else None
    return current is source


def _are_codes(view: View, entering: Node) -> bool:
    """Whether a delegate of the INT profile holds the value: codes, what is dequantized from codes, or integers.

    It has no int64.
    """
    meta = entering.meta
    return view.is_dq(entering) or (meta is not None and not meta.is_float and meta.dtype != "int64")


def _shared_dq(view: View, node: Node, target: Target) -> bool:
    """Whether it is a DQ that an op of the delegate reads too: then the DQ stays outside, and its readers with it."""
    return view.is_dq(node) and any(is_delegated(view, user, target) for user in view.users(node))
