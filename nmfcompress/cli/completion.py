"""nmfc completion: a script by which a shell completes commands, options and names."""

from __future__ import annotations

import click

from .completing import SHELLS

EXAMPLES = """
\b
Once and for all, for
  bash        echo 'eval "$(nmfc completion bash)"' >> ~/.bashrc
  zsh         echo 'eval "$(nmfc completion zsh)"' >> ~/.zshrc
  fish        nmfc completion fish > ~/.config/fish/completions/nmfc.fish
  PowerShell  Add-Content $PROFILE 'nmfc completion powershell | Out-String | Invoke-Expression'
"""


@click.command("completion", epilog=EXAMPLES, no_args_is_help=True)
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def command(shell: str, debug: bool) -> int:
    """Print a script that makes SHELL complete commands, options and names of files.

    bash from version 4.4; in zsh compinit must have been called before, as most settings do.
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from .main import COMPLETE, nmfc

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - one of SHELLS
    # that of all shells: the one of bash would start bash first, to ask it for its version
    click.echo(ShellComplete.source(kind(nmfc, {}, "nmfc", COMPLETE)).rstrip())
    return 0
