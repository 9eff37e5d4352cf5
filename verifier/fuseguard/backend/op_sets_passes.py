"""Lists of operators in the passes of Arm's backend (backends/arm/_passes), and the lists of Q and DQ.

Read in ExecuTorch 1.2.0, 1.3.1, 1.4.0, 1.4.1, 1.5.0 and 1.5.1. An operator without a namespace is one of ``aten``.
"""

from __future__ import annotations

from fuseguard.backend.op_set import OpSet, ops

# --- how an op that is delegated is computed ----------------------------------------------------------------

TABLE_OPS = OpSet(
    "TableOps.included_ops()",
    "_passes/insert_table_ops.py",
    ops(
        "acos.default acosh.default asin.default asinh.default atan.default atanh.default ceil.default cos.default "
        "cosh.default elu.default erf.default erfinv.default exp.default expm1.default floor.default gelu.default "
        "hardsigmoid.default hardswish.default log.default log1p.default pow.Tensor_Scalar reciprocal.default "
        "rsqrt.default sigmoid.default silu.default sin.default sinh.default tan.default tanh.default",
        {">=1.3": "log10.default remainder.Scalar", ">=1.4": "leaky_relu.default round.default"},
    ),
)
_RESCALES = "_passes/insert_rescales_pass.py"
_COMPARISONS = "eq.Tensor ge.Tensor gt.Tensor le.Tensor lt.Tensor"
INT32_OPS = OpSet(
    "InsertRescaleInt32Pass.included_targets",
    _RESCALES,
    ops(f"abs.default add.Tensor {_COMPARISONS} maximum.default minimum.default mul.Tensor sub.Tensor sum.dim_IntList"),
)
#: This and the next three say what the pass computes for each of its targets.
INT32_AT_SMALLEST_SCALE = OpSet(
    "InsertRescaleInt32Pass._get_inputs_rescaled_qparams(smallest scale)",
    _RESCALES,
    ops(f"abs.default {_COMPARISONS} maximum.default minimum.default"),
)
INT32_AT_TWICE_LARGEST_SCALE = OpSet(
    "InsertRescaleInt32Pass._get_inputs_rescaled_qparams(twice the largest scale)",
    _RESCALES,
    ops("add.Tensor sub.Tensor"),
)
INT32_AT_OWN_SCALES = OpSet(
    "InsertRescaleInt32Pass._get_inputs_rescaled_qparams(own scales)", _RESCALES, ops("mul.Tensor sum.dim_IntList")
)
INT32_COMPARISONS = OpSet("InsertRescaleInt32Pass._get_output_qparams(no result)", _RESCALES, ops(_COMPARISONS))

_ONLY = "quantized_decomposed."
QUANTIZE = OpSet(
    "Q_OPS",
    "constants.py",
    ops(f"{_ONLY}quantize_per_channel.default {_ONLY}quantize_per_tensor.default {_ONLY}quantize_per_tensor.tensor"),
)
DEQUANTIZE = OpSet(
    "DQ_OPS", "constants.py", ops(" ".join(op.replace(".quantize", ".dequantize") for op in QUANTIZE.ops))
)
CONSTANTS = OpSet(
    "ComputeConstantOpsAOTPass.targeted_ops",
    "_passes/fuse_constant_ops_pass.py",
    ops("arange.start_step eye.default full.default linspace.default scalar_tensor.default"),
)
_FOLD = "_passes/fold_qdq_with_annotated_qparams_pass.py"
#: Folded without an annotation, along with CONSTANTS.
ALWAYS_FOLDED = OpSet("FoldAndAnnotateQParamsPass.is_foldable", _FOLD, ops("full_like.default"))
#: Q and DQ stay around these if one operand alone is quantized (#21589, #22559).
KEPT_IF_HALF_QUANTIZED = OpSet(
    "FoldAndAnnotateQParamsPass._default_partial_binary_qdq_targets", _FOLD, ops("add.Tensor sub.Tensor"), ">=1.5"
)
#: The same with float support, or for VGF.
KEPT_IF_HALF_QUANTIZED_WITH_FP = OpSet(
    "FoldAndAnnotateQParamsPass._mixed_profile_partial_binary_qdq_targets",
    _FOLD,
    ops(
        f"add.Tensor bmm.default div.Tensor {_COMPARISONS} grid_sampler_2d.default maximum.default minimum.default "
        "mm.default mul.Tensor sub.Tensor"
    ),
    ">=1.5",
)
_FUSE_ACTIVATION = "_passes/fuse_quantized_activation_pass.py"
FUSED_ANCHORS = OpSet(
    "FuseQuantizedActivationPass._is_fuseable_input", _FUSE_ACTIVATION, ops("convolution.default linear.default")
)
FUSED_ACTIVATIONS = OpSet(
    "FuseQuantizedActivationPass._is_fuseable_quantized_activation",
    _FUSE_ACTIVATION,
    ops("hardtanh.default relu.default"),
)
MADE_CLAMPS = OpSet("edge_operators", "_passes/convert_to_clamp_pass.py", ops("hardtanh.default relu.default"))
#: Operands of two dtypes are cast to one.
CAST_TO_ONE_DTYPE = OpSet(
    "MatchArgDtypePass.target_ops",
    "_passes/match_arg_dtype_pass.py",
    ops("sub.Tensor where.self"),
    formerly="targeted_ops",
)
#: A multiplication by a number is folded into these (#20838).
FOLD_A_FACTOR = OpSet(
    "FoldScalarMulIntoConvPass._CONV_OPS",
    "_passes/fold_scalar_mul_into_conv_pass.py",
    ops("conv2d.default convolution.default"),
    ">=1.4",
)
NEVER_MERGED = OpSet(
    "TOSA_EXCLUDED_TARGETS", "_passes/fuse_duplicate_users_pass.py", ops("tosa.RESCALE.default"), ">=1.5"
)

