"""Which shader a VGF runs a grid_sample in, and whether it is one that works.

Source: ``RewriteGridSamplerToTosaCustomPass``, ``InsertGridSamplerGridDequantPass``, ``vgf/shaders/grid_sampler.py``
and the shaders of ExecuTorch 1.4.0 to 1.5.1. The samplers take one image of four channels (of three, which are padded),
bilinear or nearest, in float, or in int8 with the qparams of Vulkan's SNORM format. What else is float or int16 gets
``grid_sampler.glsl``, which writes zeros. What else is int8 raises.

``VgfPartitioner`` registers the op as a custom one, and such an op is delegated whatever all other checks say.

Rules that depend on it: OP726, and those of partition.
"""

from __future__ import annotations

import math

from fuseguard.backend.releases import VGF_CONVERTS_SHADERS, VGF_SAMPLES_GRIDS
from fuseguard.ir import Node, QParams, View
from fuseguard.target import Target

#: The kinds of the operator in the ATen and in the edge dialect.
KINDS = ("grid_sampler", "grid_sampler_2d")
#: Ranks of the image: more dimensions are another operator of the edge dialect, which no shader is for.
_RANK = 4
_SAMPLED_CHANNELS = frozenset((3, 4))
#: bilinear and nearest; bicubic is 2.
_SAMPLED_MODES = frozenset((0, 1))
_SNORM_SCALE = 1.0 / 127.0
_SNORM_CODES = ("int8", 0, -127, 127)


def is_grid_sample(view: View, node: Node) -> bool:
    """Whether ``node`` is a grid_sample of two-dimensional images."""
    return node.kind in KINDS and len(_image_shape(view, node)) == _RANK


def runs_in_shader(view: View, node: Node, target: Target) -> bool:
    """Whether a VGF runs ``node`` in a shader of ExecuTorch's own."""
    return target.accelerator == "vgf" and VGF_SAMPLES_GRIDS.in_force(target) and is_grid_sample(view, node)


def shader_fault(view: View, node: Node, target: Target) -> str:
    """What is wrong with the shader of a grid_sample: ``zeros``, ``int8``, ``sampler`` or, if nothing is, "".

    ``zeros``: the shader writes zeros. ``int8``: there is none for these codes. ``sampler``: the converter refuses it.
    """
    image, grid = (view.in_qp(node, position) if node.annotated else None for position in (0, 1))
    if _is_snorm(image) and _is_snorm(view.out_qp(node)):
        works, codes = grid is not None and grid.dtype == "int8" and _is_sampled(view, node), True
    elif image is not None and grid is not None:
        works, codes = False, image.dtype == "int8"
    else:  # a grid_sample of which one operand is quantized keeps its Q and DQ (1.5), and 1.4 never gets there
        works, codes = _is_sampled(view, node), False
    if not works:
        return "int8" if codes else "zeros"
    return "" if VGF_CONVERTS_SHADERS.in_force(target) else "sampler"


def _is_sampled(view: View, node: Node) -> bool:
    """Whether one of the samplers is for the image and the interpolation."""
    batch, channels, *_ = _image_shape(view, node)
    mode = node.arg(2, "interpolation_mode", 0)
    return batch == 1 and channels in _SAMPLED_CHANNELS and mode in _SAMPLED_MODES


def _is_snorm(qparams: QParams | None) -> bool:
    """Whether these are the qparams of the SNORM format."""
    if qparams is None or not qparams.usable:
        return False
    codes = (qparams.dtype, qparams.zero_points[0], qparams.qmin, qparams.qmax)
    return codes == _SNORM_CODES and math.isclose(qparams.scale, _SNORM_SCALE, rel_tol=1e-6, abs_tol=1e-9)


def _image_shape(view: View, node: Node) -> tuple[int | None, ...]:
    image = view.producer(node)
    return image.meta.shape if image is not None and image.meta is not None else ()
