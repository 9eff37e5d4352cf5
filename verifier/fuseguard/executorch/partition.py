"""The plug-in: operator-support checks that keep violating clusters off the accelerator.

The backend asks each check about each node of the edge graph. The first question about a graph makes one
analysis of the whole graph, shared by all checks; the answers are set look-ups.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.export import ExportedProgram
from torch.fx.passes.operator_support import OperatorSupportBase

from fuseguard.engine.finding import Severity
from fuseguard.engine.registry import load_registry
from fuseguard.engine.rule import Rule
from fuseguard.engine.run import POLICIES, Report, run
from fuseguard.executorch.copying import exported_program_of
from fuseguard.executorch.guard_report import GuardReport
from fuseguard.executorch.rewriting import apply_rewrites
from fuseguard.ir.graph import Graph
from fuseguard.readers.fx import read_graph_module, read_program
from fuseguard.target import Target, as_target

if TYPE_CHECKING:
    from executorch.exir import EdgeCompileConfig

logger = logging.getLogger("fuseguard")

P = TypeVar("P")


def support_checks(
    compile_spec: Any,
    policy: str = "consistent",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    executorch: str | None = None,
    strict: bool = False,
    compile_config: EdgeCompileConfig | None = None,
) -> list[OperatorSupportBase]:
    """One operator-support check per rule, for the ``additional_checks`` of an Arm partitioner.

    Each check is an instance of a class of its own, named after the rule, because the backend reports a
    reject by class name alone. All of them share one analysis and one :class:`GuardReport`.

    Args:
        compile_spec: the partitioner's own compile spec (TosaCompileSpec, VgfCompileSpec, EthosUCompileSpec),
            a target string or a Target.
        policy: ``consistent`` refuses every violation on every profile and release alike; ``measured`` only what
            breaks on this target; ``bit-exact`` also what deviates within a proved bound.
        select: the rules to use, as codes, prefixes or names; empty means all.
        ignore: the rules to leave out, likewise.
        executorch: the release whose effects apply; None means the installed one.
        strict: on an internal error refuse every node instead of accepting it. Either way it is logged and
            kept in the report; nothing is raised into a lowering.
        compile_config: what ``to_edge_transform_and_lower`` will be given; None means ExecuTorch's default.

    Returns:
        The checks. :func:`report_of` gives the report that they fill.

    Raises:
        ValueError: an unknown policy or selector.
        TargetError: an unknown target.
        RulePackError: an installed rule pack is broken.
    """
    if policy not in POLICIES:
        raise ValueError(f"{policy!r} is not a policy; valid are {', '.join(POLICIES)}")
    rules = load_registry().select(select, ignore)
    analysis = _Analysis(target_of(compile_spec, executorch, compile_config), rules, policy, strict)
    return [_check_class(rule)(analysis, rule.code) for rule in rules]


def guard(
    partitioner: P,
    policy: str = "consistent",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    strict: bool = False,
    program: ExportedProgram | None = None,
    compile_config: EdgeCompileConfig | None = None,
) -> P:
    """Add fuseguard's checks to a TOSAPartitioner, VgfPartitioner or EthosUPartitioner and return it.

    The partitioner itself is extended, so the result may be ignored; guarding one twice replaces the first
    guard. What was refused and why is in ``partitioner.fuseguard_report`` after lowering.

    Args:
        partitioner: the partitioner to extend, in place.
        policy: as for :func:`support_checks`.
        select: as for :func:`support_checks`.
        ignore: as for :func:`support_checks`.
        strict: as for :func:`support_checks`.
        program: what is about to be lowered. A partitioner is given a copy without the values of its parameters and
            buffers. With the program, the guard knows the per-channel scales in them, as a check of the program does.
        compile_config: what ``to_edge_transform_and_lower`` is about to be given. Some faults exist only while it
            checks the edge IR (``_check_ir_validity``, by default True).

    Returns:
        The same partitioner.

    Raises:
        TypeError: the partitioner takes no ``additional_checks``, or ``program`` is something else.
        ValueError: as for :func:`support_checks`.
        TargetError: as for :func:`support_checks`.
        RulePackError: as for :func:`support_checks`.
    """
    if not hasattr(partitioner, "additional_checks") or not hasattr(partitioner, "tosa_spec"):
        raise TypeError(
            f"cannot guard a {type(partitioner).__name__}: it takes no additional checks. Pass a TOSAPartitioner, "
            f"VgfPartitioner or EthosUPartitioner."
        )
    arm: Any = partitioner
    # Partitioners keep their compile spec only from 1.5 on; the TOSA specification they have always had.
    checks = support_checks(arm, policy, select=select, ignore=ignore, strict=strict, compile_config=compile_config)
    if program is not None:
        exported_program_of(program, "guard")
    others = [check for check in arm.additional_checks or () if not isinstance(check, _RuleCheck)]
    arm.additional_checks = [*others, *checks]
    arm.fuseguard_report = report_of(checks)
    show_programs(arm, checks, program)
    return partitioner


def show_programs(
    partitioner: Any, checks: Sequence[OperatorSupportBase], program: ExportedProgram | None = None
) -> None:
    """Lets checks from :func:`support_checks` see the whole program that ``partitioner`` is about to partition.

    A check is given nodes alone. With the program it knows which inputs are constant, with ``program`` (the one that
    is lowered) their values too, and can fix what it would be asked about too late (``Rule.fixed_by_guard``).
    """
    analysis: Any = next((check.analysis for check in checks if hasattr(check, "analysis")), None)
    if analysis is None:
        return
    partition = getattr(partitioner.partition, "unguarded", partitioner.partition)
    values = {**program.constants, **program.state_dict} if program is not None else {}

    custom_ops = getattr(partitioner.partition, "custom_ops", None) or _CustomOps(partitioner)

    def guarded(exported_program: ExportedProgram) -> Any:
        with analysis.showing(exported_program, values), custom_ops.refused_by(analysis, exported_program):
            return partition(exported_program)

    guarded.unguarded = partition  # type: ignore[attr-defined]
    guarded.custom_ops = custom_ops  # type: ignore[attr-defined]
    partitioner.partition = guarded


def report_of(guarded: Any) -> GuardReport:
    """What was refused and why, in the lowering that ``guarded`` took part in. Complete when the lowering returns.

    Args:
        guarded: a partitioner that :func:`guard` extended, or the checks that :func:`support_checks` returned.

    Raises:
        TypeError: ``guarded`` is neither a partitioner nor a sequence of checks.
        ValueError: no check of fuseguard is in it: the partitioner is not guarded, or the checks are others.
    """
    is_partitioner = hasattr(guarded, "additional_checks")
    checks = (guarded.additional_checks or ()) if is_partitioner else guarded
    if not isinstance(checks, Iterable):
        raise TypeError(
            f"report_of takes a guarded partitioner or the checks of fuseguard.executorch.support_checks, not "
            f"{type(guarded).__name__}"
        )
    for check in checks:
        if isinstance(check, _RuleCheck):
            return check.analysis.report
    if is_partitioner:
        raise ValueError(
            f"this {type(guarded).__name__} is not guarded, so nothing was recorded: call "
            f"fuseguard.executorch.guard(partitioner) before lowering"
        )
    raise ValueError("these checks were not made by fuseguard.executorch.support_checks")


def target_of(
    compile_spec: Any, executorch: str | None = None, compile_config: EdgeCompileConfig | None = None
) -> Target:
    """The Target of a compile spec or partitioner, a target string or a Target.

    Args:
        compile_spec: a compile spec or partitioner of the backend, a target such as ``vgf``, or a Target.
        executorch: the release; None means the installed one, or that of a Target.
        compile_config: what the program is lowered with. None leaves a Target as it is, and otherwise means the
            default.

    Raises:
        TargetError: the target or release is not valid.
    """
    given = as_target(compile_spec)
    target = given if isinstance(given, Target) else Target.parse(given, executorch)
    if executorch is not None and not isinstance(compile_spec, Target):
        target = target.with_release(executorch)
    return target if compile_config is None else replace(target, ir_validity=compile_config._check_ir_validity)


class _CustomOps:
    """The custom operators of a partitioner, which it delegates whatever its checks say: VgfPartitioner has registered
    grid_sampler_2d since 1.4. It is asked about the operator and not about the node, so that all nodes of an operator
    stay on the CPU where one of them is refused.
    """

    def __init__(self, partitioner: Any) -> None:
        self._of: set[Any] = getattr(partitioner, "_custom_partition_ops", set())
        self._registered = frozenset(self._of)
        self._refused: set[Any] = set()  # in any program so far

    @contextlib.contextmanager
    def refused_by(self, analysis: _Analysis, program: ExportedProgram) -> Iterator[None]:
        """Within, the partitioner takes none of the operators of which ``analysis`` refuses a node of ``program``.

        Afterwards it does not claim those that were refused in any program: ExecuTorch requires that what a partitioner
        keeps from being decomposed is in a delegate in the end.
        """
        nodes = [node for node in program.graph.nodes if self._names(node)] if self._registered else []
        refused = {name for node in nodes if analysis.refuses(node) for name in self._names(node)}
        self._refused |= refused
        self._claim(self._registered - refused)
        try:
            yield
        finally:
            self._claim(self._registered - self._refused)

    def _names(self, node: torch.fx.Node) -> frozenset[Any]:
        """What the node's operator is registered as: itself, or the operator of torch that it stands for."""
        return self._registered & {node.target, getattr(node.target, "_op", node.target)}

    def _claim(self, ops: frozenset[Any]) -> None:
        self._of.clear()
        self._of.update(ops)


