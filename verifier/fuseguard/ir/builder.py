"""A small builder for graphs: rule examples and tests say what they mean in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fuseguard.ir.functional import functional
from fuseguard.ir.graph import Arg, Dialect, Graph, Node, Ref, SourceLine, StoredAs, TensorMeta
from fuseguard.ir.qparams import INTEGER_RANGES, QParams


class GraphBuilder:
    """Builds a Graph node by node; every method returns the name of the node it made.

    Float values have shape ``shape`` unless said otherwise; operator calls are annotated as quantized by Arm's
    quantizer unless ``annotated=False``.

    In-place ops write to a buffer (:meth:`constant`) or an input as in an exported program:
    ``b.call("aten.copy_.default", buffer, value)``.
    """

    def __init__(self, dialect: Dialect = "aten") -> None:
        self.dialect: Dialect = dialect
        self._nodes: list[Node] = []
        self._taken: dict[str, int] = {}
        self._buffers: dict[str, tuple[float, ...]] = {}
        self._metas: dict[str, TensorMeta] = {}

    def input(self, name: str = "x", shape: Sequence[int | None] = (1, 4, 8, 8), dtype: str = "float32") -> str:
        """A user input; a size of None is dynamic."""
        return self._add(name, "placeholder", TensorMeta(dtype, tuple(shape)))

    def constant(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        values: Sequence[float] | None = None,
        stored_as: StoredAs = "buffer",
    ) -> str:
        """A constant; ``values``, in order, where what runs the graph is not to choose them."""
        meta = TensorMeta(dtype, tuple(shape))
        made = self._add(name, "placeholder", meta, constant=True, stored_as=stored_as)
        if values is not None:
            self._buffers[made] = tuple(values)
        return made

    def quantize(self, value: str, qparams: QParams) -> str:
        meta = TensorMeta(qparams.dtype, self._metas[value].shape)
        return self._call("quantized_decomposed.quantize_per_tensor.default", self._qdq(value, qparams), meta, False)

    def dequantize(self, value: str, qparams: QParams) -> str:
        meta = TensorMeta("float32", self._metas[value].shape)
        return self._call("quantized_decomposed.dequantize_per_tensor.default", self._qdq(value, qparams), meta, False)

    def requantize(self, value: str, qparams: QParams) -> str:
        """Q followed by DQ; returns the DQ."""
        return self.dequantize(self.quantize(value, qparams), qparams)

    def quantized_input(self, name: str, shape: Sequence[int | None], qparams: QParams) -> str:
        """A user input with its Q and DQ; returns the DQ."""
        return self.requantize(self.input(name, shape), qparams)

    def quantized_constant(
        self, name: str, shape: Sequence[int], scale: float | Sequence[float] = 0.01, dtype: str = "int8"
    ) -> str:
        """A weight or bias with its DQ, per channel (axis 0) if several scales are given; returns the DQ."""
        value = self.constant(name, shape, dtype)
        low, high = INTEGER_RANGES[dtype]
        if isinstance(scale, int | float):
            return self.dequantize(value, QParams.per_tensor(float(scale), 0, low + 1, high, dtype))
        scales = self.constant(f"{name}_scale", (len(scale),), "float32")
        points = self.constant(f"{name}_zero_point", (len(scale),), "int64")
        self._buffers[scales] = tuple(float(s) for s in scale)
        self._buffers[points] = tuple(0.0 for _ in scale)
        args: tuple[Arg, ...] = (Ref(value), Ref(scales), Ref(points), 0, low + 1, high, dtype)
        meta = TensorMeta("float32", tuple(shape))
        return self._call("quantized_decomposed.dequantize_per_channel.default", args, meta, False)

    def stored_constant(self, name: str, shape: Sequence[int], qparams: QParams, codes: Sequence[int]) -> str:
        """A parameter or buffer whose codes are known, with its DQ by per-tensor qparams; returns the DQ."""
        value = self.constant(name, shape, qparams.dtype)
        self._buffers[value] = tuple(float(code) for code in codes)
        return self.dequantize(value, qparams)

    def call(
        self,
        target: str,
        *args: Arg,
        shape: Sequence[int | None] | None = None,
        dtype: str = "float32",
        annotated: bool = True,
        source: SourceLine | None = None,
        module: str = "",
        kwargs: Mapping[str, Arg] | None = None,
    ) -> str:
        """An operator call; strings that name nodes become uses of them. ``shape`` defaults to the first input's."""
        resolved = tuple(self._resolve(arg) for arg in args)
        if shape is None:
            first = next((arg.name for arg in _flatten(resolved) if isinstance(arg, Ref)), None)
            shape = tuple(s or 0 for s in self._metas[first].shape) if first else ()
        return self._call(target, resolved, TensorMeta(dtype, tuple(shape)), annotated, source, module, kwargs)

    def output(self, *values: str) -> Graph:
        """Ends the graph and returns it, without in-place ops, as the readers do."""
        args: Arg = tuple(Ref(value) for value in values)
        self._nodes.append(Node("output", "output", args=(args,), index=len(self._nodes)))
        nodes, mutations = functional(self._nodes)
        return Graph(nodes, dialect=self.dialect, buffers=self._buffers, mutations=mutations)

    def _resolve(self, arg: Arg) -> Arg:
        if isinstance(arg, str) and arg in self._metas:
            return Ref(arg)
        return tuple(self._resolve(part) for part in arg) if isinstance(arg, tuple) else arg

    def _qdq(self, value: str, qparams: QParams) -> tuple[Arg, ...]:
        return (Ref(value), qparams.scale, qparams.zero_point, qparams.qmin, qparams.qmax, qparams.dtype)

    def _call(
        self,
        target: str,
        args: tuple[Arg, ...],
        meta: TensorMeta,
        annotated: bool,
        source: SourceLine | None = None,
        module: str = "",
        kwargs: Mapping[str, Arg] | None = None,
    ) -> str:
        stem = target.split(".")[1] if "." in target else target
        named = {name: self._resolve(arg) for name, arg in (kwargs or {}).items()}
        return self._add(
            stem, "call", meta, target=target, args=args, annotated=annotated, module=module,
            stack=(source,) if source else (), kwargs=named,
        )  # fmt: skip

    def _add(self, stem: str, op: str, meta: TensorMeta, **fields: object) -> str:
        count = self._taken.get(stem, 0)
        self._taken[stem] = count + 1
        name = f"{stem}_{count}" if count else stem
        self._metas[name] = meta
        self._nodes.append(Node(name, op, outputs=(meta,), index=len(self._nodes), **fields))  # type: ignore[arg-type]
        return name


def _flatten(args: tuple[Arg, ...]) -> list[Arg]:
    flat: list[Arg] = []
    for arg in args:
        flat.extend(_flatten(arg) if isinstance(arg, tuple) else [arg])
    return flat


def int8(scale: float, zero_point: int = 0, qmin: int = -128, qmax: int = 127) -> QParams:
    """Per-tensor int8 qparams."""
    return QParams.per_tensor(scale, zero_point, qmin, qmax, "int8")


def int16(scale: float, zero_point: int = 0) -> QParams:
    """Per-tensor int16 qparams over the symmetric range that Arm's A16W8 configuration uses."""
    return QParams.per_tensor(scale, zero_point, -32767, 32767, "int16")


def full_int16(scale: float, zero_point: int = 0) -> QParams:
    """Per-tensor int16 qparams over all codes, so that saturation at the dtype's limits changes nothing."""
    return QParams.per_tensor(scale, zero_point, -(2**15), 2**15 - 1, "int16")
