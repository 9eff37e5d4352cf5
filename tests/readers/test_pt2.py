"""What a .pt2 file says must arrive in the graph unchanged, with no torch in the process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuseguard.ir import Ref, SourceLine, TensorMeta
from fuseguard.readers.open import read_file
from fuseguard.readers.pt2 import read_pt2

DATA = Path(__file__).parent / "data"
NAMES = sorted(path.name for path in DATA.iterdir())
SMALL_ENOUGH_TO_COMMIT = 60 * 1024


def test_fixtures_are_small_and_hold_no_path_of_a_machine() -> None:
    assert len(NAMES) == 23
    for name in NAMES:
        data = (DATA / name).read_bytes()
        assert len(data) <= SMALL_ENOUGH_TO_COMMIT
        assert not [place for place in (b"/root", b"/home", b"/work", b"/tmp") if place in data]


def test_quantize_nodes_keep_their_literals_and_types() -> None:
    graph = read_pt2(DATA / "conv_cat.pt2")
    node = next(node for node in graph if node.target == "quantized_decomposed.quantize_per_tensor.default")
    assert node.args[0] == Ref("x")
    assert isinstance(node.args[1], float)
    assert node.args[2:] == (-128, -128, 127, "int8")
    assert node.outputs == (TensorMeta("int8", (1, 2, 4, 4)),)
    assert graph.dialect == "aten"


def test_per_channel_scales_and_zero_points_are_read_and_nothing_else() -> None:
    graph = read_pt2(DATA / "conv_cat.pt2")
    dequantize = [node for node in graph if "per_channel" in node.target]
    expected = {arg.name for node in dequantize for arg in node.args[1:3] if isinstance(arg, Ref)}
    assert expected
    assert set(graph.buffers) == expected
    for node in dequantize:
        scales, points = (graph.buffers[arg.name] for arg in node.args[1:3] if isinstance(arg, Ref))
        assert len(scales) == 3
        assert all(0 < scale < 1 and math.isfinite(scale) for scale in scales)
        assert points == (0.0, 0.0, 0.0)


def test_parameters_and_buffers_are_constant_and_user_inputs_are_not() -> None:
    graph = read_pt2(DATA / "conv_cat.pt2")
    placeholders = {node.name: node.constant for node in graph if node.op == "placeholder"}
    assert placeholders["x"] is placeholders["y"] is False
    assert placeholders["p_conv_weight"] is placeholders["b__frozen_param0"] is True


def test_source_line_is_the_users_and_the_stack_is_outermost_first() -> None:
    conv = next(node for node in read_pt2(DATA / "conv_cat.pt2") if node.target == "aten.conv2d.default")
    assert conv.source == SourceLine("model.py", 10, "forward", "return torch.cat([torch.relu(self.conv(x)), y], 1)")
    assert conv.stack[0] == conv.source
    assert conv.stack[-1].file.endswith("torch/nn/modules/conv.py")


def test_module_path_and_type_are_the_innermost() -> None:
    nodes = list(read_pt2(DATA / "cond.pt2"))
    conv = next(node for node in nodes if node.kind == "conv")
    assert (conv.module, conv.module_type) == ("conv", "torch.nn.modules.conv.Conv2d")
    add = next(node for node in nodes if node.kind == "add")
    assert (add.module, add.module_type) == ("", "fixture_model.Cond")


def test_annotation_of_arms_quantizer_is_kept() -> None:
    graph = read_pt2(DATA / "conv_cat.pt2")
    assert {node.kind for node in graph if node.annotated} >= {"conv", "relu", "cat"}
    assert not [node.name for node in graph if node.annotated and node.kind in ("quantize", "dequantize")]


def test_several_results_become_getitem_nodes_as_in_the_live_graph() -> None:
    graph = read_pt2(DATA / "split.pt2")
    split = graph["split"]
    assert split.outputs == (TensorMeta("float32", (2, 2, 4, 4)),) * 2
    getitems = graph.users(split)
    assert [(node.target, node.args) for node in getitems] == [
        ("operator.getitem", (Ref("split"), 0)), ("operator.getitem", (Ref("split"), 1)),
    ]  # fmt: skip
    assert [node.stack for node in getitems] == [split.stack] * 2
    assert [meta.dtype for meta in graph["max_pool2d_with_indices"].outputs] == ["float32", "int64"]


def test_control_flow_bodies_are_graphs_with_paths() -> None:
    graph = read_pt2(DATA / "cond.pt2")
    assert [body.name for body in graph.walk()] == [
        "", "true_graph_0", "true_graph_0.true_graph_0", "true_graph_0.false_graph_0", "false_graph_0",
    ]  # fmt: skip
    cond = graph["cond"]
    assert cond.target == "higher_order.cond"
    assert cond.args[1:3] == cond.subgraphs == ("true_graph_0", "false_graph_0")
    loop = read_pt2(DATA / "loop.pt2")["while_loop"]
    assert loop.args[2:] == ((Ref("count"), Ref("x")), ())


def test_arguments_of_every_kind_arrive() -> None:
    graph = read_pt2(DATA / "arguments.pt2")
    by_kind = {node.target: node for node in graph if node.op == "call"}
    assert graph["x"].outputs == (TensorMeta("float32", (None, 8)),)
    assert graph["k"].outputs == ()  # a Python number
    assert by_kind["aten.view.default"].args[1] == (Ref("mul"), -1)
    assert by_kind["aten.clamp.default"].args[1:] == (-math.inf, 6.0)
    assert by_kind["aten.full_like.default"].args[1] == math.inf
    assert by_kind["aten.to.dtype"].args[1] == "float16"
    assert by_kind["aten.zeros.default"].kwargs == {"dtype": "int8", "device": "cpu", "pin_memory": False}
    assert "torch.contiguous_format" in by_kind["aten.clone.default"].kwargs.values()
    assert isinstance(graph["output"].args[0], tuple)


def test_edge_dialect_has_the_same_spelling_and_only_positional_arguments() -> None:
    graph = read_pt2(DATA / "conv_cat_edge.pt2")
    assert graph.dialect == "edge"
    targets = {node.target for node in graph if node.op == "call"}
    assert {"aten.convolution.default", "quantized_decomposed.dequantize_per_channel.default"} <= targets
    assert not [node.name for node in graph if node.kwargs]
    assert graph.buffers


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith((".pte", ".tosa", ".vgf"))])
def test_reading_leaves_the_file_as_it_was(name: str) -> None:
    path = DATA / name
    before, stamp = path.read_bytes(), os.stat(path).st_mtime_ns
    read_file(path)
    assert (path.read_bytes(), os.stat(path).st_mtime_ns) == (before, stamp)


def test_reader_imports_neither_torch_nor_numpy_nor_report_libraries() -> None:
    """Each of them costs more than the reading; torch alone takes seconds."""
    script = (
        "import sys; from pathlib import Path; from fuseguard.readers.pt2 import read_pt2;"
        f"read_pt2(Path({str(DATA / 'conv_cat.pt2')!r}));"
        "print([name for name in ('torch', 'numpy', 'sympy', 'rich', 'click') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
