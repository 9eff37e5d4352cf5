"""One TOML file with a configuration in it: where its keys are, and errors that say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from fuseguard.engine.nearest import nearest
from fuseguard.gate import toml_lines
from fuseguard.gate.baseline import displayed
from fuseguard.gate.toml_lines import KeyPath

_LIMIT = 8 * 1024 * 1024  # bytes
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_INVALID_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<place>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+)\]")


class ConfigError(ValueError):
    """A configuration that cannot be used. The text names file, line and key and says what is valid."""


#: A type as msgspec calls it -> as TOML's users do.
_TYPES = {
    "str": "a string", "array": "a list", "object": "a table", "date": "a date", "datetime": "a date with a time",
    "int": "a number", "float": "a number", "bool": "a boolean",
}  # fmt: skip
_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>\w+)`")


def _in_words(what: str) -> str:
    """What msgspec says of a value of the wrong type, as a sentence for who wrote the file."""
    if what.startswith("Invalid RFC3339"):
        return "not a date; write it like 2027-06-30."
    match = _EXPECTED.fullmatch(what)
    if match is None:
        return f"{what[:1].lower()}{what[1:]}."
    wanted = [kind for kind in match["wanted"].split(" | ") if kind != "null"]
    hint = ", as in 2027-06-30" if "date" in wanted else ""
    hint = "; put it in quotes" if "str" in wanted and match["got"] in ("int", "float", "bool", "date") else hint
    expected = " or ".join(_TYPES.get(kind, kind) for kind in wanted)
    return f"expected {expected}, got {_TYPES.get(match['got'], match['got'])}{hint}."


def _valid(wanted: Any, known: Iterable[str]) -> str:
    """The nearest of what is valid, and all of it."""
    names = tuple(known)
    hint = nearest(wanted, names) if isinstance(wanted, str) else ""
    return f"{hint} Valid are {', '.join(names)}.".lstrip()


@dataclass(frozen=True)
class ConfigFile:
    """``table`` is the part that is fuseguard's, None if there is none; ``root`` is the path of that part."""

    path: Path
    text: str
    root: KeyPath
    table: dict[str, Any] | None

    @classmethod
    def read(cls, path: Path, what: str = "configuration") -> ConfigFile:
        """Raises ConfigError for a file that cannot be read or is not TOML. ``what`` names its kind."""
        name = displayed(path)
        try:
            with open(path, "rb") as stream:
                data = stream.read(_LIMIT + 1)
            text = data.decode("utf-8-sig")  # Windows' editors begin a file with a byte order mark
        except OSError as error:
            raise ConfigError(f"{name}: cannot read the {what}: {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise ConfigError(f"{name}:{line}: not UTF-8, which TOML requires.") from error
        if len(data) > _LIMIT:
            raise ConfigError(f"{name}: larger than {_LIMIT} bytes; this is not a fuseguard {what}.")
        try:
            document = toml_lines.loads(text)
        except toml_lines.NotToml as error:
            place = _TOML_PLACE.search(str(error))
            where = ":".join(place.groups()) if place else str(text.count("\n") + 1)
            raise ConfigError(f"{name}:{where}: not TOML: {_TOML_PLACE.sub('', str(error))}.") from error
        except RecursionError as error:
            raise ConfigError(f"{name}: nested too deeply.") from error
        if path.name != "pyproject.toml":
            return cls(path, text, (), document)
        tool = document.get("tool")
        table = tool.get("fuseguard") if isinstance(tool, dict) else None
        if table is not None and not isinstance(table, dict):
            raise cls(path, text, ("tool", "fuseguard"), {}).error((), "has to be a table: [tool.fuseguard].")
        return cls(path, text, ("tool", "fuseguard"), table)

    @staticmethod
    def mentions(path: Path) -> bool:
        """Whether the file is worth parsing: a pyproject.toml may be that of a project without us, and broken."""
        if path.name != "pyproject.toml":
            return True
        try:
            with open(path, "rb") as stream:
                return b"fuseguard" in stream.read(_LIMIT)
        except OSError:
            return False

    @property
    def name(self) -> str:
        """The path as it is shown."""
        return displayed(self.path)

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        return toml_lines.key_lines(self.text)

    def line(self, path: KeyPath) -> tuple[int, str]:
        """The number and the text of the line of a key, or of what is around it."""
        number = toml_lines.line_of(self._lines, (*self.root, *path))
        return number, self.text.split("\n")[number - 1].strip()

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """The error about a key, with file and line."""
        key = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in (*self.root, *path))
        return ConfigError(f"{self.name}:{self.line(path)[0]}: {key.lstrip('.') or 'the file'}: {message}")

    def check_keys(self, path: KeyPath, table: Mapping[str, Any], known: Iterable[str]) -> None:
        """Raises ConfigError for a key that is not known, naming the nearest that is."""
        valid = tuple(known)
        for key in table:
            if key not in valid:
                raise self.error((*path, key), f"no such key. {_valid(key.replace('_', '-'), valid)}")

    def choice(self, path: KeyPath, value: Any, valid: Iterable[str]) -> str:
        """``value``, if it is one of ``valid``. Raises ConfigError naming them."""
        names = tuple(valid)
        if value not in names:
            raise self.error(path, f"{value!r} is not valid. {_valid(value, names)}")
        return str(value)

    def invalid(self, error: msgspec.ValidationError) -> ConfigError:
        """The error for a value of the wrong type, which msgspec names by its path."""
        match = _INVALID_PLACE.match(str(error))
        what, place = (match["what"], match["place"]) if match else (str(error), "")
        path = tuple(name or int(number) for name, number in _STEP.findall(place or ""))
        return self.error(path, _in_words(what))
