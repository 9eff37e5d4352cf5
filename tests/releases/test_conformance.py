"""The effects tables against reality: every example is lowered on the installed release and judged.

Protects the claim that every effect in a table was seen, and that a guarded lowering is never wrong. It is
``fuseguard selftest``, one test for each case; the short run judges what fuseguard_testkit/conformance_cases.py says.
"""

from __future__ import annotations

import dataclasses

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from fuseguard.engine.example_cases import Case, cases  # noqa: E402
from fuseguard.engine.registry import load_registry  # noqa: E402
from fuseguard.executorch.case_judge import judge_case  # noqa: E402
from fuseguard.executorch.judge import prove  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard.ir.qparams import QParams  # noqa: E402
from fuseguard.target import MEASURED_RELEASES, Target  # noqa: E402
from fuseguard_testkit.conformance_cases import is_told_apart, short_run  # noqa: E402

CASES = cases(load_registry().select())
RELEASE = Target.parse(CASES[0].spec).release.base_version
SHORT = short_run(CASES, RELEASE)
MARKED = [pytest.param(case, id=str(case), marks=[] if case in SHORT else [pytest.mark.thorough]) for case in CASES]


def test_what_the_rules_say_of_this_release_is_judged_without_being_thorough() -> None:
    """Each example on the newest release; on an older one each of which they say something else than there."""
    short = {(case.title, case.form) for case in SHORT}
    must = [case for case in CASES if MEASURED_RELEASES[-1] == RELEASE or is_told_apart(case, RELEASE)]
    assert {(case.title, case.form) for case in must} <= short
    assert {case.code for case in SHORT if not case.good} == {case.code for case in CASES if not case.good}
    assert {"+FP" in case.spec for case in SHORT} == {True, False}, "both profiles"


@pytest.mark.parametrize("case", MARKED)
def test_the_example_does_what_the_table_says(case: Case) -> None:
    result = judge_case(case)
    assert result.agrees, f"{result.fault}; {result.detail}"


def test_the_selftest_notices_a_table_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selftest that could not fail would prove nothing."""
    from fuseguard.engine.effects import EffectRow, EffectsTable
    from fuseguard.engine.finding import Effect
    from fuseguard_rules.operator.op702_conv_weight_layout_unsupported import TransposedConvUnsupported

    monkeypatch.setattr(
        TransposedConvUnsupported, "effects", EffectsTable([EffectRow("*", "*", "*", Effect.UNDEFINED)])
    )
    title = "conv quantized along its input channels"
    (case, *_) = [case for case in cases([TransposedConvUnsupported()]) if case.title == title]
    result = judge_case(case)
    assert not result.agrees
    assert result.fault == "announced undefined, seen wrong"


def test_a_case_of_no_rule_is_refused() -> None:
    with pytest.raises(KeyError, match="no installed rule"):
        judge_case(dataclasses.replace(CASES[0], title="no such example"))


def test_an_abort_of_the_reference_model_is_a_verdict() -> None:
    """An int16 zero point at a convolution aborts it, which used to end the process that asked."""
    shape = (1, 4, 4, 4)
    b = GraphBuilder()
    x = b.quantized_input("x", shape, QParams.per_tensor(0.000187, 7, -(2**15), 2**15 - 1, "int16"))
    weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
    value = b.call("aten.conv2d.default", x, weight, None, shape=shape)
    program, inputs = materialize(
        b.output(b.requantize(value, QParams.per_tensor(0.0007, 0, -(2**15), 2**15 - 1, "int16")))
    )
    proof = prove(program, inputs, "TOSA-1.0+INT+int16")
    assert proof.outcome in ("runtime_fault", "crash"), proof
    if proof.outcome == "runtime_fault":
        assert "reference model aborted" in proof.exception

    b = GraphBuilder()
    x = b.quantized_input("x", shape, int8(0.0487, 3))
    healthy, inputs = materialize(b.output(b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 256, -128))))
    assert prove(healthy, inputs, "TOSA-1.0+INT").outcome == "exact", "the next program must not suffer from it"
