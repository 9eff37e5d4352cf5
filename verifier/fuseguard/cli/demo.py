"""``fuseguard demo``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from fuseguard.cli import exits, output
from fuseguard.report.lines import Line, paragraph
from fuseguard.samples import NAME, sample

EPILOG = """\b
Examples:
  fuseguard demo
  fuseguard demo --save sample.pt2"""

_TARGET = "TOSA-1.0+INT"


@click.command("demo", epilog=EPILOG, short_help="Check a small program that ships with fuseguard.")
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Write the program to a file and check that."
)
@output.color_option
def command(save: Path | None, color: str) -> None:
    """Check a small program that ships with fuseguard, show what is wrong with it, and say what to do next.

    Neither torch nor a model is needed. The exit code is 0 even though the program has an error.
    """
    if save is not None:
        _save(save)
    output.write_lines(_lines(save), color, wrap=True)


def _save(path: Path) -> None:
    if path.exists():
        raise exits.Failure(f"{path} exists; name another file.")
    with sample() as original:
        output.write_file(path, original.read_bytes())


def _lines(saved: Path | None) -> Iterator[Line]:
    from fuseguard.api import check
    from fuseguard.gate.result import of_report
    from fuseguard.report import text

    shown = str(saved) if saved is not None else NAME
    with sample() as path:
        report = check(path, _TARGET)
    findings = tuple(replace(finding, file=shown) for finding in report.findings)
    yield paragraph(
        "A quantized program: a convolution, a ReLU and a concatenation. Nothing in it is run. "
        f"'fuseguard check {shown} --target {_TARGET}' prints:"
    )
    yield Line()
    yield from text.render(of_report(replace(report, file=shown, findings=findings)))
    yield Line()
    if saved is None:
        yield paragraph("To try commands on this program: fuseguard demo --save sample.pt2")
    yield paragraph("To check a program of yours: fuseguard check model.pt2 --target vgf, or --target ethos-u85")
