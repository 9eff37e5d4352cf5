"""Value numbering: which values the backend takes for one.

Source: ``FuseDuplicateUsersPass`` of ExecuTorch 1.2.0, 1.3.1, 1.4.1 and 1.5.1.

Rules that depend on it: OP709, OP711, QD201, and those of fuse_identical_inputs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import count

from fuseguard.backend.per_view import once_per_view
from fuseguard.backend.value_range import reach_on
from fuseguard.ir import Node, QParams, Ref, Trait, View
from fuseguard.ir.graph import Arg
from fuseguard.ir.intervals import quantized
from fuseguard.target import Target


class Numbers:
    """Value numbering: two values have the same number if the backend may merge what makes them, and rightly so.

    ``alike`` says of each op that computes the same as another one, by name, what that is and what a merge must not
    change of it: the first of several before the second, all others in the program's order.
    """

    def __init__(self, view: View) -> None:
        self._of: dict[str, int] = {}
        self._known: dict[Hashable, int] = {}
        self._unused = count()
        #: The first op that computes what a signature says.
        self.signatures: dict[Hashable, Node] = {}
        self.alike: dict[str, tuple[Hashable, Hashable]] = {}
        for node in view.graph:
            if node.op != "call" or not view.is_live(node):
                self.unique(node)
            elif view.is_dq(node) and node.args and isinstance(node.args[0], Ref):
                self.same(node, node.args[0].name)  # folded: users read the codes themselves
            elif view.is_q(node):
                self.requantized(node, view.qparams(node))
            elif not (node.annotated or node.info.has(Trait.GETITEM)):
                self.unique(node)
            else:
                self.described(view, node)

    def number(self, node: Node) -> int:
        """The number of a node's value, which a DQ shares with the codes that it reads."""
        return self._of[node.name]

    def unique(self, node: Node) -> None:
        self._of[node.name] = next(self._unused)

    def same(self, node: Node, as_name: str) -> None:
        self._of[node.name] = self._of[as_name]

    def requantized(self, node: Node, qparams: QParams | None) -> None:
        producer = node.args[0] if node.args else None
        if qparams is None or not isinstance(producer, Ref):
            self.unique(node)
        else:
            self.shared(node, (self._of[producer.name], qparams))

    def shared(self, node: Node, key: Hashable) -> None:
        if key not in self._known:
            self._known[key] = next(self._unused)
        self._of[node.name] = self._known[key]

    def described(self, view: View, node: Node) -> None:
        signature: Hashable = self.signature(node)
        if node.kind == "sum":  # FoldAndAnnotateQParamsPass makes the dtype of the result an argument of theirs
            signature = signature, tuple({qparams.dtype for qparams in outputs_of(view, node)})
        first = self.signatures.setdefault(signature, node)
        if first is node:
            self.unique(node)
            return
        if first.name not in self.alike:  # what a merge must not change takes long to say, and few ops are alike
            self.alike[first.name] = signature, _meaning(view, first)
            self._known[self.alike[first.name]] = self._of[first.name]
        self.alike[node.name] = signature, _meaning(view, node)
        self.shared(node, self.alike[node.name])

    def signature(self, node: Node) -> tuple[Hashable, ...]:
        """Operator and arguments, uses by number. Python takes 1, 1.0 and True for the same, hence the types."""
        if not node.kwargs:
            return (node.target, self._arguments(node.args))
        names = sorted(node.kwargs)
        return (node.target, self._arguments(node.args), *names, self._arguments(node.kwargs[name] for name in names))

    def _arguments(self, args: Iterable[Arg]) -> Hashable:
        return tuple([
            ("use", self._of[arg.name]) if isinstance(arg, Ref)
            else self._arguments(arg) if isinstance(arg, tuple)
            else (type(arg), arg)
            for arg in args
        ])  # fmt: skip


@once_per_view
def numbers_of(view: View) -> Numbers:
    """The numbers of a view, computed once for the check and for the repairs of all that it finds."""
    return Numbers(view)


def _meaning(view: View, node: Node) -> tuple[Hashable, ...]:
    """What a merge must not change: the qparams the codes are read with and written with.

    An anchor whose activation owns the output qparams is told apart by activation and qparams.
    """
    inputs = tuple(view.qparams(item) for item in view.graph.inputs(node) if view.is_dq(item))
    owner = view.output_owner(node)
    activation = (owner.target, owner.args[1:]) if owner is not node else None
    return (inputs, activation, frozenset(outputs_of(view, owner)))


def merged_harmlessly(view: View, node: Node, twin: Node, target: Target) -> bool:
    """Whether two ops that differ in the qparams of their results alone have the same codes all the same.

    That is so where the qparams differ in qmin and qmax, and no value reaches the codes that only one of them has.
    """
    (inputs, activation, _), (others, other, _) = _meaning(view, node), _meaning(view, twin)
    results, its_results = (outputs_of(view, view.output_owner(item)) for item in (node, twin))
    if (inputs, activation) != (others, other) or len(results) != 1 or len(its_results) != 1:
        return False
    [one], [another] = results, its_results
    if not (one.usable and another.usable) or one.dtype != another.dtype:
        return False
    values = reach_on(view, target).of(view.output_owner(node))
    codes = quantized(values, one)
    same_grid = (one.scale, one.zero_point) == (another.scale, another.zero_point)
    return codes == quantized(values, another) and (same_grid or codes[0] == codes[1])


def outputs_of(view: View, node: Node) -> list[QParams]:
    """The qparams after an op."""
    return [qparams for q in view.out_q(node) if (qparams := view.qparams(q)) is not None]
