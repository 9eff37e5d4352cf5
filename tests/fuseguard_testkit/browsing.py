"""What the browser tests know of a page that is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

_SECONDS = 30


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


def wait_until(page: Any, condition: str) -> None:
    """Wait until the JavaScript expression is true. Raises AssertionError after 30 s.

    Playwright's own ``wait_for_function`` evaluates a string in the page if it has to look twice, as on a slow machine.
    The page's Content Security Policy forbids that.
    """
    end = time.monotonic() + _SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"still false after {_SECONDS} s: {condition}"
        page.wait_for_timeout(20)


def settle(page: Any) -> None:
    """Wait until whatever is open is filled: a page draws a finding when the browser says that it was opened."""
    wait_until(
        page,
        "[...document.querySelectorAll('details.finding[open]')].every((row) => row.childElementCount > 1)"
        " && [...document.querySelectorAll('details.why[open]')].every((why) => why.childElementCount > 1)",
    )


#: Opens a page from its text.
Open: TypeAlias = Callable[..., Opened]
