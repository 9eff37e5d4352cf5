"""Which convolutions and linears have a weight that is computed, where the backend's passes ask for a constant.

Source: ``RewriteConvPass``, ``FoldScalarMulIntoConvPass`` and ``get_param_tensor`` (_passes/arm_pass_utils.py) of
ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1. A linear becomes a convolution. The pass that adds a missing bias puts it in
front of the weight, as a constant, and looks up the values of the weight of a depthwise convolution. Since 1.3, those
of any weight are looked up. ``ConvolutionSupported`` asks for neither.

Rules that depend on it: OP728.
"""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.anchor_forms import anchor_form
from fuseguard.backend.quantized_operands import half_quantized
from fuseguard.ir import Node, View
from fuseguard.ir.value import Value
from fuseguard.target import Target


class ComputedWeight(Value, frozen=True):
    """An anchor with its weight, and its case: ``float``, ``unbiased``, ``depthwise``, ``transposed`` or ``biased``."""

    anchor: Node
    weight: Node
    case: str


def computed_weights(view: View, target: Target) -> Iterator[ComputedWeight]:
    """The convolutions and linears that are delegated with a weight that depends on an input of the program.

    A body of control flow has its weights as inputs, and is left out.
    """
    anchors = view.of_kind("conv", "linear")
    if not anchors or view.graph.name:
        return
    computed = _from_inputs(view)
    for anchor in anchors:
        weight = view.graph.node_of(anchor.args[1]) if len(anchor.args) > 1 else None
        if weight is None or weight.name not in computed:
            continue
        if anchor.annotated and (half_quantized(view, anchor) is not None or not view.out_q(view.output_owner(anchor))):
            continue  # PL403's, or PL401's
        yield ComputedWeight(anchor, weight, _case(view, anchor, target))


def _from_inputs(view: View) -> frozenset[str]:
    """Every value that depends on an input, by name.

    A program that the plug-in sees may not tell constants from inputs. What a quantize op yields is computed there:
    constants are stored as codes.
    """
    labelled = any(node.constant or node.op == "get_attr" for node in view.graph)
    found: set[str] = set()
    given: set[str] = set()  # without labels: what depends on a placeholder, which may be a constant
    for node in view.graph:
        if node.op == "placeholder":
            if not labelled:
                given.add(node.name)
            elif not node.constant:
                found.add(node.name)
            continue
        names = {item.name for item in view.graph.inputs(node)}
        if not given.isdisjoint(names):
            given.add(node.name)
        if not found.isdisjoint(names) or (view.is_q(node) and node.name in given):
            found.add(node.name)
    return frozenset(found)


def _case(view: View, anchor: Node, target: Target) -> str:
    if not anchor.annotated and not target.has_float:
        return "float"
    if view.graph.node_of(anchor.arg(2, "bias")) is None:
        return "unbiased"
    if view.transposed(anchor):
        return "transposed"
    return "depthwise" if view.groups(anchor) > 1 and anchor_form(view, anchor) != "grouped" else "biased"
