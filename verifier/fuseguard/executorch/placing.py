"""Asks the installed backend which ops it leaves on the CPU, and each of its checks for the reason.

The backend's own partitioner decides, on the edge program that lowering gives it. Arm's reporter keeps only the first
reason for an op. Here every check is asked on its own, in the same state of the program: directly after the partitioner
has tagged it. Nothing is compiled for that; Vela is asked afterwards (:mod:`fuseguard.executorch.vela_placing`).
Source: ``TOSAPartitioner._tag_module`` and ``tosa_support_factory`` of ExecuTorch 1.2.0 to 1.5.1.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from executorch.backends.arm.constants import DQ_OPS, Q_OPS
from executorch.backends.arm.operator_support import tosa_supported_operators
from executorch.backends.arm.tosa import partitioner as tosa_partitioner
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.exir.backend.utils import ReportRejected, WhyNoPartitionReporter
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from fuseguard.engine.place import placed_by
from fuseguard.executorch.copying import copy_program
from fuseguard.executorch.guard_report import GuardReport
from fuseguard.executorch.loading import program_of
from fuseguard.executorch.locking import one_at_a_time
from fuseguard.executorch.lowering import ancestry, backend_quiet, name_before
from fuseguard.executorch.partition import guard, support_checks, target_of
from fuseguard.executorch.partitioners import is_partitioner, partitioner_of
from fuseguard.executorch.placements import LeftOut, Placement, Reason
from fuseguard.ir.graph import Graph
from fuseguard.ir.graph import Node as ReadNode
from fuseguard.ir.view import View
from fuseguard.readers.fx import read_program, target_name
from fuseguard.target import Target

#: What Arm says of an op that none of its lists and checks takes.
_IN_NO_LIST = "Not included in BaseTOSASupportList or a registered tosa_support_check"
_SILENT = "refuses it and gives no reason"


class PartitionError(RuntimeError):
    """The backend raised before it had decided about the ops. The text says what it raised."""


@one_at_a_time
def placement(
    program: ExportedProgram | str | os.PathLike[str],
    target: Any = "TOSA-1.0+INT+FP",
    *,
    guarded: bool = True,
    policy: str = "consistent",
    compile_config: EdgeCompileConfig | None = None,
    trust: bool = False,
    vela: bool = True,
) -> Placement:
    """Which ops of ``program`` the installed backend leaves on the CPU, with all reasons, at their source lines.

    Args:
        program: a quantized program in the ATen dialect, which is copied; or the path of a file with one, which needs
            ``trust``.
        target: TOSA specification, accelerator, compile spec or partitioner. A partitioner's own additional checks are
            asked too.
        guarded: lower with fuseguard's guard, which keeps off the accelerator what breaks there.
        policy: what the guard refuses: ``consistent``, ``measured`` or ``bit-exact``.
        compile_config: what the program is lowered with; None means ExecuTorch's default.
        trust: the file is trusted. ``torch.export.load`` runs code from it.
        vela: for an Ethos-U, lower the program and ask Vela, too, if it is installed. Vela gets the flags of the
            target's own compile spec.

    Raises:
        UnreadableInput: the file cannot be loaded, or (UntrustedFile) ``trust`` is missing.
        TargetError: the installed release does not know the target. TypeError: ``program`` is something else.
        PartitionError: the backend raised before it had decided.
    """
    loaded = program_of(program, "placement", trust)
    partitioner = _partitioner_for(target)
    resolved = target if isinstance(target, Target) else target_of(target, None, compile_config)
    names = {(node.name, *ancestry(node)): node.name for node in loaded.graph.nodes if node.op == "call_function"}
    copied = copy_program(loaded, share_weights=True)
    report = None
    if guarded:
        guard(partitioner, policy, program=copied, compile_config=compile_config)
        report = partitioner.fuseguard_report
    own = [check for check in partitioner.additional_checks or () if not hasattr(check, "analysis")]
    asking = _Asking(partitioner, report, names)
    with backend_quiet():
        try:
            to_edge_transform_and_lower(copied, partitioner=[partitioner], compile_config=compile_config)
        except Exception as error:
            if not asking.done:
                raise PartitionError(
                    f"ExecuTorch {resolved.release} raised while it partitioned the program: "
                    f"{type(error).__name__}: {error}"
                ) from error
    answer = None
    if vela and resolved.accelerator.startswith("ethos-u"):
        from fuseguard.executorch.vela_placing import ask_vela

        rules = support_checks(resolved, policy, compile_config=compile_config) if guarded else []
        answer = ask_vela(loaded, resolved, [*own, *rules], compile_config)
    errors = [*asking.errors, *(f"guard: {where}: {text}" for where, text in (report.errors if report else ()))]
    return Placement(
        str(resolved), policy if guarded else "", tuple(asking.left_out), asking.delegated, asking.delegates,
        tuple(dict.fromkeys(errors)), answer,
    )  # fmt: skip


def _partitioner_for(target: Any) -> Any:
    """A partitioner of our own: of a target the one that its accelerator needs, of a partitioner a copy."""
    if not is_partitioner(target):
        return partitioner_of(target)
    copied = copy.copy(target)
    vars(copied).pop("partition", None)  # a guard's, which is bound to the original
    copied.additional_checks = [check for check in target.additional_checks or () if not hasattr(check, "analysis")]
    return copied


class _Done(Exception):
    """Ends a lowering when the partitioner has decided: the backend need not compile anything."""


class _Reporter(WhyNoPartitionReporter):  # type: ignore[misc]
    """Keeps every reason and not only the first of each node."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[tuple[Node, str]] = []

    def report_reject(self, node: Node, reason: str) -> None:
        super().report_reject(node, reason)
        self.log.append((node, reason))


