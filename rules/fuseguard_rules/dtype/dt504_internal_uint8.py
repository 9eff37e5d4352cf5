"""DT504: uint8 codes where the backend has none: at an operator, or made from a float inside the delegate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.quantized_values import Boundary, boundaries
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.ir import Graph, Node, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

#: Before this RESCALE knows int8, int16 and int32 alone.
HAS_UINT8_IO = ">=1.3"
_NO_UINT8 = "TOSA RESCALE and serializer before 1.3: Unsupported type: torch.uint8"
_SHAPE = (1, 4, 4, 4)
_IN, _OUT = int8(0.0487, 3), int8(0.0713, 2)


def uint8(scale: float, zero_point: int) -> QParams:
    return QParams.per_tensor(scale, zero_point, 0, 255, "uint8")


def uint8_conv(data: QParams, out: QParams, *, entry: str = "same") -> Callable[[], Graph]:
    """A conv in int8 or uint8. ``entry``: what reaches it, its own codes (``same``), codes requantized from a float
    that was quantized to uint8 (``float``), from a uint8 input of the program (``uint8``, which ends in uint8 too,
    as the quantizer's set_io makes it), or such an input itself (``raw``).
    """

    def build() -> Graph:
        b = GraphBuilder()
        if entry == "raw":
            x = b.dequantize(b.input("x", _SHAPE, "uint8"), data)
        elif entry == "uint8":
            x = b.requantize(b.dequantize(b.input("x", _SHAPE, "uint8"), data), _IN)
        else:
            x = b.quantized_input("x", _SHAPE, data)
            x = x if entry == "same" else b.requantize(x, _IN)
        weight = b.quantized_constant("weight", (4, 4, 1, 1), 0.01031)
        value = b.call("aten.conv2d.default", x, weight, None, shape=_SHAPE)
        if entry != "uint8":
            return b.output(b.requantize(value, out))
        return b.output(b.quantize(b.requantize(value, _OUT), out))

    return build


def _unary(target: str, qparams: QParams, out: QParams, *args: object) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", _SHAPE, qparams)
        return b.output(b.requantize(b.call(target, x, *args, shape=_SHAPE), out))  # type: ignore[arg-type]

    return build


def _between() -> Graph:
    b = GraphBuilder()
    x, y = b.quantized_input("x", _SHAPE, _IN), b.quantized_input("y", _SHAPE, int8(0.0311, -5))
    value = b.requantize(b.call("aten.add.Tensor", x, y), uint8(0.0487, 128))
    return b.output(b.requantize(b.call("aten.mul.Tensor", value, y), _OUT))


class InternalUint8(Rule):
    code = "DT504"
    name = "internal-uint8"
    summary = "uint8 codes at an operator, or made from a float in the delegate: uint8 is for inputs and outputs alone."
    why = (
        "TOSA has no uint8 tensors. From 1.3 on the backend carries uint8 as flags on the RESCALE between a program's "
        "uint8 inputs and outputs and the int8 codes that the quantizer puts behind them; every pass further in asks "
        "for int8 or int16. Convolutions, tables and pools refuse uint8 in lowering; element-wise ops and, with float "
        "support, data movement take the codes for something else without a word. Where the program quantizes a float "
        "to uint8 itself, a delegate with float support casts it to int8, which saturates at 127; without float "
        "support that Q stays on the CPU."
    )
    remedy = (
        "Quantize to int8 inside the program: insert a quantize/dequantize pair with int8 qparams between the uint8 "
        "value and the operator. For uint8 at the program's boundary use the quantizer's set_io and make the input "
        "itself uint8 (executorch.exir.passes.quantize_io_pass), or let fuseguard keep the quantize op on the CPU."
    )
    scope = "node"
    message = "{value} is uint8 {where}"
    effects = EffectsTable(
        [
            EffectRow("taken", "*", "*", Effect.WRONG, reference="InsertRescaleInt32Pass skips what is not int8"),
            EffectRow("*", "<1.3", "*", Effect.CRASH, reference=_NO_UINT8),
            EffectRow("refused", ">=1.3", "*", Effect.CRASH, reference="TOSA dialect: Unsupported input dtype uint8"),
            EffectRow("moved", ">=1.5", "INT+FP", Effect.WRONG, reference="the int8 codes are read as uint8"),
            EffectRow("moved", ">=1.3", "*", Effect.CRASH, reference="TOSA dialect: Unsupported dtype uint8"),
            EffectRow("float-entry", ">=1.3", "INT", Effect.EXACT, reference="_detag_boundary_nodes"),
            EffectRow("float-entry", ">=1.3", "INT+FP", Effect.WRONG, reference="the quantize op becomes CAST to int8"),
        ]
    )
    bad = (
        Example("uint8 into a conv", uint8_conv(uint8(0.0487, 131), _OUT)),
        Example("uint8 out of a conv", uint8_conv(_IN, uint8(0.0713, 131))),
        Example("uint8 through a sigmoid", _unary("aten.sigmoid.default", uint8(0.0487, 131), uint8(1 / 256, 0))),
        Example("uint8 between add and mul", _between),
        Example(
            "uint8 through a permute",
            _unary("aten.permute.default", uint8(0.0487, 131), uint8(0.0487, 131), (0, 2, 1, 3)),
        ),
        Example(
            "float input quantized to uint8, int8 at the conv",
            uint8_conv(uint8(0.0487, 131), _OUT, entry="float"),
        ),
        Example("uint8 input straight into a conv", uint8_conv(uint8(0.0487, 131), _OUT, entry="raw")),
    )
    good = (Example("int8 throughout", uint8_conv(_IN, _OUT)),)
    references = ("executorch #21393", "executorch #20976", "class 21 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for boundary in boundaries(view):
            if boundary.qparams.dtype != "uint8" or boundary.constant:
                continue
            case, where = _case(view, boundary)
            if not case:
                continue
            # From 1.3 on what reads the codes is right with uint8 that comes from outside: the Q alone is at fault.
            alone = case == "float-entry" and target.release_in(HAS_UINT8_IO)
            yield self.finding(
                view,
                target,
                boundary.quantizers[:1] if alone else boundary.nodes,
                case=case,
                qparams=((boundary.label, str(boundary.qparams)),),
                value=boundary.label,
                where=where,
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """int8 codes of the same scale, 128 below, on the inner side of every uint8 quantize and dequantize op."""
        known = _by_quantizer(view)
        boundary = next((known[name] for name in finding.nodes if name in known), None)
        if boundary is None or boundary.qparams.per_channel or not target.release_in(HAS_UINT8_IO):
            return None
        qparams = boundary.qparams
        shifted = QParams.per_tensor(
            qparams.scale, qparams.zero_point - 128, qparams.qmin - 128, qparams.qmax - 128, "int8"
        )
        edits = []
        first, *readers = boundary.quantizers
        if not view.is_q(first):
            readers = [first]
        elif boundary.producer is not None or _case(view, boundary)[0] == "float-entry":
            edits.append(Insert(_source(first), (first.name,), (Pair(shifted),)))
        for reader in readers:
            ops = tuple(user.name for user in view.users(reader) if user.op == "call" and not view.is_q(user))
            if ops:
                edits.append(Insert(reader.name, ops, (Pair(shifted),)))
        return Rewrite(tuple(edits)) if edits else None


@once_per_view
def _by_quantizer(view: View) -> dict[str, Boundary]:
    return {item.quantizers[0].name: item for item in boundaries(view)}


def _case(view: View, boundary: Boundary) -> tuple[str, str]:
    """The row of the effects table, and where the codes are; "" where they only pass by."""
    ops = [op for op in boundary.ops if op is not boundary.producer or op.annotated]
    if ops:
        at = f"at {', '.join(op.name for op in ops)}"
        if all(op.info.has(Trait.TRANSPARENT) for op in ops):
            return "moved", at
        silent = all(op.info.has(Trait.RESCALED | Trait.TRANSPARENT) for op in ops)
        return ("taken" if silent else "refused"), at
    first, *readers = boundary.quantizers
    source = view.graph.node_of(first.args[0]) if first.args else None
    if not view.is_q(first) or source is None or view.is_dq(source):
        return "", ""  # requantized from int8 or to it: DT507's
    if any(user.op == "call" for reader in readers for user in view.users(reader)):
        return "float-entry", "and quantized from a float in the program"
    return "", ""


def _source(q: Node) -> str:
    """The name of the value that a Q quantizes."""
    return next(ref.name for ref in q.refs())
