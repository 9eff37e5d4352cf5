"""Makes the partitioner that a target needs."""

from __future__ import annotations

from typing import Any

from executorch.backends.arm.tosa import partitioner as tosa_partitioner

from fuseguard.executorch.lowering import compile_spec_for
from fuseguard.target import Target, TargetError


def is_partitioner(value: Any) -> bool:
    """Whether ``value`` is a partitioner of the Arm backend: it partitions, and takes ``additional_checks``."""
    return hasattr(value, "partition") and hasattr(value, "additional_checks")


def partitioner_of(target: Any) -> Any:
    """A new TOSAPartitioner, VgfPartitioner or EthosUPartitioner for ``target``.

    Args:
        target: a Target or its name, such as ``vgf``, or a compile spec of the Arm backend.

    Raises:
        TargetError: the target is unknown, the installed release does not accept it, or it is something else.
        ImportError: the installed release has no such partitioner.
    """
    spec = target
    if isinstance(target, str | Target):
        spec = _compile_spec(target if isinstance(target, Target) else Target.parse(target))
    kind = type(spec).__name__
    if kind == "VgfCompileSpec":
        from executorch.backends.arm.vgf import VgfPartitioner

        return VgfPartitioner(spec)
    if kind == "EthosUCompileSpec":
        from executorch.backends.arm.ethosu import EthosUPartitioner

        return EthosUPartitioner(spec)
    if not hasattr(spec, "tosa_spec"):
        raise TargetError(f"a target of the type {kind}; pass a target such as 'vgf', a compile spec or a partitioner")
    return tosa_partitioner.TOSAPartitioner(spec)


def _compile_spec(target: Target) -> Any:
    """The compile spec of the accelerator itself. Raises TargetError."""
    if target.accelerator == "tosa":
        return compile_spec_for(target)
    try:
        if target.accelerator == "vgf":
            from executorch.backends.arm.vgf import VgfCompileSpec

            return VgfCompileSpec(target.spec)
        from executorch.backends.arm.ethosu import EthosUCompileSpec

        return EthosUCompileSpec(target.accelerator)
    except ImportError:
        raise
    except Exception as error:
        raise TargetError(f"ExecuTorch {target.release} does not accept {target.name!r}: {error}") from error
