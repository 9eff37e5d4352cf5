"""The measured releases, and every change of the backend between two releases that some model here depends on.

A model of a pass asks ``CHANGE.in_force(target)`` and never for a version number, so that a new release is a matter of
this file and of the effects tables. A change that is over has an upper bound, from the pull request that ended it.
"""

from __future__ import annotations

from fuseguard import measured
from fuseguard.ir.value import Value
from fuseguard.target import Target

#: Releases with a recording in ``fuseguard.measured``, oldest first.
MEASURED_RELEASES = measured.RELEASES


class Change(Value, frozen=True):
    """A change of the backend.

    ``releases`` is the range in which it is in force, as in PEP 440 (``>=1.4,<1.5``). ``reference`` is the pull
    request, or the symbol whose source was read where nobody named one. ``effect`` says what the change does.
    """

    releases: str
    reference: str
    effect: str

    def in_force(self, target: Target) -> bool:
        """Whether the target's release has the change."""
        return target.release_in(self.releases)


# --- fusion ---------------------------------------------------------------------------------------------------

FUSES_ANY_ZERO_POINT = Change(
    ">=1.5",
    "#21974",
    "FuseQuantizedActivationPass no longer requires zero_point == qmin and checks the upper bound of hardtanh; "
    "RewriteConvPass looks through the view that a Conv1d is wrapped in.",
)

# --- operators that only VGF has ------------------------------------------------------------------------------

VGF_SAMPLES_GRIDS = Change(
    ">=1.4", "VgfPartitioner", "VgfPartitioner takes grid_sampler_2d, and runs it in a shader of ExecuTorch's own."
)
VGF_CONVERTS_SHADERS = Change(
    ">=1.5", "model-converter", "The model-converter that the release asks for, 0.10.0 instead of 0.9.0, takes shaders."
)

# --- operators that only some accelerators have ----------------------------------------------------------------

COPIES_MORE_ON_U55 = Change(
    ">=1.5",
    "EthosU55ReverseCheck",
    "Some upsample_nearest2d, flip and reflection_pad ops are delegated for Ethos-U55: checks of their sizes replace "
    "the entries in EthosU55NotSupported.",
)
DIVIDES_MAX_POOLS_ON_U55 = Change(
    ">=1.5",
    "DecomposeLargeStrideMaxPool2dForU55Pass",
    "A max_pool2d of more than 3 steps, each as large as its kernel, is delegated for Ethos-U55 as two reductions.",
)
MULTIPLIES_INT8_ON_U55 = Change(
    ">=1.3", "EthosU55DtypeSupport", "A matrix product of int16 is left on the CPU for Ethos-U55."
)

# --- folding of qparams ---------------------------------------------------------------------------------------

KEEPS_PARTIAL_QDQ = Change(
    ">=1.5", "#21589", "With floats, a binary op of which one operand has qparams keeps its Q and DQ."
)

# --- rescales and int32 ---------------------------------------------------------------------------------------

FUSES_RESCALES = Change(">=1.3", "#17830", "FuseConsecutiveRescalesPass is part of the pipeline.")
WIDENS_CONVS = Change(
    ">=1.5", "#21910", "RewriteConvPass gives the int32 readers of an A16W8 convolution a RESCALE of their own."
)
REWRITES_INT16_CONVS = Change(
    ">=1.3", "RewriteConvPass", "An A16W8 convolution whose readers work in int32 is rewritten with an int32 output."
)
RESCALES_UINT8 = Change(">=1.3", "RESCALE", "RESCALE reads and writes uint8; before, only int8, int16 and int32.")

# --- lookup tables --------------------------------------------------------------------------------------------

TABLE_HAS_ENDPOINT = Change(
    ">=1.5", "#21629", "The last entry of a 16-bit table is the function's value at the code after the last one."
)
TABLE_SHIFT_CLAMPED = Change(
    ">=1.4", "#20668", "A 16-bit table that needs fewer than 16 bits is not shifted by a negative count."
)
TABLE_COVERS_DTYPE = Change(">=1.3", "#18973", "InsertTableOpsPass makes 256 entries whatever the code range is.")

# --- what torch takes codes for ------------------------------------------------------------------------------

DECOMPOSES_QUANTIZED_MEANS = Change(
    ">=1.3", "#19242", "DecomposeMeanDimPass makes a sum and a product of a quantized mean, too, with 1/N as a float."
)
AVERAGES_NEED_INTEGERS = Change(
    ">=1.3", "RewriteAvgPool2dPass", "An average pool of what torch takes for floats fails."
)
SUMS_READ_UNCOMPUTED_CONSTANTS = Change(
    ">=1.3",
    "DecomposeCumsumPass",
    "Runs before ComputeConstantOpsAOTPass, and reads float32 where a constant is made.",
)
PRODUCTS_ACCEPT_CODES = Change(
    ">=1.4", "FoldAndAnnotateQParamsPass", "Torch is never asked for a product of codes of two dtypes."
)
PRODUCTS_AFTER_RESCALES = Change(
    ">=1.3",
    "FoldAndAnnotateQParamsPass",
    "Torch is asked for a matrix product of codes only after arithmetic before it has become integer arithmetic.",
)

