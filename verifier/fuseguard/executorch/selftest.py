"""The effects tables against reality: lowers every example of every rule with the installed release and judges it.

The process that asks imports no torch: workers of its own do all of the work (:mod:`fuseguard.executorch.case_judge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from fuseguard.engine.example_cases import NOT_JUDGED, Case, Result
from fuseguard.executorch.worker import start
from fuseguard.gate.parallel import in_processes, processors

if TYPE_CHECKING:
    from executorch.exir import EdgeCompileConfig

#: Cases that a worker judges before another one takes its place: what lowering leaves behind is never quite freed.
_CHUNK = 120
#: Cases between two collections of garbage, which take a quarter of a second each.
_TIDY = 8

_judged = 0  # by this process


def run_cases(
    chosen: Sequence[Case],
    jobs: int = 1,
    *,
    repairs: bool = False,
    compile_config: EdgeCompileConfig | None = None,
) -> Iterator[Result]:
    """Judge each case, in order, in ``jobs`` processes, 0 for one per processor.

    ``repairs``: also repair each program that can be repaired exactly, and judge that. ``compile_config`` is what the
    programs are lowered with; None means ExecuTorch's default.

    Raises KeyError for a case of no installed rule, and ImportError if torch or the backend cannot be imported.
    """
    jobs = jobs or processors()
    judge = partial(_judge, repairs=repairs, compile_config=compile_config)
    for first in range(0, len(chosen), _CHUNK * jobs):
        chunk = chosen[first : first + _CHUNK * jobs]
        # Spawned, not forked: torch's threads do not survive a fork.
        yield from in_processes(chunk, judge, min(jobs, len(chunk)), _lost, start, get_context("spawn"))


def _judge(case: Case, repairs: bool, compile_config: EdgeCompileConfig | None) -> Result:
    """In a worker. The import is here, so that the process that asks can name this function without torch."""
    global _judged
    from fuseguard.executorch.case_judge import judge_case
    from fuseguard.executorch.hurry import tidy

    _judged += 1
    if _judged % _TIDY == 0:
        tidy()
    return judge_case(case, repairs=repairs, compile_config=compile_config)


def _lost(case: Case) -> Result:
    return Result(
        case=case,
        expected=NOT_JUDGED,
        evidence="",
        found=(),
        outcome=NOT_JUDGED,
        cpu=0,
        guarded="",
        detail="",
        fault="not judged: a process was killed, perhaps for want of memory. Try again with a smaller -j.",
    )
