"""What is written in the box of a node."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fuseguard.ir.graph import Node, TensorMeta
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import QParams
from fuseguard.ir.view import View
from fuseguard.report.quoting import name as quoted_name

#: Sizes of a shape that are written out.
_MOST_SIZES = 8


@dataclass(frozen=True, slots=True)
class Shape:
    """``kind`` is one of q, dq, anchor, activation, op, input, constant and output. ``lines`` are its facts."""

    name: str
    label: str
    kind: str
    lines: tuple[str, ...] = ()

    def noted(self, note: str) -> Shape:
        """The same with one more line."""
        return replace(self, lines=(*self.lines, quoted_name(note)))


def shape_of(view: View, node: Node) -> Shape:
    """The box of a node of the program. All text of the file is quoted."""
    kind = _kind(view, node)
    if kind in ("q", "dq"):
        return quantizer(node.name, kind, view.qparams(node))
    lines = () if node.meta is None or kind == "output" else (tensor_line(node.meta),)
    return Shape(quoted_name(node.name), _label(node, kind), kind, lines)


def quantizer(name: str, kind: str, qparams: QParams | None) -> Shape:
    """The box of a quantize (``q``) or dequantize (``dq``) op."""
    label = "quantize" if kind == "q" else "dequantize"
    return Shape(quoted_name(name), label, kind, qparams_lines(qparams))


def operator(name: str, target: str) -> Shape:
    """The box of an op that a repair inserts."""
    return Shape(quoted_name(name), quoted_name(_short(target)), "op")


def qparams_lines(qparams: QParams | None) -> tuple[str, ...]:
    """Scale and zero point, then dtype and code range."""
    if qparams is None:
        return ("qparams not read",)
    # The limits of a bias say nothing, and take up the width of two boxes.
    wide = qparams.dtype in ("int32", "int64")
    codes = quoted_name(qparams.dtype if wide else f"{qparams.dtype} [{qparams.qmin}, {qparams.qmax}]")
    if not qparams.known:
        return (f"per channel, axis {qparams.axis}", codes)
    if qparams.per_channel:
        return (f"{len(qparams.scales)} scales, axis {qparams.axis}", codes)
    return (f"scale {qparams.scale:.6g}, zp {qparams.zero_point}", codes)


def tensor_line(meta: TensorMeta) -> str:
    """``int8 1x4x8x8``; a symbolic size is a question mark."""
    sizes = ["?" if size is None else str(size) for size in meta.shape[:_MOST_SIZES]]
    more = "..." if len(meta.shape) > _MOST_SIZES else ""
    return quoted_name(f"{meta.dtype} {'x'.join(sizes)}{more}".strip())


def _kind(view: View, node: Node) -> str:
    if node.op == "output":
        return "output"
    if node.op in ("placeholder", "get_attr"):
        return "constant" if node.constant or node.op == "get_attr" else "input"
    if view.is_q(node):
        return "q"
    if view.is_dq(node):
        return "dq"
    if node.info.has(Trait.MAC):
        return "anchor"
    return "activation" if node.info.has(Trait.ACTIVATION) else "op"


def _label(node: Node, kind: str) -> str:
    if node.op != "call":
        return kind
    return quoted_name(_short(node.target))


def _short(target: str) -> str:
    """``relu`` of ``aten.relu.default``."""
    parts = target.split(".")
    return parts[1] if len(parts) > 1 else target
