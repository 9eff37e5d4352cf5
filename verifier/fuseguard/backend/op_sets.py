"""The lists of operators that Arm's backend keeps, each with the symbol that it mirrors, release by release.

Compared with ExecuTorch 1.2.0, 1.3.1, 1.4.0, 1.4.1, 1.5.0 and 1.5.1, and with whatever is installed, by
tests/releases/test_op_sets.py. ``EXCEPTIONS`` names the project's own sets of op kinds that model these lists, and
every kind in which such a set differs, with the reason; tests/backend/test_op_set_exceptions.py accepts no other
difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fuseguard.backend import op_sets_passes, op_sets_quantizer, op_sets_support
from fuseguard.backend.op_set import Mirror, OpSet, entered, why
from fuseguard.backend.op_sets_passes import (
    ALWAYS_FOLDED,
    CAST_TO_ONE_DTYPE,
    CONSTANTS,
    DEQUANTIZE,
    FOLD_A_FACTOR,
    FUSED_ACTIVATIONS,
    FUSED_ANCHORS,
    IDENTICAL_INPUTS_MOVED_AFTER,
    INT32_AT_OWN_SCALES,
    INT32_AT_SMALLEST_SCALE,
    INT32_AT_TWICE_LARGEST_SCALE,
    INT32_COMPARISONS,
    INT32_OPS,
    KEPT_IF_HALF_QUANTIZED,
    KEPT_IF_HALF_QUANTIZED_WITH_FP,
    MADE_CLAMPS,
    MOVED,
    NEVER_MERGED,
    NHWC_ADAPTIVE_POOLS,
    NHWC_AVERAGE_POOLS,
    NHWC_CONVS,
    NHWC_MAX_POOLS,
    NHWC_RESIZES,
    PASSED_ELEMENTWISE,
    PASSED_REDUCTIONS,
    PASSED_WITH_NEW_ARGUMENTS,
    PERMUTES_REMOVED_AROUND,
    QUANTIZE,
    TABLE_OPS,
)
from fuseguard.backend.op_sets_quantizer import (
    CONVS,
    FIXED_INPUT,
    ONE_TO_ONE,
    ONE_TO_ONE_INHERITING,
    ONE_TO_ONE_SHARING,
    SHARED_QSPEC,
    UINT8_BRIDGES,
)
from fuseguard.backend.op_sets_support import (
    CONTROL_FLOW,
    NOT_ON_U55,
    ON_FP,
    ON_INT,
    ON_INT_WITH_FP,
    ON_U55_UP_TO_16_BITS,
    ON_U55_UP_TO_32_BITS,
    PROPERLY_QUANTIZED,
    REGISTERED_CHECKS,
    REGISTERED_CHECKS_WITH_FP,
    WITHOUT_COMPUTE,
)

#: Every list by name.
LISTS: Mapping[str, OpSet] = MappingProxyType(
    {
        name: value
        for module in (op_sets_passes, op_sets_support, op_sets_quantizer)
        for name, value in vars(module).items()
        if isinstance(value, OpSet)
    }
)

_ON_CPU = (
    "it is in ON_FP alone, so that an annotated one stays on the CPU in INT and in INT+FP (judged: 1.2.0 to 1.5.1): "
    "proper_quantization.is_unlisted, lookup_table.has_table; Arm's quantizer decomposes it before it annotates"
)
_SIGN = (
    "DecomposeSignPass decomposes a quantized one, and lowering crashes at TOSA's GREATER in INT and in INT+FP "
    "(judged: 1.2.0 to 1.5.1): integer_forms, DT514, has_table; Arm's quantizer decomposes it before it annotates"
)
_DECOMPOSED_BY_TORCH = "the edge dialect has it as ops that are on the lists"
_FLOAT_ONLY = "it is in ON_FP alone, and Arm's quantizer decomposes it before it annotates, or does not annotate it"
_OTHER_SPELLING = "what ATen, or the edge dialect, calls an op that is on the lists by its other name"
_NOT_IN_THE_OP_TABLE = "fuseguard.ir.ops does not have it, and no rule says anything of it"
_DIV = "Arm's quantizer decomposes it before it annotates (DecomposeDivPass, DecomposeDivTensorModePass)"
_TENSOR_BOUNDS = "DecomposeTOSAUnsupportedClampPass makes maximum and minimum of it, before qparams are folded"
_IN_INT32 = "computed in int32 (INT32_OPS): its codes do not pass through"
_NO_FLOATS = "it yields integers or booleans, and the rules ask where floats are computed"

#: By name, the project's sets that model lists of the backend. Where each is: tests/backend/test_op_set_exceptions.py.
EXCEPTIONS: Mapping[str, Mirror] = MappingProxyType(
    {
        "UNARY": Mirror((TABLE_OPS,), more=why({_ON_CPU: "logit sqrt", _SIGN: "sign"})),
        "LOOKUP_FUNCTIONS": Mirror(
            (TABLE_OPS,),
            more=why({"see UNARY": "sign sqrt"}),
            less=why({"Python's math has no inverse of erf": "erfinv"}),
        ),
        "ARITHMETIC": Mirror((INT32_OPS,), more=why({_ON_CPU: "ne", _TENSOR_BOUNDS: "clamp_tensor"})),
        "INT32_TARGETS": Mirror((INT32_OPS,)),
        "INT32_SUMS": Mirror((INT32_AT_TWICE_LARGEST_SCALE,)),
        "INT32_PICKS_AND_COMPARISONS": Mirror((INT32_AT_SMALLEST_SCALE,)),
        "INT32_COMPARISONS": Mirror((INT32_COMPARISONS,)),
        "BROUGHT_TO_ONE_SCALE": Mirror(
            (INT32_AT_SMALLEST_SCALE,), less=why({"its one operand keeps its own scale": "abs"})
        ),
        "UNCHECKED": Mirror(
            (INT32_AT_SMALLEST_SCALE,),
            more=why({_TENSOR_BOUNDS: "clamp_tensor", "it reads a list of tensors, of one domain": "cat stack"}),
            less=why({"it reads one tensor": "abs"}),
        ),
        "QUANTIZE": Mirror((QUANTIZE,)),
        "DEQUANTIZE": Mirror((DEQUANTIZE,)),
        "CONTROL_FLOW": Mirror((CONTROL_FLOW,)),
        "CONSTANT": Mirror(
            (CONSTANTS, ALWAYS_FOLDED),
            less=why({"open: they make a tensor from nothing, too; partition._FURTHER has them": "eye linspace"}),
        ),
        "ACTIVATION": Mirror((MADE_CLAMPS,), more=why({"what ConvertToClampPass makes of the others": "clamp"})),
        "AVERAGES": Mirror((NHWC_AVERAGE_POOLS, NHWC_ADAPTIVE_POOLS)),
        "MAX_POOLS": Mirror((NHWC_MAX_POOLS,), more=why({_OTHER_SPELLING: "max_pool2d_with_indices"})),
        "CHANNELS_LAST": Mirror(
            (NHWC_CONVS, NHWC_MAX_POOLS, NHWC_AVERAGE_POOLS, NHWC_ADAPTIVE_POOLS, NHWC_RESIZES),
            more=why({_OTHER_SPELLING: "max_pool2d_with_indices"}),
        ),
        "REDUCTIONS_PASSED_ON_1.4": Mirror((PASSED_REDUCTIONS,), release="1.4.1"),
        "ELEMENTWISE": Mirror(
            (PASSED_ELEMENTWISE, TABLE_OPS),
            more=why({"see UNARY and ARITHMETIC": "logit ne sqrt"}),
            less=why(
                {
                    "not judged: it has operands besides the tensor": "masked_fill where",
                    "Arm's quantizer makes elu of it before it annotates (ConvertEluFamilyToEluPass)": "celu selu",
                    _DIV: "div",
                    _NO_FLOATS: (
                        "__lshift__ __rshift__ bitwise_and bitwise_left_shift bitwise_not bitwise_or "
                        "bitwise_right_shift bitwise_xor logical_and logical_not logical_or logical_xor"
                    ),
                }
            ),
        ),
        "CHECKED": Mirror((PROPERLY_QUANTIZED,), more=why({_OTHER_SPELLING: "max_pool2d"})),
        "WITHOUT_COMPUTE": Mirror(
            (WITHOUT_COMPUTE,),
            more=why({"it computes nothing, and its partition is that of what it takes a part of": "getitem"}),
            less=why(
                {
                    "only where it changes nothing: partition.computes_nothing": "expand flip permute squeeze",
                    _NOT_IN_THE_OP_TABLE: "as_strided_copy",
                }
            ),
        ),
        "KNOWN": Mirror(
            (ON_INT, ON_INT_WITH_FP, REGISTERED_CHECKS, CONTROL_FLOW),
            more=why(
                {
                    _ON_CPU: "logit ne sqrt",
                    _FLOAT_ONLY: (
                        "addmm batch_norm floor_divide glu layer_norm log_softmax native_group_norm softmax var"
                    ),
                    _OTHER_SPELLING: "_to_copy as_strided group_norm to",
                    _DECOMPOSED_BY_TORCH: "pixel_shuffle pixel_unshuffle square stack unbind",
                    "index_support.py: the edge dialect makes an index_select of it, with an int64 index": "roll",
                    "a part of the program that is lowered already": "executorch_call_delegate",
                }
            ),
            less=why(
                {
                    _NO_FLOATS: (
                        "__lshift__ __rshift__ argmax bitwise_and bitwise_left_shift bitwise_not bitwise_or "
                        "bitwise_right_shift bitwise_xor logical_and logical_not logical_or logical_xor"
                    ),
                    "Arm's quantizer decomposes it before it annotates (DecomposeEmbeddingPass)": "embedding",
                }
            ),
        ),
        #: Not the kinds themselves but those that ``entered`` finds among the known ones.
        "SINCE": Mirror(
            (ON_INT, ON_INT_WITH_FP, REGISTERED_CHECKS),
            less=why(
                {
                    "proper_quantization.is_unlisted has these: an annotated one stays on the CPU before that (judged: "
                    "1.2.0, 1.3.1)": "leaky_relu log10 round",
                    "before that, the edge dialect makes elu or expm1 of it": "celu selu",
                    _DIV: "div",
                    "Arm's quantizer decomposes it before it annotates (DecomposeSliceScatterPass)": "slice_scatter",
                }
            ),
        ),
        "TRANSPARENT": Mirror(
            (SHARED_QSPEC, ONE_TO_ONE_SHARING, ONE_TO_ONE_INHERITING),
            more=why(
                {
                    _OTHER_SPELLING: "max_pool2d_with_indices",
                    "Arm's quantizer makes a where of it before it annotates (DecomposeMaskedFillPass)": "masked_fill",
                    _DECOMPOSED_BY_TORCH: "roll",
                }
            ),
            less=why(
                {
                    _IN_INT32: "clamp_tensor eq ge gt le lt maximum minimum ne",
                    "computed: a sum and a multiplication (DecomposeMeanDimPass)": "mean",
                    "Arm's quantizer makes amax and amin of it before it annotates (ConvertMinMaxPass)": "max min",
                    "its in-place form alone is on the list, before 1.5; a lookup table yields other codes": "silu",
                    "its bodies decide: see backend/control_flow.py": "cond while_loop",
                    _NOT_IN_THE_OP_TABLE: "as_strided_copy copy index_copy",
                }
            ),
        ),
    }
)

__all__ = [
    "ALWAYS_FOLDED", "CAST_TO_ONE_DTYPE", "CONSTANTS", "CONTROL_FLOW", "CONVS", "DEQUANTIZE", "EXCEPTIONS",
    "FIXED_INPUT", "FOLD_A_FACTOR", "FUSED_ACTIVATIONS", "FUSED_ANCHORS", "IDENTICAL_INPUTS_MOVED_AFTER",
    "INT32_AT_OWN_SCALES", "INT32_AT_SMALLEST_SCALE", "INT32_AT_TWICE_LARGEST_SCALE", "INT32_COMPARISONS", "INT32_OPS",
    "KEPT_IF_HALF_QUANTIZED", "KEPT_IF_HALF_QUANTIZED_WITH_FP", "LISTS", "MADE_CLAMPS", "MOVED", "Mirror",
    "NEVER_MERGED", "NHWC_ADAPTIVE_POOLS", "NHWC_AVERAGE_POOLS", "NHWC_CONVS", "NHWC_MAX_POOLS", "NHWC_RESIZES",
    "NOT_ON_U55", "ONE_TO_ONE", "ONE_TO_ONE_INHERITING", "ONE_TO_ONE_SHARING", "ON_FP", "ON_INT", "ON_INT_WITH_FP",
    "ON_U55_UP_TO_16_BITS", "ON_U55_UP_TO_32_BITS", "OpSet", "PASSED_ELEMENTWISE", "PASSED_REDUCTIONS",
    "PASSED_WITH_NEW_ARGUMENTS", "PERMUTES_REMOVED_AROUND", "PROPERLY_QUANTIZED", "QUANTIZE", "SHARED_QSPEC",
    "TABLE_OPS", "UINT8_BRIDGES", "WITHOUT_COMPUTE", "REGISTERED_CHECKS", "REGISTERED_CHECKS_WITH_FP", "entered",
]  # fmt: skip
