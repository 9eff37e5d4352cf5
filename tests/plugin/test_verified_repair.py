"""A repair that was tried: what it says was done, what it refuses to hand out, and that it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")
pytest.importorskip("tosa_reference_model")

import torch  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from fuseguard.backend.releases import RESCALES_UINT8  # noqa: E402
from fuseguard.cli.main import cli  # noqa: E402
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule  # noqa: E402
from fuseguard.executorch import EndlessRepair, InexactRepair, RepairFault, repair, repair_and_verify  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.ir import Graph, QParams, View  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_rules.examples.fusion import islands as examples  # noqa: E402
from fuseguard_testkit.composing import as_uint8  # noqa: E402

TARGETS = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP")
SHAPE = (1, 4, 4, 4)


class Requantizing(Rule):
    """Puts other qparams in front of a tanh, finer or coarser by turns."""

    code = "ZZ100"
    name = "coarse-tanh"
    summary = why = remedy = "None."
    scope = "node"
    message = "{node}"
    effects = EffectsTable([EffectRow("*", "*", "*", Effect.WRONG, reference="none")])
    bad = good = ()
    scale, instead = 0.05, 0.04

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            qparams = view.in_qp(node, 0)
            if node.kind == "tanh" and qparams is not None and qparams.scale == self.scale:
                yield self.finding(view, target, (node,), case="*", node=node.name)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        dq = view.in_dq(view.graph[finding.nodes[0]], 0)
        assert dq is not None
        return Rewrite((Insert(dq.name, (finding.nodes[0],), (Pair(int8(self.instead)),)),))


class Back(Requantizing):
    code = "ZZ200"
    name = "fine-tanh"
    scale, instead = 0.04, 0.05


class Lost(Requantizing):
    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        return Rewrite((Insert("nowhere", (finding.nodes[0],), (Pair(int8(0.04)),)),))


def with_rules(monkeypatch: pytest.MonkeyPatch, *rules: Rule) -> None:
    registry = SimpleNamespace(select=lambda select=(), ignore=(): rules)
    monkeypatch.setattr("fuseguard.executorch.repairs.load_registry", lambda: registry)


def tanh() -> tuple[Any, tuple[torch.Tensor, ...]]:
    b = GraphBuilder()
    x = b.quantized_input("x", SHAPE, int8(0.05))
    return materialize(b.output(b.requantize(b.call("aten.tanh.default", x), int8(1 / 128))))


# --- what is tried ------------------------------------------------------------------------------------------


def test_a_repair_is_compared_and_judged() -> None:
    program, inputs = materialize(examples.OUT_OF_RANGE[0].graph())
    verified = repair_and_verify(program, inputs, TARGETS[0])
    assert [item.finding.code for item in verified.applied] == ["FU101"]
    assert verified.applied[0].rewrite == verified.applied[0].finding.rewrite
    assert (verified.eager_error, verified.runs) == (0.0, 2)
    assert verified.proof is not None
    assert (verified.proof.outcome, verified.proof.guarded) == ("exact", False)
    assert verified.ok
    assert verified.program is verified.result.program is not program


def test_without_the_judge_the_results_are_compared_all_the_same() -> None:
    program, inputs = materialize(examples.OUT_OF_RANGE[0].graph())
    verified = repair_and_verify(program, inputs, judge=False)
    assert (verified.proof, verified.eager_error, verified.runs) == (None, 0.0, 2)
    assert verified.ok


def pools() -> tuple[Any, tuple[torch.Tensor, ...]]:
    """A pool whose result is quantized in two ways, of which no exact repair is known."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))
    value = b.call("aten.avg_pool2d.default", x, (2, 2), (2, 2), shape=SHAPE)
    return materialize(b.output(b.requantize(value, int8(0.02, 3)), b.requantize(value, int8(0.05, 7))))


def test_what_remains_is_judged_with_the_guard_and_not_ok() -> None:
    program, inputs = pools()
    verified = repair_and_verify(program, inputs)
    assert [finding.code for finding in verified.remaining] == ["QD204"]
    assert verified.proof is not None
    assert (verified.proof.outcome, verified.proof.guarded) == ("exact", True)
    assert not verified.ok


def test_an_unsafe_repair_may_change_the_results_and_says_by_how_much() -> None:
    program, inputs = pools()
    verified = repair_and_verify(program, inputs, unsafe=True)
    # Half a step of each domain that it adds, and a step of the output's own.
    assert 0 < verified.eager_error < 0.0487 / 2 + 0.05 / 2 + 0.02
    assert verified.ok


def test_a_repair_that_should_be_exact_and_is_not_is_never_handed_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_rules(monkeypatch, Requantizing())
    program, inputs = tanh()
    with pytest.raises(InexactRepair, match=r"differ from the original's by 0\.0.* repair of ZZ100") as caught:
        repair_and_verify(program, inputs, judge=False)
    assert caught.value.difference > 0
    assert isinstance(caught.value, RepairFault)
    result, out = on_the_command_line(program, tmp_path)
    assert result.exit_code == 2
    assert "every repair in it should be exact" in result.stderr
    assert "Nothing was written." in result.stderr
    assert not out.exists()


