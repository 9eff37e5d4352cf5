"""``fuseguard new-rule``."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path

import click

from fuseguard.cli import exits, output
from fuseguard.engine.registry import Registry, load_registry

EPILOG = """\b
Examples:
  fuseguard new-rule PA101 relu-reads-coarse-steps
  fuseguard new-rule PA102 sum-overflows --pack src/rules --tests tests/rules

\b
CODE is two or three capital letters and three digits, and never changes. NAME
states the fault in kebab-case, not the remedy. The new rule works, so
'fuseguard test-rules' passes; it finds a sample fault until you change it.
Existing files stay as they are. Exit codes: 0 written; 2 nothing written."""

#: What fuseguard's own rules have, or will have, before their digits.
OWN_PREFIXES = ("AR", "BO", "DT", "FU", "OP", "PG", "PL", "QD", "QP", "SU")

_CODE = re.compile(r"[A-Z]{2,3}\d{3}")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rule goes. ``package`` is the dotted name that ``directory`` is imported by."""

    directory: Path
    package: str
    module: str
    tests: Path

    @property
    def pack_file(self) -> Path:
        return self.directory / "__init__.py"

    @property
    def rule_file(self) -> Path:
        return self.directory / f"{self.module}.py"

    @property
    def test_file(self) -> Path:
        return self.tests / f"test_{self.module}.py"


@click.command("new-rule", epilog=EPILOG, short_help="Create a rule with its test and its pack, as a start.")
@click.argument("code")
@click.argument("name")
@click.option(
    "--pack",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("my_rules"),
    show_default=True,
    help="Directory of the Python package that the rule goes into.",
)
@click.option(
    "--tests",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("tests"),
    show_default=True,
    help="Directory that the rule's test goes into.",
)
def command(code: str, name: str, pack: Path, tests: Path) -> None:
    """Write a rule, its test and, where there is none yet, the pack around it."""
    registry = load_registry()
    place = _place(pack, name, tests)
    _check_names(code, name, place, registry)
    new_pack = not place.pack_file.exists()
    from fuseguard.cli import rule_template

    fields = {
        "code": code,
        "name": name,
        "title": name.replace("-", " "),
        "class_name": _class_name(name),
        "package": place.package,
        "module": place.module,
    }
    files = {
        place.rule_file: rule_template.RULE.substitute(fields),
        place.test_file: rule_template.TEST.substitute(fields),
    }
    if new_pack:
        files[place.pack_file] = rule_template.PACK.substitute(fields)
    for path in files:
        if path.exists():
            raise exits.Failure(f"{path} exists; nothing was written. Choose another name, or move the file away.")
    for path, text in files.items():
        _write(path, text)
        output.write_text(f"wrote {path}\n")
    output.write_text(_next_steps(place, _class_name(name), new_pack))


def _place(pack: Path, name: str, tests: Path) -> _Place:
    parts = [pack.resolve().name]
    parent = pack.resolve().parent
    while (parent / "__init__.py").is_file():
        parts.insert(0, parent.name)
        parent = parent.parent
    return _Place(pack, ".".join(parts), name.replace("-", "_"), tests)


def _check_names(code: str, name: str, place: _Place, registry: Registry) -> None:
    """Raises Failure for a code or name that is malformed or taken, and for a package that cannot be imported."""
    if not _CODE.fullmatch(code):
        raise exits.Failure(
            f"{code!r} is not a rule code. Use two or three capital letters and three digits, as in PA101."
        )
    if not _NAME.fullmatch(name):
        raise exits.Failure(
            f"{name!r} is not a rule name. Use kebab-case that begins with a letter, as in sum-overflows."
        )
    for part in (*place.package.split("."), place.module):
        if not part.isidentifier() or keyword.iskeyword(part):
            raise exits.Failure(f"{part!r} cannot be imported by Python; choose another name.")
    for taken in (registry.get(code), registry.get(name)):
        if taken is not None:
            raise exits.Failure(f"{taken.code} {taken.name} exists; codes and names are unique and never reused.")
    if code[:-3] in OWN_PREFIXES and not place.package.startswith("fuseguard_rules"):
        raise exits.Failure(
            f"codes that begin with {code[:-3]} are reserved for fuseguard, and a later version may use {code}. Choose "
            f"a prefix other than {', '.join(OWN_PREFIXES)}."
        )


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise exits.Failure(f"cannot make {str(path.parent)!r}: {error.strerror or error}.") from error
    output.write_file(path, text)


def _next_steps(place: _Place, class_name: str, new_pack: bool) -> str:
    top = place.package.split(".", 1)[0]
    lines = [""]
    if not new_pack:
        lines += [
            f"Add the rule to {place.pack_file}, or to the __init__.py that states RULES:",
            f"  from {place.package}.{place.module} import {class_name}",
            f"  RULES = (..., {class_name})",
            "",
        ]
    elif top != "fuseguard_rules":
        lines += [
            "Register the pack in the pyproject.toml of its distribution and install it, so that fuseguard finds it:",
            '  [project.entry-points."fuseguard.rules"]',
            f'  {top} = "{place.package}"',
            "",
        ]
    lines += [
        "Test it, now and after every change:",
        f"  fuseguard test-rules {_as_path(place.directory)}",
        f"  python -m pytest {place.test_file}",
        "",
    ]
    return "\n".join(lines)


def _as_path(directory: Path) -> str:
    """The directory as an argument that cannot be mistaken for a module's name."""
    text = str(directory)
    return text if directory.is_absolute() or text.startswith(".") else f"./{text}"
