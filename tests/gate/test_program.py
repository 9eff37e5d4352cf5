"""Findings about a program as a whole: a gate must be red where it is green on nothing or on what it did not read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import fuseguard
from fuseguard.engine.finding import Severity
from fuseguard.engine.program_rules import PROGRAM_RULES
from fuseguard.engine.run import Report
from fuseguard.ir import Graph
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.delegate import Delegate
from fuseguard.ir.tosa import TosaOp, TosaProgram
from fuseguard.readers.open import read_file
from fuseguard_testkit.paths import DATA

INT = "TOSA-1.0+INT"


def check(name: str, target: str = INT, **options: object) -> Report:
    return fuseguard.check(DATA / name, target, "1.5.1", **options)  # type: ignore[arg-type]


def told(report: Report) -> Counter[str]:
    return Counter(finding.code for finding in report.findings)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("cond.pt2", "PG801", "is not quantized"),
        ("observers.pt2", "PG802", "has 4 observers, such as activation_post_process_0"),
        ("xnnpack.pt2", "PG803", "none of its 2 quantized ops"),
    ],
)
def test_nothing_to_check_is_one_warning_and_an_error_where_it_is_required(name: str, code: str, words: str) -> None:
    report = check(name)
    assert told(report) == {code: 1}
    assert words in report.findings[0].message
    assert report.findings[0].severity is Severity.WARNING
    assert report.ok
    required = check(name, require_quantized=True)
    assert told(required) == {code: 1}
    assert required.findings[0].severity is Severity.ERROR
    assert not required.ok
    assert not check(name, require_quantized=True, ignore=[code]).ok, "what is required cannot be ignored"
    assert told(check(name, ignore=[code])) == ({"PL404": 2} if code == "PG803" else {})


@pytest.mark.parametrize(
    "name", ["conv_cat.pt2", "linear.pt2", "conv_cat_edge.exir", "conv_cat_guarded.exir", "several.pt2"]
)
def test_a_quantized_program_has_what_is_required(name: str) -> None:
    assert told(check(name, require_quantized=True)) == told(check(name))
    assert not {code for code in told(check(name)) if code.startswith("PG")}


def test_a_foreign_quantizer_is_as_bad_as_what_the_target_makes_of_it() -> None:
    report = check("xnnpack.pt2", "TOSA-1.0+INT+FP")
    assert told(report) == {"PG803": 1}
    assert report.findings[0].severity is Severity.ERROR, "convolutions crash with float support"
    assert report.findings[0].effect is fuseguard.Effect.CRASH


def test_each_program_of_a_file_is_told_apart() -> None:
    edges = {"float": read_file(DATA / "cond.pt2"), "quantized": read_file(DATA / "linear.pt2")}
    for name, graph in edges.items():
        graph.name = name
    report = fuseguard.check(Graph([], subgraphs=edges), INT, "1.5.1", require_quantized=True)
    assert told(report) == {"PG801": 1}
    assert "'float'" in report.findings[0].message


def test_a_broken_lowering_is_found_in_the_finished_file() -> None:
    """By the rule in the delegate's sub-graph, and without any rule in its TOSA."""
    for name in ("conv_cat_lowered.exir", "lowered.etrecord"):
        report = check(name)
        assert told(report) == {"FU101": 1, "PG807": 1}
        assert {finding.graph for finding in report.findings} == {"lowered_module_0"}
        assert not report.refused(), "no guard can keep it off the accelerator any more"
        lost = next(finding for finding in report.findings if finding.code == "PG807")
        assert "aten_relu_default ends at 0, which is code -110" in lost.message
        assert lost.source is not None
        assert (lost.source.file, lost.source.line) == ("model.py", 10)


@pytest.mark.parametrize("name", ["conv_cat_guarded.exir", "conv_cat_lowered_1.2.0.exir"])
def test_a_right_lowering_is_clean(name: str) -> None:
    """The convolution runs on the CPU, as it is written: PL401 used to tell of a crash there."""
    report = check(name)
    assert told(report) == {}
    assert report.quantized
    assert "1 delegate of Arm's backend" in " ".join(report.notices)


def test_the_tosa_alone_shows_it_where_the_rule_is_left_out() -> None:
    assert told(check("conv_cat_lowered.exir", ignore=["FU101"])) == {"PG807": 1}
    assert not check("conv_cat_lowered.exir", ignore=["FU101"]).ok


def test_a_delegate_of_another_backend_is_never_green() -> None:
    report = check("xnnpack_lowered.exir")
    assert told(report) == {"PG804": 1}
    assert "XnnpackBackend" in report.findings[0].message
    assert not report.ok
    assert not check("xnnpack_lowered.exir", select=["FU"]).ok, "a choice of rules does not choose what is understood"


def test_a_delegate_that_is_not_there_is_never_green() -> None:
    graph = lowered()
    del graph.subgraphs["lowered_module_0"]  # type: ignore[attr-defined]
    report = fuseguard.check(graph, INT, "1.5.1")
    assert told(report)["PG804"] == 1
    assert not report.ok


