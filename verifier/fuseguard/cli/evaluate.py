"""``fuseguard evaluate``."""

from __future__ import annotations

import importlib
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fuseguard.cli import exits, output
from fuseguard.cli.early import check_inputs
from fuseguard.cli.hints import Choice
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.progress import status_line
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import (
    installed_target,
    installed_target_option,
    ir_validity_option,
    policy_option,
    require_trust,
    trust_option,
)
from fuseguard.target import Target

if TYPE_CHECKING:
    from fuseguard.executorch.evaluating import Evaluation

EPILOG = """\b
Examples:
  fuseguard evaluate model.pt2 --trust --data test.npz
  fuseguard evaluate model.pt2 --trust --data a.npz --max-drop 0.01
  fuseguard evaluate model.pt2 --trust --data own:load --metric own:score
  fuseguard evaluate model.pt2 --trust --data a.npz --float f.pt2 --target vgf

Exit codes: 0 every program was evaluated; 1 a lowering has no result, or loses
more than --max-drop; 2 usage, missing packages, or your own function failed; 3 a
file could not be read, or --trust is missing."""

WAYS = ("lowered", "guarded", "repaired")
METRICS = ("top-1", "top-5")


@click.command(
    "evaluate", epilog=EPILOG, short_help="Measure task accuracy before and after lowering, on your own data."
)
@click.argument("file", type=ProgramPath())
@click.option(
    "--data", required=True, metavar="FILE.npz|MODULE:FUNCTION",
    help="Samples and labels: a .npz file with y (or labels), and x or the names of the inputs; or a function of yours "
    "that returns inputs and labels.",
)  # fmt: skip
@click.option(
    "--metric", default="top-1", show_default=True, metavar="top-1|top-5|MODULE:FUNCTION",
    help="The score: an accuracy, or a function of your own that takes outputs and labels and returns a number.",
)  # fmt: skip
@click.option("--float", "float_file", type=ProgramPath(), help="The program before it was quantized.")
@click.option(
    "--way", "ways", multiple=True, type=Choice(WAYS),
    help="Evaluate only this lowering; repeat for more. Default: all three.",
)  # fmt: skip
@click.option(
    "--max-drop", type=click.FloatRange(min=0), metavar="X",
    help="Fail if a lowering scores more than X below the quantized program.",
)  # fmt: skip
@installed_target_option
@policy_option()
@ir_validity_option
@trust_option
@output.format_option("text", "json")
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    data: str,
    metric: str,
    float_file: Path | None,
    ways: tuple[str, ...],
    max_drop: float | None,
    target: str,
    policy: str,
    no_check_ir_validity: bool,
    trust: bool,
    output_format: str,
    color: str,
) -> None:
    """Measure task accuracy of the float, quantized, lowered, guarded and repaired program.

    You supply the data. Delegates run in the TOSA reference model. The samples run in batches of the size that the
    program was exported for. Your own functions are imported from the current folder or from an installed module.
    """
    resolved = installed_target(target, no_check_ir_validity)
    require_trust((file, *([float_file] if float_file is not None else [])), "Evaluating a program", trust)
    score = _metric(metric)
    load_data = _function(data, "--data") if _is_function(data) else None
    if load_data is None:
        check_inputs([data])
        if Path(data).suffix != ".npz":
            raise exits.Failure(f"--data {data!r}: give a .npz file, or MODULE:FUNCTION.")
    with quiet(), status_line() as tell:
        found, samples = _evaluate(
            file, float_file, data, load_data, score, metric, resolved, ways or WAYS, policy, tell
        )
    from fuseguard.report import evaluation

    dropped = [] if max_drop is None else _dropped(found, max_drop)
    options = (found, str(file), str(resolved), metric, samples, dropped)
    if output_format == "json":
        from fuseguard.report import json

        output.write_text(json.dump(evaluation.to_dict(*options)))
    else:
        output.write_lines(evaluation.render(*options), color)
    ctx.exit(exits.FINDINGS if dropped or any(one.score is None for one in found) else exits.CLEAN)


def _evaluate(
    file: Path,
    float_file: Path | None,
    data: str,
    load_data: Callable[..., Any] | None,
    score: Callable[..., Any] | int,
    metric: str,
    target: Target,
    ways: Sequence[str],
    policy: str,
    tell: Callable[[str], None],
) -> tuple[list[Evaluation], int]:
    tell("loading torch and the backend")
    try:
        from fuseguard.executorch.evaluating import data_for, evaluate, top
        from fuseguard.executorch.inputs import InputsError
        from fuseguard.executorch.loading import load
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    tell("loading the program")
    program = load(file)
    float_program = load(float_file) if float_file is not None else None
    inputs, labels = _read(data) if load_data is None else _called(load_data, data)
    given: Callable[..., Any] = top(score) if isinstance(score, int) else score
    measure = _checked(given, metric)
    try:
        samples = data_for(program, inputs, labels)
        found = evaluate(
            program, samples, measure, target, float_program=float_program, ways=ways, policy=policy, progress=tell
        )
    except InputsError as error:
        raise exits.Failure(f"--data {data!r}: {error}.") from error
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    return found, len(samples)


def _dropped(found: Sequence[Evaluation], most: float) -> list[str]:
    base = next(one.score for one in found if one.way == "quantized")
    assert base is not None
    return [
        f"{one.way}: loses {base - one.score:.4f}, more than {most:g}"
        for one in found
        if one.way in WAYS and one.score is not None and base - one.score > most
    ]


def _is_function(text: str) -> bool:
    return ":" in text and not Path(text).exists()


def _metric(text: str) -> Callable[..., Any] | int:
    """How many of the best outputs count, or the user's function."""
    if text in METRICS:
        return int(text.partition("-")[2])
    if not _is_function(text):
        hint = exits.nearest(text, METRICS)
        raise exits.Failure(f"--metric {text!r}: valid are {', '.join(METRICS)} and MODULE:FUNCTION. {hint}".rstrip())
    return _function(text, "--metric")


def _function(text: str, option: str) -> Callable[..., Any]:
    """The user's function. Raises Failure."""
    module, _, name = text.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the user's module raises
        raise exits.Failure(f"{option} {text!r} cannot be imported: {type(error).__name__}: {error}.") from error
    if not callable(found):
        raise exits.Failure(f"{option} {text!r} is a {type(found).__name__}, and must be a function.")
    function: Callable[..., Any] = found
    return function


def _called(function: Callable[..., Any], text: str) -> tuple[Any, Any]:
    try:
        inputs, labels = function()
    except Exception as error:
        raise exits.Failure(
            f"--data {text!r}: must return inputs and labels, and raised {type(error).__name__}: {error}."
        ) from error
    return (inputs if isinstance(inputs, dict | list | tuple) else (inputs,)), labels


def _checked(metric: Callable[..., Any], text: str) -> Callable[..., float]:
    def measure(outputs: Any, labels: Any) -> float:
        try:
            return float(metric(outputs, labels))
        except Exception as error:
            raise exits.Failure(f"--metric {text!r} raised {type(error).__name__}: {error}.") from error

    return measure


def _read(text: str) -> tuple[Any, Any]:
    from fuseguard.executorch.evaluating import read_npz
    from fuseguard.executorch.inputs import InputsError

    try:
        return read_npz(Path(text))
    except InputsError as error:
        raise exits.Failure(f"--data {text!r} {error}.") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise exits.Refused(f"--data {text!r} cannot be read: {error}") from error
