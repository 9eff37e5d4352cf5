"""Findings point at the user's source through these two parsers."""

from __future__ import annotations

import pytest

from fuseguard.ir import SourceLine
from fuseguard.readers.stack_trace import parse_module_stack, parse_stack_trace


def test_frames_come_outermost_first_with_their_code() -> None:
    text = (
        '  File "/x/model.py", line 15, in forward\n    return self.a(x)\n'
        '  File "/x/conv.py", line 3, in _conv\n    y = f(\n        ^^\n  File "/x/no_code.py", line 4'
    )
    assert parse_stack_trace(text) == (
        SourceLine("/x/model.py", 15, "forward", "return self.a(x)"),
        SourceLine("/x/conv.py", 3, "_conv", "y = f("),
        SourceLine("/x/no_code.py", 4),
    )


@pytest.mark.parametrize("text", ["", "no frame", 'File "a", line x, in f', 'File "a", line 99999999999, in f'])
def test_other_text_gives_no_frames(text: str) -> None:
    assert parse_stack_trace(text) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", "")),
        ("L__self__,,m.Net", ("", "m.Net")),
        ("L__self__,,m.Net;L__self___conv,conv,torch.nn.modules.conv.Conv2d", ("conv", "torch.nn.modules.conv.Conv2d")),
        ("L['self'].blocks[(0, 1)],blocks.0,m.Block[int, str]", ("blocks.0", "m.Block[int, str]")),
        ("only,two", ("", "")),
        ("a,b,c,d", ("", "")),
    ],
)
def test_module_stack_gives_the_innermost_module(text: str, expected: tuple[str, str]) -> None:
    assert parse_module_stack(text) == expected
