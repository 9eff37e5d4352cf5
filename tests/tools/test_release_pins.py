"""Constraints of a release, derived from those of another one; pip is replaced by a function.

Protects: an environment in which more differs than the release asks for, or that takes another torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from release_pins import PinError, Pins, Releases, derive, nearest

BASE = """\
# Everything in the environment that ExecuTorch 1.5.1 is tested in.
# converter: 0.10 needs a newer glibc.
converter==0.11.0
ethos-u-vela==5.1.0
executorch==1.5.1
ml_dtypes==0.5.1
pytest==9.2.0
torch==2.13.0
torchao==0.18.0
"""
ASKED = [
    "torchao<0.19,>=0.18.0",
    'converter==0.10.0; extra == "vgf"',
    'ml_dtypes==0.5.1; extra == "vgf"',
    'ethos-u-vela==5.1.0; extra == "ethos-u"',
    'openvino>=2025; extra == "openvino"',
    'pywin32; platform_system == "Windows"',
]


class Resolver:
    """Says what pip would install: what is asked for with the version that is pinned, or else the given one."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions
        self.requirements: Sequence[str] = ()
        self.constraints: Sequence[str] = ()

    def __call__(self, requirements: Sequence[str], constraints: Sequence[str]) -> Mapping[str, str]:
        self.requirements, self.constraints = requirements, constraints
        return {name.replace("_", "-"): version for name, version in self.versions.items()}


def pins(asked: list[str], resolver: Resolver, by_hand: Mapping[str, str] | None = None, base: str = BASE) -> Pins:
    return derive(Releases("1.6.0", "1.5.1", asked, ASKED, base, by_hand or {}), resolver)


@pytest.mark.parametrize(
    ("release", "known", "expected"),
    [
        ("1.5.0", ["1.5.1", "1.4.1"], "1.5.1"),
        ("1.6.0", ["1.4.1", "1.5.0", "1.5.1"], "1.5.1"),
        ("1.10.0", ["1.9.0", "1.2.0"], "1.9.0"),
        ("1.3.0", ["1.2.0", "1.3.1", "1.4.0"], "1.3.1"),
        ("1.5.1", ["1.5.0", "1.5.1", "1.5.2"], "1.5.0"),
        ("1.1.0", ["1.2.0", "1.5.1"], "1.2.0"),
    ],
)
def test_the_nearest_release(release: str, known: list[str], expected: str) -> None:
    assert nearest(release, known) == expected


def test_no_release_is_nearest_where_nothing_is_known() -> None:
    with pytest.raises(PinError, match="no other release"):
        nearest("1.5.1", ["1.5.1"])


def test_what_the_release_allows_stays() -> None:
    resolver = Resolver(torchao="0.18.0")
    found = pins(ASKED, resolver)
    assert found.text == BASE.replace("ExecuTorch 1.5.1", "ExecuTorch 1.6.0").replace("h==1.5.1", "h==1.6.0")
    assert resolver.requirements == ["ethos-u-vela==5.1.0", "ml_dtypes==0.5.1", "torchao<0.19,>=0.18.0"]
    assert "torch==2.13.0" in resolver.constraints
    assert not any(constraint.startswith("executorch") for constraint in resolver.constraints)


def test_a_decision_against_the_metadata_is_kept_while_the_metadata_stays() -> None:
    assert pins(ASKED, Resolver()).choices == (
        "converter==0.11.0 although converter==0.10.0 is asked for, as with 1.5.1",
    )
    newer = [line.replace("converter==0.10.0", "converter==0.12.0") for line in ASKED]
    resolver = Resolver(converter="0.12.0")
    found = pins(newer, resolver)
    assert found.choices == ("converter==0.12.0, instead of 0.11.0 (converter==0.12.0)",)
    assert "converter==0.12.0" in resolver.requirements
    assert not any(constraint.startswith("converter") for constraint in resolver.constraints)


def test_what_the_release_forbids_or_adds_is_resolved_and_named() -> None:
    asked = [*ASKED[1:], "torchao>=0.19", "Py_CPUinfo"]
    found = pins(asked, Resolver(torchao="0.20.0", py_cpuinfo="9.0.0", msgpack="1.1"))
    lines = found.text.splitlines()
    assert "torchao==0.20.0" in lines
    assert lines.index("ml_dtypes==0.5.1") < lines.index("msgpack==1.1") < lines.index("pytest==9.2.0")
    assert lines.index("ml_dtypes==0.5.1") < lines.index("py-cpuinfo==9.0.0") < lines.index("pytest==9.2.0")
    assert found.choices[1:] == (
        "msgpack==1.1, which was not needed before (asked for by another package)",
        "py-cpuinfo==9.0.0, which was not needed before (Py_CPUinfo)",
        "torchao==0.20.0, instead of 0.18.0 (torchao>=0.19)",
    )


def test_another_torch_is_never_chosen() -> None:
    with pytest.raises(PinError, match=r"asks for torch>=2\.15; 1\.5\.1 is tested with torch==2\.13\.0.*--pin torch=="):
        pins([*ASKED, "torch>=2.15"], Resolver())
    with pytest.raises(PinError, match=r"pip would install torch==2\.14\.0"):
        pins(ASKED, Resolver(torch="2.14.0"))
    found = pins([*ASKED, "torch>=2.15"], Resolver(torch="2.15.0"), {"torch": "2.15.0"})
    assert "torch==2.15.0" in found.text.splitlines()


def test_a_version_chosen_by_hand_against_the_metadata_is_named() -> None:
    found = pins(ASKED, Resolver(), {"ethos_u_vela": "5.2.0"})
    assert "ethos-u-vela==5.2.0" in found.text.splitlines()
    assert "ethos-u-vela==5.2.0 although ethos-u-vela==5.1.0 is asked for, by hand" in found.choices


def test_extras_that_the_other_release_is_tested_without_stay_out() -> None:
    without = "".join(line for line in BASE.splitlines(keepends=True) if "vela" not in line)
    resolver = Resolver()
    pins(ASKED, resolver, base=without)
    assert resolver.requirements == ["ml_dtypes==0.5.1", "torchao<0.19,>=0.18.0"]
