"""PL401: the backend treats an op as quantized, but its result is used in float."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.fused_activation import is_quantized_anchor
from fuseguard.backend.leaked_codes import NOT_CODES, chain_after, leak_case, leaking_readers, reads_in_float
from fuseguard.backend.partition import leaves_dqs_behind
from fuseguard.backend.quantized_operands import half_quantized, is_float, is_mixed_put, is_unchecked
from fuseguard.backend.rewrites import pair_after, stays_on_grid
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rewrite, Rule, Unannotate
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import Island, Node, Trait, View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.placement.pl401")

_CODES = "FoldAndAnnotateQParamsPass removes the DQ and nothing dequantizes the result"
_CHECKED = "CheckProperQuantization"
_PRODUCT = "the Q and DQ of bmm are kept without a Q after it, #21589, and the Q of what moves its floats is folded"
_NO_QPARAMS = "No output quantization parameter found, or an integer CLAMP or lookup table without one"
_READER = "the op after it gets no input qparams"
_STRANDED = "the reader is de-tagged for its float operand, and the DQ of its other one stays"
_RAW = "the int32 accumulator goes on as it is"
_WEIGHT = "the linear is decomposed, and its transposed weight delegated on its own"


class MissingOutputQ(Rule):
    code = "PL401"
    name = "missing-output-quantize"
    summary = "An op annotated as quantized has dequantized inputs, but its result is used in float."
    why = (
        "FoldAndAnnotateQParamsPass assumes 'one Q node to the output' of every annotated op. It folds the DQs of the "
        "inputs into the op, which then works on codes. Without a Q, nothing turns these codes back into values. If a "
        "pass needs the output qparams, lowering crashes (convolutions, lookup tables, clamps). Otherwise, the "
        "delegate yields int8 or int32 where the program expects float. The INT profile leaves the ops that "
        "CheckProperQuantization lists on the CPU. permute, cat, maximum, abs and the like are not on that list."
    )
    remedy = (
        "Quantize the op's output (with a configuration that has an output_activation, or with a Q/DQ pair after the "
        "op), leave the op unannotated, or let fuseguard keep it on the CPU (guard)."
    )
    scope = "cluster"
    message = "{node} has dequantized inputs and no quantize op after it; {reader} reads its result in float"
    effects = EffectsTable(
        [
            EffectRow("checked-codes", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-codes", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_CODES),
            EffectRow("codes", "*", "*", Effect.RUNTIME_FAULT, reference=_CODES),
            EffectRow("checked-qparams", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("checked-qparams", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("qparams", "*", "INT", Effect.CRASH, reference=_WEIGHT),
            EffectRow("qparams", "*", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("product", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("product", ">=1.4", "INT+FP", Effect.WRONG, reference=_PRODUCT),
            EffectRow("product", "<1.4", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("wide product", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("wide product", ">=1.4", "INT+FP", Effect.RUNTIME_FAULT, reference=_PRODUCT),
            EffectRow("wide product", "<1.4", "INT+FP", Effect.CRASH, reference=_NO_QPARAMS),
            EffectRow("read product", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("read product", "*", "INT+FP", Effect.CRASH, reference=_PRODUCT),
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
    bad = examples.BAD
    good = examples.GOOD
    references = ("executorch #18999",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        leaks = leaking_readers(view)
        for node in view.calls():
            if node.name not in leaks or not node.annotated or not any(map(view.is_dq, view.graph.inputs(node))):
                continue
            if half_quantized(view, node) is not None:
                continue  # PL403's
            island = view.island_of(node)
            if island is not None and _is_stranded(view, island):
                continue
            chain = chain_after(node, leaks)
            if any(is_mixed_put(view, item) for item in chain):
                continue  # PL402's
            reader = leaks[chain[-1].name]
            # Readers of the codes are refused as well: they would get floats where their annotation promises codes.
            readers = [
                user
                for item in chain
                for user in view.users(item)
                if user.op == "call" and user.annotated and reads_in_float(view, item, user, leaks)
            ]
            nodes = list({item.name: item for item in (*chain, *readers)}.values())
            case = self._worst_case(view, target, chain, leaks)
            if not target.has_float and case.startswith("checked") and self._strands(view, target, case, readers):
                case = "stranded"
            yield self.finding(view, target, nodes, case=case, node=node.name, reader=reader.name)

    def _worst_case(self, view: View, target: Target, chain: list[Node], leaks: dict[str, Node]) -> str:
        """The case of the reader with the worst effect; a part of a split counts as the split."""
        node = next((item for item in chain if not leaks[item.name].info.has(Trait.GETITEM)), chain[0])
        readers = [user for user in view.users(node) if reads_in_float(view, node, user, leaks)]
        cases = list(dict.fromkeys(leak_case(view, node, reader) for reader in readers))
        ends = (Effect.CRASH, Effect.RUNTIME_FAULT, Effect.WRONG)
        told = {self.effects.look_up(case, target).effect: case for case in reversed(cases)}
        return next((told[effect] for effect in ends if effect in told), cases[0])

    def _strands(self, view: View, target: Target, case: str, readers: list[Node]) -> bool:
        """Whether the op itself stays on the CPU, and PL402 would report a reader."""
        if self.effects.look_up(case, target).effect is not Effect.CPU_FALLBACK:
            return False
        return any(
            is_unchecked(reader)
            and any(map(view.is_dq, view.graph.inputs(reader)))
            and leaves_dqs_behind(view, reader, target)
            for reader in readers
        )

    def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
        """Annotated ops whose codes get into float only because their reader is refused.

        An example is the first of several ops that the edge dialect makes from one: the permute of a linear's weight.
        """
        del target
        off = set(refused)  # and what was found here, so that one pass follows a whole chain
        read = {item.name for name in refused for item in view.graph.inputs(view.graph[name])}
        for node in reversed(view.calls()):
            if node.name not in read or node.name in refused:
                continue
            if not node.annotated or not is_float(node) or node.info.has(NOT_CODES):
                continue
            by = next((user for user in view.users(node) if user.name in off and not view.is_q(user)), None)
            if by is not None:
                off.add(node.name)
                read.update([item.name for item in view.graph.inputs(node)])
                yield node, by

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """End the chain in a Q if its values are codes already; otherwise leave the op to compute in float."""
        del target
        chain = chain_after(view.graph[finding.nodes[0]], leaking_readers(view))
        data = view.in_qp(chain[0], 0)
        if data is not None and data.usable and all(stays_on_grid(node, data) for node in chain):
            readers = [user for user in view.users(chain[-1]) if not view.is_q(user)]
            return pair_after(view, chain[-1], data, readers)
        return Rewrite(tuple(Unannotate(name) for name in finding.nodes))


def _is_stranded(view: View, island: Island) -> bool:
    """Whether FU102 reports the anchor: several users, and no Q among them."""
    users = view.users(island.anchor)
    return len(users) > 1 and is_quantized_anchor(view, island) and not any(map(view.is_q, users))
