"""OP726: a grid_sample that a VGF runs in a shader that writes zeros, or that it has no shader for."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.rewrite_grid_sampler import KINDS, is_grid_sample, shader_fault
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.operator.op726")

_CPU = "VgfPartitioner registers no custom op"
_CONVERTER = "model-converter 0.9.0 refuses the TOSA CUSTOM op"
_INT = "tosa.CUSTOM and its float operands in the INT profile"
_ZEROS = "vgf/shaders/grid_sampler.glsl"
_RAISES = "RewriteGridSamplerToTosaCustomPass"
_SHADERS = ("1.5.0", "1.5.1")


class GridSampleShaderUnfinished(Rule):
    code = "OP726"
    name = "grid-sample-shader-unfinished"
    summary = "A VGF runs a grid_sample in a shader that writes zeros, or has no shader for it."
    why = (
        "VgfPartitioner takes every grid_sample of two-dimensional images. Its shaders sample one image (a batch of 1) "
        "of 3 or 4 channels, bilinear or nearest, in float, or in int8 with the scale 1/127 and the zero point 0. Any "
        "other float or int16 grid_sample gets the shader grid_sampler.glsl, which is a placeholder: it writes 0.0 to "
        "each element of the result. There is no warning. Any other int8 grid_sample raises. ExecuTorch 1.4 asks for a "
        "model-converter that refuses all of these shaders. The TOSA reference model runs none of them."
    )
    remedy = (
        "Let fuseguard keep the op on the CPU (guard); all grid_sample ops of the program then stay there, because "
        "the partitioner takes an operator everywhere or nowhere. Or write the model so that it samples images one "
        "by one, in groups of 3 or 4 channels, bilinear or nearest, in float or int8."
    )
    scope = "node"
    message = "{op} samples {what}, and the VGF's shader {does}"
    accelerator = "vgf"
    effects = EffectsTable(
        [
            EffectRow(
                "*", "<1.4", "*", Effect.CPU_FALLBACK, reference=_CPU, engine="vgf", measured_on=("1.2.0", "1.3.1")
            ),
            EffectRow(
                "*", ">=1.4,<1.5", "*", Effect.CRASH, reference=_CONVERTER, engine="vgf", measured_on=("1.4.0", "1.4.1")
            ),
            EffectRow("*", "*", "INT", Effect.CRASH, reference=_INT, engine="vgf", measured_on=("1.5.1",)),
            EffectRow("int8", "*", "*", Effect.CRASH, reference=_RAISES, engine="vgf", measured_on=_SHADERS),
            EffectRow("*", "*", "*", Effect.WRONG, reference=_ZEROS, engine="vgf", measured_on=_SHADERS),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    references = ("found by this project's VGF engine",)

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if target.accelerator != self.accelerator:
            return
        for node in view.of_kind(*KINDS):
            case = shader_fault(view, node, target) if is_grid_sample(view, node) else ""
            if case:
                yield self.finding(view, target, (node,), case=case, op=node.name, what=_WHAT[case], does=_DOES[case])


_WHAT = {
    "zeros": "more than one image of 3 or 4 channels, or not bilinear or nearest in float",
    "int8": "int8 codes that no shader is for",
    "sampler": "an image",
}
_DOES = {
    "zeros": "for that writes zeros",
    "int8": "cannot be made",
    "sampler": "is refused by this release's model-converter",
}
