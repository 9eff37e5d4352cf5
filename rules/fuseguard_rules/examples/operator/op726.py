"""Examples of OP726, grid-sample-shader-unfinished."""

from __future__ import annotations

from collections.abc import Callable

from fuseguard.engine import Example
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.qparams import QParams

_SNORM = QParams.per_tensor(1.0 / 127.0, 0, -127, 127, "int8")
_GRID = int8(0.0078, 0)
_GRID16 = QParams.per_tensor(1.0 / 32767.0, 0, -32767, 32767, "int16")
_INT16 = QParams.per_tensor(2.0**-12, 0, -32767, 32767, "int16")


def _graph(
    batch: int = 1,
    channels: int = 4,
    mode: int = 0,
    qparams: QParams | None = None,
    grid_qparams: QParams | None = _GRID,
) -> Callable[[], Graph]:
    """A grid_sample of images, quantized with ``qparams`` if they are given.

    Modes: 0 bilinear, 1 nearest, 2 bicubic.
    """

    def build() -> Graph:
        b = GraphBuilder()
        shape = (batch, channels, 8, 8)
        grid_shape = (batch, 5, 6, 2)
        x = b.quantized_input("x", shape, qparams) if qparams else b.input("x", shape)
        grid = b.input("grid", grid_shape)
        if qparams is not None and grid_qparams is not None:
            grid = b.requantize(grid, grid_qparams)
        arguments = (x, grid, mode, 0, False)
        result = (batch, channels, 5, 6)
        value = b.call("aten.grid_sampler.default", *arguments, shape=result, annotated=qparams is not None)
        return b.output(b.requantize(value, qparams) if qparams else value)

    return build


BAD = (
    Example("float grid_sample of two images", _graph(batch=2)),
    Example("float grid_sample of one channel", _graph(channels=1)),
    Example("float grid_sample, bicubic", _graph(mode=2)),
    Example("grid_sample with int16 activations", _graph(qparams=_INT16, grid_qparams=_GRID16), extensions=("int16",)),
    Example("int8 grid_sample of two images", _graph(batch=2, qparams=_SNORM)),
    Example("int8 grid_sample of eight channels", _graph(channels=8, qparams=_SNORM)),
    Example("int8 grid_sample with other qparams than SNORM's", _graph(qparams=int8(0.0078, 3))),
    Example("int8 grid_sample with a float grid, as TOSAQuantizer makes it", _graph(qparams=_SNORM, grid_qparams=None)),
    Example("float grid_sample of four channels before 1.5", _graph(), only_on=">=1.4,<1.5"),
)



def _upsampled() -> Graph:
    b = GraphBuilder()
    x = b.input("x", (2, 4, 8, 8))
    return b.output(b.call("aten.upsample_nearest2d.vec", x, (16, 16), None, shape=(2, 4, 16, 16), annotated=False))


GOOD = (Example("float upsampling of two images", _upsampled),)
