"""The files that ``fuseguard new-rule`` writes: a rule that works, to be changed into the one that is wanted."""

from __future__ import annotations

from string import Template

#: $code, $name, $title, $class_name
RULE = Template('''"""$code: $title."""

from __future__ import annotations

from collections.abc import Iterator

from fuseguard.engine import Effect, EffectRow, EffectsTable, Evidence, Example, Finding, Rule
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

_COARSE = 1.0  # real units a step


def _relu(scale: float) -> Graph:
    """A relu between quantize and dequantize ops with this scale."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4, 8, 8), int8(scale))
    return b.output(b.requantize(b.call("aten.relu.default", x), int8(scale)))


class $class_name(Rule):
    # TODO: this is a working example, which finds a relu that reads coarse steps. Make it the rule that you want.
    code = "$code"
    name = "$name"
    summary = "A relu reads values whose steps are coarser than 1."
    why = "TODO: say which pass of the backend assumes what, and what follows where that does not hold."
    remedy = "TODO: say what the user can do about it."
    scope = "node"
    message = "{node} reads steps of {scale:g}, coarser than {limit:g}"
    effects = EffectsTable(
        [
            # The first row that applies wins. Leave the evidence out where an example shows the row to a recording.
            EffectRow("*", "*", "*", Effect.QUALITY, Evidence.SOURCE_READ, reference="TODO: pass, commit or issue"),
        ]
    )
    bad = (Example("relu that reads steps of 2", lambda: _relu(2.0)),)
    good = (Example("relu that reads steps of 0.05", lambda: _relu(0.05)),)
    references = ()
    #: Whether the guard keeps what is found off the accelerator, under the default policy.
    refused = False

    def check(self, view: View, target: Target) -> Iterator[Finding]:
        for node in view.calls():
            qparams = view.in_qp(node, 0)
            if node.kind != "relu" or qparams is None or qparams.per_channel or qparams.scale <= _COARSE:
                continue
            yield self.finding(view, target, (node,), case="*", node=node.name, scale=qparams.scale, limit=_COARSE)
''')

#: $package, $module, $class_name
PACK = Template('''"""A rule pack for fuseguard."""

from $package.$module import $class_name

#: The engine interface that this pack is written for.
INTERFACE = 1

RULES = ($class_name,)
''')

#: $code, $package, $module, $class_name
TEST = Template('''"""$code finds its bad examples, passes its good ones, and is documented."""

from fuseguard.testing import assert_rule
from $package.$module import $class_name


def test_the_rule_holds_against_its_own_examples() -> None:
    assert_rule($class_name)
''')
