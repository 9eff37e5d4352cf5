"""What a rule does to the process that it runs in becomes a failure of the rule."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Finding, Rule, run
from fuseguard.ir import Graph, Node, View
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


def bodies(number: int) -> Graph:
    """A program with several control-flow bodies."""
    top = graph()
    parts = {}
    for index in range(number):
        part = graph()
        part.name = f"body_{index}"
        parts[part.name] = part
    return Graph(list(top), subgraphs=parts)


def test_a_rule_that_hangs_does_so_once_and_not_in_each_body() -> None:
    started = time.monotonic()
    report = run(bodies(50), TARGET, [rule_of(lambda: time.sleep(30))], rule_seconds=0.2)
    assert len(report.failures) == 1
    assert time.monotonic() - started < 5


def test_a_repair_that_hangs_does_so_once_and_not_for_each_finding() -> None:
    class Hanging(type(rule_of(lambda: None))):  # type: ignore[misc]
        def check(self, view: View, target: Target) -> Iterator[Finding]:
            for _ in range(50):
                yield self.finding(view, target, view.calls()[-1:], case="*")

        def repair(self, view: View, target: Target, finding: Finding) -> None:
            time.sleep(30)

    started = time.monotonic()
    report = run(graph(), TARGET, [Hanging()], rule_seconds=0.2)
    assert [failure.code for failure in report.failures] == ["ZZ100"]
    assert len(report.findings) == 50
    assert time.monotonic() - started < 5


def test_an_error_that_has_no_text_is_a_failure_too() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def act() -> None:
        raise Mute

    [failure] = run(graph(), TARGET, [rule_of(act)]).failures
    assert failure.error == "Mute: an error without a text"


def test_refusals_that_expose_one_another_without_end_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round exposes one op more; a program of ordinary size may have many rounds."""
    monkeypatch.setattr("fuseguard.engine.exposure.MAX_LOOKS", 0)

    def chain(number: int) -> Graph:
        b = GraphBuilder()
        value = b.quantized_input("x", (1, 4), int8(0.1))
        for _ in range(number):
            value = b.call("aten.relu.default", value)
        return b.output(value)

    class Exposing(type(rule_of(lambda: None))):  # type: ignore[misc]
        refused = True

        def check(self, view: View, target: Target) -> Iterator[Finding]:
            yield self.finding(view, target, [view.calls()[2]], case="*")

        def exposed(self, view: View, target: Target, refused: frozenset[str]) -> Iterator[tuple[Node, Node]]:
            for node in view.calls():
                by = [item for item in view.graph.inputs(node) if item.name in refused and item.kind == "relu"]
                if by and node.name not in refused:
                    yield node, by[0]
                    return

    assert run(chain(8), TARGET, [Exposing()]).failures == ()
    [failure] = run(chain(20), TARGET, [Exposing()]).failures
    assert failure.error.startswith("TooMuchWork: ")


def test_ctrl_c_is_not_the_rules() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(graph(), TARGET, [rule_of(interrupt)])


def test_what_a_rule_prints_is_not_in_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    run(graph(), TARGET, [rule_of(lambda: print("hello"))])
    assert capsys.readouterr() == ("", "hello\n")


def test_what_a_rule_writes_to_the_descriptor_is_not_in_the_report(tmp_path: Path) -> None:
    """``os.write``, C and other processes do not ask ``sys.stdout``. What comes after the check is in the report."""
    with (
        (tmp_path / "report").open("w") as report,
        (tmp_path / "rest").open("w") as rest,
        redirect_stdout(report),
        redirect_stderr(rest),
    ):
        run(graph(), TARGET, [rule_of(lambda: os.write(report.fileno(), b"hello"))])
        print("report", flush=True)
    assert (tmp_path / "report").read_text() == "report\n"
    assert (tmp_path / "rest").read_text() == "hello"


def test_qparams_that_cannot_be_read_do_not_pass() -> None:
    b = GraphBuilder()
    x = b.input()
    q = b.call("quantized_decomposed.quantize_per_tensor.default", x, "not a number", 0, -128, 127, "int8")
    report = run(b.output(q), TARGET, [])
    assert report.unread == (q,)
    assert not report.ok
    assert "could not be read" in report.notices[0]
