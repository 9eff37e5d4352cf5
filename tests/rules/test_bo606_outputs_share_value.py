"""BO606: which values the backend makes one of, and that it is a fault of the target vgf alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from fuseguard.engine import Registry, Report, run
from fuseguard.engine.finding import Effect, Evidence
from fuseguard.ir import Graph, Node, QParams, Ref, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import ACCELERATORS, Target, as_target
from fuseguard_rules.boundary.bo606_outputs_share_value import OutputsShareValue
from fuseguard_testkit.graph_rewriting import repair_graph

SHAPE = (1, 4, 4, 6)
QPARAMS = int8(0.0487, 3)
VGF = Target.parse("vgf", "1.5.1")

#: An op on a value of SHAPE: operator, arguments, shape of its result.
Step = tuple[str, tuple[object, ...], tuple[int, ...]]


def steps(*parts: Step, annotated: bool = True) -> Callable[[GraphBuilder, Ref], Ref]:
    """Ops one after another; each of them with a Q and DQ after it if they are ``annotated``."""

    def build(b: GraphBuilder, value: Ref) -> Ref:
        for target, args, shape in parts:
            value = b.call(target, value, *args, shape=shape, annotated=annotated)  # type: ignore[arg-type]
            if annotated:
                value = b.requantize(value, QPARAMS)
        return value

    return build


VIEW = ("aten.view.default", ((1, 96),), (1, 96))
BACK = ("aten.view.default", (SHAPE,), SHAPE)
FORMS: dict[str, tuple[bool, tuple[Step, ...]]] = {
    "view there and back": (True, (VIEW, BACK)),
    "view to another shape": (False, (VIEW,)),
    "unsqueeze and squeeze": (
        True, (("aten.unsqueeze.default", (0,), (1, *SHAPE)), ("aten.squeeze.dims", ((0,),), SHAPE))
    ),
    "permute there and back": (
        True,
        (("aten.permute.default", ((0, 2, 3, 1),), (1, 4, 6, 4)), ("aten.permute.default", ((0, 3, 1, 2),), SHAPE)),
    ),
    "permute twice the same way": (
        False,
        (("aten.permute.default", ((0, 2, 3, 1),), (1, 4, 6, 4)),
         ("aten.permute.default", ((0, 2, 3, 1),), (1, 6, 4, 4))),
    ),
    "expand to the same shape": (True, (("aten.expand.default", (SHAPE,), SHAPE),)),
    "slice of all": (True, (("aten.slice.Tensor", (1, 0, 4), SHAPE),)),
    "slice of a part": (False, (("aten.slice.Tensor", (1, 0, 2), (1, 2, 4, 6)),)),
    "pad by nothing": (True, (("aten.constant_pad_nd.default", ((0, 0),), SHAPE),)),
    "pad on one side and crop on the other": (False, (("aten.constant_pad_nd.default", ((1, -1),), SHAPE),)),
    "repeat once, which becomes TILE": (False, (("aten.repeat.default", ((1, 1, 1, 1),), SHAPE),)),
    "dropout that is trained": (False, (("aten.dropout.default", (0.5, True), SHAPE),)),
    "two clones": (True, (("aten.clone.default", (), SHAPE), ("aten.clone.default", (), SHAPE))),
    "a sigmoid": (False, (("aten.sigmoid.default", (), SHAPE),)),
}  # fmt: skip


def graph(build: Callable[[GraphBuilder, Ref], Ref]) -> Graph:
    """A value, and the value that ``build`` computes from it, as two outputs."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    codes = b.quantize(b.call("aten.abs.default", x), QPARAMS)
    return b.output(b.dequantize(codes, QPARAMS), build(b, b.dequantize(codes, QPARAMS)))


def found(program: Graph, target: Target = VGF) -> Report:
    return run(program, target, (OutputsShareValue(),))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("annotated", [True, False], ids=["int8", "float"])
def test_what_changes_nothing_is_one_value(form: str, annotated: bool) -> None:
    bad, parts = FORMS[form]
    report = found(graph(steps(*parts, annotated=annotated)))
    assert not report.failures
    assert bool(report.findings) == bad, form


@pytest.mark.parametrize("target", ["TOSA-1.0+INT+FP", "TOSA-1.0+INT", "ethos-u55-128", "ethos-u85-256"])
def test_other_targets_are_not_told(target: str, registry: Registry) -> None:
    program = graph(steps(("aten.clone.default", (), SHAPE)))
    assert found(program).findings
    assert not found(program, Target.parse(target, "1.5.1")).findings


