"""The AR codes: findings about a file, which are about no node of the program in it.

They say what ``torch.export.load`` would run of the file. A reader finds it (``readers/hazards.py``); no rule of a pack
can, since a graph holds none of it. The other formats have the same codes (``readers/artifact_hazards.py``), since
their loaders run the same kinds of code. The codes are looked for whatever is selected, and are accepted by code and in
no other way: a gate for fusion faults must not let a file through that runs code in the next step of the pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass

from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.fingerprint import fingerprint
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.ir.hazard import Hazard

_LONGEST = 400


@dataclass(frozen=True, slots=True)
class ArchiveRule(HousekeepingRule):
    """One AR code."""

    severity: Severity = Severity.ERROR
    scope: str = "file"
    message: str = "loading this file with torch would run {what}"

    def of(self, hazard: Hazard, file: str) -> Finding:
        """The finding that says of ``file`` what the reader saw."""
        return Finding(
            code=self.code,
            name=self.name,
            effect=Effect.RUNS_CODE,
            severity=self.severity,
            nodes=(),
            cluster=(),
            message=self.message.format(what=_shortened(hazard.text)),
            remedy=self.remedy,
            file=file,
            details=(("record", _shortened(hazard.place)),),
            fingerprint=fingerprint(self.code, (hazard.place, hazard.text)),
        )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _remedy(instead: str) -> str:
    return f"{instead} If you made the file yourself, or trust who did, accept this with --allow-code."


ARCHIVE_RULES: tuple[ArchiveRule, ...] = (
    ArchiveRule(
        code="AR901",
        name="pickled-tensor",
        summary="A weight or constant is stored as a pickle.",
        why=(
            "torch.export.save stores plain tensors as bytes, and pickles those of a subclass of Tensor. "
            "torch.export.load unpickles these with torch.load(weights_only=False), and a pickle can call any function "
            "of any module. The reader leaves such a tensor alone: if it is a scale, its values are not known. In an "
            "ETRecord, and in files of exir.serde and torch 2.6, all tensors are in one pickle. That pickle is "
            "reported if it calls anything but what rebuilds plain tensors."
        ),
        remedy=_remedy("Convert the weights to plain tensors before exporting, and save the program again."),
    ),
    ArchiveRule(
        code="AR902",
        name="pickled-object",
        summary="A constant is a pickled object, opaque or of TorchBind.",
        why=(
            "Opaque objects are read with pickle.loads, which can call any function of any module. TorchBind objects "
            "are read by torch's C++ unpickler, which makes objects of any registered class and calls its __setstate__."
        ),
        remedy=_remedy("Export the program without custom objects, and save it again."),
    ),
    ArchiveRule(
        code="AR903",
        name="legacy-record",
        summary="The archive has a weights or constants record of the legacy form.",
        why=(
            "If data/weights/<model>.pt or data/constants/<model>.pt exists, torch.export.load unpickles it, and reads "
            "none of the tensors that are stored as bytes. So such a record runs code, and also replaces the values "
            "that a check has seen."
        ),
        remedy=_remedy("Save the program again with torch.export.save of torch 2.9 or newer."),
    ),
    ArchiveRule(
        code="AR904",
        name="native-code",
        summary="The archive has a compiled package of AOTInductor.",
        why=(
            "torch.export.load unpacks whatever is in data/aotinductor and loads it as a shared library, even if only "
            "the exported program is asked for. A library runs code when it is loaded."
        ),
        remedy=_remedy("Take the program from a file of its own: save it with torch.export.save alone."),
    ),
    ArchiveRule(
        code="AR905",
        name="guard-code",
        summary="A guard of the program does more than compare shapes.",
        why=(
            "The guards in a file are Python source. ExportedProgram.module() pastes them into a function and executes "
            "it. The guards that torch writes compare sizes of inputs by arithmetic; this one has other calls, "
            "attributes or text."
        ),
        remedy=_remedy("Export and save the program again."),
    ),
    ArchiveRule(
        code="AR906",
        name="name-is-code",
        summary="A name in the program is not a name.",
        why=(
            "FX generates Python source for a program and executes it. Names of inputs, nodes, keywords and parameters "
            "are pasted into it as they are. A name that is not an identifier, or a parameter's that has a quote, can "
            "be any code. The function that results may still look as it should."
        ),
        remedy=_remedy("Export and save the program again."),
    ),
    ArchiveRule(
        code="AR907",
        name="expression-is-code",
        summary="A symbolic size is an expression that does more than arithmetic.",
        why=(
            "torch reads symbolic sizes with sympy.sympify, which evaluates any Python expression. Those that torch "
            "writes have numbers, symbols and functions of a short list; this one has something else."
        ),
        remedy=_remedy("Export and save the program again."),
    ),
    ArchiveRule(
        code="AR908",
        name="tree-spec-import",
        summary="A tree spec names a module that torch imports.",
        why=(
            "How inputs and outputs are nested is stored as JSON. An enum among the keys of a dict, and the factory of "
            "a defaultdict, are stored as the name of a module, which torch imports. An import runs the module, be it "
            "one that lies beside the model."
        ),
        remedy=_remedy("Use plain dicts with text for keys as inputs and outputs, and export again."),
    ),
    ArchiveRule(
        code="AR909",
        name="pickled-sample-inputs",
        summary="The sample inputs are a pickle of more than tensors.",
        why=(
            "Every file has its sample inputs as a pickle. torch.export.load tries the restricted unpickler first, and "
            "if that fails the one that calls any function of any module. Here, only pickles pass that call nothing "
            "but what rebuilds plain tensors; objects of other classes among the inputs do not."
        ),
        remedy=_remedy("Set example_inputs of the program to None, or to plain tensors, and save it again."),
    ),
)

_BY_CODE = {rule.code: rule for rule in ARCHIVE_RULES}


def archive_finding(hazard: Hazard, file: str) -> Finding:
    """The finding for what a reader saw in ``file``."""
    return _BY_CODE[hazard.code].of(hazard, file)
