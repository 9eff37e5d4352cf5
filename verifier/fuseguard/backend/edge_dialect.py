"""Which ops ExecuTorch's verifier of the edge dialect rejects, before anything is delegated.

Source: ``EXIRATenDialectVerifier.check_valid_op`` (exir/verification/verifier.py) and the decompositions of
``_default_decomposition_table`` (exir/tracer.py) of ExecuTorch 1.5.1. The lists are in op_sets_edge.py, and those of
1.2.0 are the same. A program that is in the edge dialect already has passed the check, or was made without it, and
then its verifier does not check it later either.

``EdgeOpArgValidator`` compares the dtypes of some operators with edge.yaml, after all of them have become edge ops.

Rules that depend on it: OP722.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from fuseguard.backend.op_sets_edge import BECOMES, KEPT, OF_REAL_NUMBERS, REJECTED
from fuseguard.ir import Node, View
from fuseguard.ir.functional import writes_in_place
from fuseguard.target import Target

#: The op that the edge dialect has for all operators of a kind.
_BECOMES_ONE_OP = {"view": "view_copy.default", "permute": "permute_copy.default"}


def rejected_ops(view: View, target: Target) -> Iterator[tuple[Node, str, str]]:
    """Each op that makes ``to_edge`` fail: its node, its name, and that of the op that the verifier rejects.

    Both names are those of functional ops. They differ where a decomposition makes another op of the node's.
    """
    if view.graph.dialect == "edge" or not target.ir_validity:
        return
    rejected = _rejected_on(target.release.base_version)
    for node in view.ops:
        op = _functional(node.target)
        found = BECOMES.get(op, op)
        if found in rejected:
            yield node, op, found
        elif op in KEPT:
            yield node, op, KEPT[op]


def ops_of_complex_numbers(view: View, target: Target) -> Iterator[tuple[Node, str]]:
    """Each op of complex numbers that the edge dialect has for real ones alone: its node and its name."""
    if view.graph.dialect == "edge" or not target.ir_validity:
        return
    limited = _limited_on(target.release.base_version)
    for node in view.ops:
        metas = [item.meta for item in (node, *view.graph.inputs(node))]
        if not any(meta is not None and meta.dtype.startswith("complex") for meta in metas):
            continue
        op = _functional(node.target)
        name, _, overload = op.removeprefix("aten.").partition(".")
        copying = _BECOMES_ONE_OP.get(node.kind, f"{name}_copy.{overload}")
        if op in limited or f"aten.{copying}" in limited:
            yield node, op


@lru_cache(maxsize=64)
def _limited_on(release: str) -> frozenset[str]:
    return OF_REAL_NUMBERS.on(release)


@lru_cache(maxsize=64)
def _rejected_on(release: str) -> frozenset[str]:
    return REJECTED.on(release)


@lru_cache(maxsize=1024)  # programs have few operators and many calls
def _functional(target: str) -> str:
    """What ``to_edge`` makes of an op first: ``exp2`` of ``exp2_`` and of ``exp2.out``."""
    namespace, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    if writes_in_place(target):
        name = name.removesuffix("_")
    overload = "default" if overload == "out" else overload.removesuffix("_out")
    return f"{namespace}.{name}.{overload}"
