"""Which ATen operators the edge dialect rejects, and which others become one of them (exir/verification/verifier.py).

The first two were computed with ExecuTorch 1.5.1 and 1.2.0, both with torch 2.13, whose tags and decompositions decide.
The third one is the file's own. tests/releases/test_edge_rejections.py compares them with what is installed. An
operator without a namespace is one of ``aten``.

Left out is what an exported program for inference cannot have: ops for training, for another device, for tensors that
are sparse, nested or quantized in torch's former way, ops that are in place or write to an ``out``, and assertions.
"""

from __future__ import annotations

from collections.abc import Mapping

from fuseguard.backend.op_set import OpSet, ops, pairs

#: Neither core ATen nor a copying view nor an exception of the verifier, and nothing decomposes it.
REJECTED = OpSet(
    "EXIRATenDialectVerifier.check_valid_op",
    "../../exir/verification/verifier.py",
    ops(
        "__lshift__.Scalar __lshift__.Tensor __rshift__.Scalar __rshift__.Tensor _add_relu.Scalar _add_relu.Tensor "
        "_addmm_activation.default _aminmax.default _aminmax.dim _cholesky_solve_helper.default "
        "_compute_linear_combination.default _conv_depthwise2d.default _convolution.default _ctc_loss.Tensor "
        "_ctc_loss.default _dyn_quant_matmul_4bit.default _dyn_quant_pack_4bit_weight.default "
        "_embedding_bag_forward_only.default _fft_c2c.default _histogramdd_bin_edges.default "
        "_histogramdd_from_bin_cts.default _histogramdd_from_bin_tensors.default _index_put_impl.default "
        "_int_mm.default _is_all_true.default _is_any_true.default _linalg_det.default _linalg_eigh.default "
        "_linalg_eigvals.default _linalg_slogdet.default _linalg_solve_ex.default _linalg_svd.default "
        "_logcumsumexp.default _masked_softmax.default _slow_conv2d_forward.default _stack.default "
        "_trilinear.default _unique.default _unique2.default _upsample_bicubic2d_aa.default "
        "_upsample_lanczos2d_aa.default adaptive_max_pool2d.default adaptive_max_pool3d.default addbmm.default "
        "addmm.dtype addmv.default angle.default as_strided_scatter.default bartlett_window.default "
        "bartlett_window.periodic bernoulli.Tensor bernoulli.p bincount.default binomial.default "
        "bitwise_and.Scalar_Tensor bitwise_left_shift.Scalar_Tensor bitwise_left_shift.Tensor "
        "bitwise_left_shift.Tensor_Scalar bitwise_or.Scalar_Tensor bitwise_right_shift.Scalar_Tensor "
        "bitwise_right_shift.Tensor bitwise_right_shift.Tensor_Scalar bitwise_xor.Scalar_Tensor "
        "blackman_window.default blackman_window.periodic bmm.dtype bucketize.Scalar bucketize.Tensor "
        "cholesky.default cholesky_inverse.default cholesky_solve.default complex.default conv_depthwise3d.default "
        "conv_tbc.default copysign.Scalar copysign.Tensor cummax.default cummin.default cumprod.default "
        "diagonal_scatter.default digamma.default dist.default empty_permuted.default erfc.default erfinv.default "
        "exp2.default fft_fftfreq.default fft_rfftfreq.default fmax.default fmin.default "
        "fractional_max_pool2d.default fractional_max_pool3d.default frexp.Tensor gcd.default geqrf.default "
        "grid_sampler_3d.default hamming_window.default hamming_window.periodic hamming_window.periodic_alpha "
        "hamming_window.periodic_alpha_beta hash_tensor.default histc.default histogram.bin_ct "
        "histogram.bins_tensor hypot.default i0.default igamma.default igammac.default index_reduce.default "
        "kaiser_window.beta kaiser_window.default kaiser_window.periodic kthvalue.default lcm.default ldexp.Tensor "
        "lgamma.default linalg__powsum.default linalg_cholesky_ex.default linalg_eig.default "
        "linalg_householder_product.default linalg_inv_ex.default linalg_ldl_factor_ex.default "
        "linalg_ldl_solve.default linalg_lstsq.default linalg_lu.default linalg_lu_factor_ex.default "
        "linalg_lu_solve.default linalg_matrix_exp.default linalg_pinv.atol_rtol_tensor linalg_qr.default "
        "linalg_solve_triangular.default logcumsumexp.default lu_unpack.default masked_select.default "
        "median.default median.dim mm.dtype mode.default multinomial.default nanmedian.default nanmedian.dim "
        "native_batch_norm.default native_norm.ScalarOpt_dim_dtype native_norm.default new_empty_strided.default "
        "nextafter.default nonzero_static.default normal.Tensor_Tensor normal.Tensor_float normal.float_Tensor "
        "normal.float_float ormqr.default poisson.default polar.default polygamma.default put.default "
        "rand_like.default randint.default randint.low randint_like.Tensor randint_like.default "
        "randint_like.low_dtype randn_like.default range.default range.step remainder.Scalar_Tensor "
        "repeat_interleave.Tensor round.decimals scatter.reduce scatter.value_reduce searchsorted.Scalar "
        "searchsorted.Tensor segment_reduce.default signbit.default slow_conv3d_forward.default "
        "slow_conv_dilated2d.default slow_conv_dilated3d.default slow_conv_transpose2d.default "
        "slow_conv_transpose3d.default sort.stable special_airy_ai.default special_bessel_j0.default "
        "special_bessel_j1.default special_bessel_y0.default special_bessel_y1.default "
        "special_chebyshev_polynomial_t.default special_chebyshev_polynomial_t.n_scalar "
        "special_chebyshev_polynomial_t.x_scalar special_chebyshev_polynomial_u.default "
        "special_chebyshev_polynomial_u.n_scalar special_chebyshev_polynomial_u.x_scalar "
        "special_chebyshev_polynomial_v.default special_chebyshev_polynomial_v.n_scalar "
        "special_chebyshev_polynomial_v.x_scalar special_chebyshev_polynomial_w.default "
        "special_chebyshev_polynomial_w.n_scalar special_chebyshev_polynomial_w.x_scalar special_erfcx.default "
        "special_hermite_polynomial_h.default special_hermite_polynomial_h.n_scalar "
        "special_hermite_polynomial_h.x_scalar special_hermite_polynomial_he.default "
        "special_hermite_polynomial_he.n_scalar special_hermite_polynomial_he.x_scalar special_i0e.default "
        "special_i1.default special_i1e.default special_laguerre_polynomial_l.default "
        "special_laguerre_polynomial_l.n_scalar special_laguerre_polynomial_l.x_scalar "
        "special_legendre_polynomial_p.default special_legendre_polynomial_p.n_scalar "
        "special_legendre_polynomial_p.x_scalar special_modified_bessel_i0.default "
        "special_modified_bessel_i1.default special_modified_bessel_k0.default special_modified_bessel_k1.default "
        "special_ndtri.default special_scaled_modified_bessel_k0.default special_scaled_modified_bessel_k1.default "
        "special_shifted_chebyshev_polynomial_t.default special_shifted_chebyshev_polynomial_t.n_scalar "
        "special_shifted_chebyshev_polynomial_t.x_scalar special_shifted_chebyshev_polynomial_u.default "
        "special_shifted_chebyshev_polynomial_u.n_scalar special_shifted_chebyshev_polynomial_u.x_scalar "
        "special_shifted_chebyshev_polynomial_v.default special_shifted_chebyshev_polynomial_v.n_scalar "
        "special_shifted_chebyshev_polynomial_v.x_scalar special_shifted_chebyshev_polynomial_w.default "
        "special_shifted_chebyshev_polynomial_w.n_scalar special_shifted_chebyshev_polynomial_w.x_scalar "
        "special_spherical_bessel_j0.default special_zeta.default special_zeta.other_scalar "
        "special_zeta.self_scalar triangular_solve.default tril_indices.default triu_indices.default "
        "unique_consecutive.default unique_dim.default unique_dim_consecutive.default upsample_bicubic2d.default "
        "upsample_bilinear2d.default upsample_trilinear3d.default var_mean.correction"
    ),
)

