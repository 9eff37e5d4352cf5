"""DT514: an op is annotated as quantized, and the backend has no integer arithmetic for it."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.integer_forms import computed_with_codes
from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Finding, Rewrite, Rule, Unannotate
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt514")

_CODES = "FoldAndAnnotateQParamsPass folds the DQ; no lookup table and no RESCALE follows"
_PARTS = "the parts of the op are annotated, and there is no Q or DQ between them"
_CHECKED = "CheckProperQuantization"
_READ = Evidence.SOURCE_READ  # the guarded lowering of these fails, so that they are no examples
_PLACES = "the index of each place is computed in float, from a constant that INT does not have"

#: What float arithmetic computes to the bit, on the accelerator or off it.
_EXACT_IN_FLOAT = frozenset(("sign", "compared", "windows", "bools"))


class NoIntegerForm(Rule):
    code = "DT514"
    name = "no-integer-form"
    summary = "An op is annotated as quantized, but the backend has integer arithmetic only for what it is made of."
    why = (
        "The partitioner takes sign, comparisons with a number, floor division, remainder, a power of two tensors, "
        "unfold and logical ops if they are annotated, because its INT list has them. FoldAndAnnotateQParamsPass then "
        "removes their dequantize ops. But no pass makes a lookup table of them or puts rescales around them, so that "
        "what they are decomposed into computes with the codes, as if these were the values. TOSA has no operator for "
        "that, and lowering crashes. The same holds for mean from 1.3 on. The edge dialect makes several ops of "
        "others, such as softplus, mish, glu, logsumexp, prelu, rms_norm and the losses. It annotates all of them, "
        "but puts neither a Q nor a DQ between them. With float support, the first ones compute with codes, and the "
        "others with what these yield: lowering crashes, or the result is silently wrong. The INT profile leaves most "
        "of them on the CPU, but takes the slices of a glu, say. A division that truncates lowers to INTDIV, and add "
        "and sub with alpha to a product of codes: the result is silently wrong or undefined. Arm's quantizer "
        "decomposes these ops before it annotates. They are annotated in programs of another tool, or in those of an "
        "older release."
    )
    remedy = (
        "Have Arm's quantizer annotate the program: prepare_pt2e decomposes these ops first. Leave the op unannotated, "
        "or let fuseguard keep it on the CPU (guard)."
    )
    scope = "node"
    message = "{node} is annotated as quantized, but the backend has no integer form of {form}"
    effects = EffectsTable(
        [
            EffectRow("product", "*", "INT", Effect.CPU_FALLBACK, reference="ProductSupported"),
            EffectRow("parts", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("parts", "*", "INT+FP", Effect.CRASH, reference=_PARTS),
            EffectRow("compared parts", ">=1.4", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("mixed parts", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("mixed parts", "*", "INT+FP", Effect.WRONG, reference=_PARTS),
            EffectRow("summed parts", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("summed parts", ">=1.5", "INT+FP", Effect.WRONG, reference=_PARTS),
            EffectRow("yielded parts", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("yielded parts", "*", "INT+FP", Effect.RUNTIME_FAULT, reference=_PARTS),
            EffectRow("cut parts", "*", "INT", Effect.RUNTIME_FAULT, reference=_PARTS),
            EffectRow("moved parts", "*", "*", Effect.RUNTIME_FAULT, reference=_PARTS),
            EffectRow("raw parts", "*", "INT", Effect.RUNTIME_FAULT, reference=_PARTS),
            EffectRow("raw parts", "*", "INT+FP", Effect.WRONG, reference=_PARTS),
            EffectRow("viewed parts", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("viewed parts", "<1.4", "INT+FP", Effect.RUNTIME_FAULT, reference=_PARTS),
            EffectRow("multiplied parts", ">=1.5", "INT", Effect.CPU_FALLBACK, _READ, reference=_CHECKED),
            EffectRow("multiplied parts", "*", "INT", Effect.RUNTIME_FAULT, _READ, reference=_PARTS),
            EffectRow("placed parts", "*", "INT", Effect.CRASH, _READ, reference=_PLACES),
            EffectRow("placed parts", "*", "INT+FP", Effect.EXACT, _READ, reference="float support has the index"),
            EffectRow("joined parts", "<1.3", "*", Effect.CRASH, reference="its cat: Input qparams do not match"),
            EffectRow("joined parts", "*", "*", Effect.WRONG, reference=_PARTS),
            EffectRow("unscaled parts", "*", "*", Effect.WRONG, reference=_PARTS),
            EffectRow("scattered parts", "<1.4", "INT+FP", Effect.EXACT, reference="no list has slice_scatter"),
            EffectRow("scattered parts", "*", "INT", Effect.CPU_FALLBACK, reference=_CHECKED),
            EffectRow("scattered parts", "*", "INT+FP", Effect.WRONG, reference=_PARTS),
            EffectRow("truncated", "*", "*", Effect.WRONG, reference="TOSA INTDIV of codes"),
            EffectRow("sum", "*", "*", Effect.WRONG, reference="DecomposeAddSubAlphaPass multiplies codes"),
            EffectRow("difference", "*", "*", Effect.UNDEFINED, reference="DecomposeAddSubAlphaPass multiplies codes"),
            EffectRow("*", "*", "*", Effect.CRASH, reference=_CODES),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for found in computed_with_codes(view, target):
            yield self.finding(view, target, (found.node,), case=found.case, node=found.node.name, form=found.form)

    def repair(self, view: View, target: Target, finding: Finding) -> Rewrite | None:
        """Make what float computes to the bit compute in float, as the program says."""
        del view, target
        return Rewrite(tuple(map(Unannotate, finding.nodes))) if finding.case in _EXACT_IN_FLOAT else None
