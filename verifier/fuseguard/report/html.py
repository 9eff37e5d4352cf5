"""The HTML report: one page that needs no network, with its data as JSON and its script and style in it.

Whatever a file says is in the JSON, and the script makes text nodes of it. The page's content security policy allows
the page's own script and style by their hashes, and no request. The JSON cannot end its element: ``<`` is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

from fuseguard.gate.result import CheckResult
from fuseguard.report.html_data import check_data
from fuseguard.report.options import Options
from fuseguard.report.quoting import name, quoted_tree

_ASSETS = "html_assets"
#: Of the page of a check.
CHECK_SCRIPTS = (
    "dagre.min.js", "common.js", "drawing.js", "graph_model.js", "graph_panel.js", "graph_view.js", "report.js"
)  # fmt: skip

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="fuseguard">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript><p>This report needs JavaScript. The text report has the same findings: fuseguard check FILE</p></noscript>
<div id="app"></div>
<script type="application/json" id="data">{data}</script>
{scripts}
</body>
</html>
"""


def render(result: CheckResult, options: Options | None = None) -> str:
    """The report as one HTML page, ending with a newline."""
    files = [name(file.file) for file in result.programs]
    title = f"fuseguard: {files[0]}" if len(files) == 1 else f"fuseguard: {len(files)} files"
    return page(title, check_data(result, options or Options()))


def page(title: str, data: Mapping[str, Any], scripts: Sequence[str] = CHECK_SCRIPTS) -> str:
    """A page with ``data``, which is quoted here. ``scripts`` are assets, in the order in which they run."""
    style = asset("report.css")
    texts = [_embeddable(asset(script)) for script in scripts]
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {' '.join(map(_hash, texts))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    elements = "\n".join(f"<script>{text}</script>" for text in texts)
    return _PAGE.format(policy=policy, title=html.escape(title), style=style, scripts=elements, data=embedded(data))


def embedded(data: Mapping[str, Any]) -> str:
    """JSON that no HTML parser takes for markup, whatever is in it."""
    text = json.dumps(quoted_tree(data), allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@lru_cache(maxsize=16)
def asset(file: str) -> str:
    """A file of the page, as it is in the package."""
    return resources.files(__package__).joinpath(_ASSETS, file).read_text(encoding="utf-8")


def _embeddable(script: str) -> str:
    """Without the comment that has a debugger ask for a file which is not there, and without control characters.

    What is written to a terminal has none. In a script they are in string literals, where an escape is the same.
    """
    lines = [line for line in script.split("\n") if not line.startswith("//# sourceMappingURL=")]
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", "\n".join(lines))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
