"""``fuseguard completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from fuseguard.cli import exits, output
from fuseguard.cli.hints import Choice

SHELLS = ("bash", "zsh", "fish")

EPILOG = """\b
Examples:
  bash:  echo 'eval "$(fuseguard completion bash)"' >> ~/.bashrc
  zsh:   echo 'eval "$(fuseguard completion zsh)"' >> ~/.zshrc
  fish:  fuseguard completion fish > ~/.config/fish/completions/fuseguard.fish

\b
Open a new shell, and try: fuseguard check --target <TAB>"""


@click.command("completion", epilog=EPILOG, short_help="Print the completion script for a shell.")
@click.argument("shell", type=Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that makes SHELL complete fuseguard's commands, options, targets and rules."""
    from fuseguard.cli.main import cli

    script = get_completion_class(shell)
    if script is None:
        raise exits.Failure(f"the installed click cannot complete for {shell}; update click.")
    # source() runs bash to see its version; the text is the same without that.
    completion = script(cli, {}, "fuseguard", "_FUSEGUARD_COMPLETE")
    output.write_text(f"{(completion.source_template % completion.source_vars()).strip()}\n")
