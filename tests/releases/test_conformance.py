"""The effects tables against reality: every example is lowered on the installed release and judged.

Protects the claim that every effect in a table was seen, and that a guarded lowering is never wrong.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.engine import Effect, Example, Report, run  # noqa: E402
from fuseguard.engine.registry import load_registry  # noqa: E402
from fuseguard.executorch import prove  # noqa: E402
from fuseguard.executorch.judge import Proof  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

PROFILES = ("TOSA-1.0+INT+FP", "TOSA-1.0+INT")
RULES = load_registry().select()
#: Outcomes that an effect allows the judge to see.
OUTCOMES = {
    Effect.CRASH: {"crash"},
    Effect.WRONG: {"wrong"},
    Effect.UNDEFINED: {"undefined"},
    Effect.RUNTIME_FAULT: {"runtime_fault"},
    Effect.BOUNDED: {"bounded"},
    Effect.QUALITY: {"exact", "bounded"},
    Effect.CPU_FALLBACK: {"exact", "bounded"},
    Effect.EXACT: {"exact", "bounded"},
}
UNIQUE: dict[str, Example] = {example.title: example for rule in RULES for example in (*rule.bad, *rule.good)}
PROGRAMS = {title: example for title, example in UNIQUE.items() if example.program is not None}


def assert_verdict_agrees(report: Report, proof: Proof) -> None:
    """The lint's worst effect is what the judge sees, and the error stays within the stated bound."""
    worst = report.findings[0] if report.findings else None
    expected = OUTCOMES[worst.effect] if worst else {"exact"}
    assert proof.outcome in expected, f"{worst and (worst.code, worst.effect)} but {proof}"
    bounds = [finding.bound_steps for finding in report.findings if finding.bound_steps is not None]
    if bounds and proof.max_error_steps is not None:
        # A rounding tie may add a hair to an exact bound, never a step.
        assert proof.max_error_steps <= max(bounds) + 0.01


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("title", UNIQUE)
def test_the_example_graph_does_what_the_table_says(title: str, profile: str) -> None:
    program, inputs = materialize(UNIQUE[title].graph())
    judge(program, inputs, UNIQUE[title].spec(profile))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("title", PROGRAMS)
def test_the_quantized_program_does_what_the_table_says(title: str, profile: str) -> None:
    example = PROGRAMS[title]
    assert example.program is not None
    module, inputs = example.program()
    spec = example.spec(profile)
    judge(quantize(module, inputs, spec, example.config, example.unquantized), inputs, spec)


def judge(program: ExportedProgram, inputs: tuple[torch.Tensor, ...], spec: str) -> None:
    report = run(read_program(program), Target.parse(spec), RULES)
    assert not report.failures
    assert_verdict_agrees(report, prove(program, inputs, spec))
    if any(finding.refuse for finding in report.findings):
        guarded = prove(program, inputs, spec, checks="guard")
        assert guarded.ok, guarded
