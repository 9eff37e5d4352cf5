"""Runs the differential campaign: draw programs, judge each of them, keep one JSON line per program.

    python tests/differential/campaign.py --programs 3000 --seed 1 --jobs 2 --out campaign.jsonl
    python tests/differential/campaign.py --out campaign.jsonl --summary
    python tests/differential/campaign.py --out campaign.jsonl --refresh --jobs 2     # after rules have changed
    python tests/differential/campaign.py --seed 1 --show 17
    python tests/differential/campaign.py --seed 1 --shrink 17
    python tests/differential/campaign.py --repairs --programs 300 --seed 5 --out repairs.jsonl
    python tests/differential/campaign.py --grammar whole --seed 7 --programs 2000 --store

``--refresh`` reads the programs' graphs beside the records (``campaign.graphs``) and lowers only what it has to.
``--store`` keeps the records in a small file to commit, ``recorded/<release>-<grammar>-<seed>.jsonl.gz``, and takes
what ``--out`` lacks from it.

Programs are judged in worker processes: a process that dies, or takes too long over a program, is one record and a new
process. A campaign that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import pprint
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "differential"

from . import grammar, result_grammar, shape_grammar, whole_grammar
from .grammar import Program
from .records import graphs_beside, read_graphs, read_records, resumed, write_records, write_small
from .summaries import NO_PROGRAM, disagreements, is_settled, signature, summary
from .whole_grammar import WholeProgram, smaller

__all__ = ["disagreements", "main", "read_records", "shrink", "summary"]

#: What draws a program from a seed and an index.
GRAMMARS: dict[str, Callable[[int, int], Program]] = {
    "first": grammar.program_of,
    "results": result_grammar.program_of,
    "shapes": shape_grammar.program_of,
    "whole": whole_grammar.program_of,
}
#: Programs after which a worker is replaced: torch's caches grow.
CHUNK = 250
#: Where the records of campaigns are committed.
RECORDED = Path(__file__).with_name("recorded")
#: Programs after which --store is written.
STORED = 20


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    if options.store == RECORDED:
        options.store = RECORDED / f"{release()}-{options.grammar}-{options.seed}.jsonl.gz"
    if options.worker:
        return _work(options.grammar, options.seed, options.repairs)
    if options.show is not None:
        pprint.pprint(GRAMMARS[options.grammar](options.seed, options.show), width=110)
        return 0
    if options.shrink is not None:
        return _shrink(GRAMMARS[options.grammar](options.seed, options.shrink))
    if options.summary:
        if not options.out.exists() and not (options.store and options.store.exists()):
            print(f"there is no {options.out}", file=sys.stderr)
            return 2
        print(_table(options))
        return 0
    if options.refresh:
        return _refresh(options)
    return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200, help="how many programs (default %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="index of the first program")
    parser.add_argument("--seed", type=int, default=1, help="seed of the campaign")
    parser.add_argument("--grammar", choices=sorted(GRAMMARS), default="first", help="what draws the programs")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--out", type=Path, default=Path("campaign.jsonl"), help="JSON lines, appended to")
    parser.add_argument(
        "--store", type=Path, nargs="?", const=RECORDED, metavar="FILE",
        help="keep the records in a small file (.jsonl.gz) too, and take from it what --out lacks (default: "
        "tests/differential/recorded/<release>-<grammar>-<seed>.jsonl.gz)",
    )  # fmt: skip
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one program")
    parser.add_argument("--no-resume", action="store_true", help="start the output from scratch")
    parser.add_argument(
        "--refresh", action="store_true", help="judge again what the rules now say otherwise, and all disagreements"
    )
    parser.add_argument("--summary", action="store_true", help="print the result table of --out and stop")
    parser.add_argument("--show", type=int, metavar="INDEX", help="print one program's spec")
    parser.add_argument("--shrink", type=int, metavar="INDEX", help="make one program smaller while its record stays")
    parser.add_argument("--repairs", action="store_true", help="judge the results of repairs (repair_verdict.py)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def _run(options: argparse.Namespace) -> int:
    records = [] if options.no_resume else resumed(options.out, options.store)
    for name, value in (("seed", options.seed), ("grammar", options.grammar), ("release", release())):
        if any(record.get(name, value) != value for record in records):
            print(
                f"{options.out} holds a campaign with another {name}; give --no-resume or another --out",
                file=sys.stderr,
            )
            return 2
    known = {record["index"] for record in records}
    # Written again, so that no half line stays in the middle.
    write_records(options.out, records)
    if options.no_resume:
        graphs_beside(options.out).unlink(missing_ok=True)
    return _judge_all(options, [i for i in range(options.start, options.start + options.programs) if i not in known])


def release() -> str:
    """That of ExecuTorch; "" without it."""
    try:
        return version("executorch")
    except PackageNotFoundError:
        return ""


def _judge_all(options: argparse.Namespace, indices: Sequence[int]) -> int:
    pending = iter(indices)
    lock = threading.Lock()
    with options.out.open("a", encoding="utf-8") as stream, graphs_beside(options.out).open("a") as graphs:
        threads = [
            threading.Thread(target=_serve, args=(options, pending, lock, stream, graphs), daemon=True)
            for _ in range(options.jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if options.store is not None:
        write_small(options.store, read_records(options.out))
    print(_table(options))
    return 0


def _table(options: argparse.Namespace) -> str:
    records = resumed(options.out, options.store)
    if options.repairs:
        from . import repair_verdict

        return repair_verdict.summary(records)
    return summary(records)


def _refresh(options: argparse.Namespace) -> int:
    """Drops the records that may be out of date, and judges their programs again."""
    from .verdict import brief, lint, target_of

    records = resumed(options.out, options.store)
    if not records:
        return 0
    options.seed, options.grammar = records[0]["seed"], records[0].get("grammar", options.grammar)
    graphs = read_graphs(options.out)
    kept, again = [], []
    for record in records:
        graph = graphs.get(record["index"])
        settled = is_settled(record) and (graph is not None or record["verdict"] in NO_PROGRAM)
        if settled and (graph is None or brief(lint(graph, target_of(record)).findings) == record["findings"]):
            kept.append(record)
        else:
            again.append(record["index"])
    print(f"{len(kept)} of {len(records)} records stay, {len(again)} programs are judged again", file=sys.stderr)
    write_records(options.out, kept)
    return _judge_all(options, again)


def _serve(
    options: argparse.Namespace, pending: Iterator[int], lock: threading.Lock, stream: IO[str], graphs: IO[str]
) -> None:
    worker: Worker | None = None
    try:
        while True:
            with lock:
                index = next(pending, None)
            if index is None:
                return
            if worker is None or worker.done >= CHUNK or not worker.alive:
                if worker is not None:
                    worker.stop()
                worker = Worker(options.grammar, options.seed, options.repairs)
            known = {"seed": options.seed, "grammar": options.grammar, "release": release(), "index": index}
            record = {**known, **worker.judge(index, options.timeout)}
            graph = record.pop("graph", "")
            with lock:
                stream.write(json.dumps(record) + "\n")
                stream.flush()
                if graph:
                    graphs.write(f"{index} {graph}\n")
                    graphs.flush()
                if options.store is not None and (index + 1) % STORED == 0:
                    write_small(options.store, read_records(options.out))
    finally:
        if worker is not None:
            worker.stop()


class Worker:
    """A process that judges programs, one after the other."""

    def __init__(self, grammar: str, seed: int, repairs: bool = False) -> None:
        self.grammar = grammar
        self.seed = seed
        self.done = 0
        command = [
            sys.executable, "-W", "ignore", str(Path(__file__).resolve()),
            "--worker", "--grammar", grammar, "--seed", str(seed),
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command + ["--repairs"] * repairs,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._buffer = b""
        self._line(300.0)  # ready: the imports are done

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def judge(self, index: int, timeout: float) -> dict[str, Any]:
        """The record of one program; of one that kills the process or takes too long, what is known of it."""
        self.done += 1
        announced: dict[str, Any] = {}
        end = "aborted"
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(f"{index}\n".encode())
            self.process.stdin.flush()
            deadline = time.monotonic() + timeout
            while True:
                line = self._line(deadline - time.monotonic())
                message = json.loads(line)
                if message.pop("final"):
                    return message
                announced = message
        except TimeoutError:
            end = "timed out"
        except (EOFError, BrokenPipeError):
            pass
        self.stop()
        return died(GRAMMARS[self.grammar](self.seed, index), announced, end)

    def _line(self, timeout: float) -> bytes:
        """The next line. Raises TimeoutError, or EOFError when the process is gone."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TimeoutError
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                raise EOFError
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def died(program: Program, announced: dict[str, Any], end: str) -> dict[str, Any]:
    """The record of a program that took its process with it: broken, and announced or not."""
    record = announced or {
        "kinds": list(program.kinds), "config": program.config, "profile": program.profile, "findings": [],
        "edit": program.edit.name if program.edit else "", "notes": [], "guard": "",
        **({"features": list(program.features)} if isinstance(program, WholeProgram) else {}),
    }  # fmt: skip
    errors = any(item["effect"] in ("crash", "wrong", "undefined", "runtime_fault") for item in record["findings"])
    verdict = ("agree-broken" if errors else "miss") if announced else "aborted"
    return {**record, "verdict": verdict, "outcome": end, "exception": f"the process {end}"}


