"""The ops that the installed ExecuTorch's edge dialect rejects, found with its own verifier and decompositions.

Overloads that cannot be in an exported inference program are left out, by name: see ``_LEFT_OUT``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from executorch.exir.tracer import _default_decomposition_table
from executorch.exir.verification.verifier import EXIRATenDialectVerifier
from torch._export.passes.replace_view_ops_with_view_copy_ops_pass import get_view_copy_of_view_op
from torch._export.verifier import SpecViolationError

#: By reason, parts of names.
_LEFT_OUT = {
    "training": r"backward|_jvp\.|^_foreach_|^_fused_(adagrad|adam|sgd|dropout|moving)|^_amp_|_renorm\.|^fake_quantize|"
    r"^_fake_quantize|^batch_norm_|^_batch_norm_|_batch_norm_legit_functional|^rrelu_with_noise|^_test_|^_foobar",
    "another device or library": r"cudnn|miopen|mkldnn|_mps|nnpack|triton|_attention|_overrideable|semi_structured|"
    r"_cslt|^_pin_memory|_for_cpu|int[48]pack|int4|^_lazy_clone|^_transformer|^_transform_bias|^_native_multi_head|"
    r"^_thnn_|^_scaled_|_grouped_mm|_cpu_fallback|^_mixed_dtypes|^from_file",
    "tensors that are sparse, nested or quantized in torch's former way":
    r"sparse|coalesce|_to_(dense|mkldnn)|_(coo|csr)_|"
    r"^_sp(diags|solve)|^hspmm|nested|jagged|^to_padded|_pack_padded|quantize|quantized|^int_repr|^q_per|_affine_",
    "storage, not values": r"^set\.|^_?resize|^_copy_from|^_new_zeros_with|^_efficientzero|^_make_dep_token|^lift\.|"
    r"^_reshape_copy|^slice_inverse|^_conj_physical|^copy_sparse|^_resize",
    "of in-place ops, or of a generator":
    r"^(cauchy|exponential|geometric|log_normal|random|uniform|normal_functional)\.|"
    r"generator|^_philox|^_standard_gamma|^_sample_dirichlet|^_dirichlet_grad|^_masked_scale",
    "of named tensors, which torch.export has none of": r"\.Dimname",
    "assertions, which ExecuTorch removes or accepts": r"^_functional_(assert|sym)",
}  # fmt: skip
_LEFT_OUT_PATTERN = re.compile("|".join(_LEFT_OUT.values()))


def live() -> frozenset[str]:
    """The canonical names of ATen overloads that the verifier rejects and no decomposition removes."""
    verifier, table = EXIRATenDialectVerifier(), _default_decomposition_table()
    return frozenset(
        f"aten.{name}"
        for name, op in _overloads()
        if op not in table and not _LEFT_OUT_PATTERN.search(name) and _is_rejected(verifier, op)
    )


def _overloads() -> Iterator[tuple[str, torch._ops.OpOverload]]:
    """Functional overloads that compute tensors and that no dispatch key decomposes implicitly."""
    for schema in torch._C._jit_get_all_schemas():
        namespace, _, name = schema.name.partition("::")
        overload = schema.overload_name or "default"
        packet = getattr(torch.ops.aten, name, None) if namespace == "aten" else None
        op = getattr(packet, overload, None) if packet is not None else None
        if op is None or op._schema.is_mutable or not any("Tensor" in str(item.type) for item in op._schema.returns):
            continue
        kernels = _kernels(op)
        if kernels and "CompositeImplicitAutograd[alias]" not in kernels:
            yield f"{name}.{overload}", op


def _kernels(op: torch._ops.OpOverload) -> str:
    """What torch has registered for an op; "" for TorchScript's own ops, which no program has."""
    try:
        found: str = torch._C._dispatch_dump(op.name())  # type: ignore[no-untyped-call]
    except RuntimeError:
        return ""
    return "" if "schema: (none)" in found else found


def _is_rejected(verifier: object, op: torch._ops.OpOverload) -> bool:
    copying = get_view_copy_of_view_op(op._schema) if op.is_view else None
    try:
        verifier.check_valid_op(op if copying is None else copying)  # type: ignore[attr-defined]
    except SpecViolationError:
        return True
    return False
