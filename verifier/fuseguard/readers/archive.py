"""Opens a zip archive that nobody vouches for: read-only, within limits, extracting and executing nothing."""

from __future__ import annotations

import glob
import os
import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from fuseguard.readers.errors import UnreadableInput

# A 10,000-node program has about 15 MB of JSON. Decoded objects take some five times the text.
MAX_JSON_BYTES = 128 * 2**20
# A tensor of scales may be a view into a bigger storage, which torch writes whole.
MAX_TENSOR_BYTES = 64 * 2**20
# torch writes one record per storage; models with more than a few thousand are not known.
MAX_RECORDS = 50_000
# zipfile parses the whole central directory before anyone can count it; names take about 100 bytes each.
MAX_DIRECTORY_BYTES = 16 * 2**20
# Graph JSON deflates 10 to 50 times. Deflate itself ends at 1032, which only bombs reach.
MAX_RATIO = 200
# Below this size no ratio is dangerous, and short runs of zeros reach any ratio.
RATIO_FREE_BYTES = 2**20
# Names are repeated in messages and reports.
MAX_NAME_LENGTH = 1024

_END_RECORD = struct.Struct("<4s4H2LH")  # APPNOTE 4.3.16, end of central directory
_END64_LOCATOR = struct.Struct("<4sLQL")  # 4.3.15
_END64_RECORD = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_MAX_COMMENT = 2**16 - 1
# All that zipfile and zlib are known to raise on damaged archives; RuntimeError covers NotImplementedError.
_ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, OverflowError,
    IndexError, KeyError, struct.error, MemoryError,
)  # fmt: skip
_SAVE_AGAIN = "save the program again with torch.export.save and check that file"


