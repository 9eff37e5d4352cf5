"""The engine vgf: delegates whose VGF yields something else than their TOSA, and VGFs that do not run.

The real runs are skipped where the engine does not work; 'fuseguard doctor' says why.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.torch
pytest.importorskip("executorch")
np = pytest.importorskip("numpy")

import torch  # noqa: E402
from torch.export import ExportedProgram  # noqa: E402

from fuseguard.engine import Effect  # noqa: E402
from fuseguard.engine.registry import load_registry  # noqa: E402
from fuseguard.engine.rule import Example  # noqa: E402
from fuseguard.engine.run import run  # noqa: E402
from fuseguard.executorch import guard, prove, repair, report_of  # noqa: E402
from fuseguard.executorch.delegates import DelegateFault, NotJudged, UndefinedResult  # noqa: E402
from fuseguard.executorch.engines import vgf, vgf_worker  # noqa: E402
from fuseguard.executorch.engines.status import vgf_status  # noqa: E402
from fuseguard.executorch.engines.vgf import VgfEngine, VgfRun  # noqa: E402
from fuseguard.executorch.materialize import materialize  # noqa: E402
from fuseguard.executorch.outputs import largest_difference  # noqa: E402
from fuseguard.readers.budget import Budget  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard.readers.tosa import read_tosa  # noqa: E402
from fuseguard.readers.vgf import read_vgf  # noqa: E402
from fuseguard.target import Target  # noqa: E402
from fuseguard_testkit.paths import DATA  # noqa: E402
from fuseguard_testkit.quantizing import quantize  # noqa: E402

RULE = load_registry().get("BO606")
assert RULE is not None
#: Releases that the table says were measured with the engine.
MEASURED = {release for row in RULE.effects.rows for release in row.measured_on}
GRID_SAMPLE = load_registry().get("OP726")
assert GRID_SAMPLE is not None
VGF = (DATA / "dropout.vgf").read_bytes()
INPUT = np.zeros((1, 3, 8, 8), np.float32)
_STATUS = vgf_status()
#: What the table says was measured: on another release, what the engine shows is not held against it.
needs_engine = pytest.mark.skipif(not _STATUS.works, reason=_STATUS.explained().replace("\n", " "))
measured = pytest.mark.skipif(version("executorch") not in MEASURED, reason="measured on other releases")
newest = pytest.mark.skipif(version("executorch") != "1.5.1", reason="1.4.1 keeps a value and its dropout apart")

_ABORTS = "import os, sys\nsys.stderr.write('lost the device\\n')\nsys.stderr.flush()\nos.abort()\n"
_HANGS = "import time\ntime.sleep(60)\n"
_RAISES = """
def prepare():
    def answer(request):
        raise RuntimeError("no memory")
    return answer
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an engine whose process is a script."""
    monkeypatch.setattr(vgf, "require", lambda *_: None)
    monkeypatch.setattr(vgf.vulkan, "find_driver", lambda: Path("icd.json"))
    device = vgf.vulkan.Device("", frozenset(vgf.vulkan.EXTENSIONS))
    monkeypatch.setattr(vgf.vulkan, "probe", lambda icd, layers: device)

    def make(script: str, seconds: float = 30) -> VgfEngine:
        path = tmp_path / "worker.py"
        path.write_text(script)
        monkeypatch.setattr(vgf_worker, "__file__", str(path))
        return VgfEngine(None, seconds)

    return make


def test_a_vgf_that_aborts_its_process_is_a_fault_with_its_last_words(engine: Any) -> None:
    made = engine(_ABORTS)
    for _ in range(2):  # the second time in another process
        with pytest.raises(DelegateFault, match=r"died \(exit code -6\): lost the device"):
            made.run(VGF, [INPUT])
    made.close()


def test_a_vgf_that_hangs_is_ended_and_says_nothing_about_the_lowering(engine: Any) -> None:
    made = engine(_HANGS, 1.0)
    with pytest.raises(NotJudged, match=r"ended after 1 s\. That says nothing about the lowering"):
        made.run(VGF, [INPUT])
    made.close()


def test_a_vgf_that_the_runner_refuses_is_a_fault(engine: Any) -> None:
    made = engine(_RAISES)
    with pytest.raises(DelegateFault, match="does not run on Vulkan: RuntimeError: no memory"):
        made.run(VGF, [INPUT])
    made.close()


def test_a_vgf_that_cannot_be_read_or_takes_other_inputs_starts_no_process(engine: Any) -> None:
    made = engine("raise SystemExit(3)")
    with pytest.raises(DelegateFault, match="cannot be read"):
        made.run(b"VGF1", [INPUT])
    with pytest.raises(DelegateFault, match="takes 1 inputs and is given 2"):
        made.run(VGF, [INPUT, INPUT])
    assert made._child._process is None


def test_outputs_with_one_binding_are_one_tensor() -> None:
    """model-converter drops the addition of a zero: both outputs are then one resource. Two tensors were bound to it,
    and one of them held garbage."""
    made: list[Any] = []

    class Scenario:
        def run(self) -> None:
            pass

        def download(self, tensor: int) -> Any:
            return np.full(2, tensor)

    class Runner:
        Format = SimpleNamespace(R32Sfloat="float")
        DescriptorType = SimpleNamespace(TensorArm="tensor")
        VgfInfo = staticmethod(lambda: SimpleNamespace(load_source=lambda path: None))
        DispatchVgfData = staticmethod(lambda vgf: SimpleNamespace())
        TypedBinding = staticmethod(lambda group, binding, tensor, kind: (binding, tensor))

        class ScenarioBuilder:
            add_vgf = staticmethod(lambda source: None)
            add_dispatch_vgf = staticmethod(lambda command: None)
            build = staticmethod(Scenario)

            def add_tensor(self, shape: Any, form: str) -> int:
                made.append(shape)
                return len(made) - 1

    outputs = [(binding, (2,), "R32_SFLOAT") for binding in (1, 1, 2)]
    built = vgf_worker.Built(Runner, "a.vgf", [], outputs)
    assert len(made) == 2
    assert [list(array) for array in built.run([])] == [[0, 0], [0, 0], [1, 1]]


@pytest.mark.parametrize(("resident", "kept"), [(1 << 30, 16), (3 << 30, 1)])
def test_a_worker_that_has_grown_keeps_only_the_last_vgf(
    resident: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiled shaders of 16 real models took 7 GB."""
    built: list[str] = []

    class Built:
        def __init__(self, runner: Any, path: str, inputs: Any, outputs: Any) -> None:
            built.append(path)

        run = staticmethod(lambda arrays: [])

    monkeypatch.setitem(sys.modules, "scenario_runner_py", SimpleNamespace())
    monkeypatch.setattr(vgf_worker, "Built", Built)
    monkeypatch.setattr(vgf_worker, "resident_bytes", lambda: resident)
    answer = vgf_worker.prepare()
    paths = [f"{number}.vgf" for number in range(20)]
    for path in [*paths, *reversed(paths)]:
        answer((path, [], [], []))
    assert len(built) == 40 - kept


