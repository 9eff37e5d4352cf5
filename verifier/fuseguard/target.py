"""The target of a check: a TOSA specification, an accelerator and an ExecuTorch release."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from packaging.version import InvalidVersion, Version

from fuseguard import measured
from fuseguard.installed import version_of
from fuseguard.measured.announced import RELEASE_NOTES
from fuseguard.ranges import in_range

#: Releases on which the effects tables were measured, oldest first.
MEASURED_RELEASES = measured.RELEASES
_MEASURED = frozenset(Version(release) for release in MEASURED_RELEASES)
OLDEST_SUPPORTED = Version("1.2.0")

PROFILES: tuple[str, ...] = ("INT", "FP")
EXTENSIONS: tuple[str, ...] = (
    "int16", "int4", "bf16", "fp8e4m3", "fp8e5m2", "fft", "variable", "controlflow", "cf", "dynamic", "doubleround",
    "inexactround", "mxfp", "shape", "u55", "8k",
)  # fmt: skip

#: Accelerators by name, with the TOSA specification that the backend's compile spec gives them by default
#: (VgfCompileSpec.__init__, EthosUCompileSpec._tosa_spec_for_target, ExecuTorch 1.5.1).
ACCELERATORS: dict[str, str] = {
    "vgf": "TOSA-1.0+INT+FP+int4+int16",
    **{f"ethos-u55-{macs}": "TOSA-1.0+INT+int16+int4+u55" for macs in (32, 64, 128, 256)},
    **{f"ethos-u65-{macs}": "TOSA-1.0+INT+int16+int4+u55" for macs in (256, 512)},
    **{f"ethos-u85-{macs}": "TOSA-1.0+INT+int16+int4+cf" for macs in (128, 256, 512, 1024, 2048)},
}

#: What the name of a family alone stands for. All sizes of a family have one TOSA specification.
FAMILIES: dict[str, str] = {
    "ethos-u55": "ethos-u55-128",
    "ethos-u65": "ethos-u65-256",
    "ethos-u85": "ethos-u85-256",
}

#: What ``--target all`` stands for: one of each that the backend tells apart. What is left out has the specification
#: of one that is here (Ethos-U65 that of U55), and the effects depend on nothing else.
ALL_TARGETS: tuple[str, ...] = ("TOSA-1.0+INT", "TOSA-1.0+INT+FP", "vgf", "ethos-u55-128", "ethos-u85-256")

_TOSA = re.compile(r"^TOSA-(?P<version>\d+\.\d+(?:\.\d+)?)(?P<parts>(?:\+[A-Za-z0-9]+)+)$")


#: Vela's option for the accelerator.
_VELA_FOR = "--accelerator-config="


class HasTosaSpec(Protocol):
    """A compile spec or partitioner of the Arm backend."""

    @property
    def tosa_spec(self) -> Any: ...


class TargetError(ValueError):
    """A target or release that cannot be understood; the text says what is valid."""


@dataclass(frozen=True, slots=True)
class Target:
    """One configuration of the backend.

    Attributes:
        spec: the TOSA specification.
        profiles: INT, FP or both.
        extensions: the rest of the TOSA specification, such as ``int16``.
        accelerator: ``vgf`` or an Ethos-U with its size; ``tosa`` for a bare specification.
        release: the version of ExecuTorch.
        notice: says so if the release was not measured, or if the name of a family stands for one size.
        ir_validity: whether ExecuTorch checks the edge IR, also that of a delegate after the backend's passes
            (``EdgeCompileConfig._check_ir_validity``).
    """

    spec: str
    profiles: frozenset[str]
    extensions: frozenset[str]
    accelerator: str
    release: Version
    notice: str = ""
    ir_validity: bool = True

    @classmethod
    def parse(cls, text: str, executorch: str | None = None) -> Target:
        """Read ``TOSA-1.0+INT+FP``, ``vgf`` or ``ethos-u55-128``, and a release.

        The name of a family (``ethos-u85``) stands for one of its sizes, and ``notice`` says for which.
        ``executorch=None`` means the installed release, or the newest measured one if none is installed.

        Raises:
            TargetError: the target or release is not valid. The text names the valid choices.
        """
        name = FAMILIES.get(text.lower(), text.lower())
        accelerator = name if name in ACCELERATORS else "tosa"
        spec = ACCELERATORS.get(accelerator, text)
        match = _TOSA.match(spec)
        if match is None:
            raise TargetError(_unknown_target(text))
        parts = match["parts"].lstrip("+").split("+")
        unknown = [part for part in parts if part not in PROFILES and part not in EXTENSIONS]
        profiles = frozenset(part for part in parts if part in PROFILES)
        if unknown or not profiles or not match["version"].startswith("1."):
            raise TargetError(_unknown_target(text))
        release, notice = resolve_release(executorch)
        if text.lower() in FAMILIES:
            notice = f"{text} stands for {name}. {notice}".rstrip()
        extensions = frozenset(part for part in parts if part in EXTENSIONS)
        return cls(spec, profiles, extensions, accelerator, release, notice)

    def __hash__(self) -> int:
        """Of what targets differ in most: models of the backend are asked for a target thousands of times."""
        return hash((self.spec, self.accelerator))

    @property
    def profile(self) -> str:
        """``INT``, ``INT+FP`` or ``FP``."""
        return "+".join(name for name in PROFILES if name in self.profiles)

    @property
    def has_float(self) -> bool:
        return "FP" in self.profiles

    @property
    def is_u55(self) -> bool:
        """Whether the operator subset of Ethos-U55 and U65 applies."""
        return "u55" in self.extensions

    def release_in(self, specifiers: str) -> bool:
        """Whether the release satisfies a range like ``>=1.3,<1.5``; ``*`` is every release."""
        return in_range(self.release, specifiers)

    def with_release(self, executorch: str) -> Target:
        release, notice = resolve_release(executorch)
        return replace(self, release=release, notice=notice)

    @property
    def name(self) -> str:
        """The target without the release."""
        return self.spec if self.accelerator == "tosa" else f"{self.accelerator} ({self.spec})"

    def __str__(self) -> str:
        unchecked = "" if self.ir_validity else ", without the check of the edge IR"
        return f"{self.name}, ExecuTorch {spelled(self.release)}{unchecked}"


@lru_cache(maxsize=64)
def spelled(release: Version) -> str:
    """A release as text, which every finding has: packaging takes long to make it."""
    return str(release)


def as_target(value: str | Target | HasTosaSpec) -> str | Target:
    """A target, or the text of one: of a compile spec or partitioner, its TOSA specification. Raises TargetError.

    Of those for Vulkan and Ethos-U it is the accelerator, or a Target where their specification is not that of it.
    """
    if isinstance(value, str | Target):
        return value
    spec = getattr(value, "tosa_spec", None)
    if spec is None:
        raise TargetError(
            f"the target is of the type {type(value).__name__}; pass a target such as 'TOSA-1.0+INT' or 'vgf', a "
            f"compile spec or a partitioner"
        )
    accelerator = _accelerator_of(value)
    if not accelerator:
        return str(spec)
    if set(str(spec).split("+")) == set(ACCELERATORS.get(accelerator, "").split("+")):
        return accelerator
    return replace(Target.parse(str(spec)), accelerator=accelerator)


def _accelerator_of(value: Any) -> str:
    """What a compile spec or partitioner of the backend is for; "" if that is no accelerator.

    An EthosUCompileSpec has the flags for Vela; an EthosUPartitioner has them in what its delegates are compiled with.
    """
    name = type(value).__name__
    if name.startswith("Vgf"):  # VgfCompileSpec, VgfPartitioner
        return "vgf"
    if not name.startswith("EthosU"):
        return ""
    flags = getattr(value, "compiler_flags", None)
    if flags is None:
        specs = getattr(getattr(value, "delegation_spec", None), "compile_specs", ())
        flags = [flag for item in specs if item.key == "compile_flags" for flag in bytes(item.value).decode().split()]
    return next((flag.removeprefix(_VELA_FOR) for flag in flags if flag.startswith(_VELA_FOR)), "")


def resolve_release(executorch: str | None) -> tuple[Version, str]:
    """The release to assume and a notice ("" if it is exactly one of the measured ones). Raises TargetError."""
    newest = MEASURED_RELEASES[-1]
    if executorch is None:
        executorch = version_of("executorch")
        if not executorch:
            return Version(newest), ""
    try:
        release = Version(executorch)
    except InvalidVersion:
        raise TargetError(_unknown_release(executorch, "is not a version")) from None
    if release.release < OLDEST_SUPPORTED.release:
        raise TargetError(_unknown_release(executorch, "is older than the oldest supported"))
    return release, "" if is_measured(release) else " ".join((_unmeasured(release), *_notes(release)))


def is_measured(release: Version) -> bool:
    """Whether the effects were measured on exactly this release. A pre-release never is its release."""
    return Version(release.public) in _MEASURED


def _unmeasured(release: Version) -> str:
    newest = MEASURED_RELEASES[-1]
    if release > Version(newest):
        return (
            f"ExecuTorch {release} is newer than the newest release measured ({newest}). Effects are inferred from "
            f"measured releases and may have changed; where an upstream change says that they did, the evidence is "
            f"'announced'. Run 'fuseguard prove' on your model, or update fuseguard."
        )
    nearest = measured.nearest_first(release, MEASURED_RELEASES)[0]
    return (
        f"ExecuTorch {release} was not itself measured; effects are inferred from measured releases, from the nearest "
        f"one, {nearest}, where that shows them (measured: {', '.join(MEASURED_RELEASES)})."
    )


def _notes(release: Version) -> list[str]:
    """What is known of an unmeasured release that its neighbours do not tell."""
    return [f"{note.text} ({note.pr})." for note in RELEASE_NOTES if in_range(release, note.releases)]


def _unknown_target(text: str) -> str:
    near, more = _nearest_target(text)
    hint = f" Did you mean {near!r}?{more}" if near else ""
    return (
        f"{text!r} is not a target.{hint} A target is a TOSA specification, such as TOSA-1.0+INT or TOSA-1.0+INT+FP, "
        f"or an accelerator, such as vgf or ethos-u85. 'fuseguard targets' lists all of them."
    )


def _nearest_target(text: str) -> tuple[str, str]:
    """The target that is most likely meant, "" if none is near, and the sizes of a family that lacks the given one."""
    import difflib  # only where something is wrong

    short = re.fullmatch(r"(?:ethos[-_ ]?)?u(\d\d)(?:[-_ ](\d+))?", text.strip().lower())
    if short is not None and f"ethos-u{short[1]}" in FAMILIES:
        family = f"ethos-u{short[1]}"
        sizes = [name for name in ACCELERATORS if name.startswith(family)]
        # A size that resembles none is not a misspelling: any of the family's own would be a guess.
        near = difflib.get_close_matches(f"{family}-{short[2]}", sizes, n=1, cutoff=0.9) if short[2] else []
        listed = ", ".join(name.rpartition("-")[2] for name in sizes)
        return (near[0], "") if near else (family, f" Its sizes are {listed}." if short[2] else "")
    sized = ACCELERATORS if text.count("-") > 1 else {"vgf": "", **FAMILIES}
    known = ["TOSA-1.0+INT", "TOSA-1.0+INT+FP", "TOSA-1.0+INT+int16", *sized]
    return next(iter(difflib.get_close_matches(text, known, n=1, cutoff=0.5)), ""), ""


def _unknown_release(text: str, why: str) -> str:
    return (
        f"ExecuTorch release {text!r} {why}. Valid are {', '.join(MEASURED_RELEASES)} (measured) and any version "
        f"from {OLDEST_SUPPORTED} on."
    )
