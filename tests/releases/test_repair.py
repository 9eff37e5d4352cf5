"""Repairs, proved three ways on the installed release: the eager results stay equal to the bit, the judge says exact,
and nothing that the guard left on the accelerator is lost. The torch-free rewriting of the tests does the same.

Every bad example of every rule that knows a repair is repaired and judged; in the short run a third of them, the
profiles by turns, with -m thorough each under both profiles. tests/rules/test_repairs.py holds that none of it is idle.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")


from fuseguard.engine import Example, Rule  # noqa: E402
from fuseguard.engine.example_cases import repair_policy  # noqa: E402
from fuseguard.executorch import prove, repair, support_checks  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard_testkit.repair_cases import EXAMPLES, PROFILES, SHORT, fixed  # noqa: E402
from fuseguard_testkit.repairing import eager_faults, lowered, lowering_faults, rewriting_faults  # noqa: E402

CASES = [
    pytest.param(
        rule,
        example,
        example.spec(profile),
        id=f"{rule.code}-{example.title}-{profile.removeprefix('TOSA-1.0+')}",
        marks=[pytest.mark.thorough] if profile != SHORT.get(number) else [],
    )
    for number, (rule, example) in enumerate(EXAMPLES)
    for profile in PROFILES
]


@pytest.mark.parametrize(("rule", "example", "spec"), CASES)
def test_a_repair_changes_nothing_but_the_lowering(rule: Rule, example: Example, spec: str) -> None:
    program, inputs = materialize(example.graph())
    policy = repair_policy(rule)
    result = repair(program, spec, policy)
    assert eager_faults(program, result, inputs, spec, policy) == []
    assert rewriting_faults(program, result, spec, policy) == []
    if rule.code in fixed(rule, example, spec):
        applied = {item.finding.code for item in result.applied}
        assert applied & {rule.code, *example.companions}, "the check calls it repairable"
    if result.applied:
        proof = lowered(result, inputs, spec, policy)
        faults = lowering_faults(result, proof, lambda: prove(program, inputs, spec, support_checks(spec, policy)))
        assert faults == [], proof


def test_the_original_is_left_alone() -> None:
    program, _ = materialize(EXAMPLES[0][1].graph())
    before = [node.format_node() for node in program.graph.nodes]
    assert repair(program, PROFILES[0]).applied
    assert [node.format_node() for node in program.graph.nodes] == before


def test_several_violations_at_once_are_fixed_together() -> None:
    """A stranded relu, a cat of two domains, a gate computed twice and a negation that changes domains."""
    shape = (1, 4, 8, 8)
    wide, narrow = int8(0.0231, 7), int8(0.00397, -119)
    b = GraphBuilder()
    x = b.quantize(b.input("x", shape), int8(0.0487, 3))
    weight = b.quantized_constant("weight", (4, 4, 3, 3), 0.01031)
    value = b.call("aten.conv2d.default", b.dequantize(x, int8(0.0487, 3)), weight, None, (1, 1), (1, 1), shape=shape)
    relu = b.requantize(b.call("aten.relu.default", value), wide)
    gates = [b.requantize(b.call("aten.sigmoid.default", b.dequantize(x, int8(0.0487, 3))), q) for q in (narrow, wide)]
    minus = b.requantize(b.call("aten.neg.default", gates[0]), wide)
    joined = b.call("aten.cat.default", (relu, gates[0], minus), 1, shape=(1, 12, 8, 8))
    program, inputs = materialize(b.output(b.requantize(joined, wide), gates[1]))
    for profile in PROFILES:
        result = repair(program, profile)
        assert {item.finding.code for item in result.applied} >= {"FU101", "QD201", "QD202", "QD203"}
        assert not [finding for finding in result.remaining if finding.refuse]
        assert largest_difference(program, result.program, inputs) == 0
        proof = prove(result.program, inputs, profile)
        assert proof.ok, proof
        assert all("quantize_per" in op for op in proof.cpu_ops), "everything is delegated"
