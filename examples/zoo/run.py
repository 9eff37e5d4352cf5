"""Builds the zoo, judges every lowering of it and writes the results. Run it with ``make zoo``.

    PYTHONPATH=examples .venvs/zoo-1.5.1/bin/python -m zoo.run --config int8 --release 1.5.1 --target TOSA-1.0+INT

Whatever is in ``out/`` already is not done again: a built program, and in the store of ``fuseguard sweep`` each check
and each proof. The steps ``guard`` and ``repair`` lower only what ``check`` refuses; without a refusal these two
lowerings are the one that ``prove`` has judged. The smallest programs come first. An item that takes longer than
``--seconds`` is recorded as such, and the other lowerings of its program are left for a later run.

Results that only ``results.json`` has, because they were run elsewhere, stay in it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from fuseguard.cache.identity import key_of
from fuseguard.executorch import serving
from fuseguard.executorch.child import Child, ChildDied, ChildRaised, ChildTooSlow
from fuseguard.executorch.noise import quiet_imports
from fuseguard.sweep.items import Item, plan
from fuseguard.sweep.manifest import load_manifest
from fuseguard.sweep.running import Limits, Worker
from fuseguard.sweep.store import Store
from zoo.layout import completed

with quiet_imports():
    from zoo.program import CONFIGS, Program, programs
    from zoo.results import collect, nodes_of, refused

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
OUTPUT = HERE / "out"
STORE = "zoo.sqlite"
RELEASES = ("1.5.1", "1.4.1")
TARGETS = ("TOSA-1.0+INT+FP", "TOSA-1.0+INT", "vgf", "ethos-u85-256")
STEPS = ("check", "prove", "guard", "repair", "evaluate")
#: The release whose environment builds the programs, and for which they are evaluated.
BUILT_WITH = "1.5.1"
EVALUATED_FOR = "TOSA-1.0+INT+FP"
_BUILD_SECONDS = 300


def main() -> int:
    """0 unless nothing could be built or there is no such program."""
    options = _options()
    OUTPUT.mkdir(exist_ok=True)
    os.environ["PYTHONPATH"] = str(HERE.parent)  # for the processes that build programs, and for metrics
    with quiet_imports():
        known = programs()
    chosen = [entry for name, entry in known.items() if not options.program or name in options.program]
    if unknown := set(options.program) - set(known):
        sys.exit(f"there is no program {', '.join(sorted(unknown))}; known are {', '.join(known)}")
    if not options.collect:
        _run([(entry, config) for config in options.config for entry in chosen if config in entry.configs], options)
    rows = collect(known, OUTPUT, OUTPUT / STORE, RELEASES, TARGETS)
    path: Path = options.results
    if path.exists():
        rows = completed(rows, json.loads(path.read_text(encoding="utf-8")))
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)
    print(f"{len(rows['items'])} rows in {path.name}")
    return 0


def _run(pairs: Sequence[tuple[Program, str]], options: argparse.Namespace) -> None:
    built = build_all(pairs)
    if not built:
        sys.exit("no program could be built")
    # First what is quick and decides what else there is to do; then the rest.
    for steps in (("check",), STEPS[1:]):
        wanted = [step for step in steps if step in options.step]
        places = [
            (step, release, target) for release in options.release for target in options.target for step in wanted
        ]
        judge(built, places, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build and judge the zoo.")
    parser.add_argument("program", nargs="*", help="default: all")
    parser.add_argument("--config", action="append", choices=CONFIGS, help="default: all")
    parser.add_argument("--release", action="append", choices=RELEASES, help="default: all")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--step", action="append", choices=STEPS, help="default: all")
    parser.add_argument("--seconds", type=float, default=180, help="for one item (default: 180)")
    parser.add_argument("--nodes", type=int, help="leave out programs with more nodes (default: none)")
    parser.add_argument("--retry", action="store_true", help="try again what broke or was too slow")
    parser.add_argument("--collect", action="store_true", help="run nothing, only write the results of earlier runs")
    parser.add_argument("--results", type=Path, default=HERE / "results.json", help="default: results.json")
    options = parser.parse_args()
    defaults = {"config": CONFIGS, "release": RELEASES, "target": TARGETS, "step": STEPS}
    for name, values in defaults.items():
        setattr(options, name, getattr(options, name) or list(values))
    return options


def build_all(pairs: Sequence[tuple[Program, str]]) -> list[tuple[Program, str]]:
    """Those that are built, in a process that may die or be ended. Failures are kept in build.json and not tried again.

    Remove their entry, or the file, to have them tried again.
    """
    path = OUTPUT / "build.json"
    failures: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    command = (sys.executable, serving.__file__, str(HERE / "build.py"))
    child = Child(lambda: command, seconds=_BUILD_SECONDS, group=True)
    done = []
    for entry, config in pairs:
        key = f"{entry.name}.{config}"
        if (OUTPUT / f"{key}.pt2").exists():
            done.append((entry, config))
            continue
        if key in failures:
            continue
        try:
            child.ask((entry.name, config, str(OUTPUT)))
            done.append((entry, config))
            print("built", key, flush=True)
        except (ChildRaised, ChildDied, ChildTooSlow) as error:
            failures[key] = str(error).strip()[:300]
            path.write_text(json.dumps(failures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            print("not built:", key, failures[key].partition("\n")[0], flush=True)
    child.stop()
    return done


def judge(
    pairs: Sequence[tuple[Program, str]], places: Sequence[tuple[str, str, str]], options: argparse.Namespace
) -> None:
    """Do what is missing for each step, release and target, and store it; programs with few nodes first.

    A program that is too slow for one item is so for the others: they are left out.
    """
    items = [item for place in places for item in _items(pairs, *place)]
    sizes = {item.model: nodes_of(OUTPUT / STORE, item.model) for item in items}
    items = [item for item in items if options.nodes is None or sizes[item.model] <= options.nodes]
    items.sort(key=lambda item: (options.release.index(item.release), sizes[item.model], item.model))
    with Store(OUTPUT / STORE) as store:
        outcomes = store.outcomes(items)
        done = store.finished(items, retry=options.retry)
        slow = {item.model for item in items if item.key in done and outcomes[item.key].status == "too slow"}
        missing = [item for item in items if item.key not in done]
        print(f"{len(items)} items, {len(missing)} to do", flush=True)
        worker = Worker(OUTPUT, Limits(options.seconds))
        try:
            for item in missing:
                if item.model in slow:
                    continue
                outcome = worker.run(item)
                if outcome.status == "too slow":
                    slow.add(item.model)
                store.put([(item, outcome)])
                said = outcome.outcome or outcome.status
                print(f"  {said:12} {outcome.seconds:6.1f} s  {item.label}  {outcome.message[:150]}", flush=True)
        finally:
            worker.kill()


def _items(pairs: Sequence[tuple[Program, str]], step: str, release: str, target: str) -> list[Item]:
    if step == "evaluate" and (release, target) != (BUILT_WITH, EVALUATED_FOR):
        return []
    if step in ("guard", "repair"):
        pairs = [
            (entry, config)
            for entry, config in pairs
            if refused(OUTPUT / STORE, f"{entry.name}.{config}.pt2", release, target)
        ]
    if step == "evaluate":
        pairs = [pair for pair in pairs if (OUTPUT / f"{pair[0].name}.npz").exists() and not _dims(pair[0])]
    if not pairs:
        return []
    manifest = OUTPUT / f"{step}.toml"
    manifest.write_text("\n".join(_manifest(pairs, "prove" if step == "evaluate" else step, release, target)))
    items = plan(load_manifest(manifest))
    return [_evaluation(item, pairs) for item in items] if step == "evaluate" else items


def _manifest(pairs: Sequence[tuple[Program, str]], step: str, release: str, target: str) -> Iterator[str]:
    yield f"steps = {json.dumps([step])}"
    yield f"targets = {json.dumps([target])}"
    yield f"releases = {json.dumps([release])}"
    yield f"store = {json.dumps(STORE)}"
    python = CHECKOUT / ".venvs" / release / "bin" / "python"
    yield f"python = {{ {json.dumps(release)} = {json.dumps(str(python))} }}"
    for entry, config in pairs:
        inputs = sorted(path.name for path in OUTPUT.glob(f"{entry.name}.inputs-*.pt"))
        yield "[[models]]"
        yield f"files = {json.dumps([f'{entry.name}.{config}.pt2'])}"
        yield f"inputs = {json.dumps(inputs)}"
        if dims := _dims(entry):
            yield f"dims = {{ {', '.join(f'{json.dumps(name)} = {size}' for name, size in dims.items())} }}"


def _dims(entry: Program) -> dict[str, int]:
    """The sizes for which a program with dynamic shapes is judged."""
    sizes: dict[str, int] = json.loads((OUTPUT / f"{entry.name}.dims.json").read_text(encoding="utf-8"))
    return sizes


def _evaluation(item: Item, pairs: Sequence[tuple[Program, str]]) -> Item:
    """The same model under ``fuseguard evaluate``, which a sweep has no step for."""
    entry, _ = next(pair for pair in pairs if item.model == f"{pair[0].name}.{pair[1]}.pt2")
    options = ("--trust", "--target", item.target, "--data", f"{entry.name}.npz", "--float", f"{entry.name}.float.pt2")
    arguments = ("evaluate", item.model, *options, "--metric", entry.metric, "--output-format", "json")
    return replace(item, key=key_of(item.key, arguments), step="evaluate", arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
