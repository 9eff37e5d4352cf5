"""The record of docs/performance.md: what was slow, what was changed, and what it gained. Figures were measured."""

from __future__ import annotations

from performance_rows import Change

CHANGES: tuple[Change, ...] = (
    Change(
        "cold",
        "Python compiles six methods for each dataclass that is imported. 72 of them took 35 ms of 112 ms within "
        "the process.",
        "45 small immutable classes are `Value`s (`ir/value.py`), which msgspec makes without compiling anything. "
        "`dataclasses.replace` and `fields` still take them.",
        "35 ms became 16 ms.",
    ),
    Change(
        "cold",
        "The interpreter looks for cycles among all objects as it ends, and the collector looked through the "
        "modules as they were imported.",
        "The collector does not run while commands and rules are imported. `gc.freeze()` before the end, unless "
        "torch was imported.",
        "About 60 ms of 255 ms of processor time, on a busy machine.",
    ),
    Change(
        "cold",
        "importlib.metadata imports 70 modules and parses a file of every installed package, to find one entry "
        "point and one version.",
        "`installed.py` reads the names of the `.dist-info` folders and the one file that mentions the group. "
        "Whatever is unusual still goes to importlib.metadata.",
        "With the two lines below: 517 modules became 358, although there are two rules more.",
    ),
    Change(
        "cold",
        "Every check imported the examples of all rules (65 modules), the readers of all formats, Vela's and "
        "Vulkan's status, tomllib, difflib and multiprocessing.",
        "They are imported where they are used. Rules name their examples (`ExamplesOf`), and `readers/formats.py` "
        "says what an archive is.",
        "See above. `tests/repository/test_import_budget.py` limits the number and names what may not come back.",
    ),
    Change(
        "cold",
        "packaging.specifiers, which imports packaging.tags, logging and subprocess, parsed some 250 ranges of "
        "releases in each start.",
        "`ranges.py` compares versions itself where a range is as simple as all of ours are.",
        "See above.",
    ),
    Change(
        "rules",
        "Five rules asked about every op whether it stays on the CPU, and two of them again for each round of "
        "refusals.",
        "`stays_on_cpu` answers once for each op. `CpuReach` knows from the view which values reach a quantize op, "
        "and asks about the other ops last.",
        "mixed: 361 function calls for each node became 263.",
    ),
    Change(
        "rules",
        "Models of the backend kept their answers by view in a WeakKeyDictionary and by target, whose hash computes "
        "that of two sets and of a version.",
        "The view keeps the answers, and a target's hash is that of its specification and accelerator.",
        "Part of the line above.",
    ),
    Change(
        "rules",
        "The program's interface made a second view of the whole program. Fingerprints matched two patterns for "
        "every op of a kind.",
        "Both use what is there already.",
        "chain: 190 function calls for each node became 176; with two rules more, they are 185.",
    ),
    Change(
        "files",
        "The limit of 60 seconds took over SIGALRM and gave it back for each of 57 rules: a sixth of the time of a "
        "small program.",
        "SIGALRM is taken over once for each program (`time_limits`).",
        "12,400 function calls for a small program became 11,200.",
    ),
    Change(
        "files",
        "Each file was sent to its worker process alone.",
        "Up to 16 are sent at a time; with few files, fewer.",
        "Part of the row.",
    ),
    Change(
        "reading",
        "The JSON of all nodes was decoded before the first one was read.",
        "Each node stays JSON until it is its turn (`PiecewiseGraph`).",
        "Peak memory: 3.5 times the JSON became 2.8 times. The time is the same.",
    ),
)

#: What was tried and gained nothing, or cost more than it gained.
TRIED: tuple[str, ...] = (
    "`os._exit` instead of `gc.freeze()` at the end: the same gain, and what is registered with atexit would not "
    "run.",
)
