"""Computes expressions (forms.py) on given leaves: TOSA's in the reference model, torch's in torch."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils import _pytree as pytree

from fuseguard.executorch.all_inputs.forms import Array, Expr, Expressions, Unsupported
from fuseguard.executorch.all_inputs.graph_rules import schema_name
from fuseguard.executorch.all_inputs.tosa_file import DTYPES, Builder
from fuseguard.executorch.reference_model import ReferenceModelAborted, run_reference_model

#: Torch's own ops in float32, as a device runs them; or the program's formulas in float64.
Arithmetic = Literal["float32", "float64"]

_TORCH = {"int8": torch.int8, "uint8": torch.uint8, "int16": torch.int16, "int32": torch.int32}


class Values:
    """Values of one side's expressions.

    ``columns`` of expressions that differ in constants alone are computed together: as ``[rows, columns]``.
    """

    def __init__(self, table: Expressions, version: Any, arithmetic: Arithmetic) -> None:
        self.table = table
        self.version = version
        self.arithmetic = arithmetic
        #: By operand, what its codes are taken for if they are beyond: they are qmin and qmax to the program.
        self.limits: dict[Hashable, tuple[int, int]] = {}
        self._signatures: dict[int, Hashable] = {}

    def signature(self, number: int) -> Hashable:
        """The same for expressions that can be columns of one computation."""
        if number not in self._signatures:
            expr = self.table[number]
            key: tuple[Hashable, ...] = expr.key[:2] if expr.key[0] == "const" else expr.key
            args = tuple((self.signature(arg), slots) for arg, slots in expr.args)
            self._signatures[number] = (key, args, expr.kinds, len(expr.params))
        return self._signatures[number]

    def __call__(self, numbers: Sequence[int], slots: Sequence[Array]) -> Array:
        """``[rows, columns]``: each expression of ``numbers`` on ``slots``, each ``[rows, columns or 1]``.

        Codes come as integers. Raises Unsupported where the reference model refuses.
        """
        value = self._value(tuple(numbers), tuple(range(len(slots))), [np.atleast_2d(slot) for slot in slots])
        array = value.numpy() if isinstance(value, torch.Tensor) else value
        rows = max([slot.shape[0] for slot in slots], default=1)
        return np.broadcast_to(array, (rows, len(numbers)))

    def _value(self, numbers: tuple[int, ...], mapped: tuple[int, ...], slots: list[Array]) -> Any:
        expr = self.table[numbers[0]]
        kind = expr.key[0]
        if kind == "leaf":
            limits = self.limits.get(expr.kinds[0])
            return slots[mapped[0]] if limits is None else np.clip(slots[mapped[0]], *limits)
        if kind == "const":
            values = np.array([[self.table[number].key[2] for number in numbers]])
            dtype = str(expr.key[1])
            if dtype in DTYPES:
                return values.astype(DTYPES[dtype])
            if dtype == "float":
                values = values.astype(np.float32 if self.arithmetic == "float32" else np.float64)
            return values
        if kind == "divided":
            counts = np.array([[self.table[number].params[0] for number in numbers]])
            return self._arg(numbers, 0, mapped, slots) / counts
        if kind == "average":
            return self._average(numbers, expr, mapped, slots)
        if kind == "tosa":
            return self._in_reference_model(numbers, mapped, slots)
        return self._in_torch(numbers, expr, mapped, slots)

    def _arg(self, numbers: tuple[int, ...], place: int, mapped: tuple[int, ...], slots: list[Array]) -> Any:
        children = tuple(self.table[number].args[place][0] for number in numbers)
        own = tuple(mapped[slot] for slot in self.table[numbers[0]].args[place][1])
        return self._value(children, own, slots)

    # Torch --------------------------------------------------------------------------------------------------------

    def _in_torch(self, numbers: tuple[int, ...], expr: Expr, mapped: tuple[int, ...], slots: list[Array]) -> Any:
        node: torch.fx.Node = self.table.data[expr.key[1]]
        values = [torch.as_tensor(np.ascontiguousarray(self._arg(numbers, place, mapped, slots)))
                  for place in range(len(expr.args))]  # fmt: skip
        name = schema_name(node)
        literals: Any = node.args
        if self.arithmetic == "float64" and name == "quantize_per_tensor":
            scale, zero, low, high, dtype = literals[1:6]
            codes = torch.round(values[0].to(torch.float64) / scale) + zero
            return codes.clamp(low, high).to(dtype).numpy()
        if self.arithmetic == "float64" and name == "dequantize_per_tensor":
            return ((values[0].to(torch.float64) - literals[2]) * literals[1]).numpy()
        given = iter(values)
        target: Any = node.target
        operands, constants = self.table.data["operands", node.name], self.table.data["constants", node.name]

        def filled(item: Any) -> Any:
            if not isinstance(item, torch.fx.Node):
                return item
            return next(given) if item in operands else constants[item]

        args, kwargs = pytree.tree_map(filled, (node.args, node.kwargs))
        with torch.no_grad():
            return target(*args, **kwargs).numpy()

    # The reference model ------------------------------------------------------------------------------------------

    def _in_reference_model(self, numbers: tuple[int, ...], mapped: tuple[int, ...], slots: list[Array]) -> Array:
        rows = max([slot.shape[0] for slot in slots], default=1)
        build = _Build(self, len(numbers), rows, slots)
        name, _ = build.tensor(numbers, mapped)
        return self.run(build.builder.built([name]), build.arrays)

    def run(self, serialized: bytes, arrays: Sequence[Array]) -> Array:
        try:
            (result,), status = run_reference_model(serialized, [np.ascontiguousarray(item) for item in arrays])
        except (ReferenceModelAborted, RuntimeError) as error:
            raise Unsupported(f"the reference model does not run it: {str(error)[:200]}") from error
        if status != "TOSA_VALID":
            raise Unsupported(f"the reference model says {status}")
        return np.asarray(result)

    def _average(self, numbers: tuple[int, ...], expr: Expr, mapped: tuple[int, ...], slots: list[Array]) -> Array:
        """AVG_POOL2D on windows with the given sums: the result depends on nothing else."""
        _, in_zero, out_zero, in_type, out_type, acc_type = expr.key
        assert isinstance(in_zero, int)
        sums = np.broadcast_to(self._arg(numbers, 0, mapped, slots), (slots[0].shape[0], len(numbers))).astype(np.int64)
        out = np.empty(sums.shape, DTYPES[str(out_type)])
        for column, number in enumerate(numbers):
            (count,) = self.table[number].params
            base, more = sums[:, column] // count, sums[:, column] % count
            windows = base[:, None] + (np.arange(count)[None] < more[:, None]) + in_zero
            builder = Builder(self.version)
            given = builder.input((len(sums), 1, count, 1), str(in_type))
            zeros = [builder.tensor((1,), str(dtype), np.array([zero]))
                     for dtype, zero in ((in_type, in_zero), (out_type, out_zero))]  # fmt: skip
            attribute = {"kernel": [1, count], "stride": [1, 1], "pad": [0, 0, 0, 0],
                         "acc_type": json.loads(str(acc_type))}  # fmt: skip
            shape = (len(sums), 1, 1, 1)
            name = builder.op("AVG_POOL2D", ("AvgPool2dAttribute", attribute), [given, *zeros], shape, str(out_type))
            arrays = [windows.astype(DTYPES[str(in_type)]).reshape(len(sums), 1, count, 1)]
            out[:, column] = self.run(builder.built([name]), arrays).reshape(-1)
        return out


class _Build:
    """A graph of pointwise operators on ``[rows, columns]``."""

    def __init__(self, values: Values, columns: int, rows: int, slots: list[Array]) -> None:
        self.values = values
        self.columns = columns
        self.rows = rows
        self.slots = slots
        self.builder = Builder(values.version)
        self.arrays: list[Array] = []
        self._made: dict[Any, tuple[str, str]] = {}

    def tensor(self, numbers: tuple[int, ...], mapped: tuple[int, ...], dtype: str = "") -> tuple[str, str]:
        """The name and dtype of the tensor with the values of ``numbers``; ``dtype``: what its reader expects."""
        key = numbers, mapped, dtype
        if key not in self._made:
            self._made[key] = self._tensor(numbers, mapped, dtype)
        return self._made[key]

    def _tensor(self, numbers: tuple[int, ...], mapped: tuple[int, ...], dtype: str) -> tuple[str, str]:
        table = self.values.table
        expr = table[numbers[0]]
        if expr.key[0] == "const":
            data = np.array([[table[number].key[2] for number in numbers]])
            return self.builder.tensor((1, self.columns), dtype or str(expr.key[1]), data), dtype
        if expr.key[0] != "tosa":
            array = np.asarray(self.values._value(numbers, mapped, self.slots))
            kind = np.dtype(DTYPES[dtype])
            if array.dtype.itemsize == kind.itemsize and array.dtype.kind in "iu" and kind.kind in "iu":
                array = array.view(kind) if array.flags.c_contiguous else np.ascontiguousarray(array).view(kind)
            elif array.dtype.kind in "iu" and array.size:
                limits = np.iinfo(kind) if dtype != "INT48" else None
                low, high = (limits.min, limits.max) if limits else (-(1 << 47), (1 << 47) - 1)
                if array.min() < low or array.max() > high:
                    raise Unsupported("a sum may overflow")
            array = np.broadcast_to(array.astype(kind), (self.rows, self.columns))
            self.arrays.append(array)
            return self.builder.input(array.shape, dtype), dtype
        return self._operator(numbers, mapped, expr)

    def _operator(self, numbers: tuple[int, ...], mapped: tuple[int, ...], expr: Expr) -> tuple[str, str]:
        _, name, attributes, dtypes, dtype, parameters = expr.key
        assert isinstance(dtypes, tuple)
        assert isinstance(parameters, tuple)
        inputs = []
        for place, (_, slots) in enumerate(expr.args):
            children = tuple(self.values.table[number].args[place][0] for number in numbers)
            inputs.append(self.tensor(children, tuple(mapped[slot] for slot in slots), str(dtypes[place]))[0])
        if name == "RESCALE":
            in_zero, out_zero, multiplier_type = parameters
            params = np.array([self.values.table[number].params for number in numbers])
            inputs.append(self.builder.tensor((self.columns,), multiplier_type, params[:, 0]))
            inputs.append(self.builder.tensor((self.columns,), "INT8", params[:, 1]))
            inputs += [self.builder.tensor((1,), kind, np.array([zero])) for kind, zero in (in_zero, out_zero)]
        else:
            inputs += [
                self.builder.tensor(shape, kind, np.frombuffer(data, DTYPES[kind]).reshape(shape))
                for kind, shape, data in parameters
            ]
        kind, values = json.loads(str(attributes))
        constant = all(self.values.table[arg].key[0] == "const" for arg, _ in expr.args)
        shape = (1 if constant else self.rows, self.columns)
        return self.builder.op(str(name), (kind, values), inputs, shape, str(dtype)), str(dtype)
