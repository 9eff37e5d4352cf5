"""What is read of Vela's files and said about it. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from fuseguard.cli.main import cli
from fuseguard.executorch.engines.npu import NpuDelegate, NpuOp, NpuReport
from fuseguard.executorch.engines.vela_files import read_ops, read_summary
from fuseguard.report.lines import plain
from fuseguard.report.proof import render, to_dict
from fuseguard.schemas import load_schema
from fuseguard_testkit.paths import DATA
from fuseguard_testkit.proof_fakes import proof

#: A float graph, so that Vela has never compiled it; what its tables look like is what matters.
TOSA = (DATA / "dropout.tosa").read_bytes()
_REFUSAL = (
    "RuntimeError: Compilation failed: Validation error:\n"
    "Conv2D:\n - Invalid argument output\n - Output data type not supported\n"
    "Mul:\n - Invalid argument input1\n"
    "Conv2D:\n - Invalid argument output\n - Output data type not supported\n"
)


def _positions() -> dict[str, int]:
    """Position of the operators that are no constants, by a number of their own."""
    from fuseguard.readers.budget import Budget
    from fuseguard.readers.tosa import read_tosa

    ops = enumerate(read_tosa(TOSA, Budget()).ops)
    return {str(number): place for number, (place, _) in enumerate(item for item in ops if "CONST" not in item[1].kind)}


def _table(name: str, header: str, rows: list[str]) -> str:
    return f'<table name="{name}">\n<![CDATA[\n' + "\n".join([header, *rows]) + "\n]]>\n</table>\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Vela's files: the first operator has two commands, the second one that is for the CPU, the rest none."""
    places = _positions()
    source = [f'{number},"Op",1,1,1,1,1,{place}' for number, place in places.items()]
    perf = ['10,0,20,"Conv2D","y, z",64,700,600', '11,0,21,"Conv2D","y",64,50,50', '12,1,22,"Passthrough","z",0,9,9']
    perf_header = '"id","source_id","optimised_id","operator","name","staging_usage","op_cycles","npu_cycles"'
    tables = (
        _table("source", '"id","operator","kernel_w","kernel_h","ofm_w","ofm_h","ofm_d","ext_key"', source),
        _table("perf", perf_header, perf),
    )
    (tmp_path / "out_debug.xml").write_text("<debug>\n" + "".join(tables) + "</debug>\n")
    (tmp_path / "out_summary_System.csv").write_text("network,cycles_total,sram_memory_used\nout,771.0,1.25\n")
    return tmp_path


def test_each_operator_has_the_commands_that_vela_made_of_it(folder: Path) -> None:
    first, second, *others = read_ops(folder, TOSA)
    assert (first.place, first.commands, first.cycles) == ("NPU", 2, 750)
    assert (second.place, second.commands, second.cycles) == ("left out", 0, 0)
    assert {op.place for op in others} <= {"fused"}
    assert len(others) + 2 == len(_positions())
    assert all(op.kind not in ("CONST", "CONST_SHAPE") for op in (first, second, *others))


def test_the_summary_is_read_and_one_that_is_missing_is_an_error(folder: Path, tmp_path: Path) -> None:
    assert (read_summary(folder)["cycles_total"], read_summary(folder)["sram_memory_used"]) == ("771.0", "1.25")
    (folder / "out_summary_System.csv").write_text("network\nout\n")
    with pytest.raises(ValueError, match="no summary"):
        read_summary(folder)


def test_without_a_debug_database_nothing_is_said_of_the_operators(tmp_path: Path) -> None:
    assert read_ops(tmp_path, TOSA) == ()


def test_a_refusal_is_one_line_that_says_nothing_twice() -> None:
    assert NpuDelegate(0, "refused", _REFUSAL).reason == (
        "RuntimeError: Compilation failed: Validation error: Conv2D: Invalid argument output, Output data type not "
        "supported; Mul: Invalid argument input1"
    )
    assert NpuDelegate(0, "refused", "").reason == ""


def _report(*delegates: NpuDelegate, **changes: Any) -> NpuReport:
    return NpuReport("ethos-u55-128", "5.1.0", "High_End", "Shared_Sram", delegates, **{"tosa": "exact", **changes})


def test_a_proof_says_what_runs_where() -> None:
    ops = (NpuOp("CONV2D", "y", "NPU", 2, 1500), NpuOp("RESCALE", "z", "fused"), NpuOp("CONV2D", "w", "NPU", 1, 500))
    report = _report(NpuDelegate(0, cycles=2100, sram=1280, binary=900, ops=ops), NpuDelegate(1, cycles=10, sram=64))
    made = proof(engine="vela", npu=report)
    text = plain(render(made, "m.pt2", ["random"]))
    assert "Vela 5.1.0 for ethos-u55-128 (High_End, Shared_Sram): 2,110 cycles in 2 delegates, 1.25 KiB of SRAM" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "CONV2D", "2", "NPU", "3", "2,000"] in rows
    assert ["0", "RESCALE", "1", "NPU,", "in", "another", "op"] in rows
    assert ["1", "all", "NPU", "10"] in rows
    assert ["aten.relu.default", "2", "CPU"] in rows
    assert "No simulator of Ethos-U is available" in " ".join(text.split())
    document = to_dict(made, "m.pt2", ["random"])
    jsonschema.Draft202012Validator(load_schema("prove")).validate(document)
    assert document["npu"]["cycles"] == 2110
    assert document["npu"]["sram_bytes"] == 1280


def test_a_refusal_is_shown_in_every_report() -> None:
    report = _report(NpuDelegate(0, "refused", _REFUSAL), NpuDelegate(1, cycles=10))
    made = proof(outcome="crash", exception="delegate 0: refused", engine="vela", npu=report)
    text = " ".join(plain(render(made, "m.pt2", ["random"])).split())
    assert "1 of 2 delegates cannot be compiled" in text
    assert "delegate 0: RuntimeError: Compilation failed: Validation error: Conv2D: Invalid argument output" in text
    document = to_dict(made, "m.pt2", ["random"])
    jsonschema.Draft202012Validator(load_schema("prove")).validate(document)
    assert document["npu"]["delegates"][0]["message"] == _REFUSAL


@pytest.mark.parametrize("target", ["vgf", "TOSA-1.0+INT"])
def test_the_engine_vela_takes_ethos_u_alone(target: str) -> None:
    arguments = ["prove", str(DATA / "conv_cat.pt2"), "--trust", "--target", target, "--engine", "vela"]
    result = CliRunner().invoke(cli, arguments, prog_name="fuseguard")
    assert result.exit_code == 2
    assert "the engine vela compiles for Ethos-U, and not for" in " ".join(result.output.split())
