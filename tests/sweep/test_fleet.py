"""``fuseguard sweep --scheduler``: several machines, here the workers of a real LocalCluster, one of which is killed.

Protects: results that are lost with a machine, or there twice because Dask has run a batch again.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuseguard_testkit.cli_process import environment
from fuseguard_testkit.sweeping import manifest, models, pack, statuses, stored, sweep

distributed = pytest.importorskip("distributed", reason="Dask (the extra 'fleet') is not installed")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three workers, each a process of its own, on which every check takes a while."""
    for name, value in pack(tmp_path, "time.sleep(0.05)").items():
        monkeypatch.setenv(name, value)
    with distributed.LocalCluster(
        n_workers=3,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path / "dask"),
    ) as made:
        yield made


def test_a_killed_worker_loses_nothing_and_nothing_is_there_twice(tmp_path: Path, cluster: Any) -> None:
    models(tmp_path, 150)
    path, store = manifest(tmp_path), tmp_path / "sweep.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-m", "fuseguard.cli.main", "sweep", str(path), "--scheduler", cluster.scheduler_address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with distributed.Client(cluster) as client:
        pids = client.run(os.getpid)
    end = time.monotonic() + 90
    while _rows(store) < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    assert _rows(store) < 150, "it was killed while the sweep ran"
    out, told = process.communicate(timeout=120)
    assert process.returncode == 1, (out, told)
    assert statuses(store) == {"done": 150}
    assert len({model for model, *_ in stored(store)}) == 150
    second = sweep(path, "--scheduler", cluster.scheduler_address, variables=environment())
    assert "150 of 150 items are in the store; 0 are missing." in second.stderr


def test_a_scheduler_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models(tmp_path, 1)
    code = (
        "import fuseguard.sweep.fleet as fleet; fleet._CONNECT_SECONDS = 1; from fuseguard.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "sweep", str(manifest(tmp_path)), "--scheduler", "tcp://127.0.0.1:9"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the scheduler tcp://127.0.0.1:9 cannot be reached" in done.stderr


def _rows(store: Path) -> int:
    try:
        return len(stored(store))
    except sqlite3.Error:
        return 0
