"""What each op of a torch graph does to the form of its operands (forms.py).

The same rules serve the program, and the ops that a lowering leaves on the CPU. Ops that only move values are run by
torch itself, on the numbers of the elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils import _pytree as pytree

from fuseguard.executorch.all_inputs.forms import (
    Array,
    Constant,
    Elements,
    Expr,
    Expressions,
    Leaves,
    Unsupported,
    constant_elements,
    joined,
    pointwise,
)
from fuseguard.executorch.all_inputs.graph_sums import Sums
from fuseguard.executorch.all_inputs.monotone import OnAllCodes
from fuseguard.executorch.unrounded import keeps_value

MOVES = frozenset((
    "view", "reshape", "_unsafe_view", "view_copy", "permute", "permute_copy", "transpose", "transpose_copy", "t",
    "t_copy", "squeeze", "squeeze_copy", "unsqueeze", "unsqueeze_copy", "expand", "expand_copy", "slice", "slice_copy",
    "select", "select_copy", "flatten", "flip", "repeat", "repeat_interleave", "movedim", "narrow", "roll",
    "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold", "index_select", "swapaxes", "unflatten", "mT",
    "numpy_T", "split", "split_with_sizes", "split_with_sizes_copy", "split_copy", "chunk", "unbind", "unbind_copy",
    "upsample_nearest2d", "upsample_nearest1d", "tile", "contiguous",
))  # fmt: skip
SAME = frozenset((
    "clone", "alias", "alias_copy", "detach", "detach_", "lift_fresh_copy", "_clone_dim_order", "contiguous",
    "_to_dim_order_copy", "to", "_to_copy",
))  # fmt: skip
POINTWISE = frozenset((
    "add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "rsub", "neg", "abs", "relu", "relu_", "relu6",
    "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_max", "sigmoid", "tanh", "silu", "silu_", "gelu",
    "hardswish",
    "hardswish_", "hardsigmoid", "leaky_relu", "leaky_relu_", "elu", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt",
    "reciprocal", "pow", "square", "erf", "floor", "ceil", "round", "trunc", "sin", "cos", "tan", "asin", "acos",
    "atan",
    "sinh", "cosh", "asinh", "acosh", "atanh", "maximum", "minimum", "where", "eq", "ne", "lt", "le", "gt", "ge",
    "logical_not", "logical_and", "logical_or", "logical_xor", "sign", "softplus", "mish", "selu", "celu", "logit",
    "bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor", "masked_fill", "quantize_per_tensor",
    "dequantize_per_tensor", "log2", "exp2", "fmod", "remainder", "threshold", "hardshrink", "sigmoid_", "tanh_",
))  # fmt: skip
DROPOUT = frozenset(("dropout", "dropout_", "feature_dropout", "alpha_dropout", "native_dropout"))


Form: TypeAlias = "Elements | Constant | list[Any]"


def schema_name(node: torch.fx.Node) -> str:
    """``add`` for ``aten.add.Tensor`` and its edge op; "" for what has no schema."""
    schema = getattr(node.target, "_schema", None)
    return str(schema.name).partition("::")[2] if schema is not None else getattr(node.target, "__name__", "")


class GraphRules:
    """Forms of the values of one torch graph.

    ``wide``: constants are brought to float64. ``unrounded``: names of quantize ops that do not round (lockstep's
    ``fused``). ``clipped``: those of them that may saturate. ``known``: forms of nodes that are given.
    """

    def __init__(
        self,
        table: Expressions,
        leaves: Leaves,
        on_all_codes: OnAllCodes,
        *,
        wide: bool,
        unrounded: frozenset[str] = frozenset(),
        clipped: frozenset[str] = frozenset(),
    ) -> None:
        self.table = table
        self.leaves = leaves
        self.on_all_codes = on_all_codes
        self.wide = wide
        self.unrounded = unrounded
        self.clipped = clipped
        self.sums = Sums(table, leaves, on_all_codes)

    def apply(self, node: torch.fx.Node, form_of: Callable[[torch.fx.Node], Form]) -> Form:
        """The form of what ``node`` yields. Raises Unsupported."""
        args, kwargs = pytree.tree_map_only(torch.fx.Node, form_of, (node.args, node.kwargs))
        flat = pytree.tree_leaves((args, kwargs), is_leaf=lambda item: isinstance(item, Elements | Constant))
        name = schema_name(node)
        if name == "getitem":
            return self._item(args)
        if not any(isinstance(item, Elements) for item in flat):
            return self._computed(node, name, args, kwargs)
        if name in DROPOUT:
            if args[2] is not False:
                raise Unsupported(f"{name} in training mode")
            return args[0]  # type: ignore[no-any-return]
        if name in SAME:
            return self._same(node, args)
        if name in MOVES:
            return self._moved(node, args, kwargs)
        if name in ("cat", "stack"):
            return self._joined(node, args)
        if name == "constant_pad_nd":
            return self._padded(*args)
        if name == "pad":
            return self._padded_by_mode(*args, **kwargs)
        if name in self.unrounded_names(node):
            return args[0]  # type: ignore[no-any-return]
        if name in POINTWISE:
            return self._pointwise(node, form_of)
        return self.sums.apply(name, args, kwargs)

    def unrounded_names(self, node: torch.fx.Node) -> tuple[str, ...]:
        """Quantizing and dequantizing where it does nothing. Raises Unsupported where it may saturate or rescales."""
        first = node.args[0] if node.args else None
        if node.name in self.clipped:
            raise Unsupported(f"{node.name} does not round, and may saturate")
        if node.name in self.unrounded:
            return ("quantize_per_tensor",)
        if isinstance(first, torch.fx.Node) and first.name in self.unrounded:
            if not keeps_value(first, node):
                raise Unsupported(f"{node.name} has another scale than {first.name}, which does not round")
            return ("dequantize_per_tensor",)
        return ()

    def constant(self, value: Any) -> Constant:
        if self.wide and isinstance(value, torch.Tensor) and value.dtype == torch.float32:
            value = value.to(torch.float64)
        return Constant(value.detach() if isinstance(value, torch.Tensor) else value)

    def elements(self, form: Any) -> Elements:
        """``form`` as elements, constants too."""
        if isinstance(form, Elements):
            return form
        value = form.value if isinstance(form, Constant) else form
        if not isinstance(value, torch.Tensor | int | float | bool):
            raise Unsupported("an operand that is not a tensor")
        array = value.numpy() if isinstance(value, torch.Tensor) else np.array(value)
        return constant_elements(self.table, array, {"f": "float", "b": "bool"}.get(array.dtype.kind, "int"))

    def _item(self, args: Sequence[Any]) -> Form:
        parts = args[0].value if isinstance(args[0], Constant) else args[0]
        if isinstance(args[0], Elements):  # the values of a pool with indices
            if args[1] != 0:
                raise Unsupported("the indices of a pool")
            return args[0]
        part = parts[args[1]]
        return part if isinstance(part, Elements | Constant) else Constant(part)

    def _computed(self, node: torch.fx.Node, name: str, args: Any, kwargs: Any) -> Form:
        """The value of an op that reads constants alone."""
        first = args[0] if args else None
        if name in ("dequantize_per_tensor", "dequantize_per_channel") and isinstance(first, Constant):
            return self._dequantized(name, first, args)
        plain_args, plain_kwargs = pytree.tree_map(
            lambda item: item.value if isinstance(item, Constant) else item,
            (args, kwargs),
            is_leaf=lambda item: isinstance(item, Constant),
        )
        target: Any = node.target
        value = self.constant(target(*plain_args, **plain_kwargs))
        if name in MOVES | SAME and isinstance(first, Constant) and first.codes is not None:
            assert first.scales is not None
            value.codes = target(torch.from_numpy(first.codes), *plain_args[1:], **plain_kwargs).numpy()
            value.scales = target(torch.from_numpy(first.scales), *plain_args[1:], **plain_kwargs).numpy()
        return value

    def _dequantized(self, name: str, first: Constant, args: Sequence[Any]) -> Constant:
        plain = [item.value if isinstance(item, Constant) else item for item in args]
        codes = first.value.to(torch.int64)
        scale, zero = torch.as_tensor(plain[1], dtype=torch.float64), torch.as_tensor(plain[2])
        if name == "dequantize_per_channel":
            shape = [1] * codes.dim()
            shape[int(plain[3])] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        shifted = codes - zero.to(torch.int64)
        scales = scale.expand(shifted.shape)
        value = shifted * scales
        return Constant(value if self.wide else value.to(torch.float32), shifted.numpy(), scales.contiguous().numpy())

    def _same(self, node: torch.fx.Node, args: Sequence[Any]) -> Form:
        value, before = node.meta.get("val"), node.all_input_nodes[0].meta.get("val")
        if isinstance(value, torch.Tensor) and isinstance(before, torch.Tensor) and value.dtype != before.dtype:
            raise Unsupported("a conversion between dtypes")
        return args[0]  # type: ignore[no-any-return]

    def _moved(self, node: torch.fx.Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Form:
        """Runs the op on expressions and leaves. All other arguments are constants."""
        target: Any = node.target
        source = args[0]
        if not isinstance(source, Elements):
            raise Unsupported(f"{schema_name(node)} by a computed index")
        rest = [item.value if isinstance(item, Constant) else item for item in args[1:]]
        in_float = schema_name(node).startswith("upsample")

        def move(values: Array) -> Any:
            tensor = torch.from_numpy(np.asarray(values, order="C"))
            moved = target(tensor.to(torch.float64) if in_float else tensor, *rest, **kwargs)
            return moved.to(torch.int64) if in_float else moved

        exprs = move(source.exprs)
        leaves = [move(leaf) for leaf in source.leaves]
        if isinstance(exprs, torch.Tensor):
            return Elements(exprs.numpy(), [leaf.numpy() for leaf in leaves])
        return [Elements(part.numpy(), [leaf[number].numpy() for leaf in leaves]) for number, part in enumerate(exprs)]

    def _joined(self, node: torch.fx.Node, args: Sequence[Any]) -> Form:
        target: Any = node.target
        parts = [self.elements(item) for item in args[0]]

        def join(values: Sequence[Array]) -> Array:
            tensors = [torch.from_numpy(np.asarray(item, order="C")) for item in values]
            return target(tensors, *args[1:]).numpy()  # type: ignore[no-any-return]

        return joined(parts, join)

    def _padded_by_mode(self, given: Any, widths: Sequence[int], mode: str = "constant", value: Any = None) -> Form:
        if mode != "constant":
            raise Unsupported("padding that is not constant")
        return self._padded(given, widths, value)

    def _padded(self, given: Any, widths: Sequence[int], fill: Any = None) -> Form:
        number = self.table.number(Expr(("const", "float", float(fill or 0))))

        def pad(values: Array, value: int) -> Array:
            tensor = torch.from_numpy(np.asarray(values, order="C"))
            padded: Array = torch.nn.functional.pad(tensor, tuple(widths), value=value).numpy()
            return padded

        return Elements(pad(given.exprs, number), [pad(leaf, -1) for leaf in given.leaves])

    def _pointwise(self, node: torch.fx.Node, form_of: Callable[[torch.fx.Node], Form]) -> Elements:
        """Arguments that are tensors become operands; the rest is read from the node when it is computed."""
        given = [item for item in pytree.tree_leaves((node.args, node.kwargs)) if isinstance(item, torch.fx.Node)]
        forms = {item: form_of(item) for item in given}
        operands = [item for item in given if _is_operand(forms[item])]
        self.table.data[node.name] = node
        self.table.data["operands", node.name] = frozenset(operands)
        self.table.data["constants", node.name] = {
            item: form.value for item, form in forms.items() if isinstance(form, Constant)
        }
        return pointwise(self.table, ("fx", node.name), [self.elements(forms[item]) for item in operands])


def _is_operand(form: Any) -> bool:
    return isinstance(form, Elements) or (isinstance(form, Constant) and isinstance(form.value, torch.Tensor))
