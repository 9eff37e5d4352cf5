"""What stays on the CPU, and why: compared with what a lowering leaves there, and with Arm's own reporter."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.backends.arm.tosa import partitioner as tosa_partitioner  # noqa: E402
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec  # noqa: E402
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner  # noqa: E402
from executorch.backends.arm.vgf import VgfCompileSpec  # noqa: E402
from executorch.exir.backend.utils import WhyNoPartitionReporter  # noqa: E402
from torch.fx.passes.operator_support import OperatorSupportBase  # noqa: E402

from fuseguard.executorch import PartitionError, Placement, UntrustedFile, placement, support_checks  # noqa: E402
from fuseguard.executorch.lowering import Lowered, lower_to_edge  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.quantizing import quantize  # noqa: E402
from fuseguard.report.json import dump  # noqa: E402
from fuseguard.report.lines import plain  # noqa: E402
from fuseguard.report.placement import render, to_dict  # noqa: E402
from fuseguard.schemas import load_schema  # noqa: E402
from fuseguard_rules.examples.boundary import bo603 as flow  # noqa: E402
from fuseguard_rules.examples.fusion import islands as examples  # noqa: E402
from fuseguard_testkit.paths import DATA  # noqa: E402

SPEC = "TOSA-1.0+INT"


class Mixed(torch.nn.Module):
    """Ops that no list has, of which a check refuses a shape, a dtype, and one that is not quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.relu(self.conv(x))
        wide = y.reshape(1, 2, 2, 2, 2, 4, 8) + 1
        return y * 2, wide, y.argmax(1), torch.topk(y.mean((2, 3)), 2)[0]


@pytest.fixture(scope="module")
def mixed() -> torch.export.ExportedProgram:
    torch.manual_seed(0)
    return quantize(Mixed(), (torch.randn(1, 3, 8, 8),), SPEC)


@pytest.fixture(scope="module")
def found(mixed: torch.export.ExportedProgram) -> Placement:
    return placement(mixed, SPEC, guarded=False)


def lowered(program: Any, spec: str, checks: Any = None) -> Lowered:
    return lower_to_edge(copy.deepcopy(program), TosaCompileSpec(spec), checks)


def on_cpu(result: Placement) -> set[str]:
    return {item.before for item in result.left_out} - {""}


def reasons(result: Placement, before: str) -> list[tuple[str, str]]:
    [item] = [item for item in result.left_out if item.before == before]
    return [(reason.kind, reason.check) for reason in item.reasons]


def test_it_is_what_a_lowering_leaves_on_the_cpu(mixed: torch.export.ExportedProgram, found: Placement) -> None:
    real = lowered(mixed, SPEC)
    assert on_cpu(found) == real.on_cpu
    assert found.partitions == real.delegates
    assert sorted(item.op for item in found.left_out) == sorted(real.cpu_ops)
    assert found.delegated == len(real.delegated)
    assert not found.errors


