"""OP724: what passes an input of a delegate on, where it leaves the delegate, and where a partition is dropped.

tests/engines/test_vela.py compiles the rule's examples. Each form below was compiled too, by Vela 5.1.0 for u55-128.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fuseguard.engine import Finding, run
from fuseguard.engine.finding import Effect, Evidence
from fuseguard.ir import Graph, Ref
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.operator.op724_result_is_delegate_input import ResultIsDelegateInput
from fuseguard_testkit.graph_rewriting import repair_graph

SHAPE = (1, 4, 4, 6)
Q = int8(0.0487, 3)
U55 = Target.parse("ethos-u55-128", "1.5.1")

#: An op on a value of SHAPE: operator, arguments, shape of its result.
Step = tuple[str, tuple[object, ...], tuple[int, ...]]
VIEW: Step = ("aten.view.default", ((1, 96),), (1, 96))
BACK: Step = ("aten.view.default", (SHAPE,), SHAPE)
THERE: Step = ("aten.permute.default", ((0, 2, 3, 1),), (1, 4, 6, 4))
RESTORED: Step = ("aten.permute.default", ((0, 3, 1, 2),), SHAPE)
CLONE: Step = ("aten.clone.default", (), SHAPE)

#: Ops on the input -> whether they alone are refused, and whether they are beside another op.
FORMS: dict[str, tuple[tuple[Step, ...], bool, bool]] = {
    "clone": ((CLONE,), False, True),
    "two clones": ((CLONE, CLONE), False, True),
    "dropout": ((("aten.dropout.default", (0.5, False), SHAPE),), False, True),
    "view to the same shape": ((BACK,), False, True),
    "view there and back": ((VIEW, BACK), False, True),
    "view to another shape": ((VIEW,), False, False),
    "expand to the same shape": ((("aten.expand.default", (SHAPE,), SHAPE),), False, True),
    "permute to the same order": ((("aten.permute.default", ((0, 1, 2, 3),), SHAPE),), False, True),
    "permute there and back": ((THERE, RESTORED), True, True),
    "permute": ((THERE,), False, False),
    "unsqueeze and squeeze": (
        (("aten.unsqueeze.default", (0,), (1, *SHAPE)), ("aten.squeeze.dims", ((0,),), SHAPE)), True, True
    ),
    "pad by nothing": ((("aten.constant_pad_nd.default", ((0, 0),), SHAPE),), True, True),
    "slice of all, which to_edge drops": ((("aten.slice.Tensor", (1, 0, 4), SHAPE),), False, False),
    "a sigmoid": ((("aten.sigmoid.default", (), SHAPE),), False, False),
}  # fmt: skip


def applied(b: GraphBuilder, value: Ref, *steps: Step) -> Ref:
    for target, args, shape in steps:
        value = b.requantize(b.call(target, value, *args, shape=shape), Q)  # type: ignore[arg-type]
    return value


def absolute(b: GraphBuilder, value: Ref) -> Ref:
    return b.requantize(b.call("aten.abs.default", value), Q)


def found(program: Graph, target: Target = U55) -> tuple[Finding, ...]:
    report = run(program, target, (ResultIsDelegateInput(),))
    assert not report.failures
    return report.findings


@pytest.mark.parametrize("form", FORMS)
def test_ops_that_change_nothing_are_refused_where_their_partition_stays(form: str) -> None:
    steps, alone, beside = FORMS[form]
    b = GraphBuilder()
    assert bool(found(b.output(applied(b, b.quantized_input("x", SHAPE, Q), *steps)))) == alone
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, Q)
    assert bool(found(b.output(applied(b, x, *steps), absolute(b, x)))) == beside
    b = GraphBuilder()
    after = absolute(b, b.quantized_input("x", SHAPE, Q))
    assert not found(b.output(applied(b, after, *steps)))


def _codes(b: GraphBuilder) -> Graph:
    x = b.dequantize(b.input("x", SHAPE, dtype="int8"), Q)
    return b.output(applied(b, x, CLONE), absolute(b, x))


def _codes_returned(b: GraphBuilder) -> Graph:
    x = b.quantized_input("x", SHAPE, Q)
    return b.output(b.quantize(b.call("aten.clone.default", x), Q), absolute(b, x))


def _computed_on_the_cpu(b: GraphBuilder) -> Graph:
    x = b.requantize(b.call("aten.sin.default", b.input("x", SHAPE)), Q)
    return b.output(applied(b, x, CLONE), absolute(b, x))


def _read_on_the_cpu(b: GraphBuilder) -> Graph:
    x = b.quantized_input("x", SHAPE, Q)
    return b.output(b.call("aten.sin.default", applied(b, x, CLONE)), absolute(b, x))


def _of_another_input(b: GraphBuilder) -> Graph:
    x, y = b.quantized_input("x", SHAPE, Q), b.quantized_input("y", SHAPE, Q)
    return b.output(applied(b, x, CLONE), absolute(b, y))


def _of_a_float(b: GraphBuilder) -> Graph:
    x = b.input("x", SHAPE)
    return b.output(b.call("aten.clone.default", x), absolute(b, b.requantize(x, Q)))


def _read_in_the_delegate_too(b: GraphBuilder) -> Graph:
    """The dequantize op of the clone stays outside, and what reads it as well: nothing is delegated."""
    copy = applied(b, b.quantized_input("x", SHAPE, Q), CLONE)
    return b.output(copy, absolute(b, copy))


def _returned(b: GraphBuilder) -> Graph:
    x = b.quantized_input("x", SHAPE, Q)
    return b.output(x, absolute(b, x))


@pytest.mark.parametrize(
    ("build", "refused"),
    [
        (_codes, True), (_codes_returned, True), (_computed_on_the_cpu, True), (_read_on_the_cpu, True),
        (_of_another_input, True), (_of_a_float, False), (_read_in_the_delegate_too, False), (_returned, False),
    ],
)  # fmt: skip
def test_where_the_value_comes_from_and_where_it_goes(build: Callable[[GraphBuilder], Graph], refused: bool) -> None:
    assert bool(found(build(GraphBuilder()))) == refused


@pytest.mark.parametrize(
    ("release", "step", "effect", "evidence"),
    [
        ("1.5.1", CLONE, Effect.CRASH, Evidence.MEASURED),
        ("1.4.1", CLONE, Effect.CRASH, Evidence.MEASURED),
        ("1.4.1", FORMS["pad by nothing"][0][0], Effect.EXACT, Evidence.MEASURED),
        ("1.3.1", CLONE, Effect.CRASH, Evidence.INFERRED),
    ],
)
def test_what_vela_did_not_compile_is_inferred(release: str, step: Step, effect: Effect, evidence: Evidence) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, Q)
    [finding] = found(b.output(applied(b, x, step), absolute(b, x)), Target.parse("ethos-u55-128", release))
    assert (finding.effect, finding.evidence) == (effect, evidence)
    assert "the engine vela shows it" in finding.evidence_note


@pytest.mark.parametrize("target", ["TOSA-1.0+INT", "TOSA-1.0+INT+FP", "vgf"])
def test_other_targets_are_not_told(target: str) -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, Q)
    program = b.output(applied(b, x, CLONE), absolute(b, x))
    assert found(program, Target.parse("ethos-u85-256", "1.5.1"))
    assert not found(program, Target.parse(target, "1.5.1"))


def test_the_repair_returns_what_enters_where_outputs_alone_read_it() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, Q)
    repaired, applied_edits, remaining = repair_graph(
        b.output(applied(b, x, CLONE), absolute(b, x)), U55, (ResultIsDelegateInput(),)
    )
    assert len(applied_edits) == 1
    assert not remaining.findings
    assert not [node for node in repaired if node.kind == "clone"]
    _, applied_edits, remaining = repair_graph(_read_on_the_cpu(GraphBuilder()), U55, (ResultIsDelegateInput(),))
    assert not applied_edits
    assert remaining.findings


def test_a_constant_that_the_program_makes_does_not_enter() -> None:
    """Positions that an embedding on the CPU reads, as in transformers' Whisper: Vela compiles them for U55."""
    b = GraphBuilder()
    table = b.requantize(b.call("aten.abs.default", b.quantized_input("x", (16, 4), Q)), Q)
    positions = b.call("aten.arange.start_step", 0, 16, shape=(16,), dtype="int32", annotated=False)
    again = b.call("aten.reshape.default", positions, (16,), shape=(16,), dtype="int32")
    read = b.requantize(b.call("aten.index_select.default", table, 0, Ref(again), shape=(16, 4)), Q)
    graph = b.output(read)
    assert not run(graph, U55, (ResultIsDelegateInput(),)).findings


def test_a_mask_that_the_delegate_makes_does_not_enter() -> None:
    """An expand of a mask of bools that an op on the CPU reads, as in transformers' BERT: Vela compiles it for U85."""
    b = GraphBuilder()
    first, second = b.input("x", (1, 4), "int32"), b.input("y", (1, 4), "int32")
    mask = b.call("aten.lt.Tensor", first, second, dtype="bool", annotated=False)
    expanded = b.call("aten.expand.default", mask, (1, 4), dtype="bool")
    value = b.call("aten.where.ScalarOther", expanded, b.quantized_input("z", (1, 4), Q), 0.0, annotated=False)
    graph = b.output(b.call("aten.exp.default", value, annotated=False), absolute(b, b.quantized_input("w", SHAPE, Q)))
    assert not run(graph, Target.parse("ethos-u85-256", "1.5.1"), (ResultIsDelegateInput(),)).findings