def test_a_worker_knows_its_memory() -> None:
    assert vgf_worker.resident_bytes() > 1 << 20


# --- the comparison ---------------------------------------------------------------------------------------


def compared(results: list[Any], wanted: list[Any], given: Any = INPUT) -> Any:
    """What a run keeps of the two outputs of the fixture."""
    found = VgfRun.__new__(VgfRun)
    found.differences = []
    found._compare(0, read_vgf(VGF, Budget()), [given], results, wanted)
    return found.differences


def test_integers_are_compared_to_the_bit_and_floats_within_the_tolerance() -> None:
    codes = np.arange(-4, 4, dtype=np.int8)
    floats = np.linspace(-8, 8, 9, dtype=np.float32)
    assert compared([codes, floats], [codes, floats]) == []
    assert compared([codes, floats + np.float32(8e-5 * 0.9)], [codes, floats]) == []
    [first, second] = compared([codes + np.int8(1), floats + np.float32(8e-5 * 1.2)], [codes, floats])
    assert (first.output, first.differing, first.elements, first.largest) == (0, 8, 8, 1.0)
    assert first.shared_with == (1,)
    assert str(first).endswith("it is one value with output 1 in the VGF")
    assert second.output == 1


def test_nan_where_the_reference_has_nan_is_no_difference_and_elsewhere_it_is_an_infinite_one() -> None:
    nan = np.array([1, np.nan], np.float32)
    assert compared([nan, nan], [nan, nan]) == []
    [first] = compared([nan, nan], [np.array([1, 2], np.float32), nan])
    assert (first.largest, first.at, first.expected) == (float("inf"), (1,), 2.0)


