"""What values have to do with one another, beyond their own ranges: ``x - amax(x) <= 0``, sums of ``exp`` of it >= 1.

A softmax consists of both, and the square of a value reads that value twice.

Source: ``DecomposeSoftmaxPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. It runs before the quantizer annotates.

Rules that depend on it: those of permute_moves and value_range.
"""

from __future__ import annotations

import math
from typing import Protocol

from fuseguard.ir import Node, Ref, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.ir.intervals import Range, image, quantized
from fuseguard.ir.scalar_functions import INCREASING

#: So many quantize and dequantize ops and functions are followed between a maximum and a sum.
_LONGEST_WAY = 16
#: Functions of one value that are numbers for all finite numbers.
_NO_NAN = frozenset(("abs", "hardsigmoid", "hardtanh", "neg", "relu", "sigmoid", "tanh"))


class Ranges(Protocol):
    """Who knows the ranges of the values of a view."""

    view: View

    def of(self, node: Node) -> Range:
        """The range of a node's values."""


class Relations:
    """Relations within one view. ``skipped``: reader and DQ where the backend leaves a quantize op out."""

    def __init__(self, ranges: Ranges, skipped: frozenset[tuple[str, str]]) -> None:
        self._ranges = ranges
        self._view = ranges.view
        self._skipped = skipped

    def most_above_its_maximum(self, difference: Node) -> float | None:
        """What ``x - amax(x)`` is at most; None for any other difference.

        The maximum may have been quantized in between, by qparams of its own, to ``R(amax(x))``. R never falls, so
        that ``x - R(amax(x)) <= x - R(x)``: what R takes off a value by rounding and saturation.
        """
        found = self._of_maximum(difference)
        return None if found is None else found[1]

    def least_sum(self, node: Node, terms: int, values: Range) -> float | None:
        """What a sum of increasing functions of ``x - amax(x)`` is at least; None for any other sum.

        In each group of elements that a maximum was taken of, one is the maximum.
        """
        operand = self._view.producer(node)
        if operand is None or operand.meta is None or (node.name, operand.name) in self._skipped:
            return None
        found = self._of_largest(operand)
        if found is None:
            return None
        least, dims = found
        over = _dims(node.arg(1, "dim"), operand.meta.rank)
        shape = operand.meta.shape
        if over is None or not dims <= over or None in shape or not math.isfinite(values[0]):
            return None
        size = math.prod(shape[dim] or 1 for dim in dims)
        groups = terms // size
        total = groups * max(least, values[0]) + (terms - groups) * values[0]
        return total - terms * 2.0**-20 * abs(total)

    def _of_largest(self, node: Node) -> tuple[float, frozenset[int]] | None:
        """What the largest element along some dimensions is at least, and these dimensions."""
        steps: list[Node] = []
        while node.kind != "sub":
            source = self._view.producer(node)
            single = len(node.args) == 1 and not node.kwargs and node.kind in INCREASING
            quantizer = self._view.is_q(node) or self._view.is_dq(node)
            if source is None or len(steps) == _LONGEST_WAY or not (single or quantizer):
                return None
            if (node.name, source.name) in self._skipped:
                return None
            steps.append(node)
            node = source
        found = self._of_maximum(node)
        if found is None:
            return None
        least, _, dims = found
        for step in reversed(steps):
            qparams = self._view.qparams(step)
            if self._view.is_q(step) and qparams is not None and qparams.usable:
                least = qparams.dequantize(quantized((least, math.inf), qparams)[0])
            elif self._view.is_dq(step):
                source = self._view.producer(step)
                if source is None or qparams is None or self._view.qparams(source) != qparams:
                    return None
            else:
                least = image(step.kind, (least, math.inf))[0]
        return (least, dims) if math.isfinite(least) else None

    def _of_maximum(self, difference: Node) -> tuple[float, float, frozenset[int]] | None:
        """For ``x - amax(x)``: what it is at least where x is the maximum, at most anywhere, and the dimensions."""
        if len(difference.args) != 2 or difference.kwargs or "rsub" in difference.target:
            return None
        value, subtracted = (self._view.graph.node_of(arg) for arg in difference.args)
        if value is None or subtracted is None or value.meta is None:
            return None
        if {(difference.name, value.name), (difference.name, subtracted.name)} & self._skipped:
            return None
        maximum, q = self._before_its_quantizer(subtracted)
        if maximum is None or maximum.kind != "amax" or not _broadcasts(maximum, value.meta.rank):
            return None
        source = self._view.graph.node_of(maximum.args[0])
        dims = _dims(maximum.arg(1, "dim"), value.meta.rank)
        if source is None or dims is None or not same_value(self._view, source, value):
            return None
        low, high = self._ranges.of(value)
        if not (math.isfinite(low) and math.isfinite(high)):
            return None  # infinity minus itself is not 0
        if not self._is_number(value):
            return None  # the maximum with a NaN is NaN, whose code has nothing to do with the other elements
        if q is None:
            return 0.0, 0.0, dims
        qparams, own = self._view.qparams(q), self._view.qparams(value)
        if qparams is None or not qparams.usable:
            return None
        rounding = 0.0 if own is not None and own.same_domain(qparams) else qparams.scale / 2
        below, above = max(rounding, qparams.low - low), max(rounding, high - qparams.high)
        slack = 2.0**-20 * max(abs(low), abs(high)) if below or above else 0.0
        return -below - slack, above + slack, dims

    def _is_number(self, node: Node) -> bool:
        """Whether no element can be NaN: codes stand for numbers, and these ops make no NaN of finite numbers."""
        for _ in range(_LONGEST_WAY):
            if self._view.is_dq(node):
                return True
            source = self._view.producer(node)
            several = len(list(node.refs())) != 1
            if source is None or several or not (node.info.has(Trait.MOVES) or node.kind in _NO_NAN):
                return False
            node = source
        return False

    def _before_its_quantizer(self, node: Node) -> tuple[Node | None, Node | None]:
        """The op whose result a DQ yields, and the Q between; the node itself and None if it is not a DQ."""
        if not self._view.is_dq(node):
            return node, None
        q = self._view.producer(node)
        if q is None or not self._view.is_q(q) or self._view.qparams(q) != self._view.qparams(node):
            return None, None
        return self._view.producer(q), q


def reads_one_value_twice(view: View, node: Node) -> bool:
    """Whether both operands of an op have the same value: a product of them is a square, and a difference is 0."""
    if len(node.args) < 2:
        return False
    first, second = (view.graph.node_of(arg) for arg in node.args[:2])
    return first is not None and second is not None and same_value(view, first, second)


def same_value(view: View, one: Node, other: Node) -> bool:
    """Whether two nodes are one, or dequantize the same codes alike."""
    if one is other:
        return True
    if not (view.is_dq(one) and view.is_dq(other)):
        return False
    return view.producer(one) is view.producer(other) and view.qparams(one) == view.qparams(other)


def _broadcasts(maximum: Node, rank: int) -> bool:
    """Whether each element of the maximum's input meets the maximum of its own group in an elementwise op."""
    if maximum.arg(2, "keepdim") is True:
        return True
    return _dims(maximum.arg(1, "dim"), rank) == frozenset(range(rank))


def _dims(arg: Arg, rank: int) -> frozenset[int] | None:
    """The dimensions that a reduction is over; all of them where it names none."""
    if arg is None or arg == ():
        return frozenset(range(rank))
    parts = arg if isinstance(arg, tuple) else (arg,)
    if any(isinstance(part, Ref) or not isinstance(part, int) or not -rank <= part < rank for part in parts):
        return None
    return frozenset(part % rank for part in parts if isinstance(part, int))
