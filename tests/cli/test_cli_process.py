"""The ``fuseguard`` process: exit codes, streams, signals and what it imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard_testkit.cli_process import STAGED, environment, fuseguard


@pytest.mark.parametrize(
    "content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 64, b"PK\x05\x06" + b"\0" * 18], ids=repr
)
def test_garbage_is_refused_with_3_and_no_traceback(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.pt2"
    path.write_bytes(content)
    done = fuseguard("check", str(path))
    assert done.returncode == 3, done
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "internal error" not in done.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("check", "no-such-file.pt2"), 3),
        (("check", "."), 3),
        (("check",), 2),
        (("check", "x.pt2", "--target", "nonsense"), 2),
        (("check", "x.pt2", "--policy", "nonsense"), 2),
        (("chekc", "x.pt2"), 2),
        (("explain", "XX000"), 2),
        (("prove", "x.pt2"), 3),
        (("--help",), 0),
        (("check", "--help"), 0),
        (("rules",), 0),
    ],
)
def test_exit_codes_without_traceback(args: tuple[str, ...], code: int) -> None:
    done = fuseguard(*args)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) is (code != 0), "errors belong on stderr, and nothing else does"


def test_a_pipe_gets_plain_text() -> None:
    done = fuseguard("check", "wrong.pt2", code=STAGED)
    assert done.returncode == 1
    assert "error[FU101]" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_locale_that_cannot_encode_a_name_does_not_break_the_report() -> None:
    program = "readers.read = lambda path, *_: (cli_fakes.conv_relu(-17, 'm\\xf6del.py'), 'x')"
    code = STAGED.replace("readers.read = cli_fakes.fake_read", program)
    done = fuseguard("check", "x.pt2", code=code, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 1, done
    assert "m\\xf6del.py:42" in done.stdout


def test_a_closed_pipe_keeps_the_verdict_and_says_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STAGED, "check", "wrong.pt2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # nobody reads
    stderr = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), stderr) == (1, b"")


@pytest.mark.parametrize("color", ["never", "always"])
@pytest.mark.parametrize(("names", "code"), [(("clean.pt2",), 0), (("wrong.pt2",), 1), (("wrong.pt2", "no.pt2"), 3)])
def test_a_reader_that_goes_away_changes_no_verdict(names: tuple[str, ...], code: int, color: str) -> None:
    """As in ``fuseguard check ... | head -1``, or with a pager that is left early: each code, in colour too."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-c", STAGED, "check", *names, "--color", color],
            stdout=write, stderr=subprocess.PIPE, env=environment(), text=True, timeout=60,
        )  # fmt: skip
    finally:
        os.close(write)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_that_nobody_reads_the_errors_changes_no_verdict() -> None:
    for args, code in ((("check", "no.pt2"), 3), (("check", "wrong.pt2", "--target", "x"), 2), (("explain", "x"), 2)):
        read, write = os.pipe()
        os.close(read)
        try:
            done = subprocess.run(
                [sys.executable, "-c", STAGED, *args], stdout=subprocess.PIPE, stderr=write, env=environment(),
                timeout=60,
            )  # fmt: skip
        finally:
            os.close(write)
        assert done.returncode == code, args


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's redirections")
@pytest.mark.parametrize(("closed", "code"), [(">&-", 1), ("2>&-", 1), (">&- 2>&-", 1)])
def test_closed_streams_change_no_verdict(tmp_path: Path, closed: str, code: int) -> None:
    """Python has None in the place of a stream that was closed when it started."""
    (tmp_path / "staged.py").write_text(STAGED)
    command = f"{sys.executable} {tmp_path / 'staged.py'} check wrong.pt2 {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == code, done
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_an_error_and_no_bug_of_fuseguards() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", STAGED, "check", "clean.pt2"],
            stdout=full, stderr=subprocess.PIPE, env=environment(), text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2, "the report is lost, and a gate that reads it must not take that for a clean one"
    assert done.stderr == "Error: cannot write to stdout: No space left on device.\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_ends_quietly_with_130() -> None:
    code = STAGED.replace(
        "readers.read = cli_fakes.fake_read",
        "import time\nreaders.read = lambda p, *_: (print('reading', flush=True), time.sleep(60))",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "check", "x.pt2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # A test run in the background of a shell inherits an ignored SIGINT, which Python then leaves ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "Interrupted.\n")


def imported_by(*args: str) -> set[str]:
    """Top-level packages and fuseguard's modules that one command imports."""
    tell = "print('MODULES', *sys.modules, file=sys.stderr)"
    code = STAGED.replace("main()\n", f"try:\n    main()\nfinally:\n    {tell}\n")
    done = fuseguard(*args, code=code)
    assert done.returncode in (0, 1), done
    return set(done.stderr.split("MODULES ")[1].split())


@pytest.mark.parametrize("args", [("check", "wrong.pt2"), ("explain", "FU101"), ("rules",), ("version",)])
def test_no_command_that_only_looks_imports_torch_or_rich(args: tuple[str, ...]) -> None:
    """torch takes seconds; rich, networkx and difflib together more than a check may take."""
    assert not imported_by(*args) & {"torch", "executorch", "numpy", "rich", "networkx"}


def test_a_check_imports_no_other_command() -> None:
    modules = imported_by("check", "wrong.pt2")
    assert "fuseguard.cli.check" in modules
    assert not modules & {f"fuseguard.cli.{name}" for name in ("explain", "rules", "version", "prove")}
    assert "fuseguard.report.json" not in modules


def test_the_console_script_is_the_command() -> None:
    """What pyproject.toml names must exist and run."""
    from importlib import metadata

    entries = [e for e in metadata.entry_points(group="console_scripts") if e.name == "fuseguard"]
    assert [entry.value for entry in entries] == ["fuseguard.cli.main:main"]
    from fuseguard.cli.main import main

    assert entries[0].load() is main