def test_one_tensor_returned_twice_is_right() -> None:
    b = GraphBuilder()
    value = b.call("aten.abs.default", b.quantized_input("x", SHAPE, QPARAMS))
    value = b.requantize(value, QPARAMS)
    assert not found(b.output(value, value)).findings


def _repeated(target: str, shape: tuple[int, ...], *, joined: bool = False, again: bool = True) -> Graph:
    """An op of two inputs, and the same op again; or with its operands the other way round."""
    b = GraphBuilder()
    x, y = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_input("y", SHAPE, int8(0.03, 1))
    values = []
    for operands in ((x, y), (x, y) if again else (y, x)):
        args = (operands, 1) if joined else operands
        values.append(b.requantize(b.call(target, *args, shape=shape), QPARAMS))
    return b.output(*values)


@pytest.mark.parametrize(
    ("target", "shape", "joined"),
    [(f"aten.{name}.Tensor", SHAPE, False) for name in ("add", "sub", "mul")]
    + [(f"aten.{name}.default", SHAPE, False) for name in ("maximum", "minimum")]
    + [("aten.cat.default", (1, 8, 4, 6), True), ("aten.stack.default", (1, 2, 4, 4, 6), True)],
)
def test_an_op_of_several_operands_that_is_computed_twice_has_one_result(
    target: str, shape: tuple[int, ...], joined: bool
) -> None:
    """The VGF has one value for both: campaign programs 3, 35, 64 and 79 of seed 5, and all of these, on 1.5.1."""
    [finding] = found(_repeated(target, shape, joined=joined)).findings
    assert (finding.effect, finding.evidence) == (Effect.WRONG, Evidence.MEASURED)
    assert not found(_repeated(target, shape, joined=joined, again=False)).findings


@pytest.mark.parametrize(("target", "refused"), [("aten.digamma.default", False), ("aten.abs.default", True)])
def test_results_in_two_delegates_are_two(target: str, refused: bool) -> None:
    """What leads through the CPU and back has a delegate of its own: campaign program 38 of seed 5."""
    b = GraphBuilder()
    x, y = b.quantized_input("x", SHAPE, QPARAMS), b.quantized_input("y", SHAPE, QPARAMS)
    first, second = (b.requantize(b.call("aten.add.Tensor", x, y, shape=SHAPE), QPARAMS) for _ in range(2))
    there = b.requantize(b.call(target, second), QPARAMS)
    back = b.requantize(b.call("aten.neg.default", there), QPARAMS)
    assert bool(found(b.output(first, second, back)).findings) == refused


def test_a_matrix_product_that_is_computed_twice_has_one_result() -> None:
    b = GraphBuilder()
    x, y = b.quantized_input("x", (1, 4, 8), QPARAMS), b.quantized_input("y", (1, 8, 4), QPARAMS)
    values = [b.requantize(b.call("aten.matmul.default", x, y, shape=(1, 4, 4)), QPARAMS) for _ in range(2)]
    assert found(b.output(*values)).findings


