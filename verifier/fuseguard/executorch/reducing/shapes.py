"""Smaller tensors: dimensions of inputs and constants are narrowed together, and literal sizes follow."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import torch
from torch.fx import GraphModule, Node
from torch.utils import _pytree as pytree

from fuseguard.executorch.reducing.piece import Piece, is_dq, is_q

#: Ops whose size is given as a list of numbers, of which -1 stands for what is left.
_VIEWS = frozenset(("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default"))
#: In the place of a size: every size.
_ANY = 0
#: Above it, half of a size is tried too.
_LARGE = 8
#: A constant with as many elements or fewer is short enough as it is.
_SHORT = 4


#: What a candidate changes: the dimension of the inputs (None: all of all tensors), the size before and after, and
#: whether the last elements are kept.
Change: TypeAlias = tuple[int | None, int, int, bool]


def shrunk(piece: Piece, both_ends: bool) -> Iterator[tuple[Change, Piece]]:
    """Candidates that run and have fewer elements, with what changes in them.

    ``both_ends``: also keep the last elements instead of the first ones, where a fault may depend on the values.
    """
    # All at once first: most faults need no more than one element.
    for to in (1, 2):
        candidate = _narrowed(piece, _ANY, to, None, False)
        if candidate is not None:
            yield (None, _ANY, to, False), candidate
    tensors = [*piece.inputs, *constants(piece.module).values()]
    sizes = sorted({size for tensor in tensors for size in tensor.shape if size > 1}, reverse=True)
    places = sorted({(dim, size) for tensor in piece.inputs for dim, size in enumerate(tensor.shape) if size > 1})
    starts = (False, True) if both_ends else (False,)
    for from_end in starts:
        for dim, size in (*places, *((None, size) for size in sizes)):
            for to in _smaller(size)[: 1 if from_end else None]:
                candidate = _narrowed(piece, size, to, dim, from_end)
                if candidate is not None:
                    yield (dim, size, to, from_end), candidate


def _smaller(size: int) -> list[int]:
    """What a size is narrowed to, the smallest first. The half is worth a lowering only for a large one."""
    sizes = (1, 2, size // 2) if size > _LARGE else (1, 2)
    return sorted({item for item in sizes if item < size})


def _narrowed(piece: Piece, size: int, to: int, dim: int | None, from_end: bool) -> Piece | None:
    """All dimensions of ``size`` narrowed to ``to``: dimension ``dim`` of the inputs, or all of all tensors.

    None if the ops do not take the tensors, or if nothing is narrowed.
    """
    changed: list[int] = []

    def narrow(tensor: torch.Tensor) -> torch.Tensor:
        for number, own in enumerate(tensor.shape):
            if (own == size or (size == _ANY and own > to)) and dim in (None, number):
                tensor = tensor.narrow(number, own - to if from_end else 0, to)
                changed.append(number)
        return tensor.clone(memory_format=torch.contiguous_format)

    module = copy.deepcopy(piece.module)
    for old, new in zip(piece.module.graph.nodes, module.graph.nodes, strict=True):
        new.name = old.name
    if dim is None:
        for name, tensor in constants(module).items():
            put(module, name, narrow(tensor))
    inputs = tuple(map(narrow, piece.inputs))
    if not changed:
        return None
    try:
        with torch.no_grad():
            _Adapter(module, size, to).run(*inputs)
    except Exception:  # an op that does not take these sizes
        return None
    module.recompile()
    return Piece(module, inputs)


class _Adapter(torch.fx.Interpreter):
    """Runs the module, and changes the literal sizes that do not fit the narrowed tensors."""

    def __init__(self, module: GraphModule, size: int, to: int) -> None:
        super().__init__(module)
        self.size = size
        self.to = to

    def run_node(self, n: Node) -> Any:
        if n.op != "call_function" or is_q(n) or is_dq(n):
            return super().run_node(n)
        args = n.args
        for candidate in self._arguments(n):
            n.args = candidate
            try:
                return super().run_node(n)
            except Exception:  # the next candidate, and the first one's error at the end
                n.args = args
        return super().run_node(n)

    def _arguments(self, n: Node) -> Iterator[tuple[Any, ...]]:
        yield n.args
        replaced = pytree.tree_map(self._replaced, list(n.args))
        yield tuple(replaced)
        if str(n.target) in _VIEWS:
            source, sizes = n.args
            assert isinstance(sizes, Sequence)
            for place in range(len(sizes)):
                yield source, [-1 if number == place else item for number, item in enumerate(sizes)]
            for place in range(len(sizes)):
                yield source, [-1 if number == place else self._replaced(item) for number, item in enumerate(sizes)]

    def _replaced(self, item: Any) -> Any:
        fits = item > self.to if self.size == _ANY and type(item) is int else item == self.size
        return self.to if type(item) is int and fits else item


def plainer(piece: Piece) -> Iterator[Piece]:
    """Candidates with a constant that is the same number throughout. Scales and zero points stay as they are."""
    qparams = {
        str(arg.target)
        for node in piece.module.graph.nodes
        if is_dq(node) or is_q(node)
        for arg in node.args[1:]
        if isinstance(arg, Node)
    }
    for name, tensor in constants(piece.module).items():
        if name in qparams or tensor.numel() <= _SHORT or bool((tensor == tensor.reshape(-1)[0]).all()):
            continue
        flat = tensor.reshape(-1)
        largest = flat[flat.to(torch.float64).abs().nan_to_num().argmax()]
        module = copy.deepcopy(piece.module)
        for old, new in zip(piece.module.graph.nodes, module.graph.nodes, strict=True):
            new.name = old.name
        put(module, name, torch.full_like(tensor, largest.item()))
        yield Piece(module, piece.inputs)


def constants(module: GraphModule) -> dict[str, torch.Tensor]:
    """The parameters, buffers and other tensors that the graph reads, by their paths."""
    found = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            value = _get(module, str(node.target))
            if isinstance(value, torch.Tensor):
                found[str(node.target)] = value.detach()
    return found


def _get(module: torch.nn.Module, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    return value


def put(module: GraphModule, path: str, tensor: torch.Tensor) -> None:
    """Replaces a tensor that the graph reads; a parameter stays one."""
    parent, _, name = path.rpartition(".")
    holder = module.get_submodule(parent) if parent else module
    before = getattr(holder, name)
    if isinstance(before, torch.nn.Parameter):
        setattr(holder, name, torch.nn.Parameter(tensor, requires_grad=before.requires_grad))
    else:
        setattr(holder, name, tensor)
