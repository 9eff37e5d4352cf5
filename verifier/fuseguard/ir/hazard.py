"""What loading a program's file with torch would run, apart from the program."""

from __future__ import annotations

from fuseguard.ir.value import Value


class Hazard(Value, frozen=True):
    """Something in a file that ``torch.export.load`` runs as code. The reader that found it ran nothing.

    ``code`` is that of the AR rule, ``place`` the record or field of the file, and ``text`` says what would run. Both
    quote the file as it is, and have to be escaped before they are shown.
    """

    code: str
    place: str
    text: str