class _Analysis:
    """One analysis per graph, redone when the graph changed, and the answers that follow from it."""

    def __init__(self, target: Target, rules: Sequence[Rule], policy: str, strict: bool) -> None:
        self.target = target
        self.rules = rules
        self.policy = policy
        self.strict = strict
        self.report = GuardReport(str(target), policy)
        self._graph: torch.fx.Graph | None = None
        self._marks: dict[str, tuple[Any, ...]] = {}
        self._refused: dict[str, frozenset[str]] = {}
        self._asked: set[tuple[str, str]] = set()
        self._program: ExportedProgram | None = None
        self._values: Mapping[str, Any] = {}

    @contextlib.contextmanager
    def showing(self, program: ExportedProgram, values: Mapping[str, Any], fix: bool = True) -> Iterator[None]:
        """Within, the constants of ``program`` are known; what checks cannot prevent in it is fixed.

        ``values`` are those of its parameters and buffers by their names in the state dict.
        """
        self._program, self._values, self._graph = program, values, None
        try:
            if fix:
                self._fix(program)
        except Exception as error:  # as in accepts(): never raised into a lowering
            self.report.add_error("the program", error)
            logger.exception("fuseguard could not fix the program before it is partitioned")
        try:
            yield
        finally:
            self._program, self._values = None, {}

    def _fix(self, program: ExportedProgram) -> None:
        rules = [rule for rule in self.rules if rule.fixed_by_guard]
        if not rules:
            return
        for finding in run(read_program(program), self.target, rules, self.policy).findings:
            if finding.graph or finding.severity is not Severity.ERROR:
                continue
            if finding.rewrite is not None and finding.rewrite.exact:
                apply_rewrites(program, [finding.rewrite])
                self.report.add_fixed(finding)

    def accepts(self, node: torch.fx.Node, code: str) -> bool:
        try:
            if self._stale(node, code):
                self._analyse(node.graph)
            return code not in self._refused.get(node.name, frozenset())
        except Exception as error:  # a lowering must not fail because its check did
            self.report.add_error(node.name, error)
            logger.exception("fuseguard could not check node %s; it is %s", node.name, self._on_error)
            self._graph = None
            return not self.strict

    def refuses(self, node: torch.fx.Node) -> bool:
        """Whether any rule refuses the node."""
        return not all(self.accepts(node, rule.code) for rule in self.rules)

    @property
    def _on_error(self) -> str:
        return "refused (strict)" if self.strict else "accepted unchecked"

    def _stale(self, node: torch.fx.Node, code: str) -> bool:
        """Whether the node's graph is new or changed since it was analysed.

        FX graphs have no version counter. A partitioner asks each check once about each node, so a question
        asked twice starts a new walk, and only then is the whole graph compared; within a walk it is the node
        count and what the asked node itself is and touches.
        """
        graph = node.graph
        if graph is not self._graph or len(graph.nodes) != len(self._marks):
            return True
        if (code, node.name) in self._asked:
            self._asked.clear()
            if any(self._marks.get(other.name) != _mark(other) for other in graph.nodes):
                return True
        self._asked.add((code, node.name))
        return self._marks.get(node.name) != _mark(node)

    def _analyse(self, graph: torch.fx.Graph) -> None:
        marks = {node.name: _mark(node) for node in graph.nodes}
        result: Report = run(self._read(graph), self.target, self.rules, self.policy)
        refused: dict[str, frozenset[str]] = {}
        for finding in result.findings:
            if finding.refuse and not finding.graph:
                for name in finding.cluster:
                    refused[name] = refused.get(name, frozenset()) | {finding.code}
        for failure in result.failures:
            self.report.add_error(failure.code, RuntimeError(failure.error))
            logger.error("fuseguard rule %s failed: %s", failure.code, failure.error)
            if self.strict:
                for name in marks:
                    refused[name] = refused.get(name, frozenset()) | {failure.code}
        if refused:
            _register_out_variants()
        self._graph, self._marks, self._refused = graph, marks, refused
        self._asked.clear()
        self.report.add_analysis(result)

    def _read(self, graph: torch.fx.Graph) -> Graph:
        if self._program is not None and self._program.graph_module.graph is graph:
            return read_program(self._program, self._values)
        module = graph.owning_module
        if module is None:
            module = torch.fx.GraphModule(torch.nn.Module(), graph)
        return read_graph_module(module, {}, {})


