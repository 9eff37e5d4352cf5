"""Fuzzes the readers, the rules and the reports with damaged and forged files of every format.

    python3 tools/fuzz.py                                   # 100,000 inputs
    python3 tools/fuzz.py --seed 7 --inputs 1000000 --jobs 2 --output build/fuzz
    python3 tools/fuzz.py --seconds 60
    python3 tools/fuzz.py --reproduce 7:4711                # writes that one input, and judges it
    python3 tools/fuzz.py --replay build/fuzz/7-4711.pt2    # judges a file

Every input has to end in a report or in one clear refusal, within 5 s and 1 GiB of address space, and without torch.
What does not is a failure: its input is written beside ``summary.json``, and the exit code is 1. Inputs depend on the
seed and their number alone. docs/fuzzing.md says what is changed, and what campaigns were run.

Needs an environment with fuseguard in it (tools/release_env.py core).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from fuzzing import corpus
from fuzzing.campaign import Campaign
from fuzzing.inputs import WEIGHTS, Maker
from fuzzing.worker import DEFAULT_SUBJECT, Settings, Tally, subject_of

#: Failures of one campaign whose inputs are written.
_WRITTEN = 200


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.replay:
        return _replay(options.replay, 0, options.subject)
    if options.reproduce:
        return _reproduce(options)
    settings = Settings(options.seed, options.subject, int(options.memory * 2**20), tuple(options.kind))
    campaign = Campaign(settings, options.jobs, options.limit)
    campaign.run(options.inputs, options.seconds, None if options.quiet else _Progress())
    summary = campaign.summary()
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    maker = Maker(corpus.load(), options.seed, settings.kinds)
    for failure in summary["failures"][:_WRITTEN]:
        _write(options.output, options.seed, failure["number"], maker)
    print(_text(summary))
    return 1 if summary["failures"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=100_000, metavar="N")
    parser.add_argument("--seconds", type=float, metavar="S", help="start no more inputs after so long")
    parser.add_argument("--jobs", "-j", type=int, default=os.cpu_count() or 1, metavar="J")
    parser.add_argument("--limit", type=float, default=5.0, metavar="S", help="seconds for one input (5)")
    parser.add_argument("--memory", type=float, default=1024, metavar="MIB", help="address space of a worker (1024)")
    parser.add_argument("--kind", action="append", default=[], choices=tuple(WEIGHTS), help="change only such parts")
    parser.add_argument("--output", type=Path, default=Path("build", "fuzz"), metavar="FOLDER")
    parser.add_argument("--quiet", action="store_true", help="tell nothing of the progress")
    parser.add_argument("--reproduce", metavar="SEED:NUMBER", help="write one input to the output folder and judge it")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="judge one file")
    parser.add_argument("--subject", default=DEFAULT_SUBJECT, help=argparse.SUPPRESS)
    return parser


def _reproduce(options: argparse.Namespace) -> int:
    seed, _, number = options.reproduce.partition(":")
    maker = Maker(corpus.load(), int(seed), tuple(options.kind))
    made = maker.make(int(number))
    print(f"{made.format}, {made.mutator}")
    return _replay(_write(options.output, int(seed), int(number), maker), int(number), options.subject)


def _replay(path: Path, number: int, subject: str) -> int:
    try:
        print(f"{path}: {subject_of(subject)(path, number)}")
    except Exception as error:
        print(f"{path}: {getattr(error, 'signature', type(error).__name__)}\n{error}")
        return 1
    return 0


def _write(folder: Path, seed: int, number: int, maker: Maker) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = maker.make(number)
    path = folder / f"{seed}-{number}{made.suffix}"
    path.write_bytes(made.data)
    return path


class _Progress:
    """A line on stderr every ten seconds."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, tally: Tally) -> None:
        now = time.monotonic()
        if now - self._told > 10:
            self._told = now
            print(f"{tally.inputs:,} inputs, {sum(tally.signatures.values()):,} failures", file=sys.stderr)


def _text(summary: dict[str, Any]) -> str:
    outcomes = ("report", "unchanged", "refused", "failure")
    lines = [f"{'format':<24}" + "".join(f"{name:>12}" for name in outcomes)]
    for kind, counts in summary["outcomes"].items():
        lines.append(f"{kind:<24}" + "".join(f"{counts.get(name, 0):>12,}" for name in outcomes))
    lines.append(
        f"{summary['inputs']:,} inputs of seed {summary['seed']} in {summary['seconds']:,} s: "
        f"{summary['inputs_per_second']:,} a second, {summary['inputs_per_cpu_second']:,} a second of the processor. "
        f"Longest {summary['longest_seconds']} s (input {summary['longest_input']}), peak {summary['peak_mib']} MiB."
    )
    lines += [
        f"{failure['signature']} ({failure['times']:,} times): {summary['seed']}:{failure['number']}, "
        f"{failure['format']}, {failure['mutator']}"
        for failure in summary["failures"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
