"""Answers of ``fuseguard prove`` from the cache. Needs no torch: an answer from the cache takes less than a second."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuseguard.cache import answers
from fuseguard.cache.answers import Answer, Answers, CacheTrouble
from fuseguard.cache.identity import environment_key, file_digest, key_of, unidentified
from fuseguard.cli import output
from fuseguard.cli.cache import when
from fuseguard.cli.early import random_seed
from fuseguard.report.lines import Line
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.executorch.guard_report import GuardReport
    from fuseguard.executorch.proof import Proof

#: Outcomes that only the program and the backend decide. Others may come from a full disk or from too little memory.
_KEPT = ("exact", "bounded", "wrong", "undefined")


def key_for(
    file: Path, inputs: Sequence[str], float_file: Path | None, target: Target, options: Mapping[str, Any]
) -> str | None:
    """The key of a proof: it identifies the files by their content, all options, and all that is installed.

    ``options`` are JSON-ready. None: it cannot be identified, so the cache is not to be used.
    """
    if answers.folder() is None or options["engine"] != "tosa" or unidentified():
        # The drivers of another engine are not Python packages, and a version does not identify an editable package.
        return None
    read = [file, *(Path(text) for text in inputs if random_seed(text) is None)]
    if float_file is not None:
        read.append(float_file)
    try:
        digests = [file_digest(path) for path in read]
    except OSError:  # the proof says so
        return None
    names = [str(file), *inputs, None if float_file is None else str(float_file)]  # the answer names them
    goal = [target.spec, target.accelerator, str(target.release), target.ir_validity, target.notice]
    return key_of("prove", environment_key(), digests, names, goal, options)


def load(key: str | None) -> Answer | None:
    """The answer in the cache, if there is one. A cache that cannot be read is not a reason to fail."""
    place = answers.folder()
    if key is None or place is None:
        return None
    try:
        with Answers(place) as cache:
            return cache.get(key)
    except CacheTrouble as error:
        _warn(error)
        return None


def save(
    key: str | None,
    exit_code: int,
    proof: Proof,
    file: Path,
    inputs: Sequence[str],
    guard: GuardReport | None,
    exceeded: Sequence[str],
    layers: bool,
    page: bool,
) -> None:
    """Keep the answer as text, JSON and, if ``page``, HTML. A cache that cannot be written is not a reason to fail."""
    place = answers.folder()
    if key is None or place is None or any(one.outcome not in _KEPT for one in (proof, *proof.by_inputs)):
        return
    from fuseguard.report import json as report_json
    from fuseguard.report import proof as proof_report
    from fuseguard.report import proof_html

    lines = proof_report.render(proof, str(file), inputs, guard, exceeded, layers)
    answer = Answer(
        exit_code,
        report_json.dump(proof_report.to_dict(proof, str(file), inputs, guard, exceeded)),
        [([*line.spans], line.hang) for line in lines],
        proof_html.render(proof, str(file), inputs, guard, exceeded) if page else "",
    )
    try:
        with Answers(place) as cache:
            cache.put(key, answer)
    except CacheTrouble as error:
        _warn(error)


def document_of(answer: Answer) -> str:
    """The JSON report, which says when it was made."""
    document: dict[str, Any] = json.loads(answer.document)
    document["cached"] = when(answer.made)
    return json.dumps(document, indent=2) + "\n"


def lines_of(answer: Answer) -> list[Line]:
    """The text report."""
    return [Line(*spans, hang=hang) for spans, hang in answer.lines]  # type: ignore[arg-type]


def said(answer: Answer) -> str:
    """What the user is to know of an answer from the cache."""
    return (
        f"note: from the cache: the same program was proved on {when(answer.made)} with the same inputs, options and "
        f"packages. --no-cache proves it again."
    )


def _warn(error: CacheTrouble) -> None:
    output.warn(
        f"the cache cannot be used: {error}. 'fuseguard cache clear' removes it; FUSEGUARD_CACHE=off turns it off."
    )
