"""No code of a program is outside of what the interval analysis says of it, whatever the program is given.

Protects: a verdict that rests on codes which a program was said not to reach, and reaches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fuseguard.backend.value_range import Reach
from fuseguard.backend.value_relations import Relations
from fuseguard.ir import Graph, QParams, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.qparams import INTEGER_RANGES
from fuseguard_testkit.numpy_programs import evaluate

SHAPE = (2, 3, 4)
UNARY = (
    "abs", "atan", "ceil", "cos", "erf", "exp", "expm1", "floor", "log", "log1p", "neg", "reciprocal", "round", "rsqrt",
    "sigmoid", "sign", "sinh", "sqrt", "tanh", "relu",
)  # fmt: skip
BINARY = ("add", "sub", "mul", "maximum", "minimum")

BOUNDS = st.floats(-2, 2, width=32, allow_subnormal=False)
scales = st.one_of(st.floats(1e-4, 2.0), st.sampled_from([2.0**-12, 2.0**-16, 1 / 255, 0.1]))


@st.composite
def qparams(draw: st.DrawFn) -> QParams:
    dtype = draw(st.sampled_from(["int8", "int16"]))
    low, high = INTEGER_RANGES[dtype]
    low = draw(st.sampled_from([low, low + 1]))
    point = 0 if dtype == "int16" else draw(st.one_of(st.sampled_from([low, 0, high]), st.integers(low, high)))
    return QParams.per_tensor(draw(scales), point, low, high, dtype)


class Drawn:
    """A program that grows op by op; ``values`` are DQs and floats by name, with their shapes."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.b = GraphBuilder()
        self.values: dict[str, tuple[int, ...]] = {}
        self.stored: dict[str, tuple[int, ...]] = {}
        for number in range(draw(st.integers(1, 2))):
            self.add(self.b.quantized_input(f"x{number}", SHAPE, draw(qparams())), SHAPE)
        if draw(st.booleans()):
            made = draw(qparams())
            codes = draw(st.lists(st.integers(made.qmin, made.qmax), min_size=4, max_size=4))
            stored = self.b.stored_constant("stored", (4,), made, codes)
            self.add(stored, (4,))

    def add(self, name: str, shape: tuple[int, ...]) -> str:
        self.values[name] = shape
        return name

    def pick(self) -> str:
        names = list(self.values)
        return names[-1 - self.draw(st.integers(0, min(3, len(names) - 1)))]

    def quantized(self, name: str, shape: tuple[int, ...]) -> str:
        if self.draw(st.integers(0, 4)):
            return self.add(self.b.requantize(name, self.draw(qparams())), shape)
        return self.add(name, shape)  # computed with in float

    def step(self) -> None:
        kind = self.draw(st.sampled_from(["unary", "binary", "square", "pow", "clamp", "reduce", "softmax", "full"]))
        value = self.pick()
        shape = self.values[value]
        call = self.b.call
        if kind == "unary":
            self.quantized(call(f"aten.{self.draw(st.sampled_from(UNARY))}.default", value), shape)
        elif kind == "binary":
            op, other = self.draw(st.sampled_from(BINARY)), self.pick()
            shape = np.broadcast_shapes(shape, self.values[other])
            self.quantized(call(f"aten.{op}.Tensor", value, other, shape=shape), shape)
        elif kind == "square":
            self.quantized(call("aten.mul.Tensor", value, value), shape)
        elif kind == "pow":
            exponent = self.draw(st.sampled_from([2, 0.5, -1.0, -0.5, 3]))
            self.quantized(call("aten.pow.Tensor_Scalar", value, exponent), shape)
        elif kind == "clamp":
            low, high = sorted(self.draw(st.tuples(BOUNDS, BOUNDS)))
            self.quantized(call("aten.hardtanh.default", value, low, high), shape)
        elif kind == "full":
            self.quantized(call("aten.full.default", (1,), self.draw(BOUNDS), shape=(1,)), (1,))
        elif kind == "reduce":
            self.reduce(self.draw(st.sampled_from(["amax", "sum", "mean"])), value)
        else:
            self.softmax(value)

    def reduce(self, kind: str, value: str) -> str:
        shape = self.values[value]
        dims = tuple(sorted(self.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
        after = tuple(1 if dim in dims else size for dim, size in enumerate(shape))
        overload = {"amax": "default", "sum": "dim_IntList", "mean": "dim"}[kind]
        return self.quantized(self.b.call(f"aten.{kind}.{overload}", value, dims, True, shape=after), after)

    def softmax(self, value: str) -> None:
        shape = self.values[value]
        largest = self.reduce("amax", value)
        minus = self.quantized(self.b.call("aten.sub.Tensor", value, largest), shape)
        function = self.draw(st.sampled_from(["exp", "exp", "sigmoid", "tanh"]))
        raised = self.quantized(self.b.call(f"aten.{function}.default", minus), shape)
        total = self.reduce("sum", raised)
        self.quantized(self.b.call("aten.reciprocal.default", total), self.values[total])


@st.composite
def programs(draw: st.DrawFn) -> tuple[Graph, dict[str, Any]]:
    """A graph, and a value for each of its placeholders."""
    drawn = Drawn(draw)
    for _ in range(draw(st.integers(1, 8))):
        drawn.step()
    graph = drawn.b.output(*drawn.values)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    given = {}
    for node in graph:
        if node.op == "placeholder" and node.constant:
            given[node.name] = np.array(graph.buffers[node.name])
        elif node.op == "placeholder":
            reach = 10.0 ** draw(st.integers(-3, 5))
            values = random.choice([-1, -0.5, 0, 0.5, 1], SHAPE) if draw(st.booleans()) else random.normal(size=SHAPE)
            given[node.name] = (reach * values).astype(np.float32)
    return graph, given


@settings(max_examples=200, deadline=None)
@given(programs())
def test_every_code_is_within_what_is_said_to_be_reachable(case: tuple[Graph, dict[str, Any]]) -> None:
    graph, inputs = case
    view = View(graph)
    reach = Reach(view)
    values = evaluate(graph, inputs, lambda q: (reach.codes(q) or (0, 0))[0])
    for node in view.calls():
        found = values[node.name]
        if view.is_q(node):
            codes, qparams = reach.codes(node), view.qparams(node)
            assert codes is not None
            assert qparams is not None
            assert codes[0] <= found.min(), node
            assert found.max() <= codes[1], node
            if codes != (qparams.qmin, qparams.qmax):
                event("some codes are out of reach")
        elif not np.isnan(found).all():
            low, high = reach.of(node)
            slack = 1e-5 * float(np.abs(found[np.isfinite(found)]).max(initial=0.0))
            assert low - slack <= float(np.nanmin(found)), node
            assert float(np.nanmax(found)) <= high + slack, node


@pytest.mark.parametrize("clamped", [False, True])
def test_a_maximum_of_what_may_be_nan_says_nothing(clamped: bool) -> None:
    """A draw of hypothesis on 30 November 2026: the root of -1 is NaN, and the code of its maximum was the lowest."""
    b = GraphBuilder()
    value = b.quantized_input("x0", SHAPE, int8(1.0))
    if clamped:
        value = b.call("aten.hardtanh.default", b.call("aten.pow.Tensor_Scalar", value, 0.5), 0.0, 1.0)
    after = (1, *SHAPE[1:])
    largest = b.requantize(b.call("aten.amax.default", value, (0,), True, shape=after), int8(1.0))
    difference = b.call("aten.sub.Tensor", value, largest)
    view = View(b.output(difference))
    relations = Relations(Reach(view), frozenset())
    assert (relations.most_above_its_maximum(view.graph[difference]) is None) == clamped


@pytest.mark.parametrize("between", [2.0**-12, 0.03])
@pytest.mark.parametrize("function", ["exp", "sigmoid"])
def test_a_softmax_reaches_what_is_said(function: str, between: float) -> None:
    """The bounds are not only sound: where the maximum is on the value's own grid, both are attained."""
    wide = QParams.per_tensor(2.0**-12, 0, -32767, 32767, "int16")
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, wide)
    largest = b.requantize(b.call("aten.amax.default", x, (2,), True, shape=(2, 3, 1)), QParams.per_tensor(
        between, 0, -32767, 32767, "int16"
    ))  # fmt: skip
    minus = b.requantize(b.call("aten.sub.Tensor", x, largest, shape=SHAPE), wide)
    raised = b.requantize(b.call(f"aten.{function}.default", minus), wide)
    total = b.call("aten.sum.dim_IntList", raised, (2,), True, shape=(2, 3, 1))
    graph = b.output(total)
    reach = Reach(View(graph))
    low, high = reach.of(graph[minus])
    least, most = reach.of(graph[total])
    at = (lambda value: math.exp(value)) if function == "exp" else (lambda value: 1 / (1 + math.exp(-value)))
    if between == 2.0**-12:
        assert (low, high) == (pytest.approx(-8, abs=1e-3), 0.0)
        assert (least, most) == pytest.approx((at(0) + 3 * at(-8), 4 * at(0)), abs=2e-3)
    else:
        assert high == pytest.approx(between / 2, abs=1e-3)
        assert least == pytest.approx(at(-between / 2) + 3 * at(-8), abs=2e-3)
