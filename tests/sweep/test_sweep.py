"""``fuseguard sweep``: every item has one row whatever happens, and a second run does only what is missing.

Protects: results that are lost or there twice after a killed worker, a full disk, a broken item or an interrupt.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from fuseguard.schemas import load_schema
from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.small_disk import small_disk
from fuseguard_testkit.sweeping import COMMAND, manifest, models, pack, statuses, stored, sweep

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

#: conv_cat.pt2, and not linear.pt2, has such an op.
AT_CONV_CAT = "any('cat' in node.target for node in view.calls()) and "


def test_a_sweep_has_a_row_for_each_item_and_runs_nothing_twice(tmp_path: Path) -> None:
    models(tmp_path, 2)
    (tmp_path / "models" / "broken.pt2").write_text("no archive")
    path = manifest(tmp_path, releases='"1.5.1", "1.4.1"', targets='"TOSA-1.0+INT", "vgf"')
    planned = sweep(path, "--dry-run")
    assert planned.stdout.endswith("12 items, 0 of them done\n")
    assert planned.stdout.count("todo  fuseguard check models/broken.pt2 --target vgf --executorch 1.4.1") == 1
    assert not (tmp_path / "sweep.sqlite").exists()
    first = sweep(path, "--report", f"json={tmp_path / 's.json'}", "--report", f"html={tmp_path / 's.html'}")
    assert first.returncode == 3, first
    assert "12 items, 4 of them without a verdict; exit code 3" in first.stdout
    assert statuses(tmp_path / "sweep.sqlite") == {"done": 8, "unreadable": 4}
    document = json.loads((tmp_path / "s.json").read_text())
    jsonschema.validate(document, load_schema("sweep"))
    assert len(document["items"]) == 12
    assert "no archive" not in (tmp_path / "s.html").read_text()
    assert "models/broken.pt2" in (tmp_path / "s.html").read_text()
    before = stored(tmp_path / "sweep.sqlite")
    second = sweep(path)
    assert "12 of 12 items are in the store; 0 are missing." in second.stderr
    assert (second.returncode, second.stdout) == (3, first.stdout)
    assert stored(tmp_path / "sweep.sqlite") == before


def test_a_changed_model_is_done_again_and_the_others_are_not(tmp_path: Path) -> None:
    models(tmp_path, 2)
    path = manifest(tmp_path)
    sweep(path)
    with open(tmp_path / "models" / "m0001.pt2", "ab") as file:
        file.write(b"\0")
    assert "1 of 2 items are in the store; 1 are missing." in sweep(path).stderr


def test_a_verdict_is_that_of_the_command_itself(tmp_path: Path) -> None:
    models(tmp_path, 1)
    path = manifest(tmp_path)
    planned = sweep(path, "--dry-run").stdout.splitlines()[0].removeprefix("todo  fuseguard ")
    done = subprocess.run(
        [*COMMAND[:-1], *planned.split()], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )
    assert sweep(path).returncode == done.returncode == 1
    with sqlite3.connect(tmp_path / "sweep.sqlite") as connection:
        (document,) = connection.execute("SELECT document FROM results").fetchone()
    assert zlib.decompress(document).decode() == done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "status", "told"),
    [
        (AT_CONV_CAT + "os._exit(7)", "died", "exit code 7"),
        (AT_CONV_CAT + "time.sleep(60)", "too slow", "ended after 2 s, the limit for one item"),
        (AT_CONV_CAT + "bytearray(2 << 30)", "out of memory", "MemoryError"),
        (AT_CONV_CAT + "1 / 0", "failed", "ZeroDivisionError"),
    ],
)
def test_a_broken_item_has_a_row_that_says_what_happened(tmp_path: Path, act: str, status: str, told: str) -> None:
    models(tmp_path, 2)
    path = manifest(tmp_path, more="seconds = 2\nmemory-mib = 1024")
    variables = pack(tmp_path, act)
    done = sweep(path, variables=variables)
    assert done.returncode == 2, done
    assert statuses(tmp_path / "sweep.sqlite") == {"done": 1, status: 1}
    assert told in done.stdout
    assert "1 of 2 items are in the store; 1 are missing." in sweep(path, "--retry", variables=variables).stderr


def children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def wait_for(condition: object, process: subprocess.Popen[str], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def rows(store: Path) -> int:
    try:
        return len(stored(store))
    except sqlite3.Error:
        return 0


def slow(folder: Path, seconds: float = 0.05) -> dict[str, str]:
    """An environment in which every check takes a while."""
    return pack(folder, f"time.sleep({seconds})")


def started(path: Path, variables: dict[str, str], *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, str(path), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables,
        # A test run in the background of a shell inherits an ignored SIGINT, which Python then leaves ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


@linux
@pytest.mark.slow
def test_killed_workers_lose_nothing(tmp_path: Path) -> None:
    models(tmp_path, 50)
    path, variables = manifest(tmp_path), slow(tmp_path)
    process = started(path, variables, "-j", "2")

    def workers() -> list[int]:
        own = children(process.pid)  # where a foreign pack is installed, the work is in a process of its own
        return [worker for child in own for worker in children(child)]

    wait_for(lambda: rows(tmp_path / "sweep.sqlite") > 5 and len(workers()) == 2, process)
    for worker in workers():
        os.kill(worker, signal.SIGKILL)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1, out
    assert statuses(tmp_path / "sweep.sqlite") == {"done": 50}


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path, number: int, code: int) -> None:
    models(tmp_path, 24)
    path, variables = manifest(tmp_path), slow(tmp_path)
    process = started(path, variables)
    store = tmp_path / "sweep.sqlite"
    wait_for(lambda: rows(store) > 3, process)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == code
    time.sleep(1.5)  # after SIGKILL, what is left notices it within half a second
    done = rows(store)
    assert 3 < done < 24
    second = sweep(path, variables=variables)
    assert f"{done} of 24 items are in the store; {24 - done} are missing." in second.stderr
    assert statuses(store) == {"done": 24}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, "256k") as place:
        yield place


@pytest.mark.slow
def test_a_full_disk_is_told_and_loses_nothing_that_was_stored(tmp_path: Path, disk: Path) -> None:
    models(tmp_path, 30)
    path, store = manifest(tmp_path), disk / "sweep.sqlite"
    variables = slow(tmp_path)  # so that the first transaction, half a second, does not hold more than fits
    (disk / "filler").write_bytes(b"x" * 100 * 1024)
    first = sweep(path, "--store", str(store), variables=variables)
    assert first.returncode == 2, first
    assert "cannot write to the store" in first.stderr
    assert "only what is missing is done" in first.stderr
    assert "Traceback" not in first.stderr
    kept = rows(store)
    assert 0 < kept < 30
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    second = sweep(path, "--store", str(store), variables=variables)
    assert f"{kept} of 30 items are in the store" in second.stderr
    assert statuses(store) == {"done": 30}


def test_two_sweeps_share_a_store(tmp_path: Path) -> None:
    models(tmp_path, 20)
    path, variables = manifest(tmp_path), slow(tmp_path, 0.02)
    both = [started(path, variables) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 1
    assert statuses(tmp_path / "sweep.sqlite") == {"done": 20}


def test_models_are_not_loaded_without_trust(tmp_path: Path) -> None:
    models(tmp_path, 1)
    done = sweep(manifest(tmp_path, steps='"check", "prove"'))
    assert done.returncode == 3
    assert "refused without --trust. The steps prove load the models" in done.stderr
    assert not (tmp_path / "sweep.sqlite").exists()


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("none/bin/python", "cannot be started: No such file or directory. Set 'python' in the manifest."),
        (sys.executable, "has "),
    ],
)
def test_a_release_without_its_environment_does_not_stop_the_others(tmp_path: Path, python: str, told: str) -> None:
    models(tmp_path, 2)
    path = manifest(tmp_path, steps='"check", "prove"', releases='"1.2.0"', more=f'python = "{python}"')
    done = sweep(path, "--trust")
    assert done.returncode == 2
    assert told in done.stdout
    assert statuses(tmp_path / "sweep.sqlite") == {"done": 2, "no environment": 2}
    assert "2 of 4 items are in the store; 2 are missing." in sweep(path, "--trust").stderr


def test_a_store_of_somebody_else_is_refused(tmp_path: Path) -> None:
    models(tmp_path, 1)
    path = manifest(tmp_path)
    (tmp_path / "sweep.sqlite").write_text("no database" * 100)
    done = sweep(path)
    assert done.returncode == 2
    assert "file is not a database" in done.stderr
    done = sweep(path, "--store", str(path))
    assert done.returncode == 2
    assert path.read_text().startswith("steps")


@pytest.mark.torch
@pytest.mark.slow
def test_a_release_proves_and_repairs_in_its_own_environment(tmp_path: Path) -> None:
    pytest.importorskip("executorch")
    from fuseguard.target import Target

    models(tmp_path, 1)
    release = str(Target.parse("vgf").release)
    path = manifest(tmp_path, steps='"prove", "guard", "repair"', releases=f'"{release}"')
    done = sweep(path, "--trust", "--report", f"json={tmp_path / 's.json'}")
    found = {step: (status, outcome) for _, step, status, outcome in stored(tmp_path / "sweep.sqlite")}
    assert found["guard"] == found["repair"] == ("done", "exact"), done
    assert found["prove"][0] == "done"
    assert done.returncode == (0 if found["prove"][1] == "exact" else 1)


def test_what_changed_since_an_earlier_summary_is_told(tmp_path: Path) -> None:
    models(tmp_path, 2)
    path, before = manifest(tmp_path), tmp_path / "before.json"
    sweep(path, "--report", f"json={before}")
    assert json.loads(before.read_text())["changes"] is None
    shutil.copy(tmp_path / "models" / "m0000.pt2", tmp_path / "models" / "m0001.pt2")
    now, text = tmp_path / "now.json", tmp_path / "now.md"
    done = sweep(path, "--since", str(before), "--report", f"json={now}", "--report", f"markdown={text}")
    assert "changed  check models/m0001.pt2 TOSA-1.0+INT 1.5.1: clean -> error" in done.stdout
    document = json.loads(now.read_text())
    jsonschema.validate(document, load_schema("sweep"))
    assert [(change["model"], change["before"], change["after"]) for change in document["changes"]] == [
        ("models/m0001.pt2", "clean", "error")
    ]
    assert "1 items changed" in text.read_text()
    done = sweep(path, "--since", str(path))
    assert done.returncode == 3
    assert "is not what --report json=PATH writes" in done.stderr


def test_another_release_than_those_of_the_manifest(tmp_path: Path) -> None:
    models(tmp_path, 1)
    listed = sweep(manifest(tmp_path), "--dry-run", "--release", "1.4.1").stdout
    assert "--executorch 1.4.1" in listed
    assert "1 items" in listed
    assert sweep(manifest(tmp_path), "--release", "soon").returncode == 2
