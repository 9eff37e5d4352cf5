"""Which reductions of numbers that are no codes the backend takes although TOSA has none for their dtype.

Source: ``DecomposeCumsumPass``, ``CheckInt64InputsAndOutputs`` and the support lists of ExecuTorch 1.2.0, 1.3.1, 1.4.1
and 1.5.1. The lists have cumsum, sum, prod (from 1.5 on, with floats), amax and amin whatever the dtype, and the check
keeps int64 off the accelerator. A cumulative sum becomes a depthwise convolution with a kernel of the dtype that it
reads; the others become REDUCE_SUM, REDUCE_PRODUCT, REDUCE_MAX and REDUCE_MIN. torch casts to the dtype of the result
before it adds up; the passes drop that argument.

Rules that depend on it: DT510.
"""

from __future__ import annotations

from fuseguard.backend.proper_quantization import is_annotated
from fuseguard.ir import Node, View

#: The case of a reduction by kind.
_CASES = {"cumsum": "cumsum", "sum": "sum", "prod": "prod", "amax": "extreme", "amin": "extreme"}


def raw_reduction(view: View, node: Node) -> tuple[str, str]:
    """The case of a reduction that TOSA does not have for the dtype that it reads, and that dtype; "" twice if it has.

    A cumulative sum or product of any integers is one, a sum of anything smaller than int32, and an extreme of bools.
    A sum of int32 that yields floats is one as well, because the passes drop the cast: "scaled cast" if another
    quantized op reads its codes, "shifted cast" if these codes have a zero point, otherwise "cast".

    The INT profile leaves what yields floats on the CPU if Arm's quantizer has not marked it: "float sum" and so on.
    """
    case, data = _CASES.get(node.kind, ""), view.producer(node)
    if not case or data is None or data.meta is None or node.meta is None or view.is_dq(data):
        return "", ""
    read = data.meta.dtype
    if data.meta.is_float or "int64" in (read, node.meta.dtype) or (read != "bool" and case == "extreme"):
        return "", ""
    if case == "sum" and read == "int32":
        if not node.meta.is_float:
            return "", ""
        result = view.out_qp(node)
        shifted = result is not None and result.zero_points != (0,)
        case = "cast" if not _is_read_as_codes(view, node) else "shifted cast" if shifted else "scaled cast"
    if case != "prod" and not is_annotated(view, node):
        case = "float cast" if case.endswith("cast") else f"float {case}"
    return case, read


def _is_read_as_codes(view: View, node: Node) -> bool:
    return any(reader.annotated for q in view.out_q(node) for _, reader in view.code_readers(q))
