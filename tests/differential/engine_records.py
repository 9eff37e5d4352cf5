"""Records of programs that an engine has judged: one JSON line each, in committed files, so that a run goes on.

A run is interrupted whenever its time is up. What is in its file is not done again.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

RECORDS = Path(__file__).parent / "recorded"
#: What an item may take, unless the caller says otherwise.
SECONDS = 240


class TooLate(BaseException):
    """An item takes too long. Not an Exception, which a judge would take for one of the lowering."""


def read(path: Path) -> dict[str, dict[str, Any]]:
    """The records by key; a last line that was cut off is left out."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[record["key"]] = record
    return found


def without_folders(text: str) -> str:
    """The text with the names of files alone: records are committed, and folders are those of one machine."""
    return re.sub(r"(?<![\w:/])/(?:[\w.@+-]+/)+", "", text)


def run(
    path: Path,
    items: Iterable[tuple[str, Callable[[], dict[str, Any]]]],
    minutes: float,
    tidy: Callable[[], None],
    seconds: int = SECONDS,
) -> None:
    """Makes the records that ``path`` does not have, in the order of ``items``, until the time is up.

    ``items``: keys, and what makes the record. What it raises is a record too, and so is an item that has ended the
    process or has taken longer than ``seconds``.
    """
    path.parent.mkdir(exist_ok=True)
    begun = path.with_suffix(".begun")
    known = read(path)
    path.write_text("", encoding="utf-8")  # written again, so that no half line stays in the middle
    for record in known.values():
        _append(path, record)
    if begun.exists():
        key = begun.read_text(encoding="utf-8")
        if key not in known:
            _append(path, {"key": key, "error": "the process ended"})
            known[key] = {}
    until = time.monotonic() + 60 * minutes

    def late(number: int, frame: FrameType | None) -> None:
        raise TooLate(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    for number, (key, make) in enumerate(items):
        if key in known:
            continue
        if time.monotonic() > until:
            break
        begun.write_text(key, encoding="utf-8")
        started = time.monotonic()
        signal.alarm(seconds)
        try:
            record = make()
        except (Exception, TooLate) as error:  # of quantizing, too: what the installed torch and quantizer refuse
            record = {"error": f"{type(error).__name__}: {error}".partition("\n")[0][:200]}
        finally:
            signal.alarm(0)
        _append(path, {"key": key, **record})
        print(f"{time.monotonic() - started:6.1f} s  {key}  {record}"[:220], flush=True)
        begun.unlink()
        if number % 8 == 7:
            tidy()
    print(f"{len(read(path))} records in {path.name}", flush=True)


def main(
    about: str,
    sources: Mapping[str, Callable[[], Iterable[tuple[str, Callable[[], dict[str, Any]]]]]],
    path_of: Callable[[str], Path],
    summary: Callable[[str], Iterable[str]],
) -> None:
    """The command of a script: judge what the records lack of the given sources, and print what all records say."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="*", choices=[*sources, []], help="what to judge, in this order")
    parser.add_argument("--minutes", type=float, default=15.0, help="for each of them")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"for one program (default: {SECONDS})")
    parser.add_argument("--summary", action="store_true", help="print what the records say and stop")
    options = parser.parse_args()
    if not options.summary:
        from fuseguard.executorch.hurry import hurry_alone, tidy

        hurry_alone()
        for source in options.source or sources:
            run(path_of(source), sources[source](), options.minutes, tidy, options.seconds)
    for source in sources:
        print("\n".join(summary(source)))


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record, separators=(",", ":")) + "\n")
