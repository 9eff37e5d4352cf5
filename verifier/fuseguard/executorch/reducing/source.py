"""Python source of a flat module and of its tensors."""

from __future__ import annotations

import base64
import operator
import re
import textwrap
import zlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.fx import GraphModule, Node

#: Columns of a line.
_WIDTH = 116
#: Tensors with more elements are packed.
_LONG = 512
#: A list that is not broken.
_SHORT = re.compile(r"\[[^\[\]]{0,40}\]|\([^()]{0,40}\)")

#: Unpacks a long tensor; for scripts that have one.
UNPACK = '''
def unpacked(text: str, dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """A tensor out of its bytes."""
    return torch.frombuffer(bytearray(zlib.decompress(base64.b85decode(text))), dtype=dtype).reshape(shape)
'''


def tensor_source(tensor: torch.Tensor) -> str:
    """An expression that makes the tensor, to the bit."""
    tensor = tensor.detach().contiguous()
    shape = ", ".join(map(str, tensor.shape))
    flat = tensor.reshape(-1)
    if tensor.numel() > 1 and bool((flat == flat[0]).all()):
        return f"torch.full(({shape},), {_number(flat[0])}, dtype={tensor.dtype})"
    if tensor.numel() > _LONG:
        text = base64.b85encode(zlib.compress(flat.view(torch.uint8).numpy().tobytes(), 9)).decode()
        return f"unpacked({text!r}, {tensor.dtype}, {shape})"
    numbers = ", ".join(map(_number, flat))
    made = f"torch.tensor([{numbers}], dtype={tensor.dtype})"
    return made if tensor.dim() == 1 else f"{made}.reshape({shape or '()'})"


def _number(value: torch.Tensor) -> str:
    """The shortest text that is read as the same number."""
    if not value.dtype.is_floating_point:
        return repr(value.item())
    number = value.to(torch.float64) if value.dtype == torch.float64 else value.to(torch.float32)
    text = str(number.numpy().item() if number.dtype == torch.float64 else number.numpy()[()])
    return f'float("{text}")' if text.lstrip("-") in ("nan", "inf") else text


def module_source(module: GraphModule, name: str) -> str:
    """A class for the module, after one for each control-flow body in it."""
    lines = list(_class(module, name, ""))
    return "\n".join(lines)


def _class(module: GraphModule, name: str, doc: str) -> Iterator[str]:
    attributes: dict[str, str] = {}
    made: list[str] = []
    for node in module.graph.nodes:
        path = str(node.target)
        if node.op != "get_attr" or path in attributes:
            continue
        own = path.replace(".", "_")
        attributes[path] = own
        value: Any = module
        for part in path.split("."):
            value = getattr(value, part)
        if isinstance(value, GraphModule):
            body = f"{name}{''.join(part.title() for part in own.split('_'))}"
            yield from _class(value, body, "A body of control flow.")
            made.append(f"self.{own} = {body}()")
        elif isinstance(value, torch.nn.Parameter):
            made.append(f"self.{own} = torch.nn.Parameter({tensor_source(value)}, requires_grad=False)")
        else:
            made += [f"self.{own}: torch.Tensor", f'self.register_buffer("{own}", {tensor_source(value)})']
    yield f"class {name}(torch.nn.Module):"
    yield f'    """{doc or "The quantized program: integer weights, and an explicit Q and DQ for each value."}"""'
    yield ""
    if made:
        yield "    def __init__(self) -> None:"
        yield "        super().__init__()"
        for line in made:
            yield from wrapped(line, 8)
        yield ""
    names = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    parameters = ", ".join(("self", *(f"{item}: torch.Tensor" for item in names)))
    yield from wrapped(f"def forward({parameters}) -> Any:", 4)
    for node in module.graph.nodes:
        if node.op == "call_function":
            yield from wrapped(f"{node.name} = {_call(node, attributes)}", 8)
        elif node.op == "output":
            yield from wrapped(f"return {_value(node.args[0], attributes)}", 8)
    yield ""
    yield ""


def _call(node: Node, attributes: dict[str, str]) -> str:
    if node.target is operator.getitem:
        return f"{_value(node.args[0], attributes)}[{_value(node.args[1], attributes)}]"
    target: Any = node.target
    args = [_value(arg, attributes) for arg in node.args]
    args += [f"{key}={_value(arg, attributes)}" for key, arg in node.kwargs.items()]
    if isinstance(target, torch._ops.HigherOrderOperator):
        path = f"torch.ops.higher_order.{target}"
    elif isinstance(target, torch._ops.OpOverload):
        path = f"torch.ops.{target}".replace("torch.ops.aten.", "aten.")
        path = path.replace("torch.ops.quantized_decomposed.", "decomposed.")
    else:
        raise ValueError(f"no source can be written for {node.format_node()}")
    return f"{path}({', '.join(args)})"


def _value(arg: Any, attributes: dict[str, str]) -> str:
    if isinstance(arg, Node):
        return f"self.{attributes[str(arg.target)]}" if arg.op == "get_attr" else arg.name
    if isinstance(arg, tuple | list):
        items = [_value(item, attributes) for item in arg]
        if isinstance(arg, list):
            return f"[{', '.join(items)}]"
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if isinstance(arg, torch.device):
        return f'torch.device("{arg}")'
    if isinstance(arg, float) and repr(arg).lstrip("-") in ("nan", "inf"):
        return f'float("{arg}")'
    if isinstance(arg, str):
        return f'"{arg}"' if '"' not in arg and "\\" not in arg else repr(arg)
    return repr(arg)


def wrapped(line: str, indent: int) -> list[str]:
    """A line of code, broken after commas within brackets where it is too long."""
    if indent + len(line) <= _WIDTH:
        return [" " * indent + line]
    if "unpacked('" in line:  # a string of its own for each line
        head, text, tail = line.split("'", 2)
        size = _WIDTH - indent - 6
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        quoted = [" " * (indent + 4) + _quoted(piece) for piece in pieces]
        quoted[-1] += ","
        return [" " * indent + head, *quoted, " " * (indent + 4) + tail.lstrip(", ")]
    # Short lists stay on a line.
    broken = textwrap.wrap(
        _SHORT.sub(lambda match: match[0].replace(" ", "\0"), line),
        _WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [text.replace("\0", " ") for text in broken]


def _quoted(text: str) -> str:
    """base85 has no quotes and no backslash."""
    return f'"{text}"'
