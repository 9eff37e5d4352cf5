"""Examples of rules that are imported when somebody asks for them: a check needs none."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from fuseguard.engine.rule import Example


class LateExamples(Sequence["Example"]):
    """The examples that a module has under a name.

    It counts as true without an import: a list of examples is never empty. Raises ValueError when it is.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def _load(self) -> Sequence[Example]:
        found: Sequence[Example] = getattr(importlib.import_module(self._module), self._name)
        if not found:
            raise ValueError(f"{self._module} has no examples in {self._name}")
        return found

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self._load())

    def __iter__(self) -> Iterator[Example]:
        return iter(self._load())

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self._load()[index]


class ExamplesOf:
    """Stands for a module of examples: ``ExamplesOf("pack.examples").BAD`` are those that it has as ``BAD``."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> LateExamples:
        if name.startswith("_"):
            raise AttributeError(name)
        return LateExamples(self._module, name)
