"""What somebody tries first in Python: paths, managers and wrong inputs are taken or refused in plain words.

Protects: a raw torch error or ``'str' object has no attribute`` where the command line says what to do.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("executorch.exir")
pytestmark = [pytest.mark.torch]

import torch  # noqa: E402
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec  # noqa: E402
from executorch.exir import to_edge  # noqa: E402

import fuseguard  # noqa: E402
from fuseguard.executorch import (  # noqa: E402
    GuardReport,
    Proof,
    RepairResult,
    UntrustedFile,
    VerifiedRepair,
    prove,
    repair,
    repair_and_verify,
)
from fuseguard.executorch.inputs import InputsError  # noqa: E402
from fuseguard_testkit.paths import DATA  # noqa: E402
from fuseguard_testkit.report_fakes import FINDING, finding, report  # noqa: E402

FILE = DATA / "conv_cat.pt2"
TARGET = "TOSA-1.0+INT"
INPUTS = (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4))


@pytest.fixture(scope="module")
def repaired() -> RepairResult:
    return repair(FILE, TARGET, trust=True)


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, ...]:
    program = torch.export.load(FILE)
    return tuple(torch.randn_like(value) for value in program.example_inputs[0])


def test_a_file_needs_trust() -> None:
    for call in (
        lambda: prove(str(FILE), INPUTS), lambda: repair(FILE), lambda: repair_and_verify(FILE, INPUTS),
    ):  # fmt: skip
        with pytest.raises(UntrustedFile, match=r"without trust=True.*torch\.export\.load.*runs code") as caught:
            call()
        assert isinstance(caught.value, fuseguard.UnreadableInput)


@pytest.mark.parametrize("content", [None, b"no archive", b"PK"])
def test_a_trusted_file_that_cannot_be_loaded_is_told_as_on_the_command_line(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.pt2"
    if content is not None:
        path.write_bytes(content)
    told = "no such file" if content is None else "not a complete zip archive"
    with pytest.raises(fuseguard.UnreadableInput, match=told):
        repair(path, trust=True)


def test_a_file_is_repaired(repaired: RepairResult) -> None:
    assert [item.finding.code for item in repaired.applied] == ["FU101"]
    assert not repaired.remaining


@pytest.mark.slow
def test_a_file_is_proved(inputs: tuple[torch.Tensor, ...]) -> None:
    proof = prove(FILE, inputs, TARGET, "guard", trust=True)
    assert proof.outcome == "exact"
    assert str(proof).startswith(f"exact on {TARGET}, ExecuTorch ")
    assert prove(FILE, inputs, TosaCompileSpec(TARGET), trust=True) == prove(FILE, inputs, TARGET, trust=True)
    assert json.loads(json.dumps(proof.to_dict()))["outcome"] == "exact"
    verified = repair_and_verify(FILE, inputs, TARGET, trust=True)
    assert str(verified).endswith("judge: exact")
    assert json.loads(json.dumps(verified.to_dict()))["outcome"] == "exact"


def test_wrong_inputs_are_refused_with_the_input_its_dtype_and_shape(inputs: tuple[torch.Tensor, ...]) -> None:
    program = torch.export.load(FILE)
    shape = tuple(inputs[0].shape)
    wanted = rf"input 'x' must be torch\.float32 of shape {shape}".replace("(", r"\(").replace(")", r"\)")
    for call in (prove, repair_and_verify):
        for wrong in (inputs[0].double(), inputs[0][..., :1], [1.0]):
            with pytest.raises(InputsError, match=wanted):
                call(program, (wrong, inputs[1]))
        with pytest.raises(InputsError, match=r"1 input is given, the program takes 2: x \(torch\.float32 of shape"):
            call(program, inputs[:1])
        with pytest.raises(InputsError, match="must be a sequence"):
            call(program, inputs[0])


def test_an_edge_program_manager_is_checked() -> None:
    manager = to_edge(torch.export.load(FILE))
    report = fuseguard.check(manager, TARGET)
    assert [item.code for item in report.findings] == ["FU101"]
    alone = fuseguard.check(manager.exported_program(), TARGET)
    assert [item.fingerprint for item in report.findings] == [item.fingerprint for item in alone.findings]
    both = fuseguard.check(to_edge({"one": torch.export.load(FILE), "two": torch.export.load(FILE)}), TARGET)
    assert [(item.code, item.graph) for item in both.findings] == [("FU101", "one"), ("FU101", "two")]


# --- what print shows ------------------------------------------------------------------------------------------


def short(text: str) -> bool:
    return len(text.splitlines()) < 12 and max(map(len, text.splitlines())) <= 120


def test_what_is_printed_is_short_whatever_was_found(repaired: RepairResult) -> None:
    many = tuple(
        finding(code=f"FU{number % 40}", message="m" * 500, nodes=(f"{number}" + "n" * 90,), source=None)
        for number in range(900)
    )
    full = report(*many, notices=("x" * 999,), failures=(), suppressed=(FINDING,))
    assert "900 errors, 0 warnings" in str(full)
    guarded = GuardReport("vgf", "consistent", [full], [("node", "x" * 999)] * 30)
    assert "nodes refused for vgf" in str(guarded)
    assert len(guarded.lines()) > 900
    wrong = Proof("wrong", "vgf", "1.5.1", delegated_ops=3, delegates=1)
    assert str(wrong).endswith("  3 ops in 1 delegate, 0 on the CPU\n  prove(..., locate=True) says where")
    proof = Proof("crash", "vgf", "1.5.1", exception="E: " + "x" * 999)
    result = RepairResult(repaired.program, repaired.applied * 50, many, "vgf")
    assert str(result).startswith("50 repairs for vgf, bit-exact: FU101 x50\n")
    for shown in (full, guarded, proof, result, VerifiedRepair(result, 0.0, 2)):
        assert short(str(shown)), str(shown)


def test_the_data_are_those_of_the_reports(repaired: RepairResult) -> None:
    checked = fuseguard.check(FILE, TARGET)
    assert checked.to_dict() == json.loads(fuseguard.render(checked, "json"))
    data = repaired.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert [(item["code"], item["exact"], len(item["edits"])) for item in data["repairs"]] == [("FU101", True, 1)]


def test_a_notebook_shows_a_repair_with_the_program_as_it_was(repaired: RepairResult) -> None:
    assert repaired.before is not None
    assert [item.code for item in repaired.before.findings] == ["FU101"]
    assert repaired.before.graph is not None
    shown = repaired._repr_html_()
    assert "1 repair, bit-exact" in shown
    assert "srcdoc=" in shown
    assert "equal to the bit, on 2 sets of inputs" in VerifiedRepair(repaired, 0.0, 2)._repr_html_()
