"""Fingerprints: a name for a finding that is the same the next time its program is exported.

Every export numbers node names again. Qparams change with every calibration, line numbers with every edit above them,
and a chain after a node with every op that is added to it. None of these is part of a fingerprint. It consists of the
rule's code and the place of the finding's first node: the control-flow body it is in, its module's path and type, its
op kind, and the user's source line by file name, function and text. Places in a Sequential or ModuleList are not part
of the path, because one more layer moves all layers after it. Nodes that none of this distinguishes are counted in
program order, whether or not they are at fault: fixing one finding renames no other one.

Nor are target and effect part of it: a finding has one fingerprint on all of them.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import TypeAlias

from fuseguard.engine.finding import Finding
from fuseguard.ir.graph import Node, SourceLine
from fuseguard.ir.value import replace
from fuseguard.ir.view import View
from fuseguard.ir.walks import beyond_quantizers

#: What every fingerprint starts with. A further version is made when the same finding would get another one.
VERSION = "fg1"

_DIGITS = 16  # hexadecimal ones: 64 bits
_FAR = 64  # Q and DQ that are looked through; in a file made to keep us busy there may be any number in a row
_Key: TypeAlias = "tuple[str | int, ...]"


def add_fingerprints(findings: Sequence[Finding], views: Sequence[View]) -> list[Finding]:
    """The findings with ``fingerprint`` set, each to another one, in the order given.

    ``views`` are those of the program and of every control-flow body, outermost first, that the rules looked at.
    Findings of one rule at one place are numbered in the order given.
    """
    if not findings:
        return []
    places = _Places(views)
    told: Counter[tuple[str, _Key]] = Counter()
    done = []
    for finding in findings:
        what = (finding.code, places.of(finding))
        done.append(replace(finding, fingerprint=fingerprint(*what, told[what])))
        told[what] += 1
    return done


def fingerprint(code: str, place: Sequence[str | int], occurrence: int = 0) -> str:
    """The fingerprint of a rule's ``occurrence``-th finding at a place: ``fg1:`` and 16 hexadecimal digits."""
    import hashlib  # loads OpenSSL, which a program without findings does not need

    text = json.dumps([code, *place, occurrence])  # ASCII, also for a lone surrogate in a name
    return f"{VERSION}:{hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


class _Places:
    """Says where nodes are, in words that outlive an export. Ordinals run over the whole program."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = {view.graph.name: view for view in views}
        self._positions: dict[tuple[str, str], dict[str, int]] = {}
        self._numbered: dict[str, dict[tuple[str, str], _Key]] = {}

    def of(self, finding: Finding) -> _Key:
        view = self._views.get(finding.graph)
        if view is None or not finding.nodes or finding.nodes[0] not in view.graph:
            return ()  # a rule of somebody else's may name what is not there
        return self._place(view, view.graph[finding.nodes[0]])

    def _place(self, view: View, node: Node) -> _Key:
        """Q and DQ have no place of their own: a Q has its owner's, a DQ that of its reader."""
        steps = 0
        while (view.is_q(node) or view.is_dq(node)) and steps < _FAR:
            readers = view.users(node) if view.is_dq(node) else []
            reader = next((user for user in readers if user.op == "call" and not view.is_q(user)), None)
            if reader is not None:
                return (*self._number(view, reader), "input", self._position(view, reader, node), steps)
            producer = view.graph.node_of(node.args[0]) if node.args else None
            if producer is None:
                break
            steps += 1
            node = producer
        return (*self._number(view, node), "output", steps) if steps else self._number(view, node)

    def _number(self, view: View, node: Node) -> _Key:
        kind = node.kind or node.op
        if kind not in self._numbered:
            self._numbered[kind] = self._number_all(kind)
        return self._numbered[kind].get((view.graph.name, node.name), (node.kind,))

    def _position(self, view: View, reader: Node, node: Node) -> int:
        where = view.graph.name, reader.name
        if where not in self._positions:
            inputs = view.graph.inputs(reader)
            self._positions[where] = {item.name: number for number, item in enumerate(inputs)}
        return self._positions[where][node.name]

    def _number_all(self, kind: str) -> dict[tuple[str, str], _Key]:
        """By body and name of a node of a kind: its key, and its number among the live nodes that share the key."""
        seen: Counter[_Key] = Counter()
        numbered: dict[tuple[str, str], _Key] = {}
        for view, node in self._by_kind[kind]:
            key = _key(view, node)
            numbered[view.graph.name, node.name] = (*key, seen[key])
            seen[key] += 1
        return numbered

    @cached_property
    def _by_kind(self) -> Mapping[str, list[tuple[View, Node]]]:
        """The live nodes of each kind, in all bodies. Only the kinds that findings are at get keys, which cost more."""
        groups: defaultdict[str, list[tuple[View, Node]]] = defaultdict(list)
        for view in self._views.values():
            for node in view.graph:
                if view.is_live(node) and node.op != "output":
                    groups[node.kind or node.op].append((view, node))
        return groups


def _key(view: View, node: Node) -> _Key:
    kind = node.kind or f"{node.op} {_unnumbered(node.name)}"
    source = node.source
    line = _line(source) if source is not None else ()
    module = _without_places(node.module)
    key = (_unnumbered(view.graph.name), module, node.module_type.rpartition(".")[2], kind, *line)
    if node.module or line or node.op != "call":
        return key
    # Nothing but the graph says where this is.
    return (*key, *_kinds(node, view.graph.inputs), "->", *_kinds(node, view.users))


def _line(source: SourceLine) -> tuple[str, ...]:
    if source.generated:
        return ()  # its text holds node names and qparams
    notebook = source.file.startswith("<") or "ipykernel_" in source.file
    file = "" if notebook else PurePosixPath(source.file.replace("\\", "/")).name  # a cell is renamed by every run
    return (file, source.function, " ".join(source.code.split()))


def _kinds(node: Node, step: Callable[[Node], Sequence[Node]]) -> list[str]:
    """The kinds of the neighbours on one side; instead of a Q or DQ, the neighbour beyond it."""

    def computed(item: Node) -> list[Node]:
        return [other for other in step(item) if not other.constant]

    return sorted({item.kind or item.op for item in beyond_quantizers(node, computed, most=_FAR)})


@lru_cache(maxsize=4096)
def _without_places(module: str) -> str:
    """The path of a module without the places in a Sequential or ModuleList."""
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", module)


@lru_cache(maxsize=4096)
def _unnumbered(name: str) -> str:
    """``true_graph_1.false_graph_0`` and ``_frozen_param3`` without the numbers that an export gives."""
    return re.sub(r"_?\d+(?=\.|$)", "", name)
