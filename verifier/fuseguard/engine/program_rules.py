"""The PG codes: findings about a program as a whole, and about what a finished lowering shows.

They say what the rules cannot: that there is nothing to check, that another quantizer made the program, or that part of
it could not be checked. Like the SU codes, they have neither effects tables nor examples.
"""

from __future__ import annotations

from fuseguard.engine.finding import Effect, Severity
from fuseguard.engine.housekeeping import HousekeepingRule

NOTHING_QUANTIZED = HousekeepingRule(
    code="PG801",
    name="nothing-quantized",
    summary="The program has no quantize or dequantize op.",
    why=(
        "The rules are about quantized programs, so there was nothing to check. A gate that passes a float program "
        "says nothing. With --require-quantized, this is an error."
    ),
    remedy=(
        "Quantize the program with Arm's quantizer (prepare_pt2e, calibration, convert_pt2e), export it and check the "
        "result, or leave the file out of the check."
    ),
    message="{program} is not quantized: it has no quantize or dequantize op",
    scope="program",
    effect=Effect.UNJUDGED,
)

OBSERVERS_LEFT = HousekeepingRule(
    code="PG802",
    name="observers-left",
    summary="The program has observers or fake-quantize ops instead of quantize and dequantize ops.",
    why=(
        "The program was saved between prepare_pt2e and convert_pt2e. The backend does not support observers, and "
        "what the rules check does not exist yet. With --require-quantized, this is an error."
    ),
    remedy="Calibrate the program, call convert_pt2e on it, export the result and check it.",
    message="{program} has {count}, such as {example}: it was prepared but not converted",
    scope="program",
    effect=Effect.UNJUDGED,
)

FOREIGN_QUANTIZER = HousekeepingRule(
    code="PG803",
    name="foreign-quantizer",
    summary="No op of a quantized program has the annotation of Arm's quantizer.",
    why=(
        "The backend treats an op as quantized if its meta says so (_arm_annotation_info), not because of the ops "
        "around it. Another quantizer, such as XNNPACK's, does not write this annotation. This one finding replaces a "
        "PL404 finding for each op. With --require-quantized, this is an error."
    ),
    remedy="Quantize the model with the backend's own quantizer (TOSAQuantizer, VgfQuantizer, EthosUQuantizer).",
    message="{program} was quantized, but not by Arm's quantizer: none of its {count} has Arm's annotation",
    scope="program",
    effect=Effect.UNJUDGED,
)

DELEGATE_NOT_JUDGED = HousekeepingRule(
    code="PG804",
    name="delegate-not-judged",
    summary="A delegate of a lowered program is not from Arm's backend or could not be read.",
    why=(
        "The program is already lowered, so what it computes is inside its delegates. fuseguard does not know the "
        "delegates of other backends. A program is not clean just because part of it was not checked."
    ),
    remedy=(
        "Check the program as it was before lowering (torch.export.save after convert_pt2e), or one that only Arm's "
        "partitioners have lowered."
    ),
    message="the delegate {delegate} was not checked: {reason}",
    scope="program",
    severity=Severity.ERROR,
    effect=Effect.UNJUDGED,
)

ANOTHER_TARGET = HousekeepingRule(
    code="PG805",
    name="lowered-for-another-target",
    summary="A delegate was lowered for a TOSA specification other than the one that is checked for.",
    why=(
        "The findings say what the backend would do for the target of the check. The delegate exists already, and was "
        "made for the target in its compile specification."
    ),
    remedy=(
        "Check for the target that the delegate was lowered for (--target), or lower the program for the intended "
        "target."
    ),
    message="the delegate {delegate} was lowered for {spec}, but is checked for {target}",
    scope="program",
    effect=Effect.UNJUDGED,
)

TOSA_VERSION_DIFFERS = HousekeepingRule(
    code="PG806",
    name="tosa-version-differs",
    summary="A delegate's TOSA flatbuffer has another version than the one that the delegate was lowered for.",
    why=(
        "A runtime, or a compiler such as Vela, relies on the version in the flatbuffer. It may refuse a newer "
        "version or misread its operators."
    ),
    remedy="Lower the program again with the serializer that comes with this release of ExecuTorch.",
    message="the flatbuffer of {delegate} has TOSA version {found}, but the delegate was lowered for {spec}",
    scope="program",
    severity=Severity.ERROR,
    effect=Effect.RUNTIME_FAULT,
)

ACTIVATION_LOST = HousekeepingRule(
    code="PG807",
    name="activation-lost-in-tosa",
    summary="The TOSA of a delegate passes values that the program's activation cuts off.",
    why=(
        "A fused activation has to be in the TOSA: as a CLAMP, or as the saturation of the RESCALE if the bound is "
        "the first or last code. Neither is there, so the delegate computes without the activation. This finding "
        "comes from the finished file and does not depend on the release that is checked for."
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
        "The backend merges ops that look alike (FuseDuplicateUsersPass), even if their results are quantized "
        "differently. Readers of the second output then get the codes of the first. This finding comes from the "
        "finished file and does not depend on the release that is checked for."
    ),
    remedy="Repair the program (fuseguard repair) or guard its lowering, and lower it again; do not ship this file.",
    message="{first} and {second} have different qparams, but are both {tensor} in the TOSA of {delegate}",
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