# --- where views and permutes are moved ---------------------------------------------------------------------

#: Computed in NHWC, with a permute on either side.
NHWC_CONVS = OpSet(
    "ConvolutionSupported.targets",
    "operator_support/convolution_support.py",
    ops("convolution.default", {">=1.4": "conv_transpose2d.input"}),
)
NHWC_MAX_POOLS = OpSet(
    "RewriteMaxPool2dPass.target_ops", "_passes/rewrite_max_pool2d_pass.py", ops("max_pool2d.default"), ">=1.4"
)
NHWC_AVERAGE_POOLS = OpSet(
    "RewriteAvgPool2dPass.target_ops",
    "_passes/rewrite_avg_pool2d_pass.py",
    ops("avg_pool2d.default"),
    ">=1.3",
    formerly="targeted_ops",
)
NHWC_ADAPTIVE_POOLS = OpSet(
    "RewriteAdaptiveAvgPool2dPass.target_ops",
    "_passes/rewrite_adaptive_avg_pool2d.py",
    ops("_adaptive_avg_pool2d.default"),
    ">=1.4",
)
NHWC_RESIZES = OpSet(
    "RewriteUpsamplePass.targeted_ops",
    "_passes/rewrite_upsample.py",
    ops("upsample_bilinear2d.vec upsample_nearest2d.vec"),
)
_PROPAGATE = "_passes/propagate_view_copy_permute_pass.py"
MOVED = OpSet(
    "PropagateViewCopyPermuteUpPass._TARGETS",
    _PROPAGATE,
    ops("permute_copy.default view.default view_copy.default"),
    ">=1.4",
)
#: What is moved passes these, and their dimensions are changed.
PASSED_WITH_NEW_ARGUMENTS = OpSet(
    "PropagateViewCopyPermuteUpPass._ARG_UPDATE_TARGETS",
    _PROPAGATE,
    ops("mean.dim slice_copy.Tensor", {"<1.5": "sum.dim_IntList"}),
    ">=1.4",
)
PASSED_REDUCTIONS = OpSet(
    "PropagateViewCopyPermuteUpPass._REDUCTION_TARGETS",
    _PROPAGATE,
    ops("mean.dim", {"<1.5": "sum.dim_IntList"}),
    ">=1.4",
)
#: What is moved passes these as they are, since torch tags them as pointwise. It also passes TABLE, which TABLE_OPS are
#: by then.
PASSED_ELEMENTWISE = OpSet(
    "PropagateViewCopyPermuteUpPass.is_elementwise(node)",
    _PROPAGATE,
    ops(
        "__lshift__.Scalar __rshift__.Scalar abs.default acos.default acosh.default add.Tensor asin.default "
        "asinh.default atan.default atanh.default bitwise_and.Scalar bitwise_and.Tensor bitwise_left_shift.Tensor "
        "bitwise_not.default bitwise_or.Scalar bitwise_or.Tensor bitwise_right_shift.Tensor bitwise_xor.Scalar "
        "bitwise_xor.Tensor ceil.default celu.default clamp.Tensor clamp.default cos.default cosh.default "
        "div.Tensor_mode elu.default eq.Scalar eq.Tensor erf.default erfinv.default exp.default expm1.default "
        "floor.default ge.Scalar ge.Tensor gelu.default gt.Scalar gt.Tensor hardsigmoid.default hardtanh.default "
        "le.Scalar le.Tensor leaky_relu.default log.default log10.default log1p.default logical_and.default "
        "logical_not.default logical_or.default logical_xor.default lt.Scalar lt.Tensor masked_fill.Scalar "
        "maximum.default minimum.default mul.Tensor neg.default pow.Tensor_Scalar pow.Tensor_Tensor "
        "reciprocal.default relu.default remainder.Scalar remainder.Tensor round.default rsqrt.default selu.default "
        "sigmoid.default sign.default silu.default sin.default sinh.default sub.Tensor tan.default tanh.default "
        "where.self dim_order_ops._clone_dim_order.default dim_order_ops._to_dim_order_copy.default"
    ),
    ">=1.4",
)
#: Permutes that cancel out are removed across these.
PERMUTES_REMOVED_AROUND = OpSet(
    "RemovePermutesAroundElementwiseTosaOps()._permutable_ops",
    "_passes/remove_permutes_around_elementwise_tosa_ops.py",
    ops(
        "add.Tensor cat.default clamp.default hardtanh.default mean.dim mul.Tensor slice_copy.Tensor sub.Tensor "
        f"sum.dim_IntList {_ONLY}dequantize_per_tensor.default {_ONLY}quantize_per_tensor.default "
        "tosa.RESCALE.default tosa.TABLE.default",
        {">=1.5": "constant_pad_nd.default pad.default"},
        TABLE_OPS.ops,
    ),
    ">=1.3",
)
#: A view or permute that all operands have in common is moved after the op.
IDENTICAL_INPUTS_MOVED_AFTER = OpSet(
    "FuseIdenticalInputTransformsPass.target_ops",
    "_passes/fuse_identical_input_transforms_pass.py",
    ops(
        "add.Tensor bitwise_and.Tensor bitwise_left_shift.Tensor bitwise_or.Tensor bitwise_right_shift.Tensor "
        f"bitwise_xor.Tensor cat.default concatenate.default div.Tensor {_COMPARISONS} mul.Tensor ne.Tensor "
        "remainder.Tensor sub.Tensor",
        {">=1.5": "where.self"},
    ),
    ">=1.4",
)
