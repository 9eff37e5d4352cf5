"""The bug report that started the project, and its siblings, on the installed release.

The expectations are written out here, apart from the rules' effects tables: they are what the project must
never lose.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import fuseguard  # noqa: E402
from fuseguard.executorch import prove  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_rules.examples.fusion.modules import activation_into_cat  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "seed_issue"))
import seed_issue  # noqa: E402

INT_FP, INT = "TOSA-1.0+INT+FP", "TOSA-1.0+INT"
#: release range -> outcome of the unguarded seed per profile
SEED = {
    "<1.3": {INT_FP: "crash", INT: "exact"},
    ">=1.3,<1.5": {INT_FP: "exact", INT: "exact"},
    ">=1.5": {INT_FP: "wrong", INT: "wrong"},
}
#: the same for linear, conv1d and grouped convolution
CHAINED = {
    "<1.5": {INT_FP: "crash", INT: "exact"},
    ">=1.5": {INT_FP: "wrong", INT: "wrong"},
}


def expected(table: dict[str, dict[str, str]], profile: str) -> str:
    target = Target.parse(profile)
    return next(row[profile] for releases, row in table.items() if target.release_in(releases))


@pytest.fixture(scope="module")
def seed():
    return seed_issue.quantized()


def test_the_seed_has_the_reported_qparams(seed) -> None:
    program, _ = seed
    (relu_q,) = [n for n in program.graph.nodes if "quantize_per_tensor" in str(n.target) and "relu" in str(n.args[0])]
    assert (relu_q.args[2], relu_q.args[3]) == (-111, -127)


@pytest.mark.parametrize("profile", [INT_FP, INT])
def test_the_seed(seed, profile: str) -> None:
    program, inputs = seed
    assert "FU101" in {finding.code for finding in fuseguard.check(program, profile).findings}
    proof = prove(program, inputs, profile)
    assert proof.outcome == expected(SEED, profile), proof
    if proof.outcome == "crash":
        assert "RewriteConvPass: No output quantization parameter found" in proof.exception
    guarded = prove(program, inputs, profile, checks="guard")
    assert guarded.outcome == "exact", guarded
    assert any("convolution" in name for name in guarded.delegated), "only the broken island leaves the accelerator"


@pytest.mark.parametrize("profile", [INT_FP, INT])
@pytest.mark.parametrize("anchor", ["linear", "conv1d", "grouped"])
def test_the_seed_with_an_anchor_that_is_decomposed(anchor: str, profile: str) -> None:
    module, inputs = activation_into_cat(anchor, "relu", (), signed=True)
    program = quantize(module, inputs, profile)
    assert prove(program, inputs, profile).outcome == expected(CHAINED, profile)
    assert prove(program, inputs, profile, checks="guard").outcome == "exact"