#: Operators that are decomposed into a rejected one. There are more: these were seen on 1.5.1.
BECOMES: Mapping[str, str] = pairs(
    {
        "_upsample_bicubic2d_aa.vec": "_upsample_bicubic2d_aa.default",
        "adaptive_max_pool1d.default": "adaptive_max_pool2d.default",
        "argsort.stable": "sort.stable",
        "bilinear.default": "_trilinear.default",
        "inverse.default": "linalg_inv_ex.default",
        "linalg_det.default": "_linalg_det.default",
        "logaddexp2.default": "exp2.default",
        "mvlgamma.default": "lgamma.default",
        "special_erfc.default": "erfc.default",
        "special_erfinv.default": "erfinv.default",
        "special_exp2.default": "exp2.default",
        "special_gammaln.default": "lgamma.default",
        "special_i0.default": "i0.default",
        "special_multigammaln.default": "lgamma.default",
        "special_psi.default": "digamma.default",
        "special_round.default": "round.decimals",
        "std_mean.correction": "var_mean.correction",
        "var_mean.dim": "var_mean.correction",
    }
)

#: Operators that the table of decompositions has, and that ``to_edge`` still finds in the program, or what it finds
#: instead: Arm's partitioner keeps a nearest interpolation, of whose overloads the verifier knows ``vec`` alone.
KEPT: Mapping[str, str] = pairs(
    {
        "rrelu.default": "rrelu_with_noise_functional.default",
        "upsample_nearest1d.default": "upsample_nearest1d.default",
        "upsample_nearest2d.default": "upsample_nearest2d.default",
    }
)

