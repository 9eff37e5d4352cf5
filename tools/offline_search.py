"""A hook of mkdocs: the search works from the file system, and nothing is fetched from elsewhere.

Material's plugin ``offline`` adds a script to each page by its address on the web. The same script is in
docs/javascripts, and the pages are referred to that one.
"""

from __future__ import annotations

from typing import Any

_THERE = "https://unpkg.com/iframe-worker/shim"
_HERE = "javascripts/iframe-worker.js"


def on_post_page(output: str, /, *, page: Any, **_: Any) -> str:
    """Called by mkdocs with the HTML of each page."""
    return output.replace(_THERE, "../" * page.url.count("/") + _HERE)


def on_post_template(output_content: str, /, *, template_name: str, **_: Any) -> str:
    """Called by mkdocs with the text of what is not a page. Only 404.html has scripts, by addresses from the root."""
    return output_content.replace(_THERE, f"/{_HERE}") if template_name == "404.html" else output_content