def test_every_check_is_asked_and_the_first_is_the_one_that_arm_reports(
    mixed: torch.export.ExportedProgram, found: Placement, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Kept(WhyNoPartitionReporter):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(tosa_partitioner, "WhyNoPartitionReporter", Kept)
    lowered(mixed, SPEC)
    told = {node.name: text for node, text in made[0]._rejected_nodes.items() if node.op == "call_function"}
    texts = {item.node: [reason.text for reason in item.reasons] for item in found.left_out}
    assert {name for name in told if name in texts} >= {item.node for item in found.ops}
    for name in set(told) & set(texts):
        assert told[name] in texts[name], name
    several = [item for item in found.ops if len(item.reasons) > 1]
    assert {item.before for item in several} >= {"argmax", "topk"}


def test_the_reasons_are_those_of_the_checks(found: Placement) -> None:
    kinds = dict(reasons(found, "topk"))
    assert kinds == {"support": "CheckArmQuantized"}
    assert ("support", "TOSA support list") in reasons(found, "topk")
    assert ("support", "RankCheck") in reasons(found, "add")
    assert ("support", "CheckInt64InputsAndOutputs") in reasons(found, "argmax")
    [add] = [item for item in found.left_out if item.before == "add"]
    assert add.source is not None
    assert Path(add.source.file).name == "test_placing.py"
    assert "wide = " in add.source.code


def test_the_guard_says_what_it_refuses_and_what_is_taken_along() -> None:
    program, _ = materialize(examples.OUT_OF_RANGE[0].graph())
    free, guarded = placement(program, SPEC, guarded=False), placement(program, SPEC)
    real = lowered(program, SPEC, support_checks(SPEC))
    assert on_cpu(guarded) == real.on_cpu
    assert guarded.partitions == real.delegates
    assert on_cpu(free) == lowered(program, SPEC).on_cpu  # before 1.5, Arm's own check refuses the convolution too
    assert ("fuseguard", "FU101") in reasons(guarded, "conv2d")
    texts = [reason.text for item in guarded.left_out for reason in item.reasons]
    assert any(text.startswith("refused together with ") for text in texts)
    assert (free.policy, guarded.policy) == ("", "consistent")


def test_what_the_partitioner_takes_out_again_is_told() -> None:
    """With float support, a quantize op alone is a partition that is dropped."""
    program, _ = materialize(examples.OUT_OF_RANGE[0].graph())
    result = placement(program, VgfCompileSpec())
    dropped = [reason for item in result.left_out for reason in item.reasons if reason.kind == "partition"]
    assert {reason.text for reason in dropped} == {
        "Partition contained only ops which are removed in the TOSA lowering, leading to an empty partition."
    }
    assert result.target.startswith("TOSA-1.0+INT+FP") or result.target.startswith("vgf")


def test_quantizers_at_the_edge_are_told_from_ops(found: Placement) -> None:
    edge = [item for item in found.left_out if any(reason.kind == "boundary" for reason in item.reasons)]
    assert edge
    assert all(item.is_quantizer for item in edge)
    assert not set(edge) & set(found.ops)


def test_control_flow_that_is_left_out_has_its_body_named() -> None:
    example = next(item for item in flow.GOOD if "cond" in item.title)
    program, _ = materialize(example.graph())
    without, inside = placement(program, SPEC), placement(program, f"{SPEC}+cf")
    [cond] = without.ops
    assert (cond.op, cond.reasons[0].check) == ("higher_order.cond", "ControlFlowOpSupported")
    assert not inside.ops
    assert inside.partitions == lowered(program, f"{SPEC}+cf").delegates == 1


class Never(OperatorSupportBase):
    def is_node_supported(self, submodules: Any, node: torch.fx.Node) -> bool:
        return "relu" not in str(node.target)


class Silly(OperatorSupportBase):
    def is_node_supported(self, submodules: Any, node: torch.fx.Node) -> bool:
        raise RuntimeError("a fault of the check")


def test_a_partitioner_keeps_its_own_checks_and_is_not_changed(mixed: torch.export.ExportedProgram) -> None:
    given = TOSAPartitioner(TosaCompileSpec(SPEC), additional_checks=[Never()])
    before = dict(vars(given))
    result = placement(mixed, given)
    assert ("additional", "Never") in reasons(result, "relu")
    assert vars(given) == before


def test_what_the_backend_raises_is_told(mixed: torch.export.ExportedProgram) -> None:
    given = TOSAPartitioner(TosaCompileSpec(SPEC), additional_checks=[Silly()])
    with pytest.raises(PartitionError, match="RuntimeError: a fault of the check"):
        placement(mixed, given)


def test_a_file_needs_trust() -> None:
    with pytest.raises(UntrustedFile, match="Partitioning a program needs"):
        placement(DATA / "conv_cat.pt2")


def test_the_report_is_short_and_the_json_complete(found: Placement) -> None:
    text = plain(render(found, "model.pt2"))
    assert "RankCheck" in text
    assert "test_placing.py" in text
    assert len(str(found).splitlines()) <= 10
    assert repr(found) == f"<fuseguard Placement: {str(found).splitlines()[0]} ...>"
    shown = found._repr_html_()
    assert "on the CPU</b>" in shown
    assert "RankCheck: " in shown
    assert "test_placing.py:" in shown
    document = json.loads(dump(to_dict(found, "model.pt2")))
    jsonschema.Draft202012Validator(load_schema("placement")).validate(document)
    jsonschema.Draft202012Validator(load_schema("placement")).validate(found.to_dict())
    assert [item["node"] for item in document["left_out"]] == [item.node for item in found.left_out]
    assert all(item["reasons"] for item in document["left_out"])