def test_another_target_than_that_of_the_delegate_is_told() -> None:
    report = check("conv_cat_guarded.exir", "TOSA-1.0+INT+FP")
    assert told(report) == {"PG805": 1}
    assert "TOSA-1.0+INT, but is checked for TOSA-1.0+INT+FP" in report.findings[0].message


def lowered() -> Graph:
    return read_file(DATA / "conv_cat_lowered.exir")


def delegate_of(graph: Graph) -> Delegate:
    delegate = graph.subgraphs["lowered_module_0"].delegate
    assert delegate is not None
    return delegate


def with_tosa(**changes: object) -> Report:
    """The report on the lowered program with its TOSA changed."""
    graph = lowered()
    delegate = delegate_of(graph)
    assert delegate.tosa is not None
    changed = replace(delegate.tosa, **changes)  # type: ignore[arg-type]
    graph.subgraphs["lowered_module_0"].delegate = replace(delegate, tosa=changed)
    return fuseguard.check(graph, INT, "1.5.1", ignore=["FU"])


def test_a_clamp_in_the_tosa_is_seen() -> None:
    tosa = delegate_of(lowered()).tosa
    assert tosa is not None
    [transpose] = [op for op in tosa.ops if op.outputs == ("tosa_transpose_default_1",)]
    rest = tuple(op for op in tosa.ops if op is not transpose)
    for bounds, codes in (((-110, 127), {}), ((-128, 127), {"PG807": 1}), ((-100, 127), {})):
        clamp = TosaOp("CLAMP", transpose.inputs, ("clamped",), bounds)
        moved = replace(transpose, inputs=("clamped", *transpose.inputs[1:]))
        assert told(with_tosa(ops=(*rest, clamp, moved))) == codes, bounds


def test_the_version_of_the_flatbuffer_is_compared() -> None:
    report = with_tosa(version=(1, 1))
    assert told(report) == {"PG806": 1, "PG807": 1}


def test_merged_outputs_are_told_only_where_their_qparams_differ() -> None:
    for scale, codes in ((0.02, {"PG808": 1}), (0.01, {})):
        builder = GraphBuilder("edge")
        x = builder.dequantize(builder.input("x", dtype="int8"), int8(0.01))
        ends = [builder.quantize(builder.call("aten.sigmoid.default", x), int8(size)) for size in (0.01, scale)]
        inside = builder.output(*ends)
        inside.name = "lowered_module_0"
        for outputs, found in ((("t", "t"), codes), (("t", "u"), {}), (("t",), {})):
            inside.delegate = Delegate("TOSABackend", (("tosa_spec", INT),), TosaProgram((1, 0), (), outputs=outputs))
            program = lowered()
            program.subgraphs = {"lowered_module_0": inside}
            assert told(fuseguard.check(program, INT, "1.5.1", select=["FU"])) == found, (scale, outputs)


def test_what_a_delegate_proves_wrong_is_left_out() -> None:
    """1.2.0 crashes on the island; that it is in a delegate shows that another release made the file."""
    report = fuseguard.check(DATA / "conv_cat_lowered.exir", "TOSA-1.0+INT+FP", "1.2.0")
    assert "FU101" not in told(report)
    assert "1 finding inside delegates predicted a crash" in " ".join(report.notices)
    assert told(report)["PG807"] == 1, "what is in the file does not depend on the release"
    assert not report.ok


def test_severities_of_the_configuration_count() -> None:
    report = check("cond.pt2", severity={"PG801": "note"})
    assert report.findings[0].severity is Severity.NOTE


def test_every_code_is_of_the_family_and_sorted() -> None:
    codes = [rule.code for rule in PROGRAM_RULES]
    assert codes == sorted(codes)
    assert all(code.startswith("PG8") for code in codes)


def test_no_baseline_and_no_severity_makes_green_what_is_required(tmp_path: Path) -> None:
    from fuseguard.gate import baseline as baselines

    path = tmp_path / "baseline.json"
    for name, code, options in (
        ("cond.pt2", "PG801", {"require_quantized": True}), ("xnnpack_lowered.exir", "PG804", {}),
    ):  # fmt: skip
        entries = baselines.entries_of(baselines.Baseline(path), check(name, **options))
        path.write_text(baselines.render(baselines.Baseline(path, tuple(entries))))
        report = check(name, baseline=path, severity={code: "note"}, **options)
        assert told(report)[code] == 1
        assert not report.ok
        assert not [item for item in report.suppressed if item.code == code]
    assert check("cond.pt2", baseline=path).ok


def test_what_a_baseline_knows_of_the_rest_stays_known(tmp_path: Path) -> None:
    from fuseguard.gate import baseline as baselines

    path = tmp_path / "baseline.json"
    entries = baselines.entries_of(baselines.Baseline(path), check("conv_cat_lowered.exir"))
    path.write_text(baselines.render(baselines.Baseline(path, tuple(entries))))
    report = check("conv_cat_lowered.exir", baseline=path)
    assert told(report) == {}
    assert {item.code for item in report.suppressed} == {"FU101", "PG807"}
