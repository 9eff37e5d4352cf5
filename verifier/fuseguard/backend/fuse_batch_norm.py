"""What the backend makes of a batch norm in float: it goes into the convolution before it, or into one made for it.

``FuseBatchNorm2dPass`` asks for the weight and bias among the program's parameters, and for the mean and variance among
its buffers. A weight or bias that is not found counts as absent, that is as 1 or 0. A mean, a variance or the weight of
the convolution must be found. The convolution that is made has one or two dimensions.

Source: ``_passes/fuse_batch_norm2d_pass.py`` of ExecuTorch 1.3.1, 1.4.1 and 1.5.1. 1.2.0 decomposes batch norms before
(``batch_norm`` is not kept whole there).

Rules that depend on it: OP729.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from fuseguard.backend.partition import stays_on_cpu_with_float
from fuseguard.ir import Node, View
from fuseguard.ir.value import Value
from fuseguard.target import Target

#: ``rank``: no convolution is made for so many dimensions. ``computed``: an op yields one of the constants.
#: ``missing``: one that must be found is stored as something else. ``ignored``: one counts as absent.
UnfusedCase: TypeAlias = Literal["rank", "computed", "missing", "ignored"]

#: The dimensions of a value for which a convolution is made.
_RANKS = (3, 4)


class UnfusedNorm(Value, frozen=True):
    """A batch norm that is not fused right, because of ``constants`` of it or of the convolution before it."""

    norm: Node
    convolution: Node | None
    case: UnfusedCase
    constants: tuple[Node, ...] = ()

    @property
    def repairable(self) -> bool:
        """Whether it is fused when its constants are parameters, and they can be."""
        return bool(self.constants) and all(item.stored_as == "buffer" for item in self.constants)


def unfused_norms(view: View, target: Target) -> Iterator[UnfusedNorm]:
    """The batch norms that a backend with float support breaks. What a constant is stored as must be known."""
    for norm in view.of_kind("batch_norm"):
        if _trains(norm) or stays_on_cpu_with_float(view, norm, target):
            continue
        found = unfused(view, norm)
        if found is not None:
            yield found


def _trains(norm: Node) -> bool:
    """Whether the op computes mean and variance of its input."""
    return norm.operator in ("batch_norm", "native_batch_norm") and norm.arg(5, "training") is not False


def unfused(view: View, norm: Node) -> UnfusedNorm | None:
    """What a backend with float support breaks of a batch norm that it delegates; None if it fuses it right."""
    data = view.graph.node_of(norm.args[0])
    convolution = data if data is not None and data.kind == "conv" and len(view.users(data)) == 1 else None
    if convolution is None and norm.meta is not None and norm.meta.rank not in _RANKS:
        return UnfusedNorm(norm, None, "rank")
    parameters, buffers = _constants(view, norm, (1, 2)), _constants(view, norm, (3, 4))
    weight = _constants(view, convolution, (1,)) if convolution is not None else ()
    bias = _constants(view, convolution, (2,)) if convolution is not None else ()
    cases: dict[UnfusedCase, tuple[Node, ...]] = {
        "computed": tuple(item for item in (*parameters, *buffers, *weight, *bias) if item.op == "call"),
        "missing": (*_stored_otherwise(buffers, "buffer"), *_stored_otherwise(weight, "parameter")),
        "ignored": (*_stored_otherwise(parameters, "parameter"), *_stored_otherwise(bias, "parameter")),
    }
    return next((UnfusedNorm(norm, convolution, case, found) for case, found in cases.items() if found), None)


def _constants(view: View, node: Node, places: Sequence[int]) -> tuple[Node, ...]:
    values = [view.graph.node_of(node.args[place]) for place in places if place < len(node.args)]
    return tuple(value for value in values if value is not None)


def _stored_otherwise(constants: Sequence[Node], expected: str) -> tuple[Node, ...]:
    return tuple(item for item in constants if item.stored_as not in ("", expected))
