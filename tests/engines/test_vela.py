"""The engine vela: programs that Vela compiles, refuses, dies of or hangs on.

The real runs are skipped where Vela is not installed; 'fuseguard doctor' says why.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("executorch")

import torch  # noqa: E402
from torch import nn  # noqa: E402

from fuseguard.engine.registry import load_registry  # noqa: E402
from fuseguard.engine.rule import Example, Rule  # noqa: E402
from fuseguard.engine.run import run  # noqa: E402
from fuseguard.executorch import prove, repair  # noqa: E402
from fuseguard.executorch.engines import vela, vela_worker  # noqa: E402
from fuseguard.executorch.engines.npu import NpuDelegate, NpuReport  # noqa: E402
from fuseguard.executorch.engines.status import vela_status  # noqa: E402
from fuseguard.executorch.engines.vela import VelaEngine  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference  # noqa: E402
from fuseguard.executorch.proof import Proof, with_npu  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.report.proof import to_dict  # noqa: E402
from fuseguard.schemas import load_schema  # noqa: E402
from fuseguard.target import Target, TargetError  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

RULE = load_registry().get("OP724")
assert RULE is not None
#: Releases that the table says were measured with the engine.
MEASURED = {release for row in RULE.effects.rows for release in row.measured_on}
FORKS = load_registry().get("OP727")
assert FORKS is not None
HANDED = load_registry().get("BO608")
assert HANDED is not None
ENTRIES = load_registry().get("OP730")
assert ENTRIES is not None
_STATUS = vela_status()
needs_vela = pytest.mark.skipif(not _STATUS.works, reason=_STATUS.explained().replace("\n", " "))
measured = pytest.mark.skipif(version("executorch") not in MEASURED, reason="measured on other releases")
newest = pytest.mark.skipif(version("executorch") != "1.5.1", reason="measured on 1.5.1")

_ABORTS = "import os, sys\nsys.stderr.write('regor: assertion failed\\n')\nsys.stderr.flush()\nos.abort()\n"
_HANGS = "import time\ntime.sleep(60)\n"
_RAISES = """
def prepare():
    def answer(request):
        raise RuntimeError("Compilation failed: Validation error:\\nConv2D:\\n - Unsupported operation\\n")
    return answer
"""
_WRITES_NOTHING = "def prepare():\n    return lambda request: 0\n"


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compiles a graph as the backend does, in a process that runs a script."""
    monkeypatch.setattr(vela, "require", lambda *_: None)
    from executorch.backends.arm.ethosu import backend

    def run(script: str, seconds: float = 30) -> tuple[NpuDelegate, bytes]:
        path = tmp_path / "worker.py"
        path.write_text(script)
        monkeypatch.setattr(vela_worker, "__file__", str(path))
        engine = VelaEngine(seconds)
        before = backend.vela_compile
        with engine._compilations() as found:
            result = backend.vela_compile(b"a graph", ["--accelerator-config=ethos-u55-128"])
        assert backend.vela_compile is before
        engine.close()
        return found[b"a graph"], getattr(result, "processed_bytes", result)

    return run


@pytest.mark.parametrize(
    ("script", "seconds", "fault", "said"),
    [
        (_ABORTS, 30.0, "died", "died (exit code -6): regor: assertion failed. A lowering without fuseguard"),
        (_HANGS, 1.0, "slow", "ended after 1 s. Give it more time (--engine-timeout)"),
        (_RAISES, 30.0, "refused", "RuntimeError: Compilation failed: Validation error: Conv2D: Unsupported operation"),
        (_WRITES_NOTHING, 30.0, "refused", "ValueError: Vela has written no summary"),
    ],
    ids=["aborts", "hangs", "refuses", "writes nothing"],
)
def test_what_vela_does_not_compile_is_a_fault_of_the_delegate_and_its_tosa_goes_on(
    compiled: Any, script: str, seconds: float, fault: str, said: str
) -> None:
    delegate, result = compiled(script, seconds)
    assert delegate.fault == fault
    assert said in delegate.reason
    assert result == b"a graph"


def _report(*faults: str) -> NpuReport:
    delegates = tuple(NpuDelegate(number, fault, fault and "why") for number, fault in enumerate(faults))  # type: ignore[arg-type]
    return NpuReport("ethos-u55-128", "5.1.0", "", "", delegates)


