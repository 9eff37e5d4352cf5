"""The AR codes: findings about a file rather than about a node of the program in it.

They say what ``torch.export.load`` would run from the file. A reader finds it (``readers/hazards.py``). A rule of a
pack cannot, because a graph holds none of it. The other formats have the same codes (``readers/artifact_hazards.py``),
because their loaders run the same kinds of code. These codes run whatever is selected, and can only be accepted by
code: a gate for fusion faults must not pass a file that runs code in the next step of the pipeline.
"""

from __future__ import annotations

from fuseguard.engine.finding import Effect, Finding, Severity
from fuseguard.engine.fingerprint import fingerprint
from fuseguard.engine.housekeeping import HousekeepingRule
from fuseguard.ir.hazard import Hazard

_LONGEST = 400


class ArchiveRule(HousekeepingRule, frozen=True):
    """One AR code."""

    severity: Severity = Severity.ERROR
    scope: str = "file"
    message: str = "loading this file with torch would run {what}"

    def of(self, hazard: Hazard, file: str) -> Finding:
        """The finding about ``file`` for what the reader saw."""
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
            "torch.export.save stores plain tensors as bytes, but pickles those of a subclass of Tensor. "
            "torch.export.load unpickles them with torch.load(weights_only=False), and a pickle can call any function "
            "of any module. fuseguard does not read such a tensor: if it is a scale, its values are not known. In an "
            "ETRecord, and in files of exir.serde and torch 2.6, all tensors are in one pickle. That pickle is "
            "reported if it calls anything other than the functions that rebuild plain tensors."
        ),
        remedy=_remedy("Convert the weights to plain tensors before exporting, and save the program again."),
    ),
    ArchiveRule(
        code="AR902",
        name="pickled-object",
        summary="A constant is a pickled object, either an opaque or a TorchBind one.",
        why=(
            "torch reads opaque objects with pickle.loads, which can call any function of any module. It reads "
            "TorchBind objects with its C++ unpickler, which makes objects of any registered class and calls their "
            "__setstate__."
        ),
        remedy=_remedy("Export the program without custom objects, and save it again."),
    ),
    ArchiveRule(
        code="AR903",
        name="legacy-record",
        summary="The archive has a weights or constants record in the legacy form.",
        why=(
            "If data/weights/<model>.pt or data/constants/<model>.pt exists, torch.export.load unpickles it and reads "
            "none of the tensors that are stored as bytes. Such a record runs code. It also replaces the values that "
            "a check has seen."
        ),
        remedy=_remedy("Save the program again with torch.export.save of torch 2.9 or newer."),
    ),
    ArchiveRule(
        code="AR904",
        name="native-code",
        summary="The archive has a compiled AOTInductor package.",
        why=(
            "torch.export.load unpacks everything in data/aotinductor and loads it as a shared library, even if only "
            "the exported program is requested. A library runs code when it is loaded."
        ),
        remedy=_remedy("Save the program in a separate file, with torch.export.save alone."),
    ),
    ArchiveRule(
        code="AR905",
        name="guard-code",
        summary="A guard of the program does more than compare shapes.",
        why=(
            "The guards in a file are Python source. ExportedProgram.module() pastes them into a function and "
            "executes it. The guards that torch writes compare the sizes of inputs by arithmetic. This one has other "
            "calls, attributes or text."
        ),
        remedy=_remedy("Export and save the program again."),
    ),
    ArchiveRule(
        code="AR906",
        name="name-is-code",
        summary="A name in the program is not a name.",
        why=(
            "FX generates Python source for a program and executes it. It pastes the names of inputs, nodes, keywords "
            "and parameters into the source unchanged. A name that is not an identifier, or a parameter name that "
            "contains a quote, can be any code. The resulting function may still look as it should."
        ),
        remedy=_remedy("Export and save the program again."),
    ),
    ArchiveRule(
        code="AR907",
        name="expression-is-code",
        summary="A symbolic size is an expression that does more than arithmetic.",
        why=(
            "torch reads symbolic sizes with sympy.sympify, which evaluates any Python expression. The expressions "
            "that torch writes have numbers, symbols and functions from a short list. This one has something else."
        ),
        remedy=_remedy("Export and save the program again."),
    ),
    ArchiveRule(
        code="AR908",
        name="tree-spec-import",
        summary="A tree spec names a module that torch imports.",
        why=(
            "A file stores the nesting of inputs and outputs as JSON. It stores an enum among the keys of a dict, and "
            "the factory of a defaultdict, as the name of a module, which torch imports. An import runs the module, "
            "even one that lies beside the model."
        ),
        remedy=_remedy("Use plain dicts with text keys as inputs and outputs, and export again."),
    ),
    ArchiveRule(
        code="AR909",
        name="pickled-sample-inputs",
        summary="The sample inputs are a pickle of more than tensors.",
        why=(
            "Every file stores its sample inputs as a pickle. torch.export.load tries the restricted unpickler first. "
            "If that fails, it uses the one that calls any function of any module. fuseguard accepts only pickles "
            "that call nothing other than the functions that rebuild plain tensors. It does not accept objects of "
            "other classes among the inputs."
        ),
        remedy=_remedy("Set example_inputs of the program to None, or to plain tensors, and save it again."),
    ),
)

_BY_CODE = {rule.code: rule for rule in ARCHIVE_RULES}


def archive_finding(hazard: Hazard, file: str) -> Finding:
    """The finding for what a reader saw in ``file``."""
    return _BY_CODE[hazard.code].of(hazard, file)
