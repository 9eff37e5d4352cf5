"""A repair that stores what a program makes of constants: no bit of the results changes, and nothing unread is left.

Protects: the rsqrt of a batch norm's variance, which a 16-bit table gets wrong by thousands of steps.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

from fuseguard.engine import Fold, Rewrite  # noqa: E402
from fuseguard.engine.rounds import RepairFault  # noqa: E402
from fuseguard.executorch import prove, repair  # noqa: E402
from fuseguard.executorch.copying import copy_program  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference  # noqa: E402
from fuseguard.executorch.rewriting import apply_rewrites  # noqa: E402
from fuseguard_rules.examples.dtype import softmax_graphs as graphs  # noqa: E402

TARGET = "TOSA-1.0+INT+int16"


def test_a_folded_variance_is_exact_and_its_parts_are_gone() -> None:
    program, inputs = materialize(graphs.tiny_variances())
    stored = set(program.state_dict) | set(program.constants)
    result = repair(program, TARGET)
    assert [item.finding.code for item in result.applied] == ["DT503"]
    assert result.exact
    assert largest_difference(program, result.program, inputs) == 0
    result.program.validate()
    assert not [node for node in result.program.graph.nodes if "rsqrt" in str(node.target)]
    assert "variance" in stored
    assert "variance" not in result.program.state_dict
    assert set(program.state_dict) | set(program.constants) == stored, "the program itself stays as it is"
    assert prove(program, inputs, TARGET).outcome == "wrong"
    assert prove(result.program, inputs, TARGET).ok


def test_what_depends_on_an_input_is_not_folded() -> None:
    program, _ = materialize(graphs.plain())
    q = next(node.name for node in program.graph.nodes if "quantize_per_tensor" in node.name)
    with pytest.raises(RepairFault, match="not made of constants alone"):
        apply_rewrites(copy_program(program), [Rewrite((Fold(q, ()),))])
