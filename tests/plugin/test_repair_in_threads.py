"""Threads may repair and guard at the same time: torch copies and traces programs with state of the whole process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("executorch")

from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.locking import one_at_a_time
from fuseguard.executorch.materialize import materialize
from fuseguard.executorch.repairs import RepairResult, repair
from fuseguard_rules.examples.fusion import islands as examples

pytestmark = pytest.mark.torch

THREADS, TIMES = 4, 3


def test_four_threads_repair_programs_of_their_own_and_one_together() -> None:
    program, _ = materialize(examples.OUT_OF_RANGE[0].graph())
    expected = _told(repair(program))
    own = [copy_program(program) for _ in range(THREADS)]
    start = threading.Barrier(THREADS)

    def work(number: int) -> list[list[str]]:
        start.wait(timeout=60)
        return [_told(repair(one)) for _ in range(TIMES) for one in (own[number], program)]

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(work, range(THREADS)))
    assert results == [[expected] * (2 * TIMES)] * THREADS


def _told(result: RepairResult) -> list[str]:
    assert result.applied
    return [str(node.format_node()) for node in result.program.graph.nodes]


def test_functions_of_this_kind_wait_for_one_another() -> None:
    """The test above passes now and then without a lock as well."""
    inside, most = 0, 0
    lock = threading.Lock()
    start = threading.Barrier(THREADS)

    @one_at_a_time
    def work(depth: int) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.01)
        with lock:
            inside -= 1
        if depth:
            work(depth - 1)  # what lowers a program repairs it first

    def started() -> None:
        start.wait(timeout=60)
        work(1)

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(started) for _ in range(THREADS)]:
            done.result(timeout=60)
    assert most == 1
