"""Examples of DT507, uint8-boundary-unsupported."""

from __future__ import annotations

from fuseguard.engine import Example
from fuseguard.ir.builder import int8
from fuseguard_rules.examples.dtype.dt504 import uint8, uint8_conv

BAD = (
    Example(
        "uint8 input and output, int8 at the conv",
        uint8_conv(uint8(0.0487, 131), uint8(0.0713, 130), entry="uint8"),
        only_on="<1.3",
    ),
)

GOOD = (Example("int8 conv without uint8 anywhere", uint8_conv(int8(0.0487, 3), int8(0.0713, 2))),)
