"""What the browser tests know of a page that is open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass
class Opened:
    """A page, and what it did that it should not have done."""

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def rows(self) -> Any:
        return self.page.locator(".finding:visible")


#: JavaScript: ``await time(act)`` is how many milliseconds it takes until the next picture.
TIME = """
    const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const time = async (act) => {
        const start = performance.now();
        act();
        await frame();
        return performance.now() - start;
    };
"""


def settle(page: Any) -> None:
    """Wait until whatever is open is filled: a page draws a finding when the browser says that it was opened."""
    page.wait_for_function(
        "[...document.querySelectorAll('details.finding[open] > .body')].every((body) => body.childElementCount)"
        " && [...document.querySelectorAll('details.why[open]')].every((why) => why.childElementCount > 1)"
    )


#: Opens a page from its text.
Open: TypeAlias = Callable[..., Opened]
