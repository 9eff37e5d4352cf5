"""The rule pack that ships with fuseguard, found by entry point like anyone else's."""

from fuseguard_rules.boundary.control_flow import ControlFlowBoundary
from fuseguard_rules.boundary.float_tail import FloatTailLeavesDelegate
from fuseguard_rules.boundary.partition_cycle import PartitionCycle
from fuseguard_rules.boundary.shared_dequantize import SharedDequantizeCutOff
from fuseguard_rules.boundary.shared_dequantize_leaves import SharedDequantizeLeaves
from fuseguard_rules.dtype.cumulative_sum_dtype import CumulativeSumDtype
from fuseguard_rules.dtype.int16_without_extension import Int16WithoutExtension
from fuseguard_rules.dtype.internal_uint8 import InternalUint8
from fuseguard_rules.dtype.interpolated_table import InterpolatedTable
from fuseguard_rules.dtype.lookup_table import LookupTable
from fuseguard_rules.dtype.mixed_dtype import MixedDtype
from fuseguard_rules.dtype.narrow_table_input import NarrowTableInput
from fuseguard_rules.dtype.table_codes_as_floats import TableCodesAsFloats
from fuseguard_rules.dtype.uint8_boundary import Uint8Boundary
from fuseguard_rules.fusion.activation_strands_anchor import ActivationStrandsAnchor
from fuseguard_rules.fusion.fused_activation_out_of_range import FusedActivationOutOfRange
from fuseguard_rules.fusion.narrow_range_saturates import NarrowRangeSaturates
from fuseguard_rules.operator.constant_cat_folded import ConstantCatFolded
from fuseguard_rules.operator.grouped_conv3d_undecomposed import GroupedConv3dUndecomposed
from fuseguard_rules.operator.int16_conv_fork import Int16ConvFork
from fuseguard_rules.operator.operands_rounded import OperandsRounded
from fuseguard_rules.operator.permute_lands_on_scalar import PermuteLandsOnScalar
from fuseguard_rules.operator.pool_stride_omitted import PoolStrideOmitted
from fuseguard_rules.operator.product_overflows import ProductOverflows
from fuseguard_rules.operator.repeated_operand_lost import RepeatedOperandLost
from fuseguard_rules.operator.saturation_skipped import SaturationSkipped
from fuseguard_rules.operator.sum_over_merged_dims import SumOverMergedDims
from fuseguard_rules.operator.transposed_conv_unsupported import TransposedConvUnsupported
from fuseguard_rules.placement.annotation_missing import AnnotationMissing
from fuseguard_rules.placement.float_input import FloatInput
from fuseguard_rules.placement.missing_output_q import MissingOutputQ
from fuseguard_rules.placement.partial_inputs import PartialInputs
from fuseguard_rules.placement.raw_integer import RawInteger
from fuseguard_rules.placement.weight_only import WeightOnly
from fuseguard_rules.qdomain.duplicate_consumers_merged import DuplicateConsumersMerged
from fuseguard_rules.qdomain.joined_inputs_disagree import JoinedInputsDisagree
from fuseguard_rules.qdomain.range_poisoned_domain import RangePoisonedDomain
from fuseguard_rules.qdomain.several_output_domains import SeveralOutputDomains
from fuseguard_rules.qdomain.value_transparent_requant import ValueTransparentRequant
from fuseguard_rules.qparams.bias_scale import BiasScale
from fuseguard_rules.qparams.collapsed_constant import CollapsedConstant
from fuseguard_rules.qparams.illegal_zero_point import IllegalZeroPoint
from fuseguard_rules.qparams.impossible_qparams import ImpossibleQParams
from fuseguard_rules.qparams.scale_ratio import ScaleRatio

#: The engine interface this pack is written for.
INTERFACE = 1

RULES = (
    FusedActivationOutOfRange,
    ActivationStrandsAnchor,
    NarrowRangeSaturates,
    DuplicateConsumersMerged,
    ValueTransparentRequant,
    JoinedInputsDisagree,
    SeveralOutputDomains,
    RangePoisonedDomain,
    CollapsedConstant,
    ScaleRatio,
    IllegalZeroPoint,
    ImpossibleQParams,
    BiasScale,
    MissingOutputQ,
    PartialInputs,
    WeightOnly,
    AnnotationMissing,
    RawInteger,
    FloatInput,
    MixedDtype,
    Int16WithoutExtension,
    LookupTable,
    InternalUint8,
    NarrowTableInput,
    InterpolatedTable,
    Uint8Boundary,
    TableCodesAsFloats,
    CumulativeSumDtype,
    FloatTailLeavesDelegate,
    PartitionCycle,
    ControlFlowBoundary,
    SharedDequantizeCutOff,
    SharedDequantizeLeaves,
    Int16ConvFork,
    TransposedConvUnsupported,
    PoolStrideOmitted,
    ConstantCatFolded,
    SaturationSkipped,
    GroupedConv3dUndecomposed,
    OperandsRounded,
    PermuteLandsOnScalar,
    SumOverMergedDims,
    ProductOverflows,
    RepeatedOperandLost,
)
