"""Which operators the partitioner of Arm's backend takes (backends/arm/operator_support, backends/arm/tosa).

Read in ExecuTorch 1.2.0, 1.3.1, 1.4.0, 1.4.1, 1.5.0 and 1.5.1. An operator without a namespace is one of ``aten``.
"""

from __future__ import annotations

from fuseguard.backend.op_set import OpSet, ops
from fuseguard.backend.op_sets_passes import TABLE_OPS

_PROFILES = "operator_support/tosa_profile_supported_op_lists.py"
_CHECKS = "operator_support/tosa_supported_operators.py"
_U55 = "operator_support/ethos_u55_support.py"

#: What the lists of both profiles have, on the same releases.
_BOTH = ops(
    "__lshift__.Scalar _adaptive_avg_pool2d.default abs.default acos.default acosh.default add.Tensor "
    "alias_copy.default amax.default amin.default any.default any.dim any.dims arange.start_step asin.default "
    "asinh.default atan.default atanh.default bitwise_left_shift.Tensor bmm.default cat.default ceil.default "
    "clamp.Tensor clamp.default constant_pad_nd.default copy.default cos.default cosh.default cumsum.default "
    "detach_copy.default elu.default eq.Scalar eq.Tensor erf.default erfinv.default exp.default "
    "expand_copy.default expm1.default eye.default floor.default full.default full_like.default ge.Scalar "
    "ge.Tensor gelu.default gt.Scalar gt.Tensor hardsigmoid.default hardswish.default hardtanh.default le.Scalar "
    "le.Tensor linear.default linspace.default log.default log1p.default logical_and.default logical_not.default "
    "logical_or.default logical_xor.default lt.Scalar lt.Tensor masked_fill.Scalar maximum.default mean.dim "
    "minimum.default mm.default mul.Tensor neg.default operator.getitem permute_copy.default pow.Tensor_Scalar "
    "pow.Tensor_Tensor reciprocal.default relu.default remainder.Tensor repeat.default rsqrt.default "
    "scalar_tensor.default select_copy.int sigmoid.default sign.default sin.default sinh.default "
    "split_copy.Tensor split_with_sizes_copy.default squeeze_copy.dims sub.Tensor tan.default tanh.default "
    "unsqueeze_copy.default view_copy.default",
    {
        "<1.3": "index_put.default upsample_bilinear2d.vec upsample_nearest2d.vec",
        ">=1.3": "celu.default pad.default selu.default",
        ">=1.4": "argmax.default flip.default",
    },
)
#: What is delegated if it is quantized; before 1.4 with and without float support.
ON_INT = OpSet(
    "TOSA_PRO_INT_SupportList",
    _PROFILES,
    ops(
        "bitwise_and.Scalar bitwise_and.Tensor bitwise_not.default bitwise_or.Scalar bitwise_or.Tensor "
        "bitwise_xor.Scalar bitwise_xor.Tensor quantized_decomposed.dequantize_per_channel.default "
        "quantized_decomposed.dequantize_per_tensor.default quantized_decomposed.quantize_per_channel.default "
        "quantized_decomposed.quantize_per_tensor.default silu.default",
        {
            ">=1.3": "log10.default remainder.Scalar",
            ">=1.4": "div.Tensor_mode leaky_relu.default round.default",
        },
        _BOTH,
    ),
)
#: What is delegated if it is quantized, with float support. Ops that left ON_INT earlier were never on it.
ON_INT_WITH_FP = OpSet(
    "TOSA_PRO_MIXED_INT_SupportList",
    _PROFILES,
    ops("slice_scatter.default", {}, {op: releases for op, releases in ON_INT.ops.items() if releases != "<1.3"}),
    ">=1.4",
)
#: What is delegated if it is not quantized.
ON_FP = OpSet(
    "TOSA_PRO_FP_SupportList",
    _PROFILES,
    ops(
        "_log_softmax.default _native_batch_norm_legit_no_training.default _softmax.default add.Scalar addmm.default "
        "div.Scalar div.Tensor div.Tensor_mode floor_divide.default glu.default leaky_relu.default logit.default "
        "mean.default mul.Scalar native_group_norm.default native_layer_norm.default ne.Scalar ne.Tensor "
        "remainder.Scalar round.default slice_scatter.default sqrt.default sub.Scalar var.correction var.dim",
        {">=1.5": "prod.dim_int"},
        _BOTH,
    ),
)
#: What has a check of its own, which looks at its arguments. That of prod rejects it without float support.
REGISTERED_CHECKS = OpSet(
    "get_registered_tosa_support_checks(TOSA-1.0+INT)",
    _CHECKS,
    ops(
        "__rshift__.Scalar as_strided_copy.default avg_pool2d.default bitwise_and.Scalar bitwise_and.Tensor "
        "bitwise_not.default bitwise_or.Scalar bitwise_or.Tensor bitwise_right_shift.Tensor bitwise_xor.Scalar "
        "bitwise_xor.Tensor convolution.default embedding.default gather.default index.Tensor index_select.default "
        "max_pool2d.default max_pool2d_with_indices.default slice_copy.Tensor sum.dim_IntList unfold_copy.default "
        "where.self dim_order_ops._clone_dim_order.default dim_order_ops._to_dim_order_copy.default",
        {
            ">=1.3": "index_put.default upsample_bilinear2d.vec upsample_nearest2d.vec",
            ">=1.4": "conv_transpose2d.input",
            ">=1.5": "prod.dim_int",
        },
    ),
)
#: The same with float support, which every other specification with FP has as well.
REGISTERED_CHECKS_WITH_FP = OpSet(
    "get_registered_tosa_support_checks(TOSA-1.0+INT+FP)", _CHECKS, ops("max.dim min.dim", {}, REGISTERED_CHECKS.ops)
)
CONTROL_FLOW = OpSet(
    "ControlFlowOpSupported._targeted_ops",
    "operator_support/control_flow_support.py",
    ops("higher_order.cond higher_order.while_loop"),
)
#: Without float support these stay on the CPU unless every input is a DQ, or integers, and every user a Q.
PROPERLY_QUANTIZED = OpSet(
    "CheckProperQuantization.targeted_ops",
    _CHECKS,
    ops(
        "add.Tensor avg_pool2d.default bmm.default convolution.default full.default full_like.default "
        "hardtanh.default linear.default max_pool2d_with_indices.default mean.dim mm.default mul.Tensor neg.default "
        "relu.default scalar_tensor.default sub.Tensor upsample_bilinear2d.vec upsample_nearest2d.vec",
        {},
        TABLE_OPS.ops,
    ),
)
#: A partition of these, Q and DQ alone is not delegated. All but the view, the clone and the copies have to be no-ops.
WITHOUT_COMPUTE = OpSet(
    "TOSAPartitioner._tag_module",
    "tosa/partitioner.py",
    ops(
        "alias_copy.default expand_copy.default view_copy.default dim_order_ops._clone_dim_order.default "
        "dim_order_ops._to_dim_order_copy.default",
        {
            ">=1.3": "as_strided_copy.default detach_copy.default squeeze_copy.dims",
            ">=1.4": "flip.default",
            ">=1.5": "permute_copy.default",
        },
    ),
)
#: ``grid_sampler_2d`` is listed without an overload, as a packet, which equals the target of no node.
NOT_ON_U55 = OpSet(
    "EthosU55NotSupported.unsupported_ops",
    _U55,
    ops(
        "any.default any.dim any.dims bitwise_and.Scalar bitwise_and.Tensor bitwise_not.default bitwise_or.Scalar "
        "bitwise_or.Tensor bitwise_xor.Scalar bitwise_xor.Tensor conv3d.default conv3d.padding eq.Scalar eq.Tensor "
        "gather.default ge.Scalar ge.Tensor grid_sampler_2d gt.Scalar gt.Tensor index.Tensor index_put.default "
        "index_select.default le.Scalar le.Tensor logical_and.default logical_not.default logical_or.default "
        "logical_xor.default lt.Scalar lt.Tensor ne.Scalar ne.Tensor scatter.src scatter.value scatter_add.default "
        "scatter_reduce.two select_scatter.default upsample_bilinear2d.vec where.self",
        {
            "<1.3": "amin.default",
            "<1.5": (
                "flip.default reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default "
                "unfold_copy.default upsample_nearest2d.vec"
            ),
        },
    ),
)
ON_U55_UP_TO_32_BITS = OpSet(
    "EthosU55DtypeSupport.targeted_ops_i8_i16_i32",
    _U55,
    ops(
        "cat.default constant_pad_nd.default expand_copy.default permute.default permute_copy.default repeat.default "
        "view.default"
    ),
)
ON_U55_UP_TO_16_BITS = OpSet(
    "EthosU55DtypeSupport.target_ops_i8_i16", _U55, ops("amax.default amin.default", {}, TABLE_OPS.ops)
)
