"""Where reports are written: devices and pipes as they are called, files under a name that nobody can foretell."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard.cli.output import write_file
from fuseguard_testkit.cli_process import environment, fuseguard
from fuseguard_testkit.paths import DATA

PROGRAM = str(DATA / "linear.pt2")
CHECK = ("check", "--no-config", PROGRAM, "--executorch", "1.5.1", "-q")

posix = pytest.mark.skipif(os.name != "posix", reason="devices, links and permissions of POSIX")


@posix
@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout here")
@pytest.mark.parametrize("device", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_report_goes_to_stdout_by_its_device(device: str) -> None:
    if not Path(device).parent.is_dir():
        pytest.skip(f"there is no {device}")
    done = fuseguard(*CHECK, "--statistics", "--report", f"json={device}")
    assert done.returncode in (0, 1), done
    start = done.stdout.index("{")
    document, _ = json.JSONDecoder().raw_decode(done.stdout[start:])
    assert document["files"][0]["file"] == PROGRAM


@posix
def test_a_report_to_stdout_that_is_a_file_is_appended(tmp_path: Path) -> None:
    """Opened again, the file would be cut off below what the shell has put in it."""
    out = tmp_path / "log.txt"
    out.write_text("what was there\n")
    with open(out, "ab") as stream:
        command = [sys.executable, "-m", "fuseguard.cli.main", *CHECK, "--report", "json=/dev/stdout"]
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, env=environment(), timeout=60)
    assert done.returncode in (0, 1), done
    text = out.read_text()
    assert text.startswith("what was there\n")
    assert '"files"' in text


@posix
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("option", ["--report json=>(cat > {})", "--output-format json --output-file >(cat > {})"])
def test_a_report_goes_into_a_process(option: str, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    command = " ".join([sys.executable, "-m", "fuseguard.cli.main", *CHECK, option.format(target)])
    script = f"{command}; code=$?; wait; exit $code"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode in (0, 1), done
    for _ in range(100):
        if target.exists() and target.read_text().endswith("}\n"):
            break
        subprocess.run(["sleep", "0.05"], check=True)
    assert json.loads(target.read_text())["files"]


@posix
def test_a_report_goes_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        done = fuseguard(*CHECK, "--report", f"json={pipe}")
        assert done.returncode in (0, 1), done
        read, _ = reader.communicate(timeout=30)
    assert json.loads(read)["files"]
    assert stat.S_ISFIFO(pipe.stat().st_mode), "the pipe is still one"


def _names_while_writing(target: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is in the folder while a file is written there."""
    seen: list[str] = []
    replace = os.replace

    def look(source: str | Path, destination: str | Path) -> None:
        seen.extend(sorted(item.name for item in target.parent.iterdir()))
        replace(source, destination)

    monkeypatch.setattr("fuseguard.cli.output.os.replace", look)
    write_file(target, "new")
    return seen


def test_the_temporary_name_cannot_be_foretold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        [name] = _names_while_writing(tmp_path / folder / "report.json", monkeypatch)
        names.append(name)
    assert names[0] != names[1]
    assert str(os.getpid()) not in names[0].split(".")


@posix
def test_planted_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else links every name that they can think of to a file of the user's: none of them is opened.

    tempfile draws a name that is taken here, and has to draw again.
    """
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "shared"
    folder.mkdir()
    drawn = iter(["taken"] * 3 + ["free"])
    monkeypatch.setattr("tempfile._get_candidate_names", lambda: drawn)
    for name in (".report.json.taken.tmp", ".report.json.tmp", f".report.json.{os.getpid()}.tmp", "report.json.tmp"):
        (folder / name).symlink_to(precious)
    write_file(folder / "report.json", "new")
    assert precious.read_text() == "mine"
    assert (folder / "report.json").read_text() == "new"
    assert not (folder / "report.json").is_symlink()


@posix
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("old")
    link.symlink_to(target)
    write_file(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@posix
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o666])
def test_permissions_stay(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(mode)
    write_file(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "new"


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_of_any_other(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_file(tmp_path / "report.json", "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == mode


@posix
def test_nobody_reads_a_report_before_it_has_its_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o600)
    modes = []
    fsync = os.fsync

    def look(handle: int) -> None:
        modes.append(stat.S_IMODE(os.fstat(handle).st_mode))
        fsync(handle)

    monkeypatch.setattr("fuseguard.cli.output.os.fsync", look)
    write_file(path, "new")
    assert modes == [0o600]
