"""The rule pack that ships with fuseguard, found through its entry point like any other pack."""

from fuseguard_rules.boundary.bo601_float_tail_leaves_delegate import FloatTailLeavesDelegate
from fuseguard_rules.boundary.bo602_partition_cycle import PartitionCycle
from fuseguard_rules.boundary.bo603_control_flow_qparams_disagree import ControlFlowBoundary
from fuseguard_rules.boundary.bo604_shared_dequantize_cut_off import SharedDequantizeCutOff
from fuseguard_rules.boundary.bo605_shared_dequantize_leaves import SharedDequantizeLeaves
from fuseguard_rules.boundary.bo606_outputs_share_value import OutputsShareValue
from fuseguard_rules.boundary.bo608_body_hands_on_operand import BodyHandsOnOperand
from fuseguard_rules.dtype.dt501_mixed_dtype_in_one_op import MixedDtype
from fuseguard_rules.dtype.dt502_int16_without_extension import Int16WithoutExtension
from fuseguard_rules.dtype.dt503_lookup_table_width import LookupTable
from fuseguard_rules.dtype.dt504_internal_uint8 import InternalUint8
from fuseguard_rules.dtype.dt505_narrow_table_input import NarrowTableInput
from fuseguard_rules.dtype.dt506_interpolated_table import InterpolatedTable
from fuseguard_rules.dtype.dt507_uint8_boundary_unsupported import Uint8Boundary
from fuseguard_rules.dtype.dt508_table_codes_taken_for_floats import TableCodesAsFloats
from fuseguard_rules.dtype.dt509_cumulative_sum_dtype_mismatch import CumulativeSumDtype
from fuseguard_rules.dtype.dt510_reduction_of_raw_numbers import ReductionOfRawNumbers
from fuseguard_rules.dtype.dt511_cast_rounds import CastRounds
from fuseguard_rules.dtype.dt512_function_misevaluated import FunctionMisevaluated
from fuseguard_rules.dtype.dt514_no_integer_form import NoIntegerForm
from fuseguard_rules.fusion.fu101_fused_activation_out_of_range import FusedActivationOutOfRange
from fuseguard_rules.fusion.fu102_activation_strands_anchor import ActivationStrandsAnchor
from fuseguard_rules.fusion.fu103_narrow_range_saturates_late import NarrowRangeSaturates
from fuseguard_rules.operator.op701_int16_conv_read_in_int32 import Int16ConvFork
from fuseguard_rules.operator.op702_conv_weight_layout_unsupported import TransposedConvUnsupported
from fuseguard_rules.operator.op703_max_pool_stride_omitted import PoolStrideOmitted
from fuseguard_rules.operator.op704_constant_cat_folded_wrong import ConstantCatFolded
from fuseguard_rules.operator.op705_grouped_conv3d_undecomposed import GroupedConv3dUndecomposed
from fuseguard_rules.operator.op706_saturation_skipped import SaturationSkipped
from fuseguard_rules.operator.op707_compared_operands_rounded import OperandsRounded
from fuseguard_rules.operator.op708_permute_lands_on_scalar import PermuteLandsOnScalar
from fuseguard_rules.operator.op709_sum_over_merged_dims import SumOverMergedDims
from fuseguard_rules.operator.op710_unsaturated_product_overflows import ProductOverflows
from fuseguard_rules.operator.op711_repeated_operand_lost import RepeatedOperandLost
from fuseguard_rules.operator.op712_view_to_rank_zero import ViewToRankZero
from fuseguard_rules.operator.op713_delegate_input_lost import DelegateInputLost
from fuseguard_rules.operator.op714_int64_leaves_delegate import Int64LeavesDelegate
from fuseguard_rules.operator.op715_tensor_bounds_lose_scale import TensorBoundsLoseScale
from fuseguard_rules.operator.op716_norm_side_results_lost import NormSideResultsLost
from fuseguard_rules.operator.op717_put_values_not_expanded import PutValuesNotExpanded
from fuseguard_rules.operator.op718_dynamic_size_needs_shape_ops import DynamicSizeNeedsShapeOps
from fuseguard_rules.operator.op719_like_constant_loses_dtype import LikeConstantLosesDtype
from fuseguard_rules.operator.op720_rank_zero_gains_dimension import RankZeroGainsDimension
from fuseguard_rules.operator.op721_op_form_not_lowered import OpFormNotLowered
from fuseguard_rules.operator.op722_edge_dialect_rejects_op import EdgeDialectRejectsOp
from fuseguard_rules.operator.op723_scaled_weight_is_buffer import ScaledWeightIsBuffer
from fuseguard_rules.operator.op724_result_is_delegate_input import ResultIsDelegateInput
from fuseguard_rules.operator.op725_activation_bounds_omitted import ActivationBoundsOmitted
from fuseguard_rules.operator.op726_grid_sample_shader_unfinished import GridSampleShaderUnfinished
from fuseguard_rules.operator.op727_int16_conv_branches_on_u55 import Int16ConvBranchesOnU55
from fuseguard_rules.operator.op728_weight_not_constant import WeightNotConstant
from fuseguard_rules.operator.op729_batch_norm_unfused import BatchNormUnfused
from fuseguard_rules.operator.op730_leading_entry_read_in_place import LeadingEntryReadInPlace
from fuseguard_rules.placement.pl401_missing_output_quantize import MissingOutputQ
from fuseguard_rules.placement.pl402_inputs_partly_quantized import PartialInputs
from fuseguard_rules.placement.pl403_anchor_half_quantized import WeightOnly
from fuseguard_rules.placement.pl404_annotation_missing import AnnotationMissing
from fuseguard_rules.placement.pl405_raw_integers_taken_for_quantized import RawInteger
from fuseguard_rules.placement.pl406_annotated_op_reads_float import FloatInput
from fuseguard_rules.qdomain.qd201_duplicate_consumers_merged import DuplicateConsumersMerged
from fuseguard_rules.qdomain.qd202_value_transparent_requant import ValueTransparentRequant
from fuseguard_rules.qdomain.qd203_joined_inputs_disagree import JoinedInputsDisagree
from fuseguard_rules.qdomain.qd204_several_output_quantizers import SeveralOutputDomains
from fuseguard_rules.qdomain.qd205_range_poisoned_domain import RangePoisonedDomain
from fuseguard_rules.qparams.qp301_collapsed_constant import CollapsedConstant
from fuseguard_rules.qparams.qp302_scale_ratio_out_of_range import ScaleRatio
from fuseguard_rules.qparams.qp303_illegal_zero_point import IllegalZeroPoint
from fuseguard_rules.qparams.qp304_impossible_qparams import ImpossibleQParams
from fuseguard_rules.qparams.qp305_bias_scale_not_input_times_weight import BiasScale
from fuseguard_rules.qparams.qp306_amplified_rounding import AmplifiedRounding
from fuseguard_rules.qparams.qp307_float_mean_rounded import FloatMeanRounded

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
    AmplifiedRounding,
    FloatMeanRounded,
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
    ReductionOfRawNumbers,
    CastRounds,
    FunctionMisevaluated,
    NoIntegerForm,
    FloatTailLeavesDelegate,
    PartitionCycle,
    ControlFlowBoundary,
    SharedDequantizeCutOff,
    SharedDequantizeLeaves,
    OutputsShareValue,
    BodyHandsOnOperand,
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
    ViewToRankZero,
    DelegateInputLost,
    Int64LeavesDelegate,
    TensorBoundsLoseScale,
    NormSideResultsLost,
    PutValuesNotExpanded,
    DynamicSizeNeedsShapeOps,
    LikeConstantLosesDtype,
    RankZeroGainsDimension,
    EdgeDialectRejectsOp,
    ScaledWeightIsBuffer,
    ResultIsDelegateInput,
    ActivationBoundsOmitted,
    GridSampleShaderUnfinished,
    Int16ConvBranchesOnU55,
    WeightNotConstant,
    BatchNormUnfused,
    LeadingEntryReadInPlace,
    OpFormNotLowered,
)
