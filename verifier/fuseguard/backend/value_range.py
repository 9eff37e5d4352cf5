"""Which values and codes a quantized program can hold at a node, for all inputs: intervals, from front to back.

What one node says about another is in :mod:`fuseguard.backend.value_relations`.

Source: ``FoldAndAnnotateQParamsPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. It decides which quantize ops
saturate a value. The rest is arithmetic.

Rules that depend on it: DT503, DT505, DT506, OP701, OP706, OP710, QD201, QP301, QP306, and those of decorate_casts and
int32_bounds and lookup_table and merged_duplicates and misevaluated_functions and shared_outputs.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence

from fuseguard.backend.fold_qparams import code_inputs
from fuseguard.backend.int32_rescales import Bypass, bypasses
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.value_relations import Relations, reads_one_value_twice
from fuseguard.ir import Node, Ref, Trait, View, activation_bounds
from fuseguard.ir.intervals import (
    ANYTHING,
    IMAGES,
    OPERANDS,
    Codes,
    Range,
    arithmetic,
    image,
    in_float32,
    quantized,
    square,
    summed,
)
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard.ir.scalar_functions import parameters_of
from fuseguard.target import Target

#: The value that ops fill a tensor with, and the position and the name of the argument that is it.
_FILLED = {"full": (1, "fill_value"), "full_like": (1, "fill_value"), "scalar_tensor": (0, "s")}
_OF_ONE_VALUE = Trait.QUANTIZE | Trait.DEQUANTIZE | Trait.ACTIVATION | Trait.UNARY
_FILLED_WITH = {"zeros": 0.0, "zeros_like": 0.0, "ones": 1.0, "ones_like": 1.0}


class Reach:
    """Ranges of the values of one view, each computed once. ``skipped``: quantize ops that the backend leaves out."""

    def __init__(self, view: View, skipped: Iterable[Bypass] = ()) -> None:
        self.view = view
        self._known: dict[str, Range] = {}
        self._producers = {(bypass.reader.name, bypass.path[-1]): bypass.producer for bypass in skipped}
        self._relations = Relations(self, frozenset(self._producers))

    def of(self, node: Node) -> Range:
        """The least and the greatest value that ``node`` can have; infinite where nothing is known.

        What a DQ yields lies within its codes, and what an op computes is not quantized yet.
        """
        if node.name in self._known:
            return self._known[node.name]
        pending = [node]
        while pending:
            missing = [item for item in self._sources(pending[-1]) if item.name not in self._known]
            if missing:
                pending += missing
                continue
            current = pending.pop()
            if current.name not in self._known:
                self._known[current.name] = in_float32(self._compute(current))
        return self._known[node.name]

    def codes(self, node: Node) -> Codes | None:
        """The least and the greatest code at a Q or DQ; None without usable qparams.

        What a DQ reads that is not a Q's result may be any code of its dtype, unless it is a constant that the reader
        knows the codes of (``Graph.buffers``) or that was quantized by the DQ's qparams.
        """
        qparams = self.view.qparams(node)
        if qparams is None or not qparams.usable:
            return None
        source = self.view.producer(node)
        if self.view.is_q(node):
            return quantized(self.of(source) if source is not None else ANYTHING, qparams)
        if source is None:
            return INTEGER_RANGES.get(qparams.dtype)
        if self.view.is_q(source):
            return self.codes(source) or INTEGER_RANGES.get(qparams.dtype)
        if source.op == "call" or not source.constant or source.name in self.view.graph.mutations:
            return INTEGER_RANGES.get(qparams.dtype)
        stored = self.view.graph.buffers.get(source.name)
        if stored and math.isfinite(sum(stored)):
            return int(min(stored)), int(max(stored))
        return qparams.qmin, qparams.qmax

    def _sources(self, node: Node) -> Sequence[Node]:
        """The nodes whose ranges that of ``node`` follows from."""
        if node.op != "call" or node.kind == "softmax":
            return []
        if node.info.has(Trait.MOVES):
            inputs: Sequence[Node] = code_inputs(self.view, node)
        elif (
            node.info.has(_OF_ONE_VALUE)
            or node.kind in OPERANDS
            or node.kind in ("sum", "mean")
        ):
            inputs = self.view.graph.inputs(node)
        else:
            return []
        if not self._producers:
            return inputs
        return [self._producers.get((node.name, item.name), item) for item in inputs]

    def _compute(self, node: Node) -> Range:
        if node.op != "call":
            return ANYTHING
        if self.view.is_q(node) or self.view.is_dq(node):
            return self._quantized(node)
        if node.kind == "softmax":
            return IMAGES["softmax"]
        if node.kind == "full":
            return _filled(node)
        ranges = [self._known[item.name] for item in self._sources(node)]
        if not ranges:
            return ANYTHING
        if node.info.has(Trait.UNARY):
            function_alone = len(node.args) == 1 + len(parameters_of(node)) and not node.kwargs
            return image(node.kind, ranges[0], parameters_of(node)) if function_alone else ANYTHING
        if node.info.has(Trait.ACTIVATION):
            low, high = activation_bounds(node)
            if math.isnan(low) or math.isnan(high):
                return ANYTHING
            return min(max(ranges[0][0], low), high), max(min(ranges[0][1], high), low)
        if node.info.has(Trait.MOVES):
            return min(low for low, _ in ranges), max(high for _, high in ranges)
        if node.kind == "mean":
            return summed(1, ranges[0])
        return self._arithmetic(node)

    def _quantized(self, node: Node) -> Range:
        qparams = self.view.qparams(node)
        if qparams is None or not qparams.usable:
            return ANYTHING
        codes = self.codes(node) or (qparams.qmin, qparams.qmax)
        return qparams.dequantize(codes[0]), qparams.dequantize(codes[1])

    def _arithmetic(self, node: Node) -> Range:
        places = []
        for arg in node.args[: 1 if node.kind == "sum" else OPERANDS[node.kind]]:
            if isinstance(arg, Ref):
                places.append(self._known[self._producers.get((node.name, arg.name), self.view.graph[arg.name]).name])
            elif isinstance(arg, int | float):
                places.append((float(arg), float(arg)))
            else:
                return ANYTHING
        if node.kwargs.get("alpha", 1) != 1 or "rsub" in node.target or not places:
            return ANYTHING
        if node.kind == "sum":
            return self._summed(node, places[0])
        if node.kind in ("mul", "sub") and self._reads_one_value_twice(node) and places[0] == places[-1]:
            if node.kind == "mul":
                return square(places[0])
            if math.isfinite(places[0][0]) and math.isfinite(places[0][1]):
                return 0.0, 0.0
        found = arithmetic(node.kind, places[0], places[-1])
        if node.kind == "sub":
            most = self._relations.most_above_its_maximum(node)
            return found if most is None else (min(found[0], most), min(found[1], most))
        return found

    def _reads_one_value_twice(self, node: Node) -> bool:
        """Whether both operands have the same value, with no quantize op that only one of them passes."""
        skipped = [self._producers.get((node.name, item.name)) for item in self.view.graph.inputs(node)]
        return all(item is skipped[0] for item in skipped) and reads_one_value_twice(self.view, node)

    def _summed(self, node: Node, values: Range) -> Range:
        terms = summed_terms(self.view, node)
        if not terms:
            return ANYTHING
        low, high = summed(terms, values)
        least = self._relations.least_sum(node, terms, values)
        return (low, high) if least is None else (min(max(low, least), high), high)


@once_per_view
def reach_on(view: View, target: Target) -> Reach:
    """The ranges on one target: past the quantize ops that its release leaves out."""
    return reach_past(view, bypasses(view, target))


def reach_past(view: View, skipped: Iterable[Bypass]) -> Reach:
    """The ranges past these quantize ops: several rules, and most targets, leave out the same ones."""
    skipped = tuple(skipped)
    known = _known_reaches(view)
    what = frozenset([(item.reader.name, item.path[-1], item.producer.name) for item in skipped])
    if what not in known:
        known[what] = Reach(view, skipped)
    return known[what]


@once_per_view
def _known_reaches(view: View) -> dict[Hashable, Reach]:
    del view
    return {}


def reachable(codes: Codes | None, limits: Codes) -> str:
    """What a message says of reachable codes, where they are not all that the qparams allow; "" if they are."""
    if codes is None or (codes[0] <= limits[0] and codes[1] >= limits[1]):
        return ""
    return f" (codes {codes[0]}..{codes[1]} of {limits[0]}..{limits[1]} are reachable)"


def summed_terms(view: View, node: Node) -> int | None:
    """How many values each element of a sum adds up."""
    data = view.producer(node)
    if data is None or data.meta is None or node.meta is None:
        return None
    if any(size is None for size in (*data.meta.shape, *node.meta.shape)):
        return None
    count = math.prod(size or 0 for size in data.meta.shape)
    return count // max(math.prod(size or 0 for size in node.meta.shape), 1)


def _filled(node: Node) -> Range:
    name = node.operator
    if name in _FILLED_WITH:
        return _FILLED_WITH[name], _FILLED_WITH[name]
    value = node.arg(*_FILLED[name]) if name in _FILLED else None
    return (float(value), float(value)) if isinstance(value, int | float) else ANYTHING
