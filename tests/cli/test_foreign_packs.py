"""A rule pack or a signal that ends the process: the gate is never green, and no process stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GOOD = Path(__file__).parents[1] / "readers" / "data" / "conv_cat.pt2"
SCRIPT = Path(sys.executable).parent / "fuseguard"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes of POSIX")

RULE = """
import os, sys, time
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Rule
from fuseguard.ir.builder import GraphBuilder
def graph():
    b = GraphBuilder(); return b.output(b.call("aten.relu.default", b.input()))
class Acting(Rule):
    code, name, summary, why, remedy, scope, message = "ZZ100", "acts", "s", "w", "r", "node", "m"
    effects = EffectsTable([EffectRow("*", ">=1", "*", Effect.WRONG)])
    bad = good = (Example("x", graph),)
    def check(self, view, target):
        {act}
        return iter(())
INTERFACE, RULES = 1, (Acting,)
"""


def environment(folder: Path, source: str) -> dict[str, str]:
    """An environment in which a rule pack of this source is installed."""
    (folder / "acting_pack.py").write_text(source)
    info = folder / "acting_pack-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acting-pack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fuseguard.rules]\nacting = acting_pack\n")
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(0)", "ended too early"),
        (RULE.replace("{act}", "os._exit(0)"), "ended too early"),
        (RULE.replace("{act}", "os.kill(os.getpid(), 9)"), "signal 9"),
        (RULE.replace("{act}", "raise SystemExit(0)"), "rule ZZ100 failed"),
    ],
)
def test_a_pack_that_ends_the_process_is_an_error(source: str, word: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [SCRIPT, "check", GOOD, "--executorch", "1.5.1"], capture_output=True, text=True,
        env=environment(tmp_path, source), check=False,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert word in done.stdout + done.stderr


def test_a_pack_that_behaves_changes_nothing(tmp_path: Path) -> None:
    command = [SCRIPT, "check", GOOD, "--executorch", "1.5.1", "--output-format", "json"]
    source = RULE.replace("{act}", "print('hello')")
    done = subprocess.run(
        command, capture_output=True, text=True,
        env=environment(tmp_path, source), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("{")
    assert "hello" in done.stderr
    assert "hello" not in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_stays_behind(number: int, tmp_path: Path) -> None:
    source = RULE.replace("{act}", f"open({str(tmp_path)!r} + '/' + str(os.getpid()), 'w'); time.sleep(50)")
    process = subprocess.Popen(
        [SCRIPT, "check", GOOD, GOOD.with_name("linear.pt2"), "-j", "2", "--executorch", "1.5.1"],
        env=environment(tmp_path, source), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def workers() -> list[int]:
        return [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]

    end = time.monotonic() + 40
    while len(workers()) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert len(workers()) == 2
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in (143, -signal.SIGKILL)
    end = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not [worker for worker in workers() if Path(f"/proc/{worker}").exists()]
