"""What a rule does to the process that it runs in becomes a failure of the rule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule, run
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.target import Target

TARGET = Target.parse("TOSA-1.0+INT", "1.5.1")


def graph() -> Graph:
    b = GraphBuilder()
    return b.output(b.call("aten.relu.default", b.quantized_input("x", (1, 4), int8(0.1))))


def rule_of(act: Callable[[], object]) -> Rule:
    class Acting(Rule):
        code, name, summary, why, remedy, scope, message = "ZZ100", "acts", "s", "w", "r", "node", "m"
        effects = EffectsTable([EffectRow("*", ">=1", "*", Effect.WRONG)])
        bad = good = (Example("x", graph),)

        def check(self, view: View, target: Target) -> Iterator[Finding]:
            act()
            return iter(())

    return Acting()


def _exit() -> None:
    raise SystemExit(0)


def _generator_exit() -> None:
    raise GeneratorExit


@pytest.mark.parametrize("act", [_exit, _generator_exit, lambda: time.sleep(30)])
def test_a_rule_does_not_end_or_stop_the_run(act: Callable[[], object]) -> None:
    report = run(graph(), TARGET, [rule_of(act)], rule_seconds=0.2)
    assert [failure.code for failure in report.failures] == ["ZZ100"]
    assert not report.ok


def test_ctrl_c_is_not_the_rules() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(graph(), TARGET, [rule_of(interrupt)])


def test_what_a_rule_prints_is_not_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    run(graph(), TARGET, [rule_of(lambda: print("hello"))])
    assert capsys.readouterr() == ("", "hello\n")


def test_qparams_that_cannot_be_read_do_not_pass() -> None:
    b = GraphBuilder()
    x = b.input()
    q = b.call("quantized_decomposed.quantize_per_tensor.default", x, "not a number", 0, -128, 127, "int8")
    report = run(b.output(q), TARGET, [])
    assert report.unread == (q,)
    assert not report.ok
    assert "could not be read" in report.notices[0]
