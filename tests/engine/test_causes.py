"""Consequences name their cause and come after it."""

from __future__ import annotations

from fuseguard.engine.causes import mark_consequences
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import run
from fuseguard.target import Target
from fuseguard_testkit.report_fakes import finding


class _Follower:
    code = "XX002"
    follows_from = ("XX001",)


def test_only_a_finding_at_a_common_node_of_the_same_graph_follows() -> None:
    cause = finding(code="XX001", nodes=("a", "b"))
    same = finding(code="XX002", nodes=("b", "c"))
    elsewhere = finding(code="XX002", nodes=("c",))
    other_graph = finding(code="XX002", nodes=("b",), graph="true_graph_0")
    marked = mark_consequences([same, cause, elsewhere, other_graph], [_Follower()])  # type: ignore[list-item]
    assert [item.caused_by for item in marked] == ["XX001", None, None, None]


def test_a_cat_of_two_dtypes_is_one_fault_with_one_consequence() -> None:
    """QD203 finds the domains different, which they cannot but be if the dtypes are."""
    registry = load_registry()
    mixed = registry.get("DT501")
    assert mixed is not None
    (example,) = [example for example in mixed.bad if example.title == "cat of int8 and int16"]
    report = run(example.graph(), Target.parse("TOSA-1.0+INT+int16", "1.5.1"), registry.rules)
    assert [(f.code, f.caused_by) for f in report.findings] == [("DT501", None), ("QD203", "DT501")]
