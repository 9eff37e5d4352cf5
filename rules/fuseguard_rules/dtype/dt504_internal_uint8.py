"""DT504: uint8 codes where the backend has none: at an operator, or made from a float inside the delegate."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.quantized_values import Boundary, boundaries, computes_in_float
from fuseguard.backend.releases import RESCALES_UINT8
from fuseguard.backend.rewrites import as_int8
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt504")

_NO_UINT8 = "TOSA RESCALE and serializer before 1.3: Unsupported type: torch.uint8"


class InternalUint8(Rule):
    code = "DT504"
    name = "internal-uint8"
    summary = (
        "An operator has uint8 codes, or a float is quantized to uint8 in the delegate; uint8 is for inputs and "
        "outputs only."
    )
    why = (
        "TOSA has no uint8 tensors. From 1.3 on, the backend carries uint8 as flags on the RESCALE between a program's "
        "uint8 inputs and outputs and the int8 codes that the quantizer puts after them. Every pass further in expects "
        "int8 or int16. Lowering rejects uint8 at convolutions, tables and pools. Element-wise ops and, with float "
        "support, data movement silently misread the codes. If the program itself quantizes a float to uint8, or "
        "computes in float with dequantized uint8 codes, a delegate with float support casts them to int8, which "
        "saturates at 127. Without float support, these ops stay on the CPU."
    )
    remedy = (
        "Quantize to int8 inside the program: insert a quantize/dequantize pair with int8 qparams between the uint8 "
        "value and the operator. For uint8 at the program's boundary, use the quantizer's set_io and make the input "
        "itself uint8 (executorch.exir.passes.quantize_io_pass), or let fuseguard keep the quantize op on the CPU."
    )
    scope = "node"
    message = "{value} is uint8 {where}"
    effects = EffectsTable(
        [
            EffectRow("float", "*", "INT", Effect.CPU_FALLBACK, reference="CheckArmQuantized: what is not annotated"),
            EffectRow("float", "<1.3", "INT+FP", Effect.CRASH, reference=_NO_UINT8),
            EffectRow("float", ">=1.3", "INT+FP", Effect.WRONG, reference="DecomposeQuantNodesPass casts to int8"),
            EffectRow("taken", "*", "*", Effect.WRONG, reference="InsertRescaleInt32Pass skips what is not int8"),
            EffectRow("*", "<1.3", "*", Effect.CRASH, reference=_NO_UINT8),
            EffectRow("refused", ">=1.3", "*", Effect.CRASH, reference="TOSA dialect: Unsupported input dtype uint8"),
            EffectRow("joined", ">=1.3", "*", Effect.CRASH, reference="TOSA dialect: no CONCAT of uint8"),
            EffectRow("moved", ">=1.5", "INT+FP", Effect.WRONG, reference="the int8 codes are read as uint8"),
            EffectRow("moved", ">=1.3", "*", Effect.CRASH, reference="TOSA dialect: Unsupported dtype uint8"),
            EffectRow("float-entry", ">=1.3", "INT", Effect.EXACT, reference="_detag_boundary_nodes"),
            EffectRow("float-entry", ">=1.3", "INT+FP", Effect.WRONG, reference="the quantize op becomes CAST to int8"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #21393", "executorch #20976")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for boundary in boundaries(view) if "uint8" in view.code_dtypes else ():
            if boundary.qparams.dtype != "uint8" or boundary.constant:
                continue
            case, where = _case(view, boundary)
            if not case:
                continue
            # From 1.3 on, uint8 that comes from outside is read correctly: only the Q is at fault.
            alone = case == "float-entry" and RESCALES_UINT8.in_force(target)
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
        """Insert int8 codes of the same scale, 128 lower, on the inner side of every uint8 Q and DQ."""
        known = _by_quantizer(view)
        boundary = next((known[name] for name in finding.nodes if name in known), None)
        if boundary is None or not boundary.qparams.usable or not RESCALES_UINT8.in_force(target):
            return None
        if finding.effect is Effect.CPU_FALLBACK:
            return None  # right as it is
        shifted = as_int8(boundary.qparams)
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
    """The row of the effects table, and where the codes are; "" if no op works on them."""
    ops = [op for op in boundary.ops if op is not boundary.producer or op.annotated]
    if ops:
        at = f"at {', '.join(op.name for op in ops)}"
        if all(map(computes_in_float, ops)):
            return "float", f"{at}, which is not quantized"
        if any(op.info.has(Trait.LIST_INPUT) and op.annotated for op in ops):
            return "joined", at
        if all(op.info.has(Trait.TRANSPARENT) for op in ops):
            return "moved", at
        silent = all(op.info.has(Trait.ARITHMETIC | Trait.TRANSPARENT) for op in ops)
        return ("taken" if silent else "refused"), at
    first, *readers = boundary.quantizers
    source = view.producer(first)
    if not view.is_q(first) or source is None or view.is_dq(source):
        return "", ""  # requantized from int8 or to it: DT507's
    if any(user.op == "call" for reader in readers for user in view.users(reader)):
        return "float-entry", "and quantized from a float in the program"
    return "", ""


def _source(q: Node) -> str:
    """The name of the value that a Q quantizes."""
    return next(ref.name for ref in q.refs())
