"""``fuseguard demo``: works right after the installation, without torch and without a model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fuseguard_testkit.paths import DATA


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    from fuseguard.cli.main import cli

    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(cli, ["demo", *args], prog_name="fuseguard")


def test_the_finding_and_what_to_do_next_are_shown(demo: Callable[..., Result]) -> None:
    result = demo()
    assert result.exit_code == 0
    assert "error[FU101] fused-activation-out-of-range\n  --> model.py:10, in forward\n" in result.output
    assert "return torch.cat([torch.relu(self.conv(x)), y], 1)" in result.output
    assert "1 of 1 can be repaired bit-exactly: fuseguard repair sample.pt2 --trust" in result.output
    assert "fuseguard demo --save sample.pt2" in result.output
    assert "fuseguard check model.pt2 --target vgf" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


def test_what_it_says_that_check_prints_is_what_check_prints(demo: Callable[..., Result]) -> None:
    shown = demo("--save", "mine.pt2").output
    assert "fuseguard check mine.pt2 --target TOSA-1.0+INT" in " ".join(shown.split())
    from fuseguard.cli.main import cli

    checked = CliRunner().invoke(cli, ["check", "mine.pt2", "--target", "TOSA-1.0+INT"], prog_name="fuseguard")
    assert checked.exit_code == 1
    assert " ".join(checked.output.split()) in " ".join(shown.split())


def test_a_file_is_not_written_over(demo: Callable[..., Result]) -> None:
    Path("mine.pt2").write_bytes(b"a program")
    result = demo("--save", "mine.pt2")
    assert (result.exit_code, "exists; name another file" in result.output) == (2, True)
    assert Path("mine.pt2").read_bytes() == b"a program"


def test_the_program_is_the_one_that_the_tests_read() -> None:
    from fuseguard.samples import sample

    with sample() as path:
        assert path.read_bytes() == (DATA / "conv_cat.pt2").read_bytes(), "copy it again after make_fixtures.py"


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['rich'] = None; "
        "from fuseguard.cli.main import main; main(['demo'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "error[FU101]" in done.stdout
