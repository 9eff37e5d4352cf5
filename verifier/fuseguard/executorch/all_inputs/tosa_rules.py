"""What each TOSA operator does to the form of its operands (forms.py), after the specification.

Every rule is checked by running it: the whole cell is run in the reference model on some codes, too (sampling.py).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fuseguard.executorch.all_inputs.forms import (
    Accumulator,
    Array,
    Elements,
    Expr,
    Expressions,
    Leaves,
    Unsupported,
    constant_elements,
    joined,
    pointwise,
)
from fuseguard.executorch.all_inputs.monotone import OnAllCodes, affine_codes, is_monotone
from fuseguard.executorch.all_inputs.tosa_file import TosaFile

#: Element by element; the number of operands that are tensors. What follows them are parameters.
POINTWISE = {
    "ABS": 1, "ADD": 2, "ARITHMETIC_RIGHT_SHIFT": 2, "BITWISE_AND": 2, "BITWISE_NOT": 1, "BITWISE_OR": 2,
    "BITWISE_XOR": 2, "CAST": 1, "CEIL": 1, "CLAMP": 1, "CLZ": 1, "COS": 1, "EQUAL": 2, "ERF": 1, "EXP": 1, "FLOOR": 1,
    "GREATER": 2, "GREATER_EQUAL": 2, "INTDIV": 2, "LOG": 1, "LOGICAL_AND": 2, "LOGICAL_LEFT_SHIFT": 2,
    "LOGICAL_NOT": 1, "LOGICAL_OR": 2, "LOGICAL_RIGHT_SHIFT": 2, "LOGICAL_XOR": 2, "MAXIMUM": 2, "MINIMUM": 2, "MUL": 2,
    "NEGATE": 1, "POW": 2, "RECIPROCAL": 1, "RESCALE": 1, "RSQRT": 1, "SELECT": 3, "SIGMOID": 1, "SIN": 1, "SUB": 2,
    "TABLE": 1, "TANH": 1,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Call:
    """An operator, how to get the form of a tensor, and the result that is asked for."""

    op: dict[str, Any]
    operand: Callable[[str], Elements]
    output: str

    @property
    def inputs(self) -> list[str]:
        return list(self.op.get("inputs", []))

    @property
    def attribute(self) -> dict[str, Any]:
        return dict(self.op.get("attribute", {}))


class TosaRules:
    """Forms of the tensors of one graph. ``table`` and ``leaves`` belong to the cell."""

    def __init__(self, file: TosaFile, table: Expressions, leaves: Leaves, evaluate: OnAllCodes) -> None:
        self.file = file
        self.table = table
        self.leaves = leaves
        #: Computes an expression on codes: some rules hold for monotone or affine functions only.
        self.evaluate = evaluate
        self.accumulators: list[Accumulator] = []

    def apply(self, op: dict[str, Any], operand: Callable[[str], Elements], output: str) -> Elements:
        """The form of ``output``, a result of ``op``. ``operand`` yields that of a tensor. Raises Unsupported."""
        name = op["op"]
        if name in POINTWISE:
            return self._pointwise(Call(op, operand, output))
        rule = getattr(self, f"_{name.lower()}", None)
        if rule is None:
            raise Unsupported(f"TOSA {name} has no form here")
        found: Elements = rule(Call(op, operand, output))
        return found

    def constant(self, name: str) -> Elements:
        dtype = self.file.tensors[name]["type"] if name in self.file.tensors else "SHAPE"
        return constant_elements(self.table, self.file.constant(name), dtype)

    def _value(self, name: str) -> Array:
        if not self.file.is_constant(name):
            raise Unsupported("a parameter of an operator is computed at run time")
        return self.file.constant(name)

    def _one(self, name: str) -> int:
        return int(self._value(name).reshape(-1)[0])

    # Pointwise ----------------------------------------------------------------------------------------------------

    def _pointwise(self, call: Call) -> Elements:
        name, inputs = call.op["op"], call.inputs
        count = POINTWISE[name]
        args = [call.operand(item) for item in inputs[:count]]
        dtypes = tuple(self.file.tensors[item]["type"] for item in inputs[:count])
        attributes = json.dumps([call.op["attribute_type"], call.attribute], sort_keys=True)
        dtype = self.file.tensors[call.output]["type"]
        if name != "RESCALE":
            parameters = tuple(
                (self.file.tensors[item]["type"], self._value(item).shape, self._value(item).tobytes())
                for item in inputs[count:]
            )
            return pointwise(self.table, ("tosa", name, attributes, dtypes, dtype, parameters), args)
        multiplier, shift, in_zero, out_zero = inputs[1:5]
        numbers = list(zip(self._value(multiplier).reshape(-1), self._value(shift).reshape(-1), strict=True))
        zeros = tuple((self.file.tensors[item]["type"], self._one(item)) for item in (in_zero, out_zero))
        kind = self.file.tensors[multiplier]["type"]
        flags = json.dumps([call.op["attribute_type"], {**call.attribute, "per_channel": True}], sort_keys=True)
        choices: list[tuple[int, ...]] = [(int(one), int(other)) for one, other in numbers]
        per_channel = np.arange(len(choices)) if call.attribute.get("per_channel") else None
        key = ("tosa", name, flags, dtypes, dtype, (*zeros, kind))
        return pointwise(self.table, key, args, per_channel, choices)

    # Movement -----------------------------------------------------------------------------------------------------

    def _moved(self, elements: Elements, move: Callable[[Array], Array]) -> Elements:
        return Elements(move(elements.exprs), [move(leaf) for leaf in elements.leaves])

    def _reshape(self, call: Call) -> Elements:
        shape = tuple(self.file.tensors[call.output].get("shape", []))
        return self._moved(call.operand(call.inputs[0]), lambda values: values.reshape(shape))

    def _identity(self, call: Call) -> Elements:
        return call.operand(call.inputs[call.op["outputs"].index(call.output)])

    def _transpose(self, call: Call) -> Elements:
        order = tuple(call.attribute["perms"])
        return self._moved(call.operand(call.inputs[0]), lambda values: values.transpose(order))

    def _reverse(self, call: Call) -> Elements:
        axis = int(call.attribute.get("axis", 0))
        return self._moved(call.operand(call.inputs[0]), lambda values: np.flip(values, axis))

    def _concat(self, call: Call) -> Elements:
        axis = int(call.attribute.get("axis", 0))
        return joined([call.operand(name) for name in call.inputs], lambda parts: np.concatenate(parts, axis))

    def _slice(self, call: Call) -> Elements:
        start, size = (self._value(name) for name in call.inputs[1:3])
        place = tuple(slice(int(first), int(first + count)) for first, count in zip(start, size, strict=True))
        return self._moved(call.operand(call.inputs[0]), lambda values: values[place])

    def _tile(self, call: Call) -> Elements:
        times = tuple(int(item) for item in self._value(call.inputs[1]))
        return self._moved(call.operand(call.inputs[0]), lambda values: np.tile(values, times))

    def _pad(self, call: Call) -> Elements:
        widths = [(int(one), int(other)) for one, other in self._value(call.inputs[1]).reshape(-1, 2)]
        value = self._value(call.inputs[2]).reshape(-1)[0]
        number = self.table.number(Expr(("const", self.file.tensors[call.output]["type"], value.item())))
        elements = call.operand(call.inputs[0])
        exprs = np.pad(elements.exprs, widths, constant_values=number)
        return Elements(exprs, [np.pad(leaf, widths, constant_values=-1) for leaf in elements.leaves])

    def _gather(self, call: Call) -> Elements:
        places = self._value(call.inputs[1])  # [n, w] into [n, k, c]
        batch = np.arange(places.shape[0])[:, None]
        return self._moved(call.operand(call.inputs[0]), lambda values: values[batch, places])

    # Sums ---------------------------------------------------------------------------------------------------------

    def _summed(self, elements: Elements, zero_point: int) -> tuple[Array, int, int, Any]:
        """The operand's elements (-1: adds nothing), a factor, the zero point and the operand's number."""
        return affine_codes(self.table, elements, self.evaluate, zero_point)

    def _rows(self, node: Accumulator, shape: Sequence[int]) -> Elements:
        node.offset = self.leaves.take(node.rows)
        node.shape = tuple(shape)
        self.accumulators.append(node)
        number = self.table.number(Expr(("leaf",), kinds=(("tosa", len(self.accumulators) - 1),)))
        rows = (node.offset + np.arange(node.rows)).reshape(node.shape)
        return Elements(np.full(node.shape, number, np.int64), [rows])

    def _conv2d(self, call: Call) -> Elements:
        weights = self._value(call.inputs[1]).astype(np.int64) - self._one(call.inputs[4])
        filters = weights.transpose(0, 3, 1, 2).reshape(len(weights), -1)
        return self._convolved(call, filters, weights.shape[1:3], depthwise=False)

    def _depthwise_conv2d(self, call: Call) -> Elements:
        weights = self._value(call.inputs[1]).astype(np.int64) - self._one(call.inputs[4])  # [kh, kw, c, m]
        filters = weights.transpose(2, 3, 0, 1).reshape(-1, weights.shape[0] * weights.shape[1])
        return self._convolved(call, filters, weights.shape[:2], depthwise=True)

    def _convolved(
        self,
        call: Call,
        filters: Array,
        kernel: Sequence[int],
        *,
        depthwise: bool,
    ) -> Elements:
        taps, factor, zero_point, kind = self._summed(call.operand(call.inputs[0]), self._one(call.inputs[3]))
        attribute = call.attribute
        # [n, oh, ow, kh, kw, c] to patches with the taps in the order c, kh, kw.
        patches = windows(taps, kernel, attribute["pad"], attribute["stride"], attribute["dilation"])
        n, height, width, _, _, channels = patches.shape
        places = n * height * width
        patches = patches.transpose(0, 1, 2, 5, 3, 4)
        groups = channels if depthwise else 1
        patches = patches.reshape(places * groups, -1)
        bias = np.broadcast_to(self._value(call.inputs[2]).astype(np.int64).reshape(-1), (len(filters),))
        ones = np.ones(len(filters), np.int64)
        node = Accumulator(0, patches, filters * factor, groups, zero_point, ones, bias, kind)
        return self._rows(node, (n, height, width, len(filters)))

    def _matmul(self, call: Call) -> Elements:
        left, right, left_zero, right_zero = call.inputs[:4]
        if self.file.is_constant(left) == self.file.is_constant(right):
            raise Unsupported("a MATMUL of two computed operands is bilinear")
        if self.file.is_constant(left):
            raise Unsupported("a MATMUL with a constant first operand")
        weights = self._value(right).astype(np.int64) - self._one(right_zero)  # [n, c, w]
        if len(weights) != 1:
            raise Unsupported("a MATMUL with several constant matrices")
        taps, factor, zero_point, kind = self._summed(call.operand(left), self._one(left_zero))
        rows = taps.reshape(-1, taps.shape[-1])
        filters = np.ascontiguousarray(weights[0].T)
        ones, none = np.ones(len(filters), np.int64), np.zeros(len(filters), np.int64)
        node = Accumulator(0, rows, filters * factor, 1, zero_point, ones, none, kind)
        return self._rows(node, (*taps.shape[:-1], len(filters)))

    def _reduce_sum(self, call: Call) -> Elements:
        axis = int(call.attribute.get("axis", 0))
        elements = call.operand(call.inputs[0])
        shape = (*elements.shape[:axis], 1, *elements.shape[axis + 1 :])
        inner = self._sums_of(elements)
        if inner is not None:  # the sum of sums: that over a second dimension
            patches, _ = inner.split(np.moveaxis(elements.leaves[0], axis, -1).reshape(-1, elements.shape[axis]))
            taps = inner.patches[patches].reshape(len(patches), -1)
            filters = np.tile(inner.filters, elements.shape[axis])
            zero_point, kind = inner.zero_point, inner.kind
        else:
            moved, factor, zero_point, kind = self._summed(elements, 0)
            taps = np.moveaxis(moved, axis, -1).reshape(-1, elements.shape[axis])
            filters = np.full((1, taps.shape[1]), factor, np.int64)
        ones, none = np.ones(1, np.int64), np.zeros(1, np.int64)
        return self._rows(Accumulator(0, taps, filters, 1, zero_point, ones, none, kind), shape)

    def _sums_of(self, elements: Elements) -> Accumulator | None:
        """The accumulator that the elements are rows of, if it has one filter and no bias."""
        number = elements.uniform()
        kinds = self.table[number].kinds if number is not None and self.table[number].key[0] == "leaf" else ()
        if len(kinds) != 1 or not isinstance(kinds[0], tuple) or kinds[0][0] != "tosa":
            return None
        node = self.accumulators[int(kinds[0][1])]
        return node if len(node.filters) == 1 and not node.bias.any() else None

    def _avg_pool2d(self, call: Call) -> Elements:
        attribute = call.attribute
        elements = call.operand(call.inputs[0])
        in_zero, out_zero = (self._one(name) for name in call.inputs[1:3])
        taps, factor, zero_point, kind = self._summed(elements, in_zero)
        if factor != 1 or zero_point != in_zero or bool((taps < 0).any()):
            raise Unsupported("an AVG_POOL2D of something else than codes")
        patches = windows(taps, attribute["kernel"], attribute["pad"], attribute["stride"], (1, 1))
        n, height, width, kh, kw, channels = patches.shape
        flat = patches.transpose(0, 1, 2, 5, 3, 4).reshape(-1, kh * kw)
        node = Accumulator(
            0, flat, np.ones((1, kh * kw), np.int64), 1, zero_point, np.ones(1, np.int64), np.zeros(1, np.int64), kind
        )
        sums = self._rows(node, (n, height, width, channels))
        # The divisor is the number of elements that the window really has.
        counts, which = np.unique((flat >= 0).sum(1), return_inverse=True)
        dtypes = tuple(self.file.tensors[name]["type"] for name in (call.inputs[0], call.output))
        key = ("average", in_zero, out_zero, *dtypes, json.dumps(attribute.get("acc_type")))
        choices = [(int(count),) for count in counts]
        return pointwise(self.table, key, [sums], which.reshape(sums.shape), choices)

    # Extremes -----------------------------------------------------------------------------------------------------

    def _max_pool2d(self, call: Call) -> Elements:
        attribute = call.attribute
        elements = call.operand(call.inputs[0])
        patches = windows(
            self._extreme(elements), attribute["kernel"], attribute["pad"], attribute["stride"], (1, 1)
        ).transpose(0, 1, 2, 5, 3, 4)
        return self._windowed(elements, patches.reshape(*patches.shape[:4], -1))

    def _reduce_max(self, call: Call) -> Elements:
        axis = int(call.attribute.get("axis", 0))
        elements = call.operand(call.inputs[0])
        return self._windowed(elements, np.expand_dims(np.moveaxis(self._extreme(elements), axis, -1), axis))

    def _extreme(self, elements: Elements) -> Array:
        number = elements.uniform()
        if number is None or len(self.table[number].kinds) != 1 or not is_monotone(self.table, number, self.evaluate):
            raise Unsupported("a maximum of values that are no monotone function of codes")
        return elements.leaves[0]

    def _windowed(self, elements: Elements, patches: Array) -> Elements:
        """``patches``: the last dimension is the window's."""
        shape = patches.shape[:-1]
        leaves = self.leaves.window(patches.reshape(-1, patches.shape[-1])).reshape(shape)
        return Elements(np.full(shape, elements.uniform(), np.int64), [leaves])


def windows(
    values: Array, kernel: Sequence[int], pad: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Array:
    """``[n, h, w, c]`` to ``[n, oh, ow, kh, kw, c]``, -1 outside. ``pad``: top, bottom, left, right."""
    top, bottom, left, right = (int(item) for item in pad)
    padded = np.pad(values, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-1)
    reach = [(int(size) - 1) * int(step) + 1 for size, step in zip(kernel, dilation, strict=True)]
    height = (padded.shape[1] - reach[0]) // int(stride[0]) + 1
    width = (padded.shape[2] - reach[1]) // int(stride[1]) + 1
    out = np.empty((values.shape[0], height, width, int(kernel[0]), int(kernel[1]), values.shape[3]), np.int64)
    for y, x in itertools.product(range(int(kernel[0])), range(int(kernel[1]))):
        first, second = y * int(dilation[0]), x * int(dilation[1])
        rows = slice(first, first + (height - 1) * int(stride[0]) + 1, int(stride[0]))
        columns = slice(second, second + (width - 1) * int(stride[1]) + 1, int(stride[1]))
        out[:, :, :, y, x] = padded[:, rows, columns]
    return out
