"""The ops that the edge dialect rejects are those that the installed ExecuTorch rejects, and OP722 finds just these.

Protects: an op that lowering crashes on and that no rule reports, and a false alarm about one that is decomposed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch

pytest.importorskip("executorch")

import torch  # noqa: E402
from executorch.exir import to_edge  # noqa: E402
from executorch.exir.dialects import edge  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch._export.verifier import SpecViolationError  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from fuseguard.backend.op_sets_edge import BECOMES, OF_REAL_NUMBERS, REJECTED  # noqa: E402
from fuseguard.readers.fx import read_program  # noqa: E402
from fuseguard_rules.operator.op722_edge_dialect_rejects_op import EdgeDialectRejectsOp  # noqa: E402
from fuseguard_testkit.edge_rejections import live  # noqa: E402
from fuseguard_testkit.linting import find  # noqa: E402

RELEASE = metadata.version("executorch")

IMAGE = torch.rand(1, 4, 6, 6) + 0.5
INTEGERS = torch.arange(24, dtype=torch.int32).reshape(2, 12)
_Call = Callable[[Tensor], object]

#: By the op that the program has.
REJECTED_CALLS: dict[str, tuple[_Call, Tensor]] = {
    "exp2.default": (torch.exp2, IMAGE),
    "exp2_.default": (lambda x: x.neg().exp2_(), IMAGE),
    "signbit.default": (torch.signbit, IMAGE),
    "cumprod.default": (lambda x: x.cumprod(1), IMAGE),
    "logcumsumexp.default": (lambda x: x.logcumsumexp(1), IMAGE),
    "cummax.default": (lambda x: x.cummax(1), IMAGE),
    "erfc.default": (torch.erfc, IMAGE),
    "erfinv.default": (torch.erfinv, IMAGE / 2),
    "lgamma.default": (torch.lgamma, IMAGE),
    "digamma.default": (torch.digamma, IMAGE),
    "fmax.default": (lambda x: torch.fmax(x, -x), IMAGE),
    "copysign.Tensor": (lambda x: torch.copysign(x, -x), IMAGE),
    "hypot.default": (lambda x: torch.hypot(x, x), IMAGE),
    "round.decimals": (lambda x: x.round(decimals=2), IMAGE),
    "median.dim": (lambda x: x.median(1).values, IMAGE),
    "kthvalue.default": (lambda x: x.kthvalue(2, 1).values, IMAGE),
    "mode.default": (lambda x: x.mode(1).values, IMAGE),
    "sort.stable": (lambda x: x.sort(dim=1, stable=True).values, IMAGE),
    "var_mean.correction": (lambda x: torch.var_mean(x, dim=1, correction=1), IMAGE),
    "adaptive_max_pool2d.default": (lambda x: F.adaptive_max_pool2d(x, 2), IMAGE),
    "_upsample_bicubic2d_aa.vec": (lambda x: F.interpolate(x, size=(3, 3), mode="bicubic", antialias=True), IMAGE),
    "tril_indices.default": (lambda x: (x + 1, torch.tril_indices(3, 3)), IMAGE),
    "bucketize.Tensor": (lambda x: torch.bucketize(x, x[0, 0, 0].cumsum(0)), IMAGE),
    "scatter.reduce": (lambda x: x.scatter(1, torch.zeros(1, 1, 6, 6, dtype=torch.int64), x, reduce="add"), IMAGE),
    "__lshift__.Scalar": (lambda x: x << 2, INTEGERS),
    "bitwise_left_shift.Tensor": (lambda x: torch.bitwise_left_shift(x, x), INTEGERS),
    "gcd.default": (lambda x: torch.gcd(x, x + 2), INTEGERS),
    "hamming_window.default": (lambda x: (x + 1, torch.hamming_window(4)), IMAGE),
    "bilinear.default": (lambda x: F.bilinear(x, x, torch.ones(3, 6, 6)), IMAGE),
    "adaptive_max_pool1d.default": (lambda x: F.adaptive_max_pool1d(x[0], 2), IMAGE),
    "std_mean.correction": (lambda x: torch.std_mean(x, dim=1, correction=1), IMAGE),
    "special_exp2.default": (torch.special.exp2, IMAGE),
    "special_erfc.default": (torch.special.erfc, IMAGE),
    "special_erfinv.default": (torch.special.erfinv, IMAGE / 2),
    "special_gammaln.default": (torch.special.gammaln, IMAGE),
    "special_psi.default": (torch.special.psi, IMAGE),
    "special_i0.default": (torch.special.i0, IMAGE),
    "special_multigammaln.default": (lambda x: torch.special.multigammaln(x + 3, 2), IMAGE),
    "special_round.default": (lambda x: torch.special.round(x, decimals=2), IMAGE),
    "mvlgamma.default": (lambda x: torch.mvlgamma(x + 3, 2), IMAGE),
    "linalg_det.default": (torch.linalg.det, IMAGE),
    "inverse.default": (torch.inverse, IMAGE),
    "argsort.stable": (lambda x: torch.argsort(x, dim=1, stable=True), IMAGE),
}

#: Calls that are core ATen, or decomposed, or an exception of the verifier.
ACCEPTED_CALLS: dict[str, tuple[_Call, Tensor]] = {
    "exp": (torch.exp, IMAGE),
    "cumsum": (lambda x: x.cumsum(1), IMAGE),
    "sort": (lambda x: x.sort(dim=1).values, IMAGE),
    "amax": (lambda x: x.amax(1), IMAGE),
    "max": (lambda x: x.max(), IMAGE),
    "square": (torch.square, IMAGE),
    "hardswish": (F.hardswish, IMAGE),
    "mish": (F.mish, IMAGE),
    "softplus": (F.softplus, IMAGE),
    "logaddexp": (lambda x: torch.logaddexp(x, x), IMAGE),
    "lerp": (lambda x: torch.lerp(x, -x, 0.5), IMAGE),
    "addcmul": (lambda x: torch.addcmul(x, x, x), IMAGE),
    "frac": (torch.frac, IMAGE),
    "heaviside": (lambda x: torch.heaviside(x, x), IMAGE),
    "roll": (lambda x: x.roll(1, 2), IMAGE),
    "tril": (torch.tril, IMAGE),
    "chunk": (lambda x: x.chunk(2, 1)[0], IMAGE),
    "movedim": (lambda x: x.movedim(1, 3), IMAGE),
    "unfold": (lambda x: F.unfold(x, 2), IMAGE),
    "pixel_shuffle": (lambda x: F.pixel_shuffle(x, 2), IMAGE),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 2), IMAGE),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), IMAGE),
    "bicubic": (lambda x: F.interpolate(x, size=(3, 3), mode="bicubic"), IMAGE),
    "antialiased bilinear": (lambda x: F.interpolate(x, size=(3, 3), mode="bilinear", antialias=True), IMAGE),
    "grid_sample": (lambda x: F.grid_sample(x, x[:, :2].movedim(1, 3), align_corners=False), IMAGE),
    "std_mean": (lambda x: x.std(1), IMAGE),
    "vector_norm": (lambda x: torch.linalg.vector_norm(x, dim=1), IMAGE),
    "dropout": (lambda x: F.dropout(x, 0.5, training=False), IMAGE),
    "linspace": (lambda x: (x + 1, torch.linspace(0, 1, 4)), IMAGE),
    "one_hot": (lambda x: F.one_hot(x.to(torch.int64), 24), INTEGERS),
    "bitwise_and": (lambda x: x & 3, INTEGERS),
}


class Called(nn.Module):
    def __init__(self, call: _Call) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> object:
        return self.call(x)


def exported(call: _Call, given: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(Called(call).eval(), (given,))


def test_the_list_is_executorchs_own() -> None:
    assert live() == REJECTED.on(RELEASE)


def test_the_ops_of_real_numbers_are_those_of_the_edge_dialects_file() -> None:
    text = (Path(edge.__path__[0]) / "edge.yaml").read_text(encoding="utf-8")
    found = set()
    for part in re.split(r"^- func: aten::", text, flags=re.MULTILINE)[1:]:
        name = part.split(maxsplit=1)[0]
        if "Complex" not in part:
            found.add(f"aten.{name}" if "." in name else f"aten.{name}.default")
    assert found == OF_REAL_NUMBERS.on(RELEASE)


#: Calls on the spectrum of an input, and whether every release rejects them. Those before 1.4 reject all of them.
COMPLEX_CALLS: dict[str, tuple[_Call, bool]] = {
    "abs": (torch.abs, True),
    "mul": (lambda x: torch.fft.irfft(x * 2.0), True),
    "reshape": (lambda x: torch.fft.irfft(x.reshape(4, 6, 4)), True),
    "transpose": (lambda x: torch.fft.irfft(x.transpose(1, 2)), False),
    "permute": (lambda x: torch.fft.irfft(x.permute(0, 2, 1, 3)), False),
    "slice": (lambda x: torch.fft.irfft(x[:, 1:]), False),
}


@pytest.mark.parametrize("name", COMPLEX_CALLS)
def test_complex_numbers_are_rejected_as_op722_says(name: str) -> None:
    call, rejected = COMPLEX_CALLS[name]
    program = exported(lambda x: call(torch.fft.rfft(x)), IMAGE)
    found = find(EdgeDialectRejectsOp(), read_program(program), release=RELEASE)
    assert bool(found) == (rejected or RELEASE < "1.4")
    if found:
        with pytest.raises(SpecViolationError, match="mismatched dtypes"):
            to_edge(program)
    else:
        to_edge(program)


def test_what_others_become_is_rejected() -> None:
    assert set(BECOMES.values()) <= REJECTED.on(RELEASE)
    assert not BECOMES.keys() & REJECTED.on()


@pytest.mark.parametrize("op", REJECTED_CALLS)
def test_an_op_that_is_found_cannot_be_lowered(op: str) -> None:
    program = exported(*REJECTED_CALLS[op])
    found = find(EdgeDialectRejectsOp(), read_program(program), release=RELEASE)
    assert [finding.effect.value for finding in found] == ["crash"]
    assert [node.target for node in program.graph.nodes if node.name == found[0].nodes[0]] == [
        getattr(getattr(torch.ops.aten, op.split(".")[0]), op.split(".")[1])
    ]
    with pytest.raises((SpecViolationError, RuntimeError), match="is not in Core ATen opset"):
        to_edge(program)


@pytest.mark.parametrize("name", ACCEPTED_CALLS)
def test_an_op_that_is_not_found_is_no_obstacle(name: str) -> None:
    program = exported(*ACCEPTED_CALLS[name])
    assert find(EdgeDialectRejectsOp(), read_program(program), release=RELEASE) == ()
    to_edge(program)
