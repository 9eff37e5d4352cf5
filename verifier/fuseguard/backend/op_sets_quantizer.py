"""Which operators Arm's quantizer annotates, and which of them share qparams (backends/arm/quantizer).

Read in ExecuTorch 1.2.0, 1.3.1, 1.4.0, 1.4.1, 1.5.0 and 1.5.1. An operator without a namespace is one of ``aten``.
"""

from __future__ import annotations

from fuseguard.backend.op_set import OpSet, ops

_ANNOTATOR = "quantizer/quantization_annotator.py"
_SHARED = "quantizer/arm_quantizer_utils.py"

#: One set of qparams for all inputs and outputs of connected ops of these.
SHARED_QSPEC = OpSet(
    "SharedQspecQuantizer.SHARED_QSPEC_OPS_DEFAULT",
    _SHARED,
    ops(
        "_unsafe_view.default alias.default alias_copy.default amax.default amin.default as_strided_copy.default "
        "cat.default chunk.default clamp.Tensor clamp.default clone.default concatenate.default "
        "constant_pad_nd.default contiguous.default copy_.default detach_.default detach_copy.default "
        "dropout.default dropout_.default eq.Scalar eq.Tensor expand.default expand_copy.default flatten.using_ints "
        "flip.default gather.default ge.Scalar ge.Tensor gt.Scalar gt.Tensor hardtanh.default hardtanh_.default "
        "index.Tensor index_put.default index_select.default le.Scalar le.Tensor lift_fresh_copy.default lt.Scalar "
        "lt.Tensor max.dim maximum.default min.dim minimum.default ne.Scalar ne.Tensor pad.default permute.default "
        "permute_copy.default pixel_shuffle.default pixel_unshuffle.default relu.default relu_.default "
        "repeat.default repeat_interleave.self_int reshape.default select.int select_copy.int slice.Tensor "
        "slice_copy.Tensor split.Tensor split_copy.Tensor split_with_sizes.default squeeze.default squeeze.dim "
        "squeeze.dims squeeze_.dim squeeze_copy.default squeeze_copy.dim stack.default t.default t_copy.default "
        "tile.default transpose.int transpose_copy.int unbind.int unflatten.int unfold_copy.default "
        "unsqueeze.default unsqueeze_copy.default view.default view_as.default view_copy.default where.default "
        "where.self higher_order.cond higher_order.while_loop operator.getitem",
        {">=1.4": "index_copy.default index_copy_.default index_put_.default", ">=1.5": "concat.default"},
    ),
    ">=1.3",
)
#: Connected ops of SHARED_QSPEC with one of these stay in float where they touch uint8 inputs or outputs of the model.
UINT8_BRIDGES = OpSet(
    "SharedQspecQuantizer._UINT8_IO_BRIDGE_OPS",
    _SHARED,
    ops("cat.default concatenate.default pixel_shuffle.default slice.Tensor stack.default"),
    ">=1.4",
)
#: Input and output have qparams of their own.
ONE_TO_ONE = OpSet(
    "_one_to_one",
    _ANNOTATOR,
    ops(
        "abs.default acosh.default asinh.default atan.default ceil.default cos.default cosh.default cumsum.default "
        "elu.default erf.default erfinv.default exp.default expm1.default floor.default full_like.default "
        "gelu.default hardsigmoid.default hardswish.default hardswish_.default log.default log1p.default "
        "pow.Tensor_Scalar reciprocal.default rsqrt.default sigmoid.default sign.default silu.default sin.default "
        "sinh.default sum.default sum.dim_IntList tan.default tanh.default zeros_like.default",
        {
            "<1.3": "acos.default asin.default atanh.default",
            ">=1.3": "celu.default log10.default remainder.Scalar selu.default",
            ">=1.4": "leaky_relu.default leaky_relu_.default round.default",
            ">=1.5": "silu_.default",
        },
    ),
)
#: The input has qparams of its own, which the output shares.
ONE_TO_ONE_SHARING = OpSet(
    "_one_to_one_shared_input_qspec",
    _ANNOTATOR,
    ops(
        "_unsafe_view.default amax.default amin.default as_strided_copy.default chunk.default clamp.Tensor "
        "clamp.default contiguous.default detach_copy.default expand.default expand_copy.default flip.default "
        "gather.default index.Tensor index_select.default neg.default pad.default repeat.default "
        "repeat_interleave.self_int reshape.default select.int select_copy.int slice.Tensor slice_copy.Tensor "
        "split.Tensor split_copy.Tensor split_with_sizes.default squeeze.default squeeze.dim squeeze.dims "
        "squeeze_.dim squeeze_copy.default squeeze_copy.dim t_copy.default tile.default transpose.int "
        "transpose_copy.int unbind.int unflatten.int unfold_copy.default unsqueeze.default unsqueeze_copy.default "
        "upsample_bilinear2d.vec upsample_nearest2d.vec view.default view_as.default view_copy.default",
        {"<1.4": "transpose.Dimname", ">=1.4": "moveaxis.int moveaxis.intlist movedim.int movedim.intlist"},
    ),
)
#: The input has the qparams of the op in front, if that is annotated, and the output shares them.
ONE_TO_ONE_INHERITING = OpSet(
    "_one_to_one_shared_input_or_input_act_qspec",
    _ANNOTATOR,
    ops(
        "adaptive_avg_pool2d.default alias.default alias_copy.default avg_pool2d.default clone.default "
        "dropout.default dropout_.default flatten.using_ints hardtanh.default hardtanh_.default max_pool2d.default "
        "mean.default mean.dim permute.default permute_copy.default pixel_shuffle.default pixel_unshuffle.default "
        "relu.default relu_.default",
        {"<1.5": "silu_.default"},
    ),
)
CONVS = OpSet(
    "_conv_ops",
    _ANNOTATOR,
    ops("conv1d.default conv2d.default conv2d.padding conv3d.default conv3d.padding conv_transpose2d.input"),
)
#: The input has fixed qparams.
FIXED_INPUT = OpSet(
    "_fixed_input_qspec_ops",
    _ANNOTATOR,
    ops("acos.default asin.default atanh.default", {">=1.4": "grid_sampler.default"}),
    ">=1.3",
)
