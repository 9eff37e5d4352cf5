"""The line of a key, which every error about a configuration names. Held against documents that tomllib alone reads."""

from __future__ import annotations

import pytest

from fuseguard.gate.toml_lines import key_lines, line_of

DOCUMENT = '''\
# a comment = 1
[project]
name = "x"   # [tool.fuseguard]

[tool.fuseguard]
select = [
  "FU",  # target = "in a comment"
  "QD",
]
why = """
[tool.fuseguard.fake]
target = "in a string"
"""
target = "TOSA-1.0+INT"
severity.FU103 = "note"
"quoted.key" = { inner = 1 }

[[tool.fuseguard.suppressions]]
rule = "FU101"

  [[tool.fuseguard.suppressions]]
  reason = "b"
  rule = "FU102"

[tool.fuseguard.suppressions.more]
x = 1

[tool.other]
target = 3
'''
OURS = ("tool", "fuseguard")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("project", "name"), 3),
        (OURS, 5),
        ((*OURS, "select"), 6),
        ((*OURS, "select", 1), 6),
        ((*OURS, "why"), 10),
        ((*OURS, "target"), 14),
        ((*OURS, "severity", "FU103"), 15),
        ((*OURS, "quoted.key"), 16),
        ((*OURS, "quoted.key", "inner"), 16),
        ((*OURS, "suppressions", 0), 18),
        ((*OURS, "suppressions", 0, "rule"), 19),
        ((*OURS, "suppressions", 1), 21),
        ((*OURS, "suppressions", 1, "rule"), 23),
        ((*OURS, "suppressions", 1, "missing"), 21),
        ((*OURS, "suppressions", 1, "more", "x"), 26),
        (("tool", "other", "target"), 29),
        (("nowhere",), 1),
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_line_of_a_key(path: tuple[str | int, ...], line: int, ends: str) -> None:
    assert line_of(key_lines(DOCUMENT.replace("\n", ends)), path) == line


def test_a_quoted_key_may_hold_anything() -> None:
    lines = key_lines('a."b.\\"=c".\'d="\' = 1\nz = 2\n')
    assert line_of(lines, ("a", 'b."=c', 'd="')) == 1
    assert line_of(lines, ("z",)) == 2


def test_every_key_of_an_array_of_tables_in_tables_is_found() -> None:
    text = "".join(f"[[a]]\nn = {i}\n[[a.b]]\nm = {i}\n[[a.b]]\nm = 0\n" for i in range(3))
    lines = key_lines(text)
    assert [line_of(lines, ("a", i, "b", 1, "m")) for i in range(3)] == [6, 12, 18]
