"""DT507: uint8 at the boundary of a program, for a release without uint8 support."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.backend.quantized_values import boundaries
from fuseguard.backend.releases import RESCALES_UINT8
from fuseguard.engine import Effect, EffectRow, EffectsTable, Finding, Rule
from fuseguard.engine.late_examples import ExamplesOf
from fuseguard.ir import View
from fuseguard.target import Target

examples = ExamplesOf("fuseguard_rules.examples.dtype.dt507")


class Uint8Boundary(Rule):
    code = "DT507"
    name = "uint8-boundary-unsupported"
    summary = "The program takes or yields uint8 codes, which the backend before 1.3 cannot lower."
    why = (
        "From 1.3 on, the backend carries uint8 as flags on the RESCALE between a program's uint8 inputs and outputs "
        "and the int8 codes after them. Before 1.3, RESCALE and the serializer support only int8, int16 and int32. The "
        "program is not at fault, so the rule reports nothing for releases that lower it."
    )
    remedy = (
        "Upgrade ExecuTorch to 1.3 or newer, or give the program int8 inputs and outputs. The guard cannot help: "
        "whatever it keeps on the CPU, the uint8 values still enter and leave delegates."
    )
    scope = "boundary"
    message = "{value} is uint8 at the boundary of the program, which ExecuTorch {release} does not lower"
    effects = EffectsTable(
        [
            EffectRow("*", "<1.3", "*", Effect.CRASH, reference="TOSA RESCALE and serializer: Unsupported type: uint8"),
            EffectRow("*", ">=1.3", "*", Effect.EXACT, reference="InsertRescalePass: output_unsigned"),
        ]
    )
    bad = examples.BAD
    good = examples.GOOD
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        if RESCALES_UINT8.in_force(target):
            return
        for boundary in boundaries(view):
            first = boundary.quantizers[0]
            source = view.producer(first)
            if boundary.qparams.dtype != "uint8" or boundary.constant:
                continue
            if view.is_q(first) and source is not None and not view.is_dq(source):
                continue  # quantized from a float: DT504's
            if not boundary.ops:
                yield self.finding(
                    view,
                    target,
                    boundary.nodes,
                    case="*",
                    qparams=((boundary.label, str(boundary.qparams)),),
                    value=boundary.label,
                    release=target.release,
                )