#: Operators whose dtypes the edge dialect limits, none of which are complex.
OF_REAL_NUMBERS = OpSet(
    "edge.yaml",
    "../../exir/dialects/edge/edge.yaml",
    ops(
        "_log_softmax.default _softmax.default _to_copy.default abs.default acos.default acosh.default add.Scalar "
        "add.Tensor addmm.default alias_copy.default amax.default amin.default any.default arange.default "
        "arange.start_step argmax.default argmin.default as_strided_copy.default asin.default asinh.default "
        "atan.default atanh.default avg_pool2d.default bitwise_and.Scalar bitwise_and.Tensor bitwise_not.default "
        "bitwise_or.Scalar bitwise_or.Tensor bitwise_xor.Scalar bitwise_xor.Tensor bmm.default cat.default "
        "ceil.default clamp.default clone.default constant_pad_nd.default convolution.default copy.default "
        "cos.default cosh.default cumsum.default detach_copy.default div.Scalar div.Tensor div.Tensor_mode "
        "elu.default embedding.default empty.memory_format eq.Scalar erf.default exp.default fill.Scalar fill.Tensor "
        "floor.default floor_divide.default fmod.Scalar fmod.Tensor full.default full_like.default ge.Scalar "
        "ge.Tensor gelu.default glu.default gt.Scalar gt.Tensor hardtanh.default index.Tensor index_put.default "
        "index_select.default isinf.default isnan.default le.Scalar le.Tensor leaky_relu.default "
        "lift_fresh_copy.default log.default logical_and.default logical_not.default logical_or.default "
        "logical_xor.default logit.default lt.Scalar lt.Tensor masked_fill.Scalar max.dim "
        "max_pool2d_with_indices.default mean.dim min.dim minimum.default mm.default mul.Scalar mul.Tensor "
        "native_layer_norm.default ne.Scalar ne.Tensor neg.default nonzero.default ones.default pixel_shuffle.default "
        "pow.Tensor_Scalar pow.Tensor_Tensor reciprocal.default relu.default remainder.Scalar remainder.Tensor "
        "repeat.default round.default rsqrt.default rsub.Scalar scalar_tensor.default scatter_add.default "
        "select_copy.int select_scatter.default sigmoid.default sign.default sin.default sinh.default "
        "slice_scatter.default split_copy.Tensor split_with_sizes_copy.default sqrt.default stack.default sub.Scalar "
        "sub.Tensor sum.dim_IntList t_copy.default tan.default tanh.default transpose_copy.int tril.default "
        "unbind_copy.int var.dim view_copy.default where.self zeros.default",
        {
            "<1.4": (
                "expand_copy.default permute_copy.default slice_copy.Tensor squeeze_copy.dim squeeze_copy.dims "
                "unsqueeze_copy.default"
            )
        },
    ),
)
