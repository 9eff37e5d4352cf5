"""Programs, rules and a runner that the tests of the command line share. No torch, no files by readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import Result

from fuseguard.engine import INTERFACE, Effect, EffectRow, EffectsTable, Example, Finding, Rule
from fuseguard.engine.registry import Registry, make_pack
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.graph import SourceLine
from fuseguard.readers.errors import UnreadableInput
from fuseguard.target import Target

CODE_LINE = "h = torch.relu(self.conv(x))"


def conv_relu(output_zero_point: int, file: str = "/home/me/model.py") -> Graph:
    """conv2d -> relu into a cat. The relu fits its qparams only for zero point -128."""
    b = GraphBuilder()
    out = int8(0.05, output_zero_point)
    x = b.quantized_input("x", (1, 4, 8, 8), int8(0.05, 3))
    y = b.quantized_input("y", (1, 4, 8, 8), out)
    weight = b.quantized_constant("weight", (4, 4, 3, 3))
    bias = b.quantized_constant("bias", (4,), 0.0005, "int32")
    source = SourceLine(file, 42, "forward", f"        {CODE_LINE}")
    conv = b.call(
        "aten.conv2d.default", x, weight, bias, (1, 1), (1, 1),
        shape=(1, 4, 8, 8), source=source, module="features.conv1",
    )  # fmt: skip
    relu = b.requantize(b.call("aten.relu.default", conv), out)
    return b.output(b.requantize(b.call("aten.cat.default", (relu, y), 1, shape=(1, 8, 8, 8)), out))


def unquantized() -> Graph:
    b = GraphBuilder()
    return b.output(b.call("aten.relu.default", b.input()))


def fake_read(program: object, methods: object = ()) -> tuple[Graph, str]:
    """Stands in for ``fuseguard.readers.open.read``: what a file holds follows from its name."""
    name = Path(str(program)).name
    if name.startswith("clean"):
        return conv_relu(-128), name
    if name.startswith("wrong"):
        return conv_relu(-17), name
    if name.startswith("hostile"):
        return conv_relu(-17, "/home/\x1b[31mred\u202e.py"), name
    if name.startswith("float"):
        return unquantized(), name
    if name.startswith("bug"):
        raise RuntimeError("a bug of ours")
    if name.startswith("interrupt"):
        raise KeyboardInterrupt
    raise UnreadableInput(f"{program}: \x1b[31mno program in it")


class _Base(Rule):
    summary = "A test rule."
    why = "It tests."
    remedy = "Nothing."
    scope = "node"
    bad = (Example("a relu", unquantized),)
    good = (Example("a relu", unquantized),)


def _rule(code: str, name: str, effect: Effect) -> type[Rule]:
    """A rule that finds every relu and says that it has ``effect``."""

    def check(self: Rule, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            if node.kind == "relu":
                yield self.finding(view, target, [node], case="*", node=node.name)

    fields = {
        "code": code,
        "name": name,
        "message": "{node} is a relu",
        "effects": EffectsTable([EffectRow("*", ">=1", "*", effect)]),
        "check": check,
    }
    return type(name, (_Base,), fields)


class _Failing(_Base):
    code = "ZZ999"
    name = "fails-always"
    message = "never"
    effects = EffectsTable([EffectRow("*", ">=1", "*", Effect.WRONG)])

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        yield from _out_of_its_depth()


def _out_of_its_depth() -> Iterator[Finding]:
    raise KeyError("out of my depth")


ERROR_RULE = _rule("ZZ001", "relu-is-wrong", Effect.WRONG)
WARNING_RULE = _rule("ZZ002", "relu-is-poor", Effect.QUALITY)
NOTE_RULE = _rule("ZZ003", "relu-is-slow", Effect.CPU_FALLBACK)
FAILING_RULE = _Failing


def registry_of(*rules: type[Rule]) -> Registry:
    class Pack:
        INTERFACE = INTERFACE
        RULES = rules

    return Registry([make_pack("fakes", "1.0", Pack)])


#: Suppresses what is wrong with wrong.pt2.
SUPPRESSION = """
[[tool.fuseguard.suppressions]]
rule = "FU101"
module = "features.*"
reason = "guarded when lowered"
"""


def configure(text: str, name: str = "pyproject.toml") -> None:
    """Write a configuration into the current folder."""
    Path(name).write_text(f"[tool.fuseguard]\n{text}\n" if name == "pyproject.toml" else text)


def document(result: Result) -> dict[str, Any]:
    """What a command printed as JSON."""
    parsed: dict[str, Any] = json.loads(result.output)
    return parsed
