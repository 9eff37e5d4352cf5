"""DT505: a lookup table over a narrow int8 input, whose entries end up shifted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from fuseguard.backend.lookup_table import FUNCTIONS, parameters_of, value_of
from fuseguard.backend.quantized_values import is_constant
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Insert, Pair, Rewrite, Rule
from fuseguard.ir import Graph, Node, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

#: From here on InsertTableOpsPass makes 256 entries whatever the range (#18973).
FULL_TABLE_FROM = ">=1.3"

#: What torch makes of zero where math raises an error.
_AT_ZERO = {"reciprocal": math.inf, "rsqrt": math.inf, "log": -math.inf, "log10": -math.inf}


def _sigmoid(qparams: QParams) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 8, 8), qparams)
        return b.output(b.requantize(b.call("aten.sigmoid.default", x), int8(1 / 255.7, -128)))

    return build


def _table(kind: str, out: QParams) -> Callable[[], Graph]:
    """Of numbers from zero to one."""

    def build() -> Graph:
        b = GraphBuilder()
        x = b.quantized_input("x", (1, 4, 8, 8), int8(0.00388, -127, -127))
        return b.output(b.requantize(b.call(f"aten.{kind}.default", x), out))

    return build


def _floor() -> Graph:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.00388, 2, -127))
    return b.output(b.requantize(b.call("aten.floor.default", x), int8(0.00394, 127, -127)))


class NarrowTableInput(Rule):
    code = "DT505"
    name = "narrow-table-input"
    summary = "A table op reads a narrower range of codes than int8 has; the backend before 1.3 then shifts the table."
    why = (
        "InsertTableOpsPass tabulates the function over qmin to qmax of the input, in 256 steps cut off to integers. "
        "TOSA's TABLE is indexed from -128, so with a range of [-127, 127] the entries of negative codes are one place "
        "off. Since 1.3 the table always has 256 entries. "
        "Nothing in the program is at fault, so releases that lower it are not warned about it."
    )
    remedy = (
        "Upgrade ExecuTorch to 1.3 or newer, quantize activations over the full range (act_qmin=-128), or let "
        "fuseguard keep the op on the CPU (guard)."
    )
    scope = "node"
    message = "{op} is a lookup table over codes [{qmin}, {qmax}], which ExecuTorch {release} indexes from -128"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.WRONG, reference="InsertTableOpsPass, #18873"),
            EffectRow("*", ">=1.3", "*", Effect.EXACT, reference="InsertTableOpsPass, #18973"),
        ]
    )
    bad = (
        Example("sigmoid over [-127, 127]", _sigmoid(int8(0.0487, 3, -127)), only_on="<1.3"),
        Example("reciprocal of numbers down to zero", _table("reciprocal", int8(0.51, -127, -127)), only_on="<1.3"),
    )
    good = (
        Example("sigmoid over the full int8 range", _sigmoid(int8(0.0487, 3))),
        Example("floor over [-127, 127] that saturates for negative codes", _floor),
        Example(
            "reciprocal of numbers down to zero that saturates for the small ones",
            _table("reciprocal", int8(0.0079, -127, -127)),
        ),
        Example("log of numbers down to zero", _table("log", int8(0.00272, 127, -127))),
    )
    references = ("executorch #18873", "executorch #18973", "bug class 11 (a) of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.release_in(FULL_TABLE_FROM):
            return
        for node in view.calls(Trait.TABLE):
            qparams = view.in_qp(node, 0)
            if qparams is None or qparams.dtype != "int8" or not node.annotated or is_constant(view, node):
                continue
            if (qparams.qmin, qparams.qmax) != qparams.dtype_range and not _is_right_all_the_same(view, node, qparams):
                yield self.finding(
                    view,
                    target,
                    (node,),
                    case="*",
                    op=node.name,
                    qmin=qparams.qmin,
                    qmax=qparams.qmax,
                    release=target.release,
                )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """The same codes under qparams whose range is the whole of int8."""
        del target
        node = view.graph[finding.nodes[0]]
        data, qparams = view.in_dq(node, 0), view.in_qp(node, 0)
        if data is None or qparams is None or qparams.per_channel:
            return None
        full = QParams.per_tensor(qparams.scale, qparams.zero_point, *qparams.dtype_range, qparams.dtype)
        return Rewrite((Insert(data.name, (node.name,), (Pair(full),)),))


def _is_right_all_the_same(view: View, node: Node, data: QParams) -> bool:
    """Whether the entries that are off hold the right codes, as where the function saturates."""
    function, quantizers = FUNCTIONS.get(node.kind), view.out_q(node)
    out = view.qparams(quantizers[0]) if quantizers else None
    if function is None or data.per_channel or out is None or out.per_channel:
        return False

    def code(of: int) -> int | None:
        argument = data.dequantize(of)
        value = _AT_ZERO.get(node.kind) if argument == 0 else None
        if value is None:
            value = value_of(function, argument, parameters_of(node))
        return None if math.isnan(value) else out.quantize(value)

    step = (data.qmax - data.qmin) / 255  # torch.linspace of integers: from either end to the middle
    entries = [int(data.qmin + step * i) if i < 128 else int(data.qmax - step * (255 - i)) for i in range(256)]
    codes = {of: code(of) for of in range(data.qmin, data.qmax + 1)}
    return all(wanted is not None and wanted == codes[entries[of + 128]] for of, wanted in codes.items())
