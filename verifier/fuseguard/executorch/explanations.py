"""Which model makes the judge accept that an output differs from the eager program's.

Some of these models are the rules' own (fuseguard.backend): there a rule and the judge may be wrong together, which is
why a proof names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

#: Name -> what it means.
MEANINGS: dict[str, str] = {
    "rounding ties": "the same program in float64, with its ties broken either way, yields these values",
    "saturation": "the same program, saturated at the dtype's limits instead of at qmin and qmax, yields these values",
    "int32 operands": "the same program, with what the backend computes in int32 left in int32, yields these values",
    "int16 roundings": "what int16 rescales and lookup tables may be off by, amplified on its way, is as much",
    "float tolerance": "floats that differ by less than torch and the delegate may round float32 differently",
}

#: Where the models are that rules use too.
_SHARED = "fuseguard.backend."


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why elements that differ from the eager program's are accepted.

    Attributes:
        name: a key of MEANINGS.
        models: the functions that yield the accepted values, by their dotted names: the judge's own, and those of
            fuseguard.backend, on which rules rely as well (``shared``).
        elements: the number of elements of results that it has a part in. Several explanations may share an element.
        results: the results that these elements are in, named as in ``Proof.differing``.
    """

    name: str
    models: tuple[str, ...]
    elements: int
    results: tuple[str, ...]

    @property
    def meaning(self) -> str:
        return MEANINGS[self.name]

    @property
    def shared(self) -> tuple[str, ...]:
        """Those of ``models`` that the rules rely on too."""
        return tuple(model for model in self.models if model.startswith(_SHARED))


def explanations(
    names: Sequence[str], *parts: tuple[str, Iterable[str], Sequence[torch.Tensor]]
) -> tuple[Explanation, ...]:
    """One for each name, models and masks (one a result) of the elements it has a part in, if there are any.

    ``names``: what the results are called.
    """
    return tuple(
        Explanation(
            name,
            tuple(sorted(models)),
            sum(int(mask.sum()) for mask in masks),
            tuple(result for result, mask in zip(names, masks, strict=True) if bool(mask.any())),
        )
        for name, models, masks in parts
        if any(bool(mask.any()) for mask in masks)
    )


def of_all_calls(calls: Iterable[Sequence[Explanation]]) -> tuple[Explanation, ...]:
    """The explanations of several calls of one program, those of one name as one."""
    found: dict[str, Explanation] = {}
    for item in (item for call in calls for item in call):
        before = found.setdefault(item.name, Explanation(item.name, (), 0, ()))
        found[item.name] = Explanation(
            item.name,
            tuple(sorted({*before.models, *item.models})),
            before.elements + item.elements,
            tuple(dict.fromkeys((*before.results, *item.results))),
        )
    return tuple(found.values())


def name_of(model: Callable[..., Any]) -> str:
    """The dotted name of a function."""
    return f"{model.__module__}.{model.__qualname__}"
