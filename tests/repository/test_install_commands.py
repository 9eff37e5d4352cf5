"""Nothing tells users to install fuseguard from the package index, which does not have it.

Protects: a hint that fails on the first try.
"""

from __future__ import annotations

import re

from fuseguard_testkit.paths import ROOT

FROM_INDEX = re.compile(r"pip install (?:-\S+ )*[\"']?fuseguard\b")
PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.y*ml")]
SOURCES = [*(ROOT / "verifier").rglob("*.py"), *(ROOT / "rules").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]


def test_the_pattern_finds_such_a_command() -> None:
    assert FROM_INDEX.search("pip install 'fuseguard[prove]'")
    assert FROM_INDEX.search("pip install -U fuseguard")
    assert not FROM_INDEX.search('pip install "./fuseguard[prove]" torchvision')


def test_no_page_or_message_installs_fuseguard_from_the_index() -> None:
    assert len(SOURCES) > 100
    found = [path for path in (*PAGES, *SOURCES) if FROM_INDEX.search(path.read_text(encoding="utf-8"))]
    assert [str(path.relative_to(ROOT)) for path in found] == []
