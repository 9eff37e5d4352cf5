"""Which ops an INT-only backend leaves on the CPU, as far as the graph tells. The BO rules share it.

Source: ``TOSA_PRO_INT_SupportList`` (tosa_profile_supported_op_lists.py) and ``TOSAPartitioner._tag_module`` of
ExecuTorch 1.2.0 to 1.5.1. What the INT
profile requires of quantization is in :mod:`fuseguard.backend.proper_quantization`, and what ops with an index require
of it in :mod:`fuseguard.backend.index_support`.

Rules that depend on it: BO601, BO604, OP723, PL401, PL402, QD201, QP307, and those of convert_full_like and
decompose_round and detag_boundary_nodes and early_dtypes and fuse_batch_norm and insert_const_shapes and int64_results
and integer_forms and misevaluated_functions and passed_on_inputs and passed_on_operands and permute_moves and
shared_outputs and sliced_operands and symbolic_sizes and unlowered_forms and unread_inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fuseguard.backend.as_strided import refuses_strides
from fuseguard.backend.decompose_mean import is_made_a_mean
from fuseguard.backend.index_support import refuses_index
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.proper_quantization import is_unlisted, refusal
from fuseguard.backend.releases import (
    DROPS_EMPTY_FLIPS,
    DROPS_EMPTY_PARTITIONS,
    DROPS_EMPTY_SQUEEZES,
    DROPS_PERMUTES_IN_ORDER,
)
from fuseguard.backend.rewrite_grid_sampler import runs_in_shader
from fuseguard.ir import Node, Trait, View
from fuseguard.ir.graph import Ref
from fuseguard.ir.ops import KINDS, QUANTIZERS
from fuseguard.ir.walks import reached
from fuseguard.target import Target

#: Float ops of the support lists that no rule asks more about, so that the op table does not have them.
_FURTHER = frozenset((
    "as_strided", "as_strided_copy", "celu", "copy", "cumsum", "eye", "floor_divide", "glu", "group_norm",
    "linspace", "native_group_norm", "prod", "selu", "slice_scatter", "square", "to", "_to_copy", "var",
))  # fmt: skip

#: What the edge dialect makes several ops of, each of which the support lists of floats have.
DECOMPOSED = frozenset((
    "addcdiv", "addcmul", "baddbmm", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "broadcast_tensors", "channel_shuffle", "dot", "hann_window", "hardshrink", "huber_loss", "l1_loss", "lerp",
    "log_sigmoid", "logsumexp", "mish", "mse_loss", "mv", "new_full", "new_ones", "new_zeros", "outer", "rms_norm",
    "smooth_l1_loss", "soft_margin_loss", "softplus", "softshrink", "std", "threshold",
))  # fmt: skip
#: Operators that no support list has, although others of their kind are there.
_UNLISTED = frozenset(("aten.pow.Scalar",))
#: Kinds that no support list has and that yield bools.
_UNLISTED_OF_BOOLS = frozenset(("isinf", "isnan"))

#: Ops that were not in the support lists before a release.
_SINCE = {"log10": "1.3", "flip": "1.4", "prod": "1.5"}

#: A where selects by a condition from two tensors.
_PLACES_OF_WHERE = 3

#: Kinds of which alone no partition is made, whatever the arguments.
_DROPPED = frozenset(("view", "clone", "getitem"))

#: What stays where its values come from.
_FOLLOWS = Trait.GETITEM | Trait.CONSTANT


def stays_on_cpu(view: View, node: Node, target: Target) -> bool:
    """Whether an INT-only backend leaves ``node`` on the CPU: it is not properly quantized, or not supported."""
    if node.op != "call" or node.kind in QUANTIZERS or node.meta is None:
        return False
    if runs_in_shader(view, node, target):
        return False
    answers = _answers(view, target)
    known = answers.get(node.name)
    if known is None:
        asked = (not node.info.has(_FOLLOWS) and node.meta.is_float) or node.kind in _UNLISTED_OF_BOOLS
        known = asked and (_is_unknown(view, node, target) or refusal(view, node, target) is not None)
        answers[node.name] = known = known or (target.is_u55 and _is_refused_on_u55(view, node, target))
    return known


def _is_refused_on_u55(view: View, node: Node, target: Target) -> bool:
    # Imported here, because few programs are checked for these targets, and a cold start pays for each module.
    from fuseguard.backend.ethos_u55_support import is_refused_on_u55

    return is_refused_on_u55(view, node, target)


@once_per_view
def _answers(view: View, target: Target) -> dict[str, bool]:
    """Those of :func:`stays_on_cpu` so far, by node: several rules ask it about every op."""
    del view, target
    return {}


def stays_on_cpu_with_float(view: View, node: Node, target: Target) -> bool:
    """Whether a backend with float support leaves ``node`` on the CPU: it is not supported, or only in float."""
    unsupported = _is_unknown(view, node, target) or (node.annotated and is_unlisted(node, target))
    return unsupported and stays_on_cpu(view, node, target)


def stays_outside(view: View, node: Node, target: Target) -> bool:
    """Whether the backend leaves ``node`` on the CPU, with float support or without it, as the target says."""
    return (stays_on_cpu_with_float if target.has_float else stays_on_cpu)(view, node, target)


def is_delegated(view: View, node: Node, target: Target) -> bool:
    """Whether ``node`` is an op that an INT-only backend takes."""
    computes = node.op == "call" and not view.is_q(node) and not view.is_dq(node)
    return computes and node.annotated and not stays_on_cpu(view, node, target)


def delegated_reader(view: View, node: Node, target: Target) -> Node | None:
    """An op that an INT-only backend takes and that reads the codes of ``node``."""
    readers = (reader for q in view.out_q(node) for _, reader in view.code_readers(q))
    return next((reader for reader in readers if is_delegated(view, reader, target)), None)


def _is_unknown(view: View, node: Node, target: Target) -> bool:
    if node.kind in _SINCE and target.release_in(f"<{_SINCE[node.kind]}"):
        return True
    listed = node.kind in KINDS or node.kind in _FURTHER or node.kind in DECOMPOSED or is_made_a_mean(node)
    if not listed or node.target in _UNLISTED:
        return True
    return refuses_strides(node) or refuses_index(view, node, target) or _selects_from_one(node)


def _selects_from_one(node: Node) -> bool:
    """Whether a where has one tensor in several places: WhereSupported counts its distinct inputs."""
    operands = [arg for arg in node.args if isinstance(arg, Ref)] if node.operator == "where" else []
    return len(operands) == _PLACES_OF_WHERE and len({operand.name for operand in operands}) < _PLACES_OF_WHERE


class CpuReach:
    """Whether the path of a value goes through the CPU and back to a Q, and the first such op on the way.

    ``refused`` are names of nodes that are kept on the CPU whatever they are; ``stays`` says which others are. A Q or
    DQ is refused along with its op, and counts by itself only where it has none: a Q right after a DQ, whose codes go
    on to a DQ that is not refused.
    """

    def __init__(
        self,
        view: View,
        target: Target,
        refused: frozenset[str] = frozenset(),
        stays: Callable[[View, Node, Target], bool] = stays_on_cpu,
    ) -> None:
        self._view, self._target = view, target
        self._refused = refused
        self._stays = stays
        self._through: dict[str, Node | None] = {}

    def through(self, value: Node) -> Node | None:
        """The first op on the CPU on the path of ``value``; None if the path does not come back from there."""
        if value.name not in self._through:
            for node in reversed(reached(value, self._view.users, self._through)):
                self._through[node.name] = self._next(node)
        return self._through[value.name]

    def _next(self, node: Node) -> Node | None:
        for user in self._view.users(node):
            if self._leaves(node, user):
                return user
            if self._through[user.name] is not None:
                return self._through[user.name]
        return None

    def _leaves(self, node: Node, user: Node) -> bool:
        view, refused = self._view, self._refused
        if user.kind not in QUANTIZERS:
            back = user.name in _requantized(view)
            return back and (user.name in refused or self._stays(view, user, self._target))
        return (
            user.name in refused
            and user.kind == "quantize"
            and node.kind == "dequantize"
            and any(reader.name not in refused for reader in view.users(user))
        )


@once_per_view
def _requantized(view: View) -> frozenset[str]:
    """The names of the values that a path leads from to a Q."""
    found: set[str] = set()
    for node in reversed(view.calls()):
        for user in view.users(node):
            if user.kind == "quantize" or user.name in found:
                found.add(node.name)
                break
    return frozenset(found)


def leaves_dqs_behind(view: View, node: Node, target: Target, detagged: frozenset[str] = frozenset()) -> bool:
    """Whether the DQs in front of ``node`` are lowered without it when it is taken out of an INT delegate.

    Before 1.4 they always are: the nodes that a partition began with say there whether it computes anything.
    """
    return not DROPS_EMPTY_PARTITIONS.in_force(target) or has_company(view, node, target, detagged)


def has_company(view: View, node: Node, target: Target, detagged: frozenset[str] = frozenset()) -> bool:
    """Whether the DQs in front of ``node`` stay in an INT delegate when ``node`` itself is taken out of it.

    They do where anything is computed in their partition; one of views, clones, Q and DQ alone is dropped. The
    partitioner puts all into one partition but what waits for the CPU. Where a partition goes on after ``node``, it
    is split into its connected components (1.4 and newer). ``detagged`` are names of DQs that are taken out of it, too,
    and with them what reads them.
    """
    computing = _computing(view, target, detagged)
    if delegated_reader(view, node, target) is not None:
        return any(name in computing for name in _component(view, node, target, detagged))
    apart = _beyond_cpu(view, target, node, view.graph.inputs) | _beyond_cpu(view, target, node, view.users)
    return any(name not in apart and name != node.name for name in computing)


def computes_beside(view: View, node: Node, target: Target, without: frozenset[str]) -> bool:
    """Whether an INT partition with ``node`` has an op that computes something, but for those in ``without``."""
    apart = _beyond_cpu(view, target, node, view.graph.inputs) | _beyond_cpu(view, target, node, view.users)
    return any(name not in apart and name not in without for name in _computing(view, target, frozenset()))


def computes_nothing(view: View, node: Node, target: Target) -> bool:
    """Whether the partitioner counts ``node`` among the ops of which alone no partition is made."""
    if node.kind in _DROPPED:
        return True
    if node.kind == "expand":
        return _keeps_shape(view, node)
    if node.kind == "squeeze":
        return DROPS_EMPTY_SQUEEZES.in_force(target) and _keeps_shape(view, node)
    dims = node.arg(1, "dims", None)
    if node.kind == "flip":
        return DROPS_EMPTY_FLIPS.in_force(target) and dims == ()
    if node.operator not in ("permute", "permute_copy") or not isinstance(dims, tuple):
        return False
    return DROPS_PERMUTES_IN_ORDER.in_force(target) and list(dims) == list(range(len(dims)))


def _keeps_shape(view: View, node: Node) -> bool:
    source = view.producer(node)
    return source is not None and source.meta is not None and node.meta == source.meta


@once_per_view
def _computing(view: View, target: Target, detagged: frozenset[str]) -> frozenset[str]:
    """The names of the ops that a partition is made of, but for those that read one of ``detagged``."""
    ops = [node for node in view.ops if not computes_nothing(view, node, target) and is_delegated(view, node, target)]
    return frozenset(node.name for node in ops if not any(item.name in detagged for item in view.graph.inputs(node)))


def _component(view: View, node: Node, target: Target, detagged: frozenset[str]) -> Iterator[str]:
    """The names of what is joined to the DQs in front of ``node`` otherwise than through it or one of ``detagged``.

    A Q whose input stays on the CPU is taken out of a partition, too, and joins nothing.
    """
    seen = {node.name}
    pending = [producer for producer in view.graph.inputs(node) if view.is_dq(producer)]
    while pending:
        item = pending.pop()
        if item.op != "call" or item.name in seen or item.name in detagged or stays_on_cpu(view, item, target):
            continue
        seen.add(item.name)
        yield item.name
        owner = view.owner(item) if view.is_q(item) else item
        if owner is None or owner.op != "call" or owner.name == node.name or stays_on_cpu(view, owner, target):
            continue
        pending += [*view.graph.inputs(item), *view.users(item)]


def _beyond_cpu(view: View, target: Target, node: Node, step: Callable[[Node], Sequence[Node]]) -> set[str]:
    """The names of what is reached from ``node`` through an op that stays on the CPU."""
    seen: set[tuple[str, bool]] = set()
    pending = [(node, False)]
    while pending:
        item, beyond = pending.pop()
        for other in step(item):
            if other.op == "call" and (other.name, beyond) not in seen:
                seen.add((other.name, beyond))
                pending.append((other, beyond or stays_on_cpu(view, other, target)))
    return {name for name, beyond in seen if beyond}


def is_quantized_split(view: View, node: Node) -> bool:
    """An annotated op that cuts codes into parts: split, split_with_sizes, chunk.

    The edge dialect makes slices of unbind and tensor_split, and each part has the partition of what follows it.
    """
    if node.kind != "split" or "tensor_split" in node.target or not node.annotated:
        return False
    return view.in_dq(node, 0) is not None
