"""The inputs and outputs that a report names, with the qparams that who feeds or reads codes has to use."""

from __future__ import annotations

import fuseguard
from fuseguard.engine.interface import Value, interface_of
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.report.json import report_dict
from fuseguard_testkit.paths import DATA

IN, OUT = int8(0.1, 3), int8(0.2, -5)


def test_floats_that_the_program_quantizes_first_and_dequantizes_last() -> None:
    b = GraphBuilder()
    result = b.requantize(b.call("aten.relu.default", b.quantized_input("x", (1, 4), IN)), OUT)
    found = interface_of(b.output(result))
    assert found.inputs == (Value("x", "float32", (1, 4), False, IN),)
    [output] = found.outputs
    assert (output.dtype, output.codes, output.qparams) == ("float32", False, OUT)


def test_codes_are_told_from_values() -> None:
    """As after QuantizeInputs and QuantizeOutputs: the program starts with a DQ, and ends with a Q."""
    arguments = (0.1, 3, -128, 127, "int8")
    b = GraphBuilder()
    x = b.input("x", (1, 4), "int8")
    value = b.call("quantized_decomposed.dequantize_per_tensor.default", x, *arguments, shape=(1, 4))
    codes = b.call("quantized_decomposed.quantize_per_tensor.default", value, *arguments, shape=(1, 4), dtype="int8")
    found = interface_of(b.output(codes))
    assert [(item.codes, item.qparams) for item in (*found.inputs, *found.outputs)] == [(True, int8(0.1, 3))] * 2


def test_what_is_not_quantized_or_in_two_ways_has_no_qparams() -> None:
    b = GraphBuilder()
    x, y = b.input("x", (1, 4)), b.input("y", (1, 4))
    two = [b.requantize(x, qparams) for qparams in (IN, OUT)]
    found = interface_of(b.output(b.call("aten.relu.default", y, shape=(1, 4)), *two))
    assert [item.qparams for item in found.inputs] == [None, None]
    assert [item.qparams for item in found.outputs] == [None, IN, OUT]


def test_state_and_weights_are_no_inputs_and_new_state_is_no_output() -> None:
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 4), IN)
    cache = b.constant("cache", (1, 4), "float32")
    total = b.requantize(b.call("aten.add.Tensor", x, cache, shape=(1, 4)), OUT)
    b.call("aten.copy_.default", cache, total, shape=(1, 4))
    graph = b.output(total)
    assert graph.mutations
    found = interface_of(graph)
    assert [item.name for item in found.inputs] == ["x"]
    assert [item.qparams for item in found.outputs] == [OUT]


def test_the_names_are_those_of_a_file_with_several_programs() -> None:
    report = fuseguard.check(DATA / "several.pt2", "TOSA-1.0+INT", "1.5.1")
    programs = {item.program for item in report.interface.outputs}
    assert len(programs) > 1
    assert "" not in programs


def test_the_json_report_has_them() -> None:
    report = fuseguard.check(DATA / "conv_cat.pt2", "TOSA-1.0+INT", "1.5.1")
    [file] = report_dict(report)["files"]
    assert [item["name"] for item in file["inputs"]] == ["x", "y"]
    [output] = file["outputs"]
    assert (output["dtype"], output["codes"], output["quantized_dtype"]) == ("float32", False, "int8")
    assert output["scale"] > 0
    assert output["quant_min"] == -128
    assert [item["layout"] for item in (*file["inputs"], output)] == ["contiguous"] * 3
    assert output["dim_order"] == [0, 1, 2, 3]
