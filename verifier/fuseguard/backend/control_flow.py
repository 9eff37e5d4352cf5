"""What the backend reads of a cond or while_loop: operands, entries and exits of the bodies, results.

Source: ``InsertControlFlowRescalesPass`` and ``FoldAndAnnotateQParamsPass._handle_control_flow_node`` of ExecuTorch
1.2.0 to 1.5.1.

Rules that depend on it: BO603, and those of control_flow_faults and passed_on_operands.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import lru_cache

from fuseguard.engine.effort import MAX_ITEMS, work
from fuseguard.ir.graph import Arg, Graph, Node, Ref
from fuseguard.ir.ops import Trait
from fuseguard.ir.qparams import QParams
from fuseguard.ir.value import Value
from fuseguard.ir.view import View

#: Codes are compared one by one, up to those of 16 bits.
_MOST_CODES = 1 << 16
#: As many of them take as long as a lookup table does.
_CODES_OF_A_TABLE = 1 << 11
#: What floats may make of a tie, in steps.
_HAIR = 1e-6
#: Ops that make a tensor of one value, without arguments for it, and that value.
_ALL_ALIKE = {"zeros": 0.0, "zeros_like": 0.0, "ones": 1.0, "ones_like": 1.0}
#: The comparison with its operands exchanged.
_TURNED = {"gt": "lt", "lt": "gt"}


class Body(Value, frozen=True):
    """A branch, a loop's condition or a loop's body: what it is given and what it ends with, in order."""

    view: View
    inputs: tuple[Node, ...]
    ends: tuple[Node | None, ...]

    @classmethod
    def of(cls, graph: Graph) -> Body:
        ends: Arg = next((node.args[0] for node in graph if node.op == "output" and node.args), ())
        values = tuple(graph.node_of(end) for end in (ends if isinstance(ends, tuple) else (ends,)))
        return cls(View(graph), tuple(node for node in graph if node.op == "placeholder"), values)


class Carry(Value, frozen=True):
    """Codes that a loop hands to its next round: ``leaves`` at the end of the body, rescaled to ``after`` (as is where
    nothing reads the result), and read as ``entered``.
    """

    leaves: QParams
    after: QParams
    entered: QParams

    def read(self, code: int) -> float:
        """The value that the next round reads for a code at the end of the body."""
        return self.entered.dequantize(self.after.quantize(self.leaves.dequantize(code)))

    def codes(self) -> range:
        return range(self.leaves.qmin, self.leaves.qmax + 1)

    @property
    def is_countable(self) -> bool:
        return all(map(is_countable, (self.leaves, self.after, self.entered)))

    @property
    def only_rounds(self) -> bool:
        """Whether the next round reads what the body yields, but for one rounding more. Raises TooMuchWork."""
        _count(self, self.leaves)
        return self.after.same_domain(self.entered) and _only_rounds(self)

    def tells_apart(self, entry: QParams) -> bool:
        """Whether ``entry``, with which the next round begins, sees another value than the body yields.

        Raises TooMuchWork.
        """
        _count((self, entry), self.leaves)
        return _carried_apart(self, entry)


class Call(Value, frozen=True):
    """A control-flow op: ``operands`` in order, ``bodies`` (of a loop the condition, then the body), ``results`` by
    number (a result that nothing reads is missing). ``fixed``: the last so many operands are the additional inputs of a
    loop, which it does not carry along.
    """

    node: Node
    view: View
    operands: tuple[Node, ...]
    bodies: tuple[Body, ...]
    results: dict[int, Node]
    fixed: int = 0

    @property
    def is_loop(self) -> bool:
        return self.node.kind == "while_loop"

    @property
    def is_never_entered(self) -> bool:
        """Whether no input can meet a loop's condition: it compares codes with a constant at the end of their range,
        where the constant lies itself or has been clamped to by calibration on values that never met it.
        """
        if not self.is_loop or not self.bodies[0].ends:
            return False
        view, end = self.bodies[0].view, self.bodies[0].ends[0]
        while end is not None and end.info.has(Trait.TRANSPARENT) and end.args:
            end = view.producer(end)
        if end is None or end.kind not in _TURNED or not end.annotated:
            return False
        sides = [view.graph.node_of(arg) for arg in end.args[:2]]
        domains = [view.qparams(side) if side is not None and view.is_dq(side) else None for side in sides]
        if len(domains) != 2 or domains[0] is None or domains[0] != domains[1] or not is_countable(domains[0]):
            return False
        for side, kind in zip(sides[::-1], (end.kind, _TURNED[end.kind]), strict=True):
            value = _constant_value(view, side) if side is not None else None
            if value is not None:
                return domains[0].quantize(value) == (domains[0].qmax if kind == "gt" else domains[0].qmin)
        return False

    def operand_qparams(self) -> list[QParams | None]:
        """The qparams of each operand, None for those that are not dequantized."""
        return [self.view.qparams(operand) if self.view.is_dq(operand) else None for operand in self.operands]

    @property
    def common_qparams(self) -> QParams | None:
        """The qparams that the backend gives all operands: those of the first that is dequantized."""
        return next((qparams for qparams in self.operand_qparams() if qparams), None)

    def entries(self, number: int) -> list[list[QParams]]:
        """For each body the qparams of the Qs that it puts on an operand, in order."""
        return [
            [qparams for q in body.view.out_q(entry) if (qparams := body.view.qparams(q)) is not None]
            for body, entry in self._given(number)
        ]

    def quantized_additional_inputs(self) -> Iterator[tuple[Node, Node]]:
        """The additional inputs that the loop's body quantizes, and by which Q."""
        body = self.bodies[-1]
        for number in range(len(self.operands) - self.fixed, len(self.operands)):
            quantizers = body.view.out_q(body.inputs[number]) if number < len(body.inputs) else []
            if quantizers:
                yield self.operands[number], quantizers[0]

    def tells_apart(self, number: int, meant: QParams, taken: QParams) -> bool:
        """Whether any body sees another value where codes of an operand with qparams ``meant`` are taken for others.

        Raises TooMuchWork.
        """
        if meant.same_domain(taken):
            return False
        if meant.dtype != taken.dtype or not (is_countable(meant) and is_countable(taken)):
            return True
        entries = {found[-1] for found in self.entries(number) if found}
        if not entries or not all(map(is_countable, entries)):
            return True
        return any(reads_apart(meant, taken, entry) for entry in entries)

    def read_in_float(self, number: int) -> Node | None:
        """What in a body reads an operand and is not a Q, if anything."""
        for body, entry in self._given(number):
            for reader in body.view.users(entry):
                if not body.view.is_q(reader):
                    return reader
        return None

    def is_used(self, number: int) -> bool:
        """Whether any body reads an operand."""
        return any(body.view.users(entry) for body, entry in self._given(number))

    def _given(self, number: int) -> Iterator[tuple[Body, Node]]:
        return ((body, body.inputs[number]) for body in self.bodies if number < len(body.inputs))

    def bare_end(self, number: int) -> Node | None:
        """What a body yields for a result without a DQ after it, in float; of a loop the body alone yields any."""
        for body in self.bodies[-1:] if self.is_loop else self.bodies:
            end = body.ends[number] if number < len(body.ends) else None
            if end is not None and end.meta is not None and end.meta.is_float and not body.view.is_dq(end):
                return end
        return None

    def carries(self) -> list[Carry | None]:
        """What becomes of each operand of a loop between two rounds, None where nothing is known of it."""
        common = self.common_qparams
        found = []
        for number in range(len(self.operands)):
            leaves = self.loop_exit(number)
            after = self.result_qparams(number) if number in self.results else None
            carry = Carry(leaves, after or leaves, common) if leaves and common else None
            found.append(carry if carry is not None and carry.is_countable else None)
        return found

    def loop_exit(self, number: int) -> QParams | None:
        """The qparams of the DQ with which a loop's body ends for one carried value."""
        body = self.bodies[-1]
        end = body.ends[number] if number < len(body.ends) else None
        return body.view.qparams(end) if end is not None and body.view.is_dq(end) else None

    def result_qparams(self, number: int) -> QParams | None:
        """The qparams of the Q after a result."""
        result = self.results.get(number)
        return self.view.out_qp(result) if result is not None else None


