"""Quantizes float modules as a user of Arm's quantizer would, on every supported release.

One call for what differs between releases and configurations: rule examples, the selftest and the differential tests
make their programs with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from executorch.backends.arm.quantizer import (
    TOSAQuantizer,
    get_symmetric_a16w8_quantization_config,
    get_symmetric_quantization_config,
)
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from torch.export import ExportedProgram
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

CONFIGS: dict[str, Any] = {
    "int8-per-channel": lambda: get_symmetric_quantization_config(is_per_channel=True),
    "int8-per-tensor": lambda: get_symmetric_quantization_config(is_per_channel=False),
    "int8-narrow": lambda: get_symmetric_quantization_config(
        is_per_channel=True, act_qmin=-127, act_qmax=127, weight_qmin=-127, weight_qmax=127
    ),
    "a16w8": lambda: get_symmetric_a16w8_quantization_config(is_per_channel=True),
}


def quantize(
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    spec: str = "TOSA-1.0+INT+FP",
    config: str = "int8-per-channel",
    unquantized: tuple[str, ...] = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
) -> ExportedProgram:
    """Export, calibrate on ``inputs``, convert and export again.

    Args:
        module: a float module; put into eval mode.
        inputs: what to export with and to calibrate on. Branches that they do not take stay uncalibrated.
        spec: TOSA specification that the quantizer is made for.
        config: a key of CONFIGS.
        unquantized: paths of submodules that stay in float.
        kwargs, dynamic_shapes: as for ``torch.export.export``; not for programs with control flow.

    Raises KeyError for an unknown configuration, and what torch.export and the quantizer raise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantizer = TOSAQuantizer(TosaCompileSpec(spec))
        quantizer.set_global(CONFIGS[config]())
        for name in unquantized:
            quantizer.set_module_name(name, None)
        given = dict(kwargs or {})
        exported = torch.export.export(module.eval(), inputs, given, dynamic_shapes=dynamic_shapes)
        # ExecuTorch 1.2 cannot annotate the guard call that newer torch releases put into the module.
        captured = exported.module(check_guards=False)
        if any(isinstance(node.target, torch._ops.HigherOrderOperator) for node in exported.graph.nodes):
            # prepare_pt2e leaves branches and loop conditions alone; from 1.3 on this is private.
            whole: Any = getattr(quantizer, "_quantize_with_submodules", None) or quantizer.quantize_with_submodules
            return torch.export.export(whole(captured, [inputs]), inputs)
        prepared = prepare_pt2e(captured, quantizer)
        prepared(*inputs, **given)
        return torch.export.export(convert_pt2e(prepared), inputs, given, dynamic_shapes=dynamic_shapes)
