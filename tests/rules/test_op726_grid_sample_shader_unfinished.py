"""OP726 where its examples do not reach, torch-free.

Protects: which grid_sample has a shader that works, and that the op counts as delegated for VGF alone.
"""

from __future__ import annotations

import pytest

from fuseguard.backend.partition import stays_on_cpu, stays_outside
from fuseguard.backend.rewrite_grid_sampler import KINDS
from fuseguard.engine import Effect, run
from fuseguard.engine.finding import Evidence, Finding
from fuseguard.ir import Graph, View
from fuseguard.ir.builder import GraphBuilder, int8
from fuseguard.ir.qparams import QParams
from fuseguard.target import Target
from fuseguard_rules.operator.op726_grid_sample_shader_unfinished import GridSampleShaderUnfinished

SNORM = QParams.per_tensor(1.0 / 127.0, 0, -127, 127, "int8")
GRID = int8(0.0078, 0)
INT16 = QParams.per_tensor(2.0**-12, 0, -32767, 32767, "int16")


def graph(
    channels: int = 4,
    batch: int | None = 1,
    mode: int | None = 0,
    image: QParams | None = None,
    grid: QParams | None = None,
    target: str = "aten.grid_sampler.default",
) -> Graph:
    b = GraphBuilder()
    x = b.input("x", (batch, channels, 8, 8))
    places = b.input("grid", (batch, 5, 6, 2))
    x = b.requantize(x, image) if image else x
    places = b.requantize(places, grid) if grid else places
    arguments = () if mode is None else (mode, 0, False)
    shape = (batch, channels, 5, 6)
    value = b.call(target, x, places, *arguments, shape=shape, annotated=image is not None)
    return b.output(b.requantize(value, image) if image else value)


def found(program: Graph, target: str = "vgf", release: str = "1.5.1") -> tuple[Finding, ...]:
    return run(program, Target.parse(target, release), (GridSampleShaderUnfinished(),)).findings


@pytest.mark.parametrize("spelling", ["aten.grid_sampler.default", "aten.grid_sampler_2d.default"])
@pytest.mark.parametrize(
    ("options", "effect"),
    [
        ({}, None),
        ({"channels": 3}, None),
        ({"mode": 1}, None),
        ({"mode": None}, None),
        ({"image": SNORM, "grid": GRID}, None),
        ({"image": SNORM, "grid": GRID, "channels": 3, "mode": 1}, None),
        ({"channels": 1}, Effect.WRONG),
        ({"channels": 5}, Effect.WRONG),
        ({"batch": 2}, Effect.WRONG),
        ({"batch": None}, Effect.WRONG),
        ({"mode": 2}, Effect.WRONG),
        ({"image": int8(0.0078, 3)}, None),  # a float grid keeps the image's Q and DQ, so that the float sampler runs
        ({"image": int8(0.0078, 3), "batch": 2}, Effect.WRONG),
        ({"image": SNORM}, Effect.CRASH),
        ({"image": SNORM, "grid": INT16}, Effect.CRASH),
        ({"image": INT16}, None),
        ({"image": INT16, "grid": GRID}, Effect.WRONG),
        ({"image": SNORM, "grid": GRID, "batch": 2}, Effect.CRASH),
        ({"image": SNORM, "grid": GRID, "mode": 2}, Effect.CRASH),
        ({"image": int8(1.0 / 127.0, 0), "grid": GRID}, Effect.CRASH),  # from -128 on
        ({"image": int8(0.0078, 3), "grid": GRID}, Effect.CRASH),
    ],
)
def test_what_a_sampler_is_for(options: dict[str, object], effect: Effect | None, spelling: str) -> None:
    findings = found(graph(target=spelling, **options))  # type: ignore[arg-type]
    assert [finding.effect for finding in findings] == ([effect] if effect is not None else [])


@pytest.mark.parametrize(
    ("release", "effect"),
    [
        ("1.3.1", Effect.CPU_FALLBACK),
        ("1.4.0", Effect.CRASH),
        ("1.4.1", Effect.CRASH),
        ("1.5.0", Effect.WRONG),
    ],
)
def test_each_release_does_what_was_seen(release: str, effect: Effect) -> None:
    (finding,) = found(graph(batch=2), release=release)
    assert (finding.effect, finding.evidence) == (effect, Evidence.MEASURED)


def test_before_1_5_no_shader_can_be_converted() -> None:
    assert [finding.effect for finding in found(graph(), release="1.4.1")] == [Effect.CRASH]
    assert found(graph(), release="1.5.0") == ()


@pytest.mark.parametrize("target", ["TOSA-1.0+INT+FP", "TOSA-1.0+INT", "ethos-u85-256"])
def test_no_other_target_has_these_shaders(target: str) -> None:
    assert found(graph(batch=2), target) == ()


def test_the_op_is_delegated_for_vgf_from_1_4_on() -> None:
    """It was taken for an op that no backend lowers, which rules about delegates then build on."""
    program = graph(batch=2)
    view = View(program)
    (node,) = view.of_kind(*KINDS)
    cases = (("vgf", "1.5.1", False), ("vgf", "1.3.1", True), ("TOSA-1.0+INT+FP", "1.5.1", True))
    for target, release, outside in cases:
        parsed = Target.parse(target, release)
        assert stays_outside(view, node, parsed) is outside
        assert stays_on_cpu(view, node, parsed) is outside
