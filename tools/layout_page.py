"""The picture of the package structure, from the imports of the code, and the page that shows it."""

from __future__ import annotations

import ast
import html
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx

import fuseguard
import fuseguard_rules

VERIFIER = Path(fuseguard.__file__).parent
RULES = Path(fuseguard_rules.__file__).parent

#: Modules that only offer what others define, so that an arrow from them says nothing.
_LEFT_OUT = ("__init__",)

_WIDTH, _HEIGHT, _GAP, _ROW = 232, 84, 20, 54
_LETTERS = 34  # of a box's text in one line


def page() -> str:
    """The page, in Markdown."""
    graph = structure()
    rows = "\n".join(
        f"| `{name}` | {graph.nodes[name]['files']} | {graph.nodes[name]['about']} | {_imports(graph, name)} |"
        for generation in reversed(_levels(graph))
        for name in sorted(generation)
    )
    return (
        "# Layout\n\n"
        "Each box is a package or a top-level module of `fuseguard`, or the rule pack. An arrow points to a package "
        "that is imported. Arrows that follow from others are left out. Imports for type checking count. "
        "`tests/repository/test_architecture.py` enforces the layers, so every arrow points down.\n\n"
        "![The packages of fuseguard and what they import](layout.svg)\n\n"
        f"| package | files | holds | imports |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def picture() -> str:
    """The same as an SVG drawing."""
    graph = structure()
    rows = [sorted(generation) for generation in _levels(graph)]
    width = max(len(row) for row in rows) * (_WIDTH + _GAP) + _GAP
    height = len(rows) * (_HEIGHT + _ROW) + _GAP
    places: dict[str, tuple[float, float]] = {}
    for level, row in enumerate(rows):
        left = (width - len(row) * (_WIDTH + _GAP) + _GAP) / 2
        for column, name in enumerate(row):
            places[name] = (left + column * (_WIDTH + _GAP), _GAP + level * (_HEIGHT + _ROW))
    arrows = [_arrow(places[source], places[to]) for source, to in sorted(nx.transitive_reduction(graph).edges)]
    boxes = [_box(name, graph.nodes[name]["about"], places[name]) for name in places]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Packages of fuseguard, from the command line down to ir" font-family="sans-serif">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#5f7f7f"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join((*arrows, *boxes)) + "\n</svg>\n"
    )


@cache
def structure() -> nx.DiGraph[str]:
    """Packages as nodes with ``files`` and ``about``, and an edge to each package that one imports."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    members: dict[str, list[Path]] = {"fuseguard_rules": sorted(RULES.rglob("*.py"))}
    for path in sorted(VERIFIER.iterdir()):
        if path.suffix == ".py" and path.stem not in _LEFT_OUT:
            members[path.stem] = [path]
        elif (path / "__init__.py").is_file():
            members[path.name] = sorted(path.rglob("*.py"))
    for name, paths in members.items():
        first = RULES / "__init__.py" if name == "fuseguard_rules" else next(iter(paths))
        about = ast.get_docstring(ast.parse(first.read_text(encoding="utf-8"))) or ""
        graph.add_node(name, files=len(paths), about=" ".join(about.split("\n\n")[0].replace("``", "").split()))
    for name, paths in members.items():
        used = {package for path in paths for package in _packages(path)}
        graph.add_edges_from((name, package) for package in sorted(used) if package in members and package != name)
    return graph


def _levels(graph: nx.DiGraph[str]) -> list[list[str]]:
    """The packages by level, the top one first. Each stands right above the highest of those that it imports."""
    return list(reversed(list(nx.topological_generations(graph.reverse()))))


def _packages(path: Path) -> Iterator[str]:
    """The packages of fuseguard that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "fuseguard" and len(parts) > 1:
                yield parts[1]


def _imports(graph: nx.DiGraph[str], name: str) -> str:
    return ", ".join(f"`{other}`" for other in sorted(graph.successors(name))) or "none"


def _box(name: str, about: str, place: tuple[float, float]) -> str:
    left, top = place
    lines = textwrap.wrap(about, _LETTERS, max_lines=3, placeholder=" ...")
    text = "".join(
        f'<text x="{left + 10:g}" y="{top + 40 + 14 * number:g}" font-size="11" fill="#333">{html.escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#eef6f5" stroke="#00796b"/>'
        f'<text x="{left + 10:g}" y="{top + 20:g}" font-size="14" font-weight="bold" fill="#004d40">{name}</text>{text}'
    )


def _arrow(source: tuple[float, float], to: tuple[float, float]) -> str:
    start, end = (source[0] + _WIDTH / 2, source[1] + _HEIGHT), (to[0] + _WIDTH / 2, to[1])
    middle = (start[1] + end[1]) / 2
    return (
        f'<path d="M{start[0]:g} {start[1]:g}C{start[0]:g} {middle:g} {end[0]:g} {middle:g} {end[0]:g} {end[1] - 2:g}" '
        'fill="none" stroke="#5f7f7f" marker-end="url(#tip)"/>'
    )
