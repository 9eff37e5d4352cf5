"""Opens an untrusted zip archive: read-only, within limits, without extracting or executing anything."""

from __future__ import annotations

import io
import os
import re
import stat
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fuseguard.readers.errors import UnreadableInput
from fuseguard.readers.input_kinds import describe
from fuseguard.readers.zip_layout import BadLayout, CutShort, Record, TooManyRecords, read_layout

# torch writes one record per storage; models with more than a few thousand are not known.
MAX_RECORDS = 50_000
# Names take about 100 bytes each.
MAX_DIRECTORY_BYTES = 16 * 2**20
# Graph JSON deflates 10 to 50 times. Deflate itself ends at 1032, which only bombs reach.
MAX_RATIO = 200
# Below this size no ratio is dangerous, and short runs of zeros reach any ratio.
RATIO_FREE_BYTES = 2**20
# torch's reader cuts names at 511 bytes (MZ_ZIP_MAX_ARCHIVE_FILENAME_SIZE), so that two would become one.
MAX_NAME_LENGTH = 511

_STORED, _DEFLATED = 0, 8  # APPNOTE 4.4.5
_SAVE_AGAIN = "save the program again with torch.export.save and check that file"


class Archive:
    """A zip archive whose layout was checked and whose records are read one at a time, each with its limit.

    ``root`` is the folder of the first record, which torch takes for that of all ("" if it is in none). Use it as a
    context manager; it never writes.
    """

    def __init__(self, path: Path, handle: BinaryIO | None = None) -> None:
        """``handle`` is an archive inside of the file. Raises UnreadableInput for all but a harmless zip archive."""
        self.path = path
        self._handle = handle = _open_regular_file(path) if handle is None else handle
        try:
            _check_signature(path, handle)
            self._records = _checked_records(path, handle)
        except BaseException:
            handle.close()
            raise
        first = next(iter(self._records), "")
        self.root = first.partition("/")[0] if "/" in first else ""

    def size(self, name: str) -> int:
        """The unpacked size of a record below the root folder, which must be there."""
        return self._records[self._full(name)].size

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Every record's full name, in the archive's order."""
        return tuple(self._records)

    def require_one_root(self) -> None:
        """Raises UnreadableInput unless every record is below ``root``, and that is a folder.

        torch refuses other archives, or falls back to a reader of an older format, which finds another program.
        """
        for name in self._records:
            if not self.root or not name.startswith(f"{self.root}/"):
                raise _forged(self.path, name, "is not in the folder that holds the others")

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self._records

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a record below the root folder.

        Raises UnreadableInput if there is no such record, if it is larger than ``limit`` or a decompression bomb, or
        if it is damaged.
        """
        record = self._records.get(self._full(name))
        if record is None:
            raise UnreadableInput(f"{self.path}: the record {name!r} is missing, so the file is damaged; {_SAVE_AGAIN}")
        if record.size > limit:
            raise UnreadableInput(
                f"{self.path}: the record {name!r} has {record.size} bytes, and more than {limit} are refused to "
                f"protect memory; check a smaller program"
            )
        if record.method not in (_STORED, _DEFLATED):
            raise UnreadableInput(
                f"{self.path}: the record {name!r} is compressed with method {record.method}, which torch never "
                f"uses; {_SAVE_AGAIN}"
            )
        if record.size > RATIO_FREE_BYTES and record.size > MAX_RATIO * max(record.packed, 1):
            raise UnreadableInput(
                f"{self.path}: the record {name!r} expands more than {MAX_RATIO} times, as only decompression bombs "
                f"do; it was not read. If you trust the file, {_SAVE_AGAIN}"
            )
        data = self._unpacked(name, record)
        if zlib.crc32(data) != record.crc:
            raise _damaged(self.path, f"the record {name!r} does not match its CRC-32")
        return data

    def window(self, name: str, limit: int) -> BinaryIO:
        """A record as a file of its own: a view of the archive if it is stored, else its bytes.

        A view has no limit and no CRC-32; what is read must be checked in another way, as records of an archive are.
        Raises UnreadableInput as :meth:`read` does.
        """
        record = self._records.get(self._full(name))
        if record is None or record.method != _STORED or record.packed != record.size:
            return io.BytesIO(self.read(name, limit))
        return _Window(self._handle, record.start, record.size)

    def _unpacked(self, name: str, record: Record) -> bytes:
        # Deflate makes incompressible data larger by five bytes in 16 KiB at the most (RFC 1951, 3.2.4).
        if record.packed > record.size + record.size // 1024 + 64:
            raise _damaged(self.path, f"the record {name!r} has more bytes than its size")
        try:
            self._handle.seek(record.start)
            packed = self._handle.read(record.packed)
            if record.method == _STORED:
                data, rest = packed, b""
            else:
                inflater = zlib.decompressobj(-zlib.MAX_WBITS)
                # One byte more than is expected: the end marker is read, and a record that is longer is noticed.
                data = inflater.decompress(packed, record.size + 1)
                rest = inflater.unused_data if inflater.eof else b"no end marker"
        except (zlib.error, OSError, MemoryError) as error:
            raise _damaged(self.path, error) from error
        if len(data) != record.size or rest:
            raise _damaged(self.path, f"the record {name!r} is not as long as its header says")
        return data

    def _full(self, name: str) -> str:
        return f"{self.root}/{name}" if self.root else name


