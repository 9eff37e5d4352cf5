"""The ``fuseguard`` command."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

import fuseguard
from fuseguard.cli import exits, supervisor
from fuseguard.cli.hints import Group
from fuseguard.engine.collector import collector_paused

#: Command -> what it is for. Here and not in the commands' files, so that --help imports none of them.
COMMANDS: dict[str, str] = {
    "check": "Check quantized programs.",
    "view": "Check programs and show the report in the browser.",
    "demo": "Check a small program that ships with fuseguard.",
    "init": "Write configuration, hook and workflow for a repository.",
    "upgrade-check": "Show what another ExecuTorch release breaks and fixes.",
    "diff": "Compare two programs: show the new findings and those that are gone.",
    "baseline": "Record current findings so that only new ones are reported.",
    "explain": "Explain a rule: what it finds, why it matters and what to do.",
    "why-not": "Explain why a rule does not report a node.",
    "rules": "List all rules.",
    "targets": "List the targets that a program can be checked for.",
    "placement": "List the ops that stay on the CPU, and why.",
    "prove": "Lower a program, run it and compare it with the eager program.",
    "evaluate": "Measure task accuracy before and after lowering, on your own data.",
    "doctor": "Show which engines work here and what is missing.",
    "inspect": "Show inputs, outputs and delegates of a file.",
    "repair": "Rewrite a program so that the backend lowers it correctly.",
    "sweep": "Check, prove and repair many models for many releases.",
    "reduce": "Reduce a program that is lowered incorrectly, for a bug report.",
    "selftest": "Compare the effects tables of the rules with the installed backend.",
    "test-rules": "Test the rules of a pack on their own examples.",
    "new-rule": "Create a rule with its test and its pack, as a start.",
    "cache": "Show or clear the cache of proofs.",
    "schema": "Print the JSON Schema of fuseguard's output.",
    "completion": "Print the completion script for a shell.",
    "version": "Show the versions of fuseguard and of the packages it works with.",
}

EPILOG = """\b
Examples:
  fuseguard check model.pt2
  fuseguard check model.pt2 --target ethos-u55-128 --executorch 1.5.1
  fuseguard check *.pt2 --report json=a.json --report sarif=a.sarif
  fuseguard view model.pt2 --no-open --output-file report.html
  fuseguard upgrade-check model.pt2 --from 1.4.1 --to 1.5.1
  fuseguard baseline create model.pt2
  fuseguard explain FU101

Exit codes: 0 clean; 1 findings; 2 usage, configuration, rule pack or
internal error; 3 an input could not be read or was refused; 4 a repair that
does not end. When several apply, the largest wins."""


#: What ``fuseguard`` alone prints.
FIRST_STEPS = """\
fuseguard finds quantized programs that ExecuTorch's Arm backend gets wrong.

  fuseguard check model.pt2            Show what breaks, where, and what to do.
                                       Needs no torch; runs nothing in the file.
  fuseguard repair model.pt2 --trust -o repaired.pt2
                                       Rewrite the program, bit-exactly.
  fuseguard prove model.pt2 --trust    Lower the program, run it and compare.

'fuseguard demo' checks a small program that ships with fuseguard.
Add --target vgf or --target ethos-u85; 'fuseguard targets' lists all targets.
'fuseguard --help' lists all commands."""


class Commands(Group):
    """Imports a command when it is asked for, and lets no traceback through."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        # Nothing that is made by importing is garbage, so the collector would look through it in vain.
        with collector_paused():
            command: click.Command = importlib.import_module(f"fuseguard.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:  # the help itself, not a message about it
            raise
        except click.UsageError as error:
            raise exits.Misused(error) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except supervisor.Terminated:
            ctx.exit(exits.TERMINATED)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(exits.INTERRUPTED)
        except BrokenPipeError:
            exits.silence_stdout()
            ctx.exit(exits.BROKEN_PIPE)
        except Exception as error:
            raise _as_failure(error) from error


def _as_failure(error: Exception) -> exits.Failure:
    from fuseguard.engine.registry import RulePackError, SelectorError
    from fuseguard.gate.baseline import BaselineError
    from fuseguard.gate.config_file import ConfigError
    from fuseguard.readers.errors import UnreadableInput
    from fuseguard.target import TargetError

    if isinstance(error, TargetError | RulePackError | SelectorError | ConfigError | BaselineError):
        return exits.Failure(str(error))
    if isinstance(error, UnreadableInput):
        return exits.Refused(str(error))
    return exits.Failure(exits.internal_error(error))


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(fuseguard.__version__, prog_name="fuseguard", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Checks the invariants that ExecuTorch's Arm backend assumes of a quantized program.

    A .pt2 file is read without running anything in it, and without torch.
    """
    if ctx.invoked_subcommand is None:
        click.echo(FIRST_STEPS)


def main(args: Sequence[str] | None = None) -> None:
    """Console entry point. Exits with the codes of :mod:`fuseguard.cli.exits`."""
    # A stream that was closed before the start (fuseguard ... >&-) is None.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A name from a file may not fit the locale's encoding; a report must not fail over that.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    supervisor.supervise()
    try:
        cli.main(args=args, prog_name="fuseguard")
    except supervisor.Terminated:
        sys.exit(exits.TERMINATED)
    except KeyboardInterrupt:  # before or after a command
        sys.exit(exits.INTERRUPTED)
    finally:
        # The interpreter looks for cycles among all objects as it ends, which takes a sixth of a check. All of the
        # memory goes back to the system anyway. With torch, what it made may have to be taken apart.
        if args is None and "torch" not in sys.modules:
            gc.freeze()


if __name__ == "__main__":
    main()
