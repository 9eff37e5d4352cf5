"""OP725 where its examples do not reach, torch-free.

Protects: the bounds that the repair writes out, and what the rule does not report.
"""

from __future__ import annotations

import pytest

from fuseguard.engine import Effect, SetArgument
from fuseguard.ir import Arg, Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op725_activation_bounds_omitted import ActivationBoundsOmitted
from fuseguard_testkit.linting import find

SHAPE = (1, 4, 6, 6)
QPARAMS = int8(0.0187, 3)


def of(target: str, *args: Arg, annotated: bool = True, kwargs: dict[str, Arg] | None = None) -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    made = b.call(target, x, *args, shape=SHAPE, annotated=annotated, kwargs=kwargs)
    return b.output(b.requantize(made, QPARAMS))


@pytest.mark.parametrize(("args", "bounds"), [((), (-1.0, 1.0)), ((-0.5,), (-0.5, 1.0))])
def test_the_repair_writes_out_what_the_schema_implies(args: tuple[Arg, ...], bounds: tuple[float, float]) -> None:
    graph = of("aten.hardtanh.default", *args)
    (finding,) = find(ActivationBoundsOmitted(), graph)
    assert finding.effect is Effect.CRASH
    rewrite = ActivationBoundsOmitted().repair(View(graph), Target.parse("TOSA-1.0+INT"), finding)
    assert rewrite is not None
    edits = [edit for edit in rewrite.edits if isinstance(edit, SetArgument)]
    assert [(edit.position, edit.value) for edit in edits] == [(1, bounds[0]), (2, bounds[1])]


def test_a_bound_that_is_given_by_name_is_not_where_the_passes_look() -> None:
    graph = of("aten.hardtanh.default", kwargs={"min_val": 0.0})
    (finding,) = find(ActivationBoundsOmitted(), graph)
    assert ActivationBoundsOmitted().repair(View(graph), Target.parse("TOSA-1.0+INT"), finding) is None


def test_floats_stay_on_the_cpu_without_float_support() -> None:
    graph = of("aten.hardtanh.default", annotated=False)
    found = [find(ActivationBoundsOmitted(), graph, f"TOSA-1.0+{profile}") for profile in ("INT", "INT+FP")]
    assert [finding.effect for (finding,) in found] == [Effect.CPU_FALLBACK, Effect.CRASH]


@pytest.mark.parametrize(("target", "args"), [("aten.hardtanh.default", (-1.0, 1.0)), ("aten.relu6.default", ())])
def test_bounds_that_are_there_and_ops_without_any(target: str, args: tuple[Arg, ...]) -> None:
    assert find(ActivationBoundsOmitted(), of(target, *args)) == ()