class _Window(io.RawIOBase, BinaryIO):
    """A part of a file, read-only. It has no position in common with others."""

    def __init__(self, handle: BinaryIO, start: int, size: int) -> None:
        self._handle = handle
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._handle.seek(self._start + self._at)
        data = self._handle.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data


def _open_regular_file(path: Path) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableInput(f"{path}: is a directory, but one file is expected; pass a .pt2 file inside it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise UnreadableInput(f"{path}: is not a regular file, which reading needs; pass a .pt2 file")
        return open(path, "rb")
    except FileNotFoundError as error:
        # A shell hands a pattern that fits nothing on as it is.
        if str(path) == "-":
            raise UnreadableInput(
                "-: a program cannot be read from stdin, which does not allow random access; check a .pt2 file"
            ) from error
        import glob

        hint = "no file fits this pattern" if glob.has_magic(str(path)) else "no such file"
        raise UnreadableInput(f"{path}: {hint}; check the path") from error
    except PermissionError as error:
        raise UnreadableInput(f"{path}: permission denied; make the file readable for this user") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableInput(f"{path}: cannot be opened ({reason}); check the path") from error


def _check_signature(path: Path, handle: BinaryIO) -> None:
    head = handle.read(64)
    if not head:
        raise UnreadableInput(f"{path}: the file is empty, so there is no program in it; {_SAVE_AGAIN}")
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        told = describe(head) or f"is not a zip archive, but every .pt2 file is one; {_SAVE_AGAIN}"
        raise UnreadableInput(f"{path}: {told}")


def _checked_records(path: Path, handle: BinaryIO) -> dict[str, Record]:
    """The records by name. Raises UnreadableInput where two zip readers might see two archives."""
    try:
        found = read_layout(handle, MAX_RECORDS, MAX_DIRECTORY_BYTES)
    except TooManyRecords as error:
        raise UnreadableInput(
            f"{path}: the archive lists more than {MAX_RECORDS} records or {MAX_DIRECTORY_BYTES} bytes of names, which "
            f"are refused to protect memory; check a smaller program"
        ) from error
    except CutShort as error:
        raise _damaged(path, error) from error
    except BadLayout as error:
        raise UnreadableInput(
            f"{path}: the zip archive is not laid out as torch writes it ({error}), so another program might read "
            f"something else from it; {_SAVE_AGAIN}"
        ) from error
    except OSError as error:
        raise _damaged(path, error.strerror or error) from error
    records: dict[str, Record] = {}
    lower: dict[str, str] = {}
    for record in found:
        name = record.name
        fault = _fault(record)
        if name in records:
            fault = "occurs twice, and programs differ in which of the two they read"
        elif name.lower() in lower:
            fault = f"differs from {_shown(lower[name.lower()])} only by case, which torch treats as the same"
        if fault:
            raise _forged(path, name, fault)
        records[name] = record
        lower[name.lower()] = name
    return records


def _fault(record: Record) -> str:
    parts = record.name.split("/")
    if "\\" in record.name:
        return "has a backslash in its name, which some programs treat as a slash"
    if not parts[0] or re.match(r"[A-Za-z]:", parts[0]):
        return "has an absolute or empty path"
    if ".." in parts:
        return "has '..' in its path"
    if not all(parts):
        return "is a folder or has an empty one in its path"
    if len(record.name.encode("utf-8")) > MAX_NAME_LENGTH:
        return f"has a name of more than {MAX_NAME_LENGTH} bytes"
    if stat.S_ISLNK(record.mode):
        return "is a symbolic link"
    return ""


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}...")


def _forged(path: Path, name: str, fault: str) -> UnreadableInput:
    return UnreadableInput(
        f"{path}: the record {_shown(name)} {fault}. torch never writes this, so the file may be forged; {_SAVE_AGAIN}"
    )


def _damaged(path: Path, reason: object) -> UnreadableInput:
    text = str(reason) or type(reason).__name__
    return UnreadableInput(
        f"{path}: the zip archive is truncated or damaged ({text}), so it is not read; {_SAVE_AGAIN}"
    )
