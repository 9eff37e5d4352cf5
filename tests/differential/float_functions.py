"""Functions of many operators: activations, resizes, pools, pads, reductions, indexing, norms and attention."""

from __future__ import annotations

import torch
from torch import randn
from torch.nn import functional as F

from .function_table import IMAGE, add

add("pixel_shuffle", lambda net, x: F.pixel_shuffle(net.conv(x), 2))
add("pixel_unshuffle", lambda net, x: F.pixel_unshuffle(net.conv(x), 2))
add("channel_shuffle", lambda net, x: F.channel_shuffle(F.relu(net.conv(x)), 2))
add("nearest", lambda net, x: F.interpolate(F.relu(net.conv(x)), scale_factor=2, mode="nearest"))
add("bilinear", lambda net, x: F.interpolate(net.conv(x), scale_factor=2, mode="bilinear"))
add("bilinear_ac", lambda net, x: F.interpolate(net.conv(x), size=(15, 15), mode="bilinear", align_corners=True))
add("bicubic", lambda net, x: F.interpolate(net.conv(x), scale_factor=2, mode="bicubic"))
add("roll", lambda net, x: torch.roll(F.relu(net.conv(x)), 1, 2) + x)
add("flip", lambda net, x: torch.flip(F.relu(net.conv(x)), (3,)))
add("rot90", lambda net, x: torch.rot90(net.conv(x), 1, (2, 3)))
add("topk", lambda net, x: torch.topk(net.conv(x).flatten(1), 3)[0])
add("sort", lambda net, x: torch.sort(net.conv(x), -1)[0])
add("gather", lambda net, x: torch.gather(net.conv(x), 1, torch.zeros(1, 2, 8, 8, dtype=torch.long)))
add("index_select", lambda net, x: torch.index_select(F.relu(net.conv(x)), 1, torch.tensor([2, 0])))
add("index", lambda net, x: net.conv(x)[:, [3, 1]])
add("einsum", lambda net, x: torch.einsum("nchw,ndhw->ncd", net.conv(x), x))
add("einsum2", lambda net, x: torch.einsum("bij,bkj->bik", net.linear(x), F.relu(x)), randn(2, 4, 8))
add("baddbmm", lambda net, x: torch.baddbmm(x, net.linear(x), x.transpose(1, 2).contiguous()), randn(2, 8, 8))
add("addmm", lambda net, x: torch.addmm(x, net.linear(x), x), randn(8, 8))
add("addcmul", lambda net, x: torch.addcmul(x, net.conv(x), x, value=0.5))
add("addcdiv", lambda net, x: torch.addcdiv(x, net.conv(x), x.abs() + 1))
add("lerp", lambda net, x: torch.lerp(x, net.conv(x), 0.3))
add("ln_noaff", lambda net, x: F.layer_norm(net.linear(x), (8,)), randn(2, 4, 8))
add("ln", lambda net, x: net.layer_norm(net.linear(x)) + x, randn(2, 4, 8))
add("rms", lambda net, x: net.rms_norm(net.linear(x)), randn(2, 4, 8))
add("gn", lambda net, x: F.relu(net.group_norm(net.conv(x))))
add("in", lambda net, x: net.instance_norm(net.conv(x)))
add("normalize", lambda net, x: F.normalize(net.linear(x), dim=-1), randn(2, 4, 8))
add("cos", lambda net, x: F.cosine_similarity(net.linear(x), x, dim=-1), randn(2, 4, 8))
add("prelu", lambda net, x: net.prelu(net.conv(x)))
add("glu", lambda net, x: F.glu(net.conv(x), 1))
add("silu_mul", lambda net, x: F.silu(net.linear(x)) * net.linear(x), randn(2, 4, 8))
for n in (
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "elu",
    "celu",
    "selu",
    "softplus",
    "logsigmoid",
    "gelu",
    "tanhshrink",
    "softsign",
    "relu6",
    "leaky_relu",
    "softshrink",
    "hardshrink",
    "tanh",
    "sigmoid",
):
    add("act_" + n, lambda net, x, n=n: getattr(F, n)(net.conv(x)))
