"""Writes the generated pages of docs/: a page for each rule, and the references of commands, output and Python API.

    python tools/generate_docs.py            # write them
    python tools/generate_docs.py --check    # only say what is stale; exit code 1 if anything is

The pages are committed, so that they can be read without building anything; a test fails when one is stale. Needs
fuseguard installed, and no torch.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cli_page import cli_page
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.registry import Registry, load_registry
from fuseguard.engine.rule import Rule
from layout_page import page as layout_page
from layout_page import picture as layout_picture
from notebook_page import notebook_page
from output_page import output_page
from performance_page import performance_page
from python_page import python_page
from rule_pages import housekeeping_page, index_page, rule_page
from zoo_page import zoo_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
#: Folders that hold nothing but generated pages: what else is in them is stale.
GENERATED = ("rules", "reference")
_NOTE = "<!-- Made by tools/generate_docs.py from the code. Do not edit. -->\n\n"


def pages() -> dict[Path, str]:
    """Path below docs/ -> text of every generated page."""
    registry = shipped()
    made = {
        Path("rules/index.md"): index_page(registry),
        Path("reference/cli.md"): cli_page(),
        Path("reference/output.md"): output_page(),
        Path("reference/python.md"): python_page(),
        Path("reference/layout.md"): layout_page(),
        Path("reference/layout.svg"): layout_picture(),
        Path("tutorial.md"): notebook_page(),
        Path("zoo.md"): zoo_page(),
        Path("performance.md"): performance_page(),
    }
    for rule in registry.everything:
        made[Path(f"rules/{rule.code}.md")] = _page(rule, registry)
    return {path: _NOTE + text.rstrip() + "\n" for path, text in made.items()}


def shipped() -> Registry:
    """The rules of fuseguard itself, whatever other packs are installed."""
    return Registry(pack for pack in load_registry().packs if pack.name == "fuseguard")


def _page(rule: Rule | HousekeepingRule, registry: Registry) -> str:
    return housekeeping_page(rule) if isinstance(rule, HousekeepingRule) else rule_page(rule, registry)


def stale(made: dict[Path, str]) -> list[str]:
    """What is missing, differs or should not be there."""
    there = {path.relative_to(DOCS) for folder in GENERATED for path in (DOCS / folder).rglob("*") if path.is_file()}
    there |= {path for path in made if (DOCS / path).is_file()}
    faults = [f"{path} should not be there" for path in sorted(there - set(made))]
    for path, text in sorted(made.items()):
        if path not in there:
            faults.append(f"{path} is missing")
        elif (DOCS / path).read_text(encoding="utf-8") != text:
            faults.append(f"{path} is stale")
    return faults


def write(made: dict[Path, str]) -> None:
    """Write what differs, and remove what should not be there."""
    for folder in GENERATED:
        (DOCS / folder).mkdir(exist_ok=True)
        for path in sorted((DOCS / folder).rglob("*")):
            if path.is_file() and path.relative_to(DOCS) not in made:
                path.unlink()
    for name, text in made.items():
        path = DOCS / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page is stale")
    options = parser.parse_args()
    made = pages()
    faults = stale(made)
    if not options.check:
        write(made)
        print(f"{len(made)} pages, {len(faults)} of them written or removed")
        return 0
    for fault in faults:
        print(f"docs/{fault}; run tools/generate_docs.py", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
