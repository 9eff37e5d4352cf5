"""OP704: a cat of quantized constants, which the backend before 1.3 computes from codes instead of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.ir import Graph, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

if TYPE_CHECKING:
    import torch

#: From here on FuseConstantArgsPass finds the qparams of a list's members under the index of the list (#18971).
FOLDS_LISTS_FROM = ">=1.3"

_PART = (1, 4, 8, 8)
_QPARAMS = int8(0.0487, 3)


def _graph(*parts: str) -> Callable[[], Graph]:
    """A cat of ``parts`` plus an input; each is a ``buffer``, a ``full`` or an ``input``."""

    def build() -> Graph:
        b = GraphBuilder()
        whole = (1, 4 * len(parts), 8, 8)
        x = b.quantized_input("x", whole, _QPARAMS)
        values = []
        for number, part in enumerate(parts):
            if part == "buffer":
                values.append(b.dequantize(b.constant(f"part{number}", _PART), _QPARAMS))
            elif part == "full":
                full = b.call("aten.full.default", _PART, number - 1.5, shape=_PART)
                values.append(b.requantize(full, _QPARAMS))
            else:
                values.append(b.quantized_input(f"y{number}", _PART, _QPARAMS))
        joint = b.requantize(b.call("aten.cat.default", tuple(values), 1, shape=whole), _QPARAMS)
        return b.output(b.requantize(b.call("aten.add.Tensor", joint, x), int8(0.0971, -2)))

    return build


def _stack() -> Graph:
    b = GraphBuilder()
    whole = (1, 2, *_PART[1:])
    x = b.quantized_input("x", whole, _QPARAMS)
    values = tuple(b.dequantize(b.constant(f"part{number}", _PART), _QPARAMS) for number in range(2))
    joint = b.requantize(b.call("aten.stack.default", values, 1, shape=whole), _QPARAMS)
    return b.output(b.requantize(b.call("aten.add.Tensor", joint, x), int8(0.0971, -2)))


def _program() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    from fuseguard_rules.operator.example_arithmetic import joined_constants

    return joined_constants()


class ConstantCatFolded(Rule):
    code = "OP704"
    name = "constant-cat-folded-wrong"
    summary = "A cat joins quantized constants alone; the backend before 1.3 takes all but the first for values."
    why = (
        "FuseConstantArgsPass computes an op whose inputs are all constants in advance: it dequantizes them, runs the "
        "op and quantizes the result. It looks for each input's qparams under the input's own number, and "
        "FoldAndAnnotateQParamsPass has put those of a list under the number of the list. So the second and later "
        "constants stay codes, and are quantized once more. Fixed in 1.3 (#18971). Arm's own "
        "quantizer folds a cat of buffers or parameters before it annotates the program, but not one of constants that "
        "the program makes itself (torch.full, zeros, ones). Nothing in the program is at fault, so releases that "
        "lower it are not warned about it."
    )
    remedy = (
        "Join the constants in the model's constructor and keep the result as a buffer, upgrade ExecuTorch to 1.3 or "
        "newer, or let fuseguard keep the cat on the CPU (guard)."
    )
    scope = "cluster"
    message = "{op} joins the constants {constants}, which ExecuTorch {release} folds by the first's qparams"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.WRONG, reference="FuseConstantArgsPass._fuse_nodes, #18971"),
            EffectRow("*", ">=1.3", "*", Effect.EXACT, reference="FuseConstantArgsPass, #18971"),
        ]
    )
    bad = (
        Example("cat of two quantized buffers", _graph("buffer", "buffer"), only_on="<1.3"),
        Example("stack of two quantized buffers", _stack, only_on="<1.3"),
        Example("cat of quantized constants", _graph("full", "full", "full"), _program, only_on="<1.3"),
    )
    good = (Example("cat of a quantized buffer and an input", _graph("buffer", "input")),)
    references = ("executorch #18971", "executorch #17478", "bug class 20 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.release_in(FOLDS_LISTS_FROM):
            return
        # The plug-in sees an edge graph without its signature, which does not tell inputs from constants. Inputs that
        # are codes already are rare, so there any codes count as constant.
        labelled = view.graph.dialect != "edge" or any(node.constant for node in view.graph)
        for node in view.calls():
            if node.kind not in ("cat", "stack") or not node.annotated:
                continue
            constants = _constants(view, node, labelled)
            if len(constants) > 1:
                names = ", ".join(constant.name for constant in constants)
                yield self.finding(
                    view,
                    target,
                    (node, *_behind(view, node)),
                    case="*",
                    op=node.name,
                    constants=names,
                    release=target.release,
                )


def _behind(view: View, cat: Node) -> list[Node]:
    """The annotated views that a stack leaves between its cat and its Q: without the cat they would move floats."""
    found: list[Node] = []
    users = view.users(cat)
    while len(users) == 1 and users[0].annotated and users[0].info.has(Trait.TRANSPARENT):
        found.append(users[0])
        users = view.users(users[0])
    return found


def _constants(view: View, cat: Node, labelled: bool) -> list[Node]:
    """The constants that a cat joins; empty if it joins anything else."""
    constants = []
    for producer in view.graph.inputs(cat):
        value = _constant(view, producer, labelled) if view.is_dq(producer) else None
        if value is None:
            return []
        constants.append(value)
    return constants


def _constant(view: View, dq: Node, labelled: bool) -> Node | None:
    """The constant that a DQ reads: a buffer in codes, or a value that the program makes and quantizes."""
    value = view.graph.node_of(dq.args[0]) if dq.args else None
    if value is not None and view.is_q(value):
        value = view.graph.node_of(value.args[0]) if value.args else None
        return value if value is not None and value.info.has(Trait.CONSTANT) else None
    return value if value is not None and (value.constant or (not labelled and value.op == "placeholder")) else None
