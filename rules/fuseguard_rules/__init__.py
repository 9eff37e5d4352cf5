"""The rule pack that ships with fuseguard, found by entry point like anyone else's."""

from fuseguard_rules.fusion.activation_strands_anchor import ActivationStrandsAnchor
from fuseguard_rules.fusion.fused_activation_out_of_range import FusedActivationOutOfRange
from fuseguard_rules.fusion.narrow_range_saturates import NarrowRangeSaturates
from fuseguard_rules.operator.grouped_conv3d_undecomposed import GroupedConv3dUndecomposed

#: The engine interface this pack is written for.
INTERFACE = 1

RULES = (FusedActivationOutOfRange, ActivationStrandsAnchor, NarrowRangeSaturates, GroupedConv3dUndecomposed)