def test_a_convolution_that_is_computed_twice_keeps_two_results() -> None:
    """Its rescales are not merged: seen on 1.5.1."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    values = []
    for name in ("first", "second"):
        weight = b.quantized_constant(name, (4, 4, 1, 1), 0.0103)
        values.append(b.requantize(b.call("aten.conv2d.default", x, weight, None, shape=SHAPE), QPARAMS))
    assert not found(b.output(*values)).findings


def test_of_several_outputs_all_but_the_first_are_named_and_the_repair_returns_one() -> None:
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.abs.default", b.quantized_input("x", SHAPE, QPARAMS)), QPARAMS)
    values = [b.call("aten.clone.default", b.dequantize(codes, QPARAMS)) for _ in range(2)]
    program = b.output(b.dequantize(codes, QPARAMS), *(b.requantize(value, QPARAMS) for value in values))
    report = found(program)
    assert [finding.nodes[0] for finding in report.findings] == ["clone", "clone_1"]
    assert {finding.evidence for finding in report.findings} == {Evidence.MEASURED}
    repaired, applied, remaining = repair_graph(program, VGF, (OutputsShareValue(),))
    assert len(applied) == 2
    assert not remaining.findings
    assert len(set(output(repaired))) == 1
    assert not [node for node in View(repaired).ops if node.kind == "clone"]


def both(first: QParams, second: QParams, *, twice: bool) -> Graph:
    """A sigmoid whose result is quantized twice; ``twice``: the sigmoid of each is one of its own."""
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    values = [b.call("aten.sigmoid.default", x) for _ in range(1 + twice)]
    return b.output(b.requantize(values[0], first), b.requantize(values[-1], second))


@pytest.mark.parametrize(
    ("first", "second", "twice", "one"),
    [
        (int8(0.005, -100), int8(0.005, -100), False, True),
        (int8(0.005, -100), int8(0.005, -100, -127), True, True),
        (int8(0.005, -100), int8(0.005, -100, -90), True, False),
        (int8(0.005, -100), int8(0.005, -100, -127), False, False),
        (int8(0.005, -100), int8(0.006, -100), True, False),
    ],
)
def test_codes_that_are_alike_are_one_value(first: QParams, second: QParams, twice: bool, one: bool) -> None:
    """Examples of QD201 and QD204 were wrong on Vulkan, and no rule said so."""
    assert bool(found(both(first, second, twice=twice)).findings) is one


@pytest.mark.parametrize("profile", ["INT", "INT+FP"])
def test_an_op_that_yields_int64_reads_the_value_outside_of_the_delegate(profile: str) -> None:
    """Program 46 of the second grammar: an argmax on the CPU and the program read a DQ each of the same codes.

    Programs 25, 97, 119 and 127 do the same without float support, where the codes leave once, and are right.
    """
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, QPARAMS)
    codes = b.quantize(b.call("aten.abs.default", x), QPARAMS)
    largest = b.call("aten.argmax.default", b.dequantize(codes, QPARAMS), 1, shape=(1, 4, 6), dtype="int64")
    program = b.output(b.dequantize(codes, QPARAMS), largest)
    assert bool(found(program, as_vgf(profile)).findings) == (profile == "INT+FP")


def as_vgf(profile: str) -> Target:
    target = as_target(VgfCompileSpec(f"TOSA-1.0+{profile}"))
    assert isinstance(target, Target)
    return target.with_release("1.5.1")


def output(program: Graph) -> Sequence[Ref]:
    [node] = [node for node in program if node.op == "output"]
    assert isinstance(node, Node)
    return tuple(node.refs())


@pytest.mark.parametrize(
    ("release", "step", "effect", "evidence"),
    [
        ("1.5.1", ("aten.clone.default", (), SHAPE), Effect.WRONG, Evidence.MEASURED),
        ("1.4.1", ("aten.clone.default", (), SHAPE), Effect.EXACT, Evidence.MEASURED),
        ("1.4.1", ("aten.slice.Tensor", (1, 0, 4), SHAPE), Effect.WRONG, Evidence.MEASURED),
        ("1.3.1", ("aten.clone.default", (), SHAPE), Effect.EXACT, Evidence.MEASURED),
        ("1.2.0", ("aten.clone.default", (), SHAPE), Effect.EXACT, Evidence.MEASURED),
        ("1.2.0", ("aten.slice.Tensor", (1, 0, 4), SHAPE), Effect.EXACT, Evidence.MEASURED),
        ("1.5.0", ("aten.clone.default", (), SHAPE), Effect.WRONG, Evidence.MEASURED),
        ("1.6.0", ("aten.clone.default", (), SHAPE), Effect.WRONG, Evidence.INFERRED),
    ],
)
def test_what_no_engine_ran_is_inferred(release: str, step: Step, effect: Effect, evidence: Evidence) -> None:
    [finding] = found(graph(steps(step)), Target.parse("vgf", release)).findings
    assert (finding.effect, finding.evidence) == (effect, evidence)
    assert "the engine vgf shows it" in finding.evidence_note


@dataclass
class VgfCompileSpec:
    """Stands for the backend's own."""

    tosa_spec: str


def test_a_compile_spec_for_vulkan_is_the_target_vgf() -> None:
    """It was TOSA's with the same specification, so that the guard of a VgfPartitioner did not know the accelerator."""
    assert as_target(VgfCompileSpec("+".join(reversed(ACCELERATORS["vgf"].split("+"))))) == "vgf"
    other = as_target(VgfCompileSpec("TOSA-1.0+INT"))
    assert isinstance(other, Target)
    assert (other.accelerator, other.profile) == ("vgf", "INT")
