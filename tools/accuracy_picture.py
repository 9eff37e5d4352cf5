"""The picture of the home page: what a lowering does to the accuracy of the demonstration's model.

The figures are those of README.md's table, so that there is one source of them. ``make pictures`` writes the picture.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
_ROW = "| 1.5.1 | TOSA-1.0+INT |"
_EAGER = re.compile(r"classifies (\d+\.\d) % of the 450 test images correctly in eager mode")

_WIDTH, _TOP, _STEP, _BAR = 744, 84, 62, 34
_LEFT, _SCALE = 196, 3.9  # where bars begin, and pixels for a percent
_STYLE = (
    "text{font:14px sans-serif;fill:#222}.title{font-size:17px;font-weight:bold}.note{font-size:12.5px;fill:#444}"
    ".end{text-anchor:end}.value{font-weight:bold;fill:#fff;text-anchor:end}"
)


def figures(readme: str) -> tuple[tuple[str, float, str], ...]:
    """Name, accuracy in percent and a note for each bar. Raises ValueError if README.md has no such table."""
    eager = _EAGER.search(" ".join(readme.split()))
    row = next((line for line in readme.splitlines() if line.startswith(_ROW)), None)
    if eager is None or row is None:
        raise ValueError(f"README.md has no sentence like {_EAGER.pattern!r} or no row that starts with {_ROW!r}")
    unguarded, guarded, repaired = (cell.replace("*", "").strip() for cell in row.strip("|").split("|")[2:])
    return (
        ("quantized, eager", float(eager[1]), "what you tested"),
        ("lowered", *_split(unguarded)),
        ("lowered with guard", *_split(guarded)),
        ("lowered after repair", *_split(repaired.replace("none", "no op on the CPU"))),
    )


def _split(cell: str) -> tuple[float, str]:
    accuracy, _, note = cell.partition(" %, ")
    return float(accuracy), note


def picture() -> str:
    """The picture as SVG."""
    bars = figures(README.read_text(encoding="utf-8"))
    best = max(accuracy for _, accuracy, _ in bars)
    height = _TOP + _STEP * len(bars) + 8
    label = "; ".join(f"{name}: {accuracy} %, {note}" for name, accuracy, note in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(label)}">',
        f'<style>{_STYLE}</style><rect width="{_WIDTH}" height="{height}" rx="8" fill="#fff"/>',
        '<text x="24" y="34" class="title">One model, four ways to run it: test images classified correctly</text>',
        '<text x="24" y="56" class="note">Handwritten digits, 450 test images, ExecuTorch 1.5.1, TOSA-1.0+INT. '
        "Lowering prints no warning.</text>",
    ]
    for number, (name, accuracy, note) in enumerate(bars):
        top = _TOP + _STEP * number
        width, middle = accuracy * _SCALE, top + _BAR / 2 + 5
        colour = "#00796b" if accuracy == best else "#b00020"
        lines += [
            f'<text x="{_LEFT - 14}" y="{middle:g}" class="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{top}" width="{100 * _SCALE:g}" height="{_BAR}" rx="4" fill="#eee"/>',
            f'<rect x="{_LEFT}" y="{top}" width="{width:g}" height="{_BAR}" rx="4" fill="{colour}"/>',
            f'<text x="{_LEFT + width - 12:g}" y="{middle:g}" class="value">{accuracy} %</text>',
            f'<text x="{_LEFT}" y="{top + _BAR + 16}" class="note">{escape(note)}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
