"""The message for an error that fuseguard did not foresee."""

from __future__ import annotations

import os
import sys


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("FUSEGUARD_DEBUG", "") not in ("", "0")


def internal_error(error: BaseException) -> str:
    """The message. Prints the traceback if the user asked for it."""
    if debugging():
        import traceback

        print("".join(traceback.format_exception(error)), file=sys.stderr)
        advice = "The traceback is above"
    else:
        advice = "FUSEGUARD_DEBUG=1 shows the traceback"
    return (
        f"internal error: {type(error).__name__}: {error}\n"
        f"This is a bug in fuseguard or in a rule pack. {advice}; please report it to "
        f"its authors{_address()}, with the traceback and the output of 'fuseguard version'."
    )


def _address() -> str:
    """Where fuseguard's package metadata says that issues go, if it does."""
    from importlib import metadata

    try:
        urls = metadata.metadata("fuseguard").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((f" ({url.split(',', 1)[1].strip()})" for url in urls if url.lower().startswith("issues,")), "")