def test_a_refused_delegate_is_a_crash_and_a_slow_one_is_not_judged() -> None:
    made = Proof("exact", "ethos-u55-128", "1.5.1", elements=4, engine="vela")
    right = with_npu(made, _report("", ""))
    assert (right.outcome, right.exception, right.npu and right.npu.tosa) == ("exact", "", "exact")
    slow = with_npu(made, _report("", "slow"))
    assert (slow.outcome, slow.exception) == ("not_judged", "delegate 1: why")
    for fault in ("refused", "died"):
        crash = with_npu(made, _report("slow", fault))
        assert (crash.outcome, crash.exception, crash.calls, crash.ok) == ("crash", "delegate 1: why", 0, False)
        assert crash.npu is not None
        assert crash.npu.tosa == "exact"
        assert "is exact in the reference model" in crash.notes[0]


def test_several_input_sets_are_all_refused() -> None:
    one = Proof("exact", "ethos-u55-128", "1.5.1", elements=4, engine="vela")
    made = with_npu(Proof("exact", "ethos-u55-128", "1.5.1", engine="vela", by_inputs=(one, one)), _report("refused"))
    assert [item.outcome for item in made.by_inputs] == ["crash", "crash"]
    document = to_dict(made, "m.pt2", ["a", "b"])
    jsonschema.Draft202012Validator(load_schema("prove")).validate(json.loads(json.dumps(document)))


# --- real runs ----------------------------------------------------------------------------------------------


class Convolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x))


@needs_vela
@newest
@pytest.mark.parametrize("target", ["ethos-u55-128", "ethos-u85-256"])
def test_a_program_that_vela_compiles_has_cycles_for_each_operator(target: str) -> None:
    torch.manual_seed(0)
    inputs = (torch.randn(1, 3, 8, 8),)
    program = quantize(Convolution().eval(), inputs, "TOSA-1.0+INT")
    proof = prove(program, inputs, target, engine="vela")
    assert (proof.outcome, proof.engine) == ("exact", "vela")
    assert all("quantize_per" in op for op in proof.cpu_ops)
    npu = proof.npu
    assert npu is not None
    assert (npu.accelerator, npu.tosa, npu.faults, len(npu.delegates)) == (target, "exact", (), 1)
    assert npu.system_config.startswith("Ethos_U")
    [delegate] = npu.delegates
    conv = next(op for op in delegate.ops if op.kind == "CONV2D")
    assert conv.place == "NPU"
    assert 0 < conv.cycles <= delegate.cycles
    assert {op.place for op in delegate.ops if op.kind == "RESCALE"} <= {"NPU", "fused"}
    assert delegate.sram >= 8 * 8 * (3 + 4), "input and output are in it"
    assert delegate.binary > 0