add("gelu_tanh", lambda net, x: F.gelu(net.conv(x), approximate="tanh"))
add("softmin", lambda net, x: F.softmin(net.linear(x), -1), randn(2, 4, 8))
add("log_softmax", lambda net, x: F.log_softmax(net.linear(x), -1), randn(2, 4, 8))
add("threshold", lambda net, x: F.threshold(net.conv(x), 0.1, 0.0))
for n in (
    "erf",
    "rsqrt",
    "reciprocal",
    "sqrt",
    "exp",
    "log",
    "floor",
    "ceil",
    "round",
    "trunc",
    "frac",
    "sign",
    "cos",
    "sin",
    "abs",
    "neg",
    "square",
    "expm1",
    "log1p",
    "exp2",
    "log2",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "tan",
    "isnan",
    "logical_not",
    "signbit",
):
    add(
        "un_" + n,
        lambda net, x, n=n: getattr(torch, n)(
            net.conv(x).abs() + 0.5 if n in ("rsqrt", "reciprocal", "log", "log2", "sqrt") else net.conv(x)
        ),
    )
add("pow2", lambda net, x: net.conv(x) ** 2)
add("pow3", lambda net, x: net.conv(x) ** 3)
add("powhalf", lambda net, x: (net.conv(x).abs() + 0.1) ** 0.5)
add("rpow", lambda net, x: 2 ** net.conv(x))
add("remainder", lambda net, x: torch.remainder(net.conv(x), 0.7))
add("fmod", lambda net, x: torch.fmod(net.conv(x), 0.7))
add("floor_div", lambda net, x: net.conv(x) // 0.5)
add("div_trunc", lambda net, x: torch.div(net.conv(x), 0.5, rounding_mode="trunc"))
add("div_t", lambda net, x: net.conv(x) / (x.abs() + 1))
add("rdiv", lambda net, x: 1.0 / (net.conv(x).abs() + 1))
add("rsub", lambda net, x: 1.0 - net.conv(x))
add("clamp_min", lambda net, x: torch.clamp(net.conv(x), min=-0.3))
add("clamp_max", lambda net, x: torch.clamp(net.conv(x), max=0.3))
add("clamp_both", lambda net, x: torch.clamp(net.conv(x), -0.2, 0.4))
add("where_s", lambda net, x: torch.where(net.conv(x) > 0, x, 0.0))
add("where_t", lambda net, x: torch.where(x > 0, net.conv(x), x))
add("masked_fill", lambda net, x: net.conv(x).masked_fill(x > 0, -1.0))
add("tril", lambda net, x: torch.tril(net.linear(x)), randn(2, 8, 8))
add(
    "triu_softmax",
    lambda net, x: (net.linear(x).masked_fill(torch.ones(8, 8).triu(1).bool(), float("-inf"))).softmax(-1),
    randn(2, 8, 8),
)
add("unfold", lambda net, x: F.unfold(net.conv(x), 2))
add("fold", lambda net, x: F.fold(F.unfold(net.conv(x), 2, stride=2), (8, 8), 2, stride=2))
add("tunfold", lambda net, x: net.conv(x).unfold(2, 3, 2))
add("convt", lambda net, x: F.relu(net.transposed(x)))
add("convtg", lambda net, x: net.grouped_transposed(x))
add("dw", lambda net, x: F.relu6(net.depthwise(x)))
add("dil", lambda net, x: F.relu(net.dilated(x)))
add("conv1d", lambda net, x: F.relu(net.conv1d(x)), randn(1, 4, 8))
add("conv3d", lambda net, x: F.relu(net.conv3d(x)), randn(1, 1, 4, 4, 4))
add("conv_bn_relu", lambda net, x: F.relu(net.batch_norm(net.conv(x))))
add("bn_only", lambda net, x: net.batch_norm(x))
add("bilinear_layer", lambda net, x: net.bilinear(x, x), randn(4, 8))
add("avg_ceil", lambda net, x: F.avg_pool2d(net.conv(x), 3, 2, 1, ceil_mode=True))
add("avg_nopad", lambda net, x: F.avg_pool2d(net.conv(x), 3, 2, 1, count_include_pad=False))
add("avg_div", lambda net, x: F.avg_pool2d(net.conv(x), 2, 2, divisor_override=3))
add("avg1d", lambda net, x: F.avg_pool1d(net.conv1d(x), 2), randn(1, 4, 8))
add("max_dil", lambda net, x: F.max_pool2d(net.conv(x), 2, 1, dilation=2))
add("max_idx", lambda net, x: F.max_pool2d(net.conv(x), 2, return_indices=True)[0])
add("max1d", lambda net, x: F.max_pool1d(net.conv1d(x), 2), randn(1, 4, 8))
add("lp_pool", lambda net, x: F.lp_pool2d(net.conv(x).abs(), 2, 2))
add("adapt_avg", lambda net, x: F.adaptive_avg_pool2d(net.conv(x), 3))
add("adapt_max", lambda net, x: F.adaptive_max_pool2d(net.conv(x), 4))
for m in ("reflect", "replicate", "circular"):
    add("pad_" + m, lambda net, x, m=m: F.pad(F.relu(net.conv(x)), (1, 1, 1, 1), mode=m))
add("pad_c", lambda net, x: F.pad(F.relu(net.conv(x)), (1, 1, 1, 1), value=0.5))
add("pad_neg", lambda net, x: F.pad(F.relu(net.conv(x)), (-1, -1, 1, 1)))
add("pad_inf", lambda net, x: F.max_pool2d(F.pad(net.conv(x), (1, 1, 1, 1), value=float("-inf")), 3, 1))
add("var", lambda net, x: net.conv(x).var((2, 3)))
add("var0", lambda net, x: net.conv(x).var(1, unbiased=False))
add("std", lambda net, x: net.conv(x).std(1))
add("norm1", lambda net, x: net.conv(x).norm(1, dim=1))
add("norm2", lambda net, x: torch.linalg.vector_norm(net.conv(x), 2, dim=1))
add("norminf", lambda net, x: torch.linalg.vector_norm(net.conv(x), float("inf"), dim=1))
add("logsumexp", lambda net, x: torch.logsumexp(net.linear(x), -1), randn(2, 4, 8))
add("amax", lambda net, x: net.conv(x).amax(1))
add("amin_keep", lambda net, x: net.conv(x).amin((2, 3), keepdim=True) * x)
add("max_dim", lambda net, x: net.conv(x).max(1)[0])
add("max_all", lambda net, x: net.conv(x).max())
add("any", lambda net, x: (net.conv(x) > 0).any(1))
add("all", lambda net, x: (net.conv(x) > 0).all(1))
add("prod", lambda net, x: net.conv(x).prod(1))
add("mean_all", lambda net, x: net.conv(x).mean())
add("sum_all_mul", lambda net, x: x * net.conv(x).sum())
add("cumsum", lambda net, x: net.conv(x).cumsum(1))
add("argmax", lambda net, x: net.conv(x).argmax(1))
add("argmin", lambda net, x: net.conv(x).argmin(1))
add("repeat", lambda net, x: F.relu(net.conv(x)).repeat(1, 2, 1, 1))
add("expand", lambda net, x: net.conv(x).mean((2, 3), keepdim=True).expand(1, 4, 8, 8) + x)
add("rep_int", lambda net, x: net.conv(x).repeat_interleave(2, 1))
add("chunk", lambda net, x: torch.mul(*F.relu(net.conv(x)).chunk(2, 1)))
add("split", lambda net, x: torch.split(F.relu(net.conv(x)), [1, 3], 1))
add("unbind", lambda net, x: torch.stack(F.relu(net.conv(x)).unbind(1)[::-1], 1))
add("cat_same", lambda net, x: torch.cat([F.relu(net.conv(x))] * 2, 1))
add("cat_relu", lambda net, x: torch.cat([F.relu(net.conv(x)), net.conv2(x)], 1))
add("movedim", lambda net, x: torch.movedim(F.relu(net.conv(x)), 1, -1))
add("cmp", lambda net, x: (net.conv(x) > x).float() * x)
add("eq", lambda net, x: (net.conv(x) == x).to(torch.int8))
add("logic", lambda net, x: ((net.conv(x) > 0) & (x > 0)).float())
add("logic_xor", lambda net, x: torch.logical_xor(net.conv(x) > 0, x > 0))
add("bitwise", lambda net, x: ((net.conv(x) * 10).to(torch.int32) & 3).float())
add("to_int", lambda net, x: (net.conv(x) * 10).to(torch.int32))
add("to_half", lambda net, x: net.conv(x).half().float() + x)
add("to_int_shift", lambda net, x: (net.conv(x) * 10).to(torch.int32) << 1)
add("onehot", lambda net, x: F.one_hot(net.conv(x).argmax(1), 4))
add("emb", lambda net, i: F.relu(net.linear(net.embedding(i))), torch.tensor([[1, 2, 3]]))
add("embbag", lambda net, i: net.embedding(i).mean(1), torch.tensor([[1, 2, 3]]))
add("mha", lambda net, x: net.attention(x, x, x, need_weights=False)[0], randn(2, 4, 8))
add(
    "sdpa",
    lambda net, x: F.scaled_dot_product_attention(net.linear(x)[:, None], x[:, None], x[:, None]),
    randn(2, 4, 8),
)
add(
    "sdpa_causal",
    lambda net, x: F.scaled_dot_product_attention(net.linear(x)[:, None], x[:, None], x[:, None], is_causal=True),
    randn(2, 4, 8),
)
add("gru", lambda net, x: net.gru(x)[0], randn(1, 3, 8))
add("maximum", lambda net, x: torch.maximum(net.conv(x), x))
add("minimum_s", lambda net, x: torch.minimum(net.conv(x), torch.tensor(0.2)))
add("hypot", lambda net, x: torch.sqrt(net.conv(x) ** 2 + x**2))
add("atan2", lambda net, x: torch.atan2(net.conv(x), x))
add("meshgrid", lambda net, x: net.conv(x) * torch.arange(8.0))
add("arange_idx", lambda net, x: net.conv(x)[..., torch.arange(7, -1, -1)])
add("slice_step", lambda net, x: F.relu(net.conv(x))[:, :, ::2, 1::2])
add("slice_neg", lambda net, x: F.relu(net.conv(x))[:, -2:] + x[:, :2])
add("select", lambda net, x: F.relu(net.conv(x))[:, 1] * 2)
add("slice_assign", lambda net, x: torch.slice_scatter(net.conv(x), x[:, :2], 1, 0, 2))
add("select_scatter", lambda net, x: torch.select_scatter(net.conv(x), x[:, 0], 1, 2))
add("index_put", lambda net, x: net.conv(x).index_put((torch.tensor([0]), torch.tensor([1])), x[0, 0]))
add("scatter", lambda net, x: net.linear(x).scatter(1, torch.zeros(2, 1, 8, dtype=torch.long), x), randn(2, 4, 8))
add("diag", lambda net, x: torch.diagonal(net.linear(x), 0, 1, 2), randn(2, 8, 8))
add("outer", lambda net, x: torch.outer(net.linear(x)[0], x[0]), randn(2, 8))
add("dot", lambda net, x: torch.dot(net.linear(x)[0], x[0]), randn(2, 8))
add("mv", lambda net, x: torch.mv(net.linear(x), x[0]), randn(2, 8))
add("cdist", lambda net, x: torch.cdist(net.linear(x), x), randn(2, 4, 8))
add("cross", lambda net, x: torch.linalg.cross(net.linear(x)[..., :3], x[..., :3]), randn(2, 4, 8))
add("nan_to_num", lambda net, x: torch.nan_to_num(net.conv(x)))
add("dropout", lambda net, x: F.dropout(F.relu(net.conv(x)), 0.5, False))
add("two_out_same", lambda net, x: (lambda y: (y, F.relu(y)))(net.conv(x)))
add("three", lambda net, x: (lambda y: (y + 1, y * 2, torch.cat([y, x], 1)))(F.relu(net.conv(x))))
add("conv_scalar", lambda net, x: F.relu(net.conv(x) * 2.0 + 0.5))
add("hsig_mul", lambda net, x: (lambda y: y * F.hardsigmoid(y.mean((2, 3), keepdim=True)))(F.relu(net.conv(x))))
add("rmsn", lambda net, x: x * torch.rsqrt(net.linear(x).pow(2).mean(-1, keepdim=True) + 1e-5), randn(2, 4, 8))
add("grid", lambda net, x: F.grid_sample(net.conv(x), torch.zeros(1, 4, 4, 2)))
add("stft_like", lambda net, x: torch.fft.rfft(net.linear(x)).abs(), randn(2, 8))
add("count_nonzero", lambda net, x: torch.count_nonzero(net.conv(x) > 0, dim=1))
add("bucketize", lambda net, x: torch.bucketize(net.conv(x), torch.tensor([0.0, 0.5])))
add("trilu_add", lambda net, x: F.relu(net.linear(x)) + torch.triu(torch.ones(8, 8)), randn(2, 8, 8))
add("linear_nobias", lambda net, x: F.relu(F.linear(x, net.linear.weight)), randn(2, 8))
add("weight_tied", lambda net, x: F.relu(net.linear(F.relu(net.linear(x)))), randn(2, 8))
add("resid", lambda net, x: F.relu(net.conv2(F.relu(net.conv(x))) + x))
add("logit", lambda net, x: torch.logit(torch.sigmoid(net.conv(x)), eps=1e-3))
add("log_sigmoid_sum", lambda net, x: torch.log(torch.sigmoid(net.conv(x)) + 1e-3).sum(1))
add("float_const_cat", lambda net, x: torch.cat([F.relu(net.conv(x)), torch.ones(1, 1, 8, 8)], 1))
add("zeros_like", lambda net, x: net.conv(x) + torch.zeros_like(x))
add("new_full", lambda net, x: net.conv(x) * x.new_full((1, 4, 1, 1), 0.3))
add("tensor_split", lambda net, x: torch.cat(torch.tensor_split(F.relu(net.conv(x)), 3, 1)[::-1], 1))
add("swap", lambda net, x: torch.swapaxes(net.conv(x), 1, 3).contiguous())
add("flatten_lin", lambda net, x: net.linear(F.relu(net.conv(x)).flatten(2).reshape(4, 8, 8).mean(1)))
add("view_dtype", lambda net, x: F.relu(net.conv(x)).reshape(1, 2, 2, 8, 8).transpose(1, 2).reshape(1, 4, 8, 8))
add("ste", lambda net, x: x + (torch.round(net.conv(x)) - x))
add("lin1d", lambda net, x: F.interpolate(net.conv1d(x), scale_factor=2, mode="linear"), randn(1, 4, 8))
add("near1d", lambda net, x: F.interpolate(net.conv1d(x), scale_factor=2, mode="nearest"), randn(1, 4, 8))
add("near_exact", lambda net, x: F.interpolate(net.conv(x), scale_factor=2, mode="nearest-exact"))
add("near3d", lambda net, x: F.interpolate(net.conv3d(x), scale_factor=2, mode="nearest"), randn(1, 1, 4, 4, 4))
add("trilinear", lambda net, x: F.interpolate(net.conv3d(x), scale_factor=2, mode="trilinear"), randn(1, 1, 4, 4, 4))
add("bil_scale_odd", lambda net, x: F.interpolate(net.conv(x), size=(11, 5), mode="bilinear"))
add("bil_aa", lambda net, x: F.interpolate(net.conv(x), size=(4, 4), mode="bilinear", antialias=True))
add("bic_aa", lambda net, x: F.interpolate(net.conv(x), size=(4, 4), mode="bicubic", antialias=True))
add("near_odd", lambda net, x: F.interpolate(net.conv(x), size=(11, 5), mode="nearest"))
add("area", lambda net, x: F.interpolate(net.conv(x), size=(5, 5), mode="area"))
add("affine", lambda net, x: F.affine_grid(x[:, :2, :3, 0].reshape(1, 2, 3), (1, 4, 4, 4)))
add("grid_2", lambda net, x: F.grid_sample(net.conv(x), torch.zeros(1, 4, 4, 2)))
add("adapt_odd", lambda net, x: F.adaptive_avg_pool2d(net.conv(x), (3, 5)))
add("adaptm_odd", lambda net, x: F.adaptive_max_pool2d(net.conv(x), (3, 5)))
add("unpool", lambda net, x: F.max_unpool2d(*F.max_pool2d(net.conv(x), 2, return_indices=True), 2))
add("linspace", lambda net, x: net.conv(x) * torch.linspace(0, 1, 8))
add("eye", lambda net, x: net.conv(x) @ torch.eye(8))
add("arange_f", lambda net, x: net.conv(x) * torch.arange(8).float())
add("arange_i", lambda net, x: net.conv(x) * torch.arange(8))
add("arange_mask", lambda net, x: net.conv(x).masked_fill(torch.arange(8) > 4, 0.0))
add("pos", lambda net, x: net.conv(x) + net.embedding(torch.arange(8))[None, None])
add("diag_embed", lambda net, x: torch.diag_embed(x[:, 0]))
add(
    "tril_idx",
    lambda net, x: net.linear(x)[:, torch.tril_indices(8, 8)[0], torch.tril_indices(8, 8)[1]],
    randn(1, 8, 8),
)
add("cumprod", lambda net, x: net.conv(x).cumprod(1))
add("logcumsumexp", lambda net, x: net.conv(x).logcumsumexp(1))
add("pad_circ3", lambda net, x: F.pad(net.conv(x), (2, 1, 1, 2), mode="circular"))
add("embbag_2", lambda net, x: F.embedding_bag(torch.tensor([[1, 2], [3, 4]]), net.embedding.weight))
add("take", lambda net, x: torch.take(net.conv(x), torch.tensor([1, 5])))
add("scatter_add", lambda net, x: net.conv(x).scatter_add(1, torch.zeros(1, 4, 8, 8, dtype=torch.long), x))
add("index_add", lambda net, x: net.conv(x).index_add(1, torch.tensor([0, 2]), x[:, :2]))
add("index_fill", lambda net, x: net.conv(x).index_fill(1, torch.tensor([0, 2]), 0.5))
add("index_copy", lambda net, x: net.conv(x).index_copy(1, torch.tensor([0, 2]), x[:, :2]))
add("one_hot_w", lambda net, x: F.one_hot(net.conv(x).argmax(1), 4).float().permute(0, 3, 1, 2) * x)
add("where_arange", lambda net, x: torch.where(torch.arange(8)[None] < 4, net.conv(x), x))
add("norm_mask", lambda net, x: net.conv(x) * (torch.arange(8)[:, None] >= torch.arange(8)).float())
add("sin_pos", lambda net, x: net.conv(x) + torch.sin(torch.arange(8) * 0.1))
add(
    "rope",
    lambda net, x: (
        net.linear(x)
        * torch.cos(torch.outer(torch.arange(4).float(), torch.tensor([1.0, 0.1, 0.01, 0.001])).repeat(1, 2))
    ),
    randn(1, 4, 8),
)
add("window", lambda net, x: net.conv(x) * torch.hann_window(8))
add("full_idx", lambda net, x: net.conv(x)[torch.full((2,), 0, dtype=torch.long)])
add("sort_idx", lambda net, x: torch.gather(x, 1, torch.sort(net.conv(x), 1)[1]))
add(
    "multinomial_free",
    lambda net, x: (net.conv(x).argmax(1, keepdim=True) == torch.arange(4)[:, None, None]).float() * x,
)
add(
    "len_mask",
    lambda net, x, n: net.conv(x) * (torch.arange(8)[None] < n[:, None]).float()[:, None, None],
    randn(IMAGE),
    torch.tensor([5]),
)
