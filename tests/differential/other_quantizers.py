"""Other ways to quantize than Arm's quantizer after training: training with it, and quantizers of other backends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from executorch.backends.arm.quantizer import TOSAQuantizer, get_symmetric_quantization_config
from executorch.backends.arm.tosa.compile_spec import TosaCompileSpec
from torchao.quantization.pt2e import move_exported_model_to_eval, move_exported_model_to_train
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

#: The range of activations and of weights, where a configuration narrows it.
_NARROW = {"act_qmin": -127, "act_qmax": 127, "weight_qmin": -127, "weight_qmax": 127}


def foreign(name: str, config: str) -> Any:
    """A quantizer that is not Arm's: it annotates no op for Arm's backend. Raises ImportError where there is none."""
    per_channel = config != "int8-per-tensor"
    if name.startswith("xnnpack"):
        from executorch.backends.xnnpack.quantizer import xnnpack_quantizer as xnnpack

        settings = xnnpack.get_symmetric_quantization_config(
            is_per_channel=per_channel, is_dynamic=name == "xnnpack-dynamic"
        )
        return xnnpack.XNNPACKQuantizer().set_global(settings)
    if name == "x86-inductor":
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        return x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    from torchao.quantization.pt2e.quantizer import arm_inductor_quantizer as arm

    return arm.ArmInductorQuantizer().set_global(arm.get_default_arm_inductor_quantization_config())


def trained(
    exported: Any, profile: str, config: str, unquantized: Sequence[str], inputs: Any, options: dict[str, Any]
) -> Any:
    """The module converted after two steps of training with fake quantization, by Arm's quantizer."""
    narrow = _NARROW if config == "int8-narrow" else {}
    quantizer = TOSAQuantizer(TosaCompileSpec(profile))
    quantizer.set_global(
        get_symmetric_quantization_config(is_per_channel=config != "int8-per-tensor", is_qat=True, **narrow)
    )
    for name in unquantized:
        quantizer.set_module_name(name, None)
    prepared = prepare_qat_pt2e(exported, quantizer)
    move_exported_model_to_train(prepared)
    parameters = [value for value in prepared.parameters() if value.requires_grad]
    for _ in range(2):
        results = [value for value in _tensors(prepared(*inputs, **options)) if value.requires_grad]
        if parameters and results:
            torch.stack([value.float().mean() for value in results]).sum().backward()  # type: ignore[no-untyped-call]
            torch.optim.SGD(parameters, lr=1e-3).step()
            prepared.zero_grad()
    move_exported_model_to_eval(prepared)
    return convert_pt2e(prepared)


def _tensors(results: Any) -> list[torch.Tensor]:
    return [value for value in torch.utils._pytree.tree_leaves(results) if isinstance(value, torch.Tensor)]
