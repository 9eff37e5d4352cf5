"""Targets and releases: what is valid, what is said when it is not, and what is assumed of the unknown."""

from __future__ import annotations

import re

import pytest

from fuseguard.target import ACCELERATORS, FAMILIES, MEASURED_RELEASES, Target, TargetError


def test_a_tosa_string_is_read_whole() -> None:
    target = Target.parse("TOSA-1.0+INT+FP+int16", "1.5.1")
    assert (target.profile, target.extensions, target.has_float) == ("INT+FP", {"int16"}, True)


@pytest.mark.parametrize(
    ("name", "profile", "u55"),
    [("vgf", "INT+FP", False), ("ethos-u55-128", "INT", True), ("ethos-u85-256", "INT", False)],
)
def test_accelerators_have_their_compile_specs_tosa_string(name: str, profile: str, u55: bool) -> None:
    target = Target.parse(name, "1.5.1")
    assert (target.profile, target.is_u55, target.accelerator) == (profile, u55, name)


@pytest.mark.parametrize(
    "text", ["", "TOSA", "TOSA-1.0", "TOSA-1.0+", "TOSA-1.0+XYZ", "TOSA-2.0+INT", "TOSA-1.0+int16", "vgff"]
)
def test_a_bad_target_is_told_what_a_target_is_and_where_they_are_listed(text: str) -> None:
    with pytest.raises(TargetError, match=r"such as TOSA-1.0\+INT .*'fuseguard targets' lists all of them"):
        Target.parse(text, "1.5.1")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ethos-u55-12", "ethos-u55-128"), ("ethos-u55-129", "ethos-u55-128"), ("u85", "ethos-u85"),
        ("U55", "ethos-u55"), ("u85-512", "ethos-u85-512"), ("ethos_u65", "ethos-u65"), ("ethos-u8", "ethos-u85"),
        ("ethosu85-256", "ethos-u85-256"), ("vfg", "vgf"), ("TOSA-1.0+INT8", "TOSA-1.0+INT"),
    ],
)  # fmt: skip
def test_a_near_miss_is_named(text: str, meant: str) -> None:
    with pytest.raises(TargetError, match=rf"Did you mean '{re.escape(meant)}'"):
        Target.parse(text, "1.5.1")


@pytest.mark.parametrize("text", ["ethos-u85-999", "u85-64", "U85_4096"])
def test_a_size_that_the_family_does_not_have_gets_the_sizes_that_it_has(text: str) -> None:
    with pytest.raises(TargetError, match=r"Did you mean 'ethos-u85'\? Its sizes are 128, 256, 512, 1024, 2048\."):
        Target.parse(text, "1.5.1")


def test_a_family_that_is_misspelled_gets_no_sizes() -> None:
    for text in ("u85", "ethos-u8", "U55"):
        with pytest.raises(TargetError) as caught:
            Target.parse(text, "1.5.1")
        assert "sizes" not in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_stands_for_one_of_its_sizes_and_the_target_says_for_which(family: str) -> None:
    """Every size has the family's TOSA specification, so that the choice does not change a finding."""
    for text in (family, family.upper()):
        target = Target.parse(text, "1.5.1")
        assert target.accelerator == FAMILIES[family]
        assert target.notice == f"{text} stands for {FAMILIES[family]}."
    assert len({spec for name, spec in ACCELERATORS.items() if name.startswith(family)}) == 1
    assert Target.parse(family, "1.9.0").notice.startswith(f"{family} stands for {FAMILIES[family]}. ExecuTorch 1.9.0")


@pytest.mark.parametrize("release", ["banana", "1.1.0", "0.7"])
def test_a_bad_release_is_told_the_valid_ones(release: str) -> None:
    with pytest.raises(TargetError, match=MEASURED_RELEASES[-1].replace(".", r"\.")):
        Target.parse("TOSA-1.0+INT", release)


@pytest.mark.parametrize("release", MEASURED_RELEASES)
def test_a_measured_release_needs_no_notice(release: str) -> None:
    assert Target.parse("TOSA-1.0+INT", release).notice == ""


def test_a_newer_release_is_said_to_be_newer() -> None:
    target = Target.parse("TOSA-1.0+INT", "1.9.0")
    assert "newer than the newest release measured" in target.notice
    assert target.release_in(">=1.5")


def test_a_release_between_measured_ones_is_said_to_be_inferred() -> None:
    assert "not itself measured" in Target.parse("TOSA-1.0+INT", "1.4.2").notice


def test_a_pre_release_behaves_like_its_release() -> None:
    assert Target.parse("TOSA-1.0+INT", "1.5.0rc1").release_in(">=1.5")


def test_no_release_means_the_installed_one_or_the_newest_known(monkeypatch) -> None:
    monkeypatch.setattr("fuseguard.target.version_of", lambda name: "1.3.1")
    assert str(Target.parse("TOSA-1.0+INT").release) == "1.3.1"

    monkeypatch.setattr("fuseguard.target.version_of", lambda name: "")
    assert str(Target.parse("TOSA-1.0+INT").release) == MEASURED_RELEASES[-1]
