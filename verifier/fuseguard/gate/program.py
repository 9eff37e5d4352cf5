"""The PG findings of a program, and the other findings that a finished lowering refutes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from fuseguard.engine.exposure import distinct_clusters
from fuseguard.engine.finding import Effect, Evidence, Finding, Severity
from fuseguard.engine.fingerprint import fingerprint
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.engine.parts import delegates, is_lowered, is_quantized, programs
from fuseguard.engine.program_rules import (
    ACTIVATION_LOST,
    ANOTHER_TARGET,
    DELEGATE_NOT_JUDGED,
    FOREIGN_QUANTIZER,
    NOTHING_QUANTIZED,
    OBSERVERS_LEFT,
    OUTPUTS_MERGED,
    REQUIRED,
    TOSA_VERSION_DIFFERS,
)
from fuseguard.engine.run import NOT_QUANTIZED, Report, in_order
from fuseguard.ir.delegate import Delegate
from fuseguard.ir.graph import Graph, Node
from fuseguard.ir.ops import Trait
from fuseguard.ir.view import View
from fuseguard.target import Target

#: The rule that reports each op without Arm's annotation; FOREIGN_QUANTIZER stands for all of them.
_UNMARKED = "PL404"
#: A delegate that exists was neither a crash nor left on the CPU.
_REFUTED = (Effect.CRASH, Effect.CPU_FALLBACK)
_FAKE = ("fake_quant", "_fused_moving_avg_obs")
_OBSERVER = "activation_post_process"


def judged(
    report: Report, graph: Graph, target: Target, codes: Collection[str], require_quantized: bool = False
) -> Report:
    """``report`` with the findings about the program as a whole.

    ``codes`` are the PG codes to report. With ``require_quantized``, those that say that there is nothing to check are
    always reported, as errors.
    """
    told = set(codes) | (set(REQUIRED) if require_quantized else set())
    findings, notices = list(report.findings), [item for item in report.notices if item != NOT_QUANTIZED]
    added: list[Finding] = []
    parts = programs(graph)
    for program in parts:
        unmarked = [item for item in findings if item.code == _UNMARKED and _is_within(item.graph, program)]
        if FOREIGN_QUANTIZER.code in told and unmarked and not _any_marked(program):
            findings = [item for item in findings if item.code != _UNMARKED or not _is_within(item.graph, program)]
            added.append(_foreign(program, unmarked, report.file))
        # The report says it of all programs together.
        added += _nothing(program, report.file, report.quantized and (len(parts) == 1 or is_quantized(program)))
        if is_lowered(program):
            findings, refuted = _without_refuted(findings, program)
            added += _lowering(program, target, report.file)
            notices += _lowered_notices(program, refuted)
    kept = [_required(item) if require_quantized else item for item in added if item.code in told]
    return replace(report, findings=tuple(in_order([*findings, *kept], graph)), notices=tuple(dict.fromkeys(notices)))


def _required(finding: Finding) -> Finding:
    return replace(finding, severity=Severity.ERROR) if finding.code in REQUIRED else finding


def _called(program: Graph) -> str:
    return f"the program {program.name[:80]!r}" if program.name else "the program"


def _is_within(name: str, program: Graph) -> bool:
    return not program.name or name == program.name or name.startswith(f"{program.name}.")


def _nothing(program: Graph, file: str, quantized: bool) -> Iterator[Finding]:
    """That the program has observers, or else that it is not quantized."""
    told = [found for body in program.walk() for node in body if (found := _observer(node))]
    # An op that computes a fake quantization does not count as an observer beside those that have its state.
    numbered = dict.fromkeys(name for name, is_state in told if is_state)
    observers = list(numbered or dict.fromkeys(name for name, _ in told))
    if observers:
        count = f"{len(observers):,} observer{'s' if len(observers) > 1 else ''}"
        yield _about(OBSERVERS_LEFT, file, program.name, program=_called(program), count=count, example=observers[0])
    elif not quantized:
        yield _about(NOTHING_QUANTIZED, file, program.name, program=_called(program))


def _observer(node: Node) -> tuple[str, bool] | None:
    """The observer that a node is or belongs to, and whether the node is state of it."""
    if node.op == "call" and any(part in node.target for part in _FAKE):
        return node.name, False
    if _OBSERVER not in node.name or not (node.op == "placeholder" or node.target.startswith("call_module")):
        return None
    # Each has several buffers: b_activation_post_process_0_min_val
    number = node.name.partition(_OBSERVER)[2].lstrip("_").partition("_")[0]
    return (f"{_OBSERVER}_{number}" if number.isdigit() else node.name), True


def _any_marked(program: Graph) -> bool:
    return any(node.annotated for body in program.walk() for node in body)


def _foreign(program: Graph, unmarked: list[Finding], file: str) -> Finding:
    """One finding for all ops without an annotation, with the effect of the worst of them."""
    worst = max(unmarked, key=lambda item: item.severity.rank)
    nodes = tuple(dict.fromkeys(name for item in unmarked for name in item.nodes))
    told = _about(
        FOREIGN_QUANTIZER,
        file,
        program.name,
        program=_called(program),
        count=f"{len(unmarked):,} quantized op{'s' if len(unmarked) > 1 else ''}",
    )
    severity = max((worst.severity, FOREIGN_QUANTIZER.severity), key=lambda item: item.rank)
    same = [item for item in unmarked if item.graph == worst.graph]
    return replace(
        worst,
        code=told.code,
        name=told.name,
        severity=severity,
        nodes=nodes if len(same) == len(unmarked) else worst.nodes,
        cluster=tuple(dict.fromkeys(name for cluster in distinct_clusters(same) for name in cluster)),
        message=told.message,
        remedy=told.remedy,
        rewrite=None,
        refuse=any(item.refuse for item in unmarked),
        caused_by=None,
        fingerprint=told.fingerprint,
    )


def _without_refuted(findings: list[Finding], program: Graph) -> tuple[list[Finding], int]:
    """The findings without those that an existing delegate refutes, and the number of refuted ones. No guard keeps off
    the accelerator what is already there.
    """
    inside = {body.name for part in delegates(program) for body in part.walk()}
    kept = [item for item in findings if item.graph not in inside or item.effect not in _REFUTED]
    return [replace(item, refuse=False) if item.graph in inside else item for item in kept], len(findings) - len(kept)


def _lowering(program: Graph, target: Target, file: str) -> Iterator[Finding]:
    """What the delegates of a lowered program show."""
    for body in program.walk():
        known = {name for name, part in body.subgraphs.items() if part.delegate is not None}
        for node in body:
            if node.op == "call" and node.info.has(Trait.DELEGATE) and (not node.args or node.args[0] not in known):
                reason = "what it was made of is not in the program"
                yield _about(DELEGATE_NOT_JUDGED, file, node.name, delegate=node.name, reason=reason)
    for part in delegates(program):
        if part.delegate is not None:
            yield from _delegate(part, part.delegate, target, file)


def _delegate(part: Graph, delegate: Delegate, target: Target, file: str) -> Iterator[Finding]:
    if not delegate.arm or delegate.fault:
        reason = delegate.fault or f"it is of {delegate.backend or 'a backend without a name'}, which is not known here"
        yield _about(DELEGATE_NOT_JUDGED, file, part.name, delegate=part.name, reason=reason)
        return
    spec = delegate.tosa_spec
    if spec and _plain(spec) != _plain(target.spec):
        yield _about(ANOTHER_TARGET, file, part.name, delegate=part.name, spec=spec, target=target.spec)
    tosa = delegate.tosa
    if tosa is None:
        return
    found = ".".join(map(str, tosa.version))
    if spec and found not in spec:
        yield _about(TOSA_VERSION_DIFFERS, file, part.name, delegate=part.name, found=found, spec=spec)
    from fuseguard.backend.lowered_islands import lost_bounds, merged_outputs  # few programs have delegates

    view = View(part)
    for lost in lost_bounds(view, tosa):
        owner = lost.island.owner
        yield _placed(
            ACTIVATION_LOST, view, (owner, lost.island.anchor), file, target,
            activation=owner.name, bound=lost.bound, code=lost.code, limit=lost.limit, tensor=lost.tensor,
            delegate=part.name,
        )  # fmt: skip
    for merged in merged_outputs(view, tosa):
        yield _placed(
            OUTPUTS_MERGED, view, (merged.second, merged.first), file, target,
            first=merged.first.name, second=merged.second.name, tensor=merged.tensor, delegate=part.name,
        )  # fmt: skip


def _plain(spec: str) -> str:
    return spec.replace(" ", "").upper()


def _lowered_notices(program: Graph, refuted: int) -> Iterator[str]:
    parts = [part for part in delegates(program) if part.delegate is not None and part.delegate.arm]
    compiled = [part.name for part in parts if part.delegate is not None and part.delegate.tosa is None]
    if parts:
        yield (
            f"T{_called(program)[1:]} is already lowered and has {_counted(len(parts), 'delegate')} of Arm's backend. "
            f"The sub-graph and the TOSA of each were checked. The rest runs on the CPU as it is written."
        )
    if compiled:
        yield (
            f"Of {_counted(len(compiled), 'delegate')}, {compiled[0][:80]} first, the program no longer holds the TOSA "
            f"but what a further compiler made of it. That was not checked."
        )
    if refuted:
        yield (
            f"{_counted(refuted, 'finding')} inside delegates predicted a crash of the lowering or ops on the CPU. "
            f"The delegate exists, so neither happened, and the report omits them."
        )


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _about(rule: HousekeepingRule, file: str, identity: str, **fields: object) -> Finding:
    shown = {key: str(value)[:200] for key, value in fields.items()}
    return replace(rule.finding(None, identity, **shown), file=file)


def _placed(
    rule: HousekeepingRule, view: View, nodes: tuple[Node, ...], file: str, target: Target, **fields: object
) -> Finding:
    """A finding at nodes of a delegate's sub-graph."""
    lead = nodes[0]
    identity = f"{view.graph.name}/{view.key(lead)}"
    return replace(
        rule.finding(None, identity, **fields),
        nodes=tuple(node.name for node in nodes),
        cluster=view.ordered_cluster(*nodes),
        evidence=Evidence.SOURCE_READ,
        evidence_note="the delegate's own TOSA",
        source=lead.source,
        stack=lead.stack,
        module=lead.module,
        module_type=lead.module_type,
        island=lead.name,
        island_key=view.key(lead),
        graph=view.graph.name,
        target=str(target),
        file=file,
        fingerprint=fingerprint(rule.code, (identity,)),
    )
