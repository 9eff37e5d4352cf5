"""Compares the Arm backend of two ExecuTorch releases by its sources, and names the rules that a difference concerns.

    python3 tools/compare_backend.py 1.5.0 1.5.1
    python3 tools/compare_backend.py 1.4.1 1.5.1 --json
    python3 tools/compare_backend.py 1.4.1 1.5.1 --show InsertRescaleInt32Pass

Each side is a release whose environment is built (tools/release_env.py), or a directory of installed packages. Nothing
of either is imported. A class or function counts as changed if its source differs in more than comments,
docstrings and layout. A pass that is unchanged itself but uses something that changed is named separately.

Needs only the standard library.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from backend_source import BACKEND, Backend, Definition, Step, read_backend
from release_env import EnvError, HeavyEnv
from rule_mentions import Mention, mentions

#: How many names a line of text lists before it says how many more there are.
SHOWN = 12


@dataclass(frozen=True)
class Change:
    """How a definition differs: ``added``, ``removed``, ``changed``, or ``moved`` to another file as it was.

    ``operators_added`` and ``operators_removed`` are those that it names now and did not name, and the reverse.
    """

    how: str
    name: str
    file: str
    kind: str
    is_pass: bool
    module: str
    operators_added: tuple[str, ...] = ()
    operators_removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListChange:
    """Elements that a list of the backend gained and lost. ``path`` is like ``TableOps.unary_table_ops``."""

    path: str
    file: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class PipelineChange:
    """A pass ``added`` to, ``removed`` from or ``moved`` in a pipeline, or called with other ``arguments``."""

    pipeline: str
    how: str
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Comparison:
    """Everything that differs. ``reached`` names, for a changed definition, unchanged passes that use it."""

    changes: tuple[Change, ...]
    lists: tuple[ListChange, ...]
    pipelines: tuple[PipelineChange, ...]
    reached: Mapping[str, tuple[str, ...]]
    packages: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def passes(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.is_pass)

    def others(self) -> tuple[Change, ...]:
        """Changes of the backend that are not passes."""
        return tuple(c for c in self.changes if not c.is_pass and c.module.startswith(BACKEND))

    def outside(self) -> tuple[Change, ...]:
        """Changes of what the backend imports from the rest of ExecuTorch."""
        return tuple(change for change in self.changes if not change.module.startswith(BACKEND))


def compare(old: Backend, new: Backend) -> Comparison:
    changes = tuple(_changes(old, new))
    return Comparison(
        changes=changes,
        lists=tuple(_lists(old, new)),
        pipelines=tuple(_pipelines(old, new)),
        reached=_reached(new, changes),
    )


def _changes(old: Backend, new: Backend) -> Iterable[Change]:
    gone = {key: old.definitions[key] for key in sorted(old.definitions.keys() - new.definitions.keys())}
    come = {key: new.definitions[key] for key in sorted(new.definitions.keys() - old.definitions.keys())}
    for before, after in _moved(gone, come):
        del gone[before.full_name], come[after.full_name]
        yield _change("moved" if before.text == after.text else "changed", before, after, old, new)
    for definition in gone.values():
        yield _change("removed", definition, None, old, new)
    for definition in come.values():
        yield _change("added", None, definition, old, new)
    for key in sorted(old.definitions.keys() & new.definitions.keys()):
        if old.definitions[key].text != new.definitions[key].text:
            yield _change("changed", old.definitions[key], new.definitions[key], old, new)


def _moved(gone: Mapping[str, Definition], come: Mapping[str, Definition]) -> list[tuple[Definition, Definition]]:
    """Classes and functions that one other file has now, by name."""
    pairs = []
    for before in gone.values():
        same = [after for after in come.values() if (after.name, after.kind) == (before.name, before.kind)]
        rivals = [other for other in gone.values() if (other.name, other.kind) == (before.name, before.kind)]
        if before.kind in ("class", "function") and len(same) == len(rivals) == 1:
            pairs.append((before, same[0]))
    return pairs


def _change(how: str, before: Definition | None, after: Definition | None, old: Backend, new: Backend) -> Change:
    shown = after or before
    assert shown is not None
    had = before.operators if before else frozenset()
    has = after.operators if after else frozenset()
    return Change(
        how=how,
        name=shown.name,
        file=shown.file,
        kind=shown.kind,
        is_pass=shown.full_name in (new.passes if after else old.passes),
        module=shown.module,
        operators_added=tuple(sorted(has - had)),
        operators_removed=tuple(sorted(had - has)),
    )


def _lists(old: Backend, new: Backend) -> Iterable[ListChange]:
    """Of lists that both releases have, or that a definition gained or lost which both have."""
    for key, after in new.in_backend().items():
        before = old.definitions.get(key)
        if before is None:
            continue
        for path in sorted(before.lists.keys() | after.lists.keys()):
            had, has = before.lists.get(path, ()), after.lists.get(path, ())
            if set(had) != set(has):
                added = tuple(item for item in has if item not in had)
                yield ListChange(path, after.file, added, tuple(item for item in had if item not in has))


def _pipelines(old: Backend, new: Backend) -> Iterable[PipelineChange]:
    for pipeline in sorted(old.pipelines.keys() | new.pipelines.keys()):
        had, has = old.pipelines.get(pipeline, ()), new.pipelines.get(pipeline, ())
        out: list[int] = []
        into: list[int] = []
        calls = [step.call for step in had], [step.call for step in has]
        for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, *calls, autojunk=False).get_opcodes():
            if tag == "equal":
                continue
            left = list(range(j1, j2))
            for i in range(i1, i2):
                j = next((j for j in left if has[j].name == had[i].name), None)
                if j is None:
                    out.append(i)
                else:  # in the same place, so called in another way
                    left.remove(j)
                    yield PipelineChange(pipeline, "arguments", had[i].name, had[i].call, has[j].call)
            into.extend(left)
        moved = Counter(had[i].name for i in out) & Counter(has[j].name for j in into)
        yield from _one_sided(pipeline, "removed", had, out, moved.copy())
        yield from _one_sided(pipeline, "added", has, into, moved.copy())
        for name, count in moved.items():
            sources = [i for i in out if had[i].name == name][:count]
            places = [j for j in into if has[j].name == name][:count]
            for i, j in zip(sources, places, strict=True):
                yield PipelineChange(pipeline, "moved", name, _after(had, i), _after(has, j))


def _one_sided(
    pipeline: str, how: str, steps: tuple[Step, ...], indices: list[int], moved: Counter[str]
) -> Iterable[PipelineChange]:
    for index in indices:
        name = steps[index].name
        if moved[name]:
            moved[name] -= 1
        else:
            before, after = (_after(steps, index), "") if how == "removed" else ("", _after(steps, index))
            yield PipelineChange(pipeline, how, name, before, after)


def _after(steps: tuple[Step, ...], index: int) -> str:
    return f"after {steps[index - 1].name}" if index else "first"


def _reached(new: Backend, changes: Iterable[Change]) -> dict[str, tuple[str, ...]]:
    """For each changed definition, the unchanged passes that use it, directly or through helpers.

    A pass that names another one orders them; that is not a use. A pass that derives from another one uses it. What was
    added is left out: who uses it changed for that.
    """
    users: dict[str, list[Definition]] = {}
    for definition in new.definitions.values():
        for used in definition.uses:
            users.setdefault(used, []).append(definition)
    different = {f"{change.module}:{change.name}" for change in changes}
    found = {}
    for start in sorted(f"{change.module}:{change.name}" for change in changes if change.how == "changed"):
        seen, waiting = {start}, [start]
        while waiting:
            used = waiting.pop()
            for user in users.get(used, ()):
                if user.full_name not in seen and (used not in new.passes or used in user.bases):
                    seen.add(user.full_name)
                    waiting.append(user.full_name)
        passes = tuple(sorted(new.definitions[key].name for key in (seen & new.passes.keys()) - different))
        if passes:
            found[start] = passes
    return found


def installed_packages(packages: Path) -> dict[str, str]:
    """The version of each distribution in a directory, by normalised name."""
    found = metadata.distributions(path=[str(packages)])
    return {item.metadata["Name"].lower().replace("_", "-"): item.version for item in found}


def different_packages(old: Path, new: Path) -> dict[str, tuple[str, str]]:
    """Name -> the two versions, "" where it is missing."""
    had, has = installed_packages(old), installed_packages(new)
    names = sorted(had.keys() | has.keys())
    return {name: (had.get(name, ""), has.get(name, "")) for name in names if had.get(name) != has.get(name)}


def changed_names(comparison: Comparison) -> dict[str, str]:
    """What a rule may name -> how it differs: classes, functions and constants, and the passes that are reached."""
    names: dict[str, str] = {}
    for used, passes in sorted(comparison.reached.items(), key=lambda item: len(item[1])):
        for name in passes:  # what few passes use says most
            names.setdefault(name, f"uses {used.rpartition(':')[2]}")
    for step in comparison.pipelines:
        names[step.name] = f"{step.how} in the pipeline"
    for change in comparison.changes:
        if change.kind in ("class", "function") or change.name.isupper():
            names[change.name] = change.how
    return names


def packages_of(name: str, checkout: Path) -> Path:
    """The directory of installed packages of a release or a path. Raises EnvError."""
    given = Path(name)
    if (given / "executorch").is_dir():
        return given
    heavy = HeavyEnv.of(name, checkout)
    if not heavy.finished():
        raise EnvError(f"the environment {name} is not built; run python3 tools/release_env.py {name}")
    return heavy.packages


def render(comparison: Comparison, found: Iterable[Mention], old: str, new: str) -> str:
    lines = [f"Arm backend of {old} -> {new}"]
    _section(lines, "Passes", [change_text(change) for change in comparison.passes()])
    _section(lines, "Pipelines", [_step(change) for change in comparison.pipelines])
    _section(lines, "Lists", [list_text(change) for change in comparison.lists])
    _section(lines, "Other files of the backend", _by_file(comparison.others()))
    _section(lines, "Unchanged passes that use something that changed", _reaching(comparison.reached))
    _section(lines, "Elsewhere in ExecuTorch, in what the backend imports", _by_file(comparison.outside()))
    packages = [f"{name} {had} -> {has}" for name, (had, has) in comparison.packages.items() if had and has]
    _section(lines, "Installed packages with another version", packages)
    _section(lines, "Rules that name one of these", [str(mention) for mention in found])
    return "\n".join(lines)


def _section(lines: list[str], title: str, items: list[str]) -> None:
    lines += ["", f"{title}: {len(items) if items else 'none'}", *(f"  {item}" for item in items)]


def change_text(change: Change) -> str:
    operators = [f"+{name}" for name in change.operators_added] + [f"-{name}" for name in change.operators_removed]
    said = f"; operators {_some(operators)}" if operators and change.how == "changed" else ""
    return f"{change.how:8}{change.name} ({change.file}){said}"


def _step(change: PipelineChange) -> str:
    places = " -> ".join(place for place in (change.before, change.after) if place)
    return f"{change.how:10}{change.name} in {change.pipeline.rpartition('.')[2]}: {places}"


def list_text(change: ListChange) -> str:
    """One line for the list and one each for what it gained and lost."""
    lines = [f"{change.path} ({change.file})"]
    lines += [f"    + {', '.join(change.added)}"] if change.added else []
    return "\n".join([*lines, *([f"    - {', '.join(change.removed)}"] if change.removed else [])])


def _by_file(changes: Iterable[Change]) -> list[str]:
    files: dict[str, list[str]] = {}
    for change in changes:
        files.setdefault(change.file, []).append(f"{change.name} {change.how}")
    return [f"{file}: {', '.join(names)}" for file, names in sorted(files.items())]


def _reaching(reached: Mapping[str, tuple[str, ...]]) -> list[str]:
    """One line for all that the same passes use."""
    used: dict[tuple[str, ...], list[str]] = {}
    for key, passes in reached.items():
        used.setdefault(passes, []).append(key.rpartition(":")[2])
    return [f"{', '.join(names)}: used by {_some(passes)}" for passes, names in used.items()]


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _show(name: str, old: Backend, new: Backend) -> str:
    """The sources of every definition of that name, as a unified diff."""
    keys = sorted(key for key in old.definitions.keys() | new.definitions.keys() if key.endswith(f":{name}"))
    parts = []
    for key in keys:
        had, has = ((b.definitions[key].text if key in b.definitions else "").splitlines() for b in (old, new))
        parts += [*difflib.unified_diff(had, has, f"old {key}", f"new {key}", lineterm=""), ""]
    return "\n".join(parts) if keys else f"neither release has {name}"


def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 whatever differs, 1 if a side is missing."""
    parser = argparse.ArgumentParser(description="Compare the Arm backend of two ExecuTorch releases.")
    parser.add_argument("old", help="a release, or a directory of installed packages")
    parser.add_argument("new", help="the same")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--show", metavar="NAME", help="print the difference of what has this name, as source")
    options = parser.parse_args(arguments)
    checkout = Path(__file__).resolve().parent.parent
    try:
        old, new = packages_of(options.old, checkout), packages_of(options.new, checkout)
    except EnvError as error:
        print(f"compare_backend: {error}", file=sys.stderr)
        return 1
    if options.show:
        print(_show(options.show, read_backend(old), read_backend(new)))
        return 0
    comparison, found = compare_installed(old, new, checkout)
    if options.json:
        print(json.dumps({**asdict(comparison), "mentions": [asdict(mention) for mention in found]}, indent=2))
    else:
        print(render(comparison, found, options.old, options.new))
    return 0


def compare_installed(old: Path, new: Path, checkout: Path) -> tuple[Comparison, tuple[Mention, ...]]:
    """Compare two directories of installed packages; and what in the checkout names a difference."""
    made = compare(read_backend(old), read_backend(new))
    comparison = Comparison(made.changes, made.lists, made.pipelines, made.reached, different_packages(old, new))
    return comparison, mentions(checkout, changed_names(comparison))


if __name__ == "__main__":
    sys.exit(main())
