"""Quantization parameters and the arithmetic every rule shares.

The formulas are those of ``quantized_decomposed.quantize_per_tensor`` and its per-channel sibling
(torch/ao/quantization/fx/_decomposed.py): ``code = clamp(round_half_even(value / scale) + zero_point,
qmin, qmax)`` and ``value = (code - zero_point) * scale``.
"""

from __future__ import annotations

import math

from fuseguard.ir.value import Value

#: Values of so many steps saturate, whatever the zero point.
_MOST_STEPS = 2.0**62

INTEGER_RANGES: dict[str, tuple[int, int]] = {
    "int8": (-(2**7), 2**7 - 1),
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
}


#: The smallest normal float32. What is smaller is flushed to zero on many devices.
SMALLEST_NORMAL = 2.0**-126


def can_scale(scale: float) -> bool:
    """Whether arithmetic can use a scale: it is finite, positive and normal in float32."""
    return SMALLEST_NORMAL <= scale < math.inf


class QParams(Value, frozen=True):
    """Scale, zero point, code range, dtype and, per channel, the axis.

    Per-tensor parameters hold one scale and one zero point and ``axis`` is None; per-channel ones hold a
    tuple per channel. ``scales`` is empty when the values are not known (a per-channel buffer that is not
    part of the input); such qparams still compare by identity of their ``source``.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    qmin: int
    qmax: int
    dtype: str
    axis: int | None = None
    source: str = ""

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int, qmin: int, qmax: int, dtype: str) -> QParams:
        return cls((float(scale),), (int(zero_point),), int(qmin), int(qmax), dtype)

    @property
    def per_channel(self) -> bool:
        return self.axis is not None

    @property
    def known(self) -> bool:
        """Whether the scales and zero points could be read."""
        return bool(self.scales) and bool(self.zero_points)

    @property
    def usable(self) -> bool:
        """Whether arithmetic can use the parameters: one known scale, finite, positive and normal in float32."""
        return self.axis is None and self.known and can_scale(self.scales[0])

    @property
    def scale(self) -> float:
        """The per-tensor scale. Raises ValueError for per-channel qparams."""
        if self.axis is not None or not self.scales or not self.zero_points:
            raise ValueError("per-channel or unknown qparams have no single scale")
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point. Raises ValueError for per-channel qparams."""
        if self.axis is not None or not self.scales or not self.zero_points:
            raise ValueError("per-channel or unknown qparams have no single zero point")
        return self.zero_points[0]

    @property
    def dtype_range(self) -> tuple[int, int]:
        """Smallest and largest code of the dtype (not of the qparams); (qmin, qmax) for unknown dtypes."""
        return INTEGER_RANGES.get(self.dtype, (self.qmin, self.qmax))

    def quantize(self, value: float) -> int:
        """The code of ``value``, saturated to [qmin, qmax]; infinities saturate, NaN raises ValueError."""
        if abs(value) < math.inf:  # and is not NaN
            scale = self.scale
            steps = value / scale
            if -_MOST_STEPS < steps < _MOST_STEPS:
                code = round(steps) + self.zero_point  # Python rounds half to even, as torch does
                # Faster than max and min: models of the backend ask for the codes of whole tables.
                return self.qmin if code < self.qmin else self.qmax if code > self.qmax else code
        elif value != value:
            raise ValueError("NaN has no code")
        return self.qmax if value > 0 else self.qmin

    def dequantize(self, code: int) -> float:
        return (code - self.zero_point) * self.scale

    @property
    def low(self) -> float:
        """The real value of qmin."""
        return self.dequantize(self.qmin)

    @property
    def high(self) -> float:
        """The real value of qmax."""
        return self.dequantize(self.qmax)

    def same_domain(self, other: QParams) -> bool:
        """Whether codes of one mean the same real values in the other: scale, zero point, dtype and axis."""
        return (
            self.dtype == other.dtype
            and self.axis == other.axis
            and self.source == other.source
            and self.scales == other.scales
            and self.zero_points == other.zero_points
        )

    def __str__(self) -> str:
        codes = f"{self.dtype} [{self.qmin}, {self.qmax}]"
        if not self.known:
            return f"{codes} per channel (axis {self.axis}), values not read"
        if self.per_channel:
            return f"{codes} per channel (axis {self.axis}, {len(self.scales)} scales)"
        return f"scale {self.scale:.6g}, zero_point {self.zero_point}, {codes}"
