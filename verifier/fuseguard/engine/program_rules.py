"""The PG codes: findings about a program as a whole, and about what is visible of a lowering that was done already.

They say what the rules cannot: that there is nothing to check, that another quantizer made the program, or that a part
of it could not be judged. Like the SU codes they have neither effects tables nor examples.
"""

from __future__ import annotations

from fuseguard.engine.finding import Effect, Severity
from fuseguard.engine.housekeeping import HousekeepingRule

NOTHING_QUANTIZED = HousekeepingRule(
    code="PG801",
    name="nothing-quantized",
    summary="The program has no quantize and no dequantize op.",
    why=(
        "The rules are about quantized programs, so there was nothing to check. A gate that is green on a float "
        "program says nothing. With --require-quantized this is an error."
    ),
    remedy=(
        "Quantize the program with Arm's quantizer (prepare_pt2e, calibration, convert_pt2e), export it and check "
        "that, or leave the file out of the check."
    ),
    message="{program} is not quantized: it has no quantize or dequantize op",
    scope="program",
    effect=Effect.UNJUDGED,
)

OBSERVERS_LEFT = HousekeepingRule(
    code="PG802",
    name="observers-left",
    summary="The program has observers or fake-quantize ops in the place of quantize and dequantize ops.",
    why=(
        "It was saved between prepare_pt2e and convert_pt2e. The backend knows no observers, and what the rules check "
        "is not there yet. With --require-quantized this is an error."
    ),
    remedy="Calibrate the program, call convert_pt2e on it, export the result and check that.",
    message="{program} has {count}, as of {example}: it was prepared and not converted",
    scope="program",
    effect=Effect.UNJUDGED,
)

FOREIGN_QUANTIZER = HousekeepingRule(
    code="PG803",
    name="foreign-quantizer",
    summary="No op of a quantized program bears the mark of Arm's quantizer.",
    why=(
        "The backend takes an op for quantized if its meta says so (_arm_annotation_info), and not by the ops around "
        "it. Another quantizer, such as XNNPACK's, does not write that mark. This is told once in the place of PL404 "
        "for each op. With --require-quantized this is an error."
    ),
    remedy="Quantize the model with the backend's own quantizer (TOSAQuantizer, VgfQuantizer, EthosUQuantizer).",
    message="{program} was quantized, but not by Arm's quantizer: none of its {count} has its mark",
    scope="program",
    effect=Effect.UNJUDGED,
)

DELEGATE_NOT_JUDGED = HousekeepingRule(
    code="PG804",
    name="delegate-not-judged",
    summary="A delegate of a lowered program is not of Arm's backend or could not be read.",
    why=(
        "The program was lowered already, and what it computes is inside of its delegates. Those of other backends "
        "are not known here. A program is not clean because a part of it was not looked at."
    ),
    remedy=(
        "Check the program as it was before lowering (torch.export.save after convert_pt2e), or one that was lowered "
        "by Arm's partitioners alone."
    ),
    message="the delegate {delegate} was not judged: {reason}",
    scope="program",
    severity=Severity.ERROR,
    effect=Effect.UNJUDGED,
)

ANOTHER_TARGET = HousekeepingRule(
    code="PG805",
    name="lowered-for-another-target",
    summary="A delegate was lowered for another TOSA specification than the one that is checked for.",
    why=(
        "The findings say what the backend would do for the target of the check. The delegate exists, and was made "
        "for what its compile specification says."
    ),
    remedy=(
        "Check with the target that the delegate was lowered for (--target), or lower the program for the target that "
        "you mean."
    ),
    message="the delegate {delegate} was lowered for {spec}, and is checked for {target}",
    scope="program",
    effect=Effect.UNJUDGED,
)

TOSA_VERSION_DIFFERS = HousekeepingRule(
    code="PG806",
    name="tosa-version-differs",
    summary="The version of a delegate's TOSA flatbuffer is not the one that the delegate was lowered for.",
    why=(
        "A runtime, or a compiler such as Vela, takes what follows from the version of the flatbuffer itself. It may "
        "refuse a newer one, or take its operators for others."
    ),
    remedy="Lower the program again, with the serializer that comes with this release of ExecuTorch.",
    message="the flatbuffer of {delegate} has TOSA version {found}, and the delegate was lowered for {spec}",
    scope="program",
    severity=Severity.ERROR,
    effect=Effect.RUNTIME_FAULT,
)

ACTIVATION_LOST = HousekeepingRule(
    code="PG807",
    name="activation-lost-in-tosa",
    summary="The TOSA of a delegate lets values through that the program's activation cuts off.",
    why=(
        "A fused activation has to be in the TOSA: as a CLAMP, or as the saturation of the RESCALE where the bound is "
        "the first or last code. Neither is there, so the delegate computes without the activation. This was read "
        "in the finished file and does not depend on the release that is checked for."
    ),
    remedy="Repair the program (fuseguard repair) or guard its lowering, and lower it again; do not ship this file.",
    message=(
        "{activation} ends at {bound:g}, which is code {code}, but {tensor} in the TOSA of {delegate} reaches code "
        "{limit}: no CLAMP follows it"
    ),
    scope="program",
    severity=Severity.ERROR,
    effect=Effect.WRONG,
)

OUTPUTS_MERGED = HousekeepingRule(
    code="PG808",
    name="outputs-merged-in-tosa",
    summary="Two outputs of a delegate with different qparams are one tensor in its TOSA.",
    why=(
        "The backend merges ops that look alike (FuseDuplicateUsersPass), also where their results are quantized in "
        "different ways. Whoever reads the second output then takes the codes of the first for its own. This was read "
        "in the finished file and does not depend on the release that is checked for."
    ),
    remedy="Repair the program (fuseguard repair) or guard its lowering, and lower it again; do not ship this file.",
    message="{first} and {second} have different qparams, and are both {tensor} in the TOSA of {delegate}",
    scope="program",
    severity=Severity.ERROR,
    effect=Effect.WRONG,
)

#: Sorted by code.
PROGRAM_RULES: tuple[HousekeepingRule, ...] = (
    NOTHING_QUANTIZED, OBSERVERS_LEFT, FOREIGN_QUANTIZER, DELEGATE_NOT_JUDGED, ANOTHER_TARGET, TOSA_VERSION_DIFFERS,
    ACTIVATION_LOST, OUTPUTS_MERGED,
)  # fmt: skip
#: What --require-quantized makes an error.
REQUIRED = (NOTHING_QUANTIZED.code, OBSERVERS_LEFT.code, FOREIGN_QUANTIZER.code)
