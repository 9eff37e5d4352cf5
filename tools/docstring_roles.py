"""For mkdocstrings: roles in docstrings, such as ``:func:`name```, become Markdown.

The docstrings are also read in editors and by ``help()``, so they keep the roles that every Python programmer knows.
mkdocs.yml names this file as an extension of griffe. It needs griffe, which comes with mkdocstrings.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):`~?([\w.]+)`")


class DocstringRoles(Extension):  # type: ignore[misc]
    """Rewrites the docstring of every object that griffe reads."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called by griffe once for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """A docstring with each role as code: ``:func:`fuseguard.check``` is ```fuseguard.check```."""
    return _ROLE.sub(r"`\1`", docstring)
