"""The table of arguments is that of the installed torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fuseguard.readers.loader import Arguments, arguments_of

#: In a process of its own: ExecuTorch's kernels, which other tests import, add operators that are not torch's.
LIST_SCHEMAS = """
import json, torch, torch.ao.quantization.fx._decomposed
print(json.dumps([
    (s.name, s.overload_name, [(a.name, bool(a.kwarg_only or a.has_default_value())) for a in s.arguments])
    for s in torch._C._jit_get_all_schemas()
]))
"""


def test_a_line_of_the_table() -> None:
    add = arguments_of("aten.add.Tensor")
    assert add == Arguments(("self", "other", "alpha"), frozenset({"alpha"}), frozenset({"alpha"}))
    assert arguments_of("aten.is_grad_enabled.default") == Arguments((), frozenset()), "an operator without arguments"
    assert arguments_of("aten.is_grad") is None


@pytest.mark.torch
def test_the_table_is_that_of_torch() -> None:
    listed = subprocess.run([sys.executable, "-c", LIST_SCHEMAS], capture_output=True, text=True, check=True).stdout
    seen = 0
    for full_name, overload, arguments in json.loads(listed):
        namespace, _, name = full_name.partition("::")
        target = f"{namespace}.{name}.{overload or 'default'}"
        output = "out" in overload.split("_")  # no functional program has these
        if namespace not in ("aten", "quantized_decomposed") or output or not arguments:
            continue
        seen += 1
        known = arguments_of(target)
        assert known is not None, target
        assert known.names == tuple(argument for argument, _ in arguments), target
        assert known.optional == {argument for argument, optional in arguments if optional}, target
    assert seen > 2000
