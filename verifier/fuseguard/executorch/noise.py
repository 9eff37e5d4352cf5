"""Keeps known noise of torch and torchao out of the user's output, while fuseguard's own code imports or copies.

Nothing stays changed afterwards: the filters are taken off. What the user's own code logs or warns of is left alone.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

#: Logger -> beginnings of messages that say nothing about the program: kernels for other hardware, deprecations between
#: torch and torchao.
_MESSAGES: dict[str, tuple[str, ...]] = {
    "torchao": ("Failed to load ", "Skipping import of cpp extensions"),
    "torch.utils._pytree": ("<enum ",),
}
#: TreeSpecs that torch itself copies (torch/utils/_pytree.py, LeafSpec.__new__).
_LEAF_SPEC = r"`isinstance\(treespec, LeafSpec\)` is deprecated"


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Within, what torchao logs when it is imported is not shown. Every other message is."""
    filters = [(logging.getLogger(name), _Without(starts)) for name, starts in _MESSAGES.items()]
    for logger, added in filters:
        logger.addFilter(added)
    try:
        yield
    finally:
        for logger, added in filters:
            logger.removeFilter(added)


class _Without(logging.Filter):
    def __init__(self, starts: tuple[str, ...]) -> None:
        super().__init__()
        self._starts = starts

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self._starts)


@contextlib.contextmanager
def quiet_copies() -> Iterator[None]:
    """Within, torch's deprecation of a class that it copies itself is not shown. Every other warning is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_LEAF_SPEC, category=FutureWarning)
        yield
