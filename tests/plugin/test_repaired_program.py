"""What a repair leaves alone: names, signature, state, and the metadata that later passes and debuggers look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.torch, pytest.mark.slow]
pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec  # noqa: E402
from executorch.backends.arm.tosa.partitioner import TOSAPartitioner  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.engine import Call, Duplicate, Pair, Replace, Rewrite  # noqa: E402
from fuseguard.executorch import guard, lower, prove, repair  # noqa: E402
from fuseguard.executorch.copying import copy_program  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference, run_eager  # noqa: E402
from fuseguard.executorch.quantizing import quantize  # noqa: E402
from fuseguard.executorch.rewriting import RepairFault, apply_rewrites  # noqa: E402
from fuseguard.ir.builder import GraphBuilder, int8  # noqa: E402

TARGET = "TOSA-1.0+INT+FP"
QPARAMS = int8(0.0487, 3)


class Signed(torch.nn.Module):
    """A relu after a convolution, concatenated with its negative: FU101."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(4, 4, 3)

    def forward(self, input: torch.Tensor, device: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value = torch.relu(self.conv(input))
        return torch.cat([value, -value], 1), device


class Remembering(torch.nn.Module):
    """The same fault with the Q/DQ written out, and a buffer that keeps the last result. Not every release's quantizer
    lets a program write to a buffer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (4, 4, 3, 3), dtype=torch.int8))
        self.register_buffer("last", torch.zeros(1, 4, 6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = _OPS.dequantize_per_tensor(self.weight, 0.01, 0, -127, 127, torch.int8)
        value = torch.relu(torch.nn.functional.conv2d(requantized(x), weight))
        value = requantized(value)
        self.last.copy_(value)
        return value * 1.0


_OPS = torch.ops.quantized_decomposed


def requantized(value: torch.Tensor) -> torch.Tensor:
    numbers = (QPARAMS.scale, QPARAMS.zero_point, QPARAMS.qmin, QPARAMS.qmax, torch.int8)
    return _OPS.dequantize_per_tensor(_OPS.quantize_per_tensor(value, *numbers), *numbers)


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, ...]:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(3, dtype=torch.int32)


@pytest.fixture(scope="module")
def program(inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    torch.manual_seed(0)
    return quantize(Signed(), inputs)


@pytest.fixture(scope="module")
def stateful(inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    """In the form before functionalization, in which copy_ writes to the buffer."""
    torch.manual_seed(0)
    return annotated(torch.export.export(Remembering(), inputs[:1]))


def annotated(program: ExportedProgram) -> ExportedProgram:
    """Marks the two ops as Arm's quantizer does."""
    for node in program.graph.nodes:
        if any(name in str(node.target) for name in ("conv2d", "relu")):
            node.meta["custom"] = {"_arm_annotation_info": {"quantized": True}}
    return program


class Filling(Remembering):
    """The same, but what it writes to is an input of the caller's."""

    def forward(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        weight = _OPS.dequantize_per_tensor(self.weight, 0.01, 0, -127, 127, torch.int8)
        value = requantized(torch.relu(torch.nn.functional.conv2d(requantized(x), weight)))
        kept.copy_(value)  # not called last: torch would then write to the buffer of that name
        return value * 1.0


def partitioner() -> TOSAPartitioner:
    return TOSAPartitioner(TosaCompileSpec(TARGET))


def specs(program: ExportedProgram) -> list[str]:
    """Inputs and outputs: kind, name, and what parameter or buffer they stand for."""
    signature = program.graph_signature
    return [str(spec) for spec in (*signature.input_specs, *signature.output_specs)]


# --- names --------------------------------------------------------------------------------------------------


def test_inputs_may_have_names_that_python_knows(program: ExportedProgram, inputs: tuple[torch.Tensor, ...]) -> None:
    """nn.Sequential's only argument is called input, and torch.fx renames such nodes when it copies a graph."""
    assert program.graph_signature.user_inputs == ("input", "device")
    result = repair(program, TARGET)
    assert [item.finding.code for item in result.applied] == ["FU101"]
    result.program.validate()
    assert specs(result.program) == specs(program)
    copied = copy_program(program)
    copied.validate()
    assert [node.name for node in copied.graph.nodes] == [node.name for node in program.graph.nodes]
    assert prove(program, inputs, TARGET, checks="guard").outcome == "exact"
    guarded = guard(partitioner(), program=program)
    lower(program, guarded, repair=False)
    assert guarded.fuseguard_report.refused


# --- state --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("functional", [False, True])
def test_state_is_kept_and_not_shared(
    stateful: ExportedProgram, inputs: tuple[torch.Tensor, ...], functional: bool
) -> None:
    """The repaired program writes to its buffer what the original does to its own, and never to the original's."""
    # What writes in place is repaired in its decomposed form, which says what it writes.
    decomposed = stateful.run_decompositions({})
    original = decomposed if functional else stateful
    result = repair(original, TARGET)
    assert result.applied
    assert specs(result.program) == specs(decomposed)
    assert result.program.graph_signature.buffers_to_mutate == decomposed.graph_signature.buffers_to_mutate
    assert bool(original.graph_signature.buffers_to_mutate) is functional
    before = original.state_dict["last"].clone()
    repaired = result.program.module()
    with torch.no_grad():
        output = repaired(inputs[0])
    written = dict(repaired.named_buffers())["last"]
    assert torch.equal(output, written)
    assert written.abs().sum() > 0
    assert torch.equal(original.state_dict["last"], before)
    assert largest_difference(original, result.program, inputs[:1]) == 0


@pytest.mark.parametrize("functional", [False, True])
def test_an_input_that_is_written_to_still_is(inputs: tuple[torch.Tensor, ...], functional: bool) -> None:
    torch.manual_seed(0)
    program = annotated(torch.export.export(Filling(), (inputs[0], torch.zeros(1, 4, 6, 6))))
    decomposed = program.run_decompositions({})
    original = decomposed if functional else program
    assert bool(original.graph_signature.user_inputs_to_mutate) is functional
    result = repair(original, TARGET)
    # From 1.3 on, the delegate loses the input, since nothing reads the values that copy_ replaces (OP713).
    assert {item.finding.code for item in result.applied} - {"OP713"} == {"FU101"}
    assert specs(result.program) == specs(decomposed)
    assert result.program.graph_signature.user_inputs_to_mutate == decomposed.graph_signature.user_inputs_to_mutate
    programs, written = (original, result.program), [torch.zeros(1, 4, 6, 6) for _ in range(2)]
    with torch.no_grad():
        outputs = [item.module()(inputs[0], last) for item, last in zip(programs, written, strict=True)]
    assert torch.equal(*outputs)
    assert torch.equal(*written)
    assert torch.equal(outputs[1], written[1])
    assert written[1].abs().sum() > 0


def test_weights_without_state_are_shared(program: ExportedProgram) -> None:
    result = repair(program, TARGET)
    weight = next(name for name in program.state_dict if "frozen_param" in name)
    assert result.program.state_dict[weight] is program.state_dict[weight]


def test_a_program_that_wrote_to_its_buffer_with_gradients_can_be_copied(
    stateful: ExportedProgram, inputs: tuple[torch.Tensor, ...]
) -> None:
    """Then the buffer is no graph leaf, which torch refuses to copy deeply."""
    used = copy_program(stateful)
    used.state_dict["last"] = used.state_dict["last"].clone().requires_grad_() + 0
    assert run_eager(used, inputs[:1])[0].shape == (1, 4, 6, 6)


# --- metadata -----------------------------------------------------------------------------------------------


def test_what_is_inserted_says_where_it_comes_from(program: ExportedProgram) -> None:
    """Later passes, ETRecord and debuggers look for the source line and module path of every node."""
    result = repair(program, TARGET)
    calls = [node for node in result.program.graph.nodes if node.op == "call_function"]
    assert all(node.meta["val"] is not None for node in calls)
    anchor = next(node for node in calls if "conv2d" in str(node.target))
    assert anchor.meta["custom"]["_arm_annotation_info"]["quantized"]
    (q,) = anchor.users
    (dq,) = q.users
    for made in (q, dq):
        for key in ("stack_trace", "nn_module_stack", "torch_fn", "from_node"):
            assert made.meta.get(key) == anchor.meta.get(key), key
    assert "self.conv(input)" in q.meta["stack_trace"]
    assert list(q.meta["nn_module_stack"].values())[-1][0].endswith("conv")


def test_etrecord_and_bundled_program_of_a_repaired_program(
    program: ExportedProgram, inputs: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    """What the Inspector needs: debug handles, the same for a convolution and for the pair after it."""
    devtools = pytest.importorskip("executorch.devtools", exc_type=ImportError)
    from executorch.devtools import BundledProgram
    from executorch.devtools.bundled_program.config import MethodTestCase, MethodTestSuite
    from executorch.devtools.bundled_program.serialize import serialize_from_bundled_program_to_flatbuffer

    guarded = partitioner()
    edge = lower(program, guarded, generate_etrecord=True)
    assert guarded.fuseguard_repair.applied
    executorch = edge.to_executorch()
    path = tmp_path / "etrecord.bin"
    executorch.get_etrecord().save(str(path))
    record: Any = devtools.parse_etrecord(str(path))
    handles = {
        node.name: node.meta["debug_handle"]
        for node in record.edge_dialect_program.graph.nodes
        if node.op == "call_function"
    }
    anchor = next(name for name in handles if "convolution" in name)
    nodes = {node.name: node for node in record.edge_dialect_program.graph.nodes}
    (q,) = nodes[anchor].users
    (dq,) = q.users
    assert handles[q.name] == handles[dq.name] == handles[anchor] != 0
    assert record._delegate_map["forward"]

    expected = program.module()(*inputs)
    suite = MethodTestSuite("forward", [MethodTestCase(inputs=list(inputs), expected_outputs=list(expected))])
    assert serialize_from_bundled_program_to_flatbuffer(BundledProgram(executorch, [suite]))


# --- the edits ----------------------------------------------------------------------------------------------


def split_in_two() -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    """Both halves of a split, the second an output as it is."""
    b = GraphBuilder()
    x = b.quantized_input("x", (1, 8, 4, 4), QPARAMS)
    halves = b.call("aten.split.Tensor", x, 4, 1)
    first, second = (b.call("operator.getitem", halves, part, shape=(1, 4, 4, 4)) for part in (0, 1))
    return materialize(b.output(b.requantize(first, QPARAMS), second))


def test_replacing_the_parts_of_a_split_removes_it_and_keeps_the_outputs_name() -> None:
    program, inputs = split_in_two()
    source = next(node for node in program.graph.nodes if "dequantize" in node.name)
    split = next(node for node in program.graph.nodes if node.name.startswith("split"))
    split.meta["stack_trace"] = "the user's line"
    parts = [node.name for node in split.users]
    assert program.graph_signature.user_outputs[1] == parts[1]
    copied = copy_program(program)
    cuts = [Call("aten.slice.Tensor", (1, start, start + 4)) for start in (0, 4)]
    edits = (
        Replace(parts[0], source.name, (cuts[0],)),
        Replace(parts[1], source.name, (cuts[1], Pair(QPARAMS))),
    )
    apply_rewrites(copied, [Rewrite(edits)])
    copied.validate()
    assert specs(copied) == specs(program)
    names = [node.name for node in copied.graph.nodes]
    assert not [name for name in names if name.startswith("split") or name == parts[0]]
    assert source.name not in names, "nothing reads the shared dequantize op any more"
    slices = [node for node in copied.graph.nodes if node.name.startswith("slice")]
    assert len({node.args[0] for node in slices}) == 2, "each with a dequantize op of its own"
    for node in slices:
        assert node.meta["stack_trace"] == "the user's line"
        assert node.meta["custom"]["_arm_annotation_info"]["quantized"]
    assert largest_difference(program, copied, inputs) == 0


def test_a_duplicate_shares_weights_and_has_dequantize_ops_of_its_own(program: ExportedProgram) -> None:
    copied = copy_program(program)
    nodes = {node.name: node for node in copied.graph.nodes}
    anchor = next(node for node in nodes.values() if "conv2d" in str(node.target))
    (activation,) = anchor.users
    (q,) = activation.users
    apply_rewrites(copied, [Rewrite((Duplicate((anchor.name, activation.name), (q.name,)),))])
    copied.validate()
    (copy_of_activation,) = q.all_input_nodes
    (copy_of_anchor,) = copy_of_activation.all_input_nodes
    assert copy_of_activation is not activation
    assert copy_of_anchor is not anchor
    for original, made in zip(anchor.all_input_nodes, copy_of_anchor.all_input_nodes, strict=True):
        assert original is not made
        assert original.args == made.args, "the same codes, weights and scales"
    for original, made in ((anchor, copy_of_anchor), (activation, copy_of_activation)):
        for key in ("stack_trace", "nn_module_stack", "custom", "val"):
            assert str(made.meta.get(key)) == str(original.meta.get(key)), key


def test_a_rewrite_that_does_not_fit_is_a_fault_with_a_name(program: ExportedProgram) -> None:
    with pytest.raises(RepairFault, match="no node 'nowhere'"):
        apply_rewrites(copy_program(program), [Rewrite((Duplicate(("nowhere",), ()),))])
