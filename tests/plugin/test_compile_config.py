"""What is lowered with another EdgeCompileConfig is linted, guarded, repaired and judged for it.

Protects: a verdict about ExecuTorch's default configuration that is given about another one.
"""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]

pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec  # noqa: E402
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner  # noqa: E402
from executorch.exir import EdgeCompileConfig  # noqa: E402

from fuseguard.executorch import guard, lower, prove, repair  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.partition import target_of  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402

SPEC = "TOSA-1.0+INT"
UNCHECKED = EdgeCompileConfig(_check_ir_validity=False)


def one_element() -> tuple[Any, Any]:
    """A program that ends in a view to rank 0."""
    b = GraphBuilder()
    x = b.quantized_input("x", (8,), int8(0.05))
    return materialize(b.output(b.requantize(b.call("aten.select.int", x, 0, 0, shape=()), int8(0.05))))


def crashes() -> bool:
    return target_of(SPEC).release_in(">=1.4")


def test_the_judge_lowers_with_the_configuration() -> None:
    program, inputs = one_element()
    assert prove(program, inputs, SPEC).outcome == ("crash" if crashes() else "exact")
    unchecked = prove(program, inputs, SPEC, compile_config=UNCHECKED)
    assert unchecked.outcome == "exact"
    assert unchecked.delegated_ops
    assert prove(program, inputs, target_of(SPEC, None, UNCHECKED)).outcome == "exact", "a Target says it, too"


def test_guard_and_repair_know_what_the_configuration_lets_pass() -> None:
    program, _ = one_element()
    assert bool(repair(program, SPEC).remaining) == crashes()
    assert not repair(program, SPEC, compile_config=UNCHECKED).remaining


def test_lower_hands_the_configuration_on() -> None:
    program, _ = one_element()
    partitioner = TOSAPartitioner(TosaCompileSpec(SPEC))
    manager = lower(program, partitioner, compile_config=UNCHECKED)
    assert not partitioner.fuseguard_report.refused
    targets = [str(node.target) for node in manager.exported_program().graph.nodes]
    assert any("executorch_call_delegate" in target for target in targets)
    assert not any("select" in target for target in targets)


def test_a_guard_is_made_for_the_configuration() -> None:
    partitioner = guard(TOSAPartitioner(TosaCompileSpec(SPEC)), compile_config=UNCHECKED)
    assert "without the check of the edge IR" in partitioner.fuseguard_report.target
