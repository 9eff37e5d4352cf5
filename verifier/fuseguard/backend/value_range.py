"""Which values a quantized program can hold at a node, for all inputs: intervals, from front to back.

Source: ``FoldAndAnnotateQParamsPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. It decides which quantize ops
saturate a value. The rest is arithmetic.

Rules that depend on it: OP701, OP706, OP710, QD205, and those of int32_bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from fuseguard.backend.fold_qparams import code_inputs
from fuseguard.backend.int32_rescales import Bypass
from fuseguard.ir import Node, Ref, Trait, View, activation_bounds

Range: TypeAlias = tuple[float, float]

_ANY: Range = (-math.inf, math.inf)

#: The image of functions that are bounded on one side at least: what they yield at most, whatever they are given.
IMAGES: dict[str, Range] = {
    "sigmoid": (0.0, 1.0), "hardsigmoid": (0.0, 1.0), "softmax": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0),
    "sin": (-1.0, 1.0), "cos": (-1.0, 1.0), "sign": (-1.0, 1.0), "atan": (-math.pi / 2, math.pi / 2),
    "asin": (-math.pi / 2, math.pi / 2), "acos": (0.0, math.pi), "exp": (0.0, math.inf), "sqrt": (0.0, math.inf),
    "rsqrt": (0.0, math.inf), "cosh": (1.0, math.inf),
}  # fmt: skip


class Reach:
    """Ranges of the values of one view, each computed once. ``skipped``: quantize ops that the backend leaves out."""

    def __init__(self, view: View, skipped: Iterable[Bypass] = ()) -> None:
        self.view = view
        self._known: dict[str, Range] = {}
        self._producers = {(bypass.reader.name, bypass.path[-1]): bypass.producer for bypass in skipped}

    def of(self, node: Node) -> Range:
        """The least and the greatest value that ``node`` can have; infinite where nothing is known.

        What a DQ yields lies within its codes, and what an op computes is not quantized yet.
        """
        pending = [node]
        while pending:
            missing = [item for item in self._sources(pending[-1]) if item.name not in self._known]
            if missing:
                pending += missing
                continue
            current = pending.pop()
            if current.name not in self._known:
                self._known[current.name] = self._compute(current)
        return self._known[node.name]

    def _sources(self, node: Node) -> list[Node]:
        """The nodes whose ranges that of ``node`` follows from."""
        if node.op != "call" or node.kind in IMAGES:
            return []
        if node.info.has(Trait.MOVES):
            inputs: Sequence[Node] = code_inputs(self.view, node)
        elif node.info.has(Trait.QUANTIZE | Trait.DEQUANTIZE | Trait.ACTIVATION) or node.kind in _ARITHMETIC:
            inputs = self.view.graph.inputs(node)
        else:
            return []
        return [self._producers.get((node.name, item.name), item) for item in inputs]

    def _compute(self, node: Node) -> Range:
        if node.op != "call":
            return _ANY
        ranges = [self._known[item.name] for item in self._sources(node)]
        if self.view.is_q(node) or self.view.is_dq(node):
            return self._quantized(node, ranges)
        if node.kind in IMAGES:
            return IMAGES[node.kind]
        if node.kind == "full":
            value = node.arg(1, "fill_value") if node.target.startswith("aten.full.") else None
            return (float(value), float(value)) if isinstance(value, int | float) else _ANY
        if not ranges:
            return _ANY
        if node.info.has(Trait.ACTIVATION):
            low, high = activation_bounds(node)
            if math.isnan(low) or math.isnan(high):
                return _ANY
            return min(max(ranges[0][0], low), high), max(min(ranges[0][1], high), low)
        if node.info.has(Trait.MOVES):
            return min(low for low, _ in ranges), max(high for _, high in ranges)
        return self._arithmetic(node)

    def _quantized(self, node: Node, ranges: list[Range]) -> Range:
        qparams = self.view.qparams(node)
        if qparams is None or not qparams.usable:
            return _ANY
        low, high = ranges[0] if ranges else _ANY
        if math.isnan(low) or math.isnan(high):
            return qparams.low, qparams.high
        return qparams.dequantize(qparams.quantize(low)), qparams.dequantize(qparams.quantize(high))

    def _arithmetic(self, node: Node) -> Range:
        places = []
        for arg in node.args[: 1 if node.kind in ("abs", "sum", "neg") else 2]:
            if isinstance(arg, Ref):
                places.append(self._known[self._producers.get((node.name, arg.name), self.view.graph[arg.name]).name])
            elif isinstance(arg, int | float):
                places.append((float(arg), float(arg)))
            else:
                return _ANY
        if node.kwargs.get("alpha", 1) != 1 or "rsub" in node.target or not places:
            return _ANY
        if node.kind == "sum":
            terms = self._summed(node)
            return (terms * places[0][0], terms * places[0][1]) if terms else _ANY
        return arithmetic(node.kind, places[0], places[-1])

    def _summed(self, node: Node) -> int | None:
        """How many values each element of a sum adds up."""
        data = self.view.producer(node)
        if data is None or data.meta is None or node.meta is None:
            return None
        if any(size is None for size in (*data.meta.shape, *node.meta.shape)):
            return None
        count = math.prod(size or 0 for size in data.meta.shape)
        return count // max(math.prod(size or 0 for size in node.meta.shape), 1)


_ARITHMETIC = frozenset({"add", "sub", "mul", "maximum", "minimum", "abs", "neg", "sum"})


def arithmetic(kind: str, first: Range, second: Range) -> Range:
    """The range of an elementwise operation on two ranges, or, for ``neg`` and ``abs``, on the first one.

    Raises KeyError for a kind that has no interval arithmetic here.
    """
    if kind == "add":
        return first[0] + second[0], first[1] + second[1]
    if kind == "sub":
        return first[0] - second[1], first[1] - second[0]
    if kind == "mul":
        corners = [a * b if a and b else 0.0 for a in first for b in second]  # 0 times infinity is 0 here
        return min(corners), max(corners)
    if kind == "neg":
        return -first[1], -first[0]
    if kind == "abs":
        return max(first[0], -first[1], 0.0), max(abs(first[0]), abs(first[1]))
    pick = {"maximum": max, "minimum": min}[kind]
    return pick(first[0], second[0]), pick(first[1], second[1])
