"""Which values that leave a delegate are one value to the backend, so that a VGF has one tensor for several outputs.

Source: ``EnsureUniqueOutputNodesPass`` of ExecuTorch 1.3.1 to 1.5.1, which gives each place of a repeated output a
``tosa.IDENTITY`` of its own; ``RemoveNoopPass``, ``FuseViewCopyTransformPass`` and ``FuseDuplicateUsersPass``, which
make one node of what is clone, view or repetition; and model-converter 0.11.0, which drops ``tosa.identity``: the
SPIR-V graph then sets several outputs to one id. All of it was seen in the VGFs of the rule's examples.

Rules that depend on it: BO606, OP727, and those of passed_on_inputs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from fuseguard.backend.delegates import delegate_numbers
from fuseguard.backend.int64_results import stays_for_int64
from fuseguard.backend.partition import stays_outside
from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.value_range import reach_on
from fuseguard.ir import Node, QParams, Ref, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.ir.intervals import quantized
from fuseguard.ir.value import Value
from fuseguard.target import Target

_RUNS_OTHERS = Trait.CONTROL_FLOW | Trait.DELEGATE

#: Kinds that the backend turns into views of memory, of which only the shape at the end counts.
_VIEWS = frozenset(("view", "squeeze", "unsqueeze"))


@once_per_view
def shared_outputs(view: View, target: Target) -> tuple[tuple[Node, ...], ...]:
    """Groups of nodes that leave a delegate and have one value, each in the program's order.

    A value leaves where an output of the program or an op on the CPU reads it.
    """
    leaving = leaving_nodes(view, target)
    if len(leaving) < 2:
        return ()
    numbers = value_numbers(view, target)
    delegates = delegate_numbers(view, lambda node: stays_outside(view, node, target))
    groups: dict[tuple[int, int], dict[str, Node]] = {}
    for node in leaving:
        group = groups.setdefault((numbers[node.name], delegates[node.name]), {})
        group.setdefault(_output(view, node, target), node)
    return tuple(tuple(group.values()) for group in groups.values() if len(group) > 1)


def _output(view: View, node: Node, target: Target) -> str:
    """The name of what leaves: without float support, codes leave, and all DQs of them are outside."""
    codes = view.producer(node) if view.is_dq(node) and not target.has_float else None
    return node.name if codes is None else codes.name


@once_per_view
def first_with_value(view: View, target: Target) -> Mapping[str, Node]:
    """By the name of a node of :func:`shared_outputs`, the first node of its group."""
    return {node.name: group[0] for group in shared_outputs(view, target) for node in group}


def leaving_nodes(view: View, target: Target) -> tuple[Node, ...]:
    """What a delegate computes and something outside reads, in the program's order."""
    return tuple(node for node in view.calls() if _leaves(view, node, target))


@once_per_view
def value_numbers(view: View, target: Target) -> Mapping[str, int]:
    """By the name of a node, a number that all nodes have which are one value to the backend."""
    return _Numbers(view, target).of


def _leaves(view: View, node: Node, target: Target) -> bool:
    """Whether a delegate computes ``node`` and something outside reads it."""
    if node.info.has(_RUNS_OTHERS) or _is_outside(view, node, target):
        return False
    return any(user.op == "output" or _is_outside(view, user, target) for user in view.users(node))


def _is_outside(view: View, node: Node, target: Target) -> bool:
    """Whether an op stays on the CPU, for its dtypes too."""
    return node.op == "call" and (stays_outside(view, node, target) or stays_for_int64(view, target, node))


class _Root(Value, frozen=True):
    """The value that a layout began with, its layout there and the layout now."""

    number: int
    neutral: tuple[int, ...]
    state: tuple[int, ...]


