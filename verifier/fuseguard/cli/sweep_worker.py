"""A process that runs one item of a sweep after another: ``fuseguard``'s own commands, without starting it again.

It is a child of ``fuseguard sweep``, whose requests and replies are those of
:mod:`fuseguard.executorch.serving`. Its Python is that of the item's release.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuseguard.cache.identity import file_digest
from fuseguard.cli import exits
from fuseguard.cli.main import cli
from fuseguard.executorch.serving import receive, send

if TYPE_CHECKING:
    from fuseguard.gate.gate import Gate

_MESSAGE = 2000  # characters of what a command says on stderr
#: What torch says when it gets no memory.
_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc", "MemoryError")


def main() -> None:
    """Answers requests until the parent is gone."""
    # Backends print to file descriptor 1: replies need one of their own.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    while True:
        try:
            request = receive(sys.stdin.buffer)
        except (EOFError, KeyboardInterrupt):
            return
        send(replies, ("ran", start(**request) if "modules" in request else run(**request)))


def start(modules: Sequence[str], memory_mib: int | None) -> dict[str, Any]:
    """Limit this process's memory and import what the items need. ``trouble`` in the reply says what is missing."""
    if memory_mib is not None:
        _limit(memory_mib)
    try:
        for module in modules:
            importlib.import_module(module)
        if modules:
            # This process does nothing but judge programs, which torch and the backend then do in less time.
            from fuseguard.executorch.hurry import hurry_alone

            hurry_alone()
    except Exception as error:  # whatever the import of a broken package raises
        return {"trouble": exits.MISSING_PROVE.format(error=error)}
    return {"trouble": ""}


def _limit(mib: int) -> None:
    """Of the data that the process may have. What it starts, such as the reference model, may have as much again."""
    try:
        import resource
    except ImportError:  # not on this system
        return
    size = mib * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


def _end_with(parent: int) -> None:
    """Ends this process soon after the one that made it, and what it has started."""
    while os.getppid() == parent:
        time.sleep(0.5)
    with contextlib.suppress(OSError):
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), 9)
    os._exit(1)


def run(folder: str, arguments: Sequence[str], digest: str) -> dict[str, Any]:
    """Run one command in ``folder``. The reply has the fields of :class:`fuseguard.sweep.items.Outcome`."""
    os.chdir(folder)
    _reset_peak()
    started = time.perf_counter()
    try:
        changed = file_digest(Path(arguments[1])) != digest
    except OSError:
        changed = not digest.startswith("unreadable")
    if changed:
        return {"status": "changed", "exit_code": exits.UNREADABLE, "message": "the file was changed or moved."}
    try:
        reply = _check(arguments) if arguments[0] == "check" else _command(arguments)
    except MemoryError:
        reply = {"status": "out of memory", "exit_code": exits.ABNORMAL, "message": "MemoryError"}
    reply = {**reply, "seconds": time.perf_counter() - started, "memory_kib": _peak()}
    if "fuseguard.executorch.hurry" in sys.modules:
        sys.modules["fuseguard.executorch.hurry"].tidy()  # hurry_alone has turned the collector off
    return reply


def _check(arguments: Sequence[str]) -> dict[str, Any]:
    """``fuseguard check``, with one gate for all files that are checked for the same."""
    from fuseguard.gate.exit_codes import exit_code
    from fuseguard.gate.files import check_file
    from fuseguard.gate.result import CheckResult
    from fuseguard.report.json import dump, to_dict

    file, options = Path(arguments[1]), tuple(arguments[2:])
    gate, rules = _gate(arguments[1], options)
    result = check_file(file, gate)
    code = exit_code([result], gate.fail_on)
    checked = CheckResult(gate.targets[0], gate.policy, (result,), rules, code, gate.targets, gate.fail_on)
    failures = result.report.failures if result.report is not None else ()
    said = result.trouble or "; ".join(f"rule {failure.code} failed: {failure.error}" for failure in failures)
    return _reply(code, dump(to_dict(checked)), said)


_GATES: dict[tuple[str, ...], tuple[Gate, tuple[str, ...]]] = {}


def _gate(file: str, options: tuple[str, ...]) -> tuple[Gate, tuple[str, ...]]:
    """The gate that the options ask for, and the codes of its rules."""
    if options not in _GATES:
        from fuseguard.cli import check, settings
        from fuseguard.engine.registry import load_registry

        given = check.command.make_context("check", [file, *options]).params
        names = ("target", "executorch", "config", "no_config", "policy", "fail_on")
        gate = settings.resolve(load_registry(), **{name: given[name] for name in names})
        _GATES[options] = (gate, tuple(rule.code for rule in gate.rules))
    return _GATES[options]


def _command(arguments: Sequence[str]) -> dict[str, Any]:
    out, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        try:
            code = cli.main(list(arguments), prog_name="fuseguard", standalone_mode=False) or 0
        except click.ClickException as error:
            code = error.exit_code
            said.write(error.format_message())
        except click.exceptions.Exit as error:
            code = error.exit_code
    return _reply(code, out.getvalue(), said.getvalue())


def _reply(code: int, text: str, said: str) -> dict[str, Any]:
    if code == exits.UNREADABLE:
        status = "unreadable"
    elif code in (exits.CLEAN, exits.FINDINGS):
        status = "done"
    else:
        status = "out of memory" if any(words in said for words in _NO_MEMORY) else "failed"
    outcome, message = _summed(text) if status == "done" else ("", said.strip()[-_MESSAGE:])
    if any(words in message for words in _NO_MEMORY) and outcome in ("crash", "runtime_fault"):
        status, outcome, code = "out of memory", "", exits.ABNORMAL  # no verdict on the program
    return {"status": status, "exit_code": code, "outcome": outcome, "message": message, "document": text}


def _summed(text: str) -> tuple[str, str]:
    """The outcome in a report, and a sentence about it."""
    document: dict[str, Any] = json.loads(text)
    if "files" in document:
        (file,) = document["files"]
        codes = sorted({finding["code"] for finding in file["findings"]})
        summary = document["summary"]
        counts = [f"{summary[f'{kind}s']} {kind}s" for kind in ("error", "warning", "note") if summary[f"{kind}s"]]
        worst = next((kind for kind in ("error", "warning", "note") if summary[f"{kind}s"]), "clean")
        return worst, ", ".join(counts) + (f": {', '.join(codes)}" if codes else "")
    if "repairs" in document:
        made, left = len(document["repairs"]), len(document["remaining"])
        return document["outcome"] or "", f"{made} repairs, {left} remain"
    if "programs" in document:  # of evaluate
        scores = ", ".join(f"{one['program']} {one['score']}" for one in document["programs"])
        return next((one["outcome"] for one in document["programs"] if one["outcome"]), ""), scores
    if document["exception"]:
        return document["outcome"], document["exception"].strip().partition("\n")[0][:_MESSAGE]
    on_cpu = sum("quantize_per" not in op for op in document["cpu_ops"])
    differing = f"{document['mismatches']} of {document['elements']} elements differ"
    return document["outcome"], f"{differing}, {on_cpu} ops on the CPU"


def _reset_peak() -> None:
    """Have the system forget the largest size of this process so far (Linux, proc(5): clear_refs)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int | None:
    """The largest resident size since then, in KiB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return None


if __name__ == "__main__":
    main()
