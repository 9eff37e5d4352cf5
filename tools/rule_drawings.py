"""The drawings of the rule pages: what a finding's surroundings look like, before and after the repair.

The boxes come from ``fuseguard.report.draw``, as those of the HTML report do, and the same script lays them out with
dagre, in Chromium. ``make pictures`` writes the files. Each names what it was made from, so that a test without a
browser notices one that is out of date.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fuseguard.engine.registry import Registry
from fuseguard.report.draw.islands import Picture
from rule_pages import drawing_of

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "rules"
_ASSETS = resources.files("fuseguard.report") / "html_assets"

#: Makes the page's one drawing an image of its own, which needs no style sheet and has no tooltips.
_TO_FILE = """([told, style]) => {
  const root = fuseguard.picture(told, told.shapes, told.label);
  root.querySelectorAll("title").forEach((title) => title.remove());
  root.removeAttribute("style");
  const back = fuseguard.svg("rect", { width: "100%", height: "100%", rx: 8, class: "back" });
  root.prepend(fuseguard.svg("style", {}, style), back);
  return new XMLSerializer().serializeToString(root);
}"""


@dataclass(frozen=True, slots=True)
class DrawingFile:
    """One file: its path below docs/pictures/rules, and what is drawn."""

    name: str
    told: dict[str, Any]

    @property
    def digest(self) -> str:
        """Names what the drawing is made of, scripts and style included."""
        made_of = json.dumps(self.told, sort_keys=True) + _TO_FILE + _style() + "".join(_scripts())
        return hashlib.sha256(made_of.encode()).hexdigest()[:16]

    @property
    def is_current(self) -> bool:
        path = FOLDER / self.name
        return path.is_file() and f"<!-- {self.digest} -->" in path.read_text(encoding="utf-8")


def drawing_files(registry: Registry) -> Iterator[DrawingFile]:
    """The drawings of all rules that have a finding about nodes."""
    for rule in registry.rules:
        drawing = drawing_of(rule, registry)
        if drawing is None:
            continue
        yield DrawingFile(f"{rule.code}.svg", _told(drawing.before, f"The finding of {rule.code}"))
        if drawing.after is not None:
            yield DrawingFile(f"{rule.code}-repaired.svg", _told(drawing.after, "The same, repaired"))


def write(registry: Registry, browser: Any) -> None:
    """Write what is out of date and remove what no rule has. ``browser`` is one of Playwright's."""
    FOLDER.mkdir(exist_ok=True)
    files = list(drawing_files(registry))
    for path in FOLDER.iterdir():
        if path.name not in {file.name for file in files}:
            path.unlink()
    page = browser.new_page()
    page.set_content(f'<script id="data" type="application/json">{{}}</script>{_script_elements()}')
    for file in files:
        if not file.is_current:
            svg = page.evaluate(_TO_FILE, [file.told, _style()])
            (FOLDER / file.name).write_text(f"{svg}\n<!-- {file.digest} -->\n", encoding="utf-8")
    page.close()


def _told(picture: Picture, label: str) -> dict[str, Any]:
    """A picture as the page's script wants it."""
    return {
        "label": label,
        "shapes": [[shape.name, shape.label, shape.kind, *shape.lines] for shape in picture.shapes],
        "nodes": list(range(len(picture.shapes))),
        "edges": [list(edge) for edge in picture.edges],
        "offending": list(picture.offending),
        "cluster": list(picture.cluster),
        "offending_edges": list(picture.offending_edges),
        "added": list(picture.added),
    }


@cache
def _scripts() -> tuple[str, ...]:
    return tuple((_ASSETS / name).read_text(encoding="utf-8") for name in ("dagre.min.js", "common.js", "drawing.js"))


def _script_elements() -> str:
    return "".join(f"<script>{script}</script>" for script in _scripts())


@cache
def _style() -> str:
    """The rules of the report's style sheet that are about drawings, with the colours of the light theme."""
    sheet = (_ASSETS / "report.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): ([^;]+);", sheet.partition("}")[0]))
    rules = [line for line in sheet.splitlines() if re.match(r"(svg text|\.box|\.outline|\.edge)[ .]", line)]
    plain = re.sub(r"var\(--([\w-]+)\)", lambda match: colours[match[1]], "".join(rules))
    return plain.replace("svg text", "text") + ".back{fill:#fff}"
