"""What a repair changes in a graph, described without torch.

Rules plan rewrites, a finding carries its own, and fuseguard.executorch.repair makes them. The principle: insert an
explicit requantization exactly where the quantization domain changes. Since Q(DQ(c)) = c, a quantize/dequantize pair
loses nothing if the value already consists of codes of those qparams, or if what follows is monotone and ends in the
same Q.
"""

from __future__ import annotations

from typing import TypeAlias

from fuseguard.ir.graph import Arg, Ref
from fuseguard.ir.qparams import QParams
from fuseguard.ir.value import Value


class Pair(Value, frozen=True):
    """A quantize op with these qparams and its dequantize op."""

    qparams: QParams

    def __str__(self) -> str:
        return f"quantize/dequantize ({self.qparams})"


#: Stands for the value so far among the further arguments of a :class:`Call`.
VALUE = Ref("value")


class Call(Value, frozen=True):
    """An operator on the value so far: ``target`` as ``namespace.op.overload``, ``args`` after the value.

    A :class:`Ref` other than VALUE stands for a node of the program, and the name of a dtype for that dtype. The call
    is marked as quantized by Arm's quantizer unless ``annotated`` is False.
    """

    target: str
    args: tuple[Arg, ...] = ()
    annotated: bool = True

    def __str__(self) -> str:
        args = (arg.name if isinstance(arg, Ref) else str(arg) for arg in self.args)
        return f"{self.target}({', '.join(['value', *args])})"


class Insert(Value, frozen=True):
    """Puts ``steps``, in order, between the node ``value`` and those of its users named in ``users``."""

    value: str
    users: tuple[str, ...]
    steps: tuple[Pair | Call, ...]

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.value, *self.users))

    def __str__(self) -> str:
        return f"insert {', then '.join(map(str, self.steps))} between {self.value} and {', '.join(self.users)}"


class SetArgument(Value, frozen=True):
    """Gives ``node`` the argument at ``position`` (called ``name`` in its schema): a literal, or another node."""

    node: str
    position: int
    name: str
    value: Arg

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node, self.value.name) if isinstance(self.value, Ref) else (self.node,))

    def __str__(self) -> str:
        value = self.value.name if isinstance(self.value, Ref) else self.value
        return f"set {self.name} of {self.node} to {value}"


class SwapOperands(Value, frozen=True):
    """Exchanges the first two arguments of ``node``, which must be commutative."""

    node: str

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node,))

    def __str__(self) -> str:
        return f"swap the operands of {self.node}"


class Unannotate(Value, frozen=True):
    """Removes the quantizer's annotation from ``node``: the backend then treats it as the float op that it is."""

    node: str

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node,))

    def __str__(self) -> str:
        return f"mark {self.node} as float (remove Arm's annotation)"


class Replace(Value, frozen=True):
    """Replaces ``node`` with ``steps`` on a dequantize op of its own (a copy of ``source``). Removes ``node`` and what
    only it read.
    """

    node: str
    source: str
    steps: tuple[Pair | Call, ...]

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node, self.source))

    def __str__(self) -> str:
        return f"replace {self.node} with a copy of {self.source}, then {', then '.join(map(str, self.steps))}"


class Duplicate(Value, frozen=True):
    """Gives ``users`` a copy of ``nodes`` (each of which reads the one before), with dequantize ops of its own."""

    nodes: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((*self.nodes, *self.users))

    def __str__(self) -> str:
        return f"give {', '.join(self.users)} a copy of {' -> '.join(self.nodes)}"


class MakeConstant(Value, frozen=True):
    """Replaces ``node`` with a call of ``target`` that has only literals, and removes what only ``node`` read.

    ``args`` are the literals. The result has the shape and the dtype of ``node``, which is ``dtype`` by torch's short
    name.
    """

    node: str
    target: str
    args: tuple[Arg, ...]
    dtype: str

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node,))

    def __str__(self) -> str:
        return f"replace {self.node} with {self.target}({', '.join(map(str, self.args))}) of {self.dtype}"


class Fold(Value, frozen=True):
    """Computes ``node``, a quantize op of a value that depends on constants alone, and stores its codes instead.

    ``sources`` are the nodes that go with it where nothing else reads them.
    """

    node: str
    sources: tuple[str, ...]

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node, *self.sources))

    def __str__(self) -> str:
        return f"store the codes of {self.node}, which depends on constants alone"


class MakeParameter(Value, frozen=True):
    """Makes a parameter of ``node``, a buffer that the program does not write to, with the same values."""

    node: str

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node,))

    def __str__(self) -> str:
        return f"make a parameter of the buffer {self.node}"


class ReturnInstead(Value, frozen=True):
    """Makes the outputs return ``value`` where they return ``node``, and removes what nothing else reads then."""

    node: str
    value: str

    @property
    def touched(self) -> frozenset[str]:
        return frozenset((self.node, self.value))

    def __str__(self) -> str:
        return f"return {self.value} in place of {self.node}"


Edit: TypeAlias = (
    Insert
    | SetArgument
    | SwapOperands
    | Unannotate
    | Replace
    | Duplicate
    | MakeConstant
    | MakeParameter
    | Fold
    | ReturnInstead
)


class Rewrite(Value, frozen=True):
    """The edits that fix one finding, together. ``exact`` is False where the program's own results change.

    Nodes that edits leave without a reader are removed after all rewrites of a round, so that the order of the edits
    does not matter.
    """

    edits: tuple[Edit, ...]
    exact: bool = True

    @property
    def touched(self) -> frozenset[str]:
        """Every node that an edit changes or reads."""
        return frozenset().union(*(edit.touched for edit in self.edits)) if self.edits else frozenset()
