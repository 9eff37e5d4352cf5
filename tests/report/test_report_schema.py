"""The JSON Schema that is shipped: what fuseguard writes is valid by it, and it says all that is written."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import date
from importlib import resources
from typing import Any

import jsonschema
import pytest

from fuseguard.engine import Effect, Evidence, Severity, run
from fuseguard.engine.finding import Outcome, Suppression, SuppressionKind
from fuseguard.engine.housekeeping import UNUSED_SUPPRESSION
from fuseguard.engine.registry import load_registry
from fuseguard.engine.run import POLICIES
from fuseguard.gate.config import Config
from fuseguard.gate.difference import compare as differences
from fuseguard.gate.gate import make_gate
from fuseguard.gate.result import CheckResult, FileResult
from fuseguard.gate.upgrade import compare
from fuseguard.ir import Graph
from fuseguard.ir.graph import SourceLine
from fuseguard.report import difference, upgrade
from fuseguard.report.difference import Difference
from fuseguard.report.formats import render_document
from fuseguard.report.json_lines import records
from fuseguard.report.upgrade import FileUpgrade, UpgradeResult
from fuseguard.schemas import SCHEMAS, load_schema
from fuseguard.target import Target
from fuseguard_testkit.report_fakes import (
    BARE,
    BUGGY,
    FAILURE,
    FINDING,
    TARGET,
    UNREADABLE,
    finding,
    of,
    report,
    result,
)

REGISTRY = load_registry()
Schema = dict[str, Any]

OUTCOMES = (Outcome("A", Effect.WRONG, Severity.ERROR, Evidence.MEASURED, "#1", True, 3.0, float("inf")), Outcome("B"))
HIDDEN = Suppression(SuppressionKind.FIXME, "later", date(2027, 1, 2), "module a", SourceLine("fuseguard.toml", 9))
UPKEEP = UNUSED_SUPPRESSION.finding(SourceLine("fuseguard.toml", 3), "x", rule="FU101", scope="module a", where="")

RESULTS = {
    "nothing": of(),
    "every rule": result(
        *(
            FileResult(f"{rule.code}.pt2", run(rule.bad[0].graph(), TARGET, REGISTRY.rules, file=f"{rule.code}.pt2"))
            for rule in REGISTRY.rules
        )
    ),
    "everything": result(
        FileResult(
            "m.pt2",
            report(
                finding(fingerprint="fg1:0123456789abcdef", details=(("a", "b"),), bound_steps=float("nan")),
                finding(outcomes=OUTCOMES, caused_by="FU101"),
                BARE,
                suppressed=(finding(suppression=HIDDEN),),
                failures=(FAILURE,),
                notices=("Look.",),
            ),
        ),
        UNREADABLE,
        BUGGY,
        FileResult("fuseguard.toml", report(UPKEEP), upkeep=True),
        exit_code=3,
    ),
}


def strict(schema: Schema) -> Schema:
    """The schema, refusing every key that it does not name: a key that is written has to be described."""

    def close(part: Any) -> Any:
        if isinstance(part, list):
            return [close(item) for item in part]
        if not isinstance(part, dict):
            return part
        closed = {key: close(value) for key, value in part.items()}
        if "properties" in part:
            closed["unevaluatedProperties"] = False
        return closed

    closed: Schema = close(schema)
    for name in ("head", "finding", "failure", "summary"):
        # Others add keys to these, and are closed themselves.
        del closed["$defs"][name]["unevaluatedProperties"]
    return closed


def validator(schema: Schema) -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", RESULTS)
def test_the_json_report_is_valid(name: str) -> None:
    validator(strict(load_schema("json"))).validate(json.loads(render_document("json", RESULTS[name])))


@pytest.mark.parametrize("name", RESULTS)
def test_every_json_line_is_valid(name: str) -> None:
    lines = render_document("json-lines", RESULTS[name]).splitlines()
    check = validator(strict(load_schema("json-lines")))
    kinds = []
    for line in lines:
        record = json.loads(line)
        check.validate(record)
        kinds.append(record["type"])
    assert (kinds[0], kinds[-1]) == ("run", "summary")
    if name == "everything":
        assert set(kinds) == {"run", "finding", "suppressed", "failure", "notice", "error", "summary"}


def test_the_lines_hold_what_the_document_holds() -> None:
    check: CheckResult = RESULTS["everything"]
    document = json.loads(render_document("json", check))
    lines = list(records(check))
    for kind, key in (("finding", "findings"), ("suppressed", "suppressed"), ("failure", "failures")):
        told = [item for file in document["files"] for item in file[key]]
        assert [{k: v for k, v in item.items() if k in told[0]} for item in lines if item["type"] == kind] == told
    assert {k: v for k, v in lines[-1].items() if k != "type"} == document["summary"]


def broken(change: str) -> dict[str, Any]:
    document = copy.deepcopy(json.loads(render_document("json", RESULTS["everything"])))
    found = document["files"][0]["findings"][0]
    if change == "effect":
        found["effect"] = "terrible"
    elif change == "missing":
        del found["remedy"]
    elif change == "fingerprint":
        found["fingerprint"] = "abc"
    elif change == "version":
        document["schema_version"] = "2.0"
    elif change == "count":
        document["summary"]["errors"] = -1
    return document


@pytest.mark.parametrize("change", ["effect", "missing", "fingerprint", "version", "count"])
def test_what_is_wrong_is_refused(change: str) -> None:
    check = validator(load_schema("json"))
    assert check.is_valid(broken("nothing"))
    assert not check.is_valid(broken(change))


def test_what_other_commands_write_is_valid_too() -> None:
    known = FileResult("a.pt2", run(rule_graph(), Target.parse("TOSA-1.0+INT", "1.5.1"), REGISTRY.rules, file="a.pt2"))
    clean = FileResult("b.pt2", report(failures=(FAILURE,), notices=("Look.",)))
    for before, after in ((known, clean), (clean, known), (known, known), (UNREADABLE, known)):
        reports = [file.report for file in (before, after) if file.report is not None]
        pairs = differences(*reports) if len(reports) == 2 else ()
        told = difference.to_dict(Difference(before, after, pairs, (TARGET,), "consistent", 1))
        validator(strict(load_schema("diff"))).validate(json.loads(json.dumps(told)))
    gate = make_gate(REGISTRY, Config(), targets=["all"], releases=["1.4.1", "1.5.1"])
    for checked in (gate.check(rule_graph(), "a.pt2"), replace(gate.check(rule_graph()), failures=(FAILURE,))):
        hidden = replace(checked, findings=(), suppressed=checked.findings)
        files = (FileUpgrade("a.pt2", compare(checked)), FileUpgrade("h.pt2", compare(hidden)))
        files = (*files, FileUpgrade("bad.pt2", error=UNREADABLE.error))
        told = upgrade.to_dict(UpgradeResult(files, gate.targets, gate.policy, 3))
        assert told["files"][0]["places"]
        assert told["files"][1]["suppressed"]
        validator(strict(load_schema("upgrade-check"))).validate(json.loads(json.dumps(told)))


def rule_graph() -> Graph:
    """With one finding, FU101."""
    return next(rule for rule in REGISTRY.rules if rule.code == "FU101").bad[0].graph()


def test_readers_must_not_mind_keys_of_later_versions() -> None:
    document = json.loads(render_document("json", of(FINDING)))
    document["files"][0]["findings"][0]["new_in_1_9"] = True
    document["new_in_1_9"] = True
    assert validator(load_schema("json")).is_valid(document)


def test_every_word_that_may_be_written_is_in_the_schema() -> None:
    definitions = load_schema("json")["$defs"]
    assert definitions["effect"]["enum"] == [effect.value for effect in Effect]
    assert set(definitions["severity"]["enum"]) == {severity.value for severity in Severity}
    assert definitions["head"]["properties"]["policy"]["enum"] == list(POLICIES)
    kinds = definitions["suppression"]["oneOf"][1]["properties"]["kind"]["enum"]
    assert kinds == [kind.value for kind in SuppressionKind]
    assert definitions["evidence"]["enum"] == [item.value for item in Evidence]
    assert TARGET.profile in definitions["target"]["properties"]["profile"]["enum"]


def test_the_schema_is_part_of_the_package() -> None:
    """As importlib.resources sees it, which is how it is read from a wheel."""
    assert resources.files("fuseguard.schemas").joinpath("check.schema.json").is_file()
    assert set(SCHEMAS.values()) <= load_schema("json")["$defs"].keys()


def test_no_definition_is_there_twice() -> None:
    """JSON keeps the last one without a word: two merged branches had each added a ``step``."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), [name for name, _ in pairs]
        return dict(pairs)

    folder = resources.files("fuseguard.schemas")
    files = [file for file in folder.iterdir() if file.name.endswith(".json")]
    assert files
    for file in files:
        json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=once)
