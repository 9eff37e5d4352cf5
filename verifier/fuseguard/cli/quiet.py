"""Keeps stdout for the report while torch, the backend and the reference model are at work."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from fuseguard.cli import exits


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what is printed to stdout, from C++ too, to stderr; silence warnings and logs unless debugging."""
    with contextlib.ExitStack() as stack:
        try:
            saved = os.dup(sys.stdout.fileno())
        except (OSError, ValueError, io.UnsupportedOperation):  # stdout is not a file, as under a test runner
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        else:
            sys.stdout.flush()
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            stack.callback(_restore, saved)
        if not exits.debugging():
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            # torch logs the traceback of a failed load, and its packages what they could not import
            stack.callback(logging.disable, logging.root.manager.disable)
            logging.disable(logging.CRITICAL)
        yield


def _restore(saved: int) -> None:
    sys.stdout.flush()
    os.dup2(saved, sys.stdout.fileno())
    os.close(saved)