class _Asking:
    """Takes the place of some methods of a partitioner: looks at what they do, and asks after them."""

    def __init__(self, partitioner: Any, report: GuardReport | None, names: Mapping[tuple[str, ...], str]) -> None:
        self.done = False
        self.left_out: list[LeftOut] = []
        self.delegated = 0
        self.errors: list[str] = []
        self._report = report
        self._names = names
        self._partitioner = partitioner
        self._reporter = _Reporter()
        self._boundary: dict[Node, str] = {}
        self._tags: dict[int, set[str]] = {}
        self._graphs: dict[int, Graph] = {}
        self._tag_module = partitioner._tag_module
        self._detag = partitioner._detag_boundary_nodes
        self._partition = partitioner.partition
        partitioner._tag_module = self._tagging
        partitioner._detag_boundary_nodes = self._detagging
        partitioner.partition = self._partitioning

    def _partitioning(self, exported_program: ExportedProgram) -> None:
        self._partition(exported_program)
        self.done = True
        raise _Done

    def _tagging(self, module: GraphModule, containing_program: ExportedProgram, *args: Any, **kwargs: Any) -> Any:
        """``_tag_module``, with a reporter that keeps everything; bodies of control flow come back here themselves."""
        signature = inspect.signature(type(self._partitioner)._tag_module)
        given = signature.bind(self._partitioner, module, containing_program, *args, **kwargs)
        given.arguments["reporter"] = self._reporter
        start = len(self._reporter.log)
        tags = self._tag_module(*given.args[1:], **given.kwargs)
        during = self._reporter.log[start:]
        positive, negative = self._checks(containing_program)
        view = View(self._graph_of(containing_program, module))
        modules = dict(module.named_modules())
        for node in module.graph.nodes:
            if node.op != "call_function" or node.target is operator.getitem:
                continue
            tag = node.meta.get("delegation_tag")
            if tag is not None:
                self.delegated += node.target not in (*Q_OPS, *DQ_OPS)
                self._tags.setdefault(id(module), set()).add(tag)
            else:
                reasons = tuple(self._reasons(node, modules, positive, negative, during))
                self.left_out.append(self._described(node, view, reasons))
        for node in module.graph.nodes:
            body = getattr(module, str(node.target), None) if node.op == "get_attr" else None
            if isinstance(body, GraphModule) and any("delegation_tag" in user.meta for user in node.users):
                for inner in body.modules():
                    self._tags.pop(id(inner), None)  # all of it is in the delegate of the op that calls it
        return tags

    @property
    def delegates(self) -> int:
        """How many delegates the partitioner makes."""
        return sum(map(len, self._tags.values()))

    def _detagging(self, module: GraphModule, tag: str, *args: Any, **kwargs: Any) -> None:
        """``_detag_boundary_nodes``, which reports no Q and DQ."""
        before = {node for node in module.graph.nodes if node.meta.get("delegation_tag") == tag}
        self._detag(module, tag, *args, **kwargs)
        inside = {node for node in before if node.meta.get("delegation_tag") == tag}
        for node in before - inside:
            if node.target in Q_OPS:
                self._boundary[node] = f"it quantizes {node.all_input_nodes[0].name}, which comes from outside"
            elif node.target in DQ_OPS:
                readers = [user.name for user in node.users if user not in inside]
                self._boundary[node] = f"{', '.join(readers[:3])} outside of the delegate reads its result"

    def _checks(self, program: ExportedProgram) -> tuple[Sequence[Any], Sequence[Any]]:
        """The checks of which one must take a node, and those that none may refuse, as the release chains them."""
        module: Any = tosa_supported_operators
        with _kept(module, "any_chain") as alternatives, _kept(module, "chain") as chained:
            if hasattr(self._partitioner, "_create_operator_support"):
                self._partitioner._create_operator_support(program, self._reporter)
            else:  # before 1.4
                tosa_partitioner.tosa_support_factory(
                    self._partitioner.tosa_spec, program, self._reporter, self._partitioner.additional_checks
                )
        return alternatives[-1], chained[-1][1:]

    def _reasons(
        self,
        node: Node,
        modules: Mapping[str, torch.nn.Module],
        positive: Sequence[Any],
        negative: Sequence[Any],
        during: Sequence[tuple[Node, str]],
    ) -> Iterator[Reason]:
        found = [*self._not_taken(node, modules, positive), *self._refused(node, modules, negative)]
        known = {reason.text for reason in found} | {_IN_NO_LIST}
        own = [text for other, text in during if other is node and text not in known]
        own = [text for text in own if not text.startswith("Rejected by ")]
        taken_out = dict.fromkeys(own)
        found += [Reason("partition", "TOSAPartitioner", text, _without_names(text, node)) for text in taken_out]
        if node in self._boundary:
            what = "quantize" if node.target in Q_OPS else "dequantize"
            found.append(Reason("boundary", "TOSAPartitioner", self._boundary[node], what))
        yield from found or [Reason("unknown", "", "nothing refuses it, and no partition took it")]

    def _not_taken(self, node: Node, modules: Any, checks: Sequence[Any]) -> Iterator[Reason]:
        """Why no list and no registered check takes a node; nothing if one does."""
        texts: list[tuple[str, str]] = []
        for check in checks:
            holds, said = self._ask(check, node, modules)
            if holds:
                return
            if not said and node.target in (getattr(check, "targets", None) or ()):
                said = [_SILENT]
            texts += [(type(check).__name__, text) for text in said]
        for name, text in texts:
            yield Reason("support", name, text, _without_names(text, node))
        if not texts:
            yield Reason("support", "TOSA support list", _IN_NO_LIST)

    def _refused(self, node: Node, modules: Any, checks: Sequence[Any]) -> Iterator[Reason]:
        """What every other check has against a node."""
        for check in checks:
            inner = check.operator_support if isinstance(check, ReportRejected) else check
            holds, said = self._ask(inner, node, modules)
            if holds:
                continue
            name = type(inner).__name__
            code = getattr(inner, "code", "")
            if self._report is not None and hasattr(inner, "analysis"):
                yield from self._of_rule(node, code)
            elif inner is not check:
                yield Reason("additional", name, "; ".join(said) or f"{name} {_SILENT}")
            else:
                for text in said or [_SILENT]:
                    yield Reason("support", name, text, _without_names(text, node))

    def _of_rule(self, node: Node, code: str) -> Iterator[Reason]:
        """The findings of a rule that refuse a node."""
        assert self._report is not None
        found = [item for item in self._report.findings if item.code == code and item.refuse]
        for finding in found:
            if node.name not in finding.cluster:
                continue
            text = finding.message
            if node.name not in finding.nodes:
                text = f"refused together with {', '.join(finding.nodes[:3])}: {text}"
            yield Reason("fuseguard", code, text, finding.name)
            return
        if not any(node.name in item.cluster for item in found):
            yield Reason("fuseguard", code, "the rule failed, and the guard is strict")

    def _ask(self, check: Any, node: Node, modules: Any) -> tuple[bool, list[str]]:
        """What a check alone says of a node, and its reasons."""
        start = len(self._reporter.log)
        try:
            holds = bool(check.is_node_supported(modules, node))
        except Exception as error:  # it is asked what the chain would not have asked it any more
            what = f"{type(check).__name__} cannot be asked about {node.name}"
            self.errors.append(f"{what}: {type(error).__name__}: {error}")
            return True, []
        finally:
            said = [text for other, text in self._reporter.log[start:] if other is node]
            del self._reporter.log[start:]
        return holds, list(dict.fromkeys(said))

    def _graph_of(self, program: ExportedProgram, module: GraphModule) -> Graph:
        """What the reader makes of a module of the program, whose nodes know their lines."""
        if not self._graphs:
            self._graphs = dict(_paired(program.graph_module, read_program(program)))
        return self._graphs[id(module)]

    def _described(self, node: Node, view: View, reasons: tuple[Reason, ...]) -> LeftOut:
        read = self._node(view, node)
        placed = placed_by(view, [read]) if read is not None else None
        return LeftOut(
            node.name, name_before(node, self._names), target_name(node), view.graph.name,
            read.module if read is not None else "", placed.source if placed is not None else None, reasons,
        )  # fmt: skip

    @staticmethod
    def _node(view: View, node: Node) -> ReadNode | None:
        """What the reader made of a node; None where it has none."""
        return view.graph[node.name] if node.name in view.graph else None  # noqa: SIM401 - a Graph is not a mapping


@contextlib.contextmanager
def _kept(module: Any, name: str) -> Iterator[list[tuple[Any, ...]]]:
    """What ``module.name`` is called with meanwhile."""
    original = getattr(module, name)
    calls: list[tuple[Any, ...]] = []

    def kept(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    setattr(module, name, kept)
    try:
        yield calls
    finally:
        setattr(module, name, original)


def _paired(module: GraphModule, graph: Graph) -> Iterator[tuple[int, Graph]]:
    """Each module of control flow by its id, with what the reader made of it."""
    yield id(module), graph
    for node in module.graph.nodes:
        if node.op == "get_attr":
            body = getattr(module, str(node.target), None)
            if isinstance(body, GraphModule) and str(node.target) in graph.subgraphs:
                yield from _paired(body, graph.subgraphs[str(node.target)])


def _without_names(text: str, node: Node) -> str:
    """A reason without the names of nodes: what several ops have in common."""
    for other in (node, *node.all_input_nodes, *node.users):
        text = text.replace(other.name, "...")
    return text
