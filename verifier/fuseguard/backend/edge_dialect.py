"""Which ops ExecuTorch's verifier of the edge dialect rejects, before anything is delegated.

Source: ``EXIRATenDialectVerifier.check_valid_op`` (exir/verification/verifier.py) and the decompositions of
``_default_decomposition_table`` (exir/tracer.py) of ExecuTorch 1.5.1. The lists are in op_sets_edge.py, and those of
1.2.0 are the same. A program that is in the edge dialect already has passed the check, or was made without it, and
then its verifier does not check it later either.

Rules that depend on it: OP722.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from fuseguard.backend.op_sets_edge import BECOMES, REJECTED
from fuseguard.ir import Node, View
from fuseguard.ir.functional import writes_in_place
from fuseguard.target import Target


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
