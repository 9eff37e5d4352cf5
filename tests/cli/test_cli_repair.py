"""``fuseguard repair``: consent and paths first, nothing half-written, and what is written can be trusted."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Cli = Callable[..., Result]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    zipfile.ZipFile(path, "w").close()
    return path


def test_without_trust_nothing_is_loaded(cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuseguard.cli.repair._repair", lambda *_: pytest.fail("went on without --trust"))
    result = cli("repair", str(model), "-o", str(model.with_name("out.pt2")))
    assert result.exit_code == 3
    assert "--trust" in result.output


def test_no_output_and_no_diff_is_a_usage_error(cli: Cli, model: Path) -> None:
    result = cli("repair", str(model), "--trust")
    assert result.exit_code == 2
    assert "-o OUT" in result.output


def test_an_existing_output_needs_force(cli: Cli, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pt2"
    out.write_text("mine")
    result = cli("repair", str(model), "--trust", "-o", str(out))
    assert result.exit_code == 2
    assert "--force" in result.output
    assert out.read_text() == "mine"


def test_the_program_itself_is_never_written_over(cli: Cli, model: Path) -> None:
    result = cli("repair", str(model), "--trust", "--force", "-o", str(model))
    assert result.exit_code == 2
    assert "never overwritten; name another file" in result.output


def test_a_file_that_is_cut_off_is_told_in_a_sentence(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "cut.pt2"
    path.write_bytes(b"PK\x03\x04 the rest got lost")
    result = cli("repair", str(path), "--trust", "-o", str(tmp_path / "out.pt2"))
    assert result.exit_code == 3
    assert "not a complete zip archive" in result.stderr
    assert "Traceback" not in result.output
    assert [item.name for item in tmp_path.iterdir()] == ["cut.pt2"]


def test_missing_extras_name_the_command_that_installs_them(
    cli: Cli, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "fuseguard.cli.prove_inputs", "fuseguard.executorch", "fuseguard.executorch.judge"):
        monkeypatch.setitem(sys.modules, name, None)
    result = cli("repair", str(model), "--trust", "--diff")
    assert result.exit_code == 2
    assert "pip install '.[prove]'" in result.output


# --- with torch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch() -> Any:
    pytest.importorskip("executorch")
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def broken(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """conv2d -> relu into a cat with a signed branch, saved."""
    from fuseguard.executorch.materialize import materialize
    from fuseguard_rules.examples.fusion import islands as examples

    program, _ = materialize(examples.OUT_OF_RANGE[0].graph())
    path = tmp_path_factory.mktemp("repair") / "broken.pt2"
    torch.export.save(program, path)
    return path


@pytest.mark.torch
@pytest.mark.slow
def test_a_repaired_file_checks_clean_and_repairs_no_further(
    cli: Cli, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tosa_reference_model")
    out = tmp_path / "repaired.pt2"
    result = cli("repair", str(broken), "--trust", "-o", str(out), "--diff")
    assert result.exit_code == 0, result.output
    assert "repaired[FU101] conv2d -> relu: exact, equal to the bit, judged exact" in result.output
    assert "are equal to the bit on 2 sets of inputs" in result.output
    assert f"written: {out}" in result.output.replace("\n    ", "")
    assert "judge: exact" in result.output
    assert "+" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["repaired.pt2"], "no temporary file is left"

    import fuseguard
    from fuseguard.readers.pt2 import read_pt2

    # The real reader again.
    monkeypatch.setattr("fuseguard.readers.open.read", lambda path, methods=(): (read_pt2(Path(path)), str(path)))
    assert not fuseguard.check(out, "TOSA-1.0+INT+FP").findings
    again = cli("repair", str(out), "--trust", "--diff", "--output-format", "json", "--no-prove")
    assert json.loads(again.stdout)["repairs"] == []


@pytest.mark.torch
@pytest.mark.slow
def test_a_repaired_program_with_dynamic_shapes_is_judged_for_a_size(cli: Cli, torch: Any, tmp_path: Path) -> None:
    """Protects: the judge has no verdict on any repair of such a program, as on the zoo's dynamic_batch."""
    from fuseguard_testkit.quantizing import quantize

    class Branches(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.signed, self.rectified = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            return torch.cat([self.signed(x), torch.relu(self.rectified(x))], 1)

    torch.manual_seed(0)
    shapes = ({0: torch.export.Dim("batch", min=1, max=8)},)
    program = quantize(Branches(), (torch.randn(2, 3, 6, 6),), "TOSA-1.0+INT", dynamic_shapes=shapes)
    path, out = tmp_path / "dynamic.pt2", tmp_path / "repaired.pt2"
    torch.export.save(program, path)
    common = ("--trust", "--target", "TOSA-1.0+INT", "--output-format", "json")
    result = cli("repair", str(path), *common, "-o", str(out), "--dim", "x[0]=4")
    document = json.loads(result.stdout)
    assert ([item["code"] for item in document["repairs"]], document["outcome"]) == (["FU101"], "exact")
    assert torch.export.load(out).range_constraints, "the sizes of the file stay dynamic"
    refused = cli("repair", str(path), *common, "--diff", "--dim", "batch=4")
    assert refused.exit_code == 2
    assert "no dynamic size 'batch'" in refused.output


def test_a_size_that_is_not_a_number_is_told_before_anything_is_loaded(cli: Cli, model: Path) -> None:
    result = cli("repair", str(model), "--diff", "--trust", "--dim", "s77=four")
    assert result.exit_code == 2
    assert "such as --dim s77=4" in " ".join(result.output.split())


@pytest.mark.torch
@pytest.mark.slow
def test_a_program_with_nothing_to_repair_is_copied_and_told_so(cli: Cli, torch: Any, tmp_path: Path) -> None:
    from fuseguard.executorch.materialize import materialize
    from fuseguard_rules.fusion.fu101_fused_activation_out_of_range import FusedActivationOutOfRange

    clean, out = tmp_path / "clean.pt2", tmp_path / "out.pt2"
    torch.export.save(materialize(FusedActivationOutOfRange.good[0].graph())[0], clean)
    result = cli("repair", str(clean), "--trust", "--no-prove", "--diff", "-o", str(out))
    assert result.exit_code == 0, result.output
    assert "nothing to repair" in result.output
    assert "+++" not in result.output
    assert out.is_file()


@pytest.mark.torch
@pytest.mark.slow
def test_a_diff_alone_writes_nothing(cli: Cli, broken: Path) -> None:
    before = sorted(broken.parent.iterdir())
    result = cli("repair", str(broken), "--trust", "--diff", "--no-prove")
    assert result.exit_code == 0, result.output
    assert "quantize_per_tensor" in result.output
    assert sorted(broken.parent.iterdir()) == before


def _torch_fails(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(program: object, file: Any) -> None:
        file.write(b"half")
        raise RuntimeError("cannot serialize this operator")

    monkeypatch.setattr(torch.export, "save", fails)


def _disk_is_full(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(file: int) -> None:
        os.truncate(file, 100)  # as much as the disk had room for
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fuseguard.cli.output.os.fsync", fails)


def _rename_is_refused(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("fuseguard.cli.output.os.replace", fails)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("injected", "told"),
    [
        (_torch_fails, "cannot serialize this operator"),
        (_disk_is_full, "No space left on device"),
        (_rename_is_refused, "Permission denied"),
    ],
)
@pytest.mark.parametrize("existing", [False, True])
def test_a_failed_write_leaves_everything_as_it_was(
    cli: Cli,
    broken: Path,
    tmp_path: Path,
    torch: Any,
    monkeypatch: pytest.MonkeyPatch,
    injected: Callable[[Any, pytest.MonkeyPatch], None],
    told: str,
    existing: bool,
) -> None:
    out = tmp_path / "out.pt2"
    if existing:
        out.write_bytes(b"mine")
    original = broken.read_bytes()
    with monkeypatch.context() as patched:
        injected(torch, patched)
        result = cli("repair", str(broken), "--trust", "--no-prove", "--force", "-o", str(out))
    assert result.exit_code == 2
    assert told in result.stderr
    assert "Everything is as it was" in result.stderr
    assert "written:" not in result.output
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out.pt2", b"mine")] * existing
    assert broken.read_bytes() == original


@pytest.mark.torch
@pytest.mark.slow
def test_a_file_that_appears_meanwhile_is_not_written_over(
    cli: Cli, broken: Path, tmp_path: Path, torch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.pt2"
    save = torch.export.save

    def slow(program: object, file: Any) -> None:
        out.write_text("another's")
        save(program, file)

    monkeypatch.setattr(torch.export, "save", slow)
    result = cli("repair", str(broken), "--trust", "--no-prove", "-o", str(out))
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert out.read_text() == "another's"


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits are per process")
def test_a_file_size_limit_is_told_in_a_sentence(broken: Path, tmp_path: Path) -> None:
    """A real limit, in a process of its own: torch's own writer would abort here, with a core dump."""
    import resource

    out = tmp_path / "out.pt2"
    command = [
        sys.executable,
        "-m",
        "fuseguard.cli.main",
        "repair",
        str(broken),
        "--trust",
        "--no-prove",
        "-o",
        str(out),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        # CPython would cut its byte code short, too, and fail to read it from then on.
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)),
    )
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def poolers(torch: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool whose result is quantized in two ways, of which no exact repair is known; saved."""
    from fuseguard.executorch.materialize import materialize
    from fuseguard.ir.builder import GraphBuilder, int8

    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.0487, 3))
    value = b.call("aten.avg_pool2d.default", x, (2, 2), (2, 2), shape=(1, 4, 4, 4))
    program, _ = materialize(b.output(b.requantize(value, int8(0.02, 3)), b.requantize(value, int8(0.05, 7))))
    path = tmp_path_factory.mktemp("repair") / "pools.pt2"
    torch.export.save(program, path)
    return path


@pytest.mark.torch
@pytest.mark.slow
def test_what_is_not_repaired_is_left_to_the_guard_and_says_what_to_do(cli: Cli, poolers: Path) -> None:
    pytest.importorskip("tosa_reference_model")
    result = cli("repair", str(poolers), "--trust", "--diff")
    assert result.exit_code == 1
    assert "0 repairs" in result.output
    assert "remains[QD204]" in result.output
    assert "Quantize the output once" in result.output
    assert "--unsafe-repairs makes an inexact one" in result.output.replace("\n", " ").replace("      ", "")
    assert "judge: exact" in result.output
    assert "with what remains kept on the CPU" in result.output


@pytest.mark.torch
@pytest.mark.slow
def test_an_unsafe_repair_states_the_error_that_it_makes(cli: Cli, poolers: Path) -> None:
    """Half a step of the wider domain: the pool is quantized to it before the finer one reads it."""
    pytest.importorskip("tosa_reference_model")
    result = cli("repair", str(poolers), "--trust", "--diff", "--unsafe-repairs")
    assert result.exit_code == 0, result.output
    assert "repaired[QD204] avg_pool2d: not exact, judged exact" in result.output
    told = re.search(r"differ by at most ([0-9.]+) on 2 sets of inputs", result.output)
    assert told is not None
    assert 0 < float(told.group(1)) <= 0.0501
