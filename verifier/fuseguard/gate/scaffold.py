"""The files that make a repository use fuseguard: as new text, or added to what is there, which stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fuseguard.gate import toml_lines
from fuseguard.gate.discovery import Found, Source

HOOKS_FILE = ".pre-commit-config.yaml"
WORKFLOW_FILE = ".github/workflows/fuseguard.yml"

_LOCAL_HOOK = r"""- repo: local
  hooks:
    - id: fuseguard
      name: fuseguard check
      entry: fuseguard check --require-quantized
      language: system
      files: \.(pt2|etrecord)$
      require_serial: true
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done with a file.

    ``content`` is the whole of it with what is added, None where it stays as it is; ``added`` is the new part, "" for
    none; ``note`` says why it stays, or what to add by hand.
    """

    path: str
    content: str | None = None
    added: str = ""
    note: str = ""


def settings_text(found: Found, targets: Sequence[str], baseline: str, root: str = "tool.fuseguard") -> str:
    """The configuration as TOML; ``root`` is "" for a fuseguard.toml."""
    lines = [f"[{root}]"] if root else []
    if targets:
        lines.append(f"target = {_toml(targets)}")
    lines.append(f"executorch = {_toml([found.release])}")
    lines.append("require-quantized = true")
    if baseline:
        lines.append(f"baseline = {_toml([baseline])}")
    return "".join(f"{line}\n" for line in lines)


def _toml(values: Sequence[str]) -> str:
    return json.dumps(values[0]) if len(values) == 1 else json.dumps(list(values))


def configuration(
    found: Found, targets: Sequence[str], baseline: str, pyproject: str | None, own: str | None
) -> Change:
    """``[tool.fuseguard]`` at the end of a pyproject.toml, else a fuseguard.toml; nothing where there is one.

    ``pyproject`` and ``own`` are the texts of the pyproject.toml and the fuseguard.toml, None for no file.
    """
    if own is not None:
        return Change("fuseguard.toml", note=_kept(own, baseline, ()))
    if pyproject is None:
        text = settings_text(found, targets, baseline, "")
        return Change("fuseguard.toml", text, text)
    text = settings_text(found, targets, baseline)
    try:
        document = toml_lines.loads(pyproject)
    except toml_lines.NotToml as error:
        return Change("pyproject.toml", note=f"is not TOML ({error}); fix it, and add:\n{text}")
    if "fuseguard" in document.get("tool", {}):
        return Change("pyproject.toml", note=_kept(pyproject, baseline, ("tool", "fuseguard")))
    merged = _appended(pyproject, text)
    try:
        toml_lines.loads(merged)
    except toml_lines.NotToml:
        return Change("pyproject.toml", note=f"has an inline table 'tool'; add to it by hand:\n{text}")
    return Change("pyproject.toml", merged, text)


def _kept(text: str, baseline: str, path: Sequence[str]) -> str:
    try:
        table = toml_lines.loads(text)
    except toml_lines.NotToml:
        return "exists, and is not TOML; 'fuseguard check' says where"
    for key in path:
        table = table.get(key, {})
    if baseline and "baseline" not in table:
        return f'has a configuration already; add to it:\nbaseline = "{baseline}"\n'
    return "has a configuration already"


def hooks(source: Source | None, text: str | None) -> Change:
    """The hook of pre-commit: of the repository that fuseguard is from, else of the fuseguard that is installed."""
    item = _LOCAL_HOOK
    if source is not None:
        item = f"- repo: {source.url}\n  rev: {source.revision}\n  hooks:\n    - id: fuseguard\n"
    if text is None:
        content = f"repos:\n{_indented(item, 2)}"
        return Change(HOOKS_FILE, content, content)
    if re.search(r"\bid:\s*[\"']?fuseguard\b|\bfuseguard check\b", text):
        return Change(HOOKS_FILE, note="has the hook already")
    indent = _indent_of_items(text)
    if indent is None:
        return Change(HOOKS_FILE, note=f"is not written as a list that can be added to; add to 'repos':\n{item}")
    added = _indented(item, indent)
    return Change(HOOKS_FILE, _appended(text, added, gap=False), added)


def _indent_of_items(text: str) -> int | None:
    """The indent of the items of ``repos:`` if it is a block list at the end of a YAML file; else None."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.fullmatch(r"repos:\s*(#.*)?", line)]
    if len(starts) != 1:
        return None
    after = [line for line in lines[starts[0] + 1 :] if line.strip() and not line.lstrip().startswith("#")]
    if not after or not after[0].lstrip(" ").startswith("- ") or any("\t" in line for line in after):
        return None
    indent = len(after[0]) - len(after[0].lstrip(" "))
    for line in after:
        own = len(line) - len(line.lstrip(" "))
        if own < indent or (own == indent and not line.lstrip(" ").startswith("- ")):
            return None  # another key follows, or the end of the document
    return indent


def _indented(text: str, indent: int) -> str:
    return "".join(f"{' ' * indent}{line}\n" for line in text.splitlines())


def workflow(found: Found, source: Source | None, existing: Sequence[tuple[str, str]]) -> Change:
    """The workflow for GitHub, with the action of the repository that fuseguard is from.

    ``existing`` are names and texts of the workflows that are there.
    """
    for name, text in existing:
        if "fuseguard" in text or name == WORKFLOW_FILE:
            return Change(name, note="checks with fuseguard already")
    if found.host and found.host != "github.com" and not existing:
        return Change(WORKFLOW_FILE, note=f"is not written: the repository is on {found.host}")
    if source is None or not source.on_github:
        missing = "no repository is known" if source is None else f"{source.url} is not on GitHub"
        return Change(
            WORKFLOW_FILE,
            note=f"is not written: it needs the GitHub repository of fuseguard's action, and {missing}; pass --source "
            f"OWNER/NAME@REVISION",
        )
    lfs = "        with:\n          lfs: true\n" if found.lfs else ""
    files = " ".join(found.globs)
    text = (
        "name: quantized models\n\n"
        f"on:\n  push:\n    branches: [{_yaml(found.branch)}]\n  pull_request:\n\n"
        "permissions:\n  contents: read\n  security-events: write  # to upload the findings\n\n"
        "jobs:\n  fuseguard:\n    runs-on: ubuntu-latest\n    steps:\n"
        f"      - uses: actions/checkout@v6\n{lfs}"
        f"      - uses: {source.on_github}@{source.revision}\n        with:\n          files: {_yaml(files)}\n"
    )
    return Change(WORKFLOW_FILE, text, text)


def _yaml(text: str) -> str:
    """A string that YAML takes for one."""
    return text if re.fullmatch(r"[A-Za-z][\w./-]*", text) and text not in _YAML_WORDS else json.dumps(text)


_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def _appended(text: str, added: str, *, gap: bool = True) -> str:
    """``text`` with ``added`` after it, with the line ends of ``text``."""
    newline = "\r\n" if "\r\n" in text else "\n"
    end = "" if not text or text.endswith("\n") else newline
    blank = newline if gap and text.strip() else ""
    return f"{text}{end}{blank}{added.replace(chr(10), newline)}"
