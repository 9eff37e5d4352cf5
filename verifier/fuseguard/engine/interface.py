"""What a program takes and yields: dtype, shape, layout, and the qparams of its quantized inputs and outputs.

Code that feeds codes to a program, or reads codes from it (``QuantizeInputs`` and ``QuantizeOutputs`` of ExecuTorch),
has to use exactly these qparams and this layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fuseguard.engine.parts import programs
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.layout import layout_of
from fuseguard.ir.qparams import QParams
from fuseguard.ir.view import View


@dataclass(frozen=True, slots=True)
class Value:
    """An input or output of a program.

    Args:
        name: the node that it is, or that yields it.
        dtype: the dtype of the tensor, by torch's short name; "" for what is not a tensor.
        shape: its sizes, None for a symbolic one, in the order of the program's dimensions.
        codes: whether the tensor holds codes. Otherwise it holds values, and the program quantizes them first, or
            dequantizes them last, if there are ``qparams``.
        dim_order: its dimensions from the outermost to the innermost in memory, as ExecuTorch's ``Tensor.dim_order``;
            None if the tensor is not dense, or if several of its sizes are symbolic.
        qparams: those of the codes; None if the value is not quantized, or is quantized in more than one way.
        program: the name of the program, in a file with several.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    codes: bool
    qparams: QParams | None
    program: str = ""
    dim_order: tuple[int, ...] | None = None

    @property
    def layout(self) -> str:
        """``contiguous``, ``channels_last``, ``channels_last_3d`` or ``permuted``; "" if ``dim_order`` is None."""
        return layout_of(self.dim_order)


@dataclass(frozen=True, slots=True)
class Interface:
    """The inputs and outputs of a program, or of all programs of a file; state and constants are not among them."""

    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file with programs that are not lowered; ``size`` is in bytes."""

    size: int
    interface: Interface


def interface_of(graph: Graph) -> Interface:
    """The interface of a program, or of every program of a file that has several."""
    views = [View(program) for program in programs(graph)]
    return Interface(
        tuple(value for view in views for value in _inputs(view)),
        tuple(value for view in views for value in _outputs(view)),
    )


def _inputs(view: View) -> Iterator[Value]:
    for node in view.graph:
        if node.op == "placeholder" and not node.constant:
            readers = view.users(node)
            quantizers = [reader for reader in readers if view.is_q(reader) or view.is_dq(reader)]
            yield _value(view, node, quantizers, codes=any(map(view.is_dq, readers)))


def _outputs(view: View) -> Iterator[Value]:
    for node in view.graph:
        if node.op != "output":
            continue
        for result in list(node.refs())[len(view.graph.mutations) :]:  # new values of state come first
            producer = view.graph[result.name]
            ends = [producer] if view.is_q(producer) or view.is_dq(producer) else []
            yield _value(view, producer, ends, codes=view.is_q(producer))


def _value(view: View, node: Node, quantizers: list[Node], *, codes: bool) -> Value:
    found = {view.qparams(quantizer) for quantizer in quantizers}
    meta = node.meta
    return Value(
        name=node.name,
        dtype=meta.dtype if meta is not None else "",
        shape=meta.shape if meta is not None else (),
        codes=codes,
        qparams=found.pop() if len(found) == 1 else None,
        program=view.graph.name,
        dim_order=meta.dim_order if meta is not None else None,
    )