@cache
def _register_out_variants() -> None:
    """Lets a program be emitted that has Q and DQ ops outside of its delegates.

    ``to_executorch`` needs their out variants, and importing ExecuTorch's quantized kernels registers them. Without a
    guard all Q and DQ of a VGF are inside its delegates, so that nothing else imports them there.
    """
    try:
        importlib.import_module("executorch.kernels.quantized")
    except ImportError as error:
        logger.warning("to_executorch may fail: the quantized kernels of ExecuTorch cannot be imported: %s", error)


def _mark(node: torch.fx.Node) -> tuple[Any, ...]:
    return (
        id(node),
        node.target,
        tuple(item.name for item in node.all_input_nodes),
        tuple(item.name for item in node.users),
        str(node.args) if "quantize_per" in str(node.target) else len(node.args),
    )


class _RuleCheck(OperatorSupportBase):
    """Base of the per-rule classes; the backend calls ``is_node_supported`` once per node."""

    def __init__(self, analysis: _Analysis, code: str) -> None:
        self.analysis = analysis
        self.code = code

    def is_node_supported(self, submodules: Mapping[str, torch.nn.Module], node: torch.fx.Node) -> bool:
        del submodules
        return self.analysis.accepts(node, self.code)


def _check_class(rule: Rule) -> type[_RuleCheck]:
    name = f"{rule.code}_{rule.name.replace('-', '_')}"
    return type(name, (_RuleCheck,), {"__doc__": rule.summary, "__module__": __name__})
