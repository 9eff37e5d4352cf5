"""PL401: the backend takes an op for quantized, and its result is used in float."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rewrite, Rule, Unannotate
from fuseguard.ir import Arg, Graph, Island, Node, Trait, View
from fuseguard.ir.builder import GraphBuilder
from fuseguard.target import Target
from fuseguard_rules.boundary.placement import has_company
from fuseguard_rules.fusion.activation_fusion import is_quantized_anchor
from fuseguard_rules.per_view import once_per_view
from fuseguard_rules.placement.operands import (
    INPUT,
    OUTPUT,
    SHAPE,
    anchor_graph,
    half_quantized,
    is_checked,
    is_float,
    is_unchecked,
)
from fuseguard_rules.rewrites import pair_behind, stays_on_grid

_CODES = "FoldAndAnnotateQParamsPass removes the DQ and nothing dequantizes the result"
_CHECKED = "CheckProperQuantization"
_NO_QPARAMS = "No output quantization parameter found, or an integer CLAMP or lookup table without one"
_READER = "the op behind it is given no input qparams"
_STRANDED = "the reader is de-tagged for its float operand, and the DQ of its other one stays"
_RAW = "the int32 accumulator goes on as it is"
_WEIGHT = "the linear is decomposed, and its transposed weight delegated on its own"

#: Constants are PL402's, control flow is BO603's.
_NOT_CODES = Trait.QUANTIZE | Trait.DEQUANTIZE | Trait.CONSTANT | Trait.CONTROL_FLOW
_COMPUTES = Trait.RESCALED | Trait.TABLE | Trait.MAC

#: Value-transparent ops that TOSA has for some dtypes only, int32 not among them.
_TYPED = frozenset(("relu", "hardtanh", "clamp", "cat", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d"))

#: Ops whose indices are quantized like their result, and dequantized before by the input's qparams alone.
_INDEXED = frozenset(("index", "gather"))

#: A chain of annotated ops is followed this far: decompositions are shorter, a hostile graph need not be.
_LONGEST_CHAIN = 16


_PERMUTE = "aten.permute.default"


def _unquantized_between(first: str, second: str) -> Callable[[], Graph]:
    """Two annotated ops with nothing between them."""

    def build() -> Graph:
        b = GraphBuilder()

        def call(target: str, value: str) -> str:
            further: tuple[Arg, ...] = ()
            if "permute" in target:
                further = ((0, 1, 3, 2),)
            elif "add" in target:
                further = (b.quantized_input("y", SHAPE, INPUT),)
            elif "index_select" in target:
                further = (1, b.call("aten.arange.start_step", 3, -1, -1, shape=(4,), dtype="int32", annotated=False))
            elif "conv2d" in target:
                further = (b.quantized_constant("weight", (4, 4, 3, 3), 0.01031), None, (1, 1), (1, 1))
            return b.call(target, value, *further, shape=SHAPE)

        return b.output(b.requantize(call(second, call(first, b.quantized_input("x", SHAPE, INPUT))), INPUT))

    return build


def _indexed_beside_q() -> Graph:
    b = GraphBuilder()
    moved = b.call(_PERMUTE, b.quantized_input("x", SHAPE, INPUT), (0, 1, 3, 2), shape=SHAPE)
    rows = b.call("aten.arange.start_step", 3, -1, -1, shape=(4,), dtype="int32", annotated=False)
    value = b.call("aten.index_select.default", moved, 1, rows, shape=SHAPE)
    return b.output(b.requantize(moved, INPUT), b.requantize(value, INPUT))


def _stranded() -> Graph:
    b = GraphBuilder()
    codes = b.quantize(b.call("aten.tanh.default", b.quantized_input("x", SHAPE, INPUT)), INPUT)
    relu = b.call("aten.relu.default", b.quantized_input("y", SHAPE, INPUT), shape=SHAPE)
    value = b.call("aten.maximum.default", b.dequantize(codes, INPUT), relu)
    return b.output(b.requantize(value, INPUT), b.dequantize(codes, INPUT))


def _two_readers() -> Graph:
    """The edge dialect makes a view and an addmm of the linear, and moves its weight."""
    b = GraphBuilder()
    moved = b.call(_PERMUTE, b.quantized_input("x", SHAPE, INPUT), (0, 2, 1, 3), shape=(1, 8, 4, 8))
    weight = b.quantized_constant("weight", (8, 8), 0.01031)
    bias = b.quantized_constant("bias", (8,), INPUT.scale * 0.01031, dtype="int32")
    linear = b.call("aten.linear.default", moved, weight, bias, shape=(1, 8, 4, 8))
    stack = b.call("aten.stack.default", (moved, moved), 1, shape=(1, 2, 8, 4, 8))
    return b.output(b.requantize(linear, OUTPUT), b.requantize(stack, INPUT))


def _graph(
    target: str, *rest: Arg, inputs: int = 1, quantized: bool = False, dtype: str = "float32"
) -> Callable[[], Graph]:
    def build() -> Graph:
        b = GraphBuilder()
        operands = [b.quantized_input(f"x{number}", SHAPE, INPUT) for number in range(inputs)]
        value = b.call(target, *operands, *rest, shape=SHAPE, dtype=dtype)
        return b.output(b.requantize(value, OUTPUT) if quantized else value)

    return build


class MissingOutputQ(Rule):
    code = "PL401"
    name = "missing-output-quantize"
    summary = "An op that was annotated as quantized has dequantized inputs, and its result is used in float."
    why = (
        "FoldAndAnnotateQParamsPass assumes 'one Q node to the output' of every annotated op: it folds the DQs of the "
        "inputs into the op, which then works on codes, and without a Q nobody turns the codes back into values. "
        "Where a pass needs the output qparams lowering dies (convolutions, lookup tables, clamps); elsewhere the "
        "delegate yields int8 or int32 where the program expects float. The INT profile leaves on the CPU what "
        "CheckProperQuantization lists; permute, cat, maximum, abs and the like are not on that list."
    )
    remedy = (
        "Quantize the op's output (a configuration with an output_activation, or a Q/DQ pair behind the op), leave "
        "the op unannotated, or let fuseguard keep it on the CPU (guard)."
    )
    scope = "cluster"
    message = "{node} has dequantized inputs and no quantize op behind it; {reader} reads its result in float"
    effects = EffectsTable(
        [
            EffectRow("checked-codes", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-codes", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_CODES),
            EffectRow("codes", "*", "*", Effect.RUNTIME_FAULT, reference=_CODES),
            EffectRow("checked-qparams", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-qparams", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("qparams", "*", "INT", Effect.CRASH, reference=_WEIGHT),
            EffectRow("qparams", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("stranded", "*", "*", Effect.CRASH, reference=_STRANDED),
            EffectRow("reader", "*", "*", Effect.CRASH, reference=_READER),
            EffectRow("checked-reader", "*", "INT", Effect.RUNTIME_FAULT, reference=_CHECKED),
            EffectRow("checked-reader", "*", "INT+FP", Effect.CRASH, reference=_READER),
            EffectRow("conv-reader", "*", "INT", Effect.RUNTIME_FAULT, reference=_CHECKED),
            EffectRow("conv-reader", "<1.5", "INT+FP", Effect.CRASH, reference=_READER),
            EffectRow("conv-reader", ">=1.5", "INT+FP", Effect.EXACT, reference="the codes are the convolution's own"),
            EffectRow("mover", "*", "INT", Effect.RUNTIME_FAULT, reference=_CHECKED),
            EffectRow("mover", "*", "INT+FP", Effect.EXACT, reference="codes go through both"),
            EffectRow("checked-raw", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-raw", "*", "INT+FP", Effect.WRONG, reference=_RAW),
            EffectRow("raw", "*", "INT", Effect.RUNTIME_FAULT, reference=_RAW),
            EffectRow("raw", "*", "INT+FP", Effect.WRONG, reference=_RAW),
            EffectRow("accumulator", "*", "INT", Effect.RUNTIME_FAULT, reference=_RAW),
            EffectRow("accumulator", "*", "INT+FP", Effect.CRASH, reference=_RAW),
        ]
    )
    bad = (
        Example("add whose result leaves in float", _graph("aten.add.Tensor", inputs=2), companions=("BO601",)),
        Example(
            "permute whose result leaves in float", _graph("aten.permute.default", (0, 1, 3, 2)), companions=("BO601",)
        ),
        Example(
            "conv2d whose result leaves in float", lambda: anchor_graph("conv2d", output=False), companions=("BO601",)
        ),
        Example(
            "linear whose result leaves in float", lambda: anchor_graph("linear", output=False), companions=("BO601",)
        ),
        Example("sigmoid straight behind permute", _unquantized_between(_PERMUTE, "aten.sigmoid.default")),
        Example("abs straight behind permute", _unquantized_between(_PERMUTE, "aten.abs.default")),
        Example("conv2d straight behind permute", _unquantized_between(_PERMUTE, "aten.conv2d.default")),
        Example("relu straight behind permute", _unquantized_between(_PERMUTE, "aten.relu.default")),
        Example("add straight behind sigmoid", _unquantized_between("aten.sigmoid.default", "aten.add.Tensor")),
        Example("index_select straight behind permute", _unquantized_between(_PERMUTE, "aten.index_select.default")),
        Example("index_select straight behind permute, which is quantized as well", _indexed_beside_q),
        Example("maximum straight behind relu, and of codes from the accelerator", _stranded),
        Example("linear and stack straight behind permute", _two_readers),
        Example("permute straight behind add", _unquantized_between("aten.add.Tensor", _PERMUTE)),
        Example("sigmoid straight behind abs", _unquantized_between("aten.abs.default", "aten.sigmoid.default")),
        Example("permute straight behind abs", _unquantized_between("aten.abs.default", _PERMUTE)),
    )
    good = (
        Example("comparison, whose result is a bool", _graph("aten.gt.Tensor", inputs=2, dtype="bool")),
        Example("permute behind permute", _unquantized_between(_PERMUTE, _PERMUTE)),
        Example("add with a quantized result", _graph("aten.add.Tensor", inputs=2, quantized=True)),
    )
    references = ("executorch #18999", "bug class 8 of the project's catalogue")

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        leaks = _leaks(view)
        islands = {island.anchor.name: island for island in view.islands}
        for node in view.calls():
            if node.name not in leaks or not node.annotated or not any(map(view.is_dq, view.graph.inputs(node))):
                continue
            if half_quantized(view, node) is not None:
                continue  # PL403's
            if node.name in islands and _is_stranded(view, islands[node.name]):
                continue
            chain = _chain(node, leaks)
            reader = leaks[chain[-1].name]
            # Who reads the codes is refused as well: it would be left with floats where its annotation promises codes.
            readers = [
                user
                for item in chain
                for user in view.users(item)
                if user.op == "call" and user.annotated and _reads_in_float(view, item, user, leaks)
            ]
            nodes = list({item.name: item for item in (*chain, *readers)}.values())
            case = self._worst_case(view, target, chain, leaks)
            if not target.has_float and case.startswith("checked") and self._strands(view, target, case, readers):
                case = "stranded"
            yield self.finding(view, target, nodes, case=case, node=node.name, reader=reader.name)

    def _worst_case(self, view: View, target: Target, chain: list[Node], leaks: dict[str, Node]) -> str:
        """That of the reader of the codes by which most is lost; a part of a split is as good as the split."""
        node = next((item for item in chain if not leaks[item.name].info.has(Trait.GETITEM)), chain[0])
        readers = [user for user in view.users(node) if _reads_in_float(view, node, user, leaks)]
        cases = list(dict.fromkeys(_case(node, reader) for reader in readers))
        ends = (Effect.CRASH, Effect.RUNTIME_FAULT, Effect.WRONG)
        told = {self.effects.look_up(case, target).effect: case for case in reversed(cases)}
        return next((told[effect] for effect in ends if effect in told), cases[0])

    def _strands(self, view: View, target: Target, case: str, readers: list[Node]) -> bool:
        """Whether the op itself stays on the CPU, and a reader is one that PL402 would find."""
        if self.effects.look_up(case, target).effect is not Effect.CPU_FALLBACK:
            return False
        return any(
            is_unchecked(reader)
            and any(map(view.is_dq, view.graph.inputs(reader)))
            and (target.release_in("<1.4") or has_company(view, reader, target))
            for reader in readers
        )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Annotated ops whose codes get into float only since who reads them is refused.

        Such are the first ops of an operator that the edge dialect makes several of: the permute of a linear's weight.
        """
        del target
        for node in view.calls():
            if node.name in refused or not node.annotated or not is_float(node) or node.info.has(_NOT_CODES):
                continue
            by = next((user for user in view.users(node) if user.name in refused and not view.is_q(user)), None)
            if by is not None:
                yield node, by

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Ends the chain in a Q where its values are codes already; else the op is left to compute in float."""
        del target
        chain = _chain(view.graph[finding.nodes[0]], _leaks(view))
        data = view.in_qp(chain[0], 0)
        if data is not None and not data.per_channel and all(stays_on_grid(node, data) for node in chain):
            readers = [user for user in view.users(chain[-1]) if not view.is_q(user)]
            return pair_behind(view, chain[-1], data, readers)
        return Rewrite(tuple(Unannotate(name) for name in finding.nodes))


@once_per_view
def _leaks(view: View) -> dict[str, Node]:
    """By name of an annotated op, a reader through which its codes get into float.

    The reader is the next annotated op of the chain, or the one that is given codes without their qparams. Ops that
    an edge program is decomposed into carry the annotation of the whole, with Q and DQ only at the ends.
    """
    leaks: dict[str, Node] = {}
    for node in reversed(list(view.calls())):
        if not _carries_codes(node) or node.info.has(_NOT_CODES):
            continue
        reader = next((user for user in view.users(node) if _reads_in_float(view, node, user, leaks)), None)
        if reader is not None:
            leaks[node.name] = reader
    return leaks


def _reads_in_float(view: View, node: Node, user: Node, leaks: dict[str, Node]) -> bool:
    if view.is_q(user) or (user.op == "call" and not user.outputs):
        return False  # a size is no use of the codes
    if not (user.op == "call" and (user.annotated or user.info.has(Trait.GETITEM))):
        return True
    return user.name in leaks or not _is_decomposition(view, node, user)


@once_per_view
def _uses(view: View) -> dict[str, tuple[bool, int]]:
    """By name of a node, whether a Q reads it, and how many kinds of ops do."""
    uses = {}
    for node in view.graph:
        readers = view.users(node)
        uses[node.name] = (any(map(view.is_q, readers)), len({reader.kind for reader in readers}))
    return uses


def _is_decomposition(view: View, node: Node, user: Node) -> bool:
    """Whether the two may be parts of one op, which has Q and DQ only at its ends.

    Only data movement is decomposed in edge programs, and what movement a linear or matmul has around it: everything
    that computes keeps its DQs and its Q (held against the edge programs of every op kind of the differential
    grammar, on 1.2.0 and 1.5.1).
    """
    if user.info.has(Trait.CONTROL_FLOW):
        return True
    moves = user.info.has(Trait.TRANSPARENT) and not is_checked(user) and user.kind not in _INDEXED
    if node.info.has(Trait.MAC):
        return user.info.has(Trait.TRANSPARENT)
    quantized, kinds = _uses(view)[node.name]
    if quantized and moves:
        return True  # the Q makes codes of the result, for this reader too
    if not node.info.has(Trait.TRANSPARENT) or node.info.has(Trait.ACTIVATION):
        return not is_float(node)
    if kinds > 1:
        return False  # two operators read it
    if user.kind == "matmul":
        # expand and view in front of both operands, or this one was left without its DQ
        return view.in_dq(user, 0) is None and view.in_dq(user, 1) is None
    return user.kind == "addmm" or moves


def _carries_codes(node: Node) -> bool:
    """Whether the node hands on codes where it is given some: annotated ops, and what picks one of their outputs."""
    return node.op == "call" and (node.annotated or node.info.has(Trait.GETITEM)) and is_float(node)


def _chain(node: Node, leaks: dict[str, Node]) -> list[Node]:
    """The node and the annotated ops behind it that see its codes in float."""
    chain = [node]
    while len(chain) < _LONGEST_CHAIN and leaks[chain[-1].name].name in leaks:
        chain.append(leaks[chain[-1].name])
    return chain


def _is_stranded(view: View, island: Island) -> bool:
    """Whether FU102 reports the anchor: several users, and no Q among them."""
    users = view.users(island.anchor)
    return len(users) > 1 and is_quantized_anchor(view, island) and not any(map(view.is_q, users))


def _case(node: Node, reader: Node) -> str:
    """What lowering does without output qparams, and whether the INT profile asks for them first."""
    needs = node.info.has(Trait.MAC | Trait.TABLE | Trait.ACTIVATION) or node.kind == "neg"
    checked = is_checked(node) and node.kind != "linear"
    if checked and node.info.has(Trait.TRANSPARENT) and not needs:
        return "checked-codes" if not reader.info.has(_COMPUTES) else "checked-qparams"
    if not needs and reader.op == "call" and reader.annotated:
        if not node.info.has(Trait.TRANSPARENT):
            return _behind_accumulator(reader, checked)
        if reader.kind == "conv":
            return "conv-reader"
        if reader.kind in _INDEXED:
            return "reader"
        if reader.info.has(Trait.TRANSPARENT):
            return "mover" if is_checked(reader) else "codes"
        return "checked-reader" if is_checked(reader) and reader.kind != "linear" else "reader"
    return ("checked-" if checked else "") + ("qparams" if needs else "codes")


def _behind_accumulator(reader: Node, checked: bool) -> str:
    """Of an op that computes in int32: what does not mind the dtype takes its accumulator for values."""
    if (reader.info.has(Trait.TRANSPARENT) and reader.kind not in _TYPED) or reader.kind in ("abs", "sum"):
        return "checked-raw" if checked else "raw"
    return "checked-qparams" if checked else "accumulator"
