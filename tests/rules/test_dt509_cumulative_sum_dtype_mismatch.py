"""DT509 at the edges of its predicate, torch-free. The verdicts are those of 194 lowerings of cumsum next to another op
on ExecuTorch 1.5.1 and 1.2.0 each, and of 73 with an op between two cumsums.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Finding, run
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.dtype.dt509_cumulative_sum_dtype_mismatch import CumulativeSumDtype

SHAPE = (1, 4, 4, 4)
QPARAMS = int8(0.05, 3)


def found(graph: Graph, release: str = "1.5.1") -> list[Finding]:
    per_profile = []
    for spec in ("TOSA-1.0+INT", "TOSA-1.0+INT+FP"):
        report = run(graph, Target.parse(spec, release), [CumulativeSumDtype()])
        assert not report.failures
        per_profile.append(list(report.findings))
    assert [item.nodes for item in per_profile[0]] == [item.nodes for item in per_profile[1]]
    return per_profile[0]


def between_two(target: str, *args: object) -> Graph:
    """An op between two cumulative sums."""
    b = GraphBuilder()
    value = b.quantized_input("x", SHAPE, QPARAMS)
    value = b.requantize(b.call("aten.cumsum.default", value, 1, shape=SHAPE), QPARAMS)
    value = b.requantize(b.call(target, value, *args, shape=SHAPE), QPARAMS)  # type: ignore[arg-type]
    return b.output(b.requantize(b.call("aten.cumsum.default", value, 1, shape=SHAPE), QPARAMS))


def chosen(first: str, second: str) -> Graph:
    """A choice between two ops' results; "" stands for an input."""
    b = GraphBuilder()
    branches = []
    for number, target in enumerate((first, second)):
        value = b.quantized_input(f"x{number}", SHAPE, QPARAMS)
        args = (1,) if "cumsum" in target else ()
        branches.append(b.requantize(b.call(target, value, *args, shape=SHAPE), QPARAMS) if target else value)
    mask = b.input("mask", SHAPE, "bool")
    return b.output(b.requantize(b.call("aten.where.self", mask, *branches, shape=SHAPE), QPARAMS))


@pytest.mark.parametrize("target", ["relu", "neg", "floor", "gelu", "sigmoid", "avg_pool2d", "flip", "repeat"])
def test_what_does_not_rescale_passes_the_dtype_on(target: str) -> None:
    (finding,) = found(between_two(f"aten.{target}.default", (1,)))
    assert finding.nodes == ("cumsum_1",)


@pytest.mark.parametrize("target", ["aten.abs.default", "aten.mul.Tensor", "aten.leaky_relu.default"])
def test_what_rescales_ends_it(target: str) -> None:
    assert not found(between_two(target, 2.0))


def test_an_op_on_the_cpu_ends_it() -> None:
    """flip is in no delegate before 1.4: what comes back from the CPU is int8 (measured on 1.2.0)."""
    graph = between_two("aten.flip.default", (1,))
    assert not found(graph, "1.3.1")
    assert found(graph, "1.4.1")


CUMSUM, SIGMOID, ABS = "aten.cumsum.default", "aten.sigmoid.default", "aten.abs.default"


@pytest.mark.parametrize(
    ("first", "second", "breaks"),
    [
        (CUMSUM, "", True),
        (CUMSUM, ABS, True),
        (CUMSUM, SIGMOID, True),
        (SIGMOID, CUMSUM, False),  # DT508's
        ("", CUMSUM, False),
        (ABS, CUMSUM, False),
        (CUMSUM, CUMSUM, False),
    ],
)
def test_a_choice_breaks_where_the_second_branch_is_cast(first: str, second: str, breaks: bool) -> None:
    assert bool(found(chosen(first, second))) is breaks


def test_a_cumulative_sum_of_floats_is_healthy() -> None:
    b = GraphBuilder()
    value = b.call("aten.cumsum.default", b.input("x", SHAPE), 1, shape=SHAPE, annotated=False)
    assert not found(b.output(value))