def _work(grammar: str, seed: int, repairs: bool) -> int:
    """A worker: an index per line in, messages out. What the backend prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from fuseguard.executorch.hurry import hurry_alone, tidy

    from .repair_verdict import judge_repair
    from .verdict import SAMPLE, judge_program

    hurry_alone()
    judge = judge_repair if repairs else judge_program

    def send(message: dict[str, Any], final: bool) -> None:
        replies.write(json.dumps({**message, "final": final}) + "\n")
        replies.flush()

    send({}, True)
    for number, line in enumerate(sys.stdin):
        index = int(line)
        program = GRAMMARS[grammar](seed, index)
        try:
            record = judge(program, index % SAMPLE == 0, lambda message: send(message, False))
        except Exception as error:  # a fault of the campaign itself must not look like a verdict
            record = {**died(program, {}, "aborted"), "verdict": "harness-fault", "exception": repr(error)[:400]}
        send(record, True)
        if number % 8 == 7:
            tidy()
    return 0


def shrink(program: Program, judge: Any) -> tuple[Program, dict[str, Any]]:
    """The smallest program found with the same signature, and its record. ``judge`` maps a program to its record."""
    best = judge(program)
    wanted = signature(best)
    progress = True
    while progress:
        progress = False
        for candidate in smaller(program):
            record = judge(candidate)
            if signature(record) == wanted:
                program, best, progress = candidate, record, True
                break
    return program, best


def _shrink(drawn: Program) -> int:
    from fuseguard.executorch.hurry import hurry_alone

    from .verdict import judge_program

    hurry_alone()
    program, record = shrink(drawn, judge_program)
    pprint.pprint(program, width=110)
    print(json.dumps(record, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