def test_a_rewrite_that_does_not_fit_names_its_rule(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_rules(monkeypatch, Lost())
    program, inputs = tanh()
    with pytest.raises(RepairFault, match=r"has no node 'nowhere'\. This is a bug in rule ZZ100, please report it"):
        repair_and_verify(program, inputs)
    result, out = on_the_command_line(program, tmp_path)
    assert (result.exit_code, out.exists()) == (2, False)
    assert "Traceback" not in result.output


def test_without_tosa_tools_only_the_judge_is_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And the lowering is not blamed for it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    program, inputs = materialize(examples.OUT_OF_RANGE[0].graph())
    assert repair_and_verify(program, inputs, judge=False).ok
    with pytest.raises(ImportError, match="tosa_reference_model"):
        repair_and_verify(program, inputs)
    result, out = on_the_command_line(program, tmp_path)
    assert (result.exit_code, out.exists()) == (2, False)
    assert "--no-prove" in result.stderr


# --- that it ends -------------------------------------------------------------------------------------------


def on_the_command_line(program: Any, folder: Path) -> tuple[Any, Path]:
    file, out = folder / "model.pt2", folder / "out.pt2"
    torch.export.save(program, file)
    return CliRunner().invoke(cli, ["repair", str(file), "--trust", "-o", str(out)]), out


def test_repairs_that_undo_one_another_are_a_fault_with_an_exit_code_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_rules(monkeypatch, Requantizing(), Back())
    program, inputs = tanh()
    before = [node.format_node() for node in program.graph.nodes]
    undo = "ZZ100 (coarse-tanh) at tanh and ZZ200 (fine-tanh) at tanh undo one another"
    for tried in (lambda: repair(program), lambda: repair_and_verify(program, inputs)):
        with pytest.raises(EndlessRepair, match=re.escape(undo)) as caught:
            tried()
        assert caught.value.rules == ("ZZ100", "ZZ200")
    assert [node.format_node() for node in program.graph.nodes] == before
    result, out = on_the_command_line(program, tmp_path)
    assert result.exit_code == 4
    assert undo in result.stderr
    assert "--ignore ZZ100" in result.stderr
    assert "Nothing was written." in result.stderr
    assert "Traceback" not in result.output
    assert not out.exists()


def uint8(scale: float, zero_point: int) -> QParams:
    qparams = as_uint8(int8(scale, zero_point - 128))
    assert qparams is not None
    return qparams


def cat(entry: str, first: QParams, second: QParams, out: QParams, raw: bool = False) -> Graph:
    """Two inputs in one cat. ``entry`` ``codes``: the program is given uint8; ``float``: it quantizes floats to it.
    ``raw``: its output is codes too.
    """
    b = GraphBuilder()

    def given(name: str, qparams: QParams) -> str:
        if entry == "codes" and qparams.dtype == "uint8":
            return b.dequantize(b.input(name, SHAPE, "uint8"), qparams)
        return b.quantized_input(name, SHAPE, qparams)

    value = b.call("aten.cat.default", (given("x", first), given("y", second)), 1, shape=(1, 8, 4, 4))
    return b.output(b.quantize(value, out) if raw else b.requantize(value, out))


def added(first: QParams, second: QParams, out: QParams) -> Graph:
    b = GraphBuilder()
    x = b.dequantize(b.input("x", SHAPE, "uint8"), first)
    return b.output(b.requantize(b.call("aten.add.Tensor", x, b.quantized_input("y", SHAPE, second)), out))


A, B, OUT = uint8(0.05, 128), uint8(0.04, 100), uint8(0.06, 120)
MET = {
    "of one domain": cat("float", A, A, A),
    "of two domains": cat("float", A, B, A),
    "codes in and out": cat("codes", A, B, OUT, raw=True),
    "codes in": cat("codes", A, B, int8(0.06, 3)),
    "codes and int8, codes out": cat("codes", A, int8(0.04, 10), OUT, raw=True),
    "added to int8": added(A, int8(0.04, 10), int8(0.06, 3)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", MET)
def test_uint8_operands_become_int8_and_the_repair_ends(kind: str, target: str) -> None:
    """DT504 makes one operand of a cat int8; DT501 made it uint8 again, as the cat's result is. 16 rounds of it."""
    program, inputs = materialize(MET[kind])
    verified = repair_and_verify(program, inputs, target)
    assert verified.eager_error == 0
    assert verified.proof is not None
    if not RESCALES_UINT8.in_force(Target.parse(target)):
        # No RESCALE writes uint8, so nothing can be made int8. The repair ends, and says what is left.
        left = {item.code for item in verified.remaining}
        assert left
        assert left <= {"DT504", "DT507"}
        assert not verified.ok
        # DT507 is at the program's own boundary, and no refusal prevents it.
        assert verified.proof.outcome == ("exact" if any(item.refuse for item in verified.remaining) else "crash")
        assert len(verified.program.graph.nodes) <= len(program.graph.nodes) + 10
        return
    assert {item.finding.code for item in verified.applied} <= {"DT501", "DT504", "QD203"}
    assert verified.remaining == ()
    assert verified.proof.outcome == "exact", verified.proof
    assert any("cat" in name or "add" in name for name in verified.proof.delegated)
    assert len(verified.program.graph.nodes) <= len(program.graph.nodes) + 10
