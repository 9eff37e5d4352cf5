"""Rule packs: third parties may add some, and a broken one is an error, never a green run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fuseguard.engine import INTERFACE, Registry, RulePackError, run
from fuseguard.engine.housekeeping import UNUSED_SUPPRESSION
from fuseguard.engine.registry import SelectorError, load_registry, make_pack
from fuseguard.target import Target
from fuseguard_rules import FusedActivationOutOfRange
from fuseguard_rules.examples.fusion import islands as examples

TARGET = Target.parse("TOSA-1.0+INT+FP", "1.5.1")


def variant(**changes: object) -> type:
    return type("Variant", (FusedActivationOutOfRange,), changes)


def pack(*rules: object, interface: object = INTERFACE) -> SimpleNamespace:
    return SimpleNamespace(INTERFACE=interface, RULES=rules)


def test_the_built_in_pack_is_found_by_entry_point() -> None:
    assert {"FU101", "FU102", "FU103"} <= {rule.code for rule in load_registry().rules}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"why": ""}, "why"),
        ({"summary": " "}, "summary"),
        ({"code": "fu1"}, "code"),
        ({"name": "No_Kebab"}, "kebab"),
        ({"scope": "galaxy"}, "scope"),
        ({"bad": ()}, "example"),
        ({"good": ()}, "example"),
        ({"effects": None}, "effects"),
    ],
)
def test_a_rule_without_docs_or_examples_is_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(RulePackError, match=complaint):
        make_pack("third-party", "1", pack(variant(**changes)))


def test_a_pack_for_another_interface_is_refused() -> None:
    with pytest.raises(RulePackError, match="interface"):
        make_pack("third-party", "1", pack(FusedActivationOutOfRange, interface=99))


def test_an_empty_pack_is_refused() -> None:
    with pytest.raises(RulePackError, match="no RULES"):
        make_pack("third-party", "1", pack())


def test_a_duplicate_code_names_both_packs() -> None:
    packs = [make_pack(name, "1", pack(FusedActivationOutOfRange)) for name in ("ours", "theirs")]
    with pytest.raises(RulePackError, match=r"'ours' and 'theirs' both define 'FU101'"):
        Registry(packs)


def test_a_pack_that_fails_to_import_is_an_error(monkeypatch) -> None:
    def load() -> None:
        raise ImportError("no module named frob")

    monkeypatch.setattr("fuseguard.engine.registry.rule_packs", lambda: [("broken", "broken:pack", "1", load)])
    with pytest.raises(RulePackError, match="no module named frob"):
        load_registry()


def test_no_pack_at_all_is_an_error(monkeypatch) -> None:
    """Checking with no rules would pass everything."""
    monkeypatch.setattr("fuseguard.engine.registry.rule_packs", list)
    with pytest.raises(RulePackError, match="reinstall"):
        load_registry()


def test_selection_by_prefix_code_and_name() -> None:
    registry = load_registry()
    assert {rule.code for rule in registry.select(["FU"])} == {"FU101", "FU102", "FU103"}
    assert [rule.code for rule in registry.select(["fused-activation-out-of-range"])] == ["FU101"]
    assert "FU101" not in {rule.code for rule in registry.select([], ["FU101"])}
    with pytest.raises(ValueError, match="matches no rule"):
        registry.select(["ZZ"])


def test_a_rule_that_raises_is_reported_and_the_others_still_run() -> None:
    def explode(self, view, target):
        raise RuntimeError("boom")

    broken = variant(code="XX900", name="always-raises", check=explode)()
    report = run(examples.OUT_OF_RANGE[0].graph(), TARGET, [broken, FusedActivationOutOfRange()])
    assert [finding.code for finding in report.findings] == ["FU101"]
    assert [(failure.code, failure.error) for failure in report.failures] == [("XX900", "RuntimeError: boom")]


def test_preview_rules_run_only_when_named() -> None:
    """A rule that was not judged on every release must not refuse anything by default."""
    preview = variant(code="XX901", name="not-yet-judged", preview=True)
    registry = Registry([make_pack("pack", "1", pack(FusedActivationOutOfRange, preview))])
    assert [rule.code for rule in registry.select()] == ["FU101"]
    assert [rule.code for rule in registry.select(["XX"])] == []
    assert [rule.code for rule in registry.select(["XX901"])] == ["XX901"]
    assert [rule.code for rule in registry.select(["FU", "not-yet-judged"])] == ["FU101", "XX901"]


@pytest.mark.parametrize("selector", ["SU", "SU001", "unused-suppression"])
def test_su_codes_select_no_rule_of_a_graph(selector: str) -> None:
    """guard(select=...) with one of these must fail, and not guard nothing without a word."""
    registry = load_registry()
    with pytest.raises(SelectorError, match="matches no rule"):
        registry.select([selector])
    registry.check_selectors([selector])
    found = registry.find("SU001")
    assert (found, registry.get("SU001")) == (UNUSED_SUPPRESSION, None)


def test_a_pack_cannot_take_an_su_code() -> None:
    with pytest.raises(RulePackError, match="'fuseguard itself' and 'pack' both define 'SU001'"):
        Registry([make_pack("pack", "1", pack(variant(code="SU001", name="mine")))])


def test_an_empty_selector_matches_nothing() -> None:
    with pytest.raises(SelectorError):
        load_registry().select([""])


def test_a_code_that_is_none_gets_the_codes_of_its_letters_and_not_all_of_them() -> None:
    registry = load_registry()
    assert registry.nearest("FU999") == "The FU rules are FU101, FU102, FU103."
    assert registry.nearest("xyzzy") == "'fuseguard rules' lists all of them."
    assert registry.nearest("FU10").startswith("Did you mean 'FU10")
