"""A rule pack that does something else than to check a program, installed for a process."""

from __future__ import annotations

import os
from pathlib import Path

from fuseguard_testkit.cli_process import environment

_SOURCE = """
import os, sys, time
from fuseguard.engine import Effect, EffectRow, EffectsTable, Example, Rule
from fuseguard.ir.builder import GraphBuilder
def graph():
    b = GraphBuilder(); return b.output(b.call("aten.relu.default", b.input()))
class Acting(Rule):
    code, name, summary, why, remedy, scope, message = "ZZ100", "acts", "s", "w", "r", "node", "m"
    effects = EffectsTable([EffectRow("*", ">=1", "*", Effect.WRONG)])
    bad = good = (Example("x", graph),)
    def check(self, view, target):
        {act}
        return iter(())
INTERFACE, RULES = 1, (Acting,)
"""


def acting(act: str) -> str:
    """The source of a pack whose rule runs the statement ``act``."""
    return _SOURCE.replace("{act}", act)


def installed(folder: Path, source: str) -> dict[str, str]:
    """The environment of a process in which a pack of this source is installed."""
    (folder / "acting_pack.py").write_text(source)
    info = folder / "acting_pack-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acting-pack\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fuseguard.rules]\nacting = acting_pack\n")
    return environment(PYTHONPATH=os.pathsep.join([str(folder), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))