class Archive:
    """A zip archive whose listing was checked and whose records are read one at a time, each with its limit.

    ``root`` is the folder that all records of a torch archive share ("" if there is none). Use it as a context
    manager; it never writes.
    """

    def __init__(self, path: Path) -> None:
        """Raises UnreadableInput for anything that is not a harmless zip archive."""
        self.path = path
        self._handle = _open_regular_file(path)
        try:
            _check_signature(path, self._handle)
            _check_directory_size(path, self._handle)
            try:
                self._zip = zipfile.ZipFile(self._handle)
            except _ZIP_ERRORS as error:
                raise _damaged(path, error) from error
            self._records = _checked_listing(path, self._zip.infolist())
        except BaseException:
            self._handle.close()
            raise
        first = next(iter(self._records), "")
        self.root = first.partition("/")[0] if "/" in first else ""

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._handle.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Every record's full name, in the archive's order."""
        return tuple(self._records)

    def __contains__(self, name: str) -> bool:
        return self._full(name) in self._records

    def read(self, name: str, limit: int) -> bytes:
        """The bytes of a record below the root folder.

        Raises UnreadableInput if there is no such record, if it is larger than ``limit`` or a decompression bomb, or
        if it is damaged.
        """
        info = self._records.get(self._full(name))
        if info is None:
            raise UnreadableInput(f"{self.path}: the record {name!r} is missing, so the file is damaged; {_SAVE_AGAIN}")
        if info.file_size > limit:
            raise UnreadableInput(
                f"{self.path}: the record {name!r} has {info.file_size} bytes, and more than {limit} are refused to "
                f"protect memory; check a smaller program"
            )
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableInput(
                f"{self.path}: the record {name!r} is compressed with method {info.compress_type}, which torch never "
                f"uses; {_SAVE_AGAIN}"
            )
        if info.file_size > RATIO_FREE_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise UnreadableInput(
                f"{self.path}: the record {name!r} expands more than {MAX_RATIO} times, as only decompression bombs "
                f"do; it was not read. If you trust the file, {_SAVE_AGAIN}"
            )
        try:
            with self._zip.open(info) as record:
                # With a size, zipfile inflates no more than that even if the header lies; -1 has no such bound.
                data = record.read(info.file_size + 1)
        except _ZIP_ERRORS as error:
            raise _damaged(self.path, error) from error
        if len(data) != info.file_size:
            raise _damaged(self.path, f"the record {name!r} is shorter than its header says")
        return data

    def _full(self, name: str) -> str:
        return f"{self.root}/{name}" if self.root else name


def _open_regular_file(path: Path) -> BinaryIO:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableInput(f"{path}: is a directory, and one file is expected; pass a .pt2 file inside it")
        if not stat.S_ISREG(mode):  # opening a pipe would wait for ever
            raise UnreadableInput(f"{path}: is not a regular file, so it cannot be read at random; pass a .pt2 file")
        return open(path, "rb")
    except FileNotFoundError as error:
        # A shell hands a pattern that fits nothing on as it is.
        hint = "no file fits this pattern" if glob.has_magic(str(path)) else "no such file"
        raise UnreadableInput(f"{path}: {hint}; check the path") from error
    except PermissionError as error:
        raise UnreadableInput(f"{path}: permission denied; make the file readable for this user") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableInput(f"{path}: cannot be opened ({reason}); check the path") from error


def _check_signature(path: Path, handle: BinaryIO) -> None:
    # zipfile also accepts archives with something else in front. Those are refused: what a second program would
    # read from the same file need not be what was checked.
    head = handle.read(8)
    if not head:
        raise UnreadableInput(f"{path}: the file is empty, so there is no program in it; {_SAVE_AGAIN}")
    if head[4:6] == b"ET":  # the FlatBuffers file identifier of schema/program.fbs
        raise UnreadableInput(
            f"{path}: is an ExecuTorch program (.pte), which is lowered already and no longer has the graph that is "
            f"checked; check the .pt2 file it was made from"
        )
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise UnreadableInput(f"{path}: is not a zip archive, as every .pt2 file is; {_SAVE_AGAIN}")


def _check_directory_size(path: Path, handle: BinaryIO) -> None:
    """Refuse a huge listing before zipfile makes an object of each entry. Leaves other faults to zipfile."""
    size = handle.seek(0, os.SEEK_END)
    start = max(0, size - _END_RECORD.size - _MAX_COMMENT)
    handle.seek(start)
    tail = handle.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END_RECORD.size:
        raise _damaged(path, "its table of contents is missing, as when a download or a save was cut short")
    directory = _END_RECORD.unpack_from(tail, at)[5]
    locator = start + at - _END64_LOCATOR.size
    if locator >= 0:
        handle.seek(locator)
        signature, _, end64, _ = _END64_LOCATOR.unpack(handle.read(_END64_LOCATOR.size))
        if signature == b"PK\x06\x07" and end64 <= size - _END64_RECORD.size:
            handle.seek(end64)
            directory = _END64_RECORD.unpack(handle.read(_END64_RECORD.size))[8]
    if directory > size:
        raise _damaged(path, "its table of contents is larger than the file")
    if directory > MAX_DIRECTORY_BYTES:
        raise _too_many_records(path)
    handle.seek(0)


def _checked_listing(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(infos) > MAX_RECORDS:
        raise _too_many_records(path)
    records: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        fault = _fault(info)
        if name in records:
            fault = "occurs twice, and programs differ in which of the two they read"
        if fault:
            shown = name if len(name) <= 80 else f"{name[:77]}..."
            raise UnreadableInput(
                f"{path}: the record {shown!r} {fault}. torch never writes this, so the file may be forged; "
                f"{_SAVE_AGAIN}"
            )
        records[name] = info
    return records


def _fault(info: zipfile.ZipInfo) -> str:
    parts = info.filename.replace("\\", "/").split("/")
    if info.flag_bits & 0x1:
        return "is encrypted"
    if not parts[0] or re.match(r"[A-Za-z]:", parts[0]):
        return "has an absolute path or none"
    if ".." in parts:
        return "has '..' in its path"
    if len(info.filename) > MAX_NAME_LENGTH:
        return f"has a name of more than {MAX_NAME_LENGTH} characters"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a symbolic link"
    return ""


def _too_many_records(path: Path) -> UnreadableInput:
    return UnreadableInput(
        f"{path}: the archive lists more than {MAX_RECORDS} records or {MAX_DIRECTORY_BYTES} bytes of names, which "
        f"are refused to protect memory; check a smaller program"
    )


def _damaged(path: Path, reason: object) -> UnreadableInput:
    text = str(reason) or type(reason).__name__
    return UnreadableInput(
        f"{path}: the zip archive is truncated or damaged ({text}), so it is not read; {_SAVE_AGAIN}"
    )
