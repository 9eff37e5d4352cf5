"""Announced changes of the backend in releases that nobody has measured, and the findings that they concern.

Everything here was read in the texts of pull requests (pytorch/executorch); none of it was measured. That a change is
part of a release is inferred from its date: 1.6.0 came out on 12 November 2026. Once a release has a recording, the
recording decides, whatever is announced.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from fuseguard.ir.value import Value

#: Who says that a finding is concerned: the text of the pull request, or only how the change works.
Basis: TypeAlias = Literal["text", "mechanism"]


class Concern(Value, frozen=True):
    """What a change means for one rule.

    ``cases`` are those of the rule's effects table, ``profiles`` ``INT`` or ``INT+FP``. ``expected`` is the effect to
    expect, "" where nobody can tell. ``condition`` says in words what is concerned, where that is less than every
    finding of these cases.

    The rest narrows it down to findings that the graph shows to be concerned; empty means that it does not matter.
    ``ops``: kinds of which one is among the finding's nodes. ``beside``: kinds of which one reads or is read by such a
    node, through quantize and dequantize ops. ``inside``: a function that the recorded stack of a node names.
    ``dynamic``: a dequantize op in front of a node takes its scale from the graph.

    ``appears``: the change makes faults that the rule does not look for; findings of today stay as they are.
    """

    rule: str
    cases: tuple[str, ...] = ("*",)
    profiles: tuple[str, ...] = ("INT", "INT+FP")
    expected: str = ""
    basis: Basis = "text"
    condition: str = ""
    ops: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    inside: str = ""
    dynamic: bool = False
    appears: bool = False

    def covers(self, case: str, profile: str) -> bool:
        """Whether a finding of this case and profile may be concerned."""
        return not self.appears and profile in self.profiles and ("*" in self.cases or case in self.cases)


class Announcement(Value, frozen=True):
    """One pull request. ``change`` says what it does, as the end of a sentence that begins with its number.

    ``date`` is the day on which it was opened, ``state`` what the thread said when it was read. ``releases`` is the
    range of releases that have the change, as in PEP 440.
    """

    pr: str
    date: str
    state: Literal["merged", "open"]
    change: str
    concerns: tuple[Concern, ...]
    releases: str = ">=1.6"

    @property
    def first(self) -> str:
        """The first release of the range."""
        return self.releases.partition(",")[0].lstrip(">=~ ")


class ReleaseNote(Value, frozen=True):
    """Something about a release that no rule is about, and that its neighbours do not tell."""

    releases: str
    pr: str
    text: str


#: Cases of PL401 that are an error in the INT profile, because floats are left in the delegate.
_FLOATS_LEFT = (
    "codes", "qparams", "stranded", "reader", "checked-reader", "conv-reader", "mover", "raw", "accumulator",
)  # fmt: skip
_SDPA = "scaled_dot_product_attention"
_UNMASKED = "an op of an unmasked, noncausal scaled_dot_product_attention without dropout, once quantized again"
_DYNAMIC = (
    "a linear with choose_qparams_symmetric before it (int8 in [-127, 127], zero point 0) and a weight that is "
    "quantized statically"
)

ANNOUNCED: tuple[Announcement, ...] = (
    Announcement(
        "#22966",
        "2026-09-21",
        "merged",
        "removes Q, DQ and float nodes from the boundary of an INT partition until it exposes integer buffers",
        (
            Concern("BO601", profiles=("INT",), expected="cpu_fallback"),
            Concern("BO602", profiles=("INT",), basis="mechanism"),
            Concern("BO604", profiles=("INT",), basis="mechanism"),
            Concern("BO605", profiles=("INT",), basis="mechanism"),
            Concern("PL401", _FLOATS_LEFT, ("INT",), basis="mechanism"),
            Concern("PL402", ("left",), ("INT",), basis="mechanism"),
            Concern("PL403", ("linear weight",), ("INT",), basis="mechanism"),
        ),
    ),
    Announcement(
        "#22880",
        "2026-09-16",
        "merged",
        "moves a permute onto the operand that depends on the layout instead of the first one",
        (Concern("OP708", expected="exact"),),
    ),
    Announcement(
        "#22559",
        "2026-09-04",
        "merged",
        "keeps InsertRescaleInt32Pass away from ops that still have a DQ before them or a Q after them",
        (
            Concern(
                "PL402",
                ("checked", "unchecked", "matmul"),
                ("INT+FP",),
                "exact",
                condition="arithmetic and comparisons of two tensors",
                ops=(
                    "add",
                    "sub",
                    "mul",
                    "div",
                    "minimum",
                    "maximum",
                    "matmul",
                    "eq",
                    "ge",
                    "gt",
                    "le",
                    "lt",
                    "grid_sampler_2d",
                ),
            ),
        ),
    ),
    Announcement(
        "#22566",
        "2026-09-04",
        "merged",
        "shares equal RESCALEs after an A16W8 convolution and clones the convolution for each other quantization",
        (Concern("OP701", condition="a convolution whose result is rescaled in several ways"),),
    ),
    Announcement(
        "#22879",
        "2026-09-16",
        "merged",
        "lowers dynamically quantized W8A8 linears with float support to an INT8 MATMUL",
        (
            Concern("PL401", profiles=("INT+FP",), expected="exact", condition=_DYNAMIC, ops=("linear",), dynamic=True),
            Concern("PL403", profiles=("INT+FP",), expected="exact", condition=_DYNAMIC, ops=("linear",), dynamic=True),
            Concern("PL404", profiles=("INT+FP",), expected="exact", condition=_DYNAMIC, ops=("linear",), dynamic=True),
        ),
    ),
    Announcement(
        "#22639",
        "2026-09-09",
        "merged",
        "annotates a static roll as data movement and rewrites it to slices and a cat in the backend",
        (
            Concern("QD202", ("moved",), expected="wrong", condition="a static roll", ops=("roll",)),
            Concern("QD203", basis="mechanism", condition="the cat that a roll becomes", appears=True),
            Concern("OP711", basis="mechanism", condition="the cat that a roll becomes", appears=True),
        ),
    ),
    Announcement(
        "#22868",
        "2026-09-16",
        "merged",
        "rewrites slices of a cat to slices of what it joins",
        (
            Concern("QD201", basis="mechanism", condition="slices of a cat", ops=("slice",), beside=("cat",)),
            Concern("QD203", basis="mechanism", condition="a cat that slices read", ops=("cat",), beside=("slice",)),
            Concern("OP711", basis="mechanism", condition="a cat that slices read", ops=("cat",), beside=("slice",)),
        ),
    ),
    Announcement(
        "#22837",
        "2026-09-15",
        "merged",
        "flattens a cat of a cat along one dimension and keeps the qparams of the outer one's inputs",
        (
            Concern("QD201", basis="mechanism", condition="a cat of a cat", ops=("cat",), beside=("cat",)),
            Concern("QD203", basis="mechanism", condition="a cat of a cat", ops=("cat",), beside=("cat",)),
            Concern("OP711", basis="mechanism", condition="a cat of a cat", ops=("cat",), beside=("cat",)),
        ),
    ),
    Announcement(
        "#22549",
        "2026-09-04",
        "merged",
        "lets RemovePermutesAroundElementwiseOps pass amax, amin and views that only add dimensions of size 1",
        (
            Concern("OP709", basis="mechanism", condition="amax and amin after a view", appears=True),
            Concern("OP711", basis="mechanism"),
        ),
    ),
    Announcement(
        "#22637",
        "2026-09-09",
        "merged",
        "replaces the safe softmax of an unmasked attention by a plain one before it is annotated",
        (
            Concern("PL402", ("where",), condition=_UNMASKED, inside=_SDPA),
            Concern("PL405", basis="mechanism", condition=_UNMASKED, inside=_SDPA),
            Concern("QD203", ("peers",), basis="mechanism", condition=_UNMASKED, inside=_SDPA),
            Concern("QD205", basis="mechanism", condition=_UNMASKED, inside=_SDPA),
        ),
    ),
    Announcement(
        "#22935",
        "2026-09-18",
        "merged",
        "decomposes a quantized power of two tensors to TOSA operators, exp and log among them",
        (
            Concern("DT503", basis="mechanism", condition="the tables of a power of two tensors", appears=True),
            Concern("DT506", basis="mechanism", condition="the tables of a power of two tensors", appears=True),
        ),
    ),
    Announcement(
        "#22641",
        "2026-09-09",
        "merged",
        "lets extension/llm quantize a static KV cache per tensor, so that its index_put is delegated",
        (
            Concern("BO601", basis="mechanism", condition="a model with StaticQuantizedKVCache", appears=True),
            Concern("QD202", basis="mechanism", condition="a model with StaticQuantizedKVCache", appears=True),
        ),
    ),
    Announcement(
        "#21446",
        "2026-07-28",
        "open",
        "makes a max_pool1d a max_pool2d before it is annotated",
        (
            Concern("OP703", basis="mechanism", condition="a max_pool1d without a stride", appears=True),
            Concern("PL405", basis="mechanism", condition="a max_pool1d of raw integers", appears=True),
        ),
    ),
)

RELEASE_NOTES: tuple[ReleaseNote, ...] = (
    ReleaseNote(
        ">=1.6", "#22514", "Partitioners keep their compile specs, and a hook runs before torch decomposes the program"
    ),
    ReleaseNote(
        ">=1.6", "#22671", "The backend decomposes more ops, among them topk, sums of bools, gathers and max_pool1d"
    ),
    ReleaseNote(">=1.6", "#22838", "The quantizer that is not composable is to be removed; the change was still open"),
    ReleaseNote("==1.5.0", "#22826", "1.5.0 leaves every op with a symbolic dimension on the CPU, and 1.5.1 does not"),
)
