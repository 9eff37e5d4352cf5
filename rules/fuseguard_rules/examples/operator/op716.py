"""Examples of OP716, norm-side-results-lost."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder

_SHAPE = (1, 4, 6, 8)
_ROWS = (1, 4, 6, 1)
_GROUPS = (1, 2)


def _results(b: GraphBuilder, norm: str, *shapes: tuple[int, ...]) -> list[str]:
    """All three results, as torch.export has them whether they are used or not."""
    whole, side = shapes
    return [
        b.call("operator.getitem", norm, place, shape=side if place else whole, annotated=False) for place in range(3)
    ]


def _layer_norm(then: str) -> Callable[[], Graph]:
    """``then``: what becomes of the mean: "output", "view" (to another shape), "value" (added to the result), ""."""

    def build() -> Graph:
        b = GraphBuilder()
        weight = b.constant("weight", _SHAPE[-1:], "float32")
        norm = b.call(
            "aten.native_layer_norm.default", b.input("x", _SHAPE), _SHAPE[-1:], weight, None, 1e-5, annotated=False
        )
        first, mean, _ = _results(b, norm, _SHAPE, _ROWS)
        if not then:
            return b.output(first)
        if then == "value":
            return b.output(b.call("aten.add.Tensor", first, mean, shape=_SHAPE, annotated=False))
        if then == "view":
            mean = b.call("aten.view.default", mean, (4, 6), shape=(4, 6), annotated=False)
        return b.output(first, mean)

    return build


def _group_norm() -> Graph:
    b = GraphBuilder()
    x, weight = b.input("x", _SHAPE), b.constant("weight", _SHAPE[1:2], "float32")
    norm = b.call("aten.native_group_norm.default", x, weight, None, 1, 4, 48, 2, 1e-5, annotated=False)
    first, _, rstd = _results(b, norm, _SHAPE, _GROUPS)
    return b.output(first, rstd)


BAD = (
    Example("layer norm whose mean is an output", _layer_norm("output")),
    Example("layer norm whose mean is viewed in another shape", _layer_norm("view")),
    Example("layer norm whose mean is added to its result", _layer_norm("value")),
    Example("group norm whose rstd is an output", _group_norm),
)

GOOD = (Example("layer norm whose result alone is used", _layer_norm("")),)