# --- moves of views and permutes -----------------------------------------------------------------------------

MOVES_PERMUTES_BEFORE_CATS = Change(
    ">=1.4", "PropagateViewCopyPermuteUpPass", "The permute of what is computed in NHWC moves before a cat."
)
MOVES_VIEWS_OF_CONV1D = Change(
    ">=1.5", "PropagateViewCopyPermuteUpPass", "The permute of a Conv1d moves before a cat as well."
)
MOVES_PERMUTES = Change(
    ">=1.5", "#20625", "PropagateViewCopyPermuteUpPass moves permutes through elementwise ops (#22880 limits it again)."
)
MOVES_VIEWS_PAST_REDUCTIONS = Change(
    ">=1.4,<1.5", "PropagateViewCopyPermutePass", "A view moves past a reduction, whatever dimensions it merged."
)

# --- operators ------------------------------------------------------------------------------------------------

READS_DEFAULT_STRIDE = Change(
    ">=1.5.1", "MaxPool2dSupported", "An absent or empty stride is the kernel size, as the operator's schema says."
)
DECOMPOSES_GROUPED_CONV3D = Change(">=1.4", "DecomposeGroupedConvPass", "A grouped Conv3d is decomposed.")
REJECTS_TRANSPOSED_CONVS = Change(
    ">=1.4", "#20763", "ConvolutionSupported leaves dilated and grouped per-channel transposed convolutions on the CPU."
)
FOLDS_LISTS = Change(
    ">=1.3", "#18971", "FuseConstantArgsPass finds the qparams of a list's members under the index of the list."
)

CHECKS_SHAPES = Change(
    ">=1.4", "EdgeOpArgValidator", "The check of the edge IR fails at a CONST_SHAPE without dimensions."
)
MOVES_RANK_ZERO_VIEWS = Change(
    ">=1.4,<1.5", "PropagateViewCopyPermutePass", "A view to rank 0 moves past RESCALEs and elementwise ops."
)
SINKS_VIEWS = Change(
    ">=1.4", "FuseIdenticalInputTransformsPass", "A view of an operand moves past an op with a number."
)
DROPS_UNREAD_INPUTS = Change(
    ">=1.3", "ToTosaMemoryFormatPass", "No TRANSPOSE reads each input of rank 4 or more any longer, so that one that "
    "nothing else reads is not in the delegate's TOSA."
)
DELEGATES_ARGMAX = Change(
    ">=1.4", "CheckInt64InputsAndOutputs", "An argmax whose readers all cast it to int32 is delegated."
)
DELEGATES_ARGMAX_CASTS = Change(
    ">=1.5", "CheckInt64InputsAndOutputs", "The cast of such an argmax to int32 is delegated, too."
)

EXPANDS_PUT_VALUES = Change(
    ">=1.3", "RewriteIndexPutPass", "The values of an index_put are expanded before they are viewed for SCATTER."
)

SCALES_ELU = Change(
    ">=1.3", "DecomposeEluPass", "An elu of floats is multiplied by its scale, and what it reads by its input_scale."
)

TAKES_SYMBOLIC_SIZES = Change(
    ">=1.5.1",
    "SymbolicShapeSupportCheck",
    "Tensors with symbolic sizes are delegated without the TOSA extension shape; 1.3.0 to 1.5.0 reject all of them.",
)

# --- partitions and control flow -----------------------------------------------------------------------------

INDEXES_BY_RANK_FOUR = Change(">=1.3", "IndexTensorSupported", "An index.Tensor may have index tensors of any rank.")
DROPS_EMPTY_PARTITIONS = Change(
    ">=1.4", "#18191", "TOSAPartitioner decides after de-tagging whether a partition computes anything, and splits it."
)
DROPS_EMPTY_SQUEEZES = Change(
    ">=1.3", "TOSAPartitioner._tag_module", "A squeeze that keeps the shape does not count as computing anything."
)
DROPS_EMPTY_FLIPS = Change(
    ">=1.4", "TOSAPartitioner._tag_module", "A flip of no dimension does not count as computing anything."
)
DROPS_PERMUTES_IN_ORDER = Change(
    ">=1.5", "TOSAPartitioner._tag_module", "A permute that keeps the order does not count as computing anything."
)
COPIES_LOOP_META = Change(
    ">=1.4", "NormalizeWhileInitialArgsPass", "A placeholder and its clone no longer share their meta."
)
PERMITS_SIZES = Change(
    ">=1.4", "CheckProperQuantization", "A sym_size may read the float result of an op that the INT profile takes."
)
