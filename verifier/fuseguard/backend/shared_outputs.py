"""Which values that leave a delegate are one value to the backend, so that a VGF has one tensor for several outputs.

Source: ``EnsureUniqueOutputNodesPass`` of ExecuTorch 1.3.1 to 1.5.1, which gives each place of a repeated output a
``tosa.IDENTITY`` of its own; ``RemoveNoopPass``, ``FuseViewCopyTransformPass`` and ``FuseDuplicateUsersPass``, which
make one node of what is clone, view or repetition; and model-converter 0.11.0, which drops ``tosa.identity``: the
SPIR-V graph then sets several outputs to one id. All of it was seen in the VGFs of the rule's examples.

Rules that depend on it: BO606.
"""

from __future__ import annotations

from collections.abc import Hashable

from fuseguard.backend.partition import stays_on_cpu_with_float
from fuseguard.backend.per_view import once_per_view
from fuseguard.ir import Node, Ref, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.target import Target

#: Kinds that the backend turns into views of memory, of which only the shape at the end counts.
_VIEWS = frozenset(("view", "squeeze", "unsqueeze"))


@once_per_view
def shared_outputs(view: View, target: Target) -> tuple[tuple[Node, ...], ...]:
    """Groups of nodes that leave a delegate and have one value, each in the program's order.

    A value leaves where an output of the program or an op on the CPU reads it.
    """
    leaving = [node for node in view.calls() if _leaves(view, node, target)]
    if len(leaving) < 2:
        return ()
    numbers = _Numbers(view, target)
    groups: dict[int, list[Node]] = {}
    for node in leaving:
        groups.setdefault(numbers.of[node.name], []).append(node)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _leaves(view: View, node: Node, target: Target) -> bool:
    """Whether a delegate computes ``node`` and something outside reads it."""
    if node.info.has(Trait.CONTROL_FLOW | Trait.DELEGATE) or stays_on_cpu_with_float(view, node, target):
        return False
    return any(
        user.op == "output" or (user.op == "call" and stays_on_cpu_with_float(view, user, target))
        for user in view.users(node)
    )


class _Numbers:
    """Value numbering; ``of`` has the number of each node's value by its name."""

    def __init__(self, view: View, target: Target) -> None:
        self.of: dict[str, int] = {}
        self._known: dict[Hashable, int] = {}
        #: What a value is a view of, and how: number -> (number, shape).
        self._roots: dict[int, tuple[int, Hashable]] = {}
        #: What a DQ reads: number of its value -> (number of the codes, qparams).
        self._codes: dict[int, tuple[int, Hashable]] = {}
        for node in view.graph:
            self.of[node.name] = self._number(view, node, target)

    def _number(self, view: View, node: Node, target: Target) -> int:
        source = view.producer(node) if node.op == "call" and view.is_live(node) else None
        if source is None or source.op not in ("call", "placeholder"):
            return self._unique(node)
        value = self.of[source.name]
        if view.is_dq(node):
            return self._dequantized(view, node, value)
        if view.is_q(node):
            return self._quantized(view, node, source, value)
        if stays_on_cpu_with_float(view, node, target):
            return self._unique(node)
        if node.meta is None or source.meta is None or node.meta.dtype != source.meta.dtype:
            return self._computed(view, node)
        if node.kind == "clone" and node.arg(2, "train") is not True:
            return value
        if node.kind in _VIEWS and None not in node.meta.shape and None not in source.meta.shape:
            return self._viewed(value, source.meta.shape, node.meta.shape)
        return self._computed(view, node)

    def _dequantized(self, view: View, node: Node, codes: int) -> int:
        qparams = view.qparams(node)
        if qparams is None or "per_channel" in node.target:
            return self._unique(node)
        number = self._shared(("dequantize", codes, qparams))
        self._codes[number] = codes, qparams
        return number

    def _quantized(self, view: View, node: Node, source: Node, value: int) -> int:
        qparams = view.qparams(node)
        if qparams is None or len(view.out_q(source)) > 1:
            return self._unique(node)
        codes, before = self._codes.get(value, (-1, None))
        return codes if before == qparams else self._shared(("quantize", value, qparams))

    def _viewed(self, value: int, source: Hashable, shape: Hashable) -> int:
        """Codes are viewed as they are, so that a view between DQ and Q is one of the codes."""
        root, first = self._roots.get(value, (value, source))
        if shape == first:
            return root
        codes, qparams = self._codes.get(root, (-1, None))
        number = self._shared(("view", root, shape))
        self._roots[number] = root, first
        if qparams is not None:
            viewed = self._shared(("view", codes, shape))
            self._roots[viewed] = codes, first
            self._codes[number] = viewed, qparams
        return number

    def _computed(self, view: View, node: Node) -> int:
        """Ops that compute the same of the same are merged, but for anchors with a quantized result."""
        if node.info.has(Trait.MAC | Trait.CONTROL_FLOW | Trait.DELEGATE | Trait.CONSTANT):
            return self._unique(node)
        if len(view.graph.inputs(node)) > 1 and not node.info.has(Trait.GETITEM):
            return self._unique(node)  # each operand is brought to one scale by a rescale of its own
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