def test_a_difference_on_nan_inputs_is_undefined() -> None:
    given = np.full((1, 3, 8, 8), np.nan, np.float32)
    with pytest.raises(UndefinedResult, match="delegate 0 is given NaN"):
        compared([np.zeros(2, np.float32)] * 2, [np.ones(2, np.float32)] * 2, given)


# --- real runs ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dropout() -> tuple[ExportedProgram, tuple[torch.Tensor, ...]]:
    """(conv y, dropout y) in int8."""
    example = RULE.bad[0]
    assert example.program is not None
    module, inputs = example.program()
    return quantize(module, inputs, Target.parse("vgf").spec, example.config), inputs


@pytest.mark.slow
@needs_engine
@newest
def test_a_value_and_its_dropout_are_wrong_on_vulkan_alone(
    dropout: tuple[ExportedProgram, tuple[torch.Tensor, ...]],
) -> None:
    """The reference model calls it exact, the engine names output 0, and guard and repair make it right."""
    program, inputs = dropout
    target = Target.parse("vgf")
    assert [finding.code for finding in run(read_program(program), target, load_registry().rules).findings] == ["BO606"]
    tosa = prove(program, inputs, "vgf")
    assert (tosa.outcome, tosa.engine_locations) == ("exact", ())
    assert "outputs 0 and 1 of delegate 0 are one value" in tosa.notes[0]
    vulkan = prove(program, inputs, "vgf", engine="vgf")
    assert (vulkan.outcome, vulkan.differing, vulkan.engine) == ("wrong", ("output 0",), "vgf")
    assert [(item.output, item.shared_with) for item in vulkan.engine_differences] == [(0, (1,))]
    assert vulkan.engine_locations == ()  # unless asked for
    guarded = prove(program, inputs, "vgf", "guard", engine="vgf")
    assert (guarded.outcome, guarded.engine_differences) == ("exact", ())
    repaired = repair(program, "vgf")
    assert [item.finding.code for item in repaired.applied] == ["BO606"]
    assert repaired.exact
    assert largest_difference(program, repaired.program, inputs) == 0.0
    proof = prove(repaired.program, inputs, "vgf", engine="vgf")
    assert (proof.outcome, proof.engine_differences, proof.cpu_ops) == ("exact", (), ())


@pytest.mark.slow
@needs_engine
@newest
def test_a_value_and_its_sum_with_zero_are_right() -> None:
    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            y = torch.sin(x)
            return y, y + 0.0, torch.cos(y)

    inputs = (torch.randn(2, 3),)
    proof = prove(torch.export.export(Model().eval(), inputs), inputs, "vgf", engine="vgf")
    assert (proof.outcome, proof.engine_differences, proof.delegates) == ("exact", (), 1)


@pytest.mark.slow
@needs_engine
@newest
def test_no_operator_is_wrong_where_two_outputs_are_one_value(
    dropout: tuple[ExportedProgram, tuple[torch.Tensor, ...]],
) -> None:
    """With every tensor visible, outputs that are one value would hold garbage: each value is an output once."""
    program, inputs = dropout
    proof = prove(program, inputs, "vgf", engine="vgf", locate=True)
    assert (proof.outcome, [item.output for item in proof.engine_differences]) == ("wrong", [0])
    [location] = proof.engine_locations
    assert (location.ops, location.reproduced, location.reason) == ((), (), "")
    [merged] = location.merged
    assert len(merged) == 3  # the value and its two identities
    assert location.compared == location.tensors > 3
    assert all(cell.status == "exact" for cell in proof.cells)  # those of the TOSA