class Fork(nn.Module):
    """Two readers of one convolution, whose sum is requantized twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.conv(x)
        return torch.relu(value) + value


@needs_vela
@newest
def test_a_fork_of_an_int16_convolution_is_right_as_tosa_and_vela_refuses_it_for_u55() -> None:
    torch.manual_seed(0)
    inputs = (torch.randn(1, 3, 8, 8),)
    program = quantize(Fork().eval(), inputs, Target.parse("ethos-u55-128").spec, "a16w8")
    proof = prove(program, inputs, "ethos-u55-128", engine="vela")
    assert (proof.outcome, proof.ok) == ("crash", False)
    assert proof.npu is not None
    assert proof.npu.tosa == "bounded"
    assert "Non-passthrough operation (Conv2D) could not run on NPU" in proof.exception


@needs_vela
def test_another_target_is_refused_before_anything_is_lowered() -> None:
    inputs = (torch.randn(1, 3, 8, 8),)
    program = torch.export.export(Convolution().eval(), inputs)
    with pytest.raises(TargetError, match="the engine vela compiles for Ethos-U, and not for vgf"):
        prove(program, inputs, "vgf", engine="vela")


@pytest.mark.slow
@needs_vela
@measured
@pytest.mark.parametrize("target", ["ethos-u55-128", pytest.param("ethos-u85-256", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("example", [*RULE.bad, *RULE.good], ids=lambda example: example.title)
def test_the_examples_of_a_result_that_is_an_input_do_what_the_table_says(example: Example, target: str) -> None:
    """Each bad one is refused by Vela and exact as TOSA, and exact guarded and repaired; each good one compiles."""
    program, inputs = materialize(example.graph())
    found = run(read_program(program), Target.parse(target), (RULE,)).findings
    proof = prove(program, inputs, target, engine="vela")
    if example in RULE.good:
        assert not found
        assert (proof.outcome, proof.exception) == ("exact", "")
        return
    [finding] = found
    assert proof.outcome == finding.effect.value
    if proof.outcome == "exact":  # a pad, before 1.5
        return
    assert proof.outcome == "crash"
    assert "does not have any writers" in proof.exception
    assert proof.npu is not None
    assert proof.npu.tosa == "exact"
    assert prove(program, inputs, target, "guard", engine="vela").outcome == "exact"
    repaired = repair(program, target, select=["OP724"])
    assert len(repaired.applied) == 1
    assert largest_difference(program, repaired.program, inputs) == 0.0
    assert prove(repaired.program, inputs, target, engine="vela").outcome == "exact"


@pytest.mark.slow
@pytest.mark.thorough
@needs_vela
@pytest.mark.skipif(version("executorch") not in ("1.5.0", "1.5.1"), reason="measured on 1.5")
@pytest.mark.parametrize("example", [*FORKS.bad, *FORKS.good], ids=lambda example: example.title)
def test_the_examples_of_an_int16_convolution_do_on_u55_what_the_table_says(example: Example) -> None:
    _does_on_u55_what_the_table_says(FORKS, example, "could not run on NPU", ("exact", "bounded"))


@pytest.mark.slow
@needs_vela
@newest
@pytest.mark.parametrize("example", [*ENTRIES.bad, *ENTRIES.good], ids=lambda example: example.title)
def test_the_examples_of_a_leading_entry_do_on_u55_what_the_table_says(example: Example) -> None:
    _does_on_u55_what_the_table_says(ENTRIES, example, "the process that runs Vela died", ("exact",))


def _does_on_u55_what_the_table_says(rule: Rule, example: Example, said: str, tosa: tuple[str, ...]) -> None:
    """Each bad one fails in Vela, and is right as TOSA, for U85, guarded and repaired; each good one compiles."""
    program, inputs = materialize(example.graph())
    found = run(read_program(program), Target.parse("ethos-u55-128"), (rule,)).findings
    assert bool(found) == (example in rule.bad)
    proof = prove(program, inputs, "ethos-u55-128", engine="vela")
    if not found:
        assert proof.ok, proof
        return
    assert proof.outcome == "crash"
    assert said in proof.exception
    assert proof.npu is not None
    assert proof.npu.tosa in tosa
    assert prove(program, inputs, "ethos-u85-256", engine="vela").ok
    assert prove(program, inputs, "ethos-u55-128", "guard", engine="vela").ok
    repaired = repair(program, "ethos-u55-128", select=[rule.code])
    assert repaired.exact
    assert prove(repaired.program, inputs, "ethos-u55-128", engine="vela").ok


class BatchedAttention(torch.nn.Module):
    """As timm and others write it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = torch.neg(x).reshape(2, 4, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        return torch.softmax((q * 0.5) @ k.transpose(-1, -2), -1) @ v


@pytest.mark.slow
@needs_vela
@newest
def test_attention_in_batches_is_guarded_and_repaired_for_u55() -> None:
    inputs = (torch.randn(2, 4, 24, generator=torch.Generator().manual_seed(0)),)
    program = quantize(BatchedAttention(), inputs, "TOSA-1.0+INT")
    proof = prove(program, inputs, "ethos-u55-128", engine="vela")
    assert proof.outcome == "crash"
    assert prove(program, inputs, "ethos-u55-128", "guard", engine="vela").ok
    repaired = repair(program, "ethos-u55-128")
    assert repaired.exact
    assert not [finding for finding in repaired.remaining if finding.code == "OP730"]
    assert prove(repaired.program, inputs, "ethos-u55-128", engine="vela").ok


@pytest.mark.slow
@pytest.mark.thorough
@needs_vela
@measured
@pytest.mark.parametrize("example", [*HANDED.bad, *HANDED.good], ids=lambda example: example.title)
def test_the_examples_of_a_body_that_yields_an_operand_do_on_u85_what_the_table_says(example: Example) -> None:
    """Each bad one is refused by Vela and exact as TOSA; each good one, with the remedy among them, compiles."""
    program, inputs = materialize(example.graph())
    found = run(read_program(program), Target.parse("ethos-u85-256"), (HANDED,)).findings
    assert bool(found) == (example in HANDED.bad)
    proof = prove(program, inputs, "ethos-u85-256", engine="vela")
    assert proof.npu is not None
    assert proof.npu.tosa == "exact"
    assert proof.outcome == ("crash" if found else "exact"), proof.exception
    assert proof.delegates == 1
    assert ("does not have any writers" in proof.exception) == bool(found)
