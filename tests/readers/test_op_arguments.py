"""The table of arguments is that of the installed torch."""

from __future__ import annotations

import pytest

from fuseguard.readers.loader import Arguments, arguments_of


def test_a_line_of_the_table() -> None:
    add = arguments_of("aten.add.Tensor")
    assert add == Arguments(("self", "other", "alpha"), frozenset({"alpha"}))


@pytest.mark.torch
def test_the_table_is_that_of_torch() -> None:
    import torch
    import torch.ao.quantization.fx._decomposed

    seen = 0
    for schema in torch._C._jit_get_all_schemas():
        namespace, _, name = schema.name.partition("::")
        target = f"{namespace}.{name}.{schema.overload_name or 'default'}"
        output = "out" in schema.overload_name.split("_")  # no functional program has these
        if namespace not in ("aten", "quantized_decomposed") or output or not schema.arguments:
            continue
        seen += 1
        known = arguments_of(target)
        assert known is not None, target
        assert known.names == tuple(argument.name for argument in schema.arguments), target
        optional = {arg.name for arg in schema.arguments if arg.kwarg_only or arg.has_default_value()}
        assert known.optional == optional, target
    assert seen > 2000