@pytest.mark.slow
@needs_engine
@pytest.mark.parametrize("config", ["int8-per-channel", "a16w8"])
def test_an_operator_that_vulkan_computes_otherwise_is_named_with_its_place_in_the_program(
    monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    """A converter that damages the second of two convolutions, whenever it converts."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Sigmoid(), torch.nn.Conv2d(4, 2, 1)).eval()
    inputs = (torch.randn(1, 3, 8, 8),)
    program = quantize(module, inputs, Target.parse("vgf").spec, config)
    from executorch.backends.arm.vgf import backend

    convert = backend.vgf_compile

    def damaged(tosa: bytes, *args: Any, **kwargs: Any) -> Any:
        return convert(_with_other_weight(tosa, 1), *args, **kwargs)

    monkeypatch.setattr(backend, "vgf_compile", damaged)
    proof = prove(program, inputs, "vgf", engine="vgf", locate=True)
    assert proof.outcome == "wrong"
    [location] = proof.engine_locations
    assert location.reproduced == (0,)
    [op] = location.ops
    # No VGF holds the int48 sums of an int16 convolution.
    assert op.kinds == (("CONV2D",) if config == "int8-per-channel" else ("CONV2D", "RESCALE"))
    assert op.program_ops == ("conv2d_1",)
    assert 0 < op.differing <= op.elements // 2  # of one of two channels
    assert op.at[-1] == 0


def _with_other_weight(tosa: bytes, number: int) -> bytes:
    """A TOSA graph in which the first weight of one CONV2D is another."""
    graph = read_tosa(tosa, Budget())
    values = graph.tensors[[op.inputs[1] for op in graph.ops if op.kind == "CONV2D"][number]].values
    assert values is not None
    old = b"".join(value.to_bytes(1, "little", signed=True) for value in values)
    assert tosa.count(old) == 1
    return tosa.replace(old, (-values[0] // 2).to_bytes(1, "little", signed=True) + old[1:])


@pytest.mark.slow
@pytest.mark.thorough
@needs_engine
@measured
@pytest.mark.parametrize("example", [*RULE.bad, *RULE.good], ids=lambda example: example.title)
def test_the_examples_do_on_vulkan_what_the_table_says(example: Example) -> None:
    """Each bad one is what the rule says, and exact repaired; each good one is exact."""
    program, inputs = materialize(example.graph())
    found = run(read_program(program), Target.parse("vgf"), (RULE,)).findings
    assert bool(found) == (example in RULE.bad)
    proof = prove(program, inputs, "vgf", engine="vgf")
    assert proof.outcome == (found[0].effect.value if found else "exact"), proof
    if proof.outcome == "wrong":
        assert proof.engine_differences[0].shared_with
        repaired = repair(program, "vgf", select=["BO606"])
        assert repaired.applied
        assert prove(repaired.program, inputs, "vgf", engine="vgf").outcome == "exact"


@pytest.mark.slow
@pytest.mark.thorough
@needs_engine
@measured
@pytest.mark.parametrize("example", [*GRID_SAMPLE.bad, *GRID_SAMPLE.good], ids=lambda example: example.title)
def test_a_grid_sample_does_on_vulkan_what_the_table_says(example: Example) -> None:
    """VgfPartitioner takes the op whatever a check says, so that a refusal alone would keep nothing on the CPU."""
    program, inputs = materialize(example.graph())
    target = Target.parse("vgf")
    findings = run(read_program(program), target, (GRID_SAMPLE,)).findings
    effect = findings[0].effect if findings else Effect.EXACT
    expected = "exact" if effect is Effect.CPU_FALLBACK else effect.value
    assert prove(program, inputs, "vgf", engine="vgf").outcome == expected
    assert bool(findings) == (example in GRID_SAMPLE.bad and example.is_bad_on(target))
    if findings:
        guarded = prove(program, inputs, "vgf", "guard", engine="vgf")
        assert (guarded.outcome, guarded.engine_differences) == ("exact", ())
        assert "aten.grid_sampler_2d.default" in " ".join(guarded.cpu_ops)


@pytest.mark.slow
@needs_engine
@newest
def test_a_guard_keeps_all_grid_samples_on_the_cpu_where_one_is_refused() -> None:
    """And lets the next program have its own, with the same partitioner."""
    import torch.nn.functional as F
    from executorch.backends.arm.vgf import VgfCompileSpec, VgfPartitioner
    from executorch.exir import to_edge_transform_and_lower

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, ...]:
            sampled = F.grid_sample(torch.sigmoid(x), grid, align_corners=False)
            return sampled, F.grid_sample(torch.sigmoid(x), grid, mode=self.mode, align_corners=False)

    def left(mode: str) -> int:
        model = Model().eval()
        model.mode = mode
        program = torch.export.export(model, (torch.rand(1, 4, 8, 8), torch.rand(1, 5, 6, 2) * 2 - 1))
        lowered = to_edge_transform_and_lower(program, partitioner=[partitioner]).exported_program()
        return sum("grid_sampler_2d" in str(node.target) for node in lowered.graph.nodes)

    partitioner = guard(VgfPartitioner(VgfCompileSpec()))
    assert [left(mode) for mode in ("nearest", "bicubic", "nearest")] == [0, 2, 0]
    assert [finding.code for finding in report_of(partitioner).findings] == ["OP726"]
