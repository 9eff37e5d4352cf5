"""OP701: an int16 convolution is read by an op that works in int32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule
from fuseguard.engine.rewrite import Edit
from fuseguard.ir import Graph, Node, QParams, Trait, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target
from fuseguard_rules.fusion.activation_fusion import is_quantized_anchor
from fuseguard_rules.rewrites import standing_apart

_UNPREDICTABLE = "RewriteConvPass.insert_identity_int32_rescale, #21910"
_FORK = "RewriteConvPass hands the int32 accumulator to every user, #21910"
_COMBINED = "RewriteConvPass._insert_a16w8_output_branches saturates nothing, #21910"

#: What InsertRescaleInt32Pass shifts up before it adds: the accumulator then leaves int32.
_ADDS = ("add", "sub")

# Over the whole of int16: FU103's bounded saturation is not what these examples are about.
_INPUT = QParams.per_tensor(0.00031, 0, -32768, 32767, "int16")
_OUTPUT = QParams.per_tensor(0.00127, 0, -32768, 32767, "int16")


def _conv(b: GraphBuilder, data: str, name: str, qparams: QParams) -> str:
    weight = b.quantized_constant(f"{name}_weight", (4, 4, 3, 3), 0.0031)
    bias = b.quantized_constant(f"{name}_bias", (4,), qparams.scale * 0.0031, "int32")
    return b.call("aten.conv2d.default", data, weight, bias, (1, 1), (1, 1), shape=(1, 4, 8, 8))


def _graph(*consumers: str, qparams: QParams = _INPUT) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        # A DQ for each reader, as the quantizer makes them.
        x = b.quantize(b.input("x", (1, 4, 8, 8)), qparams)
        y = b.quantize(_conv(b, b.dequantize(x, qparams), "first", qparams), qparams)
        values = []
        for consumer in consumers:
            data = b.dequantize(y, qparams)
            if consumer == "conv":
                value = _conv(b, data, "second", qparams)
            else:
                value = b.call(f"aten.{consumer}", data, b.dequantize(x, qparams))
            values.append(b.requantize(value, _OUTPUT if qparams is _INPUT else int8(0.1031, -5)))
        return b.output(*values)

    return build


class Int16ConvFork(Rule):
    code = "OP701"
    name = "int16-conv-read-in-int32"
    summary = "An int16 convolution is read by an op that works in int32, which bypasses its rounding and saturation."
    why = (
        "add, mul, comparisons and the like work in int32, so InsertRescaleInt32Pass puts a RESCALE in front of them, "
        "written for the codes of the convolution's output. Where such a RESCALE reads an int16 convolution, "
        "directly or through one permute, RewriteConvPass of 1.3 and 1.4 leaves out the convolution's own rescale and "
        "hands it, and every other reader, the raw accumulator, whose scale is input x weight. From 1.5 on "
        "(#21910) it combines the two rescales on a branch of their own, with no int16 in between: what the program "
        "saturates to int16 is not saturated, and what it rounds is not rounded. ExecuTorch 1.2 lowers it otherwise, "
        "and exactly."
    )
    remedy = (
        "Let fuseguard keep the convolution on the CPU (guard), or quantize the convolution to int8. From 1.5 on the "
        "difference stays within rounding as long as no output of the convolution saturates."
    )
    scope = "cluster"
    message = "{anchor} computes in int16 and is read in int32 by {readers}{others}"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.EXACT, reference="DecomposeConvWithInt16ActivationPass"),
            EffectRow("*", ">=1.5", "*", Effect.WRONG, reference=_COMBINED),
            EffectRow("forked", ">=1.3,<1.5", "*", Effect.CRASH, reference=_FORK),
            EffectRow("added", ">=1.3,<1.5", "*", Effect.UNDEFINED, reference=_UNPREDICTABLE),
            EffectRow("computed", ">=1.3,<1.5", "*", Effect.WRONG, reference=_UNPREDICTABLE),
        ]
    )
    bad = (
        Example("int16 conv into add", _graph("add.Tensor"), only_on=">=1.3", extensions=("int16",)),
        Example("int16 conv into mul", _graph("mul.Tensor"), only_on=">=1.3", extensions=("int16",)),
        Example(
            "int16 conv into add and conv",
            _graph("add.Tensor", "conv"),
            only_on=">=1.3",
            extensions=("int16",),
        ),
    )
    # An int16 convolution alone is off by one step on 1.5.1, with no reader in int32: it would be no good example.
    good = (Example("int8 conv into add and conv", _graph("add.Tensor", "conv", qparams=int8(0.0487, 3))),)
    references = ("executorch #21910", "executorch #22566", "bug class 5 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.release_in("<1.3"):
            return
        for island in view.islands:
            anchor = island.anchor
            data = view.in_qp(anchor, 0)
            if data is None or data.dtype != "int16" or not is_quantized_anchor(view, island):
                continue
            # Decomposition puts a view or a cat behind the other forms, which RewriteConvPass does not look through.
            if anchor.kind != "conv" or view.anchor_form(anchor) != "direct":
                continue
            wide, others = _readers(view, anchor)
            if not wide:
                continue
            yield self.finding(
                view,
                target,
                (anchor,),
                case=_case(wide, others),
                island=island,
                anchor=anchor.name,
                readers=", ".join(node.name for node in wide),
                others=f", and otherwise by {', '.join(node.name for node in others)}" if others else "",
            )

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """A view between the convolution's codes and each reader in int32: the rescales on its sides stay two."""
        del target
        wide, _ = _readers(view, view.graph[finding.nodes[0]])
        edits: list[Edit] = []
        for reader in wide:
            codes = {q.name for q in view.out_q(view.graph[finding.nodes[0]])}
            for data in view.graph.inputs(reader):
                if view.is_dq(data) and data.args[:1] and getattr(data.args[0], "name", "") in codes:
                    rewrite = standing_apart(view, reader, data)
                    edits.extend(rewrite.edits if rewrite is not None else ())
        return Rewrite(tuple(edits)) if edits else None


def _case(wide: list[Node], others: list[Node]) -> str:
    if others:
        return "forked"
    return "added" if any(node.kind in _ADDS for node in wide) else "computed"


def _readers(view: View, anchor: Node) -> tuple[list[Node], list[Node]]:
    """Who reads the anchor's codes: ops that work in int32, also behind one permute, and all others."""
    wide: list[Node] = []
    others: list[Node] = []
    for reader in _behind(view, anchor):
        beyond = _behind(view, reader) if reader.kind == "permute" else []
        if reader.info.has(Trait.RESCALED) and reader.annotated:
            wide.append(reader)
        elif any(node.info.has(Trait.RESCALED) for node in beyond):
            wide.extend(node for node in beyond if node.info.has(Trait.RESCALED))
            others.extend(node for node in beyond if not node.info.has(Trait.RESCALED))
        else:
            others.append(reader)
    return wide, others


def _behind(view: View, node: Node) -> list[Node]:
    """The distinct live readers of a node's quantized value."""
    found = {user.name: user for q in view.out_q(node) for dq in view.users(q) for user in view.users(dq)}
    return list(found.values())