class _Numbers:
    """Value numbering; ``of`` has the number of each node's value by its name."""

    def __init__(self, view: View, target: Target) -> None:
        self.of: dict[str, int] = {}
        self._known: dict[Hashable, int] = {}
        #: What a value is another layout of, by the kind of layout and its number.
        self._roots: dict[tuple[str, int], _Root] = {}
        self._alike: dict[str, bool] = {}
        #: What a DQ reads: number of its value -> (number of the codes, qparams).
        self._codes: dict[int, tuple[int, QParams]] = {}
        for node in view.graph:
            self.of[node.name] = self._number(view, node, target)

    def _number(self, view: View, node: Node, target: Target) -> int:
        inputs = view.graph.inputs(node) if node.op == "call" and view.is_live(node) else ()
        source = inputs[0] if inputs else None
        if source is None or source.op not in ("call", "placeholder"):
            return self._unique(node)
        value = self.of[source.name]
        if view.is_dq(node):
            return self._dequantized(view, node, value)
        if view.is_q(node):
            return self._quantized(view, node, source, value, target)
        if stays_outside(view, node, target):
            return self._unique(node)
        if node.meta is None or source.meta is None or node.meta.dtype != source.meta.dtype:
            return self._computed(node)
        if node.kind == "clone" and node.arg(2, "train") is not True:
            return value
        shape, given = _fixed(node.meta.shape), _fixed(source.meta.shape)
        if shape is None or given is None:
            return self._computed(node)
        if node.kind in _VIEWS:
            return self._moved("view", value, given, shape)
        if node.kind == "permute" and (dims := _dims(node)):
            before = self._roots.get(("permute", value))
            order = tuple(before.state[dim] for dim in dims) if before is not None else dims
            return self._moved("permute", value, tuple(range(len(dims))), order)
        return value if shape == given and _changes_nothing(view, node) else self._computed(node)

    def _dequantized(self, view: View, node: Node, codes: int) -> int:
        qparams = view.qparams(node)
        if qparams is None or "per_channel" in node.target:
            return self._unique(node)
        number = self._shared(("dequantize", codes, _grid(qparams)))
        self._codes[number] = codes, qparams
        return number

    def _quantized(self, view: View, node: Node, source: Node, value: int, target: Target) -> int:
        qparams = view.qparams(node)
        if qparams is None or not self._are_alike(view, source):
            return self._unique(node)
        codes, before = self._codes.get(value, (-1, None))
        if before == qparams:
            return codes
        # Limits that no value reaches make no other codes, and no other lookup table.
        reached = quantized(reach_on(view, target).of(source), qparams) if qparams.usable else None
        return self._shared(("quantize", value, _grid(qparams), reached))

    def _are_alike(self, view: View, source: Node) -> bool:
        """Whether all Qs of a value have the same qparams: of several, the backend keeps those of one."""
        if source.name not in self._alike:
            self._alike[source.name] = len({view.qparams(q) for q in view.out_q(source)}) <= 1
        return self._alike[source.name]

    def _moved(self, how: str, value: int, neutral: tuple[int, ...], state: tuple[int, ...]) -> int:
        """The number of a value that is another one in another layout; of several in a row, the last counts.

        ``neutral`` is the layout that changes nothing. Codes are moved as they are, so that what moves a value between
        DQ and Q moves its codes.
        """
        before = self._roots.get((how, value), _Root(value, neutral, neutral))
        root, neutral = before.number, before.neutral
        if state == neutral:
            return root
        codes, qparams = self._codes.get(root, (-1, None))
        number = self._shared((how, root, state))
        self._roots[how, number] = _Root(root, neutral, state)
        if qparams is not None:
            moved = self._shared((how, codes, state))
            self._roots[how, moved] = _Root(codes, neutral, state)
            self._codes[number] = moved, qparams
            self._known.setdefault(("dequantize", moved, _grid(qparams)), number)
        return number

    def _computed(self, node: Node) -> int:
        """Ops that compute the same of the same are merged, but for anchors with weights.

        Two numbers of the model (x + 2, twice) are two constants once they are quantized, and so not the same.
        """
        if node.info.has(Trait.CONTROL_FLOW | Trait.DELEGATE | Trait.CONSTANT):
            return self._unique(node)
        if node.info.has(Trait.MAC) and node.kind != "matmul":
            return self._unique(node)
        return self._shared((node.target, self._arguments(node.args), tuple(sorted(node.kwargs.items(), key=str))))

    def _argument(self, arg: Arg) -> Hashable:
        if isinstance(arg, Ref):
            return ("use", self.of[arg.name])
        return self._arguments(arg) if isinstance(arg, tuple) else (type(arg), arg)

    def _arguments(self, args: tuple[Arg, ...]) -> Hashable:
        return tuple([self._argument(arg) for arg in args])

    def _unique(self, node: Node) -> int:
        return self._shared(("node", node.name))

    def _shared(self, key: Hashable) -> int:
        return self._known.setdefault(key, len(self._known))


def _grid(qparams: QParams) -> Hashable:
    """What the codes mean, whatever their limits."""
    return qparams.scales, qparams.zero_points, qparams.dtype, qparams.axis, qparams.source


def _fixed(shape: tuple[int | None, ...]) -> tuple[int, ...] | None:
    """The sizes, None if one is not known before the program runs."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else None


def _dims(node: Node) -> tuple[int, ...]:
    """How a permute orders its dimensions; () where that is not known."""
    dims = node.arg(1, "dims", ())
    if node.operator not in ("permute", "permute_copy") or not isinstance(dims, tuple):
        return ()
    return tuple(dim % len(dims) for dim in dims if isinstance(dim, int))


def _changes_nothing(view: View, node: Node) -> bool:
    """Whether an op whose result has the shape and the dtype of its operand hands that on: RemoveNoopPass drops it.

    A repeat by one becomes TILE, which stays.
    """
    if node.kind == "cat":
        return len(view.graph.inputs(node)) == 1
    if node.kind == "pad":
        amounts = node.arg(1, "pad", ())
        return isinstance(amounts, tuple) and not any(amounts)
    return node.kind in ("expand", "slice")
