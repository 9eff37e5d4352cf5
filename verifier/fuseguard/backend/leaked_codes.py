"""Annotated ops whose codes get into float, and the ops that read them there.

Source: ``FoldAndAnnotateQParamsPass`` and ``CheckProperQuantization`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: PL401.
"""

from __future__ import annotations

from fuseguard.backend.fold_qparams import is_computed_with
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.quantized_operands import is_checked, is_float
from fuseguard.ir import Node, Trait, View

#: Constants are PL402's, control flow is BO603's.
NOT_CODES = Trait.QUANTIZE | Trait.DEQUANTIZE | Trait.CONSTANT | Trait.CONTROL_FLOW
_NEEDS_QPARAMS = Trait.MAC | Trait.UNARY | Trait.ACTIVATION
_COMPUTES = Trait.ARITHMETIC | Trait.UNARY | Trait.MAC
#: Value-transparent ops that TOSA has for some dtypes only, int32 not among them.
_TYPED = frozenset(("relu", "hardtanh", "clamp", "cat", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d"))
#: Ops whose indices are quantized like their result, and dequantized before by the input's qparams alone.
INDEXED = frozenset(("index", "gather"))
#: A chain of annotated ops is followed this far: decompositions are shorter, a hostile graph need not be.
_LONGEST_CHAIN = 16


@once_per_view
def leaking_readers(view: View) -> dict[str, Node]:
    """By name of an annotated op, a reader through which its codes get into float.

    The reader is the next annotated op of the chain, or the one that is given codes without their qparams. Ops that
    an edge program is decomposed into carry the annotation of the whole, with Q and DQ only at the ends.
    """
    leaks: dict[str, Node] = {}
    for node in reversed(view.calls()):
        if not _carries_codes(node) or node.info.has(NOT_CODES):
            continue
        reader = next((user for user in view.users(node) if reads_in_float(view, node, user, leaks)), None)
        if reader is not None:
            leaks[node.name] = reader
    return leaks


def reads_in_float(view: View, node: Node, user: Node, leaks: dict[str, Node]) -> bool:
    """Whether ``user`` takes the codes that ``node`` hands on for floats, or hands them on to one that does."""
    if view.is_q(user) or (user.op == "call" and not user.outputs):
        return False  # a size does not use the codes
    if not (user.op == "call" and (user.annotated or user.info.has(Trait.GETITEM))):
        return True
    return user.name in leaks or not _is_decomposition(view, node, user)


def _kinds_of_readers(view: View, node: Node) -> frozenset[str]:
    """The kinds of what reads a node: found once, as each of many readers may ask for it."""
    known = _known_kinds(view)
    if node.name not in known:
        known[node.name] = frozenset([reader.kind for reader in view.users(node)])
    return known[node.name]


@once_per_view
def _known_kinds(view: View) -> dict[str, frozenset[str]]:
    del view
    return {}


def _is_decomposition(view: View, node: Node, user: Node) -> bool:
    """Whether the two may be parts of one op, which has Q and DQ only at its ends.

    Only data movement is decomposed in edge programs, and what movement a linear or matmul has around it: everything
    that computes keeps its DQs and its Q (held against the edge programs of every op kind of the differential
    grammar, on 1.2.0 and 1.5.1).
    """
    if user.info.has(Trait.CONTROL_FLOW):
        return True
    moves = user.info.has(Trait.TRANSPARENT) and not is_checked(user) and user.kind not in INDEXED
    if node.info.has(Trait.MAC):
        return user.info.has(Trait.TRANSPARENT) and not _is_batched(node)
    kinds = _kinds_of_readers(view, node)
    if moves and "quantize" in kinds:
        return True  # the Q makes codes of the result, for this reader too
    if not node.info.has(Trait.TRANSPARENT) or node.info.has(Trait.ACTIVATION):
        return not is_float(node)
    if len(kinds) > 1:
        return False  # two operators read it
    if user.kind == "matmul":
        # expand and view in front of both operands, or this one was left without its DQ
        return view.in_dq(user, 0) is None and view.in_dq(user, 1) is None
    return user.kind == "addmm" or moves


def _is_batched(node: Node) -> bool:
    """Whether the node multiplies batches of matrices: no pass makes parts of that which compute with codes."""
    return node.kind == "matmul" and node.operator == "bmm"


def _carries_codes(node: Node) -> bool:
    """Whether the node hands on codes where it is given some: annotated ops, and what picks one of their outputs."""
    return node.op == "call" and (node.annotated or node.info.has(Trait.GETITEM)) and is_float(node)


def chain_after(node: Node, leaks: dict[str, Node]) -> list[Node]:
    """The node and the annotated ops after it that see its codes in float."""
    chain = [node]
    while len(chain) < _LONGEST_CHAIN and leaks[chain[-1].name].name in leaks:
        chain.append(leaks[chain[-1].name])
    return chain


def leak_case(view: View, node: Node, reader: Node) -> str:
    """What lowering does without output qparams, and whether the INT profile asks for them first."""
    if _is_batched(node) and reader.annotated and reader.info.has(Trait.TRANSPARENT):
        if reader.kind in _TYPED or is_computed_with(view, reader):
            return "read product"
        data = view.in_qp(node, 0)
        return "wide product" if data is not None and data.dtype == "int16" else "product"
    needs = node.info.has(_NEEDS_QPARAMS) or node.kind == "neg"
    checked = is_checked(node) and node.kind != "linear"
    if checked and node.info.has(Trait.TRANSPARENT) and not needs:
        return "checked-codes" if not reader.info.has(_COMPUTES) else "checked-qparams"
    if not needs and reader.op == "call" and reader.annotated:
        if not node.info.has(Trait.TRANSPARENT):
            return _after_accumulator(reader, checked)
        if reader.kind == "conv":
            return "conv-reader"
        if reader.kind in INDEXED:
            return "reader"
        if reader.info.has(Trait.TRANSPARENT):
            return "mover" if is_checked(reader) else "codes"
        return "checked-reader" if is_checked(reader) and reader.kind != "linear" else "reader"
    return ("checked-" if checked else "") + ("qparams" if needs else "codes")


def _after_accumulator(reader: Node, checked: bool) -> str:
    """Of an op that computes in int32: what does not mind the dtype takes its accumulator for values."""
    if (reader.info.has(Trait.TRANSPARENT) and reader.kind not in _TYPED) or reader.kind in ("abs", "sum"):
        return "checked-raw" if checked else "raw"
    return "checked-qparams" if checked else "accumulator"
