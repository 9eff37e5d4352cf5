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
        "rules",
        "Findings, islands, qparams and references were frozen dataclasses. Each finding was copied field by field "
        "three times: with its refusal, its rewrite and its fingerprint.",
        "They are `Value`s, and `ir/value.py` has a `replace` for these.",
        "chain: 26 µs for each node became 24 µs (5,000 nodes).",
    ),
    Change(
        "rules",
        "Value numbers recorded for every op what a merge must not change, although few ops are alike. BO601, BO602 "
        "and BO604 followed all values of a program through the CPU, once for each round of refusals. PL401 and PL406 "
        "searched all ops for what a round of refusals exposes.",
        "They are recorded only for ops that are alike. `reached` follows the values that a rule asks about. What a "
        "refusal exposes is looked for among its neighbours.",
        "chain: 185 function calls for each node became 147; mixed: 275 became 211 (5,000 nodes).",
    ),
    Change(
        "rules",
        "Rules about few kinds of ops, or about one dtype of codes, looked at every op.",
        "A view sorts its nodes by kind once (`View.of_kind`) and says which dtypes its codes have "
        "(`View.code_dtypes`). DT508 looks only at what reads a float.",
        "chain: 147 function calls for each node became 133; mixed: 211 became 172 (5,000 nodes). With the two lines "
        "above, on a busy machine in turn with the commit before: 29 µs for each of 10,000 nodes of the chain became "
        "21 µs, and 44 µs of mixed became 30 µs.",
    ),
    Change(
        "live",
        "The ranges of values were computed three times: for OP706, for OP710 and for the rules that ask for them by "
        "target.",
        "`reach_past` keeps them by the quantize ops that the backend leaves out, which are nearly always the same "
        "for all three.",
        "With the two lines below: 234,000 function calls for the transformer became 156,000, and 0.188 times the "
        "verifier became 0.116; 19,800 calls for the small classifier became 13,300, and 0.40 times became 0.24.",
    ),
    Change(
        "live",
        "Each check of a process looked for rule packs in the metadata of all installed packages, and validated all "
        "rules: a quarter of the time of a small program.",
        "Both are done again only if a folder of `sys.path` has changed, or for another rule.",
        "See above.",
    ),
    Change(
        "live",
        "The reader of live programs built the name of each node's operator, and worked out the dtype, shape and "
        "memory layout of each tensor.",
        "Each is done once for each operator, and for each combination of the three.",
        "See above.",
    ),
    Change(
        "files",
        "Python's json indents without its C encoder, and every string was matched for what a report must not show. "
        "The first process does this for all files, while the others wait.",
        "msgspec indents what json has written (`report/json_text.py`), and a string is matched only if something in "
        "it could be quoted.",
        "The first process of `-j 2` took 0.59 ms for each of 1,000 files, and takes 0.45 ms.",
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
    Change(
        "reading",
        "The limit of JSON values counted braces, brackets and commas one after the other, in two passes over the "
        "file: a seventh of the time.",
        "They are counted together (`Budget.json`).",
        "5.3 times `json.loads` became 4.9 times (6,400 nodes).",
    ),
)

#: What was tried and gained nothing, or cost more than it gained.
TRIED: tuple[str, ...] = (
    "`os._exit` instead of `gc.freeze()` at the end: the same gain, and what is registered with atexit would not "
    "run.",
    "1.3 times `json.loads` for reading: msgspec takes 0.5 times to decode the parts that are read, and counting the "
    "values twice takes 0.4 times. That leaves 3 µs for each node, in which Python makes little more than the node.",
)
