"""What every reader has in common: limits that were passed and malformed programs end in the same error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from fuseguard.engine.collector import collector_paused
from fuseguard.readers.budget import OverBudget
from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.schema import MalformedProgram

T = TypeVar("T")
SAVE_AGAIN = "save it again with torch.export.save"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raises UnreadableInput, and nothing else, for whatever is wrong with the file that is read within."""
    with collector_paused():
        try:
            yield
        except OverBudget as error:
            raise UnreadableInput(
                f"{path}: the program has more than {error}, which are refused to protect memory and time; check a "
                f"smaller program"
            ) from error
        except MalformedProgram as error:
            raise UnreadableInput(
                f"{path}: the program does not follow torch.export's schema ({str(error)[:400]}), so the file is "
                f"damaged or forged; {SAVE_AGAIN}"
            ) from error
        except (RecursionError, MemoryError) as error:
            raise UnreadableInput(
                f"{path}: the program is nested too deeply or needs too much memory to be read safely; if it is "
                f"genuine, {SAVE_AGAIN} in smaller parts"
            ) from error


def decoded(data: bytes, kind: type[T]) -> T:
    """JSON as a struct. Raises MalformedProgram."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedProgram(str(error)) from error