def is_countable(qparams: QParams) -> bool:
    """Whether each code can be looked at: few enough codes, of one positive scale."""
    return qparams.usable and qparams.qmax - qparams.qmin < _MOST_CODES


def _count(item: Hashable, codes: QParams) -> None:
    work(item, max(1, (codes.qmax - codes.qmin) // _CODES_OF_A_TABLE))


def reads_apart(meant: QParams, taken: QParams, entry: QParams) -> bool:
    """Whether any code of ``meant`` is another one of ``entry`` where it is taken for a code of ``taken``.

    The qparams must be countable. Raises TooMuchWork.
    """
    _count((meant, taken, entry), meant)
    return _reads_apart(meant, taken, entry)


@lru_cache(maxsize=MAX_ITEMS)
def _reads_apart(meant: QParams, taken: QParams, entry: QParams) -> bool:
    return any(
        entry.quantize(meant.dequantize(code)) != entry.quantize(taken.dequantize(code))
        for code in range(meant.qmin, meant.qmax + 1)
    )


@lru_cache(maxsize=MAX_ITEMS)
def _only_rounds(carry: Carry) -> bool:
    half = carry.entered.scale * (0.5 + _HAIR)
    return all(abs(carry.read(code) - carry.leaves.dequantize(code)) <= half for code in carry.codes())


@lru_cache(maxsize=MAX_ITEMS)
def _carried_apart(carry: Carry, entry: QParams) -> bool:
    return any(
        entry.quantize(carry.read(code)) != entry.quantize(carry.leaves.dequantize(code)) for code in carry.codes()
    )


def changes_codes(given: QParams, read: QParams) -> bool:
    """Whether any code of ``given`` is another one of ``read``. The qparams must be countable. Raises TooMuchWork."""
    _count((given, read), given)
    return _changes_codes(given, read)


@lru_cache(maxsize=MAX_ITEMS)
def _changes_codes(given: QParams, read: QParams) -> bool:
    return any(read.quantize(given.dequantize(code)) != code for code in range(given.qmin, given.qmax + 1))


def _constant_value(view: View, dq: Node) -> float | None:
    """The one value that a graph makes itself and quantizes in front of ``dq``."""
    q = view.producer(dq)
    made = view.producer(q) if q is not None and view.is_q(q) else None
    if made is None:
        return None
    name = made.operator
    value = made.args[1] if name in ("full", "full_like") and len(made.args) > 1 else _ALL_ALIKE.get(name)
    return float(value) if isinstance(value, int | float) else None


def calls(view: View) -> Iterator[Call]:
    """The annotated control-flow ops of a graph whose bodies are known."""
    for node in view.calls(Trait.CONTROL_FLOW):
        # cond(predicate, true, false, operands); while_loop(condition, body, carried, additional)
        loop = node.kind == "while_loop"
        given = [node.args[place] if place < len(node.args) else () for place in ((2, 3) if loop else (3,))]
        groups = [group if isinstance(group, tuple) else () for group in given]
        operands = [operand for group in groups for operand in group]
        names = [name for name in node.args if isinstance(name, str) and name in view.graph.subgraphs]
        if not node.annotated or len(names) != 2:
            continue
        nodes = tuple(view.graph[operand.name] for operand in operands if isinstance(operand, Ref))
        if len(nodes) == len(operands):
            bodies = tuple(Body.of(view.graph.subgraphs[name]) for name in names)
            yield Call(node, view, nodes, bodies, dict(_results(view, node)), len(groups[-1]) if loop else 0)


def _results(view: View, node: Node) -> Iterator[tuple[int, Node]]:
    for user in view.users(node):
        number = user.args[1] if len(user.args) > 1 else None
        if isinstance(number, int):
            yield number, user


def loop_roundings(view: View) -> dict[str, list[Carry | None]]:
    """By loop: the carried values that are rounded once more between two rounds; None where they are not, or worse."""
    return {
        call.node.name: [item if item is not None and item.only_rounds else None for item in call.carries()]
        for call in calls(view)
        if call.is_loop
    }
