"""Ends well: on SIGTERM with all workers, and with an error where a rule pack ends the process.

A rule pack is Python of somebody else's. One that calls ``os._exit(0)`` would end a check with exit code 0 and an empty
report: a passed gate. So where packs other than fuseguard's own are installed, the command runs in a process of its
own, and this one takes its exit code only if it says that it came to its end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType

from fuseguard.cli import exits
from fuseguard.installed import OWN, rule_packs

_DIED = (
    "Error: the process that runs the rule packs ended too early, with {how}. Either a rule pack ended it, or the "
    "system ran out of memory. Nothing was checked. To find the pack, uninstall those that are not fuseguard's own one "
    "by one ('fuseguard rules' lists them)."
)


class Terminated(KeyboardInterrupt):
    """SIGTERM: what Ctrl-C does, without a word. No rule catches it, as none catches the other."""


def supervise() -> None:
    """Returns in the process that is to do the work. The other one, if there are two, ends here with its exit code."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _terminate)
    if not hasattr(os, "fork") or all(value == OWN[1] for _, value, *_ in rule_packs()):
        return
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        # Called last: atexit goes backwards, and os._exit calls nothing.
        atexit.register(os.write, writer, b"done")
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        return
    os.close(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: _pass_on(child, received))
    _, status = os.waitpid(child, 0)
    done = os.read(reader, 4)
    code = os.waitstatus_to_exitcode(status)
    if code == 0 and done != b"done":
        exits.tell(_DIED.format(how="exit code 0"))
        code = exits.ABNORMAL
    elif code < 0:
        exits.tell(_DIED.format(how=f"signal {-code}"))
        code = exits.ABNORMAL
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def _end_with(parent: int) -> None:
    """Ends the work when the process that waits for it was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def _pass_on(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


def _terminate(number: int, frame: FrameType | None) -> None:
    del number, frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated
