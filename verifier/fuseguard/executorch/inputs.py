"""What a program is called with: one value for each of its inputs, in the order in which its graph takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree


class InputsError(ValueError):
    """The inputs do not fit the program."""


def flat_inputs(
    program: ExportedProgram, inputs: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """The values of the program's inputs, flat and in order, as :func:`call_arguments` takes them.

    Args:
        program: whose inputs they are.
        inputs: positional arguments as for ``program.module()(*inputs)``, nested as the program was exported with, or
            flat. Those that the program takes by keyword may follow in the order of its graph.
        kwargs: arguments by keyword, in any order.

    Raises InputsError: too few or too many, or one of another dtype or shape than the program is made for.
    """
    if isinstance(inputs, torch.Tensor | Mapping | str):
        raise InputsError(f"inputs is a {type(inputs).__name__}, and must be a sequence: one value for each input")
    given = dict(kwargs or {})
    spec = program.call_spec.in_spec
    if given and spec is not None:
        expected = list(spec.child(1).context or ()) if spec.num_children == 2 else []
        if set(given) != set(expected):
            raise InputsError(
                f"the program takes the keywords {', '.join(expected) or '(none)'}, and {', '.join(given)} were given"
            )
        given = {name: given[name] for name in expected}
    values = (*pytree.tree_leaves(tuple(inputs)), *pytree.tree_leaves(given))
    metas = input_metas(program)
    if len(values) != len(metas):
        taken = ", ".join(f"{name} ({described(meta)})" for name, meta in metas.items())
        given_text = "1 input is" if len(values) == 1 else f"{len(values)} inputs are"
        raise InputsError(f"{given_text} given, the program takes {len(metas)}: {taken or 'none'}")
    for value, (name, meta) in zip(values, metas.items(), strict=True):
        if isinstance(meta, torch.Tensor):
            check_tensor(name, value, meta)
    return values


def input_sets(
    program: ExportedProgram, inputs: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """The input sets that ``inputs`` holds, each as :func:`flat_inputs` yields it.

    A sequence of sequences is several sets if each of them fits the program and the whole does not.
    Raises InputsError: as :func:`flat_inputs` does; ``inputs`` is empty and the program takes some.
    """
    try:
        return [flat_inputs(program, inputs, kwargs)]
    except InputsError as as_one:
        if not (isinstance(inputs, list | tuple) and all(isinstance(item, list | tuple) for item in inputs)):
            raise
        sets: list[tuple[Any, ...]] = []
        for number, item in enumerate(inputs, 1):
            try:
                sets.append(flat_inputs(program, item, kwargs))
            except InputsError as error:
                if not sets:
                    raise as_one from None  # nothing shows that several sets were meant
                raise InputsError(f"input set {number}: {error}") from error
        if not sets:
            raise
        return sets


def call_arguments(program: ExportedProgram, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments for ``program.module()`` out of flat (or nested) values in order."""
    leaves = pytree.tree_leaves(tuple(values))
    spec = program.call_spec.in_spec
    if spec is None:
        return tuple(leaves), {}
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    return tuple(args), dict(kwargs)


def input_metas(program: ExportedProgram) -> dict[str, Any]:
    """What the program is made for, by input: a fake tensor, or the value of an input that is not a tensor."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    specs = program.graph_signature.input_specs
    return {spec.arg.name: values.get(spec.arg.name) for spec in specs if spec.kind == InputKind.USER_INPUT}


def described(meta: Any) -> str:
    """What an input has to be: ``torch.float32 of shape (1, 3, 8, 8)``."""
    if isinstance(meta, torch.Tensor):
        return f"{meta.dtype} of shape {tuple(meta.shape)}"
    return f"a {type(meta).__name__}, {meta!r}"[:80]


def check_tensor(name: str, value: Any, meta: torch.Tensor) -> None:
    """Raises InputsError if ``value`` is not a tensor of the dtype and of the fixed sizes of ``meta``."""
    wanted = f"input {name!r} must be {described(meta)}, not"
    if not isinstance(value, torch.Tensor):
        raise InputsError(f"{wanted} a {type(value).__name__}")
    fits = value.dim() == meta.dim() and all(
        not isinstance(want, int) or got == want for got, want in zip(value.shape, meta.shape, strict=True)
    )
    if not fits or value.dtype != meta.dtype:
        raise InputsError(f"{wanted} {value.dtype} of shape {tuple(value.shape)}")
