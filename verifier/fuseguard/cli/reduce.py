"""``fuseguard reduce``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fuseguard.cli import exits, output
from fuseguard.cli.early import check_inputs
from fuseguard.cli.paths import ProgramPath
from fuseguard.cli.progress import status_line
from fuseguard.cli.quiet import quiet
from fuseguard.cli.settings import (
    INPUTS,
    installed_target,
    installed_target_option,
    ir_validity_option,
    require_trust,
    trust_option,
)
from fuseguard.target import Target, TargetError

if TYPE_CHECKING:
    from fuseguard.executorch.reducing.reduction import Reduction

EPILOG = """\b
Examples:
  fuseguard reduce model.pt2 --trust -o small.pt2 --script bug.py
  fuseguard reduce model.pt2 --trust --inputs batch.npz --script bug.py
  fuseguard reduce model.pt2 --trust --budget 900 -o small.pt2

Exit codes: 0 a small program was written; 1 there is nothing to reduce, because
the program does not fail on these inputs; 2 usage, missing packages, a failure
that is lost on the way, or internal error; 3 an input could not be read, or
--trust is missing; 130 interrupted: the smallest program so far was written."""

#: Seconds, as in fuseguard.executorch.reducing, which imports torch.
_BUDGET = 300.0


@click.command("reduce", epilog=EPILOG, short_help="Reduce a program that is lowered incorrectly, for a bug report.")
@click.argument("file", type=ProgramPath())
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="Where to write the small program.")
@click.option("--script", type=click.Path(path_type=Path), help="Where to write a Python script that shows the fault.")
@click.option("--force", is_flag=True, help="Write over existing files.")
@click.option(
    "--inputs",
    multiple=True,
    default=("random",),
    show_default=True,
    metavar=INPUTS,
    help="Inputs that show the fault. Repeat for more input sets: the worst one is kept.",
)
@installed_target_option
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=_BUDGET,
    show_default=True,
    metavar="SECONDS",
    help="How long to look for a smaller program.",
)
@ir_validity_option
@trust_option
@output.color_option
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    out: Path | None,
    script: Path | None,
    force: bool,
    inputs: tuple[str, ...],
    target: str,
    budget: float,
    no_check_ir_validity: bool,
    trust: bool,
    color: str,
) -> None:
    """Reduce a program that the backend crashes on or lowers incorrectly. The small program fails the same way.

    The search leaves out ops and outputs, and shrinks sizes, as long as the failure stays. It keeps quantization
    parameters and inputs. Ctrl-C ends the search, and the smallest program so far is written. The script builds,
    lowers and runs the small program with torch, executorch and the TOSA reference model alone, and states the numbers
    that were seen.
    """
    resolved = installed_target(target, no_check_ir_validity)
    _check_paths(file, out, script, force)
    require_trust([file], "Reducing a program", trust)
    check_inputs(inputs)
    with quiet(), status_line() as tell:
        reduction, files = _reduce(file, inputs, resolved, budget, tell, out, script)
    for path, content in files.items():
        output.write_file(path, content)
    from fuseguard.report import reduction as report

    output.write_lines(report.render(reduction, str(file), [str(path) for path in files]), color)
    ctx.exit(exits.INTERRUPTED if reduction.stopped == "interrupted" else exits.CLEAN)


def _check_paths(file: Path, out: Path | None, script: Path | None, force: bool) -> None:
    if out is None and script is None:
        raise exits.Failure("name the file to write with -o OUT or --script OUT.py.")
    for path in (out, script):
        if path is not None:
            output.check_new_file(path, file, force)
    if out is not None and script is not None and out.resolve() == script.resolve():
        raise exits.Failure(f"{out} cannot be both the program and the script; name two files.")


def _reduce(
    file: Path,
    inputs: tuple[str, ...],
    target: Target,
    budget: float,
    tell: Callable[[str], None],
    out: Path | None,
    script: Path | None,
) -> tuple[Reduction, dict[Path, str | bytes]]:
    """The small program, and what to write where."""
    try:
        from fuseguard.cli.prove_inputs import read_inputs
        from fuseguard.executorch.hurry import hurry
        from fuseguard.executorch.loading import load
        from fuseguard.executorch.reducing.reduction import LostFailure, NoScript, NothingToReduce, reduce
        from fuseguard.executorch.repairs import serialized
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    program = load(file)
    values = [read_inputs(text, program) for text in inputs]
    hurry()  # this process lowers hundreds of programs, and does nothing else
    try:
        reduction = reduce(program, values, target, budget=budget, progress=tell)
        files: dict[Path, str | bytes] = {}
        if out is not None:
            files[out] = serialized(reduction.program)
        if script is not None:
            try:
                files[script] = reduction.script()
            except (NoScript, LostFailure) as error:
                if out is None:
                    raise
                output.warn(f"{script} was not written: {error}.")
    except NothingToReduce as error:
        hint = " Give the inputs that show the fault with --inputs." if error.proof.ok else ""
        exits.tell(f"{file}: {error}.{hint}")
        click.get_current_context().exit(exits.FINDINGS)
    except (LostFailure, NoScript) as error:
        raise exits.Failure(f"{file}: {error}. Nothing was written.") from error
    except TargetError:
        raise
    except ImportError as error:
        raise exits.Failure(exits.MISSING_PROVE.format(error=error)) from error
    except Exception as error:
        if exits.debugging():
            exits.internal_error(error)
        raise exits.Failure(
            f"{file}: the eager program could not be run on these inputs, or the small one could not be written: "
            f"{type(error).__name__}: {error}\nFUSEGUARD_DEBUG=1 shows the traceback."
        ) from error
    return reduction, files
